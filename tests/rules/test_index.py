from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import clauses, tables
from rules.clauses import without_not
from rules.facts import Facts, Probes
from rules.index import Index, index_of
from rules.model import Condition
from rules.reference import Moment
from rules.turn import Conversation, Turn, Value
from tests.rules.strategies import NOW_MS, conditions, conversations, odd_values, turns

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


@settings(max_examples=600, deadline=None)
@given(st.lists(conditions(), min_size=1, max_size=6), odd_values(), turns(), conversations())
def test_the_index_fires_what_the_plain_meaning_fires_whatever_the_values(
    whens: list[Condition], values: dict[str, Value], turn: Turn, conversation: Conversation
) -> None:
    assert fired(whens, values, turn, conversation) == fired_by_reference(whens, values, turn, conversation)


@settings(max_examples=200, deadline=None)
@given(st.lists(conditions(20), min_size=1, max_size=4), st.lists(odd_values(), min_size=1, max_size=3), turns())
def test_rules_that_would_explode_fire_all_the_same(
    whens: list[Condition], many: list[dict[str, Value]], turn: Turn
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clauses, "CLAUSES_PER_RULE_MAX", 2)
        small = index(*whens)
    for values in many:
        assert small.fired(Facts(values, turn, NEW, NOW_MS)) == fired_by_reference(whens, values, turn)


@settings(max_examples=300, deadline=None)
@given(st.lists(conditions(), min_size=1, max_size=6), st.lists(odd_values(), min_size=1, max_size=3), turns())
def test_values_that_the_tables_do_not_keep_apart_are_checked_by_themselves(
    whens: list[Condition], many: list[dict[str, Value]], turn: Turn
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "VALUES_APART_MAX", 2)
        coarse = index(*whens)
    for values in many:
        assert coarse.fired(Facts(values, turn, NEW, NOW_MS)) == fired_by_reference(whens, values, turn)
