"""What is light enough for an operator and waits behind more than a look reads. Nothing is taken here.

A class is in order of urgency, whatever its handoffs weigh. Where the first ones are too heavy for somebody, those
behind them are read a page at an ask: an ask costs the same however many wait, and nothing is hidden for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from service.store.connection import Link
from service.store.keys import Place
from service.store.work import Found, Row, hidden, scored

# Handoffs of which one ask looks at the kind, over all classes: on the wire together, some milliseconds.
READ_MAX = 256
CLASSES_MAX = 32  # of which an ask reads on, the most urgent ones: eight of each, and more where they are fewer
# Classes of which this process remembers how far it has read; past that it begins again.
REMEMBERED_MAX = 4_096


class Lighter:
    """How far this process has read the classes whose first ones were too heavy for somebody."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._next: dict[str, int] = {}

    async def find(self, places: Sequence[Place], found: Found, kinds: Collection[str]) -> list[Row]:
        """Return what is of these kinds and was not among what a look gave, most urgent first.

        All of it where a page holds it; otherwise the next ask goes on where this one ended.
        """
        rows, cut = hidden(found)
        cut = cut[:CLASSES_MAX]
        pages = await asyncio.gather(*(self._page(places[at], name, READ_MAX // len(cut)) for at, name in cut))
        every = sorted({*rows, *(row for page in pages for row in page)})
        known = await asyncio.gather(
            *(self._link.call("HGET", places[at].handoff(handoff_id), "kind") for _, handoff_id, at, _ in every)
        )
        light = {kind.encode() for kind in kinds}
        return [row for row, kind in zip(every, known, strict=True) if kind in light]

    async def _page(self, place: Place, name: str, count: int) -> list[Row]:
        key = place.waiting_in(name)
        start = self._next.pop(key, 0)
        flat = await self._link.call("ZRANGE", key, start, start + count - 1, "WITHSCORES")
        if len(flat) == 2 * count:
            if len(self._next) >= REMEMBERED_MAX:
                self._next.clear()
            self._next[key] = start + count
        return [(score, handoff_id, place.partition, name) for score, handoff_id in scored(flat)]
