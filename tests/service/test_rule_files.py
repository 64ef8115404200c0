"""Rule files are read from one directory, bounded, and every reason why not is a path, a fact and a next step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rules.files.errors import RuleFileInvalid, render
from service import rule_files
from service.rule_files import RulesUnreadable

GOOD = """handrail: 1
queues:
  tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: "We will call you back."}}}
rules:
  - id: unsure
    why: the agent is unsure
    when: confidence < 0.5
    then: {escalate: tier1, say: {en: "A colleague takes over."}}
"""


def write(directory: Path, **texts: str) -> Path:
    for name, text in texts.items():
        file = directory / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return directory


def test_every_yaml_below_the_directory_is_read_by_its_name_and_nothing_else_is(tmp_path: Path) -> None:
    write(tmp_path, b_yaml="b", a_yml="a", sub__c_yaml="c", a_tests_yaml="t", notes_md="n")
    (tmp_path / ".hidden.yaml").write_text("h")
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "a.yaml").write_text("older copy")
    assert rule_files.read_directory(tmp_path) == {"a.yml": "a", "b.yaml": "b", "sub/c.yaml": "c"}
    assert rule_files.read_tests(tmp_path) == {"a.tests.yaml": "t"}


def test_one_file_may_be_named_instead_of_a_directory(tmp_path: Path) -> None:
    write(tmp_path, b_yaml="b", a_yaml="a")
    assert rule_files.read_directory(tmp_path / "a.yaml") == {"a.yaml": "a"}


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfhandrail: 1\n")
    assert rule_files.read_directory(tmp_path) == {"a.yaml": "handrail: 1\n"}


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RulesUnreadable) as unreadable:
        rule_files.read_directory(tmp_path / "rulez")
    assert str(unreadable.value) == f"{tmp_path}/rulez: no such directory; name a directory of rule files"


def test_a_file_that_is_not_there_is_not_called_a_directory(tmp_path: Path) -> None:
    with pytest.raises(RulesUnreadable) as unreadable:
        rule_files.read_directory(tmp_path / "refunds.yaml")
    assert str(unreadable.value) == f"{tmp_path}/refunds.yaml: no such file; name a directory of rule files"


def test_a_directory_without_rule_files(tmp_path: Path) -> None:
    write(tmp_path, a_tests_yaml="t")
    with pytest.raises(RulesUnreadable) as unreadable:
        rule_files.read_directory(tmp_path)
    assert str(unreadable.value) == (
        f"{tmp_path}: no rule files here; a rule file ends in `.yaml`; name the directory that has them"
    )


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"why: caf\xe9\n")
    write(tmp_path, b_yaml="handrail: 2\n")
    ruleset, problems = rule_files.check(tmp_path)
    assert ruleset is None
    assert [render(problem) for problem in problems] == [
        f"{tmp_path}/a.yaml:1:9: R111: the byte 0xe9 is not UTF-8\n"
        "      why: caf�\n"
        "              ^ save the file as UTF-8 text",
        f"{tmp_path}/b.yaml:1:11: R115: `2` is no version of the language\n"
        "      handrail: 2\n"
        "                ^ write `handrail: 1`",
    ]


def test_a_file_larger_than_anybody_writes(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(rule_files.FILE_BYTES_MAX + 1)
    with pytest.raises(RulesUnreadable) as unreadable:
        rule_files.read_directory(tmp_path)
    assert str(unreadable.value) == f"{tmp_path}/a.yaml: 8388609 bytes, more than 8388608; split the file"


def test_more_files_than_a_directory_of_rules_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_files, "FILES_MAX", 2)
    write(tmp_path, a_yaml="", b_yaml="", c_yaml="")
    with pytest.raises(RulesUnreadable) as unreadable:
        rule_files.read_directory(tmp_path)
    assert str(unreadable.value) == f"{tmp_path}: more than 2 files; name the directory that has only the rules"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    write(tmp_path, a_yaml="x")
    (tmp_path / "a.yaml").chmod(0)
    with pytest.raises(RulesUnreadable, match="permission denied; make the file readable for this user"):
        rule_files.read_directory(tmp_path)


def test_a_dangling_link_is_told_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(RulesUnreadable) as unreadable:
        rule_files.read_directory(tmp_path)
    assert str(unreadable.value) == (
        f"{tmp_path}/a.yaml: no such file or directory; the link leads to nothing: correct it, or remove it"
    )


def test_a_ruleset_is_named_by_its_texts_wherever_the_directory_is(tmp_path: Path) -> None:
    here, there = write(tmp_path / "here", a_yaml=GOOD), write(tmp_path / "there", a_yaml=GOOD)
    assert rule_files.load(here).files.hash == rule_files.load(there).files.hash


def test_problems_are_told_at_a_path_that_an_editor_can_open(tmp_path: Path) -> None:
    write(tmp_path, sub__a_yaml=GOOD.replace("confidence", "confidense"))
    with pytest.raises(RuleFileInvalid) as invalid:
        rule_files.load(tmp_path)
    (problem,) = invalid.value.problems
    assert (problem.code, problem.span.file, problem.span.line) == ("R101", f"{tmp_path}/sub/a.yaml", 7)


def test_the_library_that_ships_loads() -> None:
    assert rule_files.load(rule_files.LIBRARY).files.rules


def test_a_stamp_differs_when_a_file_comes_goes_or_is_edited(tmp_path: Path) -> None:
    write(tmp_path, a_yaml="a")
    first = rule_files.stamp(tmp_path)
    write(tmp_path, b_yaml="b")
    second = rule_files.stamp(tmp_path)
    write(tmp_path, b_yaml="bb")
    third = rule_files.stamp(tmp_path)
    (tmp_path / "b.yaml").unlink()
    assert len({first, second, third}) == 3
    assert rule_files.stamp(tmp_path) == first


def test_a_file_that_cannot_be_read_hides_nothing_of_the_others(tmp_path: Path) -> None:
    write(tmp_path, b_yaml="handrail: 2\n")
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")
    files, problems = rule_files.examine(tmp_path)
    assert files is None
    assert [(each.span.file, each.code, each.message, each.next_step) for each in problems] == [
        (
            f"{tmp_path}/a.yaml",
            "R117",
            "no such file or directory",
            "the link leads to nothing: correct it, or remove it",
        ),
        (f"{tmp_path}/b.yaml", "R115", "`2` is no version of the language", "write `handrail: 1`"),
    ]


def test_names_that_an_unreadable_file_may_declare_are_not_missed(tmp_path: Path) -> None:
    rule = "rules:\n  - {id: a, why: x, when: confidence < 0.5, then: {escalate: desk}}\n"
    write(tmp_path, b_yaml="handrail: 1\n" + rule)
    assert [each.code for each in rule_files.examine(tmp_path)[1]] == ["R103"]
    (tmp_path / "queues.yaml").symlink_to(tmp_path / "gone")
    assert [each.code for each in rule_files.examine(tmp_path)[1]] == ["R117"]


def test_a_directory_whose_only_file_is_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")
    assert [each.span.file for each in rule_files.examine(tmp_path)[1]] == [f"{tmp_path}/a.yaml"]


def test_where_a_name_was_declared_first_is_told_with_the_directory(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=GOOD, b_yaml=GOOD)
    told = [each.message for each in rule_files.examine(tmp_path)[1] if each.code == "R107"]
    assert told
    assert all(f", first at {tmp_path}/a.yaml:" in message for message in told)
