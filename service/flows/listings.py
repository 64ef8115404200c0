"""Handoffs that are listed by a moment of theirs: the calls that are owed, those that were ended, and all that ended
lately. Read only; what is open is listed by its urgency, in `handoffs`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rules.handoff import OPEN, Handoff, State
from service.flows.cursors import cursor_of, read_cursor
from service.flows.handoffs import PAGE_MAX, PAGE_READS_MAX, Page
from service.store import handoffs, listings
from service.store.keys import Place
from service.store.store import KEPT_MS, Store

# What has ended is known for so long, and of each partition the last so many: `lua/parts/ending.lua` cuts there.
ENDED_KEPT_MS = KEPT_MS
ENDED_LISTED_MAX = 10_000


async def calls(store: Store, tenant: str, queue: str | None, cursor: str | None, limit: int) -> Page:
    """Return a page of the handoffs in which a call is owed, the longest promised first; raises CursorInvalid.

    A page of one queue may be short, or empty, and still have a cursor; so it is with all pages here.
    """

    def is_wanted(handoff: Handoff) -> bool:
        # One that a process of an earlier version ended has stayed in the list.
        return handoff.state in OPEN and queue in (None, handoff.queue)

    return await _page(store, tenant, _calls, is_wanted, cursor, limit)


async def calls_done(store: Store, tenant: str, queue: str | None, cursor: str | None, limit: int) -> Page:
    """Return a page of the handoffs with which a call was owed no longer, as a person ended them, latest first."""

    def is_wanted(handoff: Handoff) -> bool:
        return handoff.call is not None and handoff.call_id is None and queue in (None, handoff.queue)

    return await _page(store, tenant, _ended, is_wanted, cursor, limit, latest_first=True)


async def ended(store: Store, tenant: str, queue: str | None, state: State, cursor: str | None, limit: int) -> Page:
    """Return a page of the handoffs that ended lately in one of the three ways, latest first."""

    def is_wanted(handoff: Handoff) -> bool:
        return handoff.state == state and queue in (None, handoff.queue)

    return await _page(store, tenant, _ended, is_wanted, cursor, limit, latest_first=True)


async def owed(store: Store, tenant: str) -> tuple[int, int | None]:
    """Return how many calls are owed, and when the first of them was promised."""
    return await listings.owed(store, tenant)


def _calls(place: Place) -> str:
    return place.calls


def _ended(place: Place) -> str:
    return place.ended


async def _page(  # the listing's own three, and what every listing is asked for
    store: Store,
    tenant: str,
    key: Callable[[Place], str],
    is_wanted: Callable[[Handoff], bool],
    cursor: str | None,
    limit: int,
    *,
    latest_first: bool = False,
) -> Page:
    limit = max(1, min(limit, PAGE_MAX))
    known = read_cursor(cursor, "hof") if cursor else None
    page: list[tuple[tuple[int, str], Handoff]] = []
    for _ in range(PAGE_READS_MAX):
        rows = await listings.after(store, tenant, key, known, limit, latest_first=latest_first)
        found = await asyncio.gather(*(handoffs.find(store, place, handoff_id) for _, handoff_id, place in rows))
        for row, handoff in zip(rows, found, strict=True):
            if handoff is not None and is_wanted(handoff):
                page.append((row[:2], handoff))
        if len(page) > limit:
            return Page(tuple(handoff for _, handoff in page[:limit]), cursor_of(*page[limit - 1][0]))
        if len(rows) < limit:
            return Page(tuple(handoff for _, handoff in page), None)
        known = rows[-1][:2]
    return Page(tuple(handoff for _, handoff in page), cursor_of(*known) if known else None)
