"""Who waits for a handoff to move: one subscription a process, however many agents wait. Nothing is stored here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from service.errors import LimitReached
from service.store.keys import MOVED_CHANNEL
from service.store.pooled import AWAY, client, close, subscription

WAITERS_MAX = 10_000  # one is an open request and 2 kB; the process has better uses for its last memory
IDLE_MS = 5_000  # a quiet subscription is asked this often whether it still lives
CANCEL_AGAIN_MS = 50  # a subscription that hears its cancellation ends in less than one
RETRY_MS = 200  # those who wait read again by themselves at the end, so a lost subscription only costs time


class Moves:
    """The waiters of a process, by handoff id, and the subscription that wakes them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._count = 0
        self._listener: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def watch(self, handoff_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the handoff may have moved. Raises LimitReached."""
        if self._count >= WAITERS_MAX:
            raise LimitReached("agents waiting on this process", WAITERS_MAX, "ask again later, or without waiting")
        if self._listener is None:
            self._listener = asyncio.get_running_loop().create_task(self._listen())
        moved = asyncio.Event()
        self._waiters.setdefault(handoff_id, set()).add(moved)
        self._count += 1
        try:
            yield moved
        finally:
            self._count -= 1
            waiters = self._waiters[handoff_id]
            waiters.discard(moved)
            if not waiters:
                del self._waiters[handoff_id]

    async def close(self) -> None:
        """End the subscription; who still waits reads once more at the end of the wait."""
        # redis-py loses a cancellation that comes while it connects or reads, so one is not always enough.
        while self._listener is not None and not self._listener.done():
            self._listener.cancel()
            await asyncio.wait({self._listener}, timeout=CANCEL_AGAIN_MS / 1000)

    async def _listen(self) -> None:
        server = client(self._url)
        try:
            while True:
                with contextlib.suppress(*AWAY):
                    await self._subscribed(await subscription(server))
                await asyncio.sleep(RETRY_MS / 1000)
        finally:
            await close(server)

    async def _subscribed(self, heard: Any) -> None:
        async with heard:
            await heard.subscribe(MOVED_CHANNEL)
            # What moved before the subscription stood was told to nobody.
            for handoff_id in list(self._waiters):
                self._wake(handoff_id)
            while True:
                message = await heard.get_message(ignore_subscribe_messages=True, timeout=IDLE_MS / 1000)
                if message is None:
                    await heard.ping()
                elif message["type"] == "message":
                    self._wake(message["data"].split(b" ", 1)[0].decode())

    def _wake(self, handoff_id: str) -> None:
        for moved in self._waiters.get(handoff_id, ()):
            moved.set()
