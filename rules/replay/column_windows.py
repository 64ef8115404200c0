"""Aggregates over whole columns: count, streak, min, max, avg and last of every turn's window at once.

Rows of a stretch stand side by side, so a window is a stretch of rows: from `start` up to the turn itself, or up to
the one before. Every answer is the one that rules/evaluation/facts.py gives turn by turn, to the last bit.
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
    """Where each row's window begins. `first` is the first row of the row's stretch.

    Starts are worked out once a window, and `tables` of least numbers once a column.
    """

    rows: pl.Series
    first: pl.Series
    at_ms: pl.Series
    starts: dict[Window, pl.Series] = field(default_factory=dict)
    tables: dict[str, pl.Series] = field(default_factory=dict)

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
    return _least(windows, window, numbers, numbers.name)


def highest(windows: Windows, window: Window, numbers: pl.Series) -> pl.Series:
    """Return the highest known number of the window."""
    return -_least(windows, window, -numbers, f"-{numbers.name}")


def _least(windows: Windows, window: Window, numbers: pl.Series, name: str) -> pl.Series:
    """Return the least number of each window, from a table that windows of the same column share.

    Its level k holds the least of the 2**k rows that end at each row; two of them cover any window between.
    """
    height = len(numbers)
    if name not in windows.tables:
        levels = [numbers.fill_null(math.inf)]
        while len(levels) < ROWS_MAX.bit_length():
            levels.append(_smaller(levels[-1], levels[-1].shift(2 ** (len(levels) - 1), fill_value=math.inf)))
        windows.tables[name] = pl.concat(levels)
    table = windows.tables[name]
    start, end = windows.start(window), windows.rows + (0 if window.earlier else 1)
    length = end - start
    level = _LEVELS.gather(length)
    latest, other = (end - 1).clip(0), start + _SIZES.gather(length) - 1
    both = _smaller(table.gather(level * height + latest), table.gather(level * height + other))
    return pl.select(pl.when((length > 0) & both.is_finite()).then(both)).to_series()


# By the length of a window: the level whose stretches cover it, and how long these are.
_LEVELS = pl.Series([max(0, length.bit_length() - 1) for length in range(ROWS_MAX + 1)], dtype=pl.Int64)
_SIZES = pl.Series([2 ** max(0, length.bit_length() - 1) for length in range(ROWS_MAX + 1)], dtype=pl.Int64)


def average(windows: Windows, window: Window, numbers: pl.Series) -> pl.Series:
    """Return the mean of the known numbers of the window, its sum rounded once as math.fsum rounds it.

    Numbers are whole multiples of 2**-66 below 2**40 nearly always, so their running sums are exact in 128 bits, and a
    window's sum is a difference of two. Windows with another number in them are summed one by one.
    """
    start, end = windows.start(window), windows.rows + (0 if window.earlier else 1)
    known = numbers.is_not_null()
    of = count(windows, window, known)
    scaled = numbers.fill_null(0.0) * _SCALE
    fits = (scaled == scaled.floor()) & (scaled.abs() < _SCALED_MAX)
    whole = pl.select(pl.when(fits).then(scaled).otherwise(0.0)).to_series().cast(pl.Int128)
    running = whole.cum_sum()
    before = running - whole
    total = ((before if window.earlier else running) - before.gather(start)).cast(pl.Float64) / _SCALE
    mean = pl.select(pl.when(of > 0).then(total / of)).to_series()
    rows = ((count(windows, window, ~fits) > 0) & (of > 0)).arg_true()
    if not len(rows):
        return mean
    exact = [
        _mean(numbers[first:last].drop_nulls().reverse().to_list())
        for first, last in zip(start.gather(rows), end.gather(rows), strict=True)
    ]
    return mean.scatter(rows, pl.Series(exact, dtype=pl.Float64))


# 66 bits below the point leave every float from 2**-14 on as it is; 40 before it, for each of two million rows.
_SCALE, _SCALED_MAX = 2.0**66, 2.0**106


def _mean(latest_first: list[float]) -> float | None:
    # In the order of the turn-by-turn engine: whether a sum on the way is too large for a float depends on it.
    try:
        mean = math.fsum(latest_first) / len(latest_first)
    except OverflowError:
        return None
    return mean if math.isfinite(mean) else None


def _larger(left: pl.Series, right: pl.Series) -> pl.Series:
    return pl.select(pl.max_horizontal(left, right)).to_series()


def _smaller(left: pl.Series, right: pl.Series) -> pl.Series:
    return pl.select(pl.min_horizontal(left, right)).to_series()
