"""`handrail check`, and what all commands share: exit codes, refusals, help."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from tests.service.cli_run import BROKEN, RULES, as_json, handrail, rules_in


def test_good_rules_end_with_0_and_say_what_was_read(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules")
    result = handrail("check", str(rules))
    assert (result.exit_code, result.stdout) == (0, f"{rules}: 5 rules, 1 topic, 1 queue, 0 warnings\n")


def test_every_problem_is_shown_at_its_place_with_a_caret(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules", BROKEN)
    result = handrail("check", str(rules))
    assert result.exit_code == 1
    assert result.stdout == (
        f"{rules}/rules.yaml:5:11: R101: unknown signal `sentimant`\n"
        "      when: sentimant < -0.5\n"
        "            ^ did you mean `sentiment`?\n"
        f"{rules}/rules.yaml:6:22: R103: unknown queue `nowhere`\n"
        "      then: {escalate: nowhere}\n"
        "                       ^ declare it under `queues:` with its `answer_within`, `on_timeout` and `say`\n"
        f"{rules}: cannot be used: 2 errors, 0 warnings\n"
    )


def test_json_tells_place_code_and_next_step(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules", BROKEN)
    result = handrail("check", "--json", str(rules))
    told = as_json(result)
    assert result.exit_code == 1
    assert (told["ok"], told["errors"], told["rulesets"][0]["hash"]) == (False, 2, None)
    assert told["problems"][0] == {
        "file": f"{rules}/rules.yaml",
        "line": 5,
        "column": 11,
        "end_column": 20,
        "code": "R101",
        "severity": "error",
        "message": "unknown signal `sentimant`",
        "hint": "did you mean `sentiment`?",
        "source_line": "    when: sentimant < -0.5",
    }


def test_warnings_fail_only_when_asked_to(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules", RULES + "  - id: bare\n    when: confidence < 0.1\n    then: {review: desk}\n")
    assert handrail("check", str(rules)).exit_code == 0
    strict = handrail("check", "--strict", "--json", str(rules))
    assert strict.exit_code == 1
    assert {problem["severity"] for problem in as_json(strict)["problems"]} == {"warning"}


def test_two_directories_are_two_rulesets(tmp_path: Path) -> None:
    good, bad = rules_in(tmp_path / "good"), rules_in(tmp_path / "bad", BROKEN)
    result = handrail("check", "--json", str(good), str(bad))
    assert result.exit_code == 1
    assert [each["hash"] is None for each in as_json(result)["rulesets"]] == [False, True]


def test_what_cannot_be_read_is_a_refusal_and_no_traceback(tmp_path: Path) -> None:
    result = handrail("check", str(tmp_path / "nowhere"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {tmp_path}/nowhere: no such directory\n       name a directory of rule files\n"


@pytest.mark.parametrize("words", [("chekc",), ("check",), ("check", "--jsn", "x"), ("keys", "create")])
def test_a_command_that_was_not_understood_ends_with_2(words: tuple[str, ...]) -> None:
    result = handrail(*words)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["check", "test", "explain", "replay", "demo", "keys", "keys create"])
def test_help_teaches_with_examples(command: str) -> None:
    result = handrail(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"handrail {command.split(maxsplit=1)[0]}" in result.stdout


def test_the_command_says_its_version_and_what_it_is_for() -> None:
    assert handrail("--version").stdout == f"handrail {metadata.version('handrail')}\n"
    assert "Decide, on every turn of an AI agent" in handrail("--help").stdout
    assert (handrail().stdout + handrail().stderr).startswith("Usage: handrail [OPTIONS] COMMAND [ARGS]...\n")


def test_a_file_that_is_read_alone_is_told_as_such_where_a_name_is_missing(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules")
    (rules / "more.yaml").write_text(
        "handrail: 1\nrules: [{id: more, why: w, when: turn_count > 9, then: {review: desk}}]\n"
    )
    assert handrail("check", str(rules)).stderr == ""
    alone = handrail("check", str(rules / "more.yaml"))
    assert alone.exit_code == 1
    assert alone.stderr == (
        f"{rules}/more.yaml was read alone; names that other files declare count in `handrail check {rules}`\n"
    )
