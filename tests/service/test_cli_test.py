"""`handrail test`: the conversations beside rule files, what failed and what no test reaches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

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


def test_coverage_says_what_is_missing_and_what_to_write_next(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(TESTS)
    said = handrail("test", str(rules), "--coverage").stdout
    assert said.startswith("what no test reaches\nrule ")
    assert "unsure-twice" in said
    assert "it never fires" in said
    assert (
        "\nwhat to write next\n  legal: copy the case `a lawyer is named` ("
        f"{rules}/a.tests.yaml:3) and leave `message` out, with a tool call in its place\n" in said
    )
    assert "\ncoverage " in said


def test_a_minimum_of_coverage_decides_the_exit_code(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(TESTS)
    told = as_json(handrail("test", str(rules), "--coverage", "--json"))
    total = told["coverage_total"]
    assert total["rules"] == {"reached": 2, "of": 5}
    assert 0 < total["percent"] < 100
    assert told["coverage"][0]["comparisons"] == [
        {"text": "topics has legal", "held": True, "failed": True, "unknown": False}
    ]
    assert told["coverage"][0]["branches"] == [{"all_of": ["topics has legal"], "taken": True}]
    assert handrail("test", str(rules), "--coverage-min", str(int(total["percent"]))).exit_code == 0
    too_little = handrail("test", str(rules), "--coverage-min", "99.5")
    assert too_little.exit_code == 1
    assert "is below the 99.5% asked for\n" in too_little.stdout
    assert handrail("test", str(rules), "--coverage-min", "101").exit_code == 2


def test_the_first_failure_can_be_the_last(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(FAILING + TESTS.split("cases:\n")[1].replace("name: a", "name: another"))
    stopped = handrail("test", str(rules), "--fail-fast")
    assert stopped.exit_code == 1
    assert stopped.stdout.count("expected verdict") == 1
    assert "2 of 3 cases passed, 3 turns, " in stopped.stdout
    assert "; 2 not run\n" in stopped.stdout


def test_what_failed_is_told_with_its_difference_as_json(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(TESTS.replace("rules: [legal]", "rules: [legal, big-write]"))
    told = as_json(handrail("test", str(rules), "--json"))
    (failure,) = told["cases"][0]["failures"]
    assert (failure["what"], failure["expected"], failure["got"]) == ("rules", "big-write, legal", "legal")
    assert failure["difference"] == "big-write missing"
    assert failure["why"] == [
        "legal fired: topics has legal",
        "big-write stayed quiet",
        "  no   tool call with write = true, but the turn has no tool call",
        "  no   tool call with amount_usd > 100, but the turn has no tool call",
    ]


ODD = """\
handrail_tests: 1
cases:
  - name: "<script> & \\"quotes\\" ]]> \\u0007 \\uFFFE 🙂"
    message: my lawyer says so
    expect: {escalate: desk, say: "<One> & \\u001b[31m other"}
  - {name: fine, message: hi, expect: continue}
"""


def test_a_junit_report_is_read_by_an_xml_parser_whatever_a_name_holds(rules: Path, tmp_path: Path) -> None:
    (rules / "sub").mkdir()
    (rules / "a.tests.yaml").write_text(FAILING)
    (rules / "sub" / "odd.tests.yaml").write_text(ODD)
    report = tmp_path / "reports" / "junit.xml"
    result = handrail("test", str(rules), "--junit", str(report))
    assert result.exit_code == 1
    root = ElementTree.fromstring(report.read_bytes())
    assert root.tag == "testsuites"
    assert {name: root.get(name) for name in ("name", "tests", "failures", "errors", "skipped")} == {
        "name": "handrail",
        "tests": "5",
        "failures": "2",
        "errors": "0",
        "skipped": "0",
    }
    suites = root.findall("testsuite")
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in suites] == [
        (f"{rules}/a.tests.yaml", "3", "1"),
        (f"{rules}/sub/odd.tests.yaml", "2", "1"),
    ]
    case = root.findall(".//testcase")[2]
    assert (case.get("name"), case.get("file"), case.get("line")) == (
        "a small write goes on",
        f"{rules}/a.tests.yaml",
        "10",
    )
    assert (case.get("classname") or "").endswith("rules.a")
    (failure,) = case
    assert failure.get("message") == "turn 1: expected verdict hold, got continue"
    assert (failure.text or "").startswith(f"{rules}/a.tests.yaml:13:13: `a small write goes on`, turn 1\n")
    odd = root.findall(".//testcase")[3]
    assert odd.get("name") == '<script> & "quotes" ]]> � � 🙂'
    assert all(float(each.get("time") or "x") >= 0 for each in root.iter() if each.tag != "failure")


def test_files_that_cannot_be_used_are_errors_of_the_report(rules: Path, tmp_path: Path) -> None:
    (rules / "a.tests.yaml").write_text(TESTS.replace("rules: [legal]", "rules: [leagl]"))
    report = tmp_path / "junit.xml"
    assert handrail("test", str(rules), "--junit", str(report)).exit_code == 2
    root = ElementTree.fromstring(report.read_bytes())
    (case,) = root.findall(".//testcase")
    (error,) = case
    assert (root.get("tests"), root.get("errors"), case.get("line"), error.get("type")) == ("1", "1", "5", "R170")
    assert error.get("message") == "unknown rule `leagl`"


def test_a_mistake_in_a_test_file_is_not_told_of_the_rule_files(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(TESTS.replace("rules: [legal]", "rules: [leagl]"))
    assert "error: the test files cannot be used\n" in handrail("test", str(rules)).stderr
    (rules / "rules.yaml").write_text("handrail: 1\nrulez: []\n")
    assert "error: the rule files cannot be used\n" in handrail("test", str(rules)).stderr


@pytest.mark.parametrize(
    ("words", "fact"),
    [(("-k", "no such words"), "no case of that name"), ((), "no tests here")],
    ids=["no case of that name", "no tests"],
)
def test_where_nothing_could_be_run_the_report_says_why(
    rules: Path, tmp_path: Path, words: tuple[str, ...], fact: str
) -> None:
    if words:
        (rules / "a.tests.yaml").write_text(TESTS)
    report = tmp_path / "junit.xml"
    result = handrail("test", str(rules), *words, "--junit", str(report))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"error: {rules}: {fact}\n" in result.stderr
    root = ElementTree.fromstring(report.read_bytes())
    (error,) = root.iter("error")
    assert (root.get("tests"), root.get("errors"), error.get("message")) == ("1", "1", f"{rules}: {fact}")


def test_a_report_that_cannot_be_written_is_a_refusal(rules: Path) -> None:
    (rules / "a.tests.yaml").write_text(TESTS)
    result = handrail("test", str(rules), "--junit", str(rules / "rules.yaml" / "x.xml"))
    assert result.exit_code == 2
    assert "name a file that can be written" in result.stderr


@pytest.mark.parametrize(("text", "code"), [(TESTS, 0), (FAILING, 1)], ids=["that pass", "that fail"])
def test_a_reader_that_leaves_early_changes_no_exit_code(rules: Path, text: str, code: int) -> None:
    head, case = text.split("cases:\n", maxsplit=1)[0], text.split("cases:\n")[1]
    many = "".join(case.replace("- name: ", f"- name: {number} ") for number in range(200))
    (rules / "a.tests.yaml").write_text(f"{head}cases:\n{many}")
    for more in ("", "--json", "--coverage"):
        words = [sys.executable, "-P", "-m", "service", "test", str(rules), *more.split()]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(60) == code


def test_a_decision_is_asked_of_a_service_and_of_no_directory(rules: Path) -> None:
    both = handrail("test", str(rules), "--from", "dec_0_1")
    assert (both.exit_code, both.stdout) == (2, "")
    assert both.stderr.startswith("error: `--from` takes no PATH\n")
    away = handrail("test", "--from", "dec_0_1", "--url", "http://127.0.0.1:9", "--key", "hr_x")
    assert (away.exit_code, away.stdout) == (2, "")
    assert away.stderr.startswith("error: no answer from http://127.0.0.1:9")
    neither = handrail("test")
    assert neither.stderr.startswith("error: no PATH to run\n")
