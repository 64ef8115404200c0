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
class _Seen:
    values: Mapping[str, Value]
    calls: tuple[Mapping[str, Value], ...]


def near_misses(
    ruleset: Ruleset, evaluation: Evaluation, conversation: Conversation, now_ms: int
) -> tuple[NearMiss, ...]:
    """Return the rules that came closest to firing; those that lack least first, then in order of precedence."""
    facts = Facts(evaluation.values, evaluation.turn, conversation, now_ms)
    fired = {rule.id for rule in (*evaluation.rules, *evaluation.shadow)}
    calls = tuple(map(call_values, evaluation.turn.tool_calls))
    near = []
    for number, rule in enumerate(ruleset.files.rules):
        if rule.id in fired:
            continue
        measured = {text: measure(facts) for text, measure in ruleset.measures[number]}
        near.append(_near(rule, _Seen({**evaluation.values, **measured}, calls)))
    near.sort(key=lambda miss: len(miss.lacks))
    return tuple(miss for miss in near[:NEAR_MAX] if len(miss.lacks) <= LACKS_MAX)


def _near(rule: Rule, seen: _Seen) -> NearMiss:
    return NearMiss(rule.id, rule.then.verdict, _lacks(rule.when, seen, negated=False))


def _lacks(condition: Condition, seen: _Seen, *, negated: bool) -> tuple[Lack, ...]:
    """Return the fewest comparisons that would have to hold as well; none where the condition holds."""
    if isinstance(condition, Compare):
        return _lack(condition, seen, negated=negated)
    if isinstance(condition, Not):
        return _lacks(condition.part, seen, negated=not negated)
    if isinstance(condition, CallMatch):
        return _lacks_of_calls(condition, seen, negated=negated)
    parts = [_lacks(part, seen, negated=negated) for part in condition.parts]
    every_part_counts = isinstance(condition, All) is not negated
    if every_part_counts:
        return tuple(lack for part in parts for lack in part)
    return min(parts, key=len)


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


def _lacks_of_calls(match: CallMatch, seen: _Seen, *, negated: bool) -> tuple[Lack, ...]:
    each = [_lacks(match.condition, replace(seen, values=call), negated=negated) for call in seen.calls]
    if negated:
        return tuple(lack for lacks in each for lack in lacks)
    if not each:
        return (Lack("tool_call", None, "a tool call, but the turn has none"),)
    return min(each, key=len)
