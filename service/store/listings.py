"""Handoffs in Redis by a moment of theirs: those that owe a call, and those that ended lately. Nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from service.store.keys import Place
from service.store.store import Store

# A moment, the id of a handoff, and where it is kept.
Row: TypeAlias = tuple[int, str, Place]


async def after(
    store: Store,
    tenant: str,
    key: Callable[[Place], str],
    known: tuple[int, str] | None,
    limit: int,
    *,
    latest_first: bool = False,
) -> list[Row]:
    """Return what comes after a given (moment, id) in the ZSET that `key` names in each partition, at most `limit`."""
    verb, first, last = ("ZREVRANGEBYSCORE", "+inf", "-inf") if latest_first else ("ZRANGEBYSCORE", "-inf", "+inf")
    begin = first if known is None else str(known[0])

    def comes_after(row: tuple[int, str]) -> bool:
        return known is None or (row < known if latest_first else row > known)

    async def look(place: Place) -> list[Row]:
        found: list[Row] = []
        offset = 0
        # Those of the very moment that the page before ended in are read again and dropped.
        while len(found) < limit:
            flat = await store.link.call(verb, key(place), begin, last, "WITHSCORES", "LIMIT", offset, limit)
            rows = [(int(float(at_ms)), name.decode()) for name, at_ms in zip(flat[::2], flat[1::2], strict=True)]
            found += [(*row, place) for row in rows if comes_after(row)]
            offset += limit
            if len(rows) < limit:
                break
        return found

    looked = await asyncio.gather(*(look(place) for place in store.places(tenant)))
    return sorted((row for part in looked for row in part), key=lambda row: row[:2], reverse=latest_first)[:limit]


async def owed(store: Store, tenant: str) -> tuple[int, int | None]:
    """Return how many calls are owed, and when the first of them was promised: one round trip."""

    async def look(place: Place) -> tuple[int, int | None]:
        count, head = await asyncio.gather(
            store.link.call("ZCARD", place.calls), store.link.call("ZRANGE", place.calls, 0, 0, "WITHSCORES")
        )
        return count, int(float(head[1])) if head else None

    looked = await asyncio.gather(*(look(place) for place in store.places(tenant)))
    return sum(count for count, _ in looked), min((at_ms for _, at_ms in looked if at_ms is not None), default=None)
