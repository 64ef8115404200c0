"""What an author is told to write in place of a line that is no comparison."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import compile_files
from rules.compile.values import nearest
from rules.files.grammar import Unparsed, parse
from rules.files.keys import CONDITION_KEYS, RULE_KEYS
from rules.files.meant import MEANT_KEYS, line_meant, span_meant
from rules.files.source import Source

MEANT = {
    "confidence is less than 0.5": "confidence < 0.5",
    "confidence below $low": "confidence < $low",
    "turn_count is at least 3": "turn_count >= 3",
    "confidence between 0.2 and 0.5": "all: [confidence >= 0.2, confidence <= 0.5]",
    "clock.time between 9:00 and 17:00": "all: [clock.time >= 9:00, clock.time <= 17:00]",
    "clock.time is between 22:00 and 6:00": "any: [clock.time >= 22:00, clock.time <= 6:00]",
    "clock.date between 2026-12-24 and 2026-12-26": "all: [clock.date >= 2026-12-24, clock.date <= 2026-12-26]",
    "elapsed_ms between 5m and 1h30m": "all: [elapsed_ms >= 5m, elapsed_ms <= 1h30m]",
    "9:00 <= clock.time < 17:00": "all: [clock.time >= 9:00, clock.time < 17:00]",
    "channel = “live chat”": 'channel = "live chat"',
    "channel in [‘chat’, „voice“]": """channel in ['chat', "voice"]""",
    "0.2 < confidence <= 0.5": "all: [confidence > 0.2, confidence <= 0.5]",
    "elapsed_ms > 10 minutes": "elapsed_ms > 10m",
    "since_last_turn_ms > 1 hour": "since_last_turn_ms > 1h",
    "amount_usd_max > 500 dollars": "amount_usd_max > 500",
    "confidence < 55 percent": "confidence < 0.55",
    "count(topics has refund) > 3 in 10 turns": "count(topics has refund) over 10 turns > 3",
    "count(confidence < 0.5) >= 2 within the last 5 turns": "count(confidence < 0.5) over 5 turns >= 2",
    "topic refund": "topics has refund",
    "topic: refund": "topics has refund",
}


@pytest.mark.parametrize("line", MEANT)
def test_what_is_said_in_words_is_written_as_the_language_has_it(line: str) -> None:
    assert line_meant(line) == f"write `{MEANT[line]}`"


@pytest.mark.parametrize("line", ["customer asks for a person", "confidence <", "a b c", "confidence < 0.5 and", ""])
def test_what_may_mean_anything_is_left_to_the_author(line: str) -> None:
    assert line_meant(line) is None


@pytest.mark.parametrize("line", ["true", "always", "Yes"])
def test_a_rule_for_every_turn_is_not_what_is_meant(line: str) -> None:
    assert line_meant(line) == (
        "write what the rule waits for, as `confidence < 0.5`; one for every turn would hand over all of them"
    )


def test_a_time_in_words_is_a_number_with_a_letter() -> None:
    assert [span_meant(text) for text in ("5 minutes", "1 hour", "30 sec", "2 Days")] == ["5m", "1h", "30s", "2d"]
    assert [span_meant(text) for text in ("soon", "5 moons", "9000 weeks", "5m")] == [None] * 4


def test_a_key_of_another_language_stands_for_one_of_ours() -> None:
    assert set(MEANT_KEYS.values()) <= {*CONDITION_KEYS, *RULE_KEYS}


WORDS = st.sampled_from(
    [
        *("confidence", "is", "less", "than", "between", "and", "topic", "refund", "0.5", "3", "10", "$low", "minutes"),
        *("<", "<=", ">", "=", "count(confidence < 1)", "in", "turns", "over", "percent", "dollars", "true", "["),
    ]
)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=9).map(" ".join)))
def test_what_is_advised_is_never_refused(line: str) -> None:
    meant = line_meant(line)
    if meant is None or meant.startswith("write what the rule waits for"):
        return
    written = meant.removeprefix("write `").removesuffix("`")
    for part in re.sub(r"^all: \[(.*)\]$", r"\1", written, flags=re.DOTALL).split(", "):
        try:
            parse(part)
        except Unparsed as refused:  # pragma: no cover - only where the test fails
            raise AssertionError(part) from refused


RULES = """handrail: 1
topics:
  refund: {phrases: [my money back]}
queues:
  desk: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: Later.}}}
rules:
  - {id: a, why: x, when: WHEN, then: {escalate: desk}}
"""
HINTS = {
    "topic refnd": "write `topics has refund`",
    "topic pets": "write `topics has pets`; but no topic is called `pets`",
    "wait > 5 dollars": "write `wait > 5`; but no signal is called `wait`",
    "confidense is below 0.5": "write `confidence < 0.5`",
    "{topic: refund}": "write the comparison on one line: `topics has refund`",
    "{topics: refund}": "write the comparison on one line: `topics has refund`",
    "{or: [confidence < 0.5, turn_count > 3]}": "write `any`",
    "{and: [confidence < 0.5, turn_count > 3]}": "write `all`",
    "{zebra: [confidence < 0.5]}": "write one of `all`, `any`, `not`, `tool_call`",
}


@pytest.mark.parametrize("when", HINTS)
def test_advice_names_what_is_declared(when: str) -> None:
    problems = compile_files({"a.yaml": RULES.replace("WHEN", when)})[1]
    assert [problem.next_step for problem in problems if problem.severity == "error"] == [HINTS[when]]


def test_a_queue_without_words_is_told_once_however_many_rules_lead_there() -> None:
    one = RULES.replace("WHEN", "confidence < 0.2")
    told = [problem for problem in compile_files({"a.yaml": one})[1] if problem.code == "W206"]
    assert [(problem.span.line, problem.message) for problem in told] == [
        (7, "neither the rule nor the queue `desk` has words for the customer before the deadline")
    ]
    more = "".join(
        f"  - {{id: r{number}, why: x, when: turn_count = {number}, then: {{escalate: desk}}}}\n"
        for number in range(2, 6)
    )
    told = [problem for problem in compile_files({"a.yaml": one + more})[1] if problem.code == "W206"]
    assert [(problem.span.line, problem.message, problem.next_step) for problem in told] == [
        (
            5,
            "the queue `desk` has no words for the customer before the deadline, and `a`, `r2`, `r3` and 2 more have"
            " none",
            "add `say: {en: …}` to the queue, for all of them",
        )
    ]


NEAR = {
    **{"sentimant": "sentiment", "hihg": "high", "liv": "live", "al": "all", "boolean": "bool", "stat": "status"},
    **{"asks_for_human": "asks_for_person", "repeats": "message_repeats", "hour": "clock.hour", "tier2": "tier1"},
    **{"tool_errors": "tool_errors_count", "wrong-queue": "wrong_queue", "Confidense": "confidence"},
}
FAR = {
    **{"payment-dispute": "agents-disagree", "investment-advice": "coverage-advice", "foo": "flood"},
    **{"draft-decides-credit": "draft-practises-medicine", "message_topic": "message_length"},
    **{"repeat_count": "agents_count", "colour": "clock.hour", "zebra": "tier1", "wait": "write"},
}


@pytest.mark.parametrize("given", NEAR)
def test_a_slip_of_the_pen_is_told_what_was_meant(given: str) -> None:
    assert nearest(Source("f", ""), given, [*FAR.values(), NEAR[given]]) == NEAR[given]


@pytest.mark.parametrize("given", FAR)
def test_another_word_that_shares_letters_was_not_meant(given: str) -> None:
    assert nearest(Source("f", ""), given, [FAR[given]]) is None
