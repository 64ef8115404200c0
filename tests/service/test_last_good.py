"""What was good last of a directory of rule files is kept whole, for that directory, and for nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rules.files.errors import RuleFileInvalid
from service import settings
from service.last_good import FILE_BYTES_MAX, GOOD_AT_MS_MAX, Before, Kept, file_of, find, keep
from service.rule_files import RulesUnreadable
from service.rules_at_start import rules_at_start
from tests.service.api_service import RULES

NOW = 1_800_000_000_000
TEXTS = {"a.yaml": RULES, "folder/b.yaml": "handrail: 1\n# ñ\n"}


def test_what_is_kept_is_found_again_to_the_letter(tmp_path: Path) -> None:
    keep(tmp_path / "new", tmp_path / "rules", TEXTS, NOW)
    assert find(tmp_path / "new", tmp_path / "rules") == Kept(TEXTS, NOW)
    keep(tmp_path / "new", tmp_path / "rules", {"a.yaml": RULES}, NOW + 1)
    assert find(tmp_path / "new", tmp_path / "rules") == Kept({"a.yaml": RULES}, NOW + 1)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [file_of(tmp_path, tmp_path / "rules").name]


def test_the_files_before_are_kept_beside_them(tmp_path: Path) -> None:
    before = Before({"a.yaml": "handrail: 1\n# \udcff\n"}, NOW - 1)
    keep(tmp_path, tmp_path / "rules", TEXTS, NOW, before)
    assert find(tmp_path, tmp_path / "rules") == Kept(TEXTS, NOW, before)
    keep(tmp_path, tmp_path / "rules", TEXTS, NOW)
    assert find(tmp_path, tmp_path / "rules") == Kept(TEXTS, NOW)


@pytest.mark.parametrize(
    "before", [1, [], {}, {"texts": TEXTS}, {"texts": {}, "since_at_ms": 1}, {"texts": TEXTS, "since_at_ms": 10**30}]
)
def test_what_somebody_else_wrote_of_the_files_before_is_no_part_of_what_is_good(
    tmp_path: Path, before: object
) -> None:
    told = {"directory": str(tmp_path / "rules"), "good_at_ms": NOW, "texts": TEXTS, "before": before}
    file_of(tmp_path, tmp_path / "rules").write_text(json.dumps(told))
    assert find(tmp_path, tmp_path / "rules") == Kept(TEXTS, NOW)


def test_another_directory_has_nothing(tmp_path: Path) -> None:
    keep(tmp_path, tmp_path / "rules", TEXTS, NOW)
    assert find(tmp_path, tmp_path / "others") is None
    assert find(tmp_path / "nowhere", tmp_path / "rules") is None


@pytest.mark.parametrize(
    "written", ["", "{", "[]", "{}", '{"directory": 1}', '{"texts": {}, "good_at_ms": 1}', '{"texts": {"a": 1}}']
)
def test_what_somebody_else_wrote_there_is_nothing(tmp_path: Path, written: str) -> None:
    told = json.loads(written) if written not in ("", "{") else None
    if isinstance(told, dict):
        written = json.dumps({"directory": str(tmp_path / "rules"), **told})
    file_of(tmp_path, tmp_path / "rules").write_text(written)
    assert find(tmp_path, tmp_path / "rules") is None


@pytest.mark.parametrize("good_at_ms", [10**30, GOOD_AT_MS_MAX + 1, -1, True, 1.5, "1", None])
def test_a_moment_that_no_calendar_knows_is_nothing(tmp_path: Path, good_at_ms: object) -> None:
    told = {"directory": str(tmp_path / "rules"), "good_at_ms": good_at_ms, "texts": TEXTS}
    file_of(tmp_path, tmp_path / "rules").write_text(json.dumps(told))
    assert find(tmp_path, tmp_path / "rules") is None
    file_of(tmp_path, tmp_path / "rules").write_text(json.dumps({**told, "good_at_ms": GOOD_AT_MS_MAX}))
    assert find(tmp_path, tmp_path / "rules") == Kept(TEXTS, GOOD_AT_MS_MAX)


@pytest.mark.parametrize("opening", ["[", '{"texts":'])
def test_what_is_nested_without_end_is_nothing(tmp_path: Path, opening: str) -> None:
    file_of(tmp_path, tmp_path / "rules").write_text(opening * 200_000)
    assert find(tmp_path, tmp_path / "rules") is None


def test_what_is_larger_than_any_directory_is_not_read(tmp_path: Path) -> None:
    keep(tmp_path, tmp_path / "rules", TEXTS, NOW)
    path = file_of(tmp_path, tmp_path / "rules")
    with path.open("r+b") as file:
        told = file.read()
        # Blanks behind JSON change nothing but its length.
        file.write(b" " * (FILE_BYTES_MAX - len(told)))
    assert find(tmp_path, tmp_path / "rules") == Kept(TEXTS, NOW)
    with path.open("ab") as file:
        file.write(b" ")
    assert find(tmp_path, tmp_path / "rules") is None


def test_two_services_that_share_the_data_keep_what_is_theirs(tmp_path: Path) -> None:
    keep(tmp_path, tmp_path / "rules", TEXTS, NOW)
    keep(tmp_path, tmp_path / "others", {"a.yaml": RULES}, NOW + 1)
    assert find(tmp_path, tmp_path / "rules") == Kept(TEXTS, NOW)
    assert find(tmp_path, tmp_path / "others") == Kept({"a.yaml": RULES}, NOW + 1)


def test_the_shipped_rules_are_never_kept(tmp_path: Path) -> None:
    begun = rules_at_start(settings.load(data_dir=tmp_path))
    assert begun.refused is None
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_rules_are_never_taken_from_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "library"
    monkeypatch.setattr("service.rule_files.LIBRARY", library)
    keep(tmp_path / "data", library, {"a.yaml": RULES}, NOW)
    with pytest.raises(RulesUnreadable):
        rules_at_start(settings.load(data_dir=tmp_path / "data"))
    given = settings.load(data_dir=tmp_path / "data", rules=library)
    assert rules_at_start(given).texts == {"a.yaml": RULES}


def test_without_anything_kept_a_broken_directory_is_refused(tmp_path: Path) -> None:
    given = settings.load(data_dir=tmp_path / "data", rules=tmp_path / "rules")
    with pytest.raises(RulesUnreadable):
        rules_at_start(given)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULES.replace("confidence <", "confidense <"))
    with pytest.raises(RuleFileInvalid):
        rules_at_start(given)


def test_what_was_kept_and_can_no_longer_be_used_is_as_good_as_nothing(tmp_path: Path) -> None:
    given = settings.load(data_dir=tmp_path / "data", rules=tmp_path / "rules")
    keep(given.data_dir, tmp_path / "rules", {"a.yaml": "handrail: 2\n"}, NOW)
    with pytest.raises(RulesUnreadable):
        rules_at_start(given)


def test_a_disk_that_takes_nothing_keeps_no_service_from_starting(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULES)
    (tmp_path / "data").mkdir()
    in_the_way = file_of(tmp_path / "data", tmp_path / "rules")
    in_the_way.mkdir()
    (in_the_way / "x").write_text("in the way")
    begun = rules_at_start(settings.load(data_dir=tmp_path / "data", rules=tmp_path / "rules"))
    assert (begun.refused, begun.texts) == (None, {"a.yaml": RULES})
