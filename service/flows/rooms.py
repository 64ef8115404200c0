"""Giving an operator something in the knowledge of all else that they are being given: never past what they carry.

What somebody has in hand lies in every partition, and a step is one script in one of them. So whoever gives keeps room
first, in one place for each operator, and then counts what they have: of two at the same moment the later one counts
the earlier, whose step is either done and counted, or still kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Sequence

from service.errors import StoreAway
from service.store import rooms
from service.store.rooms import What
from service.store.store import Store

PAUSE_MS_MIN, PAUSE_MS_MAX = 2, 100  # between two looks whether those before are done; a step takes a few milliseconds
# What too many keep: more than anybody can carry.
CROWDED = 1 << 30


class Room:
    """The room that one try to give something keeps, until it is left or ends by itself.

    `before` is the weight that those keep who came before: each of them gives it, or does not, while this one looks.
    `others` is whether one of them answers the same request, or might; `noted` and `tried` are as in `rooms.Kept`.
    """

    def __init__(self, store: Store, tenant: str, operator: str, what: What, weight: int, request_id: str = "") -> None:
        self._store, self._tenant, self._operator = store, tenant, operator
        self._what, self._weight, self._request_id = what, weight, request_id
        self._keeper = secrets.token_hex(8)
        self._began_s = time.monotonic()
        self._kept_at_s = 0.0
        self._pause_ms = PAUSE_MS_MIN
        self._turn = 0
        self.before, self.others = CROWDED, True
        self.noted: tuple[int, ...] = ()
        self.tried: int | None = None

    async def keep(self) -> None:
        """Keep it, or keep it for longer, and count those before anew. What the operator has is read after this."""
        self._kept_at_s = time.monotonic()
        kept = await rooms.keep(
            self._store, self._tenant, self._operator, self._what, self._keeper, self._weight, self._request_id
        )
        if kept is None:
            self.before, self.others = CROWDED, True
            return
        self.before, self.others, self._turn = kept.before, kept.twins > 0, kept.turn
        self.noted, self.tried = kept.noted, kept.tried

    async def note(self, in_hand: Sequence[int], partition: int) -> None:
        """Note what is about to be taken, so that it is known of where it cannot be counted: see `rooms.note`."""
        await rooms.note(self._store, self._tenant, self._operator, self._turn, in_hand, partition, self._request_id)

    @property
    def in_time(self) -> bool:
        """Return whether what was just read may be relied on: it was read while the room was surely kept."""
        return time.monotonic() - self._kept_at_s <= rooms.LOOK_MS_MAX / 1000

    async def pause(self, wait_ms_max: int) -> bool:
        """Wait a moment for those before; return False once this one has waited for as long as that."""
        if time.monotonic() - self._began_s >= wait_ms_max / 1000:
            return False
        await asyncio.sleep(self._pause_ms / 1000)
        self._pause_ms = min(2 * self._pause_ms, PAUSE_MS_MAX)
        return True

    async def leave(self) -> None:
        """Keep it no longer. Where a step may still be on its way, it is left to end by itself."""
        with contextlib.suppress(StoreAway):
            await rooms.leave(self._store, self._tenant, self._operator, self._what, self._keeper)


def until_ms(clock_ms: int) -> int:
    """Return until when a server may give something, by its clock, which said `clock_ms` while the room was kept."""
    return clock_ms + rooms.GIVE_MS_MAX
