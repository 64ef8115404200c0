"""What a queue over its budget no longer asks people for: the values, and the one place that sheds. Pure.

Only rules that declare it are touched, only after they fired, and only towards less: pressure makes no rule fire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rules.evaluation.evaluate import Evaluation, Ruleset
from rules.evaluation.explain import still_holds
from rules.model import (
    PRIORITIES,
    VERDICTS,
    All,
    Any,
    Budget,
    BusyStep,
    CallMatch,
    Compare,
    Condition,
    Not,
    Rule,
    Then,
    Verdict,
)
from rules.routing.busy_steps import eased_by, is_counted_with
from rules.routing.shed import Shed

# How full queues are, in percent of their budgets. A queue that is not in it is one of which it is not known.
Pressures = Mapping[str, int]
NONE: Pressures = {}

# Handling times below which an average says nothing; until then `minutes_each` counts.
HANDLED_MIN = 20
# A caller's topic below this does not count, as in the rules.
TOPIC_SCORE_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Handled:
    """How long one handoff was in a person's hands, and when it ended."""

    ended_at_ms: int
    took_ms: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a queue asks of people, in the parts that its pressure is made of.

    `spent_ms` went into handoffs that ended in the window, `open` are there now, and each takes `each_ms`; None while
    that is not known. `observed` are the handlings that `each_ms` was taken from, 0 where the rule file says it.
    """

    budget: Budget
    spent_ms: int
    open: int
    each_ms: int | None
    observed: int

    @property
    def percent(self) -> int | None:
        """Return the pressure in percent, rounded down; None while it cannot be known."""
        if self.each_ms is None:
            return None
        return (self.spent_ms + self.open * self.each_ms) * 100 // self.budget.minutes_ms


def load_of(budget: Budget, handled: Sequence[Handled], opened: int, now_ms: int) -> Load:
    """Return what a queue asks of people, given its latest handlings and how many of its handoffs are open."""
    spent_ms = sum(each.took_ms for each in handled if now_ms - budget.over_ms < each.ended_at_ms <= now_ms)
    if len(handled) >= HANDLED_MIN:
        each_ms = sum(each.took_ms for each in handled) // len(handled)
        return Load(budget, spent_ms, opened, each_ms, len(handled))
    return Load(budget, spent_ms, opened, budget.each_ms, 0)


def eased(ruleset: Ruleset, evaluation: Evaluation, pressures: Pressures) -> tuple[Evaluation, tuple[Shed, ...]]:
    """Return the evaluation with what is shed under this pressure, and every rule that was.

    Nothing of a turn is shed on which a regulated rule fired or a regulated topic was found, whoever found it.
    """
    if not any(_steps(rule, pressures) for rule in evaluation.rules) or is_regulated(ruleset, evaluation):
        return evaluation, ()
    kept: list[Rule] = []
    sheds: list[Shed] = []
    for rule in evaluation.rules:
        eased_rule, shed = _eased(ruleset, evaluation, rule, pressures)
        kept.append(eased_rule)
        if shed is not None:
            sheds.append(shed)
    if not sheds:
        return evaluation, ()
    kept.sort(key=lambda rule: (-VERDICTS.index(rule.then.verdict), -PRIORITIES.index(rule.then.priority)))
    return replace(evaluation, rules=tuple(kept), verdict=kept[0].then.verdict), tuple(sheds)


def _steps(rule: Rule, pressures: Pressures) -> tuple[BusyStep, ...]:
    """Return the steps of a rule that its queue's pressure has reached."""
    if not rule.when_busy or rule.regulated or rule.then.priority == "urgent" or rule.then.queue is None:
        return ()
    percent = pressures.get(rule.then.queue)
    return () if percent is None else tuple(step for step in rule.when_busy if percent >= step.over_percent)


def is_regulated(ruleset: Ruleset, evaluation: Evaluation) -> bool:
    """Return whether a regulated rule fired, or a regulated topic was found, whoever found it."""
    if any(rule.regulated for rule in evaluation.rules):
        return True
    found = {each.topic for each in evaluation.evidence}
    found |= {topic.name for topic in evaluation.turn.topics if topic.score is None or topic.score >= TOPIC_SCORE_MIN}
    topics = ruleset.files.topics
    return any(name in topics and topics[name].regulated for name in found)


def _eased(ruleset: Ruleset, evaluation: Evaluation, rule: Rule, pressures: Pressures) -> tuple[Rule, Shed | None]:
    """Return a rule as it counts under its queue's pressure. What a step does not name stays as before it."""
    steps, queue = _steps(rule, pressures), rule.then.queue
    if not steps or queue is None:
        return rule, None
    busy = eased_by(steps)
    told = Shed(rule.id, rule.then.verdict, "continue", queue, pressures[queue], steps[-1].over_percent)
    if busy.numbers and not still_holds(ruleset, evaluation, _with(rule.when, busy.numbers)):
        return replace(rule, then=Then("continue", reason_code=rule.then.reason_code)), told
    if busy.to is None:
        return rule, None
    review: Verdict = "review"
    then = replace(rule.then, verdict=review, say=busy.say)
    if busy.to == "callback":
        then = replace(then, priority="low", open_ended=True)
    return replace(rule, then=then), replace(told, to=busy.to)


def _with(condition: Condition, thresholds: Mapping[str, float]) -> Condition:
    """Return the condition with other numbers for some thresholds."""
    if isinstance(condition, Compare):
        # What is counted over earlier turns was counted with the rule's own number; the check refuses such a step.
        if condition.threshold is None or condition.threshold not in thresholds or is_counted_with(condition):
            return condition
        return replace(condition, operand=thresholds[condition.threshold])
    if isinstance(condition, Not):
        return Not(_with(condition.part, thresholds))
    if isinstance(condition, CallMatch):
        return replace(condition, condition=_with(condition.condition, thresholds))
    parts = tuple(_with(part, thresholds) for part in condition.parts)
    return All(parts) if isinstance(condition, All) else Any(parts)
