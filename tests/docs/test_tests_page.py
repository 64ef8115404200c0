"""docs/tests.md says what is true: its directory loads and passes, its tables are the code's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rules.cases.keys import EXPECT_KEYS, HANDOFF_KEYS, MOVE_KEYS, PACKET_KEYS, STEP_KEYS
from rules.cases.probes import WAYS_MAX
from rules.cases.runner import coverage, render_case, run_cases
from rules.compile.rule_files import compile_files
from rules.evaluation.evaluate import build
from tests.service.cli_run import handrail

PAGE = (Path(__file__).parents[2] / "docs" / "tests.md").read_text("utf-8")
FILES = {name: text for name, text in re.findall(r"^```yaml\n# (\S+)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)}
RULES = {name: text for name, text in FILES.items() if not name.endswith(".tests.yaml")}
SHOWN = re.findall(r"^```text\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)
TESTS = {name: text for name, text in FILES.items() if name.endswith(".tests.yaml")}


def test_the_directory_of_the_page_loads_and_its_tests_pass_and_reach_everything() -> None:
    files, problems = compile_files(RULES)
    assert problems == ()
    assert files is not None
    ruleset = build(files)
    results = run_cases(ruleset, TESTS)
    assert [render_case(result) for result in results if not result.passed] == []
    assert len(results) == 13
    assert [(each.rule_id, each.unseen) for each in coverage(ruleset, results) if not each.cases or each.unseen] == []


def keys_of_table(before: str) -> list[str]:
    section = PAGE.split(f"\n{before}\n")[1].split("|---|---|")[1].split("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_the_tables_are_the_codes_own() -> None:
    assert keys_of_table("## What a turn can say") == list(STEP_KEYS)
    assert keys_of_table("## What happens between turns") == list(MOVE_KEYS)
    assert keys_of_table("Under `handoff`:") == list(HANDOFF_KEYS)
    assert keys_of_table(
        "Under `packet`; `[]` after any of them but `lacks` says that there is nothing of the kind:"
    ) == (list(PACKET_KEYS))
    assert keys_of_table("## What can be expected of a turn") == list(EXPECT_KEYS)


def test_the_failure_of_the_page_reads_as_a_failure_does() -> None:
    turns = (
        "{message: a, confidence: 0.4}",
        "{message: b, confidence: 0.7, expect: {verdict: escalate, rules: [unsure-twice]}}",
    )
    lines = ("handrail_tests: 1", "cases:", "  - name: twice", "    turns:", *(f"      - {turn}" for turn in turns))
    files, _ = compile_files(RULES)
    assert files is not None
    (result,) = run_cases(build(files), {"rules.tests.yaml": "\n".join(lines)})
    shown = SHOWN[0]
    assert render_case(result) + "\n" == shown


def test_the_coverage_of_the_page_is_what_the_command_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    said = handrail("test", "short.tests.yaml", "--coverage").stdout
    assert said.rpartition("3 of 3 cases passed")[0] == SHOWN[1]
    assert f"more than {WAYS_MAX} ways the\nfirst {WAYS_MAX} count" in PAGE


def test_every_option_of_the_command_is_on_the_page() -> None:
    options = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", handrail("test", "--help").stdout, re.MULTILINE)
    assert [option for option in options if option not in PAGE] == ["--data-dir", "--help"]
