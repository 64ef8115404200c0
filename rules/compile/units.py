"""What thresholds are measured in: one that stands for two things is told, and a bare number that is a very short time.

A threshold has no unit of its own: it has that of the signals which it is compared with.
"""

from __future__ import annotations

from rules.compile.names import Measured, Names, Threshold
from rules.compile.operands import SHORT_MS, Wanted
from rules.evaluation.signal_table import Unit
from rules.files.grammar import Operand
from rules.files.nodes import TextNode
from rules.files.source import Source

# unit -> how it is called; times of day and dates are compared with no threshold.
_UNIT_NAMES: dict[Unit, str] = {
    "ratio": "a share from 0 to 1",
    "score": "a score from -1 to 1",
    "characters": "a number of characters",
    "count": "a count",
    "usd": "an amount of US dollars",
    "ms": "a time",
    "hour": "an hour of the day",
}
# What a threshold's name ends with -> the unit that it says.
_NAMED_UNITS: dict[str, Unit] = {"_usd": "usd", "_ms": "ms"}
# Both are read as `how much of it`, so a file may well have one number for the two.
_ALIKE: dict[Unit, Unit] = {"score": "ratio"}


def note_units(source: Source, node: TextNode, operand: Operand, wanted: Wanted) -> None:
    """Note what the thresholds of an operand are compared with."""
    for part in operand.items or (operand,):
        if part.kind == "threshold":
            note_unit(source, node, str(part.value), wanted, part.start, part.end)


def note_unit(source: Source, node: TextNode, name: str, wanted: Wanted, *place: int) -> None:
    """Note what one threshold is compared with, where a unit of it is known."""
    unit = wanted.spec.unit
    if unit is not None:
        uses = wanted.names.measured.setdefault(name, {})
        uses.setdefault(_ALIKE.get(unit, unit), Measured(unit, wanted.left, source, source.span(node, *place)))


def tell_of_units(names: Names) -> None:
    """Note each threshold that is compared with what it cannot mean; all comparisons have been read."""
    for name, uses in names.measured.items():
        named = next((unit for ending, unit in _NAMED_UNITS.items() if name.endswith(ending)), None)
        first, *others = uses.values()
        odd = next((use for use in uses.values() if named is not None and use.unit != named), None)
        if named is not None and odd is not None:
            message = f"`{odd.left}` is {_UNIT_NAMES[odd.unit]}, and the threshold `{name}` {_UNIT_NAMES[named]}"
            odd.source.refuse_at("W215", odd.span, message, "compare it with a threshold of its own")
        elif others:
            one, other = (f"`{use.left}`, {_UNIT_NAMES[use.unit]}" for use in (first, others[0]))
            message = f"the threshold `{name}` is compared with {one}, and with {other}"
            others[0].source.refuse_at("W215", others[0].span, message)
        elif first.unit == "ms" and named is None and name in names.thresholds:
            _tell_short(names, name, names.thresholds[name], first)


def _tell_short(names: Names, name: str, threshold: Threshold, use: Measured) -> None:
    if threshold.is_span or not 0 < threshold.value < SHORT_MS or threshold.at is None:
        return
    written = threshold.written
    hint = f"write `{written}s`" + ("" if threshold.limits == (None, None) else ", and its limits as times too")
    source, _ = names.places["threshold", name]
    message = f"`{written}` means {written} ms, as `{name}` is compared with `{use.left}`"
    source.refuse("W211", threshold.at, message, hint)
