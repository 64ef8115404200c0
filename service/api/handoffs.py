"""What agents and managers read of handoffs: one (with a bounded long poll), a page of them, the queues."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from rules.handoff import ENDED, Handoff, State
from service.api.handoff_answers import (
    HandoffAnswer,
    HandoffPageAnswer,
    QueuesAnswer,
    handoff_answer,
    page_answer,
    queues_answer,
)
from service.api.routes import (
    EMPTY_IS_NONE,
    Call,
    CursorAsked,
    HandoffId,
    QueueAsked,
    answered,
    called,
    problems_documented,
)
from service.clock import now_ms
from service.flows import budgets, floods, handoffs, listings, waits

# Below the 60 s after which proxies and clients commonly give up on a silent connection.
WAIT_MS_MAX = 30_000
# Each open wait is a connection and a task; past this many a wait answers at once, which a caller must expect anyway.
WAITS_OPEN_MAX = 2_000
PAGE_MAX = 100
PAGE_DEFAULT = 25

router = APIRouter()


@router.get(
    "/handoffs/{handoff_id}",
    tags=["agents"],
    summary="A handoff, at once or when it has changed",
    responses={200: {"model": HandoffAnswer}, **problems_documented("handoff_unknown", "query_invalid")},
)
async def read(
    handoff_id: HandoffId,
    call: Annotated[Call, called("read")],
    wait_ms: Annotated[int, Query(ge=0, le=WAIT_MS_MAX, description="how long to wait for a change")] = 0,
    version: Annotated[
        int | None, Query(ge=0, description="the version already known; the present one if left out")
    ] = None,
) -> Response:
    """With `wait_ms` the answer comes as soon as the version is another than `version`, at the latest after `wait_ms`;
    it may always come earlier, so ask again while `resolution` is null. A handoff that has ended never changes."""
    handoff = await handoffs.current(call.running.store, call.caller.tenant, handoff_id, now_ms())
    known = handoff.version if version is None else version
    if wait_ms and handoff.ended_at_ms is None and handoff.version == known:
        handoff = await _changed(call, handoff, wait_ms)
    store = call.running.store
    groups = await floods.seen(store, (handoff,))
    return answered(handoff_answer(handoff, await waits.of(store, handoff, now_ms()), groups))


async def _changed(call: Call, handoff: Handoff, wait_ms: int) -> Handoff:
    """Return the handoff after its next change, or as it is when the wait ends, the process stops or waits are full."""
    running = call.running
    if running.metrics.waits_open >= WAITS_OPEN_MAX:
        return handoff
    running.metrics.waits_open += 1
    try:
        return await changed(call, handoff, wait_ms)
    finally:
        running.metrics.waits_open -= 1


async def changed(call: Call, handoff: Handoff, wait_ms: int, *, words: bool = False) -> Handoff:
    """Return the handoff after its next change, with `words` also when the customer writes, or as it is in the end."""
    running = call.running
    waiting = asyncio.ensure_future(
        handoffs.wait(
            running.store, call.caller.tenant, handoff.handoff_id, wait_ms, handoff.version, now_ms(), words=words
        )
    )
    stopping = asyncio.ensure_future(running.stopping.wait())
    try:
        await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else handoff
    finally:
        waiting.cancel()
        stopping.cancel()


@router.get(
    "/handoffs",
    tags=["operators"],
    summary="Open handoffs, most urgent first",
    responses={200: {"model": HandoffPageAnswer}, **problems_documented("cursor_invalid", "queue_unknown")},
)
async def page(
    call: Annotated[Call, called("list")],
    queue: QueueAsked = None,
    state: Annotated[State | None, EMPTY_IS_NONE, Query()] = None,
    cursor: CursorAsked = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
) -> Response:
    """Of all queues or one; ask again with `cursor` until it is null. With a `state` in which a handoff has ended those
    that ended lately, latest first: the last 10,000 of each partition, as long as they are kept."""
    store, tenant = call.running.store, call.caller.tenant
    if state in ENDED:
        found = await listings.ended(store, tenant, queue, state, cursor, limit)
    else:
        found = await handoffs.list_open(store, tenant, queue, state, cursor, limit)
    if not found.handoffs and cursor is None:
        await call.check_queue(queue)
    return answered(page_answer(found, await floods.seen(store, found.handoffs)))


@router.get(
    "/queues",
    tags=["operators"],
    summary="The queues and how many wait in each",
    responses={200: {"model": QueuesAnswer}, **problems_documented()},
)
async def queues(call: Annotated[Call, called("list")]) -> Response:
    """Every queue that the active rules declare, and every other that still holds a handoff."""
    running, tenant = call.running, call.caller.tenant
    rules = await running.overseen(tenant)
    found = await handoffs.queues(running.store, rules, tenant)
    names = (queue.name for queue in found)
    told = await waits.of_queues(running.store, rules, tenant, names, now_ms())
    loads = await budgets.loads(running.store, tenant, rules.files.budgets, now_ms())
    return answered(queues_answer(found, told, loads))
