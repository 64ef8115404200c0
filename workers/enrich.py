"""The job that builds a packet ahead of the claim; a claim that comes first builds its own."""

from __future__ import annotations

from service.clock import now_ms
from service.flows import handoffs
from service.jobs import JOBS
from workers.context import run_job

SPEC = JOBS["enrich"]


def run(tenant: str, handoff_id: str) -> None:
    """Build the packet of one handoff, unless it has ended or has a packet of its present version."""
    run_job(SPEC, lambda context: handoffs.enrich(context.store, tenant, handoff_id, now_ms()), tenant, handoff_id)
