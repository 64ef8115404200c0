"""What is due in Redis: leases that ended and deadlines that passed. What follows from that is decided in the flows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from service.store.keys import Place
from service.store.store import Store

DUE_READ_MAX = 100  # handled in one go; whoever sweeps comes again at once when there are more


# Upper bounds of what lateness is counted in; the promise is a second, and what is above ten minutes was an outage.
LATE_BOUNDS_MS: tuple[int, ...] = (50, 100, 250, 500, 1_000, 2_500, 5_000, 60_000, 600_000)
LATE_SUM = "sum_ms"


async def leases_due(store: Store, place: Place, now_ms: int) -> list[tuple[str, int]]:
    """Return handoffs whose lease has ended, or is to end later than it says, with the moment it says; longest ago
    first."""
    _, flat = await store.scripts.read(
        "leases_due", leases=place.leases, beats=place.beats, now_ms=now_ms, read_max=DUE_READ_MAX
    )
    return _scored(flat)


async def deadlines_due(store: Store, place: Place, now_ms: int) -> list[tuple[str, int]]:
    """Return handoffs to which time does something now with the moment it came due, longest ago first."""
    flat = await store.link.call(
        "ZRANGEBYSCORE", place.deadlines, "-inf", now_ms, "WITHSCORES", "LIMIT", 0, DUE_READ_MAX
    )
    return _scored(flat)


async def next_due_at_ms(store: Store, place: Place) -> int | None:
    """Return when the next lease or deadline ends, None when there is none: how long a sweeper may sleep."""
    heads = await asyncio.gather(
        *(store.link.call("ZRANGE", key, 0, 0, "WITHSCORES") for key in (place.leases, place.deadlines))
    )
    return min((int(float(head[1])) for head in heads if head), default=None)


async def note_late(store: Store, place: Place, late_ms: Sequence[int]) -> None:
    """Count how late timers were. Losing a count harms nobody, so it waits for no disk."""
    buckets = Counter(next((bound for bound in LATE_BOUNDS_MS if late <= bound), "over") for late in late_ms)
    calls = [store.link.call("HINCRBY", place.lateness, bound, count) for bound, count in buckets.items()]
    await asyncio.gather(*calls, store.link.call("HINCRBY", place.lateness, LATE_SUM, sum(late_ms)))


async def lateness(store: Store, tenant: str) -> tuple[tuple[int, ...], int]:
    """Return how many timers were late by up to each of LATE_BOUNDS_MS and by more, and the sum of all in ms."""
    counts, total = [0] * (len(LATE_BOUNDS_MS) + 1), 0
    for flat in await asyncio.gather(*(store.link.call("HGETALL", place.lateness) for place in store.places(tenant))):
        found = {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
        total += found.get(LATE_SUM, 0)
        for number, bound in enumerate((*map(str, LATE_BOUNDS_MS), "over")):
            counts[number] += found.get(bound, 0)
    return tuple(counts), total


def _scored(flat: Sequence[bytes]) -> list[tuple[str, int]]:
    return [(name.decode(), int(float(at))) for name, at in zip(flat[::2], flat[1::2], strict=True)]
