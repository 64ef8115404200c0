"""One try to give an operator something: what they may take is looked at, and the first of it taken, once a request.

What an operator has in hand and what a request was answered lie in any partition. So whoever tries keeps room first, in
the one that is the operator's own, and notes there what they are about to take before they take it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rules.handoff import KINDS, Assignment, Kind
from rules.marks import DRILL_BEHIND_MS
from rules.routing.operators import Operator, weight
from rules.routing.route import wanted_in
from service.errors import CapacityReached, StoreAway
from service.flows.rooms import Room, until_ms
from service.store import handoffs
from service.store.handoffs import Candidate, Claim, Full, Refused, Taken, TooLate
from service.store.keys import Place
from service.store.rooms import KEPT_MS
from service.store.store import Store
from service.store.work import Asking, Found, Row

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
class Try:
    """A claim that is being made: `room` is kept for it where more than one partition may give them something.

    What two tries for the same request must not both take, and what an operator with a limit must not get too much of.
    """

    claiming: Claiming
    request_id: str
    room: Room | None
    now_ms: int


def request_name(claiming: Claiming) -> str:
    """Return under which name the answer is kept: that of the caller's key, or one that nobody asks for again."""
    return f"claim:{claiming.operator}:{claiming.request_id or secrets.token_hex(8)}"


def room_for(store: Store, tenant: str, claiming: Claiming) -> Room | None:
    """Return the room to keep for a claim.

    None where the script that takes sees all that the operator has and was answered, or neither matters.
    """
    limited = capacity_of(claiming) is not None
    if store.partitions == 1 or not (limited or claiming.request_id is not None):
        return None
    weight = max(_weights(claiming.declared)) if limited else 0
    request_id = "" if claiming.request_id is None else request_name(claiming)
    return Room(store, tenant, claiming.operator, "claims", weight, request_id)


async def leave(tried: Try) -> None:
    """Keep no room any longer: nothing of this try is on its way."""
    if tried.room is not None:
        await tried.room.leave()


async def look(store: Store, tenant: str, asking: Asking | None, tried: Try) -> Found | Taken:
    """Return what the operator may take, and what they have; without `asking` only the latter.

    Where they might have too little room for whatever it is, once their other claims under way are done. Who asks
    under a key gets what was answered to it before, once nobody else is about to answer it.
    """
    room, keyed, capacity = tried.room, tried.claiming.request_id is not None, capacity_of(tried.claiming)
    in_hand = 0
    while True:
        if room is not None:
            await room.keep()
        answered = await _answered(store, tenant, tried) if keyed else None
        if answered is not None:
            return answered
        if room is None or not (keyed and room.others):
            found = await _found(store, tenant, asking, tried)
            in_hand = sum(found.in_hand)
            # What those before take meanwhile the script counts twice, once as theirs and once as kept.
            if room is None or (room.in_time and _is_sure(in_hand, room, tried.claiming)):
                return found
            store.work.done(found)
        if not await room.pause(OTHERS_WAIT_MS):
            await room.leave()
            if capacity is None or (keyed and room.others):
                raise StoreAway("the same request is being answered")
            raise CapacityReached(in_hand, capacity)


def _is_sure(in_hand: int, room: Room, claiming: Claiming) -> bool:
    capacity = capacity_of(claiming)
    if capacity is None or not room.before:
        return True
    return in_hand + 2 * room.before + max(_weights(claiming.declared)) <= capacity


async def _answered(store: Store, tenant: str, tried: Try) -> Taken | None:
    """Return what the request was answered before; raises StoreAway where that lies on a shard that is away."""
    room = tried.room
    partition = 0 if room is None else room.tried
    if partition is None:
        return None
    try:
        return await handoffs.claim_answered(store, store.places(tenant)[partition], tried.request_id)
    except StoreAway:
        await leave(tried)
        raise


async def _found(store: Store, tenant: str, asking: Asking | None, tried: Try) -> Found:
    """Return a look; of partitions that are away it says what a limited operator has there at most."""
    places = store.places(tenant)
    if asking is None:
        found = await store.work.hands(places, tried.claiming.operator)
    else:
        found = await store.work.find(tenant, places, asking)
    if not found.away or capacity_of(tried.claiming) is None:
        return found
    noted = () if tried.room is None else tried.room.noted
    if len(noted) != len(places):
        await leave(tried)
        raise StoreAway("what the operator has in hand on another shard is unknown")
    in_hand = tuple(noted[at] if at in found.away else weight for at, weight in enumerate(found.in_hand))
    return replace(found, in_hand=in_hand)


async def first(store: Store, tenant: str, found: Found, tried: Try) -> Taken | Full | None:
    """Take the first that is still there; Full where there are some, but too heavy, None where others were quicker.

    What is light enough is looked for behind more that is too heavy than a look reads.
    """
    taken = await _first_of(store, tenant, found.rows, found, tried)
    if not isinstance(taken, Full) or found.more:
        return taken
    kinds = _light(found, tried)
    rows = await store.lighter.find(store.places(tenant), found, kinds) if kinds else []
    return await _first_of(store, tenant, rows, found, tried) if rows else taken


async def _first_of(store: Store, tenant: str, rows: Sequence[Row], found: Found, tried: Try) -> Taken | Full | None:
    full = None
    for place, candidates, are_drills in _runs(store.places(tenant), rows):
        if are_drills and full is not None:
            # A drill is for somebody whom no customer waits for, not even one for whom they have no room.
            break
        taken = await take(store, place, candidates, tried, found)
        if isinstance(taken, Taken):
            return taken
        if isinstance(taken, TooLate) or says_nothing(taken, tried):
            return None
        full = taken if isinstance(taken, Full) else full
    return full


def _light(found: Found, tried: Try) -> tuple[Kind, ...]:
    """Return the kinds for which the operator has room, where there are others for which they have none."""
    capacity, declared = capacity_of(tried.claiming), tried.claiming.declared
    if capacity is None:
        return ()
    left = capacity - sum(found.in_hand) - (tried.room.before if tried.room is not None else 0)
    kinds = tuple(kind for kind in KINDS if weight(declared, kind) <= left)
    return kinds if len(kinds) < len(KINDS) else ()


async def take(
    store: Store,
    place: Place,
    candidates: Sequence[Candidate],
    tried: Try,
    found: Found,
    how: Literal["next", "named"] = "next",
) -> Taken | Refused | Full | TooLate:
    """Take the first of some handoffs of one partition; what that may lead to is noted before it is done."""
    if tried.room is not None:
        at_most: list[int] = []
        if capacity_of(tried.claiming) is not None:
            at_most = [weight + tried.room.before for weight in found.in_hand]
            at_most[place.partition] += max(_weights(tried.claiming.declared))
        await tried.room.note(at_most, place.partition)
    return await handoffs.claim(store, place, candidates, _asked(tried, found, place, how), tried.now_ms)


def says_nothing(taken: Refused | Full, tried: Try) -> bool:
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


def capacity_of(claiming: Claiming) -> int | None:
    """Return the weight that who claims may carry, None for any."""
    return None if claiming.declared is None else claiming.declared.capacity


def _weights(declared: Operator | None) -> tuple[int, int, int]:
    return weight(declared, "review"), weight(declared, "hold"), weight(declared, "escalate")


def _asked(tried: Try, found: Found, place: Place, how: Literal["next", "named"] = "next") -> Claim:
    claiming, now_ms, room = tried.claiming, tried.now_ms, tried.room
    declared, capacity = claiming.declared, capacity_of(claiming)
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
