"""The loop that sees what is due and nudges the lanes. It does none of the work, remembers nothing, and any number of
processes may run it at once: the nudges are told apart by what they are about."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable

import redis
import structlog

from service.clock import now_ms
from service.errors import StoreAway
from service.flows import machine_work
from service.flows.access import Store
from service.flows.machine_work import WorkDue
from service.jobs import JOBS, JobSpec
from workers.nudges import Nudges

TICK_MS = 200  # a timer is seen at most this late, and its job begins a few ms after
AWAY_PAUSE_MS = 500  # while a server is away it is asked this often
ASKED_AT_ONCE = 64  # partitions asked side by side over the shared connection
TENANTS_KEPT_MS = 1_000  # a new tenant's first event waits at most this much longer

log = structlog.get_logger("handrail.schedule")
Nudge = Callable[[JobSpec, str, int], Awaitable[object]]


def nudge_through(nudges: Nudges) -> Nudge:
    """Return how to nudge without holding up the loop when the RQ server hangs."""

    async def nudge(spec: JobSpec, tenant: str, partition: int) -> object:
        return await asyncio.to_thread(nudges.send, spec, tenant, partition)

    return nudge


async def run(store: Store, nudge: Nudge, stop: asyncio.Event) -> None:
    """Nudge the lanes whenever something is due, until `stop`; a server that is away is waited for."""
    away = False
    known: tuple[str, ...] = ()
    known_until_ms = 0
    while not stop.is_set():
        begun_ms = now_ms()
        pause_ms = TICK_MS
        try:
            if begun_ms >= known_until_ms:
                known, known_until_ms = await machine_work.tenants(store), begun_ms + TENANTS_KEPT_MS
            await tick(store, nudge, known, begun_ms)
            if away:
                log.info("servers_back")
            away = False
        except (StoreAway, redis.RedisError, OSError) as error:
            if not away:
                log.warning("server_away", error=type(error).__name__)
            away, pause_ms = True, AWAY_PAUSE_MS
        rest_s = max(0, begun_ms + pause_ms - now_ms()) / 1000
        try:
            await asyncio.wait_for(stop.wait(), rest_s)
        except TimeoutError:
            continue


async def tick(store: Store, nudge: Nudge, tenants: Iterable[str], moment_ms: int) -> int:
    """Look at every partition once and nudge what is due; return how many nudges were asked for."""
    asked = 0
    places = itertools.product(tenants, range(store.partitions))
    while some := tuple(itertools.islice(places, ASKED_AT_ONCE)):
        found = await asyncio.gather(*(machine_work.work_due(store, *place, moment_ms) for place in some))
        for (tenant, partition), due in zip(some, found, strict=True):
            for spec in jobs_for(due):
                await nudge(spec, tenant, partition)
                asked += 1
    return asked


def jobs_for(due: WorkDue) -> tuple[JobSpec, ...]:
    """Return the jobs that one partition's work asks for, the most urgent first."""
    wanted = (("expire", due.timers), ("relay", due.outbox), ("deliver", due.deliveries), ("tell", due.channels))
    return tuple(JOBS[name] for name, count in wanted if count)
