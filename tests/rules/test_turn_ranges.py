"""What a test sends is what the service takes: shares and moods within their bounds; and `continue` is said or not."""

from __future__ import annotations

import pytest

from rules.cases.case_files import read_case_files
from rules.compile.rule_files import compile_files, files_or_raise

RULES = "handrail: 1\nrules:\n- {id: r, why: x, when: confidence < 0.5, then: THEN}\n"
CASES = "handrail_tests: 1\ncases:\n- {name: a, message: b, SENT, expect: continue}\n"


def told(sent: str) -> list[str]:
    files = files_or_raise({"f.yaml": RULES.replace("THEN", "continue")})
    problems = read_case_files({"a.tests.yaml": CASES.replace("SENT", sent)}, files)[1]
    return [f"{problem.code}: {problem.message} -> {problem.next_step}" for problem in problems]


@pytest.mark.parametrize(
    ("sent", "fact"),
    [
        ("confidence: 40", "R123: `confidence` is 40, outside of 0 to 1 -> write `0.4`"),
        ("confidence: -0.1", "R123: `confidence` is -0.1, outside of 0 to 1 -> write a number from 0 to 1"),
        ("sentiment: -50", "R123: `sentiment` is -50, outside of -1 to 1 -> write `-0.5`"),
        ("sentiment: 500", "R123: `sentiment` is 500, outside of -1 to 1 -> write a number from -1 to 1"),
    ],
)
def test_a_number_that_the_service_does_not_take_is_refused(sent: str, fact: str) -> None:
    assert told(sent) == [fact]


@pytest.mark.parametrize("sent", ["confidence: 0", "confidence: 1", "sentiment: -1", "sentiment: 0.4"])
def test_a_number_within_its_bounds_is_taken(sent: str) -> None:
    assert told(sent) == []


@pytest.mark.parametrize("word", ["false", "False", "no"])
def test_to_continue_is_not_said_with_a_no(word: str) -> None:
    problems = compile_files({"f.yaml": RULES.replace("THEN", f"{{continue: {word}}}")})[1]
    assert [f"{problem.code}: {problem.message} -> {problem.next_step}" for problem in problems] == [
        f"R116: `continue: {word}` does not say what else comes of it"
        " -> write `true`, or `review`, `hold` or `escalate` with a queue"
    ]
    assert compile_files({"f.yaml": RULES.replace("THEN", "{continue: true}")})[1] == ()
