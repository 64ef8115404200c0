"""How an agent waits for a person: a bounded long poll, woken by the move itself, or by the moment it waits for."""

from __future__ import annotations

import asyncio

from rules.handoff import ENDED, Handoff
from service.flows import deadlines
from service.store.store import Store

WAIT_MS_MAX = 30_000  # proxies cut idle requests at 60 seconds, many at 30
# How soon an overdue handoff is looked at again when somebody else was about to settle it.
SETTLE_AGAIN_MS = 200


async def wait(
    store: Store,
    tenant: str,
    handoff_id: str,
    timeout_ms: int,
    known_version: int | None,
    now_ms: int,
    *,
    words: bool = False,
) -> Handoff:
    """Return the handoff as soon as its version is not `known_version`, at the latest after `timeout_ms`.

    `known_version` None stands for the present one. One that has ended is returned at once. `timeout_ms` is cut to
    WAIT_MS_MAX. With `words` it also returns when the customer writes. A deadline that passes meanwhile is settled
    here, so that no agent waits for a worker that is away. Raises HandoffUnknown, and LimitReached when too many wait.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    until_at_ms = now_ms + min(timeout_ms, WAIT_MS_MAX)
    handoff = await deadlines.current(store, tenant, handoff_id, now_ms)
    known = handoff.version if known_version is None else known_version
    if handoff.version != known or handoff.state in ENDED or timeout_ms <= 0:
        return handoff
    with store.moves.watch(handoff.handoff_id) as moved:
        while True:
            # Read after the watch stands: what moved in between was told to nobody.
            moved.clear()
            at_ms = now_ms + int((loop.time() - began_s) * 1000)
            handoff = await deadlines.current(store, tenant, handoff.handoff_id, at_ms)
            if handoff.version != known or handoff.state in ENDED or at_ms >= until_at_ms:
                return handoff
            try:
                await asyncio.wait_for(moved.wait(), _pause_ms(handoff, at_ms, until_at_ms) / 1000)
            except TimeoutError:
                continue
            if words:
                at_ms = now_ms + int((loop.time() - began_s) * 1000)
                return await deadlines.current(store, tenant, handoff.handoff_id, at_ms)


def _pause_ms(handoff: Handoff, at_ms: int, until_at_ms: int) -> int:
    """Return how long nothing can happen that nobody tells: to the end of the wait, or to the handoff's next moment."""
    due_at_ms = deadlines.due_at_ms(handoff)
    left_ms = until_at_ms - at_ms
    return left_ms if due_at_ms is None else min(left_ms, max(due_at_ms - at_ms, SETTLE_AGAIN_MS))
