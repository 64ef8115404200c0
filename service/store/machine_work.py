"""What there is for machines to do, as numbers. What follows from them is the scheduler's."""

from __future__ import annotations

from dataclasses import dataclass

from service.store import keys
from service.store.store import Store


@dataclass(frozen=True, slots=True)
class WorkDue:
    """How much of each kind one partition has now: ended leases and deadlines, untold events, deliveries to try,
    channels to tell."""

    timers: int
    outbox: int
    deliveries: int
    channels: int


async def tenants(store: Store) -> tuple[str, ...]:
    """Return every tenant whose partitions are to be looked at."""
    return await store.tenants()


async def work_due(store: Store, tenant: str, partition: int, now_ms: int) -> WorkDue:
    """Return what is due in one partition, and note there that it could be asked. Losing that note harms nobody who
    works, so it waits for no disk."""
    place = keys.place(tenant, partition)
    _, *counts = await store.scripts.read(
        "work_due",
        leases=place.leases,
        deadlines=place.deadlines,
        outbox=place.outbox,
        due=place.deliveries_due,
        channels=place.telling_channels,
        beats=place.beats,
        now_ms=now_ms,
    )
    return WorkDue(*counts)
