"""Numbers, spans, operands and aggregates as a person writes them in a rule file. Values in, text out."""

from __future__ import annotations

from datetime import date

from rules.evaluation.comparisons import kind_of
from rules.evaluation.signal_table import CALL_SIGNALS, SIGNALS, Unit
from rules.model import Aggregate, Compare
from rules.turn import Scalar, Value

# The largest unit first: a span is written in the fewest parts.
SPAN_UNITS: tuple[tuple[int, str], ...] = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms"))
# More members of a set or list than this are counted, not named, so that a sentence stays one line.
NAMED_MAX = 6
# 15 digits tell 0.41 from 0.42 and hide the noise of an average; a number that needs more is written with its exponent.
PLAIN_MAX = 10**15


def span_text(span_ms: float) -> str:
    """Return a span of time in its two largest units, as `10m` or `1h 5m`; a negative one keeps its sign."""
    left, parts = abs(round(span_ms)), []
    for unit_ms, letters in SPAN_UNITS:
        count, left = divmod(left, unit_ms)
        if count:
            parts.append(f"{count}{letters}")
    return ("-" if span_ms < 0 else "") + (" ".join(parts[:2]) or "0s")


def value_text(value: Value, unit: Unit | None = None) -> str:
    """Return a value as a rule file would write it: spans, times of day and dates by the signal's unit."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, frozenset):
        return list_text(tuple(sorted(value)))
    return value if isinstance(value, str) else _number_text(value, unit)


def _number_text(number: float | int, unit: Unit | None) -> str:
    if kind_of(number) is None:
        return "no number"
    if abs(number) >= PLAIN_MAX:
        return f"{number:.15g}"
    if unit == "ms":
        return span_text(number)
    whole = int(number)
    if unit == "minutes" and 0 <= whole < 1440:
        return f"{whole // 60:02d}:{whole % 60:02d}"
    if unit == "day" and 0 < whole <= date.max.toordinal():
        return date.fromordinal(whole).isoformat()
    return str(whole) if number == whole else f"{number:.15g}"


def list_text(items: tuple[Scalar, ...], unit: Unit | None = None) -> str:
    """Return a list in brackets, only counted past NAMED_MAX."""
    named = [value_text(item, unit) for item in items[:NAMED_MAX]]
    if len(items) > NAMED_MAX:
        named.append(f"and {len(items) - NAMED_MAX} more")
    return f"[{', '.join(named)}]"


def operand_text(operand: Scalar | tuple[Scalar, ...] | None, unit: Unit | None = None) -> str:
    """Return an operand as a rule file would write it, empty where the comparison has none."""
    if operand is None:
        return ""
    return list_text(operand, unit) if isinstance(operand, tuple) else value_text(operand, unit)


def aggregate_text(aggregate: Aggregate) -> str:
    """Return an aggregate as a rule file writes it: `count(confidence < $low_confidence) over 10 turns`."""
    of = aggregate.of.text if isinstance(aggregate.of, Compare) else aggregate.of
    window = aggregate.window
    over = "" if window.turns is None else f" over {window.turns} {'earlier ' if window.earlier else ''}turns"
    over += "" if window.span_ms is None else f" over {span_text(window.span_ms)}"
    return f"{aggregate.function}({of}){over}"


def unit_of(left: str | Aggregate) -> Unit | None:
    """Return the unit in which a comparison's left side counts; None for names that the table does not hold."""
    if isinstance(left, str):
        spec = SIGNALS.get(left) or CALL_SIGNALS.get(left)
        return spec.unit if spec else None
    return None if isinstance(left.of, Compare) else unit_of(left.of)
