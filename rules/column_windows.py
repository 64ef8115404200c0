"""Aggregates over whole columns: count, streak, min, max, avg and last of every turn's window at once.

Rows of a stretch stand side by side, so a window is a stretch of rows: from `start` up to the turn itself, or up to
the one before. Every answer is the one that rules/facts.py gives turn by turn, to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import polars as pl

from rules.history import TURNS_READ_MAX
from rules.model import Window

# Rows that any window reaches, the present one included.
ROWS_MAX = TURNS_READ_MAX + 1


@dataclass(slots=True)
class Windows:
    """Where each row's window begins. `first` is the first row of the row's stretch; starts are worked out once."""

    rows: pl.Series
    first: pl.Series
    at_ms: pl.Series
    starts: dict[Window, pl.Series] = field(default_factory=dict)

    def start(self, window: Window) -> pl.Series:
        """Return the first row of each row's window."""
        if window not in self.starts:
            self.starts[window] = self._start(window)
        return self.starts[window]

    def _start(self, window: Window) -> pl.Series:
        # A window of earlier turns reaches one further back, for it leaves out the present one.
        reach = ROWS_MAX if window.turns is None else min(window.turns + window.earlier, ROWS_MAX)
        start = _larger(self.first, self.rows - (reach - 1))
        if window.span_ms is None:
            return start
        return _larger(start, self._since(window.span_ms))

    def _since(self, span_ms: int) -> pl.Series:
        """Return the first row of the same stretch that lies within the span before each row.

        Times are laid end to end, a gap wider than the span between stretches, so that one search finds them all.
        """
        same = self.first == self.first.shift(1)
        step = pl.select(
            pl.when(same).then((self.at_ms - self.at_ms.shift(1)).clip(0, span_ms + 1)).otherwise(span_ms + 1)
        ).to_series()
        line = step.cum_sum()
        return line.search_sorted(line - span_ms, side="left").cast(pl.Int64)


def windows_of(stretch: pl.Series, first_rows: pl.Series, at_ms: pl.Series) -> Windows:
    """Return the windows of a part: the stretch of each row, and the first row of each stretch."""
    rows = pl.int_range(len(stretch), dtype=pl.Int64, eager=True)
    return Windows(rows, first_rows.cast(pl.Int64).gather(stretch), at_ms)


def count(windows: Windows, window: Window, met: pl.Series) -> pl.Series:
    """Return on how many turns of the window the comparison holds."""
    running = met.cast(pl.Int64).cum_sum()
    before = running - met.cast(pl.Int64)
    return (before if window.earlier else running) - before.gather(windows.start(window))


def streak(windows: Windows, window: Window, met: pl.Series) -> pl.Series:
    """Return on how many turns, going back from the last of the window, the comparison holds without a gap."""
    broken = pl.select(pl.when(~met).then(windows.rows).forward_fill().fill_null(-1)).to_series()
    end = windows.rows
    if window.earlier:
        broken, end = broken.shift(1, fill_value=-1), windows.rows - 1
    return end - _larger(broken, windows.start(window) - 1)


def last(windows: Windows, window: Window, numbers: pl.Series) -> pl.Series:
    """Return the latest known number of the window."""
    where = pl.select(pl.when(numbers.is_not_null()).then(windows.rows).forward_fill().fill_null(-1)).to_series()
    latest = numbers.forward_fill()
    if window.earlier:
        where, latest = where.shift(1, fill_value=-1), latest.shift(1)
    return pl.select(pl.when(where >= windows.start(window)).then(latest)).to_series()


def lowest(windows: Windows, window: Window, numbers: pl.Series) -> pl.Series:
    """Return the lowest known number of the window."""
    start, end = windows.start(window), windows.rows + (0 if window.earlier else 1)
    length = end - start
    # level k holds the lowest of the 2**k rows that end at each row; two of them cover any window between.
    level = numbers.fill_null(math.inf)
    found = pl.repeat(math.inf, len(numbers), eager=True)
    last_row = _larger(end - 1, windows.first)
    size, longest = 1, _most(length)
    while size <= longest:
        covers = (length >= size) & (length < 2 * size)
        if covers.any():
            other = _larger(start + size - 1, windows.first).clip(0, max(0, len(numbers) - 1))
            both = _smaller(level.gather(last_row), level.gather(other))
            found = pl.select(pl.when(covers).then(both).otherwise(found)).to_series()
        level = _smaller(level, level.shift(size, fill_value=math.inf))
        size *= 2
    return pl.select(pl.when(found.is_finite()).then(found)).to_series()


def highest(windows: Windows, window: Window, numbers: pl.Series) -> pl.Series:
    """Return the highest known number of the window."""
    return -lowest(windows, window, -numbers)


def average(windows: Windows, window: Window, numbers: pl.Series) -> pl.Series:
    """Return the mean of the known numbers of the window, its sum rounded once as math.fsum rounds it.

    The sum is carried in three parts whose errors are known (Knuth's two-sum); where even the third is not nothing, or
    a part overflowed, the few rows concerned are summed one by one.
    """
    start = windows.start(window)
    known = numbers.is_not_null()
    of = count(windows, window, known)
    values = numbers.fill_null(0.0)
    nothing = pl.repeat(0.0, len(numbers), eager=True)
    high, low, lowest_part = nothing, nothing, nothing
    for back in range(1 if window.earlier else 0, _most(windows.rows - start) + 1):
        inside = (windows.rows - back >= start).cast(pl.Float64)
        each = values.shift(back, fill_value=0.0) * inside
        high, error = _two_sum(high, each)
        low, error = _two_sum(low, error)
        lowest_part = lowest_part + error
    total = high + low
    unsure = ((lowest_part != 0.0) | ~total.is_finite()) & (of > 0)
    mean = pl.select(pl.when((of > 0) & total.is_finite()).then(total / of)).to_series()
    rows = unsure.arg_true()
    if not len(rows):
        return mean
    ends = windows.rows + (0 if window.earlier else 1)
    exact = [
        _mean(numbers[begin:end].drop_nulls().to_list())
        for begin, end in zip(start.gather(rows), ends.gather(rows), strict=True)
    ]
    return mean.scatter(rows, pl.Series(exact, dtype=pl.Float64))


def _mean(numbers: list[float]) -> float | None:
    try:
        mean = math.fsum(numbers) / len(numbers)
    except OverflowError:
        return None
    return mean if math.isfinite(mean) else None


def _two_sum(left: pl.Series, right: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the rounded sum and what the rounding took away (Knuth, TAOCP 2, 4.2.2, theorem B)."""
    total = left + right
    of_right = total - left
    return total, (left - (total - of_right)) + (right - of_right)


def _most(series: pl.Series) -> int:
    most = series.max()
    return most if isinstance(most, int) else 0


def _larger(left: pl.Series, right: pl.Series) -> pl.Series:
    return pl.select(pl.max_horizontal(left, right)).to_series()


def _smaller(left: pl.Series, right: pl.Series) -> pl.Series:
    return pl.select(pl.min_horizontal(left, right)).to_series()
