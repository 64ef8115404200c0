"""How an operator gets a handoff, and the packet with it. A claim depends on no worker: it builds what is missing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rules.evaluation.evaluate import Ruleset
from rules.handoff import ENDED, Assignment, Handoff, is_member, moves_from, wanted
from rules.marks import DRILL_BEHIND_MS
from rules.packet.packet import ContextPacket, build, dumps, loads
from rules.routing.operators import Operator, may_take, weight
from rules.routing.route import wanted_in
from service.errors import AlreadyClaimed, CapacityReached, ConversationBusy, HandoffUnknown, MoveIllegal, QueueUnknown
from service.flows import deadlines, floods
from service.flows.rooms import Room, until_ms
from service.store import conversations, decisions, handoffs, operators, packets, queues
from service.store.handoffs import Candidate, Claim, ClaimAgain, Full, Refused, Taken, TooLate
from service.store.keys import Place
from service.store.rooms import KEPT_MS
from service.store.store import Store
from service.store.work import Asking, Found, Row

TRIES_MAX = 32  # each one that fails saw another operator succeed
# Handoffs that one script is asked to try. The first is mostly taken; behind it are those for whom another process was
# quicker, or who weigh more than the operator can still carry.
FIRST_TRIED = 3
TRIED_MAX = 32
# Somebody who has little room left waits so long for other claims of theirs to be done: longer than what a killed
# process keeps takes to end.
OTHERS_WAIT_MS = KEPT_MS + 1_000


@dataclass(frozen=True, slots=True)
class Claiming:
    """Who claims, and for how long unless renewed. The same `request_id` again gets the same handoff and token.

    `declared` is what is known of the operator, None where no operators are declared: then they may take everything.
    `again`: the one that they ask for by its id they get also where they have it in hand, with a new token.
    """

    operator: str
    lease_ms: int
    request_id: str | None = None
    declared: Operator | None = None
    again: bool = False


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
class _Try:
    """A claim that is being made: `room` is kept for it where more than one partition may give them something."""

    claiming: Claiming
    request_id: str
    room: Room | None
    now_ms: int


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
    request_id, declared = _request_id(claiming), claiming.declared
    answered = await handoffs.claim_answered(store, tenant, request_id) if claiming.request_id is not None else None
    if answered is not None:
        await store.confirm(handoffs.place_of(store, tenant, answered.handoff_id))
        return await _claimed(store, tenant, answered, _Try(claiming, request_id, None, now_ms))
    swept, sure = False, declared is None or declared.capacity is None
    asking = Asking(claiming.operator, _may_take(queue, claiming), sure)
    tried = _Try(claiming, request_id, _room(store, tenant, claiming), now_ms)
    for _ in range(TRIES_MAX):
        found = await _look(store, tenant, asking, tried)
        try:
            if not swept and found.due_at_ms is not None and found.due_at_ms <= now_ms:
                # Whoever swept first at the same moment, what waits now was not seen by this look.
                swept = True
                await deadlines.sweep(store, tenant, now_ms)
                continue
            if not found.classes:
                break
            taken = await _first(store, tenant, found, tried)
            if isinstance(taken, Taken):
                return await _claimed(store, tenant, taken, tried)
            # What is too heavy hides nothing lighter: where some was not seen, it is looked for.
            if taken is not None and declared is not None and not found.more:
                await _leave(tried)
                raise CapacityReached(sum(found.in_hand), declared.capacity or 0)
        finally:
            store.work.done(found)
    await _leave(tried)
    return NothingWaiting(queue)


async def claim_one(store: Store, tenant: str, handoff_id: str, claiming: Claiming, now_ms: int) -> Claimed:
    """Give this handoff to the operator, whatever its ladder says: a person has looked and chosen.

    With `claiming.again` whoever has it gets it once more, for a window that lost its token; the one before is stale.
    Raises AlreadyClaimed, MoveIllegal, HandoffUnknown, CapacityReached.
    """
    tried = _Try(claiming, _request_id(claiming), _room(store, tenant, claiming), now_ms)
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
        found = await _look(store, tenant, None, tried)
        taken = await handoffs.claim(store, place, [candidate], _asked(tried, found, place, "named"), now_ms)
        if isinstance(taken, Taken):
            return await _claimed(store, tenant, taken, tried)
        if isinstance(taken, TooLate) or _says_nothing(taken, tried):
            continue
        await _leave(tried)
        if isinstance(taken, Full):
            raise CapacityReached(sum(found.in_hand), claiming.declared.capacity or 0 if claiming.declared else 0)
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
    kept, known = await packets.find(store, place, handoff)
    if kept is not None:
        return False
    await packets.keep(store, place, handoff, known, dumps(await _build(store, place, handoff, now_ms)))
    return True


async def packet_json(store: Store, tenant: str, handoff: Handoff, now_ms: int) -> bytes:
    """Return the packet of a handoff as JSON: the one built ahead when nothing was said since, or a new one."""
    place = handoffs.place_of(store, tenant, handoff.handoff_id)
    kept, _ = await packets.find(store, place, handoff)
    return kept if kept is not None else dumps(await _build(store, place, handoff, now_ms))


def _request_id(claiming: Claiming) -> str:
    return f"claim:{claiming.operator}:{claiming.request_id or secrets.token_hex(8)}"


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


def _room(store: Store, tenant: str, claiming: Claiming) -> Room | None:
    """Return the room to keep for a claim; None where the script that takes sees all that the operator has."""
    declared = claiming.declared
    if declared is None or declared.capacity is None or store.partitions == 1:
        return None
    return Room(store, tenant, claiming.operator, "claims", max(_weights(declared)))


async def _leave(tried: _Try) -> None:
    if tried.room is not None:
        await tried.room.leave()


async def _look(store: Store, tenant: str, asking: Asking | None, tried: _Try) -> Found:
    """Return what the operator may take, and what they have; without `asking` only the latter.

    Where they might have too little room for whatever it is, once their other claims under way are done.
    """
    room, declared, places = tried.room, tried.claiming.declared, store.places(tenant)
    while True:
        if room is not None:
            await room.keep()
        found = await store.work.find(tenant, places, asking) if asking is not None else None
        if found is None:
            found = Found([], 1, *(await store.work.in_hand(places, tried.claiming.operator)))
        if room is None or declared is None:
            return found
        capacity = declared.capacity or 0
        # What those before take meanwhile the script counts twice, once as theirs and once as kept.
        sure = not room.before or sum(found.in_hand) + 2 * room.before + max(_weights(declared)) <= capacity
        if sure and room.in_time:
            return found
        if not await room.pause(OTHERS_WAIT_MS):
            await room.leave()
            raise CapacityReached(sum(found.in_hand), capacity)


async def _first(store: Store, tenant: str, found: Found, tried: _Try) -> Taken | Full | None:
    """Take the first that is still there; Full where there are some, but too heavy, None where others were quicker."""
    full = None
    for place, candidates, are_drills in _runs(store.places(tenant), found.rows):
        if are_drills and full is not None:
            # A drill is for somebody whom no customer waits for, not even one for whom they have no room.
            break
        taken = await handoffs.claim(store, place, candidates, _asked(tried, found, place), tried.now_ms)
        if isinstance(taken, Taken):
            return taken
        if isinstance(taken, TooLate) or _says_nothing(taken, tried):
            return None
        full = taken if isinstance(taken, Full) else full
    return full


def _says_nothing(taken: Refused | Full, tried: _Try) -> bool:
    """Return whether somebody is perhaps full only because what their other claims took was counted twice."""
    return isinstance(taken, Full) and tried.room is not None and tried.room.before > 0


def _runs(places: Sequence[Place], rows: Sequence[Row]) -> Iterator[tuple[Place, list[Candidate], bool]]:
    """Yield what to try, most urgent first, and whether it is drills alone: these stand behind every customer.

    A script takes from one partition only, and the first row mostly does.
    """
    start, many = 0, FIRST_TRIED
    while start < len(rows):
        partition, end = rows[start][2], start + 1
        while end < min(len(rows), start + many) and rows[end][2] == partition:
            end += 1
        yield (
            places[partition],
            [Candidate(handoff_id, wanted_in(name).queues[0], name) for _, handoff_id, _, name in rows[start:end]],
            rows[start][0] >= DRILL_BEHIND_MS,
        )
        start, many = end, TRIED_MAX


def _weights(declared: Operator | None) -> tuple[int, int, int]:
    return weight(declared, "review"), weight(declared, "hold"), weight(declared, "escalate")


def _asked(tried: _Try, found: Found, place: Place, how: Literal["next", "named"] = "next") -> Claim:
    claiming, now_ms, room = tried.claiming, tried.now_ms, tried.room
    declared, capacity = claiming.declared, claiming.declared.capacity if claiming.declared else None
    elsewhere = sum(found.in_hand) - found.in_hand[place.partition] + (room.before if room is not None else 0)
    return Claim(
        operator=claiming.operator,
        random=secrets.token_hex(12),
        lease_expires_at_ms=now_ms + claiming.lease_ms,
        request_id=tried.request_id,
        assignment=Assignment(
            operator=claiming.operator,
            at_ms=now_ms,
            how=how,
            classes=found.classes,
            load=sum(found.in_hand),
            capacity=capacity,
        ),
        room=None if capacity is None else capacity - elsewhere,
        weights=_weights(declared),
        until_ms=None if room is None else until_ms(found.clocks_ms[place.partition]),
    )


def _asked_again(tried: _Try, handoff_id: str) -> ClaimAgain:
    claiming = tried.claiming
    until_ms = tried.now_ms + claiming.lease_ms
    return ClaimAgain(handoff_id, claiming.operator, secrets.token_hex(12), until_ms, tried.request_id)


async def _claimed(store: Store, tenant: str, taken: Taken, tried: _Try) -> Claimed:
    if tried.room is None:
        return await _shown(store, tenant, taken, tried.now_ms)
    # What was taken is counted now; that need not be waited for before the packet is read.
    _, claimed = await asyncio.gather(tried.room.leave(), _shown(store, tenant, taken, tried.now_ms))
    return claimed


async def _shown(store: Store, tenant: str, taken: Taken, now_ms: int) -> Claimed:
    handoff = taken.handoff or await handoffs.get(store, tenant, taken.handoff_id)
    noted = None
    if taken.handoff is not None and handoff.holder is not None and handoff.customer_id is not None:
        # On the wire together with what the packet reads.
        noted = operators.keep_customer(store, tenant, handoff.holder, handoff.customer_id)
    packet = await packet_json(store, tenant, handoff, now_ms)
    if noted is not None:
        await noted
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
        own = refused.holder == operator
        raise AlreadyClaimed(handoff_id, refused.holder, refused.lease_expires_at_ms, own=own)
    until_at_ms = refused.reserved_until_at_ms
    if refused.reserved_for not in (None, operator) and until_at_ms is not None and until_at_ms > now_ms:
        raise AlreadyClaimed(handoff_id, refused.reserved_for or "", until_at_ms, reserved=True)
