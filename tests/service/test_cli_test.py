"""`handrail test`: the conversations beside rule files, what failed and what no test reaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.cli_run import as_json, handrail, rules_in

TESTS = """\
handrail_tests: 1
cases:
  - name: a lawyer is named
    message: my lawyer says so
    expect: {escalate: desk, rules: [legal]}
  - name: a large write waits
    message: hello
    tool_calls: [{name: refund, write: true, amount: 500}]
    expect: {hold: desk}
"""
FAILING = (
    TESTS
    + """\
  - name: a small write goes on
    message: hello
    tool_calls: [{name: refund, write: true, amount: 50}]
    expect: {hold: desk}
"""
)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return rules_in(tmp_path / "rules")


def test_what_passes_is_counted(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(TESTS)
    result = handrail("test", str(rules))
    assert result.exit_code == 0
    assert result.stdout.startswith("2 of 2 cases passed, 2 turns, ")


def test_what_fails_is_shown_at_its_place_with_what_came_instead(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(FAILING)
    result = handrail("test", str(rules))
    assert result.exit_code == 1
    assert result.stdout.startswith(
        f"{rules}/a.tests.yaml:13:13: `a small write goes on`, turn 1\n"
        "      expected verdict hold\n"
        "      got      verdict continue\n"
    )
    assert "2 of 3 cases passed, 3 turns, " in result.stdout


def test_json_tells_cases_failures_and_coverage(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(FAILING)
    told = as_json(handrail("test", str(rules), "--json"))
    assert (told["ok"], told["passed"], told["failed"]) == (False, 2, 1)
    assert [case["name"] for case in told["cases"] if not case["passed"]] == ["a small write goes on"]
    assert told["cases"][2]["failures"][0]["expected"] == "hold"
    assert {each["rule_id"]: each["cases"] for each in told["coverage"]} == {
        "legal": 1,
        "unsure-twice": 0,
        "big-write": 1,
        "long-talk": 0,
        "no-such-signal": 0,
    }


def test_rules_that_no_test_reaches_fail_only_when_asked_to(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(TESTS)
    assert handrail("test", str(rules), "--coverage").exit_code == 0
    strict = handrail("test", str(rules), "--strict", "--coverage")
    assert strict.exit_code == 1
    assert "3 rules that no test makes fire" in strict.stdout
    assert "unsure-twice" in strict.stdout


def test_one_file_and_one_case_can_be_chosen(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(FAILING)
    (rules / "b.tests.yaml").write_text(TESTS)
    chosen = handrail("test", str(rules / "a.tests.yaml"), "-k", "LAWYER")
    assert chosen.stdout.startswith("1 of 1 cases passed")
    assert handrail("test", str(rules), "-k", "no such case").exit_code == 2


def test_no_tests_is_a_refusal_and_not_a_pass(rules: Path) -> None:
    result = handrail("test", str(rules))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {rules}: no tests here\n")


@pytest.mark.parametrize(
    ("name", "fact"),
    [("nowhere", "no such directory\n       name a directory of rule files"), ("rules.yaml", "no tests here")],
)
def test_a_path_without_tests_is_told_before_the_rules_around_it(rules: Path, name: str, fact: str) -> None:
    (rules / "rules.yaml").write_text("handrail: 2\n")
    result = handrail("test", str(rules / name))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {rules / name}: {fact}\n")


def test_a_mistake_in_a_test_file_is_told_at_its_place(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(TESTS.replace("rules: [legal]", "rules: [leagl]"))
    result = handrail("test", str(rules))
    assert result.exit_code == 2
    assert f"{rules}/a.tests.yaml:5:" in result.stderr
    assert "did you mean `legal`?" in result.stderr
