"""What becomes known after a handoff ended, or without one: reopened, CSAT, complaint, resolved without a person."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, TypeAlias, get_args

from rules.marks import is_drill
from service.errors import HandoffUnknown, LimitReached, RequestReused
from service.store import handoffs, outcomes
from service.store.outcomes import OUTCOMES_MAX
from service.store.store import Store

OutcomeKind: TypeAlias = Literal["reopened", "csat", "complaint", "resolved_without_person"]
OUTCOME_KINDS: tuple[OutcomeKind, ...] = get_args(OutcomeKind)


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
    """Put a later fact on record, once a request; raises HandoffUnknown, RequestReused and LimitReached.

    A conversation that is not known any more is taken all the same: outcomes come weeks later.
    """
    conversation_id, handoff_id = report.conversation_id, report.handoff_id
    if handoff_id is not None:
        handoff = await handoffs.get(store, tenant, handoff_id)
        if conversation_id not in (None, handoff.conversation_id):
            raise HandoffUnknown
        conversation_id = handoff.conversation_id
    if is_drill(conversation_id or ""):
        # What became of a customer is counted; of a drill nothing can become.
        raise HandoffUnknown
    if conversation_id is None:
        raise ValueError("an outcome names a conversation or a handoff")
    outcome = {
        "outcome_id": f"out_{secrets.token_hex(8)}",
        "tenant": tenant,
        "kind": report.kind,
        "conversation_id": conversation_id,
        "handoff_id": handoff_id,
        "score": report.score,
        "at_ms": now_ms if report.at_ms is None else report.at_ms,
        "actor": actor,
        "recorded_at_ms": now_ms,
    }
    request = f"outcome:{actor}:{request_id or secrets.token_hex(8)}"
    # What was sent, not what was made of it: a report without its own time is the same one when it is sent again.
    digest = sha256(repr(report).encode("utf-8", "surrogatepass")).hexdigest()
    recorded = await outcomes.record(store, store.place_of(tenant, conversation_id), outcome, request, digest)
    if recorded == "reused":
        raise RequestReused
    if recorded == "full":
        raise LimitReached("outcomes of one conversation", OUTCOMES_MAX, "send each fact once")
    return Recorded(*recorded)


async def of_conversation(store: Store, tenant: str, conversation_id: str) -> tuple[dict[str, object], ...]:
    """Return what was recorded of a conversation, oldest first."""
    return await outcomes.of_conversation(store, store.place_of(tenant, conversation_id), conversation_id)
