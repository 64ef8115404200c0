"""What holds of conditions on every turn: that one never holds, always holds, or follows from another.

Every answer is proved: a yes holds for all turns. A no may only mean that nothing was found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple, TypeAlias

from rules.evaluation.clauses import Calls, Clause, Every, Node, OneOf, Some, clauses_of, one_of
from rules.evaluation.comparisons import Key
from rules.evaluation.signal_table import CALL_SIGNALS, SignalSpec
from rules.findings.domains import Domains
from rules.findings.regions import Interval, Region, covers, joined, met, region_of, spans, whole
from rules.findings.relations import never_together
from rules.model import Aggregate, Compare

Left: TypeAlias = str | Key
# Whether what is given makes a condition hold on every turn.
Follows: TypeAlias = "Callable[[Given], bool]"

# What a clause speaks of: the values of a signal, one word among them, counts of a signal, tool calls.
Need: TypeAlias = str | Key
# Under these two a clause is filed for what it says of tool calls, whatever it says of them.
SOME_CALL: Key = ("some call",)
EVERY_CALL: Key = ("every call",)
# What no call can meet is said of every call: then there is none, and anything holds of every one.
NO_CALL: Key = ("no call",)


class Counted(NamedTuple):
    """A count or streak that is given, and the least that it comes to."""

    aggregate: Aggregate
    least: float


@dataclass(slots=True)
class Given:
    """What one clause says of the values of a turn: a region each, tool calls, and what was counted.

    `intervals` holds the regions that are one interval of numbers and nothing else, which most are.
    """

    regions: dict[Left, Region] = field(default_factory=dict)
    intervals: dict[Left, Interval] = field(default_factory=dict)
    calls: list[Calls] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)


class Reasoning:
    """Works on the conditions of one set of rule files; what was found out once is remembered."""

    def __init__(self, specs: Mapping[str, SignalSpec], *, known_only: bool = False) -> None:
        """Take the rows of the signals; `known_only` supposes that every signal is known on every turn."""
        self._domains = Domains(specs, known_only=known_only)
        self._call_domains = Domains(CALL_SIGNALS, known_only=known_only)
        self._literals: dict[tuple[bool, Key], Region] = {}
        self._calls: dict[tuple[Key, ...], bool] = {}

    def ways(self, node: Node) -> list[Given]:
        """Return the ways in which a condition can hold; none when it never holds."""
        given = (self.given(clause.values()) for clause in clauses_of(node)[0])
        return [each for each in given if each is not None]

    def always(self, node: Node) -> bool:
        """Return whether the condition holds on every turn."""
        if isinstance(node, OneOf):
            return covers(self._region(node, self._domains, False), self._domains.of(node.left))
        if isinstance(node, Calls):
            return self._call_follows(node, [], self.follows(node.condition, in_call=True))
        return (
            all(map(self.always, node.parts))
            if isinstance(node, Every)
            else any(map(self.always, self._together(node)))
        )

    def conflict(self, clause: Clause) -> tuple[Compare | Calls, Compare | Calls] | None:
        """Return two parts of a clause that never hold together, None when no two of them are to blame alone."""
        for one, other in combinations(clause.values(), 2):
            if self.given((one, other)) is None:
                return _first(one), _first(other)
        return None

    def given(self, literals: Iterable[Node], *, in_call: bool = False) -> Given | None:
        """Return what these say together, None when they never hold together."""
        given = Given()
        domains = self._call_domains if in_call else self._domains
        for literal in literals:
            if isinstance(literal, Calls):
                given.calls.append(literal)
            elif isinstance(literal, OneOf) and not self._add(given, literal, domains, in_call):
                return None
        if self._calls_conflict(given.calls) or (not in_call and self._never_together(given)):
            return None
        return given

    def _add(self, given: Given, literal: OneOf, domains: Domains, in_call: bool) -> bool:
        """Add what a literal says; return whether anything is left."""
        left = literal.left
        key = domains.key(left)
        region, before = self._region(literal, domains, in_call), given.regions.get(key)
        # The region of a literal lies in the domain already.
        region = region if before is None else met(before, region)
        given.regions[key] = region
        given.intervals.pop(key, None)
        if (interval := region.interval) is not None:
            given.intervals[key] = interval
        if region.is_empty:
            return False
        if not isinstance(left, Aggregate) or not isinstance(left.of, Compare) or not region.numbers:
            return True
        least = region.numbers[0].low
        given.counted.append(Counted(left, least))
        # A streak of at least one has this turn in it, unless only earlier turns are looked at.
        has_this_turn = left.function == "streak" and least >= 1 and not left.window.earlier
        return not has_this_turn or self._add(given, one_of((left.of,)), domains, in_call)

    def _never_together(self, given: Given) -> bool:
        some_call = any(not each.every for each in given.calls)
        counted = [(each.least, each.aggregate.window.earlier) for each in given.counted]
        amounts = self._amounts(given.calls) if some_call and "amount_usd_max" in given.regions else []
        return never_together(given.regions, calls_least=int(some_call), counted=counted, amounts=amounts)

    def _amounts(self, calls: list[Calls]) -> list[Interval]:
        """Return the amount of each call that is given, as far as it is known: nothing is known of one in two ways."""
        every = [each.condition for each in calls if each.every]
        found = []
        for call in calls:
            ways = [] if call.every else self._call_ways([call.condition, *every])
            amount = ways[0].regions.get("amount_usd") if len(ways) == 1 else None
            if amount is not None and not amount.unknown and amount.numbers:
                found.append(Interval(amount.numbers[0].low, math.inf, amount.numbers[0].low_open, True))
        return found

    def _region(self, literal: OneOf, domains: Domains, in_call: bool) -> Region:
        key = (in_call, literal.key)
        region = self._literals.get(key)
        if region is None:
            region = met(joined(map(region_of, literal.compares)), domains.of(literal.left))
            region = whole(region) if domains.is_whole(literal.left) else region
            self._literals[key] = region
        return region

    def _calls_conflict(self, calls: list[Calls]) -> bool:
        """Return whether no call can meet one of the conditions and all that every call must meet."""
        every = [each.condition for each in calls if each.every]
        return any(not self._call_ways([each.condition, *every]) for each in calls if not each.every)

    def _call_ways(self, conditions: list[Node]) -> list[Given]:
        together = conditions[0] if len(conditions) == 1 else Every(tuple(conditions), ())
        given = (self.given(clause.values(), in_call=True) for clause in clauses_of(together)[0])
        return [each for each in given if each is not None]

    def follows(self, node: Node, *, in_call: bool = False) -> Follows:
        """Return what tells whether a condition holds on every turn on which something given does."""
        if isinstance(node, OneOf):
            return self._follows_value(node, in_call)
        if isinstance(node, Calls):
            inner = self.follows(node.condition, in_call=True)
            return lambda given: self._call_follows(node, given.calls, inner)
        if isinstance(node, Every):
            return _all_follow([self.follows(part, in_call=in_call) for part in node.parts])
        return _any_follows([self.follows(part, in_call=in_call) for part in self._together(node)])

    def _together(self, node: Some) -> Iterator[Node]:
        """Yield the parts of an `any`, those that speak of the same signal as one."""
        domains = self._domains
        by_left: dict[Left, list[OneOf]] = {}
        for part in _flat(node):
            if isinstance(part, OneOf):
                by_left.setdefault(domains.key(part.left), []).append(part)
            else:
                yield part
        for parts in by_left.values():
            compares = tuple(compare for part in parts for compare in part.compares)
            yield parts[0] if len(parts) == 1 else one_of(compares)

    def _follows_value(self, literal: OneOf, in_call: bool) -> Follows:
        domains = self._call_domains if in_call else self._domains
        left, key = literal.left, domains.key(literal.left)
        region = self._region(literal, domains, in_call)
        if covers(region, domains.of(left)):
            return lambda given: True
        at_least = self._at_least(literal, region) if isinstance(left, Aggregate) else None
        wide = region.interval

        def follows(given: Given) -> bool:
            narrow = given.intervals.get(key)
            if narrow is not None and wide is not None:
                found = spans(wide, narrow)
            else:
                inner = given.regions.get(key)
                found = inner is not None and covers(region, inner)
            return found or (at_least is not None and any(map(at_least, given.counted)))

        return follows

    def _at_least(self, literal: OneOf, region: Region) -> Callable[[Counted], bool] | None:
        """Return what tells whether another count or streak makes sure of this one, None when this one is neither.

        Three turns below 0.3 are three turns below 0.5 as well, and five of the last ten are five of the last twenty.
        """
        left, domain = literal.left, self._domains.of(literal.left)
        if not isinstance(left, Aggregate) or not isinstance(left.of, Compare) or len(region.numbers) != 1:
            return None
        if region.numbers[0].high < domain.numbers[0].high:
            return None
        # Without the domain: what is remembered may come from a time when the signal was not sent yet.
        wanted, inner, signal = region.numbers[0].low, region_of(left.of), left.of.left

        def holds(counted: Counted) -> bool:
            other = counted.aggregate
            assert isinstance(other.of, Compare)  # noqa: S101 - only counts and streaks are collected
            return (
                counted.least >= wanted
                and other.of.left == signal
                and _looks_no_further(other, left)
                and covers(inner, region_of(other.of))
            )

        return holds

    def _call_follows(self, wanted: Calls, calls: list[Calls], follows: Follows) -> bool:
        """Return whether what is given of the turn's calls makes sure of what is wanted of them.

        `follows` tells whether what is given of one call makes sure of the condition.
        """
        key = (wanted.key, *(each.key for each in calls))
        if key not in self._calls:
            every = [each.condition for each in calls if each.every]
            some = [] if wanted.every else [[each.condition, *every] for each in calls if not each.every]
            enough = [every] if wanted.every and every else some
            found = any(all(map(follows, self._call_ways(conditions))) for conditions in enough)
            self._calls[key] = found or (wanted.every and follows(Given()))
        return self._calls[key]

    def needs(self, node: Node, *, in_call: bool = False) -> list[frozenset[Need]]:
        """Return what a clause must speak of for the condition to follow: of each set one at least; [] for nothing."""
        if isinstance(node, Calls):
            return [] if self.always(node) else self._call_needs(node)
        if isinstance(node, OneOf):
            domains = self._call_domains if in_call else self._domains
            region = self._region(node, domains, in_call)
            return [] if covers(region, domains.of(node.left)) else [self._wanted(node.left, region, in_call)]
        if isinstance(node, Every):
            return [need for part in node.parts for need in self.needs(part, in_call=in_call)]
        some = [self.needs(part, in_call=in_call) for part in self._together(node)]
        # Of each part of an `any` one set is enough, for a clause must meet one of the parts.
        return [frozenset().union(*(needs[0] for needs in some))] if all(some) else []

    def _call_needs(self, node: Calls) -> list[frozenset[Need]]:
        """Return what a clause must say of calls, in the words of what it must say of one."""
        which = EVERY_CALL if node.every else SOME_CALL
        also: frozenset[Need] = frozenset({NO_CALL} if node.every else ())
        needs = [also.union((*which, need) for need in each) for each in self.needs(node.condition, in_call=True)]
        return needs or [frozenset({which})]

    def _wanted(self, left: str | Aggregate, region: Region, in_call: bool) -> frozenset[Need]:
        """Return what a clause must speak of for its values to lie in the region: words, where only these will do."""
        key = (self._call_domains if in_call else self._domains).key(left)
        if isinstance(left, Aggregate) and isinstance(left.of, Compare):
            return frozenset({("counted", left.of.left)})
        if region.is_of_sets and all(way.has for way in region.sets):
            return frozenset(("word", key, min(way.has)) for way in region.sets)
        if region.is_of_listed_texts:
            return frozenset(("word", key, name) for name in region.texts.names)
        if region.is_of_other_texts:
            return frozenset({("listed", key), ("but", key, min(region.texts.names))})
        return frozenset({key})

    def speaks_of(self, given: Given) -> Iterator[Need]:
        """Yield what a clause speaks of, in the words of `needs`."""
        for key, region in given.regions.items():
            yield key
            if region.sets:
                yield from (("word", key, word) for word in region.sets[0].has)
            elif region.is_of_listed_texts:
                yield from (("word", key, min(region.texts.names)), ("listed", key))
            elif region.is_of_other_texts:
                yield from (("but", key, name) for name in region.texts.names)
        for counted in given.counted:
            assert isinstance(counted.aggregate.of, Compare)  # noqa: S101 - only counts and streaks are collected
            yield ("counted", counted.aggregate.of.left)
        if given.calls:
            yield from (SOME_CALL, EVERY_CALL)
            every = [each.condition for each in given.calls if each.every]
            together = [(SOME_CALL, [each.condition, *every]) for each in given.calls if not each.every]
            for which, conditions in (*together, *([(EVERY_CALL, every)] if every else [])):
                ways = self._call_ways(conditions)
                yield from ((*which, need) for need in self.speaks_of(ways[0])) if ways else (NO_CALL,)


def _all_follow(parts: list[Follows]) -> Follows:
    # A loop: this is asked of each pair of rules, and `all` over a generator takes twice as long.
    def follows(given: Given) -> bool:
        for part in parts:  # noqa: SIM110  # see above
            if not part(given):
                return False
        return True

    return follows


def _any_follows(parts: list[Follows]) -> Follows:
    return lambda given: any(part(given) for part in parts)


def _flat(node: Some) -> Iterator[Node]:
    for part in node.parts:
        if isinstance(part, Some):
            yield from _flat(part)
        else:
            yield part


def _looks_no_further(other: Aggregate, wanted: Aggregate) -> bool:
    """Return whether what `other` counts can only be more in the window and the way of `wanted`."""
    if wanted.function == "streak" and other.function == "count":
        return False
    here, there = other.window, wanted.window
    if here == there or here.earlier != there.earlier:
        return here == there
    if there.turns is None and there.span_ms is None:
        shorter = True
    elif here.turns is not None and there.turns is not None:
        shorter = here.turns <= there.turns
    else:
        shorter = here.span_ms is not None and there.span_ms is not None and here.span_ms <= there.span_ms
    # A turn that came late may lie outside of a span and break no streak there.
    return shorter and (wanted.function == "count" or here.span_ms is None)


def _first(literal: Node) -> Compare | Calls:
    assert isinstance(literal, OneOf | Calls)  # noqa: S101 - a clause holds nothing else
    return literal if isinstance(literal, Calls) else literal.compares[0]
