"""What follows when time runs out: a silent operator's lease lapses, a missed deadline reroutes or ends the handoff.

Workers sweep; whoever meets an overdue handoff on the way settles it too, so no promise depends on a worker.
"""

from __future__ import annotations

import asyncio

from rules.handoff import OPEN, Handoff
from rules.moves import ACTOR as ACTOR
from rules.moves import missed
from service.store import codec, handoffs, keys, timers
from service.store.keys import Place
from service.store.store import Store

SETTLED_MAX = 4  # a lease lapses, its deadline reroutes, the next one ends it; then it is read once more
SWEEPS_MAX = 100  # of DUE_READ_MAX each in one call; a worker comes again in a second


async def lapse_due(store: Store, tenant: str, partition: int, now_ms: int) -> int:
    """Put handoffs whose lease has ended back to waiting; return how many. Safe to repeat, and to race."""
    place = keys.place(tenant, partition)
    lapsed = 0
    for _ in range(SWEEPS_MAX):
        due = await timers.leases_due(store, place, now_ms)
        moved = await asyncio.gather(*(_lapse(store, place, handoff_id, now_ms) for handoff_id in due))
        lapsed += sum(moved)
        if not any(moved):
            break
    return lapsed


async def expire_due(store: Store, tenant: str, partition: int, now_ms: int) -> int:
    """Reroute or end handoffs that nobody took in time; return how many. Safe to repeat, and to race."""
    place = keys.place(tenant, partition)
    expired = 0
    for _ in range(SWEEPS_MAX):
        due = await timers.deadlines_due(store, place, now_ms)
        moved = await asyncio.gather(*(_expire(store, place, handoff_id, now_ms) for handoff_id in due))
        expired += sum(moved)
        if not any(moved):
            break
    return expired


async def sweep(store: Store, tenant: str, now_ms: int) -> int:
    """Settle whatever is due in every partition of a tenant; return how many moves were made."""
    moved = 0
    for due in (lapse_due, expire_due):
        counts = await asyncio.gather(*(due(store, tenant, part, now_ms) for part in range(store.partitions)))
        moved += sum(counts)
    return moved


async def settle(store: Store, handoff: Handoff, now_ms: int) -> bool:
    """Do what is due to one handoff, and return whether anything was."""
    due = due_at_ms(handoff)
    if due is None or due > now_ms:
        return False
    end = _expire if handoff.state == "waiting" else _lapse
    return await end(store, handoffs.place_of(store, handoff.tenant, handoff.handoff_id), handoff.handoff_id, now_ms)


async def current(store: Store, tenant: str, handoff_id: str, now_ms: int) -> Handoff:
    """Return a handoff, or the one that it has joined, with all that time has done to it; raises HandoffUnknown."""
    for _ in range(SETTLED_MAX):
        handoff = await handoffs.get(store, tenant, handoff_id)
        if not await settle(store, handoff, now_ms):
            break
    return handoff


def due_at_ms(handoff: Handoff) -> int | None:
    """Return when time will next do something to a handoff, None when it never will."""
    if handoff.state == "waiting":
        return handoff.expires_at_ms
    return handoff.lease_expires_at_ms if handoff.state in OPEN else None


async def next_due_at_ms(store: Store, tenant: str, partition: int) -> int | None:
    """Return when the next lease or deadline of a partition ends, None when there is none."""
    return await timers.next_due_at_ms(store, keys.place(tenant, partition))


async def _lapse(store: Store, place: Place, handoff_id: str, now_ms: int) -> bool:
    handoff = await handoffs.find(store, place, handoff_id)
    word, _ = await handoffs.move(
        store,
        "lapse",
        handoff=place.handoff(handoff_id),
        waiting=place.waiting(handoff.queue if handoff else ""),
        leases=place.leases,
        deadlines=place.deadlines,
        outbox=place.outbox,
        now_ms=now_ms,
        queue=handoff.queue if handoff else "",
        handoff_id=handoff_id,
        actor=ACTOR,
    )
    return word == "done"


async def _expire(store: Store, place: Place, handoff_id: str, now_ms: int) -> bool:
    handoff = await handoffs.find(store, place, handoff_id)
    if handoff is not None and handoff.reroute is not None and not handoff.rerouted:
        return await _reroute(store, place, handoff, now_ms)
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
        handoff_id=handoff_id,
        resolution=codec.dumps(missed(handoff, now_ms)) if handoff else "",
        kept_ms=store.kept_ms,
        actor=ACTOR,
    )
    return word == "done"


async def _reroute(store: Store, place: Place, handoff: Handoff, now_ms: int) -> bool:
    reroute = handoff.reroute
    if reroute is None:
        return False
    word, _ = await handoffs.move(
        store,
        "reroute",
        handoff=place.handoff(handoff.handoff_id),
        waiting=place.waiting(reroute.queue),
        waiting_before=place.waiting(handoff.queue),
        open=place.open(reroute.queue),
        open_before=place.open(handoff.queue),
        deadlines=place.deadlines,
        queues=place.queues,
        outbox=place.outbox,
        now_ms=now_ms,
        queue_before=handoff.queue,
        queue=reroute.queue,
        handoff_id=handoff.handoff_id,
        expires_at_ms=now_ms + reroute.answer_within_ms,
        on_timeout=codec.dumps(reroute.on_timeout),
        actor=ACTOR,
    )
    return word == "done"
