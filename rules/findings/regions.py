"""Which values meet a comparison, as sets that can be joined, met and held against each other. Nothing is evaluated.

What comparisons say is told exactly. Only `met` may return more than there is, and `covers` may miss a yes: who reasons
with regions errs towards silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import NamedTuple, cast

from rules.evaluation.comparisons import COMPARISONS, Comparison, Kind, kinds_of, operands_of
from rules.model import Compare

# A set-valued signal with more ways than this to meet a condition is taken for any set: 64 are an `any` of 64 topics.
SET_WAYS_MAX = 64


class Interval(NamedTuple):
    """Numbers from `low` to `high`; an open end does not belong to it."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False


class Words(NamedTuple):
    """Texts: those of `names` when `listed`, all others when not."""

    names: frozenset[str]
    listed: bool


class Members(NamedTuple):
    """Sets that have every word of `has` and none of `lacks`.

    They hold nothing besides `within`, unless that is None, and of each set of `beyond` they hold something besides.
    """

    has: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    within: frozenset[str] | None = None
    beyond: frozenset[frozenset[str]] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Return whether no set is like this."""
        if self.within is None:
            return not self.has.isdisjoint(self.lacks)
        possible = self.within - self.lacks
        return not self.has <= possible or any(possible <= each for each in self.beyond)

    def covers(self, other: Members) -> bool:
        """Return whether every set that is like the other is like this one."""
        possible = None if other.within is None else other.within - other.lacks
        return (
            self.has <= other.has
            and all(word in other.lacks or (possible is not None and word not in possible) for word in self.lacks)
            and (self.within is None or (possible is not None and possible <= self.within))
            and all(not other.has <= each or any(each <= more for more in other.beyond) for each in self.beyond)
        )


NO_NUMBERS: tuple[Interval, ...] = ()
ALL_NUMBERS: tuple[Interval, ...] = (Interval(-math.inf, math.inf, True, True),)
NO_TEXTS = Words(frozenset(), listed=True)
ALL_TEXTS = Words(frozenset(), listed=False)
ALL_SETS: tuple[Members, ...] = (Members(),)


@dataclass(frozen=True, slots=True)
class Region:
    """Values of one signal, kind by kind; `unknown` tells whether having no value belongs to it."""

    unknown: bool = False
    numbers: tuple[Interval, ...] = NO_NUMBERS
    texts: Words = NO_TEXTS
    bools: frozenset[bool] = frozenset()
    sets: tuple[Members, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether no value at all belongs to it."""
        return not (self.unknown or self.numbers or self.bools or self.sets) and self.texts == NO_TEXTS

    @property
    def interval(self) -> Interval | None:
        """Return the one interval of numbers that the region is, None when it is anything else."""
        if len(self.numbers) != 1 or self.unknown or self.bools or self.sets or self.texts != NO_TEXTS:
            return None
        return self.numbers[0]

    @property
    def is_of_sets(self) -> bool:
        """Return whether it holds sets and nothing else."""
        return bool(self.sets) and not (self.unknown or self.numbers or self.bools) and self.texts == NO_TEXTS

    @property
    def is_of_listed_texts(self) -> bool:
        """Return whether it holds some texts and nothing else."""
        return self._is_of_texts and self.texts.listed

    @property
    def is_of_other_texts(self) -> bool:
        """Return whether it holds all texts but some, and nothing else."""
        return self._is_of_texts and not self.texts.listed

    @property
    def _is_of_texts(self) -> bool:
        return bool(self.texts.names) and not (self.unknown or self.numbers or self.bools or self.sets)


EVERYTHING = Region(True, ALL_NUMBERS, ALL_TEXTS, frozenset({True, False}), ALL_SETS)
KNOWN = Region(False, ALL_NUMBERS, ALL_TEXTS, frozenset({True, False}), ALL_SETS)
UNKNOWN = Region(True)


def region_of(compare: Compare) -> Region:
    """Return the values that meet a comparison, whatever type its signal has: as the evaluator tests them."""
    comparison = COMPARISONS[compare.operator]
    if comparison.group == "presence":
        return KNOWN if comparison.wanted else UNKNOWN
    kinds, operands = kinds_of(compare), operands_of(compare)
    if not kinds:
        return Region()
    if "set" in kinds:
        return Region(sets=(_members(comparison, frozenset(cast("tuple[str, ...]", operands))),))
    numbers = [operand for operand in operands if isinstance(operand, int | float) and not isinstance(operand, bool)]
    if comparison.group == "order":
        return Region(numbers=(_half(compare.operator, numbers[0]),)) if len(operands) == 1 else Region()
    return _equal(kinds, numbers, operands, wanted=comparison.wanted)


def _members(comparison: Comparison, words: frozenset[str]) -> Members:
    if comparison.group == "member":
        return Members(has=words) if comparison.wanted else Members(lacks=words)
    return Members(within=words) if comparison.wanted else Members(beyond=frozenset({words}))


def _half(operator: str, bound: float) -> Interval:
    if operator in ("<", "<="):
        return Interval(-math.inf, bound, True, operator == "<")
    return Interval(bound, math.inf, operator == ">", True)


def _equal(kinds: frozenset[Kind], numbers: list[float], operands: Iterable[object], *, wanted: bool) -> Region:
    words = frozenset(operand for operand in operands if isinstance(operand, str))
    bools = frozenset(operand for operand in operands if isinstance(operand, bool))
    points = tuple(Interval(number, number) for number in sorted(set(numbers)))
    if wanted:
        return Region(numbers=points, texts=Words(words, listed=True), bools=bools)
    return Region(
        numbers=_gaps(points) if "number" in kinds else NO_NUMBERS,
        texts=Words(words, listed=False) if "text" in kinds else NO_TEXTS,
        bools=frozenset({True, False}) - bools if "bool" in kinds else frozenset(),
    )


def _gaps(points: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """Return all numbers but these."""
    ends = [-math.inf, *(point.low for point in points), math.inf]
    return tuple(Interval(low, high, True, True) for low, high in pairwise(ends))


def joined(regions: Iterable[Region]) -> Region:
    """Return the values that belong to at least one of the regions."""
    first, *others = regions
    return reduce(_join, others, first)


def _join(one: Region, other: Region) -> Region:
    return Region(
        one.unknown or other.unknown,
        _join_numbers((*one.numbers, *other.numbers)),
        _join_texts(one.texts, other.texts),
        one.bools | other.bools,
        _join_sets((*one.sets, *other.sets)),
    )


def _join_numbers(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    merged: list[Interval] = []
    for interval in sorted(intervals, key=lambda each: (each.low, each.low_open)):
        last = merged[-1] if merged else None
        touches = last is not None and (
            interval.low < last.high or (interval.low == last.high and not (interval.low_open and last.high_open))
        )
        if last is None or not touches:
            merged.append(interval)
        elif (interval.high, not interval.high_open) > (last.high, not last.high_open):
            merged[-1] = Interval(last.low, interval.high, last.low_open, interval.high_open)
    return tuple(merged)


def _join_texts(one: Words, other: Words) -> Words:
    if one.listed and other.listed:
        return Words(one.names | other.names, listed=True)
    if one.listed or other.listed:
        listed, others = (one, other) if one.listed else (other, one)
        return Words(others.names - listed.names, listed=False)
    return Words(one.names & other.names, listed=False)


def _join_sets(ways: Iterable[Members]) -> tuple[Members, ...]:
    kept = tuple(dict.fromkeys(ways))
    # What has a word and what lacks it are all sets together, and so are those within some words and those beyond.
    opposites = {Members(lacks=way.has) for way in kept if len(way.has) == 1 and way == Members(has=way.has)}
    opposites |= {
        Members(beyond=frozenset({way.within}))
        for way in kept
        if way.within is not None and way == Members(within=way.within)
    }
    return ALL_SETS if ALL_SETS[0] in kept or not opposites.isdisjoint(kept) else kept


def met(one: Region, other: Region) -> Region:
    """Return the values that belong to both regions; perhaps a few more where sets have very many ways."""
    return Region(
        one.unknown and other.unknown,
        _meet_numbers(one.numbers, other.numbers),
        _meet_texts(one.texts, other.texts),
        one.bools & other.bools,
        _meet_sets(one.sets, other.sets),
    )


def _meet_numbers(some: tuple[Interval, ...], others: tuple[Interval, ...]) -> tuple[Interval, ...]:
    if some is ALL_NUMBERS or others is ALL_NUMBERS:
        return others if some is ALL_NUMBERS else some
    found = []
    for one in some:
        for other in others:
            low, low_open = max((one.low, one.low_open), (other.low, other.low_open))
            high, high_closed = min((one.high, not one.high_open), (other.high, not other.high_open))
            if low < high or (low == high and not low_open and high_closed):
                found.append(Interval(low, high, low_open, not high_closed))
    return tuple(found)


def _meet_texts(one: Words, other: Words) -> Words:
    if one.listed and other.listed:
        return Words(one.names & other.names, listed=True)
    if one.listed or other.listed:
        listed, others = (one, other) if one.listed else (other, one)
        return Words(listed.names - others.names, listed=True)
    return Words(one.names | other.names, listed=False)


def _meet_sets(some: tuple[Members, ...], others: tuple[Members, ...]) -> tuple[Members, ...]:
    if ALL_SETS in (some, others):
        return others if some == ALL_SETS else some
    if len(some) * len(others) > SET_WAYS_MAX:
        return some if len(some) <= len(others) else others
    both = dict.fromkeys(_meet_members(one, other) for one in some for other in others)
    return tuple(way for way in both if not way.is_empty)


def _meet_members(one: Members, other: Members) -> Members:
    if one.within is None or other.within is None:
        within = other.within if one.within is None else one.within
    else:
        within = one.within & other.within
    return Members(one.has | other.has, one.lacks | other.lacks, within, one.beyond | other.beyond)


def whole(region: Region) -> Region:
    """Return the region of a signal that only takes whole numbers: `> 2` is `>= 3`, and 2 and 3 stand side by side."""
    rounded: list[Interval] = []
    for interval in region.numbers:
        low, high = interval.low, interval.high
        if math.isfinite(low):
            low = math.floor(low) + 1 if interval.low_open else math.ceil(low)
        if math.isfinite(high):
            high = math.ceil(high) - 1 if interval.high_open else math.floor(high)
        if low > high:
            continue
        if rounded and rounded[-1].high + 1 >= low:
            rounded[-1] = rounded[-1]._replace(high=max(rounded[-1].high, high))
        else:
            rounded.append(Interval(low, high, low == -math.inf, high == math.inf))
    return Region(region.unknown, tuple(rounded), region.texts, region.bools, region.sets)


def covers(outer: Region, inner: Region) -> bool:
    """Return whether every value of `inner` belongs to `outer`; perhaps False where sets would need more thought."""
    if inner.unknown and not outer.unknown:
        return False
    return (
        inner.bools <= outer.bools
        and all(any(spans(wide, narrow) for wide in outer.numbers) for narrow in inner.numbers)
        and _covers_texts(outer.texts, inner.texts)
        and all(any(wide.covers(narrow) for wide in outer.sets) for narrow in inner.sets)
    )


def spans(wide: Interval, narrow: Interval) -> bool:
    """Return whether one interval lies within another."""
    low_inside = wide.low < narrow.low or (wide.low == narrow.low and (narrow.low_open or not wide.low_open))
    high_inside = wide.high > narrow.high or (wide.high == narrow.high and (narrow.high_open or not wide.high_open))
    return low_inside and high_inside


def _covers_texts(outer: Words, inner: Words) -> bool:
    if outer.listed:
        return inner.listed and inner.names <= outer.names
    return not inner.names & outer.names if inner.listed else outer.names <= inner.names
