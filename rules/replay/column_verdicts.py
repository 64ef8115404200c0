"""Rules that fired on the turns of a part to verdicts: who is stopped, by which rule, and where. No rule is asked here.

A stretch goes on, for a ruleset, up to the first turn that it answers with `hold` or `escalate`. What was recorded
after that happened without the stop, so it is not counted for that ruleset.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from rules.evaluation.evaluate import is_live
from rules.model import STOPPING, Rule, Verdict

# Stands for "no rule" in a column of rule numbers; a ruleset has fewer rules.
NO_RULE = 2**32 - 1
# Verdicts that ask for a person, as `Verdicts.asks` numbers them: the stronger, the higher.
ASKING: tuple[Verdict, ...] = ("review", "hold", "escalate")
_STOPS_FROM = 1 + next(place for place, verdict in enumerate(ASKING) if verdict in STOPPING)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What one ruleset says of a part.

    `asks` is the verdict of each turn: 0 where nobody is asked for, or its place in ASKING from 1. `stops` is the row
    that stops each stretch (the part's height where none does), `step` the rule that asks for a person in each stretch,
    at `step_row`: the one that stops it, or else the first `review`. `turns` and `shadow_turns` count each rule's turns
    up to the stop.
    """

    asks: pl.Series
    stops: pl.Series
    step: pl.Series
    step_row: pl.Series
    turns_judged: int
    turns: tuple[int, ...]
    shadow_turns: tuple[int, ...]


def verdicts_of(rules: Sequence[Rule], fired: Sequence[pl.Series], stretch: pl.Series, about: pl.DataFrame) -> Verdicts:
    """Return the verdicts of a part: `fired` is where each rule's condition holds, `about` the part's stretches."""
    height = len(stretch)
    live = [_live(rule, column, stretch, about) for rule, column in zip(rules, fired, strict=True)]
    frame = pl.DataFrame([column.alias(f"{number}") for number, column in enumerate(live)]).with_columns(
        row=_rows(height)
    )
    asks = _asks(rules, frame)
    stops = _first(asks >= _STOPS_FROM, about, height)
    counted = frame["row"] <= stops.gather(stretch)
    reviews = _first((asks > 0) & counted, about, height)
    step_row = pl.select(pl.when(stops < height).then(stops).otherwise(reviews)).to_series()
    # Mostly a stretch is stopped soon, so what is counted is a small part of the rows.
    judged = frame.filter(counted)
    shadow = [number for number, column in enumerate(live) if column is not fired[number]]
    more = pl.DataFrame([fired[number].alias(f"{number}") for number in shadow]).filter(counted) if shadow else None
    turns = _counts(judged, range(len(rules)))
    every = dict(zip(shadow, _counts(more, shadow), strict=True)) if more is not None else {}
    return Verdicts(
        asks=asks,
        stops=stops,
        step=_step(rules, judged, stretch, step_row),
        step_row=step_row,
        turns_judged=judged.height,
        turns=turns,
        shadow_turns=tuple(every.get(number, own) - own for number, own in enumerate(turns)),
    )


def _rows(height: int) -> pl.Series:
    return pl.int_range(height, dtype=pl.UInt32, eager=True)


def _asks(rules: Sequence[Rule], frame: pl.DataFrame) -> pl.Series:
    """Return the strongest verdict of each turn, as a place in ASKING from 1."""
    asks = pl.lit(0, dtype=pl.UInt8)
    for place, verdict in enumerate(ASKING, start=1):
        own = [f"{number}" for number, rule in enumerate(rules) if rule.then.verdict == verdict]
        if own:
            asks = pl.when(pl.any_horizontal(own)).then(pl.lit(place, dtype=pl.UInt8)).otherwise(asks)
    return frame.select(pl.repeat(0, pl.len(), dtype=pl.UInt8) + asks).to_series()


def _step(rules: Sequence[Rule], judged: pl.DataFrame, stretch: pl.Series, step_row: pl.Series) -> pl.Series:
    """Return the first rule that asks for a person on the row of each stretch where one does."""
    rows = judged.filter(judged["row"].is_in(step_row.implode()))
    deciding = [number for number, rule in enumerate(rules) if rule.then.verdict in ASKING]
    step = pl.repeat(NO_RULE, len(step_row), dtype=pl.UInt32, eager=True)
    if not rows.height:
        return step
    # Rules stand in the order in which they decide.
    first = rows.select(pl.coalesce([_numbered(number) for number in deciding])).to_series()
    return step.scatter(stretch.gather(rows["row"]), first)


@lru_cache(maxsize=2**12)
def _numbered(number: int) -> pl.Expr:
    return pl.when(pl.col(f"{number}")).then(pl.lit(number, dtype=pl.UInt32))


def _counts(frame: pl.DataFrame, numbers: Iterable[int]) -> tuple[int, ...]:
    """Return on how many rows each of these columns holds, all columns at once."""
    names = [f"{number}" for number in numbers]
    return frame.select(pl.col(names).sum()).row(0) if names else ()


def _live(rule: Rule, fired: pl.Series, stretch: pl.Series, about: pl.DataFrame) -> pl.Series:
    """Return where the rule fires and counts: everywhere, nowhere, or in the conversations that its share holds."""
    if rule.mode.percent >= 100:
        return fired
    if rule.mode.percent <= 0:
        return pl.repeat(False, len(fired), dtype=pl.Boolean, eager=True)
    rows = fired.arg_true()
    numbers = stretch.gather(rows)
    share = {number: is_live(rule, conversation_id_of(about, number)) for number in numbers.unique()}
    kept = [row for row, number in zip(rows, numbers, strict=True) if share[number]]
    nowhere = pl.repeat(False, len(fired), dtype=pl.Boolean, eager=True)
    return nowhere.scatter(kept, True) if kept else nowhere


def conversation_id_of(about: pl.DataFrame, stretch: int) -> str:
    """Return the id as the caller sent it, also one that no column can hold."""
    exact = about["exact_id"][stretch]
    return str(json.loads(exact)) if exact is not None else str(about["conversation_id"][stretch])


def _first(held: pl.Series, about: pl.DataFrame, none: int) -> pl.Series:
    """Return the first row of each stretch where it holds, `none` where it does nowhere."""
    rows = held.arg_true().append(pl.Series([none], dtype=pl.UInt32))
    first_rows = about["first_row"]
    found = rows.gather(rows.search_sorted(first_rows))
    inside = found < first_rows + about["rows"]
    return pl.select(pl.when(inside).then(found).otherwise(pl.lit(none, dtype=pl.UInt32))).to_series()
