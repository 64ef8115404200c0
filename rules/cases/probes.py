"""A rule's condition as its single comparisons, and what each of them met on a turn: true, false or unknown.

What tests cover and why a rule stayed quiet are read from here. Whether a rule fires is decided in
rules/evaluation/evaluate.py, and a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple, TypeAlias

from rules.evaluation.comparisons import COMPARISONS, key_of, opposite, tester
from rules.evaluation.explain import condition_text
from rules.evaluation.wording import aggregate_text
from rules.model import Aggregate, All, CallMatch, Compare, Condition, Not, Rule
from rules.turn import Value

# Ways in which one rule can fire that are told apart. Files that people write come to 1.5 a rule; who writes more
# alternatives than this has several rules in one.
WAYS_MAX = 32

Truth: TypeAlias = bool | None
Values: TypeAlias = Mapping[str, Value]
Way: TypeAlias = frozenset[int]  # the numbers of leaves that together make the rule fire


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison of a rule, `not` already taken into it. `text` is as rules/evaluation/explain.py words it.

    `block` is the number of the `tool_call` block that it stands in, None outside. `compare` is None for a negated
    block, which is one leaf of its own.
    """

    number: int
    text: str
    block: int | None
    compare: Compare | None = None

    @property
    def signal(self) -> str:
        """Return what it speaks of, as the rule file says it."""
        if self.compare is None:
            return "tool_call"
        left = self.compare.left
        return aggregate_text(left) if isinstance(left, Aggregate) else left


@dataclass(frozen=True, slots=True)
class Joined:
    """Parts of which `every` or `some` must hold; a `call` is one part that some call of the turn must meet."""

    kind: str
    parts: tuple[Tree, ...]
    block: int = 0


Tree: TypeAlias = Leaf | Joined


@dataclass(frozen=True, slots=True)
class Probe:
    """One rule to be looked into: its leaves by number, how they are joined, and the ways in which it can fire."""

    rule: Rule
    leaves: tuple[Leaf, ...]
    tree: Tree
    ways: tuple[Way, ...]
    _tests: tuple[Callable[[Values, Sequence[Values]], Truth], ...]

    def met(self, values: Values, calls: Sequence[Values]) -> Met:
        """Return what each leaf met on a turn with these values and these calls."""
        rows = [
            (test(values, calls),) if leaf.block is None else tuple([test(call, ()) for call in calls])
            for leaf, test in zip(self.leaves, self._tests, strict=True)
        ]
        return Met(tuple(rows), len(calls))


class Met(NamedTuple):
    """What a rule met on one turn: the truth of each leaf by its number; in a block, of each call of the turn.

    A named tuple, as a great many are made and looked up.
    """

    rows: tuple[tuple[Truth, ...], ...]
    calls: int

    def truth(self, tree: Tree, call: int | None = None, assumed: tuple[int, int | None] | None = None) -> Truth:
        """Return whether that part of the rule holds, with one leaf (of one call) `assumed` to hold."""
        if isinstance(tree, Leaf):
            place = None if tree.block is None else call
            if assumed == (tree.number, place):
                return True
            return self.rows[tree.number][place or 0]
        if tree.kind == "call":
            return some_hold([self.truth(tree.parts[0], number, assumed) for number in range(self.calls)])
        parts = [self.truth(part, call, assumed) for part in tree.parts]
        return every_holds(parts) if tree.kind == "every" else some_hold(parts)

    def helped(self, tree: Tree, call: int | None = None) -> Iterable[int]:
        """Yield the leaves that make this part of the rule hold; none when it does not."""
        if self.truth(tree, call) is not True:
            return
        if isinstance(tree, Leaf):
            yield tree.number
        elif tree.kind == "call":
            for number in range(self.calls):
                yield from self.helped(tree.parts[0], number)
        else:
            for part in tree.parts:
                yield from self.helped(part, call)

    def took(self, probe: Probe, way: Way) -> bool:
        """Return whether every leaf of the way holds, those of one block for one and the same call."""
        outside = [number for number in way if probe.leaves[number].block is None]
        if any(self.rows[number][0] is not True for number in outside):
            return False
        blocks = {probe.leaves[number].block for number in way} - {None}
        return all(
            any(
                all(self.rows[number][call] is True for number in way if probe.leaves[number].block == block)
                for call in range(self.calls)
            )
            for block in blocks
        )


def probe_of(rule: Rule) -> Probe:
    """Return a rule ready to be looked into."""
    reading = _Reading()
    tree = reading.tree(rule.when, negated=False, block=None)
    return Probe(rule, tuple(reading.leaves), tree, _without_longer(_ways(tree)), tuple(reading.tests))


@dataclass(slots=True)
class _Reading:
    """A condition on its way to a tree."""

    leaves: list[Leaf] = field(default_factory=list)
    tests: list[Callable[[Values, Sequence[Values]], Truth]] = field(default_factory=list)
    known: dict[tuple[object, int | None], Leaf] = field(default_factory=dict)
    blocks: int = 0

    def tree(self, condition: Condition, *, negated: bool, block: int | None) -> Tree:
        """Return the tree of a condition, or of its negation."""
        if isinstance(condition, Not):
            return self.tree(condition.part, negated=not negated, block=block)
        if isinstance(condition, Compare):
            meant = opposite(condition) if negated else condition
            text = f"not {condition.text}" if negated else condition.text
            return self._leaf(text, block, meant, _compare_test(meant))
        if isinstance(condition, CallMatch) and negated:
            text = f"not tool_call: {condition_text(condition.condition)}"
            return self._leaf(text, None, None, _no_call_test(condition.condition))
        if isinstance(condition, CallMatch):
            self.blocks += 1
            number = self.blocks
            return Joined("call", (self.tree(condition.condition, negated=False, block=number),), number)
        parts = tuple(self.tree(part, negated=negated, block=block) for part in condition.parts)
        return Joined("every" if isinstance(condition, All) is not negated else "some", parts)

    def _leaf(
        self,
        text: str,
        block: int | None,
        compare: Compare | None,
        test: Callable[[Values, Sequence[Values]], Truth],
    ) -> Leaf:
        """Return the leaf of a comparison; what means the same in the same place is one, wherever it stands."""
        key = (text if compare is None else key_of(compare), block)
        if key not in self.known:
            self.known[key] = Leaf(len(self.leaves), text, block, compare)
            self.leaves.append(self.known[key])
            self.tests.append(test)
        return self.known[key]


def _compare_test(compare: Compare) -> Callable[[Values, Sequence[Values]], Truth]:
    holds, fails = tester(compare), tester(opposite(compare))
    name = aggregate_text(compare.left) if isinstance(compare.left, Aggregate) else compare.left
    presence = COMPARISONS[compare.operator].group == "presence"

    def test(values: Values, _: Sequence[Values]) -> Truth:
        value = values.get(name)
        if value is None and not presence:
            return None
        return True if holds(value) else False if fails(value) else None

    return test


def _no_call_test(condition: Condition) -> Callable[[Values, Sequence[Values]], Truth]:
    reading = _Reading()
    tree = reading.tree(condition, negated=False, block=1)

    def test(_: Values, calls: Sequence[Values]) -> Truth:
        met = Met(tuple(tuple(each(call, ()) for call in calls) for each in reading.tests), len(calls))
        one_does = some_hold([met.truth(tree, number) for number in range(len(calls))])
        return None if one_does is None else not one_does

    return test


def every_holds(parts: Iterable[Truth]) -> Truth:
    """Return whether all parts hold: one that fails decides, one that is unknown leaves it unknown."""
    all_of = list(parts)
    return False if False in all_of else None if None in all_of else True


def some_hold(parts: Iterable[Truth]) -> Truth:
    """Return whether any part holds: one that does decides, one that is unknown leaves it unknown."""
    all_of = list(parts)
    return True if True in all_of else None if None in all_of else False


def _ways(tree: Tree) -> list[Way]:
    """Return the ways in which a part can hold, the first WAYS_MAX of them."""
    if isinstance(tree, Leaf):
        return [frozenset({tree.number})]
    parts = [_ways(part) for part in tree.parts]
    if tree.kind == "some":
        return [way for part in parts for way in part][:WAYS_MAX]
    ways: list[Way] = [frozenset()]
    for part in parts:
        ways = [one | other for one, other in product(ways, part)][:WAYS_MAX]
    return ways


def _without_longer(ways: list[Way]) -> tuple[Way, ...]:
    """Return the ways without those that ask for all of another one and more: they never count alone."""
    distinct = list(dict.fromkeys(ways))
    return tuple(way for way in distinct if not any(other < way for other in distinct))
