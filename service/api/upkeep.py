"""What a serving process does beside answering, and how it is kept doing it: delivering what it had to keep back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from service.api.running import Running
from service.clock import now_ms
from service.errors import StoreAway
from service.flows import budgets, degraded, drills, waits
from service.flows.machine_work import tenants
from service.flows.spool import Spool
from service.logs import failure

# How soon after the store's return a kept handoff reaches its queue.
SPOOL_DRAINED_EVERY_MS = 1_000


async def drain_spool(running: Running, kept: Spool) -> None:
    """Deliver what was decided while the store was away, as soon as it is back. Never returns."""
    while True:
        await asyncio.sleep(SPOOL_DRAINED_EVERY_MS / 1000)
        try:
            delivered = await degraded.drain(running.store, kept)
        except StoreAway:
            continue
        if delivered:
            running.log.info("spool delivered", decisions=delivered)


async def look_at_waits(running: Running) -> None:
    """Know how long the queues take that were asked for lately, so that no turn has to look. Never returns."""
    while True:
        await asyncio.sleep(waits.LOOK_EVERY_MS / 1000)
        try:
            await waits.look_again(running.store, now_ms())
        except StoreAway:
            continue


async def drill(running: Running) -> None:
    """Open the fire drills that are due, each once however many processes look. Never returns."""
    while True:
        await asyncio.sleep(drills.LOOK_EVERY_MS / 1000)
        try:
            for tenant in await tenants(running.store):
                due = await drills.due(running.store, tenant, now_ms())
                if due:
                    await drills.run_due(running.store, await running.overseen(tenant), tenant, due, now_ms())
        except StoreAway:
            continue


async def look_at_budgets(running: Running) -> None:
    """Know how full the queues with a budget are, so that no turn has to look. Never returns."""
    while True:
        await asyncio.sleep(budgets.LOOK_EVERY_MS / 1000)
        try:
            await budgets.look_again(running.store, now_ms())
        except StoreAway:
            continue


async def keep_on(running: Running, work: Callable[[], Awaitable[None]], pause_ms: int = 1_000) -> None:
    """Run a task that never returns, and run it again when it fails: an upkeep that died would die in silence."""
    while True:
        try:
            await work()
        except Exception as error:
            running.log.error("upkeep failed", **failure(error))
            await asyncio.sleep(pause_ms / 1000)
