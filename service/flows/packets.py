"""The packet of a handoff: built ahead of a claim or when it is asked for, and kept as it was built."""

from __future__ import annotations

import asyncio

from rules.handoff import ENDED, Handoff
from rules.packet.packet import ContextPacket, build, dumps
from service.errors import HandoffUnknown
from service.store import conversations, decisions, handoffs, packets
from service.store.keys import Place
from service.store.store import Store

# What somebody wrote is masked at 1 to 4 microseconds a character: up to here that is less than a thread is worth.
AT_ONCE_CHARS_MAX = 8_000


async def enrich(store: Store, tenant: str, handoff_id: str, now_ms: int) -> bool:
    """Build the packet ahead of a claim; return whether one was written. Safe to repeat."""
    try:
        handoff = await handoffs.get(store, tenant, handoff_id)
    except HandoffUnknown:
        return False
    place = handoffs.place_of(store, tenant, handoff.handoff_id)
    if handoff.state in ENDED:
        return False
    # Read before the turns are: a packet that is newer than its stamp is built again, never an older one shown.
    kept, known = await packets.find(store, place, handoff)
    if kept is not None:
        return False
    return await packets.keep(store, place, handoff, known, dumps(await _build(store, place, handoff, now_ms)))


async def packet_json(store: Store, tenant: str, handoff: Handoff, now_ms: int) -> bytes:
    """Return the packet of a handoff as JSON: the one built ahead when nothing was said since, or a new one."""
    place = handoffs.place_of(store, tenant, handoff.handoff_id)
    kept, _ = await packets.find(store, place, handoff)
    return kept if kept is not None else dumps(await _build(store, place, handoff, now_ms))


async def _build(store: Store, place: Place, handoff: Handoff, now_ms: int) -> ContextPacket:
    behind, transcript = await asyncio.gather(
        decisions.many(store, place, tuple(reason.decision_id for reason in handoff.reasons)),
        conversations.transcript(store, place, handoff.conversation_id),
    )
    chars = sum(len(text) for turn in transcript for text in (turn.message, turn.reply) if text)
    if chars <= AT_ONCE_CHARS_MAX:
        return build(handoff, behind, transcript, now_ms)
    # A pasted mail thread takes a second, and every agent's turn waits for this loop.
    return await asyncio.to_thread(build, handoff, behind, transcript, now_ms)
