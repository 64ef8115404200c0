"""What every comparison means for one value, and which one is its opposite. No rule and no turn is known here."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from rules.model import Aggregate, Compare
from rules.turn import Scalar, Value

Kind: TypeAlias = Literal["number", "text", "bool", "set"]
Key: TypeAlias = tuple[object, ...]

# Past this, a float is infinite and an int has no float beside it: such a number is no measurement, so it is unknown.
NUMBER_MAX = sys.float_info.max
# Up to this size every int is a float too, so the next float above a number is the next number of either kind.
EXACT_MAX = 2**53


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row of COMPARISONS. `opposite` holds exactly where this one does not, unknown values apart.

    `group` tells how the operand is met, and how the index stores it: `order` as intervals of numbers, `equal` as a
    table of values, `member` as masks of a set's members, `subset` by itself, `presence` by whether there is a value at
    all. `wanted` is what meeting the operand must come to.
    """

    opposite: str
    group: Literal["order", "equal", "member", "subset", "presence"]
    wanted: bool = True


COMPARISONS: dict[str, Comparison] = {
    "<": Comparison(">=", "order"),
    "<=": Comparison(">", "order"),
    ">": Comparison("<=", "order"),
    ">=": Comparison("<", "order"),
    "=": Comparison("!=", "equal"),
    "!=": Comparison("=", "equal", wanted=False),
    "in": Comparison("not in", "equal"),
    "not in": Comparison("in", "equal", wanted=False),
    "has": Comparison("lacks", "member"),
    "lacks": Comparison("has", "member", wanted=False),
    "within": Comparison("not within", "subset"),
    "not within": Comparison("within", "subset", wanted=False),
    "is known": Comparison("is unknown", "presence"),
    "is unknown": Comparison("is known", "presence", wanted=False),
}

NUMBERS: tuple[type, ...] = (float, int)
_KINDS: dict[type, Kind] = {bool: "bool", str: "text", frozenset: "set"}


def kind_of(value: object) -> Kind | None:
    """Return what a value is to the rules, None when it is unknown.

    NaN, infinities, ints past the largest float, and types that no signal has are unknown. True is no number.
    """
    if type(value) is float or type(value) is int:
        return "number" if -NUMBER_MAX <= value <= NUMBER_MAX else None
    return _KINDS.get(type(value))


def number_above(number: float | int) -> float | int:
    """Return the smallest int or float greater than `number`, so that `<=` is `<` with this."""
    if -EXACT_MAX < number < EXACT_MAX:
        return math.nextafter(number, math.inf)
    return int(number) + 1


def operands_of(compare: Compare) -> tuple[Scalar, ...]:
    """Return what a comparison compares with, one or many, without operands that are no values (NaN, infinities)."""
    operand = compare.operand
    many = operand if isinstance(operand, tuple) else () if operand is None else (operand,)
    return tuple(one for one in many if kind_of(one) is not None)


def kinds_of(compare: Compare) -> frozenset[Kind]:
    """Return the kinds of value that a comparison can hold for; a value of another kind counts as unknown to it."""
    comparison = COMPARISONS[compare.operator]
    if comparison.group == "presence":
        return frozenset()
    if comparison.group == "member":
        return frozenset({"set"}) if isinstance(compare.operand, str) else frozenset()
    if comparison.group == "subset":
        return frozenset({"set"}) if isinstance(compare.operand, tuple) else frozenset()
    kinds = {kind_of(operand) for operand in operands_of(compare)}
    allowed: set[Kind] = {"number"} if comparison.group == "order" else {"number", "text", "bool"}
    return frozenset(kind for kind in allowed if kind in kinds)


def same_key(operand: Scalar) -> Key:
    """Return a key under which equal operands meet: 1 and 1.0 are one number, but True is none."""
    return (kind_of(operand), operand)


def key_of(compare: Compare) -> Key:
    """Return a key under which comparisons that mean the same meet, wherever they were written."""
    left = aggregate_key(compare.left) if isinstance(compare.left, Aggregate) else compare.left
    if isinstance(compare.operand, tuple):
        return (left, compare.operator, frozenset(map(same_key, operands_of(compare))))
    # One operand, as most comparisons have: the same in half the time, and it is asked for each several times.
    kind = kind_of(compare.operand)
    return (left, compare.operator, frozenset() if kind is None else frozenset(((kind, compare.operand),)))


def aggregate_key(aggregate: Aggregate) -> Key:
    """Return a key under which aggregates that mean the same meet, wherever they were written."""
    of = key_of(aggregate.of) if isinstance(aggregate.of, Compare) else aggregate.of
    window = aggregate.window
    return (aggregate.function, of, window.turns, window.span_ms, window.earlier)


def opposite(compare: Compare) -> Compare:
    """Return the comparison that holds where this one is known not to. An aggregate inside stays as it is."""
    return Compare(
        compare.left,
        COMPARISONS[compare.operator].opposite,
        compare.operand,
        compare.text,
        compare.span,
        compare.threshold,
    )


def tester(compare: Compare) -> Callable[[Value], bool]:
    """Return a function that tells whether the comparison holds for a value; unknown and foreign kinds never do."""
    comparison = COMPARISONS[compare.operator]
    wanted = comparison.wanted
    operands = operands_of(compare)
    if comparison.group == "presence":
        return lambda value: (kind_of(value) is not None) is wanted
    if comparison.group == "equal":
        kinds, keys = kinds_of(compare), frozenset(map(same_key, operands))
        return lambda value: (kind := kind_of(value)) in kinds and ((kind, value) in keys) is wanted
    if comparison.group == "subset" and kinds_of(compare):
        allowed = frozenset(operands)
        return lambda value: type(value) is frozenset and (value <= allowed) is wanted
    if not kinds_of(compare) or len(operands) != 1:
        return lambda value: False
    if comparison.group == "member":
        member = operands[0]
        return lambda value: type(value) is frozenset and (member in value) is wanted
    return _order_tester(compare.operator, cast(float, operands[0]))


def _order_tester(operator: str, bound: float | int) -> Callable[[Value], bool]:
    # `<=` is `<` with the next number, and `>` is `>=` with it, so that two shapes do for four operators.
    if operator in ("<", "<="):
        below = bound if operator == "<" else number_above(bound)
        return lambda value: type(value) in NUMBERS and -NUMBER_MAX <= cast(float, value) < below
    above = bound if operator == ">=" else number_above(bound)
    return lambda value: type(value) in NUMBERS and above <= cast(float, value) <= NUMBER_MAX
