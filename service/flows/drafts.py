"""Drafts: what an operator writes is on the server before it is sent, and is not lost with a lease."""

from __future__ import annotations

from collections.abc import Mapping

from rules.handoff import Handoff
from service.store import drafts, handoffs
from service.store.drafts import Draft as Draft
from service.store.store import Store


async def save(
    store: Store, tenant: str, handoff_id: str, operator: str, fields: Mapping[str, object], now_ms: int
) -> None:
    """Keep what an operator writes; no fields throw their draft away. Needs no lease, as a lost one loses no work.

    Raises HandoffUnknown, and LimitReached.
    """
    place = handoffs.place_of(store, tenant, handoff_id)
    if fields:
        await drafts.save(store, place, handoff_id, Draft(operator, now_ms, fields))
    else:
        await drafts.drop(store, place, handoff_id, operator)


async def of_handoff(store: Store, handoff: Handoff) -> tuple[Draft, ...]:
    """Return every draft of a handoff, the latest first."""
    return await drafts.of_handoff(
        store, handoffs.place_of(store, handoff.tenant, handoff.handoff_id), handoff.handoff_id
    )


async def sent(store: Store, handoff: Handoff, operator: str) -> None:
    """Forget the operator's draft: it has been sent."""
    place = handoffs.place_of(store, handoff.tenant, handoff.handoff_id)
    await drafts.drop(store, place, handoff.handoff_id, operator)
