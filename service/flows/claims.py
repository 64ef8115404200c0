"""How an operator gets a handoff, and the packet with it. A claim depends on no worker: it builds what is missing."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Literal

from rules.evaluation.evaluate import Ruleset
from rules.handoff import ENDED, Assignment, Handoff, is_member, moves_from, wanted
from rules.packet.packet import ContextPacket, build
from rules.routing.operators import Operator, may_take, weight
from rules.routing.route import wanted_in
from service.errors import AlreadyClaimed, CapacityReached, ConversationBusy, HandoffUnknown, MoveIllegal, QueueUnknown
from service.flows import deadlines, floods
from service.store import conversations, decisions, handoffs, operators, queues, waits
from service.store.handoffs import Candidate, Claim, Full, Refused, Taken
from service.store.keys import Place
from service.store.queues import Heads
from service.store.store import Store

TRIES_MAX = 32  # each one that fails saw another operator succeed


@dataclass(frozen=True, slots=True)
class Claiming:
    """Who claims, and for how long unless renewed. The same `request_id` again gets the same handoff and token.

    `declared` is what is known of the operator, None where no operators are declared: then they may take everything.
    """

    operator: str
    lease_ms: int
    request_id: str | None = None
    declared: Operator | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A handoff that this operator now holds, what it is about, and the token that proves the hold."""

    handoff: Handoff
    packet: ContextPacket
    token: str
    lease_expires_at_ms: int


@dataclass(frozen=True, slots=True)
class NothingWaiting:
    """Nothing waits that this operator may take."""

    queue: str | None


async def claim_next(
    store: Store, ruleset: Ruleset, tenant: str, queue: str | None, claiming: Claiming, now_ms: int
) -> Claimed | NothingWaiting:
    """Give the operator the most urgent waiting handoff that they can do, of one queue or of all for None.

    Raises QueueUnknown, and CapacityReached when they have no room for any of them. A queue that the rule files dropped
    can be emptied all the same.
    """
    if queue is not None and queue not in ruleset.files.queues and queue not in await queues.names(store, tenant):
        raise QueueUnknown(tuple(ruleset.files.queues))
    request_id, declared, operator = _request_id(claiming), claiming.declared, claiming.operator

    def may(name: str) -> bool:
        wanted = wanted_in(name)
        return (queue is None or queue in wanted.queues) and may_take(declared, operator, wanted)

    # What is due is settled beside the look, which is made again only when something was.
    settled, heads = await asyncio.gather(
        deadlines.sweep(store, tenant, now_ms), queues.heads(store, tenant, operator, request_id, may)
    )
    for number in range(TRIES_MAX):
        if settled or number:
            heads = await queues.heads(store, tenant, operator, request_id, may)
            settled = 0
        if isinstance(heads, Taken):
            await store.confirm(handoffs.place_of(store, tenant, heads.handoff_id))
            return await _claimed(store, tenant, heads, now_ms)
        full = False
        for run in heads.runs:
            asked = _asked(claiming, request_id, heads, run.place, now_ms)
            taken = await handoffs.claim(store, run.place, run.candidates, asked, now_ms)
            if isinstance(taken, Taken):
                return await _claimed(store, tenant, taken, now_ms)
            full = full or isinstance(taken, Full)
        if full and declared is not None:
            raise CapacityReached(sum(heads.in_hand), declared.capacity or 0)
        if not heads.runs:
            return NothingWaiting(queue)
    return NothingWaiting(queue)


async def claim_one(store: Store, tenant: str, handoff_id: str, claiming: Claiming, now_ms: int) -> Claimed:
    """Give this handoff to the operator, whatever its ladder says: a person has looked and chosen.

    Raises AlreadyClaimed, MoveIllegal, HandoffUnknown, CapacityReached.
    """
    request_id = _request_id(claiming)
    for _ in range(TRIES_MAX):
        handoff = await handoffs.get(store, tenant, handoff_id)
        if await deadlines.settle(store, handoff, now_ms):
            continue
        if is_member(handoff) and handoff.state == "waiting":
            # Whoever picks it out of a flood's group takes it as one of its own.
            await floods.let_go(store, handoff, claiming.operator, now_ms)
            continue
        place, in_class = handoffs.place_of(store, tenant, handoff.handoff_id), wanted(handoff).text
        candidate = Candidate(handoff.handoff_id, handoff.queue, in_class)
        in_hand = await queues.in_hand(store, tenant, claiming.operator)
        asked = _asked(claiming, request_id, Heads((), 1, in_hand), place, now_ms, "named")
        taken = await handoffs.claim(store, place, [candidate], asked, now_ms)
        if isinstance(taken, Taken):
            return await _claimed(store, tenant, taken, now_ms)
        if isinstance(taken, Full):
            raise CapacityReached(sum(in_hand), claiming.declared.capacity or 0 if claiming.declared else 0)
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


def _request_id(claiming: Claiming) -> str:
    return f"claim:{claiming.operator}:{claiming.request_id or secrets.token_hex(8)}"


def _asked(
    claiming: Claiming,
    request_id: str,
    heads: Heads,
    place: Place,
    now_ms: int,
    how: Literal["next", "named"] = "next",
) -> Claim:
    declared, capacity = claiming.declared, claiming.declared.capacity if claiming.declared else None
    elsewhere = sum(heads.in_hand) - heads.in_hand[place.partition]
    return Claim(
        operator=claiming.operator,
        random=secrets.token_hex(12),
        lease_expires_at_ms=now_ms + claiming.lease_ms,
        request_id=request_id,
        assignment=Assignment(
            operator=claiming.operator,
            at_ms=now_ms,
            how=how,
            classes=heads.classes,
            load=sum(heads.in_hand),
            capacity=capacity,
        ),
        room=None if capacity is None else capacity - elsewhere,
        weights=(weight(declared, "review"), weight(declared, "hold"), weight(declared, "escalate")),
    )


async def _claimed(store: Store, tenant: str, taken: Taken, now_ms: int) -> Claimed:
    handoff = taken.handoff or await handoffs.get(store, tenant, taken.handoff_id)
    notes = []
    if taken.handoff is not None and handoff.holder is not None:
        # On the wire together with what the packet reads: one sync of the disk for all of them.
        notes = [
            asyncio.ensure_future(operators.note_claim(store, tenant, handoff.holder, handoff.customer_id, now_ms)),
            asyncio.ensure_future(waits.note(store, handoff, now_ms, answered=True)),
        ]
    packet = await packet_of(store, tenant, handoff, now_ms)
    await asyncio.gather(*notes)
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
