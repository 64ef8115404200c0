"""`handrail check` reads the tests beside the rules: every mistake at its place, in every format, and none is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service import rule_files
from tests.service.cli_run import RULES, as_json, handrail, rules_in

GOOD = """\
handrail_tests: 1
cases:
  - {name: a lawyer is named, message: my lawyer, expect: {escalate: desk, rules: [legal]}}
  - {name: this one would fail, message: my lawyer, expect: continue}
"""
BAD = """\
handrail_tests: 1
defaults: {topics: [legall]}
cases:
  - {name: a key, mesage: x, message: y, expect: continue}
  - {name: a rule, message: x, expect: {rules: [unsure-twise]}}
  - {name: a queue, message: x, expect: {escalate: dest}}
  - {name: a verdict, message: x, expect: escalated}
  - {name: a topic, message: x, expect: {topics: [leagl]}}
  - {name: a signal, message: x, signals: {moood: 3}, expect: continue}
"""
TOLD = [
    (2, 21, "W231", "unknown topic `legall`", "did you mean `legal`?"),
    (4, 19, "R105", "unknown key `mesage` in a case", "did you mean `message`?"),
    (5, 49, "R170", "unknown rule `unsure-twise`", "did you mean `unsure-twice`?"),
    (6, 52, "R103", "unknown queue `dest`", "did you mean `desk`?"),
    (7, 43, "R109", "`escalated` is no `verdict`", "did you mean `escalate`?"),
    (8, 51, "R102", "unknown topic `leagl`", "did you mean `legal`?"),
    (9, 44, "R101", "no rule file declares `moood`", "declare it under `signals:` of a rule file"),
]


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rules_in(tmp_path / "rules")
    return Path("rules")


def told(problems: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    return [tuple(each[key] for key in ("line", "column", "code", "message", "hint")) for each in problems]


def test_tests_are_counted_and_not_run(rules: Path) -> None:
    (rules / "good.tests.yaml").write_text(GOOD)
    result = handrail("check", "--strict", "rules")
    assert (result.exit_code, result.stdout) == (0, "rules: 5 rules, 1 topic, 1 queue, 2 tests, 0 warnings\n")
    assert as_json(handrail("check", "--json", "rules"))["rulesets"][0]["tests"] == 2


def test_every_mistake_is_told_at_its_place_once_and_in_every_format(rules: Path) -> None:
    (rules / "bad.tests.yaml").write_text(BAD)
    result = handrail("check", "--json", "rules")
    found = as_json(result)
    assert (result.exit_code, found["ok"], found["errors"], found["warnings"]) == (1, False, 6, 1)
    assert told(found["problems"]) == TOLD
    assert {each["file"] for each in found["problems"]} == {"rules/bad.tests.yaml"}
    # The rules themselves can be used.
    assert found["rulesets"][0]["rules"] == 5
    text = handrail("check", "rules").stdout
    assert (
        "rules/bad.tests.yaml:6:52: R103: unknown queue `dest`\n"
        "      - {name: a queue, message: x, expect: {escalate: dest}}\n"
        "                                                       ^ did you mean `desk`?\n"
    ) in text
    assert text.endswith("rules: 5 rules, 1 topic, 1 queue, 0 tests, 6 errors, 1 warning\n")
    github = handrail("check", "--format", "github", "rules").stdout
    assert (
        "::error file=rules/bad.tests.yaml,line=6,endLine=6,col=52,endColumn=56,title=R103%3A unknown queue::" in github
    )
    (run,) = json.loads(handrail("check", "--format", "sarif", "rules").stdout)["runs"]
    assert [each["ruleId"] for each in run["results"]] == [code for _, _, code, _, _ in TOLD]
    places = [each["locations"][0]["physicalLocation"] for each in run["results"]]
    assert {each["artifactLocation"]["uri"] for each in places} == {"rules/bad.tests.yaml"}


def test_broken_rules_and_broken_tests_are_told_together_and_no_mistake_twice(rules: Path) -> None:
    (rules / "rules.yaml").write_text(RULES.replace("confidence <", "confidense <"))
    (rules / "a.tests.yaml").write_text(
        "handrail_tests: 1\ncases:\n"
        "  - {name: of the broken rule, message: x, expect: {rules: [unsure-twice]}}\n"
        "  - {name: of a slip, message: x, expect: {rules: [unsure-twise]}}\n"
        "  - {name: of what may be missing, message: x, expect: {rules: [nowhere]}}\n"
    )
    result = handrail("check", "--json", "rules")
    assert [(each["code"], each["line"]) for each in as_json(result)["problems"]] == [("R170", 4), ("R101", 18)]
    # What a torn file declares is not known, so nothing that is named is told.
    (rules / "rules.yaml").write_text(RULES.replace("- id: unsure-twice", "- id: [unsure-twice"))
    codes = {each["code"] for each in as_json(handrail("check", "--json", "rules"))["problems"]}
    assert "R170" not in codes
    assert "R110" in codes


def test_a_file_of_tests_alone_is_held_against_the_rules_of_its_directory(rules: Path) -> None:
    (rules / "rules.yaml").write_text(RULES + "  - {id: bare, when: confidence < 0.1, then: {review: desk}}\n")
    (rules / "bad.tests.yaml").write_text(BAD)
    (rules / "other.tests.yaml").write_text(BAD)
    result = handrail("check", "--json", "rules/bad.tests.yaml")
    assert result.exit_code == 1
    assert told(as_json(result)["problems"]) == TOLD
    assert handrail("check", "rules/bad.tests.yaml").stderr == ""
    (rules / "rules.yaml").write_text(RULES.replace("confidence <", "confidense <"))
    (rules / "bad.tests.yaml").write_text(GOOD)
    broken = as_json(handrail("check", "--json", "rules/bad.tests.yaml"))
    assert [(each["code"], each["file"]) for each in broken["problems"]] == [("R101", "rules/rules.yaml")]


def test_a_case_with_a_warning_is_run_all_the_same(rules: Path) -> None:
    text = "handrail_tests: 1\ncases:\n  - {name: n, message: my lawyer, topics: [leagl, weather], expect: continue}\n"
    (rules / "a.tests.yaml").write_text(text)
    checked = handrail("check", "rules")
    assert checked.exit_code == 0
    assert checked.stdout.endswith("rules: 5 rules, 1 topic, 1 queue, 1 test, 1 warning\n")
    tested = handrail("test", "rules")
    assert tested.exit_code == 1
    assert "0 of 1 cases passed" in tested.stdout


def test_a_torn_test_file_and_one_that_cannot_be_read_hide_nothing_of_the_rest(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text("handrail_tests: 1\ncases: [{name: x\n")
    (rules / "b.tests.yaml").symlink_to(rules / "gone")
    (rules / "c.tests.yaml").write_text(BAD)
    problems = as_json(handrail("check", "--json", "rules"))["problems"]
    files = [(each["file"], each["code"]) for each in problems if each["file"] != "rules/c.tests.yaml"]
    assert files == [("rules/a.tests.yaml", "R110"), ("rules/b.tests.yaml", "R117")]
    assert told([each for each in problems if each["file"] == "rules/c.tests.yaml"]) == TOLD


def test_what_judges_turns_and_what_reads_tests_is_not_loaded_to_check_rules(rules: Path) -> None:
    unneeded = (
        "rules.cases.case_files rules.chains.disagreements rules.decision rules.evaluation.evaluate rules.handoff"
    )
    asked = (
        "import sys; from pathlib import Path; from service.cli.check_formats import Checked;"
        f" Checked.of(Path('rules')); print(sorted(set('{unneeded}'.split()) & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(rule_files.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"
