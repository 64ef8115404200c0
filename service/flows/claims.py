"""How an operator gets a handoff, and the packet with it. A claim depends on no worker: it builds what is missing."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from rules.evaluate import Ruleset
from rules.handoff import ENDED, Handoff, moves_from
from rules.packet import ContextPacket, build
from service.errors import AlreadyClaimed, ConversationBusy, HandoffUnknown, MoveIllegal, QueueUnknown
from service.flows import deadlines
from service.store import conversations, decisions, handoffs, queues
from service.store.handoffs import Claim, Refused, Taken
from service.store.keys import Place
from service.store.store import Store

TRIES_MAX = 32  # each one that fails saw another operator succeed, or a page of handoffs reserved for others


@dataclass(frozen=True, slots=True)
class Claiming:
    """Who claims, and for how long unless renewed. The same `request_id` again gets the same handoff and token."""

    operator: str
    lease_ms: int
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A handoff that this operator now holds, what it is about, and the token that proves the hold."""

    handoff: Handoff
    packet: ContextPacket
    token: str
    lease_expires_at_ms: int


@dataclass(frozen=True, slots=True)
class NothingWaiting:
    """Nothing in the queue that this operator may claim."""

    queue: str


async def claim_next(
    store: Store, ruleset: Ruleset, tenant: str, queue: str, claiming: Claiming, now_ms: int
) -> Claimed | NothingWaiting:
    """Give the most urgent waiting handoff of the queue to the operator; raises QueueUnknown.

    A queue that the rule files dropped can be emptied all the same.
    """
    if queue not in ruleset.files.queues and queue not in await queues.names(store, tenant):
        raise QueueUnknown(tuple(ruleset.files.queues))
    await deadlines.sweep(store, tenant, now_ms)
    asked = _asked(queue, claiming, now_ms)
    skip, before = 0, ""
    for _ in range(TRIES_MAX):
        runs = await queues.runs(store, tenant, queue, asked.request_id, skip)
        if isinstance(runs, Taken):
            await store.confirm(handoffs.place_of(store, tenant, runs.handoff_id))
            return await _claimed(store, tenant, runs, now_ms)
        if not runs:
            return NothingWaiting(queue)
        for run in runs:
            taken = await handoffs.claim(store, run.place, run.handoff_ids, asked, now_ms)
            if isinstance(taken, Taken):
                return await _claimed(store, tenant, taken, now_ms)
        # The same ones twice: they wait, but not for this operator. Others: somebody was quicker, so look again.
        seen = repr(runs)
        skip, before = (skip + queues.CANDIDATES_MAX, "") if seen == before else (skip, seen)
    return NothingWaiting(queue)


async def claim_one(store: Store, tenant: str, handoff_id: str, claiming: Claiming, now_ms: int) -> Claimed:
    """Give this handoff to the operator; raises AlreadyClaimed, MoveIllegal, HandoffUnknown."""
    for _ in range(TRIES_MAX):
        handoff = await handoffs.get(store, tenant, handoff_id)
        if await deadlines.settle(store, handoff, now_ms):
            continue
        place = handoffs.place_of(store, tenant, handoff.handoff_id)
        asked = _asked(handoff.queue, claiming, now_ms)
        taken = await handoffs.claim(store, place, [handoff.handoff_id], asked, now_ms)
        if isinstance(taken, Taken):
            return await _claimed(store, tenant, taken, now_ms)
        _refuse(handoff.handoff_id, claiming.operator, taken, now_ms)
    raise ConversationBusy(TRIES_MAX)


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
    known = await conversations.version(store, place, handoff.conversation_id)
    if await handoffs.kept_packet(store, place, handoff, known) is not None:
        return False
    await handoffs.keep_packet(store, place, handoff, known, await _build(store, place, handoff, now_ms))
    return True


async def packet_of(store: Store, tenant: str, handoff: Handoff, now_ms: int) -> ContextPacket:
    """Return the packet of a handoff: the one built ahead when nothing was said since, or a new one."""
    place = handoffs.place_of(store, tenant, handoff.handoff_id)
    known = await conversations.version(store, place, handoff.conversation_id)
    kept = await handoffs.kept_packet(store, place, handoff, known)
    return kept if kept is not None else await _build(store, place, handoff, now_ms)


def _asked(queue: str, claiming: Claiming, now_ms: int) -> Claim:
    request = claiming.request_id or secrets.token_hex(8)
    return Claim(
        queue=queue,
        operator=claiming.operator,
        random=secrets.token_hex(12),
        lease_expires_at_ms=now_ms + claiming.lease_ms,
        request_id=f"claim:{claiming.operator}:{request}",
    )


async def _claimed(store: Store, tenant: str, taken: Taken, now_ms: int) -> Claimed:
    handoff = taken.handoff or await handoffs.get(store, tenant, taken.handoff_id)
    packet = await packet_of(store, tenant, handoff, now_ms)
    return Claimed(handoff, packet, taken.token, taken.lease_expires_at_ms)


async def _build(store: Store, place: Place, handoff: Handoff, now_ms: int) -> ContextPacket:
    behind, transcript = await asyncio.gather(
        decisions.many(store, place, tuple(reason.decision_id for reason in handoff.reasons)),
        conversations.transcript(store, place, handoff.conversation_id),
    )
    return build(handoff, behind, transcript, now_ms)


def _refuse(handoff_id: str, operator: str, refused: Refused, now_ms: int) -> None:
    """Raise why the handoff cannot be claimed; return when it only moved meanwhile, and another try may work."""
    if refused.state is None:
        raise HandoffUnknown
    if refused.state in ENDED:
        raise MoveIllegal("claim", refused.state)
    if refused.state != "waiting":
        if refused.holder is None or refused.lease_expires_at_ms is None:
            raise MoveIllegal("claim", refused.state, moves_from(refused.state))
        raise AlreadyClaimed(handoff_id, refused.holder, refused.lease_expires_at_ms)
    until_at_ms = refused.reserved_until_at_ms
    if refused.reserved_for not in (None, operator) and until_at_ms is not None and until_at_ms > now_ms:
        raise AlreadyClaimed(handoff_id, refused.reserved_for or "", until_at_ms, reserved=True)
