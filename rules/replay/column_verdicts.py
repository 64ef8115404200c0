"""Rules that fired on the turns of a part to verdicts: who is stopped, by which rule, and where. No rule is asked here.

A stretch goes on, for a ruleset, up to the first turn that it answers with `hold` or `escalate`. What was recorded
after that happened without the stop, so it is not counted for that ruleset.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rules.evaluation.evaluate import is_live
from rules.model import STOPPING, Rule

# Stands for "no rule" in a column of rule numbers; a ruleset has fewer rules.
NO_RULE = 2**32 - 1
# Rules whose numbers stand side by side while the first is looked for: 32 columns of them are 32 MB.
_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What one ruleset says of a part.

    `top` is the number of the rule that decides each turn, `stops` the row that stops each stretch (the part's height
    where none does), `step` the rule that asks for a person in each stretch, at `step_row`: the one that stops it, or
    else the first `review`. `turns` and `shadow_turns` count each rule's turns up to the stop.
    """

    top: pl.Series
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
    top = _top(rules, live, height)
    stopping = sum(rule.then.verdict in STOPPING for rule in rules)
    asking = sum(rule.then.verdict != "continue" for rule in rules)
    stops = _first(top < stopping, stretch, about.height, height)
    counted = pl.int_range(height, dtype=pl.UInt32, eager=True) <= stops.gather(stretch)
    reviews = _first((top < asking) & counted, stretch, about.height, height)
    step_row = pl.select(pl.when(stops < height).then(stops).otherwise(reviews)).to_series()
    asked = step_row < height
    step = pl.repeat(NO_RULE, about.height, dtype=pl.UInt32, eager=True)
    places = asked.arg_true()
    if len(places):
        step.scatter(places, top.gather(step_row.gather(places)))
    return Verdicts(
        top=top,
        stops=stops,
        step=step,
        step_row=step_row,
        turns_judged=int(counted.sum()),
        turns=(turns := _counts(live, counted)),
        shadow_turns=tuple(every - own for every, own in zip(_counts(fired, counted), turns, strict=True)),
    )


def _top(rules: Sequence[Rule], live: Sequence[pl.Series], height: int) -> pl.Series:
    """Return the number of the first rule that fires on each row, of those that decide anything."""
    top = pl.repeat(NO_RULE, height, dtype=pl.UInt32, eager=True)
    deciding = [number for number, rule in enumerate(rules) if rule.then.verdict != "continue"]
    if not deciding:
        return top
    frame = pl.DataFrame({f"{number}": live[number] for number in deciding})
    # On most turns nothing fires, and only the others are looked at rule by rule.
    firing = frame.with_row_index("row").filter(pl.any_horizontal(frame.columns))
    if not firing.height:
        return top
    blocks = [deciding[start : start + _BLOCK] for start in range(0, len(deciding), _BLOCK)]
    firsts = [firing.select(pl.coalesce([_numbered(number) for number in block])).to_series() for block in blocks]
    return top.scatter(firing["row"], pl.select(pl.coalesce(firsts)).to_series())


def _numbered(number: int) -> pl.Expr:
    return pl.when(pl.col(f"{number}")).then(pl.lit(number, dtype=pl.UInt32))


def _counts(columns: Sequence[pl.Series], counted: pl.Series) -> tuple[int, ...]:
    """Return on how many of the counted rows each column holds, all columns at once."""
    if not columns:
        return ()
    frame = pl.DataFrame([column.alias(f"{number}") for number, column in enumerate(columns)])
    return frame.select((pl.all() & counted).sum()).row(0)


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


def _first(held: pl.Series, stretch: pl.Series, stretches: int, none: int) -> pl.Series:
    """Return the first row of each stretch where it holds, `none` where it does nowhere."""
    found = pl.repeat(none, stretches, dtype=pl.UInt32, eager=True)
    rows = held.arg_true()
    if len(rows):
        # Written from the last to the first, so that the first one stays.
        rows = rows.reverse()
        found.scatter(stretch.gather(rows), rows)
    return found
