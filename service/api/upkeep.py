"""What a serving process does beside answering, and how it is kept doing it: delivering what it had to keep back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from service.api.running import Running
from service.clock import now_ms
from service.errors import StoreAway
from service.flows import budgets, degraded, drills, machine_work, waits
from service.flows.machine_work import tenants
from service.flows.spool import Spool
from service.logs import failure

# How soon after the store's return a kept handoff reaches its queue.
SPOOL_DRAINED_EVERY_MS = 1_000
# Somebody may set a server otherwise while it runs, or put another in its place.
STORE_LOOKED_AT_EVERY_MS = 30_000


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


async def look_at_store(running: Running) -> None:
    """Know whether the server keeps what it is given, and say so when that changes. Never returns."""
    while True:
        try:
            found = await machine_work.store_lacks(running.store, running.settings.durable)
        except StoreAway:
            found = running.store_lacks
        if found != running.store_lacks:
            if found:
                running.log.warning("the store may lose what was answered", facts=list(found))
            else:
                running.log.info("the store keeps what is answered")
            running.store_lacks = found
            running.metrics.store_lacks = len(found)
        await asyncio.sleep(STORE_LOOKED_AT_EVERY_MS / 1000)


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
