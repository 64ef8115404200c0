"""`handrail check --format`: for a terminal of any width, for GitHub Actions, as SARIF, and into a pipe that closes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rules.files.errors import PROBLEMS, Problem
from rules.model import Span
from service.cli.check_formats import FORMATS, Checked
from tests.service.cli_run import BROKEN, RULES, as_json, handrail, rules_in

WARNED = RULES + "  - id: bare\n    when: confidence < 0.1\n    then: {review: desk}\n"


def found(code: str, message: str, file: str = "my-rules/a.yaml", hint: str | None = None) -> Checked:
    problem = Problem(code, Span(file, 3, 5, 9), message, "", hint)
    return Checked(Path("my-rules"), None, (problem,))


def test_github_is_told_of_each_problem_at_its_place() -> None:
    checked = [found("R101", "unknown signal `sentimant`", hint="did you mean `sentiment`?")]
    assert FORMATS["github"](checked, False, None) == (
        "::error file=my-rules/a.yaml,line=3,endLine=3,col=5,endColumn=9,title=R101%3A unknown signal::"
        "unknown signal `sentimant` (did you mean `sentiment`?)\n"
        "my-rules: cannot be used: 1 error, 0 warnings"
    )


def test_no_text_of_a_rule_file_ends_a_workflow_command_or_begins_one() -> None:
    checked = [found("W207", "100% of `a\r\n::error::b`, c: d", "a,b:c\n%.yaml")]
    command, *summary = FORMATS["github"](checked, False, None).split("\n")
    assert command == (
        "::warning file=a%2Cb%3Ac%0A%25.yaml,line=3,endLine=3,col=5,endColumn=9,title=W207%3A a rule without a reason::"
        "100%25 of `a%0D%0A::error::b`, c: d (add `why:`, which operators read)"
    )
    assert len(summary) == 1


def sarif_of(*words: str) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(handrail("check", "--format", "sarif", *words).stdout)
    return log


def test_a_sarif_log_has_what_the_standard_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rules_in(tmp_path / "my rules", BROKEN + "  - {id: sad, why: x, when: turn_count > 2, then: continue}\n")
    log = sarif_of("my rules")
    # Section 3.13 to 3.52 of SARIF 2.1.0: the properties that shall be there, their types, and who points at whom.
    assert re.search(r"sarif-schema-2\.1\.0\.json$", log["$schema"])
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    driver = run["tool"]["driver"]
    assert driver["name"] == "handrail"
    assert isinstance(driver["version"], str)
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"] == PROBLEMS[rule["id"]].title
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
        assert rule["help"]["text"]
    assert [result["ruleId"] for result in run["results"]] == ["R101", "R103", "R107"]
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["artifactLocation"] == {"uri": "my%20rules/rules.yaml", "uriBaseId": "%SRCROOT%"}
        region = place["region"]
        assert all(isinstance(number, int) and number >= 1 for number in region.values())
        assert region["endColumn"] >= region["startColumn"]
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
    first = run["results"][0]
    assert first["locations"][0]["physicalLocation"]["region"] == {"startLine": 5, "startColumn": 11, "endColumn": 20}
    assert first["message"]["text"] == "unknown signal `sentimant`; did you mean `sentiment`?"


def test_a_sarif_log_of_good_rules_has_no_result_and_of_files_elsewhere_whole_addresses(tmp_path: Path) -> None:
    assert sarif_of(str(rules_in(tmp_path / "good")))["runs"][0]["results"] == []
    (location,) = sarif_of(str(rules_in(tmp_path / "bad", BROKEN)))["runs"][0]["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"] == {"uri": (tmp_path / "bad" / "rules.yaml").as_uri()}


def test_a_fingerprint_stays_when_lines_are_put_above(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules", BROKEN)
    before = [result["partialFingerprints"] for result in sarif_of(str(rules))["runs"][0]["results"]]
    rules_in(tmp_path / "rules", f"# A remark.\n\n{BROKEN}")
    assert [result["partialFingerprints"] for result in sarif_of(str(rules))["runs"][0]["results"]] == before
    assert len({str(each) for each in before}) == len(before)


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize(
    ("text", "strict", "exit_code"), [(RULES, True, 0), (WARNED, False, 0), (WARNED, True, 1), (BROKEN, False, 1)]
)
def test_every_format_ends_with_the_same_exit_code(
    tmp_path: Path, written: str, text: str, strict: bool, exit_code: int
) -> None:
    rules = rules_in(tmp_path / "rules", text)
    result = handrail("check", "--format", written, *(["--strict"] if strict else []), str(rules))
    assert result.exit_code == exit_code


def test_json_has_two_names_and_no_other_format_beside_it(tmp_path: Path) -> None:
    rules = str(rules_in(tmp_path / "rules"))
    assert handrail("check", "--json", rules).stdout == handrail("check", "--format", "json", rules).stdout
    refused = handrail("check", "--json", "--format", "sarif", rules)
    assert (refused.exit_code, refused.stderr) == (
        2,
        "error: --json and --format sarif ask for two things\n       write one of the two\n",
    )
    unknown = handrail("check", "--format", "xml", rules)
    assert (unknown.exit_code, unknown.stderr) == (
        2,
        "error: `xml` is no format\n       write one of text, json, github, sarif\n",
    )


def test_files_below_this_directory_are_called_as_they_are_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = rules_in(tmp_path / "rules", BROKEN)
    monkeypatch.chdir(tmp_path)
    told = as_json(handrail("check", "--json", str(rules)))
    assert {problem["file"] for problem in told["problems"]} == {"rules/rules.yaml"}


LONG = (
    "handrail: 1\nrules: [{id: sad, why: the customer is sad and says so in many words that make this line long, "
    "when: sentimant < -0.5, then: continue}]\n"
)


@pytest.mark.parametrize("columns", [60, 80, 120, 240])
def test_no_source_line_and_no_next_step_is_folded_by_the_terminal(tmp_path: Path, columns: int) -> None:
    checked = [Checked.of(rules_in(tmp_path / "rules", LONG))]
    _, source, *caret, _ = FORMATS["text"](checked, False, columns).split("\n")
    assert all(len(line) <= max(columns, 68) for line in (source, *caret))
    assert source[caret[0].index("^") :].startswith("sentimant")
    assert caret[-1].endswith("did you mean `sentiment`?")
    assert len(caret) == (2 if columns == 60 else 1)


OPERATORS = "operators:\n  - {name: mia, skills: [french]}\n"


def test_who_works_stands_beside_the_rules_and_is_no_rule_file(tmp_path: Path) -> None:
    rules = rules_in(
        tmp_path / "rules", RULES.replace("answer_within: 15m", "answer_within: 15m\n    needs: [spanish]")
    )
    assert as_json(handrail("check", "--json", str(rules)))["problems"] == []
    (rules / "operators.yaml").write_text(OPERATORS)
    (problem,) = as_json(handrail("check", "--json", str(rules)))["problems"]
    assert (problem["code"], problem["message"]) == (
        "W226",
        "no operator can take what waits in the queue `desk`: nobody has the skill `spanish`",
    )
    # A file that is read alone does not know the other queues.
    assert handrail("check", str(rules / "rules.yaml")).exit_code == 0


@pytest.mark.parametrize("written", FORMATS)
def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path, written: str) -> None:
    many = "".join(f"  - {{id: r{number}, why: x, when: sentimant < 0, then: continue}}\n" for number in range(2_000))
    rules = rules_in(tmp_path / "rules", f"handrail: 1\nrules:\n{many}")
    command = [sys.executable, "-c", "from service.command import run; run()", "check", "--format", written, str(rules)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))
    assert started.stdout is not None
    assert started.stderr is not None
    started.stdout.read(10)
    started.stdout.close()
    # What was found still decides how the command ends.
    assert (started.stderr.read(), started.wait()) == (b"", 1)
    started.stderr.close()
