"""Long chains are compared with what they name, not call by call: the same found as by pairs, and never too much."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.chains import disagreements
from rules.chains.chain import ChainTurn, chain_of
from rules.chains.disagreements import Compared, compare_all, compare_last
from rules.turn import Parent, ToolCall
from tests.rules import chains_pairwise

AGENTS = ("triage", "billing", "refunds", None)
# Few values, so that calls do name things alike: the same number as a number and as two texts, words in two cases.
VALUES = st.sampled_from(
    (None, True, False, 0, 1, 80, 80.0, "80", "80.00", "x", "X ", "", "y" * 41, float("nan"), ("a", "b"), ["b", "a"])
)
CALLS = st.builds(
    ToolCall,
    st.sampled_from(("pay", "quote", "hold")),
    st.dictionaries(st.sampled_from(("order", "to", "reason", "x", "amount_usd")), VALUES, max_size=4),
    st.sampled_from((None, True, False)),
    st.sampled_from((None, None, 1, 80, 80.0, 120.5, float("nan"), 1e300)),
    st.sampled_from(("proposed", "proposed", "ok", "error")),
)
TURNS = st.lists(
    st.tuples(
        st.sampled_from(AGENTS),
        st.sampled_from((None, None, None, "refund it", "Refund  it", "and this")),
        st.sampled_from((None, "Yes.", "yes. ", "No.")),
        st.lists(CALLS, max_size=5),
    ),
    min_size=1,
    max_size=12,
)


def said(given_turns: Sequence[tuple[str | None, str | None, str | None, list[ToolCall]]]) -> list[ChainTurn]:
    return [
        ChainTurn(str(number), agent, Parent("front"), message, reply, tuple(calls))
        for number, (agent, message, reply, calls) in enumerate(given_turns)
    ]


@settings(max_examples=400, deadline=None)
@given(TURNS)
def test_below_the_limits_it_is_what_holding_each_against_each_finds(
    given_turns: Sequence[tuple[str | None, str | None, str | None, list[ToolCall]]],
) -> None:
    turns = said(given_turns)
    chain = chain_of(turns, "c")
    last, pairwise = compare_last(chain, turns), chains_pairwise.compare_last(chain, turns)
    assert (last.disagreements, last.apart_usd) == (pairwise.disagreements, pairwise.apart_usd)
    whole = compare_all(chain, turns)
    assert whole.disagreements == chains_pairwise.disagreements_of(chain, turns)
    assert (whole.calls_left_out, last.calls_left_out) == (0, 0)


def long(turns_count: int, calls_count: int, args_count: int, *, alike: bool) -> list[ChainTurn]:
    def call(turn: int, place: int) -> ToolCall:
        own = {f"a{number}": f"{turn}-{place}-{number}" for number in range(args_count)}
        shared = {f"a{number}": "same" for number in range(args_count - 1)} if alike else {}
        return ToolCall("pay", own | shared, True, float(turn))

    return [
        ChainTurn(
            str(turn),
            ("a", "b")[turn % 2],
            Parent(("b", "a")[turn % 2]),
            "go" if turn == 0 else None,
            None,
            tuple(call(turn, place) for place in range(calls_count)),
        )
        for turn in range(turns_count)
    ]


def compared(turns: Sequence[ChainTurn]) -> Compared:
    return compare_all(chain_of(turns, "c"), turns)


def test_what_is_compared_grows_with_what_is_named_and_not_with_its_pairs() -> None:
    small, large = compared(long(10, 4, 6, alike=False)), compared(long(40, 4, 6, alike=False))
    assert small.comparisons > 0
    assert large.comparisons <= 5 * small.comparisons
    assert (small.calls_left_out, large.calls_left_out) == (0, 0)


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("size", [(20, 64, 20), (60, 16, 10), (60, 64, 20)])
def test_no_chain_is_compared_beyond_the_limits(size: tuple[int, int, int], alike: bool) -> None:
    turns = long(*size, alike=alike)
    chain = chain_of(turns, "c")
    whole, last = compare_all(chain, turns), compare_last(chain, turns)
    assert whole.comparisons <= disagreements.CHAIN_COMPARISONS_MAX
    assert last.comparisons <= disagreements.TURN_COMPARISONS_MAX
    if alike:
        assert last.calls_left_out > 0
        assert whole.calls_left_out > 0
    # What is read is the newest, and what was read is compared.
    assert last.comparisons > 0


def test_the_newest_values_are_read_and_the_calls_before_them_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = [
        ChainTurn("1", "a", None, "go", None, (ToolCall("pay", {"to": "x"}, True, 5.0),)),
        ChainTurn("2", "b", Parent("a"), None, None, (ToolCall("pay", {"to": "x"}, True, 6.0),)),
        ChainTurn("3", "c", Parent("b"), None, None, (ToolCall("pay", {"to": "x"}, True, 7.0),)),
    ]
    chain = chain_of(turns, "c")
    monkeypatch.setattr(disagreements, "STEP_VALUES_MAX", 3)
    found = compare_last(chain, turns)
    assert [each.earlier.agent for each in found.disagreements] == ["b"]
    assert found.calls_left_out == 1
    monkeypatch.setattr(disagreements, "CHAIN_VALUES_MAX", 3)
    assert [each.earlier.agent for each in compared(turns).disagreements] == ["b"]
    assert compared(turns).calls_left_out == 1


def test_a_call_that_would_take_more_comparisons_than_are_left_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = long(2, 3, 2, alike=True)
    chain = chain_of(turns, "c")
    assert len(compare_last(chain, turns).disagreements) > 0
    monkeypatch.setattr(disagreements, "TURN_COMPARISONS_MAX", 2)
    assert compare_last(chain, turns) == Compared((), None, 3, 0)
    monkeypatch.setattr(disagreements, "TURN_COMPARISONS_MAX", 20_000)
    monkeypatch.setattr(disagreements, "CHAIN_COMPARISONS_MAX", 2)
    assert compare_all(chain, turns) == Compared((), None, 3, 0)
