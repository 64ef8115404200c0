"""How an operator gets a handoff, and the packet with it. A claim depends on no worker: it builds what is missing."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from rules.evaluation.evaluate import Ruleset
from rules.handoff import ENDED, Handoff, is_member, moves_from, wanted
from rules.packet.packet import ContextPacket, loads
from rules.routing.operators import may_take
from rules.routing.route import wanted_in
from service.errors import (
    AlreadyClaimed,
    CapacityReached,
    ConversationBusy,
    HandoffUnknown,
    MoveIllegal,
    OthersQuicker,
    QueueUnknown,
    Refusal,
    StoreAway,
)
from service.flows import deadlines, floods
from service.flows.packets import packet_json
from service.flows.taking import Claiming as Claiming
from service.flows.taking import Try, capacity_of, first, leave, look, request_name, room_for, says_nothing, take
from service.store import handoffs, operators, packets, queues
from service.store.handoffs import Candidate, ClaimAgain, Full, Refused, Taken, TooLate
from service.store.store import Store
from service.store.work import Asking, Found

TRIES_MAX = 32  # each one that fails saw another operator succeed
KEEPER_MS_MAX = 1_000  # a claim waits no longer for who had a customer to be remembered


@dataclass(frozen=True, slots=True)
class Claimed:
    """A handoff that this operator now holds, what it is about, and the token that proves the hold.

    `packet_json` is the packet as it is stored and answered: nobody takes it apart on the way.
    """

    handoff: Handoff
    packet_json: bytes
    token: str
    lease_expires_at_ms: int

    @property
    def packet(self) -> ContextPacket:
        """Return the packet as a value."""
        return loads(self.packet_json)


@dataclass(frozen=True, slots=True)
class NothingWaiting:
    """Nothing waits that this operator may take."""

    queue: str | None


async def claim_next(
    store: Store, ruleset: Ruleset, tenant: str, queue: str | None, claiming: Claiming, now_ms: int
) -> Claimed | NothingWaiting:
    """Give the operator the most urgent waiting handoff that they can do, of one queue or of all for None.

    Raises QueueUnknown, CapacityReached when they have no room for any of them, and OthersQuicker. A queue that the
    rule files dropped can be emptied all the same. While a shard is away they get the most urgent of the others;
    StoreAway where there is none, and where what they have in hand on the one that is away is unknown.
    """
    if queue is not None and queue not in ruleset.files.queues and queue not in await queues.names(store, tenant):
        raise QueueUnknown(tuple(ruleset.files.queues))
    request_id, declared = request_name(claiming), claiming.declared
    swept, sure = False, declared is None or declared.capacity is None
    asking = Asking(claiming.operator, _may_take(queue, claiming), sure)
    tried = Try(claiming, request_id, room_for(store, tenant, claiming), now_ms)
    for number in range(TRIES_MAX):
        found = await look(store, tenant, asking, tried)
        if isinstance(found, Taken):
            return await _again(store, tenant, found, tried)
        taken: Taken | Full | None = None
        try:
            if not swept and found.due_at_ms is not None and found.due_at_ms <= now_ms:
                # Whoever swept first at the same moment, what waits now was not seen by this look.
                swept = True
                await deadlines.sweep(store, tenant, now_ms)
                continue
            if not found.classes:
                await leave(tried)
                return _nothing(queue, found)
            taken = await first(store, tenant, found, tried)
        finally:
            # What they did not take is for others, before anything is read of what they took.
            store.work.done(found, taken.handoff_id if isinstance(taken, Taken) else None)
        if isinstance(taken, Taken):
            return await _claimed(store, tenant, taken, tried)
        # What is too heavy hides nothing lighter: where some was not seen, it is looked for.
        if taken is not None and declared is not None and not found.more:
            await leave(tried)
            raise _full(tried, found)
        if taken is None and number > 1:
            # Whose looks keep step with the claims of another process would find each time what was just taken there.
            await asyncio.sleep(random.uniform(0.5, 1.0) * number / 1000)
    await leave(tried)
    # Something waited at each look: to say that nothing does would send an operator away from it.
    raise OthersQuicker(TRIES_MAX)


async def claim_one(store: Store, tenant: str, handoff_id: str, claiming: Claiming, now_ms: int) -> Claimed:
    """Give this handoff to the operator, whatever its ladder says: a person has looked and chosen.

    With `claiming.again` whoever has it gets it once more, for a window that lost its token; the one before is stale.
    Raises AlreadyClaimed, MoveIllegal, HandoffUnknown, CapacityReached.
    """
    tried = Try(claiming, request_name(claiming), room_for(store, tenant, claiming), now_ms)
    for _ in range(TRIES_MAX):
        handoff = await handoffs.get(store, tenant, handoff_id)
        if await deadlines.settle(store, handoff, now_ms):
            continue
        if is_member(handoff) and handoff.state == "waiting":
            # Whoever picks it out of a flood's group takes it as one of its own.
            await floods.let_go(store, handoff, claiming.operator, now_ms)
            continue
        place, in_class = handoffs.place_of(store, tenant, handoff.handoff_id), wanted(handoff).text
        if claiming.again and handoff.holder == claiming.operator:
            # Nothing more is in hand by it, so no room is asked for. None: it has just moved on, and is looked at anew.
            once_more = await handoffs.claim_again(store, place, _asked_again(tried, handoff.handoff_id), now_ms)
            if once_more is None:
                continue
            return await _claimed(store, tenant, once_more, tried)
        candidate = Candidate(handoff.handoff_id, handoff.queue, in_class)
        found = await look(store, tenant, None, tried)
        if isinstance(found, Taken):
            return await _again(store, tenant, found, tried)
        if place.partition in found.away:
            await leave(tried)
            raise StoreAway("its shard was away a moment ago")
        taken = await take(store, place, [candidate], tried, found, "named")
        if isinstance(taken, Taken):
            return await _claimed(store, tenant, taken, tried)
        if isinstance(taken, TooLate) or says_nothing(taken, tried):
            continue
        await leave(tried)
        if isinstance(taken, Full):
            raise _full(tried, found)
        _refuse(handoff.handoff_id, claiming.operator, taken, now_ms)
    raise ConversationBusy(TRIES_MAX)


def _may_take(queue: str | None, claiming: Claiming) -> Callable[[str], bool]:
    """Return what tells whether they may take what waits in a class, by its name: of this queue, or of any for None."""
    known: dict[str, bool] = {}

    def may(name: str) -> bool:
        able = known.get(name)
        if able is None:
            wanted = wanted_in(name)
            able = known[name] = (queue is None or queue in wanted.queues) and may_take(
                claiming.declared, claiming.operator, wanted
            )
        return able

    return may


def _nothing(queue: str | None, found: Found) -> NothingWaiting:
    """Return that nothing waits, or raise StoreAway where that is not known."""
    if found.away:
        raise StoreAway("what waits on another shard is unknown")
    return NothingWaiting(queue)


def _full(tried: Try, found: Found) -> Refusal:
    """Return why the operator gets nothing more: they carry as much as they can, as far as that is known."""
    if found.away:
        return StoreAway("what waits on another shard, and what is in hand there, is unknown")
    return CapacityReached(sum(found.in_hand), capacity_of(tried.claiming) or 0)


def _asked_again(tried: Try, handoff_id: str) -> ClaimAgain:
    claiming = tried.claiming
    until_ms = tried.now_ms + claiming.lease_ms
    return ClaimAgain(handoff_id, claiming.operator, secrets.token_hex(12), until_ms, tried.request_id)


async def _claimed(store: Store, tenant: str, taken: Taken, tried: Try) -> Claimed:
    if tried.room is None:
        return await _shown(store, tenant, taken, tried.now_ms)
    # What was taken is counted now; that need not be waited for before the packet is read.
    _, claimed = await asyncio.gather(tried.room.leave(), _shown(store, tenant, taken, tried.now_ms))
    return claimed


async def _again(store: Store, tenant: str, taken: Taken, tried: Try) -> Claimed:
    """Return what the same request was answered before, as durable as the first answer."""
    await store.confirm(handoffs.place_of(store, tenant, taken.handoff_id))
    return await _claimed(store, tenant, taken, tried)


async def _shown(store: Store, tenant: str, taken: Taken, now_ms: int) -> Claimed:
    handoff = taken.handoff or await handoffs.get(store, tenant, taken.handoff_id)
    packet, noted = packets.unpacked(taken.packet, handoff), None
    if taken.handoff is not None and handoff.holder is not None and handoff.customer_id is not None:
        # Under way while the packet is read, whichever kind of connection it goes over.
        noted = asyncio.ensure_future(operators.keep_customer(store, tenant, handoff.holder, handoff.customer_id))
    if packet is None:
        try:
            packet = await packet_json(store, tenant, handoff, now_ms)
        except BaseException:
            # Nobody waits for it any more, and nobody would ask what came of it.
            if noted is not None:
                noted.cancel()
            raise
    if noted is not None:
        # It lies on whichever shard the customer's name leads to: an offer goes by it, and nothing depends on it.
        with contextlib.suppress(StoreAway, TimeoutError):
            async with asyncio.timeout(KEEPER_MS_MAX / 1000):
                await noted
    return Claimed(handoff, packet, taken.token, taken.lease_expires_at_ms)


def _refuse(handoff_id: str, operator: str, refused: Refused, now_ms: int) -> None:
    """Raise why the handoff cannot be claimed; return when it only moved meanwhile, and another try may work."""
    if refused.state is None:
        raise HandoffUnknown
    if refused.state in ENDED:
        raise MoveIllegal("claim", refused.state)
    if refused.state != "waiting":
        if refused.holder is None or refused.lease_expires_at_ms is None:
            raise MoveIllegal("claim", refused.state, moves_from(refused.state))
        own = refused.holder == operator
        raise AlreadyClaimed(handoff_id, refused.holder, refused.lease_expires_at_ms, own=own)
    until_at_ms = refused.reserved_until_at_ms
    if refused.reserved_for not in (None, operator) and until_at_ms is not None and until_at_ms > now_ms:
        raise AlreadyClaimed(handoff_id, refused.reserved_for or "", until_at_ms, reserved=True)
