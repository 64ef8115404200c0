"""Why a rule fired: the comparisons that made it true, with the values they met, in words. Nothing is decided here.

A sentence holds names and operands of the rule file, and numbers. A text that a caller sent stands in it only where it
equals what the rule file says, so no customer's words pass through. Where agents do not agree it names them, and the
two values that they named in a call, without personal data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from rules.chains.standing import TOLD_WITH
from rules.decision import Check, Evidence, FiredRule
from rules.evaluation.call_values import call_values
from rules.evaluation.comparisons import COMPARISONS, opposite, tester
from rules.evaluation.evaluate import Evaluation, Ruleset
from rules.evaluation.wording import aggregate_text, operand_text, unit_of, value_text
from rules.model import Aggregate, All, CallMatch, Compare, Condition, Not, Rule, Topic
from rules.turn import Value


@dataclass(frozen=True, slots=True)
class _Account:
    """What checks are made from: the values by name, the values of each call, and where topics were found."""

    values: Mapping[str, Value]
    calls: tuple[Mapping[str, Value], ...]
    evidence: tuple[Evidence, ...]
    topics: Mapping[str, Topic]


def fired(ruleset: Ruleset, evaluation: Evaluation) -> tuple[FiredRule, ...]:
    """Return every rule that fired with the checks behind it: the live ones in order of precedence, then the shadow."""
    calls = tuple(map(call_values, evaluation.turn.tool_calls))
    account = _Account(evaluation.values, calls, evaluation.evidence, ruleset.files.topics)
    live = tuple(_fired_rule(rule, account, live=True) for rule in evaluation.rules)
    return live + tuple(_fired_rule(rule, account, live=False) for rule in evaluation.shadow)


def still_holds(ruleset: Ruleset, evaluation: Evaluation, condition: Condition) -> bool:
    """Return whether a condition with the signals of a rule that fired, and perhaps other numbers, holds."""
    calls = tuple(map(call_values, evaluation.turn.tool_calls))
    account = _Account(evaluation.values, calls, evaluation.evidence, ruleset.files.topics)
    return _holding(condition, account, negated=False) is not None


def _fired_rule(rule: Rule, account: _Account, *, live: bool) -> FiredRule:
    checks = _holding(rule.when, account, negated=False) or ()
    # The same comparison may stand twice in a condition, and is one reason all the same.
    distinct = tuple({(check.text, check.sentence): check for check in checks}.values())
    return FiredRule(rule.id, rule.why, rule.then.verdict, distinct, live, rule.then.reason_code)


def _holding(condition: Condition, account: _Account, *, negated: bool) -> tuple[Check, ...] | None:
    """Return the checks that make the condition, or its negation, true; None when it is not."""
    if isinstance(condition, Compare):
        return _held_compare(condition, account, negated=negated)
    if isinstance(condition, CallMatch):
        return _held_by_no_call(condition, account) if negated else _held_by_a_call(condition, account)
    if isinstance(condition, Not):
        return _holding(condition.part, account, negated=not negated)
    parts = [_holding(part, account, negated=negated) for part in condition.parts]
    held = [part for part in parts if part is not None]
    every_part_counts = isinstance(condition, All) is not negated
    if len(held) < (len(parts) if every_part_counts else 1):
        return None
    return tuple(check for part in held for check in part)


def _held_compare(compare: Compare, account: _Account, *, negated: bool) -> tuple[Check, ...] | None:
    meant = opposite(compare) if negated else compare
    left = meant.left
    actual = account.values.get(aggregate_text(left) if isinstance(left, Aggregate) else left)
    if not tester(meant)(actual):
        return None
    evidence = _evidence(left.of if isinstance(left, Aggregate) else meant, account)
    text = f"not {compare.text}" if negated else compare.text
    return (Check(text, actual, meant.operand, meant.threshold, _told(meant, actual, account), evidence),)


def _told(compare: Compare, actual: Value, account: _Account) -> str:
    """Return the sentence of a comparison; of a chain of agents it also tells which agents."""
    words = sentence(compare, actual)
    tells = TOLD_WITH.get(compare.left) if isinstance(compare.left, str) else None
    more = None if tells is None else account.values.get(tells)
    return words if more is None else f"{words}: {more}"


def _held_by_a_call(match: CallMatch, account: _Account) -> tuple[Check, ...] | None:
    for number, call in enumerate(account.calls, start=1):
        checks = _holding(match.condition, replace(account, values=call, evidence=()), negated=False)
        if checks is not None:
            return tuple(replace(check, sentence=f"tool call {number}: {check.sentence}") for check in checks)
    return None


def _held_by_no_call(match: CallMatch, account: _Account) -> tuple[Check, ...] | None:
    for call in account.calls:
        if _holding(match.condition, replace(account, values=call, evidence=()), negated=True) is None:
            return None
    text, count = condition_text(match.condition), len(account.calls)
    words = f"none of {count} tool calls meets `{text}`" if count else f"no tool call, so none meets `{text}`"
    return (Check(f"not tool_call: {text}", count, None, None, words),)


def condition_text(condition: Condition) -> str:
    """Return a condition in one line, as `name = issue_refund and amount_usd > $limit`."""
    if isinstance(condition, Compare):
        return condition.text
    if isinstance(condition, Not | CallMatch):
        inner = condition.part if isinstance(condition, Not) else condition.condition
        return f"{'not' if isinstance(condition, Not) else 'tool_call'} ({condition_text(inner)})"
    word = " and " if isinstance(condition, All) else " or "
    nested = [condition_text(part) for part in condition.parts]
    return word.join(
        text if isinstance(part, Compare) else f"({text})" for part, text in zip(condition.parts, nested, strict=True)
    )


def sentence(compare: Compare, actual: Value) -> str:
    """Return a comparison that holds, with the value it met: `confidence 0.41 < 0.55 (low_confidence)`."""
    left, unit = compare.left, unit_of(compare.left)
    name = f"{aggregate_text(left)}:" if isinstance(left, Aggregate) else left
    comparison = COMPARISONS[compare.operator]
    words = [name]
    # Of a text only its equality with the rule file's may be told, and of a set the one member that was asked for.
    told = comparison.group == "order" or (comparison.group == "equal" and compare.operator != "=")
    if isinstance(left, Aggregate) or (told and not (isinstance(actual, str) and not comparison.wanted)):
        words.append(value_text(actual, unit))
    words += [compare.operator, operand_text(compare.operand, unit)]
    if compare.threshold is not None:
        words.append(f"({compare.threshold})")
    return " ".join(word for word in words if word)


def _evidence(compare: Compare | str, account: _Account) -> tuple[Evidence, ...]:
    """Return the places in the texts of this turn that a comparison rests on."""
    if not account.evidence or isinstance(compare, str) or not isinstance(compare.left, str):
        return ()
    rests_on = _RESTS_ON.get((compare.left, compare.operator))
    return () if rests_on is None else tuple(_chosen(rests_on, compare, account))


_RestsOn = Callable[[Compare, Evidence, Mapping[str, Topic]], bool]
_RESTS_ON: dict[tuple[str, str], _RestsOn] = {
    ("topics", "has"): lambda compare, hit, _: hit.inside == "message" and hit.topic == compare.operand,
    ("reply_topics", "has"): lambda compare, hit, _: hit.inside == "reply" and hit.topic == compare.operand,
    ("output_topics", "has"): lambda compare, hit, _: hit.inside == "tool_output" and hit.topic == compare.operand,
    ("asks_for_person", "="): lambda compare, hit, topics: (
        hit.inside == "message" and compare.operand is True and topics[hit.topic].means == "asks_for_person"
    ),
}


def _chosen(rests_on: _RestsOn, compare: Compare, account: _Account) -> Iterable[Evidence]:
    return (hit for hit in account.evidence if rests_on(compare, hit, account.topics))
