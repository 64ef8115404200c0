"""What an agent is answered about its turns, and the schemas of it. Nothing is decided here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rules.decision import Decision, FiredRule, Inside
from rules.handoff import Action, Kind, OutcomeWord, deadline
from rules.model import OnTimeout, Verdict
from rules.routing.shed import ShedTo, shed_json
from rules.routing.waits import Wait
from rules.say import words
from service.flows.decide import Decided, Waiting


class Shape(BaseModel):
    """An answer's shape: made to be shown, not to check what we ourselves built."""

    model_config = ConfigDict(frozen=True)


class FiredRuleAnswer(Shape):
    """A rule that fired: `because` holds one sentence a check, with the value it met.

    `reason_code`, the reason's name in the caller's own systems, is there only where the rule file gives one.
    """

    id: str
    why: str
    because: list[str]
    reason_code: str = ""


class OnTimeoutAnswer(Shape):
    """What is promised when nobody comes by the deadline; `say` is in the turn's language."""

    verdict: Literal["continue", "deny", "answer", "callback", "escalate"]
    say: str | None
    queue: str | None


class WaitAnswer(Shape):
    """How long the wait will probably be: one of ten is answered before `p10`, half before `p50`, nine of ten before
    `p90`, so that four of five answers come between the ends. `p90` is null where nobody can tell."""

    p10: float
    p50: float
    p90: float | None


class WaitingAnswer(Shape):
    """The conversation's open handoff. `position` counts from 1; `wait_ms` is null while it is unknown, `expires_at_ms`
    where a call was promised: it waits until somebody takes it."""

    id: str
    queue: str
    position: int | None
    wait_ms: WaitAnswer | None
    expires_at_ms: int | None
    on_timeout: OnTimeoutAnswer


class ReplyAnswer(Shape):
    """What an operator says to the customer through the agent; `number` counts from 1 within the handoff."""

    number: int
    text: str
    by: str
    at_ms: int


class ResolutionAnswer(Shape):
    """How the handoff ended.

    `approve`: send the draft, run the calls. `edit`: use `edited` instead. `reject`: drop them. `answer`: send `text`.
    `take_over`: a person ended the matter with the customer. `hand_back`: go on, with `facts`, `text` to say and
    `edited` to do instead; `may_retry` tells whether to try again. `timeout`: nobody came in time, and `verdict` and
    `say` are what was promised for that. `turn_id` is the turn whose draft the operator read: send and run only what
    was held in that one.
    """

    action: Action
    by: str
    at_ms: int
    outcome: OutcomeWord | None
    text: str | None
    edited: dict[str, Any] | None
    root_cause: str | None
    flags: list[str]
    facts: dict[str, Any] | None
    may_retry: bool | None
    verdict: str | None
    say: str | None
    turn_id: str | None


class HumanStretchAnswer(Shape):
    """The end of a person's time with the conversation, and what of their words no earlier answer had carried."""

    handoff_id: str
    kind: Kind
    resolution: ResolutionAnswer
    replies: list[ReplyAnswer]


class ShedAnswer(Shape):
    """A rule that asked people for less, as its queue was over its budget: `from` the verdict it asks for, `to` what it
    was turned into, and the `pressure_percent` of the queue that reached its step `step_percent`."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    rule: str
    asked: Verdict = Field(alias="from")
    to: ShedTo
    queue: str
    pressure_percent: int
    step_percent: int


class DecisionAnswer(Shape):
    """The answer to a turn, for ever the same. With `must_stop` neither send the draft nor run the proposed calls."""

    decision_id: str
    conversation_id: str
    turn_id: str
    verdict: Verdict
    must_stop: bool
    rules: list[FiredRuleAnswer]
    say: str | None
    ruleset: str = Field(description="sha256 of the rule files that decided")
    degraded: bool = Field(description="true when the store was away: only rules on the turn itself were asked")
    handoff: WaitingAnswer | None
    replies: list[ReplyAnswer] = Field(
        default_factory=list,
        description="what the operator said since the last answer that carried their words, in order; left out if none",
    )
    after_human: HumanStretchAnswer | None = Field(
        default=None, description="how a person's time with the conversation ended, in the first answer after it"
    )
    shed: list[ShedAnswer] = Field(
        default_factory=list, description="what was shed as a queue was over its budget; left out if nothing was"
    )


def decision_answer(decided: Decided, locale: str | None) -> dict[str, object]:
    """Return the answer to a turn; `locale` chooses the language of what is promised."""
    decision, waiting = decided.decision, decided.waiting
    answer: dict[str, object] = {
        "decision_id": decision.decision_id,
        "conversation_id": decision.conversation_id,
        "turn_id": decision.turn_id,
        "verdict": decision.verdict,
        "must_stop": decision.must_stop,
        "rules": [
            {"id": rule.rule_id, "why": rule.why, "because": [check.sentence for check in rule.checks]}
            if rule.reason_code is None
            else {
                "id": rule.rule_id,
                "why": rule.why,
                "because": [check.sentence for check in rule.checks],
                "reason_code": rule.reason_code,
            }
            for rule in decision.rules
            if rule.live
        ],
        "say": decision.say,
        "ruleset": decision.ruleset,
        "degraded": decision.degraded,
        "handoff": None if waiting is None else _waiting(waiting, locale),
    }
    if decision.replies:
        answer["replies"] = decision.replies
    if decision.after_human is not None:
        answer["after_human"] = decision.after_human
    if decision.shed:
        answer["shed"] = [shed_json(shed) for shed in decision.shed]
    return answer


def _waiting(waiting: Waiting, locale: str | None) -> dict[str, object]:
    return {
        "id": waiting.handoff_id,
        "queue": waiting.queue,
        "position": waiting.position,
        "wait_ms": wait_answer(waiting.wait),
        "expires_at_ms": deadline(waiting.expires_at_ms),
        "on_timeout": on_timeout_answer(waiting.on_timeout, locale),
    }


def wait_answer(wait: Wait | None) -> dict[str, object] | None:
    """Return how long it will probably take, None for unknown."""
    return None if wait is None else {"p10": wait.p10_ms, "p50": wait.p50_ms, "p90": wait.p90_ms}


def on_timeout_answer(promised: OnTimeout, locale: str | None) -> dict[str, object]:
    """Return what is promised, in one language."""
    return {"verdict": promised.verdict, "say": words(promised.say, locale=locale), "queue": promised.queue}


class EvidenceAnswer(Shape):
    """Where a topic was found: offsets into the turn's text or a call's output, end exclusive."""

    topic: str
    inside: Inside
    start: int
    end: int
    matched: str


class CheckAnswer(Shape):
    """One comparison behind a rule, with the value it met; `actual` null is unknown."""

    text: str
    sentence: str
    actual: bool | int | float | str | list[str] | None
    operand: bool | int | float | str | list[Any] | None
    threshold: str | None
    evidence: list[EvidenceAnswer]


class ExplainedRuleAnswer(Shape):
    """A rule that fired, with everything behind it. `live` is false for rules in shadow or outside their rollout."""

    id: str
    why: str
    verdict: Verdict
    live: bool
    reason_code: str | None
    checks: list[CheckAnswer]


class ExplainedAnswer(Shape):
    """A stored decision and why it was made."""

    decision_id: str
    conversation_id: str
    turn_id: str
    verdict: Verdict
    must_stop: bool
    decided_at_ms: int
    ruleset: str
    degraded: bool
    say: str | None
    rules: list[ExplainedRuleAnswer]
    shadow: list[ExplainedRuleAnswer]
    handoff_id: str | None
    queue: str | None
    shed: list[ShedAnswer]


def explained_answer(decision: Decision) -> dict[str, object]:
    """Return a decision with its checks; shadow rules stand apart, since they changed nothing."""
    return {
        "decision_id": decision.decision_id,
        "conversation_id": decision.conversation_id,
        "turn_id": decision.turn_id,
        "verdict": decision.verdict,
        "must_stop": decision.must_stop,
        "decided_at_ms": decision.decided_at_ms,
        "ruleset": decision.ruleset,
        "degraded": decision.degraded,
        "say": decision.say,
        "rules": [_explained(rule) for rule in decision.rules if rule.live],
        "shadow": [_explained(rule) for rule in decision.rules if not rule.live],
        "handoff_id": decision.handoff_id,
        "queue": decision.queue,
        "shed": [shed_json(shed) for shed in decision.shed],
    }


def _explained(rule: FiredRule) -> dict[str, object]:
    return {
        "id": rule.rule_id,
        "why": rule.why,
        "verdict": rule.verdict,
        "live": rule.live,
        "reason_code": rule.reason_code,
        "checks": [
            {
                "text": check.text,
                "sentence": check.sentence,
                "actual": sorted(check.actual) if isinstance(check.actual, frozenset) else check.actual,
                "operand": check.operand,
                "threshold": check.threshold,
                "evidence": check.evidence,
            }
            for check in rule.checks
        ],
    }


class CaseAnswer(Shape):
    """A decision as a test case: `case` is the item to add below `cases:`, `file` is a whole test file with it alone.

    `passes` tells whether it holds against the rules that decide now, `notes` what of the decision is not in it.
    """

    decision_id: str
    name: str
    case: str
    file: str
    passes: bool
    notes: list[str]
