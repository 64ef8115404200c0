"""Rules that did not fire, the nearest first, and what each of them still lacks. For people who write rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import TypeGuard

from rules.evaluation.call_values import call_values
from rules.evaluation.comparisons import COMPARISONS, opposite, tester
from rules.evaluation.evaluate import Evaluation, Ruleset
from rules.evaluation.facts import Facts
from rules.evaluation.signal_table import SIGNALS
from rules.evaluation.wording import aggregate_text, operand_text, unit_of, value_text
from rules.model import Aggregate, All, CallMatch, Compare, Condition, Not, Rule, Verdict
from rules.turn import Conversation, Value

NEAR_MAX = 3  # more than three rules that did not fire are a list, not an explanation
# A condition that needs more than this of what is not there is not near.
LACKS_MAX = 4
# Of what a signal can be, or of the operand where that has no end. A turn that misses by less has nearly counted.
JUST_MISSED_SHARE = 0.1
# The first of forty turns is not on its way to a rule about long conversations.
FAR_SHARE = 0.75
# A rule about a tool call is not near where the agent calls none.
NO_CALL_SHARE = 2.0

# That it is this agent's turn brings none of its rules nearer than any other.
WHOSE: frozenset[str | Aggregate] = frozenset({"agent.id", "agent.version"})


@dataclass(frozen=True, slots=True)
class Lack:
    """A comparison that does not hold: as the rule file has it, and the value that it met instead, None for unknown.

    `distance` says of numbers how far the value is off, as `0.02 above the threshold`. `share` is that distance from 0
    (holds) to 1 (as far as can be, or nothing that can be measured), and beyond for what the turn has nothing of: near
    misses are sorted by it.
    """

    text: str
    actual: Value
    sentence: str
    distance: str | None = None
    share: float = 1.0


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
    near.sort(key=lambda each: _far(each[1]))
    return tuple(NearMiss(rule.id, rule.then.verdict, way.lacks) for rule, way in near[:NEAR_MAX])


def _far(way: _Way) -> tuple[bool, bool, int, float]:
    share = max((lack.share for lack in way.lacks), default=0.0)
    nothing = way.held == 0 and share > FAR_SHARE
    return (share > 1, nothing, len(way.lacks), share)


def _way(condition: Condition, seen: _Seen, *, negated: bool) -> _Way:
    """Return the shortest way to the condition; it lacks nothing where the condition holds."""
    if isinstance(condition, Compare):
        lack = _lack(condition, seen, negated=negated)
        return _Way(0 if lack or condition.left in WHOSE else 1, lack)
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
    sentence = f"{text}{threshold}, but {name} is {value_text(actual, unit_of(left))}"
    return (Lack(text, actual, sentence, *_measured(meant, actual, seen.values)),)


def _measured(meant: Compare, actual: Value, values: Mapping[str, Value]) -> tuple[str | None, float]:
    """Return how far a value is off; a count that this turn has just failed to raise is nearer by one."""
    distance, share = _distance(meant, actual)
    counted = meant.left.of if isinstance(meant.left, Aggregate) else None
    if distance is None or not isinstance(counted, Compare) or meant.operator not in (">", ">="):
        return distance, share
    now = values.get(str(counted.left))
    near, near_share = _distance(counted, now)
    if near is None or near_share >= JUST_MISSED_SHARE or tester(counted)(now):
        return distance, share
    told = f"{distance}; this turn's {counted.left} is {value_text(now, unit_of(counted.left))}, {near}"
    return told, max(near_share, share / 2)


def _distance(meant: Compare, actual: Value) -> tuple[str | None, float]:
    """Return how far a number is from holding, in words and as a share; (None, 1.0) where that cannot be said."""
    operand = meant.operand
    if COMPARISONS[meant.operator].group != "order" or not _is_number(operand) or not _is_number(actual):
        return None, 1.0
    gap = abs(float(actual) - float(operand))
    unit = unit_of(meant.left)
    what = "the threshold" if meant.threshold else operand_text(operand, unit)
    if not gap:
        return f"exactly {what}, which does not count", 0.0
    side = "below" if actual < operand else "above"
    # Fifteen digits of a difference would show the noise of the last ones.
    return f"{value_text(round(gap, 9), unit)} {side} {what}", min(gap / _range(meant, float(operand)), 1.0)


def _range(meant: Compare, operand: float) -> float:
    """Return how far a signal can be from another value of itself, or the operand where that has no end."""
    spec = SIGNALS.get(meant.left) if isinstance(meant.left, str) else None
    if spec is not None and spec.low is not None and spec.high is not None:
        return spec.high - spec.low
    return max(abs(operand), 1.0)


def _is_number(value: object) -> TypeGuard[float | int]:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _way_of_calls(match: CallMatch, seen: _Seen, *, negated: bool) -> _Way:
    each = [_way(match.condition, replace(seen, values=call), negated=negated) for call in seen.calls]
    if negated:
        return _together(each)
    if not each:
        return _Way(0, (Lack("tool_call", None, "a tool call, but the turn has none", None, NO_CALL_SHARE),))
    return min(each, key=_length)
