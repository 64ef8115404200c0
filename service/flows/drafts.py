"""Drafts: what an operator writes is on the server before it is sent, and is not lost with a lease."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from rules.handoff import Handoff
from service.errors import Refusal
from service.store import codec, drafts, handoffs
from service.store.drafts import Draft as Draft
from service.store.store import Store

APART_CHARS = 16  # of a digest: what tells the dozen texts of one operator apart


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
        await drafts.drop_all(store, place, handoff_id, operator)


async def keep_refused(
    store: Store, tenant: str, handoff_id: str, operator: str, written: Mapping[str, object], now_ms: int
) -> bool:
    """Keep what an operator sent and was refused, beside what they write; return whether it is kept."""
    place = handoffs.place_of(store, tenant, handoff_id)
    try:
        await drafts.save(store, place, handoff_id, Draft(operator, now_ms, written, _apart(written)))
    except Refusal:
        # Why it was refused is what they are told; that nothing could be kept besides is said there.
        return False
    return True


async def of_handoff(store: Store, handoff: Handoff) -> tuple[Draft, ...]:
    """Return every draft of a handoff, the latest first."""
    return await drafts.of_handoff(
        store, handoffs.place_of(store, handoff.tenant, handoff.handoff_id), handoff.handoff_id
    )


async def sent(store: Store, handoff: Handoff, operator: str, written: Mapping[str, object]) -> None:
    """Forget the operator's draft, and the same text where it was refused before: it has been sent."""
    place = handoffs.place_of(store, handoff.tenant, handoff.handoff_id)
    await drafts.drop(store, place, handoff.handoff_id, operator, _apart(written))


def _apart(written: Mapping[str, object]) -> str:
    return sha256(codec.dumps(written)).hexdigest()[:APART_CHARS]
