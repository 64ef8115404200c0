"""What came of a turn: the rules that fired, the checks behind them, the Decision. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from rules.handoff import HumanStretch, Reply
from rules.model import STOPPING, OnTimeout, Verdict
from rules.routing.shed import Shed
from rules.routing.waits import Wait
from rules.turn import Scalar, Value

# The customer's message, the agent's draft, or what one of the turn's tool calls gave back.
Inside: TypeAlias = Literal["message", "reply", "tool_output"]
INSIDES: tuple[Inside, ...] = ("message", "reply", "tool_output")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a topic was found: offsets into the original text of the turn, end exclusive."""

    topic: str
    inside: Inside
    start: int
    end: int
    matched: str  # the phrase or pattern of the rule file, not the customer's words


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison behind a fired rule, with the value it met. `sentence` reads as a person would say it."""

    text: str  # as in the rule file: `confidence < $low_confidence`
    actual: Value
    operand: Scalar | tuple[Scalar, ...] | None
    threshold: str | None
    sentence: str  # `confidence 0.41 < 0.55 (low_confidence)`
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class FiredRule:
    """A rule that fired and why. `live` is false for shadow rules and for conversations outside the rollout.

    `reason_code` is the name that the rule file gives the reason in the caller's own systems.
    """

    rule_id: str
    why: str
    verdict: Verdict
    checks: tuple[Check, ...]
    live: bool = True
    reason_code: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one turn, for ever the same. `handoff_id` refers to the one open handoff of the conversation."""

    decision_id: str
    conversation_id: str
    turn_id: str
    verdict: Verdict
    rules: tuple[FiredRule, ...]
    say: str | None
    ruleset: str
    degraded: bool
    decided_at_ms: int
    handoff_id: str | None = None
    queue: str | None = None
    position: int | None = None
    expires_at_ms: int | None = None
    on_timeout: OnTimeout | None = None
    wait: Wait | None = None
    replies: tuple[Reply, ...] = ()
    after_human: HumanStretch | None = None
    shed: tuple[Shed, ...] = ()

    @property
    def must_stop(self) -> bool:
        """Return whether the agent must keep back its reply and its proposed tool calls."""
        return self.verdict in STOPPING
