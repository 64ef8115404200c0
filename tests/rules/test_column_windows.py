from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.evaluation import comparisons
from rules.evaluation.facts import Facts, Probes
from rules.model import Aggregate, Compare, Span, Window
from rules.replay import column_windows
from rules.replay.column_leaves import Leaf, Truth, extreme_leaf, number_leaf, whole_leaf
from rules.replay.column_stages import Staged
from rules.replay.column_windows import Windows, windows_of
from rules.turn import Conversation, Turn, TurnRecord

SPAN = Span("rules.yaml", 1, 1, 2)
IS_KNOWN = Compare("x", "is known", None, "x is known", SPAN)
NUMBERS: dict[str, Callable[[Windows, Window, str], pl.Expr | pl.Series]] = {
    "avg": column_windows.average,
    "last": column_windows.last,
    "count": lambda windows, window, name: column_windows.count(windows, window, column_windows.known(windows, name)),
}
# Sums of such numbers are rounded, cancel out, run over, or have no room in two whole ones.
numbers = st.one_of(
    st.none(),
    st.sampled_from((0.1, 0.2, 0.3, -0.3, 0.7, 1e-30, 5e-324, 1e16, -1e16, 1.5e300, -1.5e300, 1.7976931348623157e308)),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1, 1),
)
# Few different ones, so that many stand on the bounds that are asked for.
coarse = st.none() | st.sampled_from((-1.0, 0.0, 0.25, 0.5, 1.0, 2.0))
windows = st.one_of(
    st.just(Window()),
    st.builds(Window, st.integers(1, 50), st.none(), st.booleans()),
    st.builds(Window, st.none(), st.sampled_from((0, 1, 2_000, 30_000))),
)
steps_ms = st.sampled_from((0, 0, 1, 2_000, 30_000))


def stretches_of(values: st.SearchStrategy[float | None]) -> st.SearchStrategy[list[list[tuple[float | None, int]]]]:
    return st.lists(st.lists(st.tuples(values, steps_ms), min_size=1, max_size=60), min_size=1, max_size=3)


stretches = stretches_of(numbers)
operators = st.sampled_from(("<", "<=", ">", ">=", "=", "!=", "is known", "is unknown", "in", "not in"))
bounds = st.sampled_from((-1, 0, 0.25, 0.3, 1, 1.5, 2, 3, 51, 1e300, -5e-324))


@st.composite
def asked(draw: st.DrawFn, aggregate: Aggregate) -> Compare:
    operator = draw(operators)
    operand = None if operator.startswith("is") else draw(bounds)
    several = (operand, draw(bounds)) if operator.endswith("in") else operand
    return Compare(aggregate, operator, several, "", SPAN)  # type: ignore[arg-type]  # numbers, or none


def laid_out(drawn: list[list[tuple[float | None, int]]]) -> Windows:
    stretch = [number for number, each in enumerate(drawn) for _ in each]
    first = [sum(map(len, drawn[:number])) for number in range(len(drawn))]
    at_ms = []
    for each in drawn:
        at = 1_790_000_000_000
        for _, step_ms in each:
            at += step_ms
            at_ms.append(at)
    values = pl.Series([value for each in drawn for value, _ in each], dtype=pl.Float64)
    stretch_column = pl.Series(stretch, dtype=pl.UInt32)
    frame = pl.DataFrame({"stretch": stretch_column, "at_ms": at_ms, "x": values})
    return windows_of(Staged(frame), pl.Series(first), [0, 1, 2_000, 30_000])


def turn_by_turn(aggregate: Aggregate, drawn: list[list[tuple[float | None, int]]]) -> list[float | int | None]:
    measure = Probes().number(aggregate)
    told = []
    for each in drawn:
        past: tuple[TurnRecord, ...] = ()
        at_ms = 1_790_000_000_000
        for row, (value, step_ms) in enumerate(each):
            at_ms += step_ms
            turn, conversation = Turn("c", f"t{row}"), Conversation("c", past=past)
            told.append(measure(Facts({"x": value}, turn, conversation, at_ms)))
            past = (*past, TurnRecord(f"t{row}", at_ms, {"x": value}))
    return told


def listed(windows: Windows, found: pl.Expr | pl.Series | bool) -> list[object]:
    """Return what an expression comes to on every row."""
    column = pl.lit(found) if isinstance(found, bool | pl.Series) else found
    return windows.staged.frame.with_columns(found=column)["found"].to_list()


def leaf_of(windows: Windows, aggregate: Aggregate) -> Leaf:
    """Return what compares an aggregate that is asked as truths, of numbers or of where they are known."""
    known, window = column_windows.known(windows, "x"), aggregate.window
    if aggregate.function == "streak":
        return whole_leaf(lambda turns: column_windows.unbroken(windows, window, known, turns))

    def some_turn(operator: str, operand: float | int) -> Truth:
        held = number_leaf(pl.col("x"))(Compare("x", operator, operand, "", SPAN))
        name = f"x {operator} {operand}"
        windows.once(name, lambda: pl.lit(held) if isinstance(held, bool) else held)
        return column_windows.any_met(windows, window, name)

    any_known = column_windows.any_met(windows, window, known)
    return extreme_leaf(some_turn, any_known, least=aggregate.function == "min")


@pytest.mark.parametrize("function", list(NUMBERS))
@settings(max_examples=120, deadline=None)
@given(drawn=stretches, window=windows)
@example(drawn=[[(1.7976931348623157e308, 0), (9.9792015476736e291, 0), (-5.5e275, 0)]], window=Window())
@example(drawn=[[(1099511627775.9998, 0), (5e-324, 0), (None, 1), (0.1, 2_000)]], window=Window(span_ms=2_000))
def test_a_number_over_a_window_is_the_one_of_the_turns_to_the_last_bit(
    function: str, drawn: list[list[tuple[float | None, int]]], window: Window
) -> None:
    placed = laid_out(drawn)
    of = IS_KNOWN if function == "count" else "x"
    aggregate = Aggregate(function, of, window)  # type: ignore[arg-type]  # one of them
    assert listed(placed, NUMBERS[function](placed, window, "x")) == turn_by_turn(aggregate, drawn)


@pytest.mark.parametrize("function", ["min", "max", "streak"])
@settings(max_examples=150, deadline=None)
@given(drawn=stretches_of(coarse) | stretches, window=windows, data=st.data())
def test_what_is_asked_of_an_extreme_or_a_streak_is_true_where_it_is_of_the_turns(
    function: str, drawn: list[list[tuple[float | None, int]]], window: Window, data: st.DataObject
) -> None:
    placed = laid_out(drawn)
    of = IS_KNOWN if function == "streak" else "x"
    aggregate = Aggregate(function, of, window)  # type: ignore[arg-type]  # one of them
    compare = data.draw(asked(aggregate))
    met = comparisons.tester(compare)
    assert listed(placed, leaf_of(placed, aggregate)(compare)) == [met(each) for each in turn_by_turn(aggregate, drawn)]


@settings(max_examples=100, deadline=None)
@given(stretches_of(coarse), st.lists(windows, min_size=2, max_size=4))
def test_windows_that_share_what_their_column_keeps_answer_as_each_alone(
    drawn: list[list[tuple[float | None, int]]], several: Sequence[Window]
) -> None:
    shared = laid_out(drawn)
    for window in several:
        alone = laid_out(drawn)
        for function in NUMBERS.values():
            assert listed(shared, function(shared, window, "x")) == listed(alone, function(alone, window, "x"))
        for name in ("min", "max"):
            aggregate = Aggregate(name, "x", window)
            below = Compare(aggregate, "<", 0.5, "", SPAN)
            assert listed(shared, leaf_of(shared, aggregate)(below)) == listed(alone, leaf_of(alone, aggregate)(below))
        unbroken = [
            column_windows.unbroken(each, window, column_windows.known(each, "x"), 3) for each in (shared, alone)
        ]
        assert listed(shared, unbroken[0]) == listed(alone, unbroken[1])


def test_a_mean_of_numbers_without_room_is_summed_number_by_number_and_those_beside_it_are_not_touched() -> None:
    drawn: list[list[tuple[float | None, int]]] = [[(0.1, 0), (0.2, 0), (1e-40, 0), (0.3, 0)], [(0.7, 0), (1e300, 0)]]
    placed, window = laid_out(drawn), Window(turns=2)
    assert listed(placed, column_windows.average(placed, window, "x")) == [
        0.1,
        (0.1 + 0.2) / 2,
        (0.2 + 1e-40) / 2,
        (1e-40 + 0.3) / 2,
        0.7,
        (0.7 + 1e300) / 2,
    ]
