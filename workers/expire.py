"""The job that ends what has run out: leases of silent operators, and promises that nobody came for in time."""

from __future__ import annotations

from service.clock import now_ms
from service.flows import deadlines, handoffs
from service.jobs import JOBS
from workers.context import Context, run_job

SPEC = JOBS["expire"]


def run(tenant: str, partition: int) -> None:
    """End everything in one partition that is due now."""
    run_job(SPEC, lambda context: _end_due(context, tenant, partition), tenant, partition)


async def _end_due(context: Context, tenant: str, partition: int) -> None:
    ends_at_ms = now_ms() + SPEC.run_ms_max
    while now_ms() < ends_at_ms:
        # Leases first: what nobody holds any more may have outlived its deadline, and ends in the same run.
        late = deadlines.Late(now_ms)
        lapsed = await handoffs.lapse_due(context.store, tenant, partition, now_ms(), late)
        expired = await handoffs.expire_due(context.store, tenant, partition, now_ms(), late)
        if lapsed + expired == 0:
            break
        await deadlines.note_late(context.store, tenant, partition, late.found_ms)
