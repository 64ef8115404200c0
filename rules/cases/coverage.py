"""What the cases of a rule directory reach: rules, the single comparisons of each, and the ways in which each can fire.

A comparison is reached when it has helped its rule to fire, when it alone has kept it quiet, and where it can be, when
it was unknown. A way is reached when the rule fired by it and by no other: the same idea as MC/DC, said of rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rules.cases.probes import Leaf, Met, Probe, probe_of
from rules.evaluation import signals
from rules.evaluation.call_values import call_values
from rules.evaluation.comparisons import COMPARISONS
from rules.evaluation.evaluate import Evaluation, Ruleset
from rules.evaluation.facts import Facts
from rules.model import Aggregate, Span
from rules.turn import Conversation, ToolCall, Turn

_NEVER_UNKNOWN = ("count", "streak")


@dataclass(slots=True)
class Reached:
    """What turns have reached of one rule: numbers of its leaves and of its ways."""

    fired: bool = False
    held: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    ways: set[int] = field(default_factory=set)

    def add(self, other: Reached) -> None:
        """Take in what other turns have reached."""
        self.fired = self.fired or other.fired
        self.held |= other.held
        self.failed |= other.failed
        self.unknown |= other.unknown
        self.ways |= other.ways


@dataclass(frozen=True, slots=True)
class ComparisonCoverage:
    """One comparison of `signal`: whether it helped the rule to fire, alone kept it quiet, and was unknown.

    `unknown` is None where it never can be.
    """

    text: str
    signal: str
    held: bool
    failed: bool
    unknown: bool | None

    @property
    def sides(self) -> tuple[bool, ...]:
        """Return what there is to reach of it, and whether each is reached."""
        return (self.held, self.failed) if self.unknown is None else (self.held, self.failed, self.unknown)


@dataclass(frozen=True, slots=True)
class WayCoverage:
    """One way to fire: the comparisons that make it, and whether the rule has fired by it and no other."""

    texts: tuple[str, ...]
    taken: bool


@dataclass(frozen=True, slots=True)
class RuleCoverage:
    """What cases reach of a rule: how many make it fire, the first of them, its comparisons, and its ways to fire."""

    rule_id: str
    span: Span
    cases: int
    example: tuple[str, Span] | None
    comparisons: tuple[ComparisonCoverage, ...]
    ways: tuple[WayCoverage, ...]

    @property
    def unseen(self) -> tuple[str, ...]:
        """Return the comparisons that never helped the rule to fire."""
        return tuple(comparison.text for comparison in self.comparisons if not comparison.held)

    @property
    def whole(self) -> bool:
        """Return whether nothing of the rule is left to reach."""
        return all(reached == there for reached, there in self.counts.values())

    @property
    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Return for rules, conditions and branches how much is reached, of how much."""
        sides = [side for comparison in self.comparisons for side in comparison.sides]
        return {
            "rules": (int(self.cases > 0), 1),
            "conditions": (sum(sides), len(sides)),
            "branches": (sum(way.taken for way in self.ways), len(self.ways)),
        }


class Watch:
    """Looks at every turn of a run. Without `all_rules` only those that fire are looked into, which costs nothing."""

    def __init__(self, ruleset: Ruleset, *, all_rules: bool) -> None:
        self.ruleset = ruleset
        self.all_rules = all_rules
        self._numbers = {rule.id: number for number, rule in enumerate(ruleset.files.rules)}
        self._probes: dict[int, Probe] = {}
        # Most turns look alike to a rule: what they reach of it is worked out once.
        self._known: dict[int, dict[Met, Reached]] = {}

    def note(self, evaluation: Evaluation, before: Conversation, now_ms: int, into: dict[str, set[Met]]) -> None:
        """Add what each rule met on a turn."""
        fired = [self._numbers[rule.id] for rule in (*evaluation.rules, *evaluation.shadow)]
        numbers: Iterable[int] = self._numbers.values() if self.all_rules else fired
        facts = Facts(evaluation.values, evaluation.turn, before, now_ms)
        calls = tuple(map(call_values, evaluation.turn.tool_calls))
        for number in numbers:
            probe = self._probes.get(number)
            if probe is None:
                probe = self._probes[number] = probe_of(self.ruleset.files.rules[number])
            measures = self.ruleset.measures[number]
            values = evaluation.values
            if measures:
                values = {**values, **{text: measure(facts) for text, measure in measures}}
            into.setdefault(probe.rule.id, set()).add(probe.met(values, calls))

    def reached(self, met: Mapping[str, Iterable[Met]]) -> dict[str, Reached]:
        """Return what a case has reached of each rule, given all that the rules met; it is not to be added to."""
        found: dict[str, Reached] = {}
        for rule_id, each_met in met.items():
            number = self._numbers[rule_id]
            known = self._known.setdefault(number, {})
            parts = []
            for one in each_met:
                reached = known.get(one)
                if reached is None:
                    reached = known[one] = reached_by(self._probes[number], one)
                parts.append(reached)
            found[rule_id] = parts[0] if len(parts) == 1 else _together(parts)
        return found


def _together(parts: Iterable[Reached]) -> Reached:
    together = Reached()
    for part in parts:
        together.add(part)
    return together


def reached_by(probe: Probe, met: Met) -> Reached:
    """Return what one turn reaches of a rule."""
    reached = Reached()
    for leaf in probe.leaves:
        row = met.rows[leaf.number]
        if None in row:
            reached.unknown.add(leaf.number)
    if met.truth(probe.tree) is True:
        reached.fired = True
        reached.held |= set(met.helped(probe.tree))
        taken = [number for number, way in enumerate(probe.ways) if met.took(probe, way)]
        if len(taken) == 1:
            reached.ways.add(taken[0])
        return reached
    for leaf in probe.leaves:
        for call, truth in enumerate(met.rows[leaf.number]):
            place = None if leaf.block is None else call
            if truth is False and met.truth(probe.tree, assumed=(leaf.number, place)) is True:
                reached.failed.add(leaf.number)
    return reached


def coverage_of(ruleset: Ruleset, cases: Sequence[tuple[str, Span, Mapping[str, Reached]]]) -> tuple[RuleCoverage, ...]:
    """Return how far cases reach, rule by rule in order of precedence; each case with its name, place and reach."""
    known = _always_known(ruleset)
    covered = []
    for rule in ruleset.files.rules:
        probe, together, firing = probe_of(rule), Reached(), []
        for name, span, reached in cases:
            if rule.id in reached:
                together.add(reached[rule.id])
                firing += [(name, span)] if reached[rule.id].fired else []
        comparisons = tuple(
            ComparisonCoverage(
                leaf.text,
                _spoken_of(leaf),
                leaf.number in together.held,
                leaf.number in together.failed,
                leaf.number in together.unknown if _can_be_unknown(leaf, known) else None,
            )
            for leaf in probe.leaves
        )
        ways = tuple(
            WayCoverage(tuple(probe.leaves[leaf].text for leaf in sorted(way)), number in together.ways)
            for number, way in enumerate(probe.ways)
        )
        covered.append(RuleCoverage(rule.id, rule.span, len(firing), firing[0] if firing else None, comparisons, ways))
    return tuple(covered)


def _spoken_of(leaf: Leaf) -> str:
    """Return the signal that a comparison comes down to, that of an aggregate's numbers included."""
    left = leaf.compare.left if leaf.compare is not None else None
    return left.of if isinstance(left, Aggregate) and isinstance(left.of, str) else leaf.signal


def _always_known(ruleset: Ruleset) -> frozenset[str]:
    """Return the signals that even a turn that says nothing has a value for."""
    values = signals.read(ruleset.files, Turn("", ""), Conversation(""), 0, ())
    return frozenset(name for name, value in values.items() if value is not None)


_CALL_KNOWN = frozenset(name for name, value in call_values(ToolCall("")).items() if value is not None)


def _can_be_unknown(leaf: Leaf, known: frozenset[str]) -> bool:
    if leaf.compare is None or COMPARISONS[leaf.compare.operator].group == "presence":
        return False
    left = leaf.compare.left
    if isinstance(left, Aggregate):
        if left.function in _NEVER_UNKNOWN or not isinstance(left.of, str):
            return False
        left = left.of
    return left not in (known if leaf.block is None else _CALL_KNOWN)


def totals(covered: Iterable[RuleCoverage]) -> dict[str, tuple[int, int]]:
    """Return for rules, conditions and branches how much is reached, of how much, over all rules."""
    together = {"rules": (0, 0), "conditions": (0, 0), "branches": (0, 0)}
    for rule in covered:
        for kind, (reached, there) in rule.counts.items():
            before = together[kind]
            together[kind] = (before[0] + reached, before[1] + there)
    return together


def percent(counts: Mapping[str, tuple[int, int]]) -> float:
    """Return how much of all that there is to reach is reached; 100 where there is nothing to reach."""
    reached, there = (sum(each[place] for each in counts.values()) for place in (0, 1))
    return 100.0 * reached / there if there else 100.0
