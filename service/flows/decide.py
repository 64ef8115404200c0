"""A turn comes in, its one Decision goes out: read, think, write once."""

from __future__ import annotations

from dataclasses import dataclass

from rules.decision import Decision
from rules.evaluate import Ruleset
from rules.model import OnTimeout
from rules.turn import Turn
from service.flows.spool import Spool
from service.store.store import Store


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the agent may promise: `position` counts from 1, None when unknown; `wait_ms` is None until it is measured."""

    handoff_id: str
    queue: str
    position: int | None
    wait_ms: None
    expires_at_ms: int
    on_timeout: OnTimeout


@dataclass(frozen=True, slots=True)
class Decided:
    """A Decision, whether it had been made before, and the wait it leads to."""

    decision: Decision
    repeated: bool
    waiting: Waiting | None


async def decide(
    store: Store, ruleset: Ruleset, tenant: str, turn: Turn, now_ms: int, *, spool: Spool | None = None
) -> Decided:
    """Return the Decision of the turn, the stored one when it was decided before.

    Raises TurnStale, ConversationBusy, and StoreAway when there is no `spool` to answer from.
    """
    raise NotImplementedError


async def find(store: Store, tenant: str, decision_id: str) -> Decision:
    """Return a stored Decision, or raise DecisionUnknown."""
    raise NotImplementedError
