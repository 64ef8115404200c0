"""The rules' meaning, written as plainly as it can be: what tests hold the index against. Slow, and used nowhere else.

Every condition is true, false or unknown (None), in Kleene's strong logic; a rule fires when its condition is true.
Only the reading of signals and the finding of topics are shared with rules/evaluation/evaluate.py.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import cast

from rules.evaluation import signals
from rules.evaluation.call_values import call_values
from rules.evaluation.evaluate import Evaluation, Ruleset, aggregates_of, find_topics, is_live
from rules.evaluation.wording import aggregate_text
from rules.model import VERDICTS, Aggregate, All, CallMatch, Compare, Condition, Not, Verdict
from rules.turn import Conversation, Scalar, Turn, Value

_TURNS_READ_MAX = 50


def evaluate(ruleset: Ruleset, turn: Turn, conversation: Conversation, now_ms: int) -> Evaluation:
    """Return what rules.evaluate.evaluate must return, rule by rule and comparison by comparison."""
    files = ruleset.files
    evidence = find_topics(ruleset.matcher, turn)
    values = signals.read(files, turn, conversation, now_ms, evidence)
    record = signals.record(files, turn, values, now_ms)
    moment = Moment(dict(values), turn, conversation, now_ms)
    fired = [rule for rule in files.rules if moment.truth(rule.when) is True]
    live = tuple(rule for rule in fired if is_live(rule, turn.conversation_id))
    shadow = tuple(rule for rule in fired if not is_live(rule, turn.conversation_id))
    for rule in fired:
        values |= {aggregate_text(one): moment.number(one) for one in aggregates_of(rule.when)}
    strongest = max((VERDICTS.index(rule.then.verdict) for rule in live), default=0)
    verdict: Verdict = VERDICTS[strongest]
    return Evaluation(verdict, live, shadow, values, evidence, record, turn)


class Moment:
    """One turn, the turns before it, and the truth of conditions there."""

    def __init__(self, values: Mapping[str, Value], turn: Turn, conversation: Conversation, now_ms: int) -> None:
        self.values = values
        self.turn = turn
        past = conversation.past[-_TURNS_READ_MAX:]
        self.turns = [(record.at_ms, record.values) for record in past] + [(now_ms, values)]
        self.now_ms = now_ms

    def truth(self, condition: Condition) -> bool | None:
        """Return whether the condition holds, None when that is unknown."""
        if isinstance(condition, Compare):
            left = condition.left
            value = self.number(left) if isinstance(left, Aggregate) else self.values.get(left)
            return compared(value, condition.operator, condition.operand)
        if isinstance(condition, CallMatch):
            calls = [call_values(call) for call in self.turn.tool_calls]
            return any_of(_truth_of_call(condition.condition, call) for call in calls)
        if isinstance(condition, Not):
            return negated(self.truth(condition.part))
        parts = [self.truth(part) for part in condition.parts]
        return all_of(parts) if isinstance(condition, All) else any_of(parts)

    def number(self, aggregate: Aggregate) -> float | int | None:
        """Return what the aggregate comes to, None when no value is known in its window."""
        window, turns = aggregate.window, self.turns
        if window.earlier:
            turns = turns[:-1]
        if window.turns is not None:
            turns = turns[-window.turns :]
        if window.span_ms is not None:
            turns = [(at_ms, values) for at_ms, values in turns if self.now_ms - at_ms <= window.span_ms]
        if isinstance(aggregate.of, Compare):
            compare = aggregate.of
            held = [
                compared(v.get(cast(str, compare.left)), compare.operator, compare.operand) is True for _, v in turns
            ]
            if aggregate.function == "count":
                return held.count(True)
            return len(held) if all(held) else held[::-1].index(False)
        read = [values.get(aggregate.of) for _, values in turns]
        numbers = [cast(float, value) for value in read if _kind(value) == "number"]
        return _summary(aggregate.function, numbers) if numbers else None


def _summary(function: str, numbers: list[float | int]) -> float | int | None:
    if function == "avg":
        try:
            # The latest first: whether a sum on the way is too large for a float depends on the order.
            average = math.fsum(numbers[::-1]) / len(numbers)
        except OverflowError:
            return None
        return average if math.isfinite(average) else None
    return {"min": min(numbers), "max": max(numbers), "last": numbers[-1]}[function]


def _truth_of_call(condition: Condition, call: Mapping[str, Value]) -> bool | None:
    if isinstance(condition, Compare):
        return compared(call.get(cast(str, condition.left)), condition.operator, condition.operand)
    if isinstance(condition, Not):
        return negated(_truth_of_call(condition.part, call))
    if isinstance(condition, CallMatch):
        raise ValueError("a `tool_call` block holds no other block")
    parts = [_truth_of_call(part, call) for part in condition.parts]
    return all_of(parts) if isinstance(condition, All) else any_of(parts)


def negated(truth: bool | None) -> bool | None:
    """Return the opposite; unknown stays unknown."""
    return None if truth is None else not truth


def all_of(truths: Iterable[bool | None]) -> bool | None:
    """Return False when one is false, else unknown when one is unknown, else True."""
    truths = list(truths)
    return False if False in truths else None if None in truths else True


def any_of(truths: Iterable[bool | None]) -> bool | None:
    """Return True when one is true, else unknown when one is unknown, else False."""
    truths = list(truths)
    return True if True in truths else None if None in truths else False


def compared(value: Value, operator: str, operand: Scalar | tuple[Scalar, ...] | None) -> bool | None:
    """Return the truth of one comparison: None without a value, and for one that cannot be held against the operand."""
    kind = _kind(value)
    if operator in ("is known", "is unknown"):
        return (kind == "unknown") is (operator == "is unknown")
    if operator in ("has", "lacks"):
        asked = kind == "set" and isinstance(operand, str)
        return (operand in cast(frozenset[str], value)) is (operator == "has") if asked else None
    if operator in ("within", "not within"):
        if kind != "set" or not isinstance(operand, tuple):
            return None
        return all(one in operand for one in cast(frozenset[str], value)) is (operator == "within")
    operands = operand if isinstance(operand, tuple) else (operand,)
    alike = [one for one in operands if _kind(one) == kind and kind in ("number", "text", "bool")]
    if not alike:
        return None
    if operator in ("=", "in", "!=", "not in"):
        return (value in alike) is (operator in ("=", "in"))
    return _ordered(cast(float, value), operator, cast(float, alike[0])) if kind == "number" else None


def _ordered(value: float, operator: str, operand: float) -> bool:
    return {"<": value < operand, "<=": value <= operand, ">": value > operand, ">=": value >= operand}[operator]


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, float | int):
        return "number" if abs(value) <= sys.float_info.max else "unknown"
    return "text" if isinstance(value, str) else "set" if isinstance(value, frozenset) else "unknown"
