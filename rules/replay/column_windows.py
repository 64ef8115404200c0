"""Aggregates over whole columns: count, streak, min, max, avg and last of every turn's window at once.

Rows of a stretch stand side by side, so a window is a stretch of rows: from `start` up to the turn itself, or up to
the one before. Every answer is the one that rules/evaluation/facts.py gives turn by turn, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field

import polars as pl

from rules.history import TURNS_READ_MAX
from rules.model import Window

# Rows that any window reaches, the present one included.
ROWS_MAX = TURNS_READ_MAX + 1


@dataclass(frozen=True, slots=True)
class _Running:
    """A running sum: with each row, and as it stood before it."""

    upto: pl.Series
    before: pl.Series


@dataclass(frozen=True, slots=True)
class _Sums:
    """What the averages of a column share: how many are known, their exact running sum, and where that has no room."""

    known: _Running
    exact: _Running
    unfit: _Running | None


@dataclass(slots=True)
class Windows:
    """Where each row's window begins. `first` is the first row of the row's stretch, `age` how far back that lies.

    `longest` is how many rows the longest window can have: no stretch of the part has more.
    Starts are worked out once a window; what windows of the same column share is kept by the column's name.
    """

    rows: pl.Series
    first: pl.Series
    age: pl.Series
    at_ms: pl.Series
    longest: int
    starts: dict[Window, pl.Series] = field(default_factory=dict)
    counts: dict[Hashable, _Running] = field(default_factory=dict)
    sums: dict[str, _Sums] = field(default_factory=dict)
    levels: dict[str, list[pl.Series]] = field(default_factory=dict)
    tables: dict[str, pl.Series] = field(default_factory=dict)
    line: tuple[int, pl.Series] | None = None

    def start(self, window: Window) -> pl.Series:
        """Return the first row of each row's window."""
        if window not in self.starts:
            # As polars numbers rows itself: any other type would be converted each time that rows are gathered by it.
            self.starts[window] = self._start(window).cast(pl.UInt32)
        return self.starts[window]

    def _start(self, window: Window) -> pl.Series:
        start = _larger(self.first, self.rows - (reach_of(window) - 1))
        if window.span_ms is None:
            return start
        return _larger(start, self._since(window.span_ms))

    def _since(self, span_ms: int) -> pl.Series:
        """Return the first row of the same stretch that lies within the span before each row.

        Times are laid end to end, a gap wider than the span between stretches, so that one walk finds them all. The
        line of the widest span so far serves for the narrower ones.
        """
        if self.line is None or self.line[0] < span_ms:
            step = pl.when(self.age > 0).then((self.at_ms - self.at_ms.shift(1)).clip(0, span_ms + 1))
            self.line = (span_ms, pl.select(step.otherwise(span_ms + 1).cum_sum().alias("at")).to_series())
        line = self.line[1]
        # Both stand in order, so they are walked together: searching for each row takes five times as long.
        asked = pl.DataFrame((line - span_ms).alias("at")).set_sorted("at")
        held = pl.DataFrame([line, self.rows.alias("row")]).set_sorted("at")
        return asked.join_asof(held, on="at", strategy="forward")["row"]


def reach_of(window: Window) -> int:
    """Return how many rows back a window reaches at most, the present one included."""
    # A window of earlier turns reaches one further back, for it leaves out the present one.
    return ROWS_MAX if window.turns is None else min(window.turns + window.earlier, ROWS_MAX)


def windows_of(stretch: pl.Series, first_rows: pl.Series, at_ms: pl.Series) -> Windows:
    """Return the windows of a part: the stretch of each row, and the first row of each stretch."""
    rows = pl.int_range(len(stretch), dtype=pl.Int32, eager=True)
    first = first_rows.cast(pl.Int32).gather(stretch)
    age = rows - first
    longest = min(int(age.max() or 0) + 1, ROWS_MAX)  # type: ignore[arg-type]  # the greatest of whole numbers is one
    return Windows(rows, first, age, at_ms, longest)


def count(windows: Windows, window: Window, met: pl.Series, name: Hashable = None) -> pl.Series:
    """Return on how many turns of the window the comparison holds; `name` is the comparison's, for other windows."""
    if name is None:
        return _within(windows, window, _running(met))
    if name not in windows.counts:
        windows.counts[name] = _running(met)
    return _within(windows, window, windows.counts[name])


def _running(numbers: pl.Series) -> _Running:
    upto = numbers.cum_sum()
    return _Running(upto, upto.shift(1, fill_value=0))


def _within(windows: Windows, window: Window, running: _Running) -> pl.Series:
    """Return the sum over each window."""
    return (running.before if window.earlier else running.upto) - running.before.gather(windows.start(window))


def streak(windows: Windows, window: Window, met: pl.Series) -> pl.Series:
    """Return on how many turns, going back from the last of the window, the comparison holds without a gap."""
    broken = pl.select(pl.when(~met).then(windows.rows).forward_fill().fill_null(-1)).to_series()
    end = windows.rows
    if window.earlier:
        broken, end = broken.shift(1, fill_value=-1), windows.rows - 1
    return end - _larger(broken, windows.start(window).cast(pl.Int32) - 1)


def last(windows: Windows, window: Window, numbers: pl.Series) -> pl.Series:
    """Return the latest known number of the window."""
    where = pl.select(pl.when(numbers.is_not_null()).then(windows.rows).forward_fill().fill_null(-1)).to_series()
    latest = numbers.forward_fill()
    if window.earlier:
        where, latest = where.shift(1, fill_value=-1), latest.shift(1)
    return pl.select(pl.when(where >= windows.start(window).cast(pl.Int32)).then(latest)).to_series()


def lowest(windows: Windows, window: Window, numbers: pl.Series) -> pl.Series:
    """Return the lowest known number of the window."""
    return _least(windows, window, numbers, numbers.name)


def highest(windows: Windows, window: Window, numbers: pl.Series) -> pl.Series:
    """Return the highest known number of the window."""
    return -_least(windows, window, -numbers, f"-{numbers.name}")


def _least(windows: Windows, window: Window, numbers: pl.Series, name: str) -> pl.Series:
    """Return the least number of each window."""
    levels = windows.levels.setdefault(name, [numbers.rechunk().fill_null(math.inf)])
    least = _of_turns(windows, window, levels) if window.span_ms is None else _of_span(windows, window, levels, name)
    return pl.select(pl.when(least.is_finite()).then(least)).to_series()


def _grown(windows: Windows, levels: list[pl.Series], wanted: int) -> list[pl.Series]:
    """Return levels that windows of a column share: level k holds the least of the 2**k rows that end at each row.

    Rows of an earlier stretch are left out.
    """
    known = list(levels)
    while len(known) <= wanted:
        known.append(_smaller(known[-1], _back(windows, known[-1], 2 ** (len(known) - 1))))
    if len(known) > len(levels):
        # Several aggregates grow them at the same time, each to the same end.
        levels[:] = known
    return known


def _back(windows: Windows, numbers: pl.Series, rows: int) -> pl.Series:
    """Return what stands so many rows before each row, infinity where that is another stretch."""
    if not rows:
        return numbers
    return pl.select(pl.when(windows.age >= rows).then(numbers.shift(rows)).otherwise(math.inf)).to_series()


def _of_turns(windows: Windows, window: Window, levels: list[pl.Series]) -> pl.Series:
    """Return the least number of windows that are so many turns long, or as many as the stretch has had."""
    turns = min(reach_of(window) - window.earlier, windows.longest)
    level = turns.bit_length() - 1
    of_level = _grown(windows, levels, level)[level]
    least = _smaller(of_level, _back(windows, of_level, turns - 2**level))
    return _back(windows, least, 1) if window.earlier else least


def _of_span(windows: Windows, window: Window, levels: list[pl.Series], name: str) -> pl.Series:
    """Return the least number of windows of any length: two stretches of a level cover each."""
    height = len(windows.rows)
    if name not in windows.tables:
        # In one piece: rows of many pieces are gathered five times as slowly.
        windows.tables[name] = pl.concat(_grown(windows, levels, windows.longest.bit_length() - 1), rechunk=True)
    table, start = windows.tables[name], windows.start(window)
    end = windows.rows.cast(pl.UInt32) + (0 if window.earlier else 1)
    length = end - start
    level_row = _LEVELS.gather(length) * height
    latest = level_row + pl.select(pl.when(length > 0).then(end - 1).otherwise(0)).to_series()
    other = level_row + start + _SIZES.gather(length) - 1
    least = _smaller(table.gather(latest), table.gather(other))
    return pl.select(pl.when(length > 0).then(least).otherwise(math.inf)).to_series() if window.earlier else least


# By the length of a window: the level whose stretches cover it, and how long these are.
_LEVELS = pl.Series([max(0, length.bit_length() - 1) for length in range(ROWS_MAX + 1)], dtype=pl.UInt32)
_SIZES = pl.Series([2 ** max(0, length.bit_length() - 1) for length in range(ROWS_MAX + 1)], dtype=pl.UInt32)


def average(windows: Windows, window: Window, numbers: pl.Series) -> pl.Series:
    """Return the mean of the known numbers of the window, its sum rounded once as math.fsum rounds it.

    Numbers are whole multiples of 2**-66 below 2**40 nearly always, so their running sums are exact in 128 bits, and a
    window's sum is a difference of two. Windows with another number in them are summed one by one.
    """
    if numbers.name not in windows.sums:
        windows.sums[numbers.name] = _sums(numbers)
    sums = windows.sums[numbers.name]
    of = _within(windows, window, sums.known)
    total = _within(windows, window, sums.exact).cast(pl.Float64)
    mean = pl.select(pl.when(of > 0).then(total / _SCALE / of)).to_series()
    if sums.unfit is None:
        return mean
    rows = ((_within(windows, window, sums.unfit) > 0) & (of > 0)).arg_true()
    if not len(rows):
        return mean
    start, end = windows.start(window), windows.rows + (0 if window.earlier else 1)
    exact = [
        _mean(numbers[first:last].drop_nulls().reverse().to_list())
        for first, last in zip(start.gather(rows), end.gather(rows), strict=True)
    ]
    return mean.scatter(rows, pl.Series(exact, dtype=pl.Float64))


def _sums(numbers: pl.Series) -> _Sums:
    scaled = numbers.fill_null(0.0) * _SCALE
    fits = (scaled == scaled.floor()) & (scaled.abs() < _SCALED_MAX)
    if fits.all():
        return _Sums(_running(numbers.is_not_null()), _running(scaled.cast(pl.Int128)), None)
    whole = pl.select(pl.when(fits).then(scaled).otherwise(0.0)).to_series().cast(pl.Int128)
    return _Sums(_running(numbers.is_not_null()), _running(whole), _running(~fits))


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
