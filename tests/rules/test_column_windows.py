from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.evaluation.facts import Facts, Probes
from rules.model import Aggregate, Compare, Span, Window
from rules.replay import column_windows
from rules.replay.column_windows import Windows, windows_of
from rules.turn import Conversation, Turn, TurnRecord

FUNCTIONS: dict[str, Callable[[Windows, Window, pl.Series], pl.Series]] = {
    "min": column_windows.lowest,
    "max": column_windows.highest,
    "avg": column_windows.average,
    "last": column_windows.last,
}
IS_KNOWN = Compare("x", "is known", None, "x is known", Span("rules.yaml", 1, 1, 2))
# Sums of such numbers are rounded, cancel out, run over, or fall below what 66 bits hold.
numbers = st.one_of(
    st.none(),
    st.sampled_from((0.1, 0.2, 0.3, -0.3, 0.7, 1e-30, 5e-324, 1e16, -1e16, 1.5e300, -1.5e300, 1.7976931348623157e308)),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1, 1),
)
windows = st.one_of(
    st.just(Window()),
    st.builds(Window, st.integers(1, 50), st.none(), st.booleans()),
    st.builds(Window, st.none(), st.sampled_from((0, 1, 2_000, 30_000))),
)
rows = st.tuples(numbers, st.sampled_from((0, 0, 1, 2_000, 30_000)))
stretches = st.lists(st.lists(rows, min_size=1, max_size=60), min_size=1, max_size=3)


def laid_out(drawn: list[list[tuple[float | None, int]]]) -> tuple[Windows, pl.Series]:
    stretch = [number for number, each in enumerate(drawn) for _ in each]
    first = [sum(map(len, drawn[:number])) for number in range(len(drawn))]
    at_ms = []
    for each in drawn:
        at = 1_790_000_000_000
        for _, step_ms in each:
            at += step_ms
            at_ms.append(at)
    values = pl.Series("x", [value for each in drawn for value, _ in each], dtype=pl.Float64)
    return windows_of(pl.Series(stretch, dtype=pl.UInt32), pl.Series(first), pl.Series(at_ms)), values


def turn_by_turn(aggregate: Aggregate, windows: Windows, values: pl.Series) -> list[float | int | None]:
    measure = Probes().number(aggregate)
    told = []
    times, firsts, numbers = windows.at_ms.to_list(), windows.first.to_list(), values.to_list()
    for row, first in enumerate(firsts):
        past = tuple(TurnRecord(f"t{at}", times[at], {"x": numbers[at]}) for at in range(first, row))
        told.append(measure(Facts({"x": numbers[row]}, Turn("c", f"t{row}"), Conversation("c", past=past), times[row])))
    return told


@pytest.mark.parametrize("function", list(FUNCTIONS))
@settings(max_examples=120, deadline=None)
@given(drawn=stretches, window=windows)
@example(drawn=[[(1.7976931348623157e308, 0), (9.9792015476736e291, 0), (-5.5e275, 0)]], window=Window())
def test_a_number_over_a_window_is_the_one_of_the_turns_to_the_last_bit(
    function: str, drawn: list[list[tuple[float | None, int]]], window: Window
) -> None:
    placed, values = laid_out(drawn)
    aggregate = Aggregate(function, "x", window)  # type: ignore[arg-type]  # one of them
    assert FUNCTIONS[function](placed, window, values).to_list() == turn_by_turn(aggregate, placed, values)


@settings(max_examples=120, deadline=None)
@given(stretches, windows)
def test_counts_and_streaks_are_those_of_the_turns(drawn: list[list[tuple[float | None, int]]], window: Window) -> None:
    placed, values = laid_out(drawn)
    met = values.is_not_null()
    for name, function in (("count", column_windows.count), ("streak", column_windows.streak)):
        aggregate = Aggregate(name, IS_KNOWN, window)  # type: ignore[arg-type]  # one of them
        assert function(placed, window, met).to_list() == turn_by_turn(aggregate, placed, values)


def test_windows_that_share_a_table_do_not_share_an_answer() -> None:
    placed, values = laid_out([[(float(value), 0) for value in (5, 1, 4, 2, 3)]])
    assert column_windows.lowest(placed, Window(turns=2), values).to_list() == [5, 1, 1, 2, 2]
    assert column_windows.highest(placed, Window(turns=2), values).to_list() == [5, 5, 4, 4, 3]
    assert column_windows.lowest(placed, Window(turns=3), values).to_list() == [5, 1, 1, 1, 2]


@settings(max_examples=120, deadline=None)
@given(stretches, st.lists(windows, min_size=2, max_size=4))
def test_windows_that_share_what_their_column_keeps_answer_as_each_alone(
    drawn: list[list[tuple[float | None, int]]], asked: list[Window]
) -> None:
    shared, values = laid_out(drawn)
    met = values.is_not_null()
    for window in asked:
        alone, _ = laid_out(drawn)
        for function in FUNCTIONS.values():
            assert function(shared, window, values).to_list() == function(alone, window, values).to_list()
        counted = column_windows.count(shared, window, met, "x is known").to_list()
        assert counted == column_windows.count(alone, window, met).to_list()
