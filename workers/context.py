"""What the jobs of this process work with. RQ calls them by name with two words, so what else they need stands here,
put there once by `workers.run` before the first job."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from service.errors import StoreAway
from service.flows.access import Store
from service.flows.audit import AuditLog
from service.jobs import JobSpec
from service.settings import Settings
from workers.lane import JobFailed
from workers.mailer import Mailer
from workers.nudges import Nudges
from workers.sender import Sender

END_MARGIN_MS = 5_000  # a run ends itself by its `run_ms_max`; one that hangs is broken off this much later

log = structlog.get_logger("handrail.jobs")


@dataclass(frozen=True, slots=True)
class Context:
    """One lane's open connections. `reader` names this process to the outbox: what it took and lost is found by it."""

    settings: Settings
    store: Store
    nudges: Nudges
    sender: Sender
    runner: asyncio.Runner
    reader: str
    audit: AuditLog
    mailer: Mailer


_entered: list[Context] = []


def enter(context: Context) -> None:
    """Make this the context of every job of this process."""
    _entered[:] = [context]


def run_job(spec: JobSpec, work: Callable[[Context], Awaitable[object]], tenant: str, *about: str | int) -> None:
    """Run one job's work to its end, at the latest a little after its `run_ms_max`; raise JobFailed when it fails."""
    if not _entered:
        raise JobFailed("no context has been entered: jobs run in `handrail work` only")
    context = _entered[0]

    async def bounded() -> None:
        async with asyncio.timeout((spec.run_ms_max + END_MARGIN_MS) / 1000):
            try:
                await work(context)
            except StoreAway:
                # Between two jobs nobody reads the connection: one that broke meanwhile is noticed by the first call
                # on it, and the second has a new one.
                await work(context)

    context.nudges.begun(spec, tenant, *about)
    try:
        context.runner.run(bounded())
    except Exception as error:
        context.nudges.failed(spec, tenant, *about)
        log.warning("job_failed", job=spec.name, error=type(error).__name__)
        raise JobFailed(f"{spec.name}: {type(error).__name__}") from None
