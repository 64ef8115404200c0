"""What is told of whole rules: that one never fires, always fires, or decides nothing because another is before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rules.agents.descriptions import AgentDescription
from rules.compile.names import Names
from rules.evaluation.clauses import Calls, Node, clauses_of, without_not
from rules.files.grammar import parse
from rules.files.source import Source
from rules.findings.entailment import Follows, Given, Need, Reasoning
from rules.model import CallMatch, Compare, Condition, Not, Rule, Span

# Pairs of rules of which it is asked whether one always fires with the other: 0.3 s at most. In a larger set each rule
# is held against the first of those before it only, so it is answered in time and perhaps not in full.
PAIRS_ASKED_MAX = 250_000
EARLIER_ASKED_MIN = 20


@dataclass(frozen=True, slots=True)
class _Place:
    """A rule in order of precedence, and the ways in which it can hold."""

    rule: Rule
    node: Node
    ways: Sequence[Given]


@dataclass(slots=True)
class _Earlier:
    """Rules that may make a later one superfluous, by what a clause must speak of for them to fire."""

    asked_max: int
    places: list[_Place] = field(default_factory=list)
    follows: dict[int, Follows] = field(default_factory=dict)
    by_need: dict[Need | None, list[int]] = field(default_factory=dict)

    def add(self, place: _Place, reasoning: Reasoning) -> None:
        """Take a rule that stands before all that are asked about later; it is filed where the fewest are."""
        number = len(self.places)
        self.places.append(place)
        needs = min(reasoning.needs(place.node), key=self._filed, default=frozenset({None}))
        for need in needs:
            self.by_need.setdefault(need, []).append(number)

    def _filed(self, needs: frozenset[Need]) -> int:
        return sum(len(self.by_need.get(need, ())) for need in needs)

    def first_that_covers(self, place: _Place, reasoning: Reasoning) -> Rule | None:
        """Return the first rule that fires on every turn on which this one does, None when there is none."""
        asked = {
            number for need in (None, *reasoning.speaks_of(place.ways[0])) for number in self.by_need.get(need, ())
        }
        for number in sorted(asked)[: self.asked_max]:
            earlier = self.places[number]
            if number not in self.follows:
                self.follows[number] = reasoning.follows(earlier.node)
            if _may_cover(earlier.rule, place.rule) and all(map(self.follows[number], place.ways)):
                return earlier.rule
        return None


def tell_of_rules(rules: Sequence[Rule], names: Names, sources: Mapping[str, Source]) -> None:
    """Note what is wrong with whole rules; they stand in order of precedence."""
    reasoning = Reasoning(names.signals)
    where_known = Reasoning(names.signals, known_only=True)
    earlier = _Earlier(max(EARLIER_ASKED_MIN, PAIRS_ASKED_MAX // max(1, len(rules))))
    for rule in rules:
        source = sources[rule.span.file]
        node = without_not(rule.when)
        place = _Place(rule, node, reasoning.ways(node))
        if not place.ways:
            if rule.id not in names.told_of:
                _tell_never(source, rule, reasoning)
            continue
        if reasoning.always(node):
            # It covers every rule behind it, which is told once: here.
            source.refuse_at("W220", rule.span, f"the rule `{rule.id}` fires on every turn")
            continue
        if rule.id not in names.told_of and not _asks_for_presence(rule.when) and where_known.always(node):
            _tell_always_where_known(source, rule)
        # A rule in shadow, or one that does nothing, is there to be counted, and decides nothing on purpose.
        only_counts = rule.mode.percent == 0 or (rule.then.verdict == "continue" and not rule.then.say)
        covering = None if only_counts else earlier.first_that_covers(place, reasoning)
        if covering is not None:
            _tell_covered(source, rule, covering)
        elif rule.mode.percent == 100 and not rule.when_busy:
            # One that is shed leaves the turn to whatever stands behind it.
            earlier.add(place, reasoning)


def tell_of_hand_overs(agents: Iterable[AgentDescription], names: Names, sources: Mapping[str, Source]) -> None:
    """Note each reason to hand over that takes every turn of its agent; one taken from a rule is told of the rule."""
    reasoning = Reasoning(names.signals)
    where_known = Reasoning(names.signals, known_only=True)
    for agent in agents:
        for over in agent.hands_over:
            source, node = sources[over.span.file], without_not(over.when)
            if over.rule_id is not None or over.span in names.told_of:
                continue
            message = f"the agent `{agent.name}` hands over on every turn"
            if reasoning.always(node):
                source.refuse_at("W220", over.span, message, "correct the condition, or remove it")
            elif not _asks_for_presence(over.when) and where_known.always(node):
                hint = "write `… is known` where that is meant, or correct the condition"
                source.refuse_at("W220", over.span, f"{message} on which what it looks at is known", hint)


def _may_cover(earlier: Rule, later: Rule) -> bool:
    # A regulated rule is treated with more care than others, so it is not superfluous behind one that is not.
    return earlier.regulated or not later.regulated


def _tell_never(source: Source, rule: Rule, reasoning: Reasoning) -> None:
    clauses = clauses_of(without_not(rule.when))[0]
    conflict = reasoning.conflict(clauses[0]) if clauses else None
    message = f"the rule `{rule.id}` never fires"
    if conflict is None:
        source.refuse_at("R133", rule.span, f"{message}: no turn meets all that it asks for together")
        return
    one, other = sorted(conflict, key=lambda part: (part.span.line, part.span.column))
    line = f" of line {one.span.line}" if one.span.line != other.span.line else ""
    others = len(clauses) - 1
    ways = f"; its other {others} ways fail too" if others > 1 else "; its other way fails too" if others else ""
    both = f"{_said(one)}{line}" if _said(one) != _said(other) else f"what line {one.span.line} asks of a call"
    source.refuse_at("R133", other.span, f"{message}: {_said(other)} never holds together with {both}{ways}")


def _said(part: Compare | Calls) -> str:
    if isinstance(part, Compare):
        # Under a `not` the comparison means the opposite of what is written.
        return f"`{part.text}`" if parse(part.text).operator == part.operator else f"`not {part.text}`"
    return "`not: {tool_call: …}`" if part.every else "`tool_call`"


def _tell_always_where_known(source: Source, rule: Rule) -> None:
    message = f"the rule `{rule.id}` fires on every turn on which what it looks at is known"
    source.refuse_at("W220", rule.span, message, "write `… is known` where that is meant, or correct the condition")


def _asks_for_presence(condition: Condition) -> bool:
    """Return whether the author asks for a value to be there or not, and so has thought of it."""
    if isinstance(condition, Compare):
        return condition.operator in ("is known", "is unknown")
    if isinstance(condition, Not):
        return _asks_for_presence(condition.part)
    if isinstance(condition, CallMatch):
        return True
    return any(map(_asks_for_presence, condition.parts))


def _tell_covered(source: Source, rule: Rule, covering: Rule) -> None:
    where = _where(covering.span, rule.span)
    message = f"`{rule.id}` decides nothing: whenever it fires, `{covering.id}` {where} fires too and comes first"
    hint = f"give `{rule.id}` a stronger verdict or a higher priority, or remove it"
    same = (rule.then.verdict, rule.then.priority) == (covering.then.verdict, covering.then.priority)
    if same and rule.span.file == covering.span.file:
        hint = f"write `{rule.id}` before `{covering.id}`, give it a higher priority, or remove it"
    source.refuse_at("W221", rule.span, message, hint)


def _where(place: Span, seen_from: Span) -> str:
    return f"in line {place.line}" if place.file == seen_from.file else f"at {place.file}:{place.line}"
