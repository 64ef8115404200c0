"""What follows when time runs out: a silent operator's lease lapses, a missed deadline reroutes or ends the handoff.

Workers sweep; whoever meets an overdue handoff on the way settles it too, so no promise depends on a worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from rules import moves
from rules.handoff import OPEN, Handoff, is_member, wanted
from rules.moves import ACTOR as ACTOR
from rules.moves import missed
from rules.routing.floods import promoted
from rules.routing.operators import People
from rules.routing.widening import told
from rules.routing.yielding import withdrawn
from service.errors import StoreAway
from service.flows.offers import Desk
from service.store import calls, codec, floods, handoffs, keys, timers, waits
from service.store.keys import Place
from service.store.store import Store
from service.store.timers import LATE_BOUNDS_MS as LATE_BOUNDS_MS

SETTLED_MAX = 40  # a lease lapses, a ladder of twenty steps is caught up with, its deadline reroutes, another ends it
# More urgent handoffs that are offered before one that came due; it is looked at again in its turn.
OFFERED_FIRST_MAX = 16
SWEEPS_MAX = 100  # of DUE_READ_MAX each in one call; a worker comes again in a second
LAPSE_CHANGES = frozenset({"done", "spared"})  # the words of the script after which a handoff is no longer as it was
Done = TypeVar("Done", bool, str)


@dataclass(frozen=True, slots=True)
class Late:
    """How late each timer was. The clock is read once its own step is written: what a sweep does last is the latest."""

    clock: Callable[[], int]
    found_ms: list[int] = field(default_factory=list)

    def note(self, due_at_ms: int) -> None:
        """Add what was due then and has been done by now."""
        self.found_ms.append(max(0, self.clock() - due_at_ms))


async def lapse_due(store: Store, tenant: str, partition: int, now_ms: int, late: Late | None = None) -> int:
    """Put handoffs whose lease has ended back to waiting; return how many. Safe to repeat, and to race.

    A lease that nobody could renew, as the store was away, ends later than it says; from now on it says so.
    """
    place = keys.place(tenant, partition)
    lapsed = 0
    for _ in range(SWEEPS_MAX):
        due = await timers.leases_due(store, place, now_ms)
        steps = (_noted(_lapse(store, place, handoff_id, now_ms), at_ms, late) for handoff_id, at_ms in due)
        words = await asyncio.gather(*steps)
        lapsed += words.count("done")
        if LAPSE_CHANGES.isdisjoint(words):
            break
    return lapsed


async def expire_due(store: Store, tenant: str, partition: int, now_ms: int, late: Late | None = None) -> int:
    """Do what time asks of handoffs: steps, offers, reroutes, ends; return how many. Safe to repeat, and to race."""
    place = keys.place(tenant, partition)
    expired = 0
    for _ in range(SWEEPS_MAX):
        due = await timers.deadlines_due(store, place, now_ms)
        desk = Desk(store, tenant, now_ms)
        steps = (_noted(_expire(store, place, handoff_id, desk, now_ms), at_ms, late) for handoff_id, at_ms in due)
        moved = await asyncio.gather(*steps)
        expired += sum(moved)
        if not any(moved):
            break
    return expired


async def _noted(step: Awaitable[Done], due_at_ms: int, late: Late | None) -> Done:
    """Wait for a step, note how late it was if it was this one that did it, and return what it says of that."""
    done = await step
    if done in (True, "done") and late is not None:
        late.note(due_at_ms)
    return done


async def note_late(store: Store, tenant: str, partition: int, late_ms: Sequence[int]) -> None:
    """Count how late timers were, for /metrics."""
    await timers.note_late(store, keys.place(tenant, partition), late_ms)


async def lateness(store: Store, tenant: str) -> tuple[tuple[int, ...], int]:
    """Return how many timers were late by up to each of LATE_BOUNDS_MS and by more, and the sum of all in ms."""
    return await timers.lateness(store, tenant)


async def sweep(store: Store, tenant: str, now_ms: int) -> int:
    """Settle whatever is due in every partition of a tenant that can be reached; return how many moves were made."""

    async def one(due: Callable[[Store, str, int, int], Awaitable[int]], place: Place) -> int:
        if not store.reach.whole([place]):
            return 0
        try:
            return await due(store, tenant, place.partition, now_ms)
        except StoreAway:
            if store.partitions == 1:
                raise
            return 0

    moved = 0
    for due in (lapse_due, expire_due):
        moved += sum(await asyncio.gather(*(one(due, place) for place in store.places(tenant))))
    return moved


async def settle(store: Store, handoff: Handoff, now_ms: int) -> bool:
    """Do what is due to one handoff, and return whether anything was."""
    due = due_at_ms(handoff)
    if due is None or due > now_ms:
        return False
    place = handoffs.place_of(store, handoff.tenant, handoff.handoff_id)
    if handoff.state != "waiting" and handoff.lease_expires_at_ms is not None and handoff.lease_expires_at_ms <= now_ms:
        return await _lapse(store, place, handoff.handoff_id, now_ms) in LAPSE_CHANGES
    return await _expire(store, place, handoff.handoff_id, Desk(store, handoff.tenant, now_ms), now_ms)


async def current(store: Store, tenant: str, handoff_id: str, now_ms: int) -> Handoff:
    """Return a handoff, or the one that it has joined, with all that time has done to it; raises HandoffUnknown."""
    for _ in range(SETTLED_MAX):
        handoff = await handoffs.get(store, tenant, handoff_id)
        if not await settle(store, handoff, now_ms):
            break
    return handoff


def due_at_ms(handoff: Handoff) -> int | None:
    """Return when time will next do something to a handoff, None when it never will."""
    if handoff.state not in OPEN:
        return None
    held = handoff.state != "waiting"
    ends_at_ms = handoff.lease_expires_at_ms if held else handoff.expires_at_ms
    times = (moves.advance_at_ms(handoff, held=held), ends_at_ms)
    return min((at_ms for at_ms in times if at_ms is not None), default=None)


async def next_due_at_ms(store: Store, tenant: str, partition: int) -> int | None:
    """Return when the next lease or deadline of a partition ends, None when there is none."""
    return await timers.next_due_at_ms(store, keys.place(tenant, partition))


async def _lapse(store: Store, place: Place, handoff_id: str, now_ms: int) -> str:
    """Return the word of the script: `spared` where the lease is to end later, and says so now."""
    handoff = await handoffs.find(store, place, handoff_id)
    there = moves.released(handoff, now_ms) if handoff else None
    word, _ = await handoffs.move(
        store,
        "lapse",
        handoff=place.handoff(handoff_id),
        waiting=place.waiting(handoff.queue if handoff else ""),
        leases=place.leases,
        deadlines=place.deadlines,
        outbox=place.outbox,
        in_class=place.waiting_in(wanted(there).text if there else ""),
        classes=place.classes,
        loads=place.loads,
        beats=place.beats,
        now_ms=now_ms,
        version=handoff.version if handoff else 0,
        handoff_id=handoff_id,
        actor=ACTOR,
        fields=codec.place_out(there) if there else [],
    )
    return word


async def _expire(store: Store, place: Place, handoff_id: str, desk: Desk, now_ms: int) -> bool:
    """Do the first thing that is due to a handoff, or to a group; return whether anything was done."""
    if floods.is_group(handoff_id):
        return await _lead(store, place, handoff_id, now_ms)
    handoff = await handoffs.find(store, place, handoff_id)
    if handoff is not None:
        if moves.needs_people(handoff, now_ms):
            try:
                async with desk.turn:
                    return await _offer(store, handoff, desk, now_ms)
            except StoreAway:
                if store.reach.whole(store.places(handoff.tenant)):
                    raise
                # While a shard is away nobody knows who is free: an offer waits, and a step that asks for it does. The
                # deadline does not, nor what is due behind this one.
                if not moves.is_due(handoff, now_ms):
                    later = moves.looked_for(handoff, now_ms), "", ""
                    return moves.offer_is_due(handoff, now_ms) and await advance(store, handoff, later, now_ms)
        else:
            advanced = moves.advanced(handoff, now_ms, People())
            if advanced is not None:
                return await advance(store, handoff, advanced, now_ms)
        moved_on = moves.rerouted(handoff, now_ms) if moves.is_due(handoff, now_ms) else None
        if moved_on is not None:
            done = await _reroute(store, place, handoff, moved_on, now_ms)
            return done and await _missed(store, handoff, now_ms)
    in_class = wanted(handoff).text if handoff else ""
    resolution = None if handoff is None else missed(handoff, now_ms)
    word, _ = await handoffs.move(
        store,
        "expire",
        handoff=place.handoff(handoff_id),
        conversation=place.conversation(handoff.conversation_id if handoff else ""),
        turns=place.turns(handoff.conversation_id if handoff else ""),
        waiting=place.waiting(handoff.queue if handoff else ""),
        open=place.open(handoff.queue if handoff else ""),
        deadlines=place.deadlines,
        outbox=place.outbox,
        now_ms=now_ms,
        queue=handoff.queue if handoff else "",
        in_class=place.waiting_in(in_class),
        classes=place.classes,
        loads=place.loads,
        group=floods.group_key(place, handoff),
        class_name=in_class,
        handoff_id=handoff_id,
        resolution="" if resolution is None else codec.dumps(resolution),
        kept_ms=store.kept_ms,
        actor=ACTOR,
        version=handoff.version if handoff else 0,
        **calls.owed_words(place, handoff, resolution),
    )
    return word == "done" and await _missed(store, handoff, now_ms)


async def _lead(store: Store, place: Place, group: str, now_ms: int) -> bool:
    """Let a member stand for a group that has lost the one that did, or end it with the last."""
    first = await floods.first_of(store, place, group)
    after = promoted(first, now_ms) if first is not None else None
    return await floods.lead(store, place, group, first, after, ACTOR, now_ms)


async def _missed(store: Store, handoff: Handoff | None, now_ms: int) -> bool:
    """Remember that nobody came in so long: an estimate without those would promise most where fewest are there."""
    if handoff is not None and not is_member(handoff):
        await waits.missed(store, handoff, min(now_ms, handoff.expires_at_ms))
    return True


async def _reroute(store: Store, place: Place, handoff: Handoff, there: Handoff, now_ms: int) -> bool:
    word, _ = await handoffs.move(
        store,
        "reroute",
        handoff=place.handoff(handoff.handoff_id),
        waiting=place.waiting(there.queue),
        waiting_before=place.waiting(handoff.queue),
        open=place.open(there.queue),
        open_before=place.open(handoff.queue),
        in_class=place.waiting_in(wanted(there).text),
        in_class_before=place.waiting_in(wanted(handoff).text),
        classes=place.classes,
        deadlines=place.deadlines,
        queues=place.queues,
        outbox=place.outbox,
        group=floods.group_key(place, there),
        group_before=floods.group_key(place, handoff),
        now_ms=now_ms,
        version=handoff.version,
        queue=there.queue,
        handoff_id=handoff.handoff_id,
        actor=ACTOR,
        fields=codec.place_out(there),
    )
    return word == "done"


async def _offer(store: Store, handoff: Handoff, desk: Desk, now_ms: int) -> bool:
    """Do what is due to a handoff and depends on who is at work; whoever is free is offered the most urgent one."""
    asked_back = False
    for _ in range(OFFERED_FIRST_MAX):
        there = await desk.people()
        advanced = moves.advanced(handoff, now_ms, there)
        if advanced is None:
            return False
        _, event, whom = advanced
        if not event and not asked_back:
            # Once: should somebody else's look be quicker with whoever is free then, the next one sees it.
            asked_back = True
            if await _withdraw(store, handoff, desk, now_ms):
                continue
        first = await desk.more_urgent(handoff, whom) if event == "handoff.offered" else None
        sooner = None if first is None else moves.advanced(first, now_ms, there)
        if first is None or sooner is None or sooner[1:] != (event, whom):
            if event != "handoff.offered":
                return await advance(store, handoff, advanced, now_ms)
            done = await _give(store, handoff, advanced, desk, now_ms)
            if done is not None:
                return done
        elif await _give(store, first, sooner, desk, now_ms) is False:
            # It was offered or claimed a moment ago, by somebody else's look.
            desk.offered(whom)
    return await advance(store, handoff, (moves.looked_for(handoff, now_ms), "", ""), now_ms)


async def _withdraw(store: Store, handoff: Handoff, desk: Desk, now_ms: int) -> bool:
    """End an offer that gives way to a handoff for which nobody is free; return whether there was one."""
    lesser = await desk.lesser(handoff)
    if lesser is None:
        return False
    done = await advance(store, lesser, withdrawn(lesser), now_ms)
    desk.withdrawn(lesser, done=done)
    return done


async def _give(
    store: Store, handoff: Handoff, offered: tuple[Handoff, str, str], desk: Desk, now_ms: int
) -> bool | None:
    """Offer a handoff, and return whether it was still as it was read; None where who it was for has no room for it."""
    whom = offered[2]
    offering = await desk.meet(whom, handoff.kind)
    if offering is None:
        return None
    partition = handoffs.place_of(store, handoff.tenant, handoff.handoff_id).partition
    done = await advance(store, handoff, offered, now_ms, until_ms=offering.until_ms(partition))
    await offering.done()
    if done:
        desk.offered(whom)
    return done


async def advance(
    store: Store,
    handoff: Handoff,
    advanced: tuple[Handoff, str, str],
    now_ms: int,
    actor: str = ACTOR,
    until_ms: int | None = None,
) -> bool:
    """Write what time, or whoever declines an offer, makes of a handoff; return whether it was still as it was read.

    Nothing is written once the clock of its server is past `until_ms`.
    """
    after, event, detail = advanced
    place = handoffs.place_of(store, handoff.tenant, handoff.handoff_id)
    word, _ = await handoffs.move(
        store,
        "advance",
        handoff=place.handoff(handoff.handoff_id),
        waiting=place.waiting(handoff.queue),
        open=place.open(handoff.queue),
        in_class=place.waiting_in(wanted(after).text),
        in_class_before=place.waiting_in(wanted(handoff).text),
        classes=place.classes,
        deadlines=place.deadlines,
        outbox=place.outbox,
        now_ms=now_ms,
        version=handoff.version,
        handoff_id=handoff.handoff_id,
        event=event,
        detail=detail,
        actor=actor,
        until_ms="" if until_ms is None else until_ms,
        widened=codec.dumps(told(after.route.widened[-1])) if event == "handoff.widened" else "",
        fields=codec.place_out(after),
    )
    return word == "done"
