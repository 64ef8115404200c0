"""The job that empties the outbox: each entry goes into the audit log, becomes deliveries and
tellings, and nudges a packet."""

from __future__ import annotations

import structlog

from service.clock import now_ms
from service.flows import deliver, drills, tellings
from service.jobs import JOBS
from workers.context import Context, run_job

SPEC = JOBS["relay"]

log = structlog.get_logger("handrail.audit")


def run(tenant: str, partition: int) -> None:
    """Pass on every outbox entry of one partition."""
    run_job(SPEC, lambda context: _pass_on(context, tenant, partition), tenant, partition)


async def _pass_on(context: Context, tenant: str, partition: int) -> None:
    ends_at_ms = now_ms() + SPEC.run_ms_max
    while now_ms() < ends_at_ms:
        step = await deliver.fan_out(context.store, tenant, partition, context.reader, now_ms())
        if not step.entries:
            break
        for handoff_id in step.handoffs:
            context.nudges.send(JOBS["enrich"], tenant, handoff_id)
        # A telling may be due at once; the scheduler sees it within its tick.
        await tellings.owe(context.store, tenant, step.events)
        await drills.follow(context.store, tenant, step.events, now_ms())
        if step.deliveries:
            context.nudges.send(JOBS["deliver"], tenant, partition)
        # Before the outbox forgets them: killed in between, the next run finds what stands there already.
        last_hash = context.audit.append(partition, step.events)
        if last_hash is not None:
            # Written to another place than the files, so that nobody can rewrite both in silence.
            log.info("audited", entries=len(step.events), hash=last_hash)
        # Last: killed before this line, the whole step is done again and finds its deliveries there.
        await deliver.forget(context.store, tenant, partition, step.entries)
