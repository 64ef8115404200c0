"""What a turn log holds, as frames: three tables, the type of each column, and what was known when it was written.

A part holds whole conversations, the rows of a stretch side by side and in order, so that it is judged by itself.
Nothing is opened here and no rule is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rules.evaluation.call_values import SignalType
from rules.evaluation.signal_table import CALL_SIGNALS, SIGNALS
from rules.replay.turn_rows import (
    FOUND,
    KEPT,
    TOPICS_SENT,
    Cell,
    Definition,
    LogUnreadable,
    Rows,
    Table,
)

# Raised when a column comes to mean something else; a log of another format is refused, never guessed at.
FORMAT = 1
# Turns of one part. At 40 columns a part is 60 MB while it is judged; smaller ones cost more time a turn than they
# save memory (measured with bench/replay.py).
PART_TURNS_MAX = 250_000
# A column with more different texts than this is kept as plain text: a dictionary of it would be as large as itself.
ENUM_VALUES_MAX = 20_000

PLAIN_TEXTS: frozenset[str] = frozenset(
    {"turn_id", "message", "reply", "calls", "exact", "conversation_id", "exact_id"}
)
_TYPES: Mapping[str, pl.DataType] = {
    "stretch": pl.UInt32(),
    "row": pl.UInt32(),
    "first_row": pl.UInt32(),
    "rows": pl.UInt32(),
    "at_ms": pl.Int64(),
    "ended_at_ms": pl.Int64(),
    "handling_ms": pl.Int64(),
    "odd": pl.Boolean(),
    "synthetic_clock": pl.Boolean(),
}
_KINDS: Mapping[SignalType, pl.DataType] = {
    "number": pl.Float64(),
    "bool": pl.Boolean(),
    "text": pl.String(),
    "set": pl.String(),
}
# Columns that stand in every part, so that one without a single call or label has them too.
TURN_COLUMNS: tuple[str, ...] = (
    *("stretch", "turn_id", "at_ms"),
    *KEPT,
    *FOUND.values(),
    *(TOPICS_SENT, "message", "reply", "calls", "exact"),
)
CALL_COLUMNS: tuple[str, ...] = ("row", *CALL_SIGNALS)
STRETCH_COLUMNS: tuple[str, ...] = (
    *("conversation_id", "exact_id", "first_row", "rows", "odd", "synthetic_clock"),
    *("ended_at_ms", "queue", "handling_ms", "outcome"),
)


@dataclass(frozen=True, slots=True)
class About:
    """What holds for a whole part: how its topics were found, whether its texts are masked, what had no room."""

    topics: Mapping[str, Definition]
    masked: bool
    left_out: frozenset[str] = frozenset()

    def as_json(self) -> str:
        """Return the text that stands in the file's own metadata."""
        topics = {name: [each.hash, sorted(each.inside)] for name, each in self.topics.items()}
        known = {"format": FORMAT, "topics": topics, "masked": self.masked, "left_out": sorted(self.left_out)}
        return json.dumps(known)


def about_of(text: str) -> About:
    """Return what `as_json` wrote. Raises LogUnreadable."""
    try:
        known = json.loads(text)
        if known["format"] != FORMAT:
            raise LogUnreadable(f"a turn log of format {known['format']}, and this Handrail reads format {FORMAT}")
        topics = {name: Definition(digest, frozenset(inside)) for name, (digest, inside) in known["topics"].items()}
        return About(topics, bool(known["masked"]), frozenset(known["left_out"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LogUnreadable("the description of the turn log is broken") from None


@dataclass(frozen=True, slots=True)
class Part:
    """Some whole conversations. `turns` and `calls` may lack columns that nobody asks for."""

    turns: pl.DataFrame
    calls: pl.DataFrame
    stretches: pl.DataFrame
    about: About


def part_of(rows: Rows) -> Part:
    """Return the rows that were gathered as frames, in the types that the log has for them."""
    return Part(
        _frame(rows.turns, TURN_COLUMNS),
        _frame(rows.calls, CALL_COLUMNS),
        _frame(rows.stretches, STRETCH_COLUMNS),
        About(rows.topics, rows.masked, rows.left_out),
    )


def _frame(table: Table, always: tuple[str, ...]) -> pl.DataFrame:
    columns = table.filled()
    names = [*always, *sorted(columns.keys() - set(always))]
    return pl.DataFrame([_series(name, columns.get(name, [None] * table.height)) for name in names])


def _series(name: str, cells: list[Cell]) -> pl.Series:
    wanted = type_of(name)
    if wanted != pl.String() or name in PLAIN_TEXTS:
        return pl.Series(name, cells, dtype=wanted, strict=True)
    distinct = {cell for cell in cells if isinstance(cell, str)}
    if len(distinct) > ENUM_VALUES_MAX:
        return pl.Series(name, cells, dtype=pl.String)
    return pl.Series(name, cells, dtype=pl.Enum(sorted(distinct)))


def type_of(name: str) -> pl.DataType:
    """Return the type of a column by its name; texts and sets stand as Enum where they have few different values."""
    if name in _TYPES:
        return _TYPES[name]
    if name in SIGNALS or name in CALL_SIGNALS:
        return _KINDS[(SIGNALS.get(name) or CALL_SIGNALS[name]).type]
    if name.startswith("needed."):
        return pl.Boolean()
    _, _, kind = name.rpartition(":")
    return _KINDS[kind] if kind in _KINDS else pl.String()  # type: ignore[index]  # `kind` is one of them
