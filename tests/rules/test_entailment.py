"""What is proved of conditions holds on every turn: each yes is held against the plain evaluator."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeGuard

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import compile_files
from rules.evaluation import comparisons, signals
from rules.evaluation.call_values import SignalType, call_values
from rules.evaluation.clauses import without_not
from rules.evaluation.reference import Moment
from rules.evaluation.signal_table import CALL_SIGNALS, SIGNALS, SignalSpec
from rules.findings.domains import NEVER_UNKNOWN, Domains
from rules.findings.entailment import Reasoning
from rules.findings.regions import Region, covers, joined, met, region_of, whole
from rules.model import Aggregate, All, Any, CallMatch, Compare, Condition, Window
from rules.turn import Conversation, Turn, Value
from tests.rules import strategies as make

SPECS = SIGNALS | {
    declared.name: SignalSpec(declared.name, declared.type, None, "declared", "declared", recorded=True)
    for declared in make.SIGNALS.values()
}


def in_range(value: float | None, low: float, high: float) -> TypeGuard[float]:
    return value is not None and low <= value <= high


def as_the_api_takes_it(turn: Turn) -> Turn:
    """Return the turn without the numbers that no request may hold."""
    return replace(
        turn,
        confidence=turn.confidence if in_range(turn.confidence, 0, 1) else None,
        sentiment=turn.sentiment if in_range(turn.sentiment, -1, 1) else None,
    )


turns = make.turns.map(as_the_api_takes_it)
situations = st.lists(st.tuples(turns, make.conversations), min_size=1, max_size=4)


def holds(condition: Condition, turn: Turn, conversation: Conversation) -> bool:
    files = make.files_of(())
    values = signals.read(files, turn, conversation, make.NOW_MS, ())
    return Moment(values, turn, conversation, make.NOW_MS).truth(condition) is True


# Few conditions follow from one another by chance; those that do are what is looked at.
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(make.conditions, make.conditions, situations)
def test_what_follows_from_a_condition_holds_whenever_it_does(
    one: Condition, other: Condition, situations: list[tuple[Turn, Conversation]]
) -> None:
    reasoning = Reasoning(SPECS)
    follows = reasoning.follows(without_not(other))
    assume(all(map(follows, reasoning.ways(without_not(one)))))
    for turn, conversation in situations:
        assert not holds(one, turn, conversation) or holds(other, turn, conversation)


_WINDOWS = [
    *(Window(), Window(turns=2), Window(turns=3), Window(turns=2, earlier=True), Window(turns=3, earlier=True)),
    *(Window(span_ms=1_000), Window(span_ms=60_000)),
]
# Few signals, operators and operands: conditions that do follow from one another, or exclude each other.
_NEAR = st.one_of(
    st.builds(
        make.compare,
        st.sampled_from(["confidence", "turn_count"]),
        st.sampled_from(["<", "<=", ">", ">=", "="]),
        st.sampled_from([0, 0.4, 0.5, 1, 2, 3]),
    ),
    st.builds(make.compare, st.just("channel"), st.sampled_from(["=", "!="]), st.sampled_from(["chat", "voice"])),
    st.builds(
        make.compare,
        st.just("channel"),
        st.sampled_from(["in", "not in"]),
        st.lists(st.sampled_from(["chat", "voice", "mail"]), min_size=1, max_size=3).map(tuple),
    ),
    st.builds(make.compare, st.just("labels"), st.sampled_from(["has", "lacks"]), st.sampled_from(make.MEMBERS[:2])),
    st.builds(
        make.compare,
        st.just("labels"),
        st.sampled_from(["within", "not within"]),
        st.lists(st.sampled_from(make.MEMBERS[:3]), min_size=1, max_size=2).map(tuple),
    ),
    st.builds(
        make.compare, st.sampled_from(["confidence", "labels", "channel"]), st.sampled_from(["is known", "is unknown"])
    ),
    st.builds(
        make.compare,
        st.builds(
            Aggregate,
            st.sampled_from(["count", "streak"]),
            st.builds(make.compare, st.just("confidence"), st.just("<"), st.sampled_from([0.4, 0.5, 1])),
            st.sampled_from(_WINDOWS),
        ),
        st.sampled_from(["<", ">=", "="]),
        st.sampled_from([0, 1, 2, 3]),
    ),
)
_NEAR_CALLS = st.one_of(
    st.builds(make.compare, st.just("name"), st.sampled_from(["=", "!="]), st.sampled_from(make.TOOLS[:2])),
    st.builds(make.compare, st.just("amount_usd"), st.sampled_from(["<", ">="]), st.sampled_from([0.4, 1, 3])),
    st.builds(make.compare, st.just("status"), st.just("="), st.sampled_from(["proposed", "ok"])),
)
_near_calls = make.nested(_NEAR_CALLS, 3).map(lambda inner: CallMatch(inner, make.SPAN))
near: st.SearchStrategy[Condition] = make.nested(st.one_of(_NEAR, _NEAR, _near_calls), 5)
# Two conditions of which the second follows from the first more often than by chance.
near_pairs: st.SearchStrategy[tuple[Condition, Condition]] = st.tuples(near, near).flatmap(
    lambda pair: st.sampled_from([pair, (All(pair), pair[1]), (pair[0], Any(pair))])
)


@settings(max_examples=300, deadline=None)
@given(near_pairs, situations)
def test_what_follows_from_a_near_condition_holds_whenever_it_does(
    pair: tuple[Condition, Condition], situations: list[tuple[Turn, Conversation]]
) -> None:
    one, other = pair
    reasoning = Reasoning(SPECS)
    follows = reasoning.follows(without_not(other))
    assume(all(map(follows, reasoning.ways(without_not(one)))))
    for turn, conversation in situations:
        assert not holds(one, turn, conversation) or holds(other, turn, conversation)


@settings(max_examples=200, deadline=None)
@given(near, situations)
def test_a_condition_without_a_way_never_holds_and_one_that_always_does_always_does(
    condition: Condition, situations: list[tuple[Turn, Conversation]]
) -> None:
    reasoning = Reasoning(SPECS)
    never, always = not reasoning.ways(without_not(condition)), reasoning.always(without_not(condition))
    for turn, conversation in situations:
        assert not (never and holds(condition, turn, conversation))
        assert not always or holds(condition, turn, conversation)


@settings(max_examples=200, deadline=None)
@given(near, near)
def test_a_rule_that_follows_is_always_found_by_what_it_speaks_of(one: Condition, other: Condition) -> None:
    reasoning = Reasoning(SPECS)
    node = without_not(other)
    needs, follows = reasoning.needs(node), reasoning.follows(node)
    for way in reasoning.ways(without_not(one)):
        if follows(way):
            spoken_of = set(reasoning.speaks_of(way))
            assert all(need & spoken_of for need in needs)


@given(turns, make.conversations)
def test_a_signal_that_is_never_unknown_never_is(turn: Turn, conversation: Conversation) -> None:
    values = signals.read(make.files_of(()), turn, conversation, make.NOW_MS, ())
    calls = [call_values(call) for call in turn.tool_calls]
    domains, call_domains = Domains(SPECS), Domains(CALL_SIGNALS)
    for name in NEVER_UNKNOWN:
        assert (name in SIGNALS) is not (name in CALL_SIGNALS)
        assert values.get(name) is not None or name in CALL_SIGNALS
        assert name in SIGNALS or all(call[name] is not None for call in calls)
    assert all(lies_in(value, domains.of(name)) for name, value in values.items() if name in SPECS)
    assert all(lies_in(call[name], call_domains.of(name)) for call in calls for name in CALL_SIGNALS)


def lies_in(value: Value, region: Region) -> bool:
    """Return whether a value belongs to a region, asked as plainly as can be."""
    if value is None:
        return region.unknown
    if isinstance(value, bool):
        return value in region.bools
    if isinstance(value, str):
        return (value in region.texts.names) is region.texts.listed
    if isinstance(value, frozenset):
        return any(
            way.has <= value
            and not way.lacks & value
            and (way.within is None or value <= way.within)
            and all(value - each for each in way.beyond)
            for way in region.sets
        )
    return any(
        (each.low < value or (each.low == value and not each.low_open))
        and (value < each.high or (value == each.high and not each.high_open))
        for each in region.numbers
    )


_VALUES = st.one_of(st.none(), make.numbers, make.texts, st.booleans(), make.sets)
_REGIONS = st.lists(make.signal_compares, min_size=1, max_size=3)


@settings(max_examples=200)
@given(make.signal_compares, _VALUES)
def test_a_region_holds_the_values_that_meet_the_comparison_and_no_other(compare: Compare, value: Value) -> None:
    assert lies_in(value, region_of(compare)) is comparisons.tester(compare)(value)


@settings(max_examples=200)
@given(_REGIONS, _REGIONS, st.lists(_VALUES, min_size=1, max_size=20))
def test_regions_join_meet_and_cover_as_sets_do(
    some: list[Compare], others: list[Compare], values: list[Value]
) -> None:
    one, other = joined(map(region_of, some)), joined(map(region_of, others))
    both = met(one, other)
    for value in values:
        assert lies_in(value, one) is any(comparisons.tester(compare)(value) for compare in some)
        assert lies_in(value, both) is (lies_in(value, one) and lies_in(value, other))
        assert not covers(one, other) or lies_in(value, one) or not lies_in(value, other)
        assert not (both.is_empty and lies_in(value, both))
        if type(value) is int:
            assert lies_in(value, whole(one)) is lies_in(value, one)


NAMES = """handrail: 1
topics: {fees: {phrases: [a fee], inside: [message, reply]}, refunds: {phrases: [my money back]}}
signals: {tags: set, plan: text, mood: number}
rules:
- {id: uses, why: x, when: {any: [topics has fees, topics has refunds, tags has a, plan = b, mood > 1]}, then: continue}
"""


def parsed(when: str) -> Condition:
    text = f"handrail: 1\nrules: [{{id: r, why: x, when: {when}, then: continue}}]\n"
    files, problems = compile_files({"names.yaml": NAMES, "r.yaml": text})
    assert files is not None, problems
    return next(rule.when for rule in files.rules if rule.id == "r")


# what is asked of a turn, and what follows from it
FOLLOWS = [
    ("confidence < 0.3", "confidence < 0.5"),
    ("{all: [confidence < 0.5, channel = chat]}", "confidence <= 0.5"),
    ("channel = chat", "channel in [chat, voice]"),
    ("channel in [chat, voice]", "channel not in [mail, sms]"),
    ("channel = chat", "channel is known"),
    ("topics has fees", "topics is known"),
    ("{all: [topics has fees, topics has refunds]}", "topics has refunds"),
    ("topics has fees", "{any: [topics has fees, topics has refunds]}"),
    ("tags within [a]", "tags within [a, b]"),
    ("tags within [a]", "tags lacks c"),
    ("{all: [tags within [a, b], tags lacks b]}", "tags within [a]"),
    ("tags has c", "tags not within [a, b]"),
    ("streak(confidence < 0.5) >= 2", "confidence < 0.5"),
    ("streak(confidence < 0.3) >= 3", "streak(confidence < 0.5) >= 2"),
    ("streak(confidence < 0.5) over 4 turns >= 2", "count(confidence < 0.5) >= 2"),
    ("count(mood > 3) over 5 turns >= 2", "count(mood > 2) over 10 turns >= 2"),
    ("count(mood > 3) over 5m >= 2", "count(mood > 3) over 10m >= 1"),
    ("turn_count > 4", "turn_count >= 5"),
    ("turn_count in [2, 3]", "{all: [turn_count >= 2, turn_count <= 3]}"),
    ("{tool_call: {all: [name = refund, amount_usd > 100]}}", "{tool_call: name = refund}"),
    ("{tool_call: {all: [name = refund, amount_usd > 100]}}", "{tool_call: {any: [amount_usd > 50, write = true]}}"),
    ("{not: {tool_call: {any: [write = true, name = pay]}}}", "{not: {tool_call: write = true}}"),
    (
        "{all: [{tool_call: name = pay}, {not: {tool_call: write = true}}]}",
        "{tool_call: {all: [name = pay, write = false]}}",
    ),
    ("channel not in [chat, mail]", "channel != mail"),
    ("{tool_call: name != pay}", "{tool_call: name not in [pay]}"),
    ("{not: {tool_call: name in [pay, refund]}}", "{not: {tool_call: name = pay}}"),
    ("{not: {tool_call: {any: [name = pay, name != pay]}}}", "{not: {tool_call: {all: [name = a, write = true]}}}"),
    ("{not: {any: [confidence >= 0.5, channel = chat]}}", "confidence < 0.6"),
    ("{any: [confidence < 0.2, confidence > 0.9]}", "{any: [confidence < 0.3, confidence > 0.8]}"),
    ("asks_for_person = true", "{any: [topics has fees, {not: asks_for_person = false}]}"),
]
FOLLOWS_NOT = [
    ("confidence < 0.5", "confidence < 0.3"),
    ("confidence is known", "confidence < 0.5"),
    ("channel = chat", "channel not in [chat, voice]"),
    ("confidence < 0.5", "streak(confidence < 0.5) >= 2"),
    ("count(mood > 3) over 5 turns >= 2", "streak(mood > 3) over 5 turns >= 2"),
    ("streak(mood > 3) over 1m >= 2", "streak(mood > 3) over 5m >= 2"),
    ("count(mood > 3) over 10 turns >= 2", "count(mood > 3) over 5 turns >= 2"),
    ("count(mood > 3) over 5m >= 2", "count(mood > 3) over 5 turns >= 2"),
    ("mood > 2", "mood >= 3"),
    ("tags lacks c", "tags within [a]"),
    ("{tool_call: name = refund}", "{tool_call: {all: [name = refund, amount_usd > 100]}}"),
    ("{all: [{tool_call: name = pay}, {tool_call: write = true}]}", "{tool_call: {all: [name = pay, write = true]}}"),
    ("{not: {tool_call: name = pay}}", "{tool_call: name != pay}"),
]


@pytest.mark.parametrize(("one", "other"), FOLLOWS)
def test_what_an_author_would_call_narrower_is_seen_to_be(one: str, other: str) -> None:
    assert entails(parsed(one), parsed(other))


@pytest.mark.parametrize(("one", "other"), FOLLOWS_NOT)
def test_what_only_looks_narrower_is_not(one: str, other: str) -> None:
    assert not entails(parsed(one), parsed(other))


def entails(one: Condition, other: Condition) -> bool:
    reasoning = Reasoning({**SPECS, **{n: SignalSpec(n, t, None, "declared", "") for n, t in MORE.items()}})
    ways = reasoning.ways(without_not(one))
    assert ways
    follows = all(map(reasoning.follows(without_not(other)), ways))
    assert not follows or asked(reasoning, one, other)
    return follows


def asked(reasoning: Reasoning, one: Condition, other: Condition) -> bool:
    """Return whether it is asked at all if one follows from the other."""
    needs = reasoning.needs(without_not(other))
    return all(need & set(reasoning.speaks_of(way)) for way in reasoning.ways(without_not(one)) for need in needs)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("channel = chat", "channel = mail"),
        ("channel != chat", "channel != mail"),
        ("{tool_call: {all: [name = pay, write = true]}}", "{tool_call: {all: [name = refund, write = true]}}"),
        ("{tool_call: {all: [name = pay, write = true]}}", "{not: {tool_call: name = pay}}"),
        ("{not: {tool_call: name = pay}}", "{not: {tool_call: name = refund}}"),
    ],
)
def test_rules_that_name_unlike_things_are_never_held_against_each_other(one: str, other: str) -> None:
    # 10,000 rules that each name a tool of their own would be held against each other for half a minute.
    assert not asked(Reasoning(SPECS), parsed(one), parsed(other))


MORE: dict[str, SignalType] = {"tags": "set", "plan": "text", "mood": "number"}
