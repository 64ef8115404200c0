"""How an agent waits for a person: a bounded long poll, woken by the move itself."""

from __future__ import annotations

import asyncio

from rules.handoff import ENDED, Handoff
from service.store import handoffs
from service.store.store import Store

WAIT_MS_MAX = 30_000  # proxies cut idle requests at 60 seconds, many at 30


async def wait(store: Store, tenant: str, handoff_id: str, timeout_ms: int, known_version: int | None) -> Handoff:
    """Return the handoff as soon as its version is not `known_version`, at the latest after `timeout_ms`.

    `known_version` None stands for the present one. One that has ended is returned at once. `timeout_ms` is cut to
    WAIT_MS_MAX. Raises HandoffUnknown, and LimitReached when too many wait.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + min(timeout_ms, WAIT_MS_MAX) / 1000
    handoff = await handoffs.get(store, tenant, handoff_id)
    known = handoff.version if known_version is None else known_version
    if handoff.version != known or handoff.state in ENDED or timeout_ms <= 0:
        return handoff
    with store.moves.watch(handoff.handoff_id) as moved:
        while True:
            # Read after the watch stands: what moved in between was told to nobody.
            moved.clear()
            handoff = await handoffs.get(store, tenant, handoff.handoff_id)
            left_s = until_s - loop.time()
            if handoff.version != known or handoff.state in ENDED or left_s <= 0:
                return handoff
            try:
                await asyncio.wait_for(moved.wait(), left_s)
            except TimeoutError:
                return await handoffs.get(store, tenant, handoff.handoff_id)
