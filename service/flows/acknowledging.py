"""Saying that one knows of a handoff and comes: everything still owed to people for it ends in that step."""

from __future__ import annotations

from typing import cast

from rules.handoff import Handoff, State, moves_from
from service.errors import HandoffUnknown, MoveIllegal
from service.flows import deadlines
from service.store import codec, handoffs
from service.store.store import Store


async def acknowledge(store: Store, tenant: str, handoff_id: str, operator: str, now_ms: int) -> Handoff:
    """Note who comes; the handoff waits on, with its deadline. Raises HandoffUnknown, and MoveIllegal once it ended."""
    current = await deadlines.current(store, tenant, handoff_id, now_ms)
    place = handoffs.place_of(store, tenant, current.handoff_id)
    word, rest = await handoffs.move(
        store,
        "acknowledge",
        handoff=place.handoff(current.handoff_id),
        outbox=place.outbox,
        operator=operator,
        now_ms=now_ms,
    )
    if word == "unknown":
        raise HandoffUnknown
    if word == "illegal":
        state = cast(State, rest[0].decode())
        raise MoveIllegal("acknowledge", state, moves_from(state))
    handoff = codec.handoff_in(rest[0])
    if handoff is None:
        raise HandoffUnknown
    return handoff
