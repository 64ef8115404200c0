"""What the steps of a rule's `when_busy` come to at a pressure, and which numbers make a rule fire less. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rules.evaluation.comparisons import COMPARISONS
from rules.model import Aggregate, BusyStep, CallMatch, Compare, Condition, Not, Words

_FEWER_WHEN_SMALLER: Mapping[str, bool] = {"<": True, "<=": True, ">": False, ">=": False}


@dataclass(frozen=True, slots=True)
class Eased:
    """What a rule is under some pressure: other numbers for thresholds, and what becomes of its verdict, None when it
    stays."""

    numbers: Mapping[str, float]
    to: Literal["review", "callback"] | None
    say: Words


def eased_by(steps: Sequence[BusyStep]) -> Eased:
    """Return what the steps that were reached come to. What a step does not name stays as before it."""
    numbers = {name: value for step in steps for name, value in step.thresholds.items()}
    turned = next((step for step in reversed(steps) if step.to is not None), None)
    return Eased(numbers, None, {}) if turned is None else Eased(numbers, turned.to, turned.say)


def asked_of_the_turn(condition: Condition, *, negated: bool = False) -> Iterator[tuple[Compare, bool]]:
    """Yield the comparisons whose number a step may change, and whether they stand under a `not`.

    What is counted over earlier turns was counted with the rule's own number, so it is not among them.
    """
    if isinstance(condition, Compare):
        yield condition, negated
    elif isinstance(condition, Not):
        yield from asked_of_the_turn(condition.part, negated=not negated)
    elif isinstance(condition, CallMatch):
        yield from asked_of_the_turn(condition.condition, negated=negated)
    else:
        for part in condition.parts:
            yield from asked_of_the_turn(part, negated=negated)


def is_counted_with(compare: Compare) -> bool:
    """Return whether the comparison's threshold also stands in what it counts over earlier turns."""
    left = compare.left
    return isinstance(left, Aggregate) and isinstance(left.of, Compare) and left.of.threshold == compare.threshold


def fewer_when_smaller(condition: Condition, threshold: str) -> bool | None:
    """Return whether a smaller number makes the condition hold less often; False when a larger one does.

    None when neither is so: it is compared both ways, or with `=`.
    """
    ways = {
        _FEWER_WHEN_SMALLER.get(COMPARISONS[compare.operator].opposite if negated else compare.operator)
        for compare, negated in asked_of_the_turn(condition)
        if compare.threshold == threshold
    }
    return ways.pop() if len(ways) == 1 else None
