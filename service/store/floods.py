"""Floods in Redis: who stands for a group, its members, and what is counted towards a limit. Nothing is judged here.

The members of a group are a class in which nobody is given anything, so that every script which takes a waiting
handoff out of its class takes it out of its group: what a group holds and what it counts are one thing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rules.handoff import Handoff, Resolution, group_of, wanted
from rules.marks import GROUPED_BEHIND_MS
from rules.routing.floods import grouped, leading
from rules.routing.route import Likeness, Wanted, wanted_in
from rules.thinking import Change
from service.store import calls, codec, handoffs
from service.store.handoffs import move
from service.store.keys import Place
from service.store.multiplexed import Reply
from service.store.store import Store

# Groups that are listed of one partition, those with the most urgent members.
GROUPS_LISTED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Group:
    """One group of one partition. `members` wait in it, `grouped` ever came into it since `since_ms`."""

    queue: str
    alike: Likeness
    leader: str | None
    since_ms: int
    grouped: int
    members: int


def group_key(place: Place, handoff: Handoff | None) -> str:
    """Return the key of the group that a handoff is part of; that of no group where it is in none."""
    group = None if handoff is None else group_of(handoff)
    return place.group("" if group is None else group.text)


def guard_keys(place: Place, change: Change) -> list[str]:
    """Return by threes what a handoff that opens is counted in: the group's HASH, its members, what is counted."""
    handoff = change.handoff
    if handoff is None:
        return []
    names = (wanted(grouped(handoff, guard.group)).text for guard in change.guards)
    return [key for name in names for key in (place.group(name), place.waiting_in(name), place.counted(name))]


def limits_out(handoff: Handoff, change: Change) -> bytes:
    """Return the limits as the script reads them: with what the handoff is as a member, and as one that leads."""
    return codec.dumps(
        [
            [
                guard.limit.most,
                guard.limit.over_ms,
                elsewhere,
                _changed_out(handoff, grouped(handoff, guard.group)),
                _changed_out(handoff, leading(handoff, guard.group)),
            ]
            for guard, elsewhere in zip(change.guards, change.elsewhere or (0,) * len(change.guards), strict=True)
        ]
    )


def _changed_out(handoff: Handoff, after: Handoff) -> list[str]:
    """Return the fields in which `after` differs, as names and values in a row."""
    before, later = codec.handoff_out(handoff), codec.handoff_out(after)
    pairs = zip(later[::2], before[1::2], later[1::2], strict=True)
    return [_text(word) for name, old, new in pairs if new != old for word in (name, new)]


def _text(word: str | bytes) -> str:
    return word if isinstance(word, str) else word.decode()


def is_group(due: str) -> bool:
    """Return whether what time has come for is a group, not a handoff: its name is that of a class."""
    return due.startswith("[")


async def first_of(store: Store, place: Place, in_class: str) -> Handoff | None:
    """Return the most urgent member of a group, None when it has none."""
    found = await store.link.call("ZRANGE", place.waiting_in(in_class), 0, 0)
    return await handoffs.find(store, place, found[0].decode()) if found else None


async def lead(
    store: Store, place: Place, in_class: str, first: Handoff | None, after: Handoff | None, actor: str, now_ms: int
) -> bool:
    """Let the first member stand for the group, as it is `after` that; return whether it does."""
    queue = wanted_in(in_class).queues[0]
    word, _ = await move(
        store,
        "lead",
        group=place.group(in_class),
        members=place.waiting_in(in_class),
        classes=place.classes,
        deadlines=place.deadlines,
        handoff=place.handoff("" if first is None else first.handoff_id),
        waiting=place.waiting(queue),
        open=place.open(queue),
        in_class=place.waiting_in("" if after is None else wanted(after).text),
        outbox=place.outbox,
        now_ms=now_ms,
        name=in_class,
        handoff_id="" if first is None else first.handoff_id,
        version="" if first is None else first.version,
        actor=actor,
        fields=[] if after is None else codec.place_out(after),
    )
    return word == "done"


async def ungroup(store: Store, place: Place, member: Handoff, after: Handoff, actor: str, now_ms: int) -> bool:
    """Let a member wait as one of its own, as it is `after` that; return whether it does."""
    in_class = wanted(member).text
    word, _ = await move(
        store,
        "ungroup",
        handoff=place.handoff(member.handoff_id),
        waiting=place.waiting(member.queue),
        open=place.open(member.queue),
        deadlines=place.deadlines,
        outbox=place.outbox,
        in_class=place.waiting_in(wanted(after).text),
        members=place.waiting_in(in_class),
        classes=place.classes,
        now_ms=now_ms,
        version=member.version,
        handoff_id=member.handoff_id,
        name=in_class,
        actor=actor,
        fields=codec.place_out(after),
    )
    return word == "done"


async def answer(
    store: Store, place: Place, member: Handoff, leader_id: str, token: str, resolution: Resolution, now_ms: int
) -> tuple[str, list[Reply]]:
    """End a member with an answer by whoever has the one that stands for its group; return the script's word."""
    in_class = wanted(member).text
    return await move(
        store,
        "answer_member",
        handoff=place.handoff(member.handoff_id),
        leader=place.handoff(leader_id),
        conversation=place.conversation(member.conversation_id),
        turns=place.turns(member.conversation_id),
        waiting=place.waiting(member.queue),
        open=place.open(member.queue),
        deadlines=place.deadlines,
        members=place.waiting_in(in_class),
        classes=place.classes,
        loads=place.loads,
        group=place.group(in_class),
        outbox=place.outbox,
        beats=place.beats,
        token=token,
        now_ms=now_ms,
        name=in_class,
        handoff_id=member.handoff_id,
        version=member.version,
        resolution=codec.dumps(resolution),
        kept_ms=store.kept_ms,
        **calls.owed_words(place, member, resolution),
    )


async def members(store: Store, place: Place, in_class: str, limit: int, after: int = 0) -> list[Handoff]:
    """Return the most urgent members of a group, without the first `after`."""
    found = await store.link.call("ZRANGE", place.waiting_in(in_class), after, after + limit - 1)
    return await handoffs.many(store, [(place, handoff_id.decode()) for handoff_id in found])


async def size(store: Store, place: Place, in_class: str) -> int:
    """Return how many members a group has."""
    count: int = await store.link.call("ZCARD", place.waiting_in(in_class))
    return count


async def counted(store: Store, elsewhere: Sequence[Place], in_class: str, since_ms: int) -> int:
    """Return how many alike have opened in other partitions since a moment."""
    counts = await asyncio.gather(
        *(store.link.call("ZCOUNT", place.counted(in_class), f"({since_ms}", "+inf") for place in elsewhere)
    )
    return sum(counts)


async def group(store: Store, place: Place, queue: str, alike: Likeness) -> Group:
    """Return a group as it is."""
    in_class = Wanted((queue,), group=alike).text
    fields, count = await asyncio.gather(
        store.link.call("HMGET", place.group(in_class), "leader", "since_ms", "grouped"),
        store.link.call("ZCARD", place.waiting_in(in_class)),
    )
    leader, since_ms, grouped = fields
    return Group(queue, alike, codec.text(leader), codec.number(since_ms) or 0, codec.number(grouped) or 0, count)


async def groups(store: Store, tenant: str) -> list[Group]:
    """Return every group that has members, as far as GROUPS_LISTED_MAX goes."""

    async def look(place: Place) -> list[Group]:
        # Whatever waits besides, of however many classes, stands before them.
        classes = await store.link.call(
            "ZRANGEBYSCORE", place.classes, GROUPED_BEHIND_MS, "+inf", "LIMIT", 0, GROUPS_LISTED_MAX
        )
        every = (wanted_in(name.decode()) for name in classes)
        return await asyncio.gather(
            *(group(store, place, each.queues[0], each.group) for each in every if each.group is not None)
        )

    looked = await asyncio.gather(*(look(place) for place in store.places(tenant)))
    return [each for part in looked for each in part]
