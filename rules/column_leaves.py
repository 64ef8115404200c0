"""One comparison over a whole column. True where it is known to hold, and nowhere else: unknown makes it false.

Texts and sets stand as few different values, so each of them is asked by the tester of the turn-by-turn engine, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

import polars as pl

from rules.comparisons import COMPARISONS, kind_of, kinds_of, operands_of, tester
from rules.model import Compare
from rules.turn import Value

# An expression that is never null, or the same answer for every row.
Truth: TypeAlias = pl.Expr | bool
Leaf: TypeAlias = Callable[[Compare], Truth]


def every(parts: Sequence[Truth]) -> Truth:
    """Return what holds where all the parts do."""
    if any(part is False for part in parts):
        return False
    kept = [part for part in parts if not isinstance(part, bool)]
    return kept[0] if len(kept) == 1 else pl.all_horizontal(kept) if kept else True


def some(parts: Sequence[Truth]) -> Truth:
    """Return what holds where one of the parts does."""
    if any(part is True for part in parts):
        return True
    kept = [part for part in parts if not isinstance(part, bool)]
    return kept[0] if len(kept) == 1 else pl.any_horizontal(kept) if kept else False


def opposite(truth: Truth) -> Truth:
    """Return what holds where this does not; of an expression that may be null, null stays null."""
    return not truth if isinstance(truth, bool) else ~truth


def absent(compare: Compare) -> Truth:
    """Answer for a signal that no row knows."""
    return tester(compare)(None)


def bool_leaf(expr: pl.Expr, *, nullable: bool = True) -> Leaf:
    """Return what compares a Boolean column."""

    def met(compare: Compare) -> Truth:
        test = tester(compare)
        if test(None):
            return expr.is_null() if nullable else False
        if test(True) and test(False):
            return expr.is_not_null() if nullable else True
        if not test(True) and not test(False):
            return False
        held = expr if test(True) else ~expr
        return held.fill_null(False) if nullable else held

    return met


def coded_leaf(expr: pl.Expr, values: Sequence[tuple[object, Value]], *, nullable: bool = True) -> Leaf:
    """Return what compares a column of few different values: each as the column has it, and what it stands for."""

    def met(compare: Compare) -> Truth:
        test = tester(compare)
        if test(None):
            return expr.is_null() if nullable else False
        return one_of(expr, values, test, nullable=nullable)

    return met


def one_of(
    expr: pl.Expr, values: Sequence[tuple[object, Value]], test: Callable[[Value], bool], *, nullable: bool = True
) -> Truth:
    """Return where the column has a value that passes the test; null passes none."""
    passing = [code for code, value in values if test(value)]
    if not passing:
        return False
    if len(passing) == len(values):
        return expr.is_not_null() if nullable else True
    if len(passing) * 2 <= len(values):
        held = expr == passing[0] if len(passing) == 1 else expr.is_in(passing)
    else:
        failing = [code for code, value in values if not test(value)]
        held = expr != failing[0] if len(failing) == 1 else ~expr.is_in(failing)
    return held.fill_null(False) if nullable else held


def number_leaf(expr: pl.Expr, *, nullable: bool = True) -> Leaf:
    """Return what compares a column of finite numbers, exactly: an operand need not be a float itself."""

    def met(compare: Compare) -> Truth:
        comparison = COMPARISONS[compare.operator]
        if comparison.group == "presence":
            if comparison.wanted:
                return expr.is_not_null() if nullable else True
            return expr.is_null() if nullable else False
        if "number" not in kinds_of(compare):
            return False
        numbers = [cast("float | int", one) for one in operands_of(compare) if kind_of(one) == "number"]
        if comparison.group == "equal":
            held = _equal(expr, numbers, wanted=comparison.wanted)
        else:
            held = _ordered(expr, compare.operator, numbers[0])
        if held is True:
            return expr.is_not_null() if nullable else True
        return held if isinstance(held, bool) or not nullable else held.fill_null(False)

    return met


def _equal(expr: pl.Expr, numbers: Sequence[float | int], *, wanted: bool) -> Truth:
    # An int between two floats is no float, so no value of the column equals it.
    floats = sorted({float(number) for number in numbers if float(number) == number})
    if not floats:
        return not wanted
    held = some([expr == number for number in floats])
    return held if wanted else opposite(held)


def _ordered(expr: pl.Expr, operator: str, bound: float | int) -> pl.Expr:
    near = float(bound)
    if near == bound:
        return {"<": expr < near, "<=": expr <= near, ">": expr > near, ">=": expr >= near}[operator]
    # Between the bound and the float next to it no value lies, so `<` and `<=` are one, and so are `>` and `>=`.
    if operator in ("<", "<="):
        return expr < near if near > bound else expr <= near
    return expr >= near if near > bound else expr > near
