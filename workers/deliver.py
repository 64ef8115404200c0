"""The job that tells webhooks what happened: every delivery that is due is tried once."""

from __future__ import annotations

import random
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import structlog

from service.clock import now_ms
from service.flows import deliver
from service.jobs import JOBS
from workers.context import Context, run_job

SPEC = JOBS["deliver"]
log = structlog.get_logger("handrail.webhooks")


def run(tenant: str, partition: int) -> None:
    """Try what is due in one partition."""
    run_job(SPEC, lambda context: _deliver(context, tenant, partition), tenant, partition)


async def _deliver(context: Context, tenant: str, partition: int) -> None:
    means = deliver.Means(context.sender.send, now_ms, random.random, _version())
    counts = await deliver.deliver_due(context.store, tenant, partition, means, SPEC.run_ms_max)
    if counts.given_up:
        log.warning("webhooks_given_up", tenant=tenant, partition=partition, deliveries=counts.given_up)
    log.info("webhooks_told", tenant=tenant, partition=partition, sent=counts.sent, taken=counts.taken)


@cache
def _version() -> str:
    try:
        return version("handrail")
    except PackageNotFoundError:
        return "0+checkout"
