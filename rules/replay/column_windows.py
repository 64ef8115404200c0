"""Aggregates over whole columns: what holds, or how much there is, in every turn's window at once.

Rows of a stretch stand side by side, so a window is a stretch of rows: from `start` up to the turn itself, or up to
the one before. Every answer is the one that rules/evaluation/facts.py gives turn by turn, to the last bit. A window of
turns is put together from windows half as long, all rows at a time; only a span of time needs a walk from row to row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import polars as pl

from rules.history import TURNS_READ_MAX
from rules.model import Window
from rules.replay.column_leaves import Truth
from rules.replay.column_stages import Staged

# Rows that any window reaches, the present one included.
ROWS_MAX = TURNS_READ_MAX + 1
_ROW, _AGE = "#row", "#age"

Join: TypeAlias = Literal["any", "all", "sum"]
_JOINS: Mapping[Join, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "any": lambda left, right: left | right,
    "all": lambda left, right: left & right,
    "sum": lambda left, right: left + right,
}


@dataclass(frozen=True, slots=True)
class _Sums:
    """What the averages of a column share: its numbers as two whole ones each, and where these have no room for one.

    A number is `(high * 2**_LOW_BITS + low) / scale`.
    """

    known: str
    high: str
    low: str
    unfit: str | None
    scale: float


@dataclass(slots=True)
class Windows:
    """Where the windows of a part's rows lie. `longest` is how many rows the longest can have: no stretch has more.

    `turns` are the part's own columns, with the number of each row and its age: how many rows of the same stretch stand
    before it, as far as windows reach.
    """

    staged: Staged
    turns: pl.DataFrame
    longest: int
    span_ms_max: int
    line: pl.Series | None = None
    made: dict[str, pl.Expr] = field(default_factory=dict)
    sums: dict[str, _Sums] = field(default_factory=dict)

    def once(self, name: str, column: Callable[[], pl.Series | pl.Expr]) -> pl.Expr:
        """Return what reads the column of this name, which is added when it is first asked for."""
        if name not in self.made:
            self.made[name] = self.staged.add(name, column())
        return self.made[name]

    def start(self, window: Window) -> pl.Expr:
        """Return the first row of each row's window."""
        reach = min(reach_of(window), self.longest)
        if window.span_ms is None:
            return pl.col(_ROW) - pl.col(_AGE).clip(0, reach - 1)
        span_ms = window.span_ms
        return self.once(f"#since {span_ms}", lambda: self._since(span_ms))

    def _since(self, span_ms: int) -> pl.Series:
        """Return the first row of the same stretch that lies within the span before each row.

        Times are laid end to end, a gap wider than any span between stretches, so that one walk finds them all.
        """
        if self.line is None:
            wide = self.span_ms_max + 1
            step = pl.when(pl.col(_AGE) > 0).then((pl.col("at_ms") - pl.col("at_ms").shift(1)).clip(0, wide))
            self.line = self.turns.select(step.otherwise(wide).cum_sum()).to_series()
        # Both stand in order, so they are walked together: searching for each row takes five times as long.
        asked = pl.DataFrame({"at": self.line - span_ms}).set_sorted("at")
        held = pl.DataFrame({"at": self.line, "row": self.turns[_ROW]}).set_sorted("at")
        since = asked.join_asof(held, on="at", strategy="forward")["row"]
        nearest = pl.col(_ROW) - pl.col(_AGE)
        return self.turns.select(pl.max_horizontal(nearest, since)).to_series()

    def back(self, expr: pl.Expr, rows: int, how: Join) -> pl.Expr:
        """Return what stands so many rows before each row: nothing, where that is another stretch."""
        older = self.once(f"#age {rows}", lambda: pl.col(_AGE) >= rows)
        return pl.when(older).then(expr.shift(rows)).otherwise(0) if how == "sum" else older & expr.shift(rows)

    def joined(self, name: str, turns: int, how: Join) -> pl.Expr:
        """Return a column's rows joined over so many turns of its stretch, those that end at each row."""
        if turns <= 1:
            return pl.col(name)
        half = 1 << ((turns - 1).bit_length() - 1)

        def both() -> pl.Expr:
            # Windows of one column are put together from the same halves.
            newer, older = self.joined(name, half, how), self.joined(name, turns - half, how)
            return _JOINS[how](newer, self.back(older, half, how))

        return self.once(f"{name} {how} {turns}", both)


def reach_of(window: Window) -> int:
    """Return how many rows back a window reaches at most, the present one included."""
    # A window of earlier turns reaches one further back, for it leaves out the present one.
    return ROWS_MAX if window.turns is None else min(window.turns + window.earlier, ROWS_MAX)


def windows_of(staged: Staged, first_rows: pl.Series, spans_ms: Sequence[int]) -> Windows:
    """Return the windows of a part: its turns, the first row of each stretch, and the spans that will be asked for."""
    turns = staged.frame
    stretch = turns["stretch"]
    rows = pl.int_range(len(stretch), dtype=pl.UInt32, eager=True)
    age = (rows - first_rows.cast(pl.UInt32).gather(stretch)).clip(0, ROWS_MAX - 1).cast(pl.UInt8)
    staged.add(_ROW, rows)
    staged.add(_AGE, age)
    turns = turns.with_columns(rows.alias(_ROW), age.alias(_AGE))
    return Windows(staged, turns, int(age.max() or 0) + 1, max(spans_ms, default=0))  # type: ignore[arg-type]  # a number


def any_met(windows: Windows, window: Window, held: str) -> pl.Expr:
    """Return where some turn of the window meets what the Boolean column `held` tells."""
    if window.span_ms is not None:
        return _latest(windows, held) > windows.start(window)
    return _of_turns(windows, window, held, "any")


def count(windows: Windows, window: Window, held: str) -> pl.Expr:
    """Return on how many turns of the window it holds."""
    if window.span_ms is not None:
        return _since_start(windows, window, held)
    windows.once(f"{held} number", lambda: pl.col(held).cast(pl.UInt8))
    return _of_turns(windows, window, f"{held} number", "sum")


def unbroken(windows: Windows, window: Window, held: str, turns: int) -> Truth:
    """Return where it holds on so many turns without a gap, going back from the last of the window."""
    if turns <= 0:
        return True
    if turns > _turns_of(windows, window):
        return False
    # Where a stretch has not had so many turns, one of them is another stretch's and counts as a gap.
    met = windows.joined(held, turns, "all")
    if window.span_ms is None:
        return windows.back(met, 1, "all") if window.earlier else met
    return met & (pl.col(_ROW) + 1 >= windows.start(window) + turns)


def last(windows: Windows, window: Window, name: str) -> pl.Expr:
    """Return the latest known number of the window."""
    latest = _latest(windows, known(windows, name))
    if window.earlier:
        latest = latest.shift(1, fill_value=0)
    return pl.col(name).gather(pl.when(latest > windows.start(window)).then(latest - 1))


def known(windows: Windows, name: str) -> str:
    """Return the name of the column that tells where a column is known."""
    windows.once(f"#known {name}", lambda: pl.col(name).is_not_null())
    return f"#known {name}"


def average(windows: Windows, window: Window, name: str) -> pl.Expr | pl.Series:
    """Return the mean of the known numbers of the window, its sum rounded once as math.fsum rounds it.

    Each number is two whole ones, of so few bits that their sums over any window are floats: so adding these two rounds
    for the first time. Windows with a number in them that has no room in two are summed one by one.
    """
    if name not in windows.sums:
        windows.sums[name] = _sums(windows, name)
    sums = windows.sums[name]
    of = count(windows, window, sums.known)
    high, low = (_summed(windows, window, each).cast(pl.Float64) for each in (sums.high, sums.low))
    mean = pl.when(of > 0).then((high * 2.0**_LOW_BITS + low) / sums.scale / of)
    if sums.unfit is None:
        return mean
    asked = {"mean": mean, "doubt": any_met(windows, window, sums.unfit) & (of > 0), "start": windows.start(window)}
    found = windows.staged.frame.select(**asked)
    return _one_by_one(windows, window, name, found)


def _of_turns(windows: Windows, window: Window, name: str, how: Join) -> pl.Expr:
    """Return a column's rows joined over a window of turns."""
    over = windows.joined(name, _turns_of(windows, window), how)
    return windows.back(over, 1, how) if window.earlier else over


def _turns_of(windows: Windows, window: Window) -> int:
    """Return on how many turns the window can look at most."""
    return min(reach_of(window) - window.earlier, windows.longest)


def _summed(windows: Windows, window: Window, name: str) -> pl.Expr:
    return _of_turns(windows, window, name, "sum") if window.span_ms is None else _since_start(windows, window, name)


def _since_start(windows: Windows, window: Window, name: str) -> pl.Expr:
    """Return the sum of a column from the start of each row's window."""
    upto = windows.once(f"{name} upto", lambda: pl.col(name).cum_sum())
    before = windows.once(f"{name} before", lambda: upto.shift(1, fill_value=0))
    return upto - before.gather(windows.start(window))


def _latest(windows: Windows, held: str) -> pl.Expr:
    """Return how many rows of the part there are up to the latest on which it holds; 0 where there is none."""
    return windows.once(f"{held} latest", lambda: pl.when(held).then(pl.col(_ROW) + 1).otherwise(0).cum_max())


# A number's two whole ones have so many bits each: their sums over two million rows are whole 64-bit numbers, and over
# a window they are floats.
_HIGH_BITS, _LOW_BITS = 42, 42
# Of a column of other numbers those that are larger have no room.
_FITTING_MAX = 2.0**40


def _sums(windows: Windows, name: str) -> _Sums:
    """Add a column's numbers as whole ones, by a scale for which the largest of them has room."""
    numbers = windows.turns.select(number=pl.col(name).fill_null(0.0))
    fits = pl.col("number").abs() < _FITTING_MAX
    largest = numbers.select(pl.when(fits).then(pl.col("number").abs()).max()).item() or 0.0
    scale = 2.0 ** (_HIGH_BITS - max(math.frexp(largest)[1], -_HIGH_BITS))
    scaled = numbers.select(fits=fits, scaled=pl.when(fits).then(pl.col("number")).otherwise(0.0) * scale)
    # Cut off towards 0, for only so what is left is a float of the same bits.
    split = scaled.with_columns(high=pl.col("scaled").cast(pl.Int64))
    split = split.with_columns(rest=(pl.col("scaled") - pl.col("high")) * 2.0**_LOW_BITS)
    found = split.with_columns(low=pl.col("rest").cast(pl.Int64))
    fit = found.select(pl.col("fits") & (pl.col("low") == pl.col("rest"))).to_series()
    unfit = None if fit.all() else f"#unfit {name}"
    if unfit is not None:
        windows.staged.add(unfit, ~fit)
    sums = _Sums(known(windows, name), f"#high {name}", f"#low {name}", unfit, scale * 2.0**_LOW_BITS)
    windows.staged.add(sums.high, found["high"])
    windows.staged.add(sums.low, found["low"])
    return sums


def _one_by_one(windows: Windows, window: Window, name: str, found: pl.DataFrame) -> pl.Series:
    """Return the means that were found, those in doubt summed again number by number."""
    rows = found["doubt"].arg_true()
    if not len(rows):
        return found["mean"]
    numbers = windows.turns[name]
    exact = [
        _mean(numbers[first : row + 1 - window.earlier].drop_nulls().reverse().to_list())
        for first, row in zip(found["start"].gather(rows), rows, strict=True)
    ]
    return found["mean"].scatter(rows, pl.Series(exact, dtype=pl.Float64))


def _mean(latest_first: list[float]) -> float | None:
    # In the order of the turn-by-turn engine: whether a sum on the way is too large for a float depends on it.
    try:
        mean = math.fsum(latest_first) / len(latest_first)
    except OverflowError:
        return None
    return mean if math.isfinite(mean) else None
