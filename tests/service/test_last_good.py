"""What was good last of a directory of rule files is kept whole, for that directory, and for nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rules.files.errors import RuleFileInvalid
from service import settings
from service.last_good import FILE, Kept, find, keep
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
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]


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
    (tmp_path / FILE).write_text(written)
    assert find(tmp_path, tmp_path / "rules") is None


def test_the_shipped_rules_are_never_kept(tmp_path: Path) -> None:
    begun = rules_at_start(settings.load(data_dir=tmp_path))
    assert begun.refused is None
    assert list(tmp_path.iterdir()) == []


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
    (tmp_path / "data" / FILE).mkdir()
    (tmp_path / "data" / FILE / "x").write_text("in the way")
    begun = rules_at_start(settings.load(data_dir=tmp_path / "data", rules=tmp_path / "rules"))
    assert (begun.refused, begun.texts) == (None, {"a.yaml": RULES})
