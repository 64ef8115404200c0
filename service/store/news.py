"""What other processes say at this moment: one subscription to one channel. Whoever misses a word looks by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from service.store.pooled import AWAY, client, close, subscription

IDLE_MS = 5_000  # a quiet subscription is asked this often whether it still lives
RETRY_MS = 200  # those who listen look by themselves all the same, so a lost subscription only costs time
CANCEL_AGAIN_MS = 50  # a subscription that hears its cancellation ends in less than one


async def listen(url: str, channel: str, heard: Callable[[str | None], None]) -> None:
    """Call `heard` with every word said on the channel; None when words may have been missed. Never returns."""
    listener = asyncio.create_task(_listen(url, channel, heard))
    try:
        await asyncio.wait({listener})
    finally:
        # redis-py loses a cancellation that comes while it connects or reads, so one is not always enough.
        while not listener.done():
            listener.cancel()
            await asyncio.wait({listener}, timeout=CANCEL_AGAIN_MS / 1000)


async def _listen(url: str, channel: str, heard: Callable[[str | None], None]) -> None:
    server = client(url)
    try:
        while True:
            with contextlib.suppress(*AWAY):
                await _subscribed(await subscription(server), channel, heard)
            await asyncio.sleep(RETRY_MS / 1000)
    finally:
        await close(server)


async def _subscribed(subscribed: Any, channel: str, heard: Callable[[str | None], None]) -> None:
    async with subscribed:
        await subscribed.subscribe(channel)
        # What was said before the subscription stood was told to nobody.
        heard(None)
        while True:
            message = await subscribed.get_message(ignore_subscribe_messages=True, timeout=IDLE_MS / 1000)
            if message is None:
                await subscribed.ping()
            elif message["type"] == "message":
                heard(message["data"].decode())
