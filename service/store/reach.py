"""Which partitions answer: what is asked of all of them comes without those whose shard is away. No key is read here.

A cluster that has lost a shard still has the others. Who asks all partitions is told which of them were not there, and
decides what can be said without them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from service.errors import StoreAway, StoreBusy
from service.store.connection import Link
from service.store.keys import Place

T = TypeVar("T")

# How long the others are waited for once one partition has answered: all do within milliseconds, and a node that hangs
# would hold up each of its clients for seconds.
LATER_MS_MAX = 1_000
# After so long a partition that was away is asked again, by one caller: the others go on without it.
AGAIN_MS = 1_000
# Partitions that are remembered as away; past that all are asked once more.
AWAY_MAX = 65_536


class Reach:
    """The partitions that did not answer this process a moment ago."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._again_at_s: dict[str, float] = {}

    def whole(self, places: Sequence[Place]) -> bool:
        """Return whether none of them is known to be away."""
        return not self._again_at_s or not any(place.tag in self._again_at_s for place in places)

    async def all_there(self, places: Sequence[Place], link: Link) -> bool:
        """Return whether all of them answer now; one alone is not asked, as whatever comes next asks it."""
        if len(places) == 1:
            return True
        return None not in await self.each(places, lambda place: link.call("EXISTS", place.mark))

    async def each(
        self, places: Sequence[Place], ask: Callable[[Place], Awaitable[T]], *, most_ms: int | None = None
    ) -> list[T | None]:
        """Return what each partition answers, None for those that are away; one alone is asked as it is.

        With `most_ms` one alone may be away too, as there are others beside these, and none is waited for longer.
        Raises StoreBusy, and StoreAway when it is asked of one alone.
        """
        if len(places) == 1 and most_ms is None:
            return [await ask(places[0])]
        now_s = self._clock()
        asked = [place for place in places if self._again_at_s.get(place.tag, 0.0) <= now_s] or list(places)
        for place in asked:
            if place.tag in self._again_at_s:
                self._again_at_s[place.tag] = now_s + AGAIN_MS / 1000
        tasks = {place.tag: asyncio.ensure_future(ask(place)) for place in asked}
        try:
            await _some_time(tasks.values(), most_ms)
            return [self._answer(place, tasks.get(place.tag)) for place in places]
        finally:
            for task in tasks.values():
                # What is still asked is waited for by nobody, and what failed beside another failure is told by that.
                if not task.cancel() and not task.cancelled():
                    task.exception()

    def _answer(self, place: Place, task: asyncio.Future[T] | None) -> T | None:
        if task is None:
            return None
        if task.done():
            error = task.exception()
            if error is None:
                self._again_at_s.pop(place.tag, None)
                return task.result()
            if isinstance(error, StoreBusy) or not isinstance(error, StoreAway):
                raise error
        if len(self._again_at_s) >= AWAY_MAX:
            self._again_at_s.clear()
        self._again_at_s[place.tag] = self._clock() + AGAIN_MS / 1000
        return None


async def _some_time(tasks: Iterable[asyncio.Future[T]], most_ms: int | None) -> None:
    """Return when all are done, LATER_MS_MAX after the first one that was answered, or after `most_ms`."""
    waiting = set(tasks)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if most_ms is None else most_ms / 1000):
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if any(task.exception() is None for task in done):
                    break
            if waiting:
                await asyncio.wait(waiting, timeout=LATER_MS_MAX / 1000)
