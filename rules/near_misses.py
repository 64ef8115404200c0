"""Rules that did not fire, the nearest first, and what each of them still lacks. For people who write rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rules.comparisons import opposite, tester
from rules.evaluate import Evaluation, Ruleset
from rules.facts import Facts
from rules.model import Aggregate, All, CallMatch, Compare, Condition, Not, Rule, Verdict
from rules.signals import call_values
from rules.turn import Conversation, Value
from rules.wording import aggregate_text, unit_of, value_text

NEAR_MAX = 3  # more than three rules that did not fire are a list, not an explanation
# A condition that needs more than this of what is not there is not near.
LACKS_MAX = 4


@dataclass(frozen=True, slots=True)
class Lack:
    """A comparison that does not hold: as the rule file has it, and the value that it met instead, None for unknown."""

    text: str
    actual: Value
    sentence: str


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that did not fire and the fewest comparisons that would have had to hold as well."""

    rule_id: str
    verdict: Verdict
    lacks: tuple[Lack, ...]


@dataclass(frozen=True, slots=True)
class _Way:
    """How far a condition is: how many of its comparisons hold already, and which would have to hold as well."""

    held: int
    lacks: tuple[Lack, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    values: Mapping[str, Value]
    calls: tuple[Mapping[str, Value], ...]


def near_misses(
    ruleset: Ruleset, evaluation: Evaluation, conversation: Conversation, now_ms: int
) -> tuple[NearMiss, ...]:
    """Return the rules that came closest to firing: those of which something holds, and of these that lack least first.

    A rule of which nothing holds, as one that only asks for a topic, is no nearer than all the others like it: it is
    named only where there is room. Beyond that, the order of precedence decides.
    """
    facts = Facts(evaluation.values, evaluation.turn, conversation, now_ms)
    fired = {rule.id for rule in (*evaluation.rules, *evaluation.shadow)}
    calls = tuple(map(call_values, evaluation.turn.tool_calls))
    near: list[tuple[Rule, _Way]] = []
    for number, rule in enumerate(ruleset.files.rules):
        if rule.id in fired:
            continue
        measured = {text: measure(facts) for text, measure in ruleset.measures[number]}
        near.append((rule, _way(rule.when, _Seen({**evaluation.values, **measured}, calls), negated=False)))
    near = [(rule, way) for rule, way in near if len(way.lacks) <= LACKS_MAX]
    near.sort(key=lambda each: (each[1].held == 0, len(each[1].lacks)))
    return tuple(NearMiss(rule.id, rule.then.verdict, way.lacks) for rule, way in near[:NEAR_MAX])


def _way(condition: Condition, seen: _Seen, *, negated: bool) -> _Way:
    """Return the shortest way to the condition; it lacks nothing where the condition holds."""
    if isinstance(condition, Compare):
        lack = _lack(condition, seen, negated=negated)
        return _Way(0 if lack else 1, lack)
    if isinstance(condition, Not):
        return _way(condition.part, seen, negated=not negated)
    if isinstance(condition, CallMatch):
        return _way_of_calls(condition, seen, negated=negated)
    parts = [_way(part, seen, negated=negated) for part in condition.parts]
    every_part_counts = isinstance(condition, All) is not negated
    return _together(parts) if every_part_counts else min(parts, key=_length)


def _together(ways: list[_Way]) -> _Way:
    return _Way(sum(way.held for way in ways), tuple(lack for way in ways for lack in way.lacks))


def _length(way: _Way) -> tuple[int, int]:
    return (len(way.lacks), -way.held)


def _lack(compare: Compare, seen: _Seen, *, negated: bool) -> tuple[Lack, ...]:
    meant = opposite(compare) if negated else compare
    left = meant.left
    name = aggregate_text(left) if isinstance(left, Aggregate) else left
    actual = seen.values.get(name)
    if tester(meant)(actual):
        return ()
    text = f"not ({compare.text})" if negated else compare.text
    threshold = f" (${compare.threshold} is {compare.operand})" if compare.threshold else ""
    return (Lack(text, actual, f"{text}{threshold}, but {name} is {value_text(actual, unit_of(left))}"),)


def _way_of_calls(match: CallMatch, seen: _Seen, *, negated: bool) -> _Way:
    each = [_way(match.condition, replace(seen, values=call), negated=negated) for call in seen.calls]
    if negated:
        return _together(each)
    if not each:
        return _Way(0, (Lack("tool_call", None, "a tool call, but the turn has none"),))
    return min(each, key=_length)
