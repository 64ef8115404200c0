"""What is due in Redis: leases that ended and deadlines that passed. What follows from that is decided in the flows."""

from __future__ import annotations

import asyncio

from service.store.keys import Place
from service.store.store import Store

DUE_READ_MAX = 100  # handled in one go; whoever sweeps comes again at once when there are more


async def leases_due(store: Store, place: Place, now_ms: int) -> list[str]:
    """Return handoffs whose lease has ended, longest ago first."""
    return await _due(store, place.leases, now_ms)


async def deadlines_due(store: Store, place: Place, now_ms: int) -> list[str]:
    """Return waiting handoffs whose deadline has passed, longest ago first."""
    return await _due(store, place.deadlines, now_ms)


async def next_due_at_ms(store: Store, place: Place) -> int | None:
    """Return when the next lease or deadline ends, None when there is none: how long a sweeper may sleep."""
    heads = await asyncio.gather(
        *(store.link.call("ZRANGE", key, 0, 0, "WITHSCORES") for key in (place.leases, place.deadlines))
    )
    return min((int(float(head[1])) for head in heads if head), default=None)


async def _due(store: Store, key: str, now_ms: int) -> list[str]:
    found = await store.link.call("ZRANGEBYSCORE", key, "-inf", now_ms, "LIMIT", 0, DUE_READ_MAX)
    return [handoff_id.decode() for handoff_id in found]
