"""Budgets in the commands of a manager: tried, tested and replayed under a pressure that somebody assumes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rules.test_shedding import HEAD, UNSURE
from tests.service.cli_run import handrail, rules_in

RULES = HEAD + UNSURE
AT = ("--at", "2026-03-02T09:00")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return rules_in(tmp_path / "rules", RULES)


def test_a_pressure_is_tried_and_saved_as_a_test_that_passes(rules: Path) -> None:
    lines = ("/pressure tier1 120%", "/confidence 0.5", "hello", '/save busy.tests.yaml "half sure"')
    tried = handrail("try", "--rules", str(rules), *AT, stdin="".join(f"{line}\n" for line in lines))
    assert tried.exit_code == 0, tried.output
    assert tried.stdout.startswith(
        "> /pressure tier1 120%\n"
        "`tier1` is at 120% of its budget from now on\n"
        "> /confidence 0.5\n"
        "the next turn has confidence 0.5\n"
        "> hello\n"
        "continue\n"
        "\n"
        "unsure: escalate, the agent is unsure\n"
        "  because confidence 0.5 < 0.55 (low)\n"
        "\n"
        "shed: unsure asked for escalate, and with `tier1` at 120% of its budget that became continue (step of 100%)\n"
    )
    assert 'pressure: {tier1: "120%"}' in (rules / "busy.tests.yaml").read_text()
    assert handrail("test", str(rules)).exit_code == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/pressure", "error: line 1: this needs a queue and how full it is\n       as /pressure tier1 150%\n"),
        (
            "/pressure tier2 150%",
            "error: line 1: the rules give no budget to a queue `tier2`\n       did you mean `tier1`?\n",
        ),
        (
            "/pressure tier1 much",
            "error: line 1: `much` is no share of a budget\n       as /pressure tier1 150%\n",
        ),
    ],
)
def test_a_pressure_that_cannot_be_is_refused(rules: Path, line: str, said: str) -> None:
    tried = handrail("try", "--rules", str(rules), *AT, stdin=f"{line}\n")
    assert (tried.exit_code, tried.stderr) == (2, said)


TESTS = """handrail_tests: 1
cases:
  - name: half sure on a busy day goes on
    message: hello
    confidence: 0.5
    pressure: {tier1: 120%}
    expect: {verdict: continue, rules: [unsure]}
  - name: half sure on a quiet day does not
    message: hello
    confidence: 0.5
    pressure: {tier1: 99%}
    expect: {escalate: tier1}
  - name: it gets busy
    turns:
      - {message: hello, confidence: 0.38, pressure: {tier1: 150%}, expect: {review: tier1}}
      - {message: hello, confidence: 0.35, pressure: {tier1: 200%}, expect: {say: We will call you back today.}}
      - {message: hello, confidence: 0.5, expect: {escalate: tier1}}
"""


def test_a_test_assumes_a_pressure(rules: Path) -> None:
    (rules / "busy.tests.yaml").write_text(TESTS)
    done = handrail("test", str(rules))
    assert done.exit_code == 0, done.output


def test_a_test_that_fails_under_a_pressure_says_what_was_shed(rules: Path) -> None:
    (rules / "busy.tests.yaml").write_text(TESTS.replace("verdict: continue, rules: [unsure]", "escalate: tier1"))
    done = handrail("test", str(rules))
    assert done.exit_code == 1
    assert (
        "shed: unsure asked for escalate, and with `tier1` at 120% of its budget that became continue (step of 100%)"
    ) in re.sub(r"\s+", " ", done.stdout)


@pytest.mark.parametrize(
    ("pressure", "said"),
    [
        ("{tier2: 120%}", "busy.tests.yaml:6:16: R103: unknown queue with a budget `tier2`"),
        ("{tier1: lots}", "busy.tests.yaml:6:23: R146: the pressure of `tier1` is no share of a budget"),
        ("120%", "busy.tests.yaml:6:15: R116: `pressure` is not a map"),
    ],
)
def test_a_pressure_in_a_test_that_cannot_be_is_refused_at_its_place(rules: Path, pressure: str, said: str) -> None:
    (rules / "busy.tests.yaml").write_text(TESTS.replace("{tier1: 120%}", pressure, 1))
    done = handrail("test", str(rules))
    assert done.exit_code == 2
    assert said in done.stdout + done.stderr
