from __future__ import annotations

import gc
import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.evaluation import clauses, tables
from rules.evaluation import index as index_module
from rules.evaluation.clauses import without_not
from rules.evaluation.facts import Facts, Probes
from rules.evaluation.index import Index, index_of
from rules.evaluation.reference import Moment
from rules.model import Aggregate, All, Any, CallMatch, Condition, Not, Window
from rules.turn import Conversation, ToolCall, Turn, Value
from tests.rules.strategies import (
    NOW_MS,
    SPAN,
    compare,
    conditions,
    conversations,
    nested,
    odd_values,
    signal_compares,
    turns,
    wide_conditions,
)

NOTHING = Turn("conv-1", "turn")
NEW = Conversation("conv-1")


def index(*whens: Condition) -> Index:
    return index_of([without_not(when) for when in whens], Probes())


def fired(
    whens: list[Condition], values: dict[str, Value], turn: Turn = NOTHING, conversation: Conversation = NEW
) -> list[int]:
    return index(*whens).fired(Facts(values, turn, conversation, NOW_MS))


def fired_by_reference(
    whens: list[Condition], values: dict[str, Value], turn: Turn = NOTHING, conversation: Conversation = NEW
) -> list[int]:
    moment = Moment(values, turn, conversation, NOW_MS)
    return [number for number, when in enumerate(whens) if moment.truth(when) is True]


@settings(max_examples=250, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=6), odd_values, turns, conversations)
def test_the_index_fires_what_the_plain_meaning_fires_whatever_the_values(
    whens: list[Condition], values: dict[str, Value], turn: Turn, conversation: Conversation
) -> None:
    assert fired(whens, values, turn, conversation) == fired_by_reference(whens, values, turn, conversation)


@settings(max_examples=100, deadline=None)
@given(st.lists(wide_conditions, min_size=1, max_size=4), st.lists(odd_values, min_size=1, max_size=3), turns)
def test_rules_that_would_explode_fire_all_the_same(
    whens: list[Condition], many: list[dict[str, Value]], turn: Turn
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clauses, "CLAUSES_PER_RULE_MAX", 2)
        small = index(*whens)
    for values in many:
        assert small.fired(Facts(values, turn, NEW, NOW_MS)) == fired_by_reference(whens, values, turn)


@settings(max_examples=120, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=6), st.lists(odd_values, min_size=1, max_size=3), turns)
def test_values_that_the_tables_do_not_keep_apart_are_checked_by_themselves(
    whens: list[Condition], many: list[dict[str, Value]], turn: Turn
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "VALUES_APART_MAX", 2)
        coarse = index(*whens)
    for values in many:
        assert coarse.fired(Facts(values, turn, NEW, NOW_MS)) == fired_by_reference(whens, values, turn)


@settings(max_examples=100, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=8), st.lists(odd_values, min_size=1, max_size=3), turns)
def test_an_answer_read_in_pieces_names_every_rule_once(
    whens: list[Condition], many: list[dict[str, Value]], turn: Turn
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "PIECE_BITS", 3)
        in_pieces = index(*whens)
        for values in many:
            assert in_pieces.fired(Facts(values, turn, NEW, NOW_MS)) == fired_by_reference(whens, values, turn)


@settings(max_examples=100, deadline=None)
@given(conditions, st.lists(odd_values, min_size=1, max_size=4), turns, conversations)
def test_double_negation_and_de_morgan_change_nothing(
    when: Condition, many: list[dict[str, Value]], turn: Turn, conversation: Conversation
) -> None:
    other = compare("risk", "<", 1)
    equal: list[tuple[Condition, Condition]] = [(when, Not(Not(when)))]
    equal += [(Not(All((when, other))), Any((Not(when), Not(other))))]
    equal += [(Not(Any((when, other))), All((Not(when), Not(other))))]
    equal += [(All((when, other)), All((other, when)))]
    whens = [condition for pair in equal for condition in pair]
    for values in many:
        firing = set(fired(whens, values, turn, conversation))
        assert all((left in firing) is (left + 1 in firing) for left in range(0, len(whens), 2))


@settings(max_examples=100, deadline=None)
@given(st.lists(conditions, min_size=2, max_size=6), odd_values, turns, st.data())
def test_a_rule_fires_alone_as_it_does_among_others(
    whens: list[Condition], values: dict[str, Value], turn: Turn, data: st.DataObject
) -> None:
    chosen = data.draw(st.integers(0, len(whens) - 1))
    assert (chosen in fired(whens, values, turn)) is (fired([whens[chosen]], values, turn) == [0])


def _without_presence(whens: list[Condition]) -> bool:
    return not any("is unknown" in str(when) or "is known" in str(when) for when in whens)


@settings(max_examples=150, deadline=None)
@given(st.lists(nested(signal_compares, 8), min_size=1, max_size=5).filter(_without_presence), odd_values, st.data())
def test_absence_never_makes_a_rule_fire(whens: list[Condition], values: dict[str, Value], data: st.DataObject) -> None:
    unknown = data.draw(st.sets(st.sampled_from(sorted(values))))
    fewer: dict[str, Value] = {name: None if name in unknown else value for name, value in values.items()}
    assert set(fired(whens, fewer)) <= set(fired(whens, values))


@pytest.mark.parametrize("value", [0.3, 0.5, 0.55, 0.6, 1, True, "0.5", frozenset({"a"}), math.nan, math.inf, 10**400])
def test_nothing_but_presence_holds_for_an_unknown_value_and_its_negation(value: Value) -> None:
    whens: list[Condition] = [compare("x", "<", 0.55), compare("x", "!=", "a"), compare("x", "lacks", "a")]
    whens += [Not(when) for when in whens]
    assert fired(whens, {"x": None}) == []
    assert fired(whens, {"x": value}) == fired_by_reference(whens, {"x": value})
    assert fired([compare("x", "is unknown"), Not(compare("x", "is unknown"))], {"x": None}) == [0]


def test_the_first_rules_come_first_however_many_there_are() -> None:
    whens: list[Condition] = [Any((compare("x", "<", n % 7), compare("y", "=", f"t{n % 5}"))) for n in range(3_000)]
    values: dict[str, Value] = {"x": 2.5, "y": "t3"}
    firing = fired(whens, values)
    assert 1_000 < len(firing) < 3_000
    assert firing == sorted(firing)
    assert firing == fired_by_reference(whens, values)


def test_more_numbers_texts_and_members_than_a_table_keeps_apart_are_told_apart() -> None:
    count = tables.VALUES_APART_MAX + 7
    whens: list[Condition] = [compare("x", "=", n) for n in range(count)]
    whens += [compare("y", "=", f"t{n}") for n in range(count)]
    whens += [compare("z", "has", f"m{n}") for n in range(count)]
    whens += [compare("z", "lacks", f"m{n}") for n in range(3)]
    many = index(*whens)
    for n in (0, 1, 2, 500, count - 1):
        values: dict[str, Value] = {"x": n, "y": f"t{n}", "z": frozenset({f"m{n}"})}
        lacking = [3 * count + m for m in range(3) if m != n]
        assert many.fired(Facts(values, NOTHING, NEW, NOW_MS)) == [n, count + n, 2 * count + n, *lacking]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(("<", "<=", ">", ">=", "=", "!=")), st.integers(0, 9)), min_size=1), st.data()
)
def test_numbers_between_those_that_a_table_keeps_apart_are_told_apart(
    rules: list[tuple[str, int]], data: st.DataObject
) -> None:
    whens: list[Condition] = [compare("x", operator, operand) for operator, operand in rules]
    whens += [All((one, other)) for one, other in pairwise(whens)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "VALUES_APART_MAX", 3)
        coarse = index(*whens)
    for half in range(-1, 21):
        values: dict[str, Value] = {"x": half / 2}
        assert coarse.fired(Facts(values, NOTHING, NEW, NOW_MS)) == fired_by_reference(whens, values)


def test_sets_are_told_apart_member_by_member() -> None:
    a, b, c, d = (compare("z", "has", member) for member in "abcd")
    no_a, no_b = compare("z", "lacks", "a"), compare("z", "lacks", "b")
    whens: list[Condition] = [All((a, b)), All((b, a)), All((a, Any((b, c)))), All((Any((a, b)), Any((c, d)), no_a))]
    whens += [
        All((a, b, c)),
        All((a, no_b)),
        All((no_a, no_b)),
        Any((no_a, no_b)),
        All((a, no_a)),
        compare("z", "is known"),
    ]
    for members in ("", "a", "b", "ab", "ac", "bc", "abc", "bd", "abcd", "x", "ax", "cd"):
        values: dict[str, Value] = {"z": frozenset(members)}
        assert fired(whens, values) == fired_by_reference(whens, values)


def test_a_rule_may_ask_for_more_calls_than_the_index_looks_up_by_name() -> None:
    asked = tuple(CallMatch(compare("name", "=", f"tool{n}"), SPAN) for n in range(5))
    calls = tuple(ToolCall(f"tool{n}") for n in range(5))
    turn = Turn("conv-1", "turn", tool_calls=calls)
    assert fired([All(asked)], {}, turn) == [0]
    assert fired([All(asked)], {}, Turn("conv-1", "turn", tool_calls=calls[:4])) == []


def test_aggregates_are_not_measured_for_rules_that_the_values_rule_out(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    column = Facts.column

    def watched(facts: Facts, name: str, window: Window) -> list[Value]:
        looked_at.append(name)
        return column(facts, name, window)

    monkeypatch.setattr(Facts, "column", watched)
    streak = compare(Aggregate("streak", compare("confidence", "<", 0.5), Window()), ">=", 2)
    average = compare(Aggregate("avg", "sentiment", Window()), "<", 0)
    whens: list[Condition] = [streak, All((compare("channel", "=", "chat"), average))]
    fired(whens, {"confidence": 0.9, "sentiment": -1.0, "channel": "mail"})
    assert looked_at == []
    assert fired(whens, {"confidence": 0.9, "sentiment": -1.0, "channel": "chat"}) == [1]
    assert looked_at == ["sentiment"]


def test_no_word_of_a_rule_file_becomes_code() -> None:
    name = "x'); raise SystemExit('"
    hostile = index(compare(name, "=", "'''\n__import__('os')"), compare(name, "has", "# NAME0"))
    assert "raise" not in hostile.source
    assert "import" not in hostile.source
    assert hostile.fired(Facts({name: "'''\n__import__('os')"}, NOTHING, NEW, NOW_MS)) == [0]


def test_a_block_within_a_tool_call_is_refused() -> None:
    with pytest.raises(ValueError, match="one call only"):
        index(CallMatch(CallMatch(compare("name", "=", "a"), SPAN), SPAN))


def test_an_index_that_nobody_holds_is_freed_at_once() -> None:
    # A serving process freezes what it has loaded out of the garbage collector's sight: a cycle would stay for ever.
    gc.collect()
    gc.disable()
    try:
        made = index(compare("confidence", "<", 0.5), compare("channel", "=", "chat"))
        assert made.fired(Facts({"confidence": 0.1, "channel": None}, NOTHING, NEW, NOW_MS)) == [0]
        del made
        assert gc.collect() == 0
    finally:
        gc.enable()
