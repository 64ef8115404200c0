"""One comparison over a whole column. True where it is known to hold, and nowhere else: unknown makes it false.

Texts and sets stand as few different values, so each of them is asked by the tester of the turn-by-turn engine, once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias, cast

import polars as pl

from rules.evaluation.comparisons import COMPARISONS, kind_of, kinds_of, operands_of, tester
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
    codes = [code for code, _ in values]

    def met(compare: Compare) -> Truth:
        test = tester(compare)
        if test(None):
            return expr.is_null() if nullable else False
        return among(expr, [code for code, value in values if test(value)], codes, nullable=nullable)

    return met


class Sets:
    """A column of sets, asked for one member after another: rules do so by the hundred.

    Some members at a time are kept as the bits of a number a row, and one more bit tells that there is a set at all; a
    bit is tested ten times as fast as a value is sought among many. `add` puts such numbers beside the other columns;
    without it, or where the column is no Enum, values are sought.
    """

    def __init__(
        self,
        column: pl.Series,
        values: Sequence[tuple[object, frozenset[str]]],
        add: Callable[[str, pl.Expr], pl.Expr] | None = None,
    ) -> None:
        self.values = values
        self._column = column
        self._expr = pl.col(column.name)
        self._nullable = column.null_count() > 0
        self._add = add if isinstance(column.dtype, pl.Enum) else None
        self._holding: dict[str, list[int]] = {}
        for place, (_, members) in enumerate(values):
            for member in members:
                self._holding.setdefault(member, []).append(place)
        self._order = {member: number for number, member in enumerate(sorted(self._holding))}
        self._words: dict[int, pl.Expr] = {}

    def has(self, member: str) -> Truth:
        """Return where a set has the member; null has none."""
        if member not in self._holding:
            return False
        if self._add is None:
            return self.passing(lambda members: isinstance(members, frozenset) and member in members)
        bits, bit = self._bits(member)
        return (bits & _word(bit)) != _word(0)

    def lacks(self, member: str) -> Truth:
        """Return where there is a set, and the member is not in it."""
        if self._add is None or member not in self._holding:
            return self.passing(lambda members: isinstance(members, frozenset) and member not in members)
        bits, bit = self._bits(member)
        return (bits & _word(bit | _THERE)) == _word(_THERE)

    def passing(self, test: Callable[[Value], bool]) -> Truth:
        """Return where a set passes a test; null passes none."""
        passing = [code for code, members in self.values if test(members)]
        return among(self._expr, passing, [code for code, _ in self.values], nullable=self._nullable)

    def unknown(self) -> Truth:
        """Return where there is no set."""
        return self._expr.is_null() if self._nullable else False

    def _bits(self, member: str) -> tuple[pl.Expr, int]:
        """Return the column of numbers that holds the member, and its bit there."""
        number, place = divmod(self._order[member], _MEMBERS_A_WORD)
        if number not in self._words and self._add is not None:
            # Where there is no set, the last place of the table is read.
            table = [*[_THERE] * len(self.values), 0]
            first = number * _MEMBERS_A_WORD
            for bit, each in enumerate(list(self._order)[first : first + _MEMBERS_A_WORD]):
                for code in self._holding[each]:
                    table[code] |= 1 << bit
            codes = self._expr.to_physical().cast(pl.UInt32)
            places = codes.fill_null(len(self.values)) if self._nullable else codes
            bits = pl.lit(pl.Series(table, dtype=_WORD)).gather(places)
            self._words[number] = self._add(f"#{self._column.name} {number}", bits)
        return self._words[number], 1 << place


# Reading a table costs the same whatever its numbers' width, and testing a bit of a narrow one less: the widest that
# costs hardly more to test.
_WORD = pl.UInt32()
_MEMBERS_A_WORD = 31
_THERE = 1 << _MEMBERS_A_WORD


@lru_cache(maxsize=2**8)
def _word(bits: int) -> pl.Expr:
    return pl.lit(bits, dtype=_WORD)


def set_leaf(sets: Sets) -> Leaf:
    """Return what compares a column of sets."""

    def met(compare: Compare) -> Truth:
        test = tester(compare)
        if test(None):
            return sets.unknown()
        if isinstance(compare.operand, str) and compare.operator in ("has", "lacks"):
            return sets.has(compare.operand) if compare.operator == "has" else sets.lacks(compare.operand)
        return sets.passing(test)

    return met


def among(expr: pl.Expr, passing: Sequence[object], codes: Sequence[object], *, nullable: bool) -> Truth:
    """Return where the column has one of these values, out of all that it has; null is none of them."""
    if not passing:
        return False
    if len(passing) == len(codes):
        return expr.is_not_null() if nullable else True
    if len(passing) * 2 <= len(codes):
        held = expr == passing[0] if len(passing) == 1 else expr.is_in(passing)
    else:
        kept = frozenset(passing)
        failing = [code for code in codes if code not in kept]
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
        numbers = _numbers_of(compare)
        if not numbers:
            return False
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


_ORDERED: Mapping[str, Callable[[pl.Expr, float], pl.Expr]] = {
    "<": lambda expr, bound: expr < bound,
    "<=": lambda expr, bound: expr <= bound,
    ">": lambda expr, bound: expr > bound,
    ">=": lambda expr, bound: expr >= bound,
}


def _ordered(expr: pl.Expr, operator: str, bound: float | int) -> pl.Expr:
    near = float(bound)
    if near == bound:
        return _ORDERED[operator](expr, near)
    # Between the bound and the float next to it no value lies, so `<` and `<=` are one, and so are `>` and `>=`.
    if operator in ("<", "<="):
        return expr < near if near > bound else expr <= near
    return expr >= near if near > bound else expr > near


def extreme_leaf(some_turn: Callable[[str, float | int], Truth], known: Truth, *, least: bool) -> Leaf:
    """Return what compares the least, or else the greatest, of some turns' numbers.

    The least is below a bound where some turn's number is: `some_turn` tells where one compares so with a number, and
    `known` where any is known.
    """
    beyond, upto = ("<", "<=") if least else (">", ">=")

    def is_number(number: float | int) -> Truth:
        return every([some_turn(upto, number), opposite(some_turn(beyond, number))])

    def met(compare: Compare) -> Truth:
        comparison = COMPARISONS[compare.operator]
        if comparison.group == "presence":
            return known if comparison.wanted else opposite(known)
        numbers = _numbers_of(compare)
        if not numbers:
            return False
        if comparison.group == "order":
            if compare.operator in (beyond, upto):
                return some_turn(compare.operator, numbers[0])
            return every([known, opposite(some_turn(comparison.opposite, numbers[0]))])
        held = some([is_number(number) for number in numbers])
        return held if comparison.wanted else every([known, opposite(held)])

    return met


def whole_leaf(at_least: Callable[[int], Truth]) -> Leaf:
    """Return what compares a whole number that is always known; `at_least` tells where it is not below another."""

    def is_number(number: float | int) -> Truth:
        whole = math.floor(number)
        return every([at_least(whole), opposite(at_least(whole + 1))]) if whole == number else False

    def met(compare: Compare) -> Truth:
        comparison = COMPARISONS[compare.operator]
        if comparison.group == "presence":
            return comparison.wanted
        numbers = _numbers_of(compare)
        if not numbers:
            return False
        if comparison.group == "order":
            first = math.ceil(numbers[0]) if compare.operator in ("<", ">=") else math.floor(numbers[0]) + 1
            return at_least(first) if compare.operator in (">", ">=") else opposite(at_least(first))
        held = some([is_number(number) for number in numbers])
        return held if comparison.wanted else opposite(held)

    return met


def _numbers_of(compare: Compare) -> list[float | int]:
    """Return the numbers that a comparison compares with; none where it holds for no number."""
    if "number" not in kinds_of(compare):
        return []
    return [cast("float | int", one) for one in operands_of(compare) if kind_of(one) == "number"]
