"""Conditions: what they compile to, and what an author is told of each that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile.conditions import CONDITION_DEPTH_MAX, comparisons
from rules.compile.rule_files import compile_files
from rules.evaluation.signal_table import CALL_SIGNALS, SIGNALS, TOPIC_SETS
from rules.files.errors import Problem
from rules.model import Aggregate, All, Any, CallMatch, Compare, Condition, Not, Span, Window

# Declares and uses what the conditions below speak of, so that nothing else is said of it.
NAMES = """handrail: 1
thresholds: {low_confidence: 0.55, patience: 10m, many: 55}
signals: {mood: number, basket_ms: {type: number}, vip: bool, tags: set, plan: text}
customer: {plan: text}
topics:
  yes: {phrases: [yes please], means: confirmed}
  person: {phrases: [a human], means: asks_for_person}
  refunds: {phrases: [my money back]}
  both: {phrases: [a fee], inside: [message, reply, tool_output]}
rules:
  - id: uses
    why: x
    when:
      any:
        - confidence < $low_confidence
        - elapsed_ms > $patience
        - turn_count > $many
        - mood > 1
        - basket_ms > 1m
        - vip = true
        - tags has a
        - plan = b
        - customer.plan = c
        - topics has refunds
        - reply_topics has both
    then: continue
"""


def compiled(when: str) -> tuple[Condition | None, tuple[Problem, ...]]:
    """Return what one `when` compiles to beside NAMES, and what is said of it."""
    text = f"handrail: 1\nrules:\n- id: r\n  why: x\n  when: {when}\n  then: continue\n"
    files, problems = compile_files({"names.yaml": NAMES, "r.yaml": text})
    if files is None:
        return None, problems
    return next(rule.when for rule in files.rules if rule.id == "r"), problems


def told(problem: Problem) -> str:
    return f"{problem.span.column}: {problem.code}: {problem.message} -> {problem.next_step}"


REFUSED = {row["wrong"]: row for row in yaml.safe_load(Path(__file__).with_name("refused_conditions.yaml").read_text())}


@pytest.mark.parametrize("name", REFUSED)
def test_a_condition_that_cannot_be_meant_is_told_in_full(name: str) -> None:
    _, problems = compiled(REFUSED[name]["when"])
    assert [told(problem) for problem in problems] == REFUSED[name]["told"]
    assert {problem.span.file for problem in problems} == {"r.yaml"}


FINE = [
    "confidence < 0.55",
    "confidence < $low_confidence",
    "{all: [turn_count > 2.5, turn_count < 3.5]}",
    "{all: [confidence > 0.2, confidence < 0.8, confidence != 0.5]}",
    "{all: [amount_usd_max > 1000000000000, amount_usd_max != 1000000000001]}",
    "{all: [topics has refunds, topics has both, topics lacks yes]}",
    "{all: [channel not in [chat], channel != voice]}",
    "{all: [confidence is known, confidence < 0.5]}",
    "{all: [streak(confidence < 0.5) >= 2, streak(confidence < 0.4) < 2]}",
    "{any: [confidence < 0.2, confidence > 0.8]}",
    "{not: {not: {not: asks_for_person = true}}}",
    "{tool_call: {all: [name in [a, 'b c'], args.n > $many, args.order.id = '5', args.gift = true, args.tags has x]}}",
    "{tool_call: {any: [write = true, has_error = false, error is known, status != ok, args.at is unknown]}}",
    "{not: {tool_call: write = true}}",
    "clock.time >= 18:00",
    "{any: [clock.weekday in [sat, sun], clock.hour < 8, clock.date = 2026-12-24]}",
    "elapsed_ms > $patience",
    "since_last_turn_ms > 90s",
    "basket_ms > 7200000",
    "customer.plan not in [basic, free]",
    'tags lacks "two words"',
    "count(mood > 3) over 10m >= 2",
    "count(customer.plan = basic) over 50 turns >= 2",
    "last(confidence) over 3 turns < 0.4",
    "max(amount_usd_max) > 200",
    "streak(confidence is unknown) >= 3",
    "count(tools_failed has charge) over 5 turns >= 2",
    "'agent.version = \"2\"'",
]


@pytest.mark.parametrize("when", FINE)
def test_what_can_be_meant_compiles_without_a_word(when: str) -> None:
    condition, problems = compiled(when)
    assert not problems
    assert condition is not None


def place(column: int, length: int, line: int = 5) -> Span:
    return Span("r.yaml", line, column, column + length)


COMPILED: dict[str, Condition] = {
    "confidence < $low_confidence": Compare(
        "confidence", "<", 0.55, "confidence < $low_confidence", place(9, 28), "low_confidence"
    ),
    "'channel  =   \"live chat\"'": Compare("channel", "=", "live chat", 'channel = "live chat"', place(10, 24)),
    "channel not in [chat, voice]": Compare(
        "channel", "not in", ("chat", "voice"), "channel not in [chat, voice]", place(9, 28)
    ),
    "sources not within [kb, 'price list']": Compare(
        "sources", "not within", ("kb", "price list"), "sources not within [kb, 'price list']", place(9, 37)
    ),
    "elapsed_ms > 1h30m": Compare("elapsed_ms", ">", 5_400_000, "elapsed_ms > 1h30m", place(9, 18)),
    "elapsed_ms > $patience": Compare("elapsed_ms", ">", 600_000, "elapsed_ms > $patience", place(9, 22), "patience"),
    "clock.time < 9:30": Compare("clock.time", "<", 570, "clock.time < 9:30", place(9, 17)),
    "clock.date = 2026-12-24": Compare("clock.date", "=", 739_974, "clock.date = 2026-12-24", place(9, 23)),
    "sentiment is unknown": Compare("sentiment", "is unknown", None, "sentiment is unknown", place(9, 20)),
    "vip = false": Compare("vip", "=", False, "vip = false", place(9, 11)),
    "count(topics has refunds) over 10 turns >= 2": Compare(
        Aggregate("count", Compare("topics", "has", "refunds", "topics has refunds", place(15, 18)), Window(turns=10)),
        ">=",
        2,
        "count(topics has refunds) over 10 turns >= 2",
        place(9, 44),
    ),
    "avg(sentiment) over 10m < -0.4": Compare(
        Aggregate("avg", "sentiment", Window(span_ms=600_000)),
        "<",
        -0.4,
        "avg(sentiment) over 10m < -0.4",
        place(9, 30),
    ),
    "streak(vip = true) >= 2": Compare(
        Aggregate("streak", Compare("vip", "=", True, "vip = true", place(16, 10)), Window()),
        ">=",
        2,
        "streak(vip = true) >= 2",
        place(9, 23),
    ),
    "{not: {tool_call: {any: [write = true, args.n >= 5]}}}": Not(
        CallMatch(
            Any(
                (
                    Compare("write", "=", True, "write = true", place(34, 12)),
                    Compare("args.n", ">=", 5, "args.n >= 5", place(48, 11)),
                )
            ),
            place(16, 9),
        )
    ),
    "\n    all:\n    - vip = true": All((Compare("vip", "=", True, "vip = true", place(7, 10, line=7)),)),
    ">\n    vip\n    = true": Compare("vip", "=", True, "vip = true", Span("r.yaml", 6, 5, 6)),
}


@pytest.mark.parametrize("when", COMPILED)
def test_a_condition_compiles_to_values_and_places(when: str) -> None:
    condition, problems = compiled(when)
    assert not problems
    assert condition == COMPILED[when]


def test_a_condition_has_a_deepest_nesting() -> None:
    def nested(depth: int) -> str:
        return "{not: " * depth + "vip = true" + "}" * depth

    assert compiled(nested(CONDITION_DEPTH_MAX - 1))[0] is not None
    condition, problems = compiled(nested(CONDITION_DEPTH_MAX))
    assert condition is None
    assert [problem.message for problem in problems] == [f"nested more than {CONDITION_DEPTH_MAX} deep"]


def test_every_comparison_of_a_condition_is_found_with_its_sign() -> None:
    condition, _ = compiled("{all: [vip = true, {not: {any: [count(mood > 3) >= 2, {not: plan = a}]}}]}")
    assert condition is not None
    assert [(compare.text, negated) for compare, negated in comparisons(condition)] == [
        ("vip = true", False),
        ("count(mood > 3) >= 2", True),
        ("mood > 3", True),
        ("plan = a", False),
    ]


SAMPLES = {"number": "3", "text": "word", "bool": "true", "set": "word"}
UNITS = {"ms": "5m", "minutes": "18:00", "day": "2026-12-24", "ratio": "0.5", "score": "0.5"}


@pytest.mark.parametrize("name", [*SIGNALS, *(f"call {name}" for name in CALL_SIGNALS)])
def test_every_signal_of_the_tables_can_be_compared(name: str) -> None:
    in_call = name.startswith("call ")
    spec = CALL_SIGNALS[name.removeprefix("call ")] if in_call else SIGNALS[name]
    operator = "has" if spec.type == "set" else "="
    operand = spec.values[0] if spec.values else UNITS.get(spec.unit or "", SAMPLES[spec.type])
    if name in TOPIC_SETS:
        operand = "both"
    if name == "language":
        operand = "es"
    comparison = f"{spec.name} {operator} {operand}"
    when = f"{{any: [{comparison}, {spec.name} is known, {spec.name} is unknown]}}"
    condition, problems = compiled(f"{{tool_call: {when}}}" if in_call else when)
    # Known or unknown it always is, and that much is told.
    assert {problem.code for problem in problems} <= {"W220"}
    assert condition is not None
    _, problems = compiled(f"count({comparison}) over 10 turns >= 2")
    assert bool(problems) is not (spec.recorded and not in_call)


NUMBERS = st.sampled_from([0, 0.2, 0.5, 0.8, 1])
COMPARES = st.builds(
    lambda operator, number: f"confidence {operator} {number}",
    st.sampled_from(["<", "<=", ">", ">=", "=", "!="]),
    NUMBERS,
)


@settings(deadline=None)
@given(st.lists(COMPARES, min_size=2, max_size=4))
def test_a_contradiction_is_told_exactly_where_no_value_is_left(parts: list[str]) -> None:
    _, problems = compiled(f"{{all: [{', '.join(parts)}]}}")
    if any(problem.message.count("can never hold") for problem in problems):
        return
    meets = {
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
        "=": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
    }
    # Ends of the scale included, since `confidence < 0.2` leaves all below it, the impossible too.
    values = [number / 20 for number in range(-1, 22)]
    left = [
        value
        for value in values
        if all(meets[operator](value, float(number)) for _, operator, number in (part.split() for part in parts))
    ]
    assert any(problem.code == "R131" for problem in problems) is not bool(left)
