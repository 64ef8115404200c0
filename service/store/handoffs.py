"""Handoffs in Redis: read, and moved by one script a verb. Which move to make is decided in the flows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from rules.handoff import Assignment, Handoff, State
from rules.marks import DRILL_MARK
from rules.routing.waits import HISTORY_MAX
from service.errors import HandoffUnknown
from service.store import codec, keys
from service.store.keys import Place
from service.store.multiplexed import Reply
from service.store.scripts import Argument
from service.store.store import ANSWER_KEPT_MS, Store

REPLIES_MAX = 200  # longer talks than this belong in the channel itself; the hash stays under a megabyte
ASSIGNMENTS_MAX = 20  # the last ones of a handoff; whose that many hands were, nobody reads of the first


@dataclass(frozen=True, slots=True)
class Taken:
    """A claim as it was answered; `handoff` is None where the same request had been answered before.

    `packet` is what was built ahead of it, as it is kept; empty when there is none.
    """

    handoff_id: str
    token: str
    lease_expires_at_ms: int
    handoff: Handoff | None
    packet: bytes = b""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a claim failed, as the handoff stood at that moment; `state` is None when there is none."""

    state: State | None
    holder: str | None
    lease_expires_at_ms: int | None
    reserved_for: str | None
    reserved_until_at_ms: int | None
    expires_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Full:
    """The operator has no room for any that is free: `in_hand` is the weight that they hold in this partition."""

    in_hand: int


@dataclass(frozen=True, slots=True)
class TooLate:
    """The claim came to the server after `until_ms`, and nothing was done."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim asks for.

    `room` is the weight that the operator may hold in the partition that is asked, None for any; `weights` are those
    of a review, a hold and an escalation. Past `until_ms` of the partition's server nothing is taken, None for never.
    """

    operator: str
    random: str
    lease_expires_at_ms: int
    request_id: str
    assignment: Assignment
    room: int | None = None
    weights: tuple[int, int, int] = (1, 1, 1)
    until_ms: int | None = None


class ClaimAgain(NamedTuple):
    """What a new token for what somebody has in hand asks for."""

    handoff_id: str
    operator: str
    random: str
    lease_expires_at_ms: int
    request_id: str


class Candidate(NamedTuple):
    """A waiting handoff, and where it stands: its queue and the text of its class."""

    handoff_id: str
    queue: str
    in_class: str


def place_of(store: Store, tenant: str, handoff_id: str) -> Place:
    """Return the partition that the id names; raises HandoffUnknown."""
    partition = keys.partition_in(keys.HANDOFF_ID, handoff_id, store.partitions)
    if partition is None:
        raise HandoffUnknown
    return keys.place(tenant, partition)


async def get(store: Store, tenant: str, handoff_id: str) -> Handoff:
    """Return a handoff, or the one that it has joined; raises HandoffUnknown."""
    place = place_of(store, tenant, handoff_id)
    handoff = await find(store, place, handoff_id)
    if handoff is None:
        joined = await store.link.call("GET", place.alias(handoff_id))
        handoff = await find(store, place, joined.decode()) if joined is not None else None
    if handoff is None:
        raise HandoffUnknown
    return handoff


async def find(store: Store, place: Place, handoff_id: str) -> Handoff | None:
    """Return a handoff of this partition, None when it is not kept."""
    return codec.handoff_in(await store.link.call("HGETALL", place.handoff(handoff_id)))


async def many(store: Store, found: list[tuple[Place, str]]) -> list[Handoff]:
    """Return those of the handoffs that are kept, in the order asked for: one round trip."""
    handoffs = await asyncio.gather(*(find(store, place, handoff_id) for place, handoff_id in found))
    return [handoff for handoff in handoffs if handoff is not None]


async def point(store: Store, place: Place, handoff_id: str, joined_id: str) -> None:
    """Let an id that was told, but never opened, lead to the handoff it joined."""
    await store.link.call("SET", place.alias(handoff_id), joined_id, "PX", store.kept_ms, durable=True)


async def move(store: Store, verb: str, **values: Argument) -> tuple[str, list[Reply]]:
    """Run the script of a verb and return its word and what comes with it."""
    word, *rest = await store.scripts.run(verb, **values)
    return word.decode(), rest


async def claim(
    store: Store, place: Place, candidates: Sequence[Candidate], asked: Claim, now_ms: int
) -> Taken | Refused | Full | TooLate:
    """Take the first of the handoffs that may be taken, or say why the last of them may not."""
    word, rest = await move(
        store,
        "claim",
        classes=place.classes,
        deadlines=place.deadlines,
        leases=place.leases,
        request=place.request(asked.request_id),
        outbox=place.outbox,
        loads=place.loads,
        claimed_at=place.claimed_at,
        candidates=_candidate_keys(place, candidates),
        operator=asked.operator,
        random=asked.random,
        now_ms=now_ms,
        lease_expires_at_ms=asked.lease_expires_at_ms,
        answer_kept_ms=ANSWER_KEPT_MS,
        room="" if asked.room is None else asked.room,
        weights=" ".join(map(str, asked.weights)),
        assignment=_claimed_out(asked.assignment),
        assignments_max=ASSIGNMENTS_MAX,
        class_prefix=place.classes_prefix,
        waits_max=HISTORY_MAX,
        drill_mark=DRILL_MARK,
        until_ms="" if asked.until_ms is None else asked.until_ms,
    )
    if word == "late":
        return TooLate()
    if word == "full":
        return Full(int(rest[0]))
    if word == "claimed":
        handoff = codec.handoff_in(rest[1])
        if handoff is None:
            raise HandoffUnknown
        return Taken(handoff.handoff_id, rest[0].decode(), asked.lease_expires_at_ms, handoff, rest[2])
    if word == "repeated":
        return _taken_before(rest[0])
    state, holder, lease, reserved_for, reserved_until, expires = rest
    return Refused(
        cast(State | None, codec.text(state)),
        codec.text(holder),
        codec.number(lease),
        codec.text(reserved_for),
        codec.number(reserved_until),
        codec.number(expires),
    )


async def claim_again(store: Store, place: Place, asked: ClaimAgain, now_ms: int) -> Taken | None:
    """Give the operator a new token for what they have in hand; return None where it is not, or no longer, theirs."""
    word, rest = await move(
        store,
        "claim_again",
        handoff=place.handoff(asked.handoff_id),
        leases=place.leases,
        request=place.request(asked.request_id),
        outbox=place.outbox,
        beats=place.beats,
        operator=asked.operator,
        random=asked.random,
        now_ms=now_ms,
        lease_expires_at_ms=asked.lease_expires_at_ms,
        answer_kept_ms=ANSWER_KEPT_MS,
    )
    if word == "repeated":
        return _taken_before(rest[0])
    if word == "not_theirs":
        return None
    handoff = codec.handoff_in(rest[2])
    if handoff is None:
        raise HandoffUnknown
    return Taken(handoff.handoff_id, rest[0].decode(), int(rest[1]), handoff)


def _claimed_out(assignment: Assignment) -> bytes:
    """Return what a claim knows of its assignment; what the handoff is like is added by the script that takes it."""
    known = ("operator", "at_ms", "how", "classes", "load", "capacity")
    return codec.dumps({name: getattr(assignment, name) for name in known})


def _candidate_keys(place: Place, candidates: Sequence[Candidate]) -> list[str]:
    keys: list[str] = []
    # The candidates of a class follow each other or not, but their classes are few.
    shared: dict[str, tuple[str, str, str]] = {}
    for handoff_id, queue, in_class in candidates:
        of_class = shared.get(in_class)
        if of_class is None:
            of_class = shared[in_class] = (place.waiting(queue), place.waiting_in(in_class), place.waits(queue))
        keys += (place.handoff(handoff_id), *of_class, place.packet(handoff_id))
    return keys


async def claim_answered(store: Store, place: Place, request_id: str) -> Taken | None:
    """Return the claim that this request was answered with in a partition: the token is the one issued then."""
    answer = await store.link.call("GET", place.request(request_id))
    return None if answer is None else _taken_before(answer)


def _taken_before(answer: bytes) -> Taken:
    handoff_id, token, lease = answer.decode().split(" ")
    return Taken(handoff_id, token, int(lease), None)


async def note_declined(store: Store, handoff: Handoff, operator: str) -> None:
    """Remember for a while that the operator declined the handoff, so that a repetition is known as one."""
    await store.link.call("SET", _declined(store, handoff, operator), 1, "PX", ANSWER_KEPT_MS, durable=True)


async def has_declined(store: Store, handoff: Handoff, operator: str) -> bool:
    """Return whether the operator declined the handoff a while ago."""
    return bool(await store.link.call("EXISTS", _declined(store, handoff, operator)))


def _declined(store: Store, handoff: Handoff, operator: str) -> str:
    place = place_of(store, handoff.tenant, handoff.handoff_id)
    return place.request(f"decline:{handoff.handoff_id}:{operator}")
