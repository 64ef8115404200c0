"""What becomes known after a handoff ended, or without one: reopened, CSAT, complaint, resolved without a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from service.store.store import Store

OutcomeKind: TypeAlias = Literal["reopened", "csat", "complaint", "resolved_without_person"]


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """One later fact about a conversation, named itself or by one of its handoffs. `score` is what CSAT gave."""

    kind: OutcomeKind
    conversation_id: str | None = None
    handoff_id: str | None = None
    score: float | None = None
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An outcome that is on record; `repeated` when it was already."""

    outcome_id: str
    repeated: bool


async def record(
    store: Store, tenant: str, report: OutcomeReport, actor: str, now_ms: int, *, request_id: str | None = None
) -> Recorded:
    """Put a later fact on record, once a request; raises HandoffUnknown."""
    raise NotImplementedError
