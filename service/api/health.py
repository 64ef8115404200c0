"""Whether this process lives and is ready, open to everybody; and its metrics, for managers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response

from service.api.routes import Call, answered, called, problems_documented, running_of
from service.api.rules_fault import RulesFault
from service.api.running import Running
from service.clock import now_ms
from service.errors import Refusal, StoreAway
from service.flows import budgets, channels, deadlines, drills, handoffs, listings
from service.flows.deadlines import LATE_BOUNDS_MS
from service.flows.drills import Drill
from service.metrics import CONTENT_TYPE, CallsOwed, ChannelFares, LastDrill, Lateness, QueueDepth

router = APIRouter(tags=["health"])


@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="Whether the process runs")
async def livez() -> Response:
    """200 as long as it can answer at all; a supervisor restarts it otherwise."""
    return answered({"status": "alive"})


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="Whether turns can be decided and kept", responses={503: {"description": "not now"}})
async def readyz(request: Request) -> Response:
    """503 while the store is away or the process is stopping; turns sent here all the same are answered, degraded.

    A broken edit of the rule files leaves it at 200, for the rules before go on deciding, and `rules` tells of it
    (`refused`); for a day it also tells of an edit that took rules away (`fewer`). `operators` tells of an
    operators.yaml that is refused, `store` of a server that may lose what was answered (`volatile`).
    """
    running = running_of(request)
    if running.stopping.is_set():
        return answered({"status": "stopping"}, 503)
    try:
        await running.store.ping()
    except StoreAway:
        return answered({"status": "store_away"}, 503)
    told = {"rules": _rules_told(running), "operators": _fault_told(running.operators_fault), "store": None}
    if running.store_lacks:
        told["store"] = {"status": "volatile", "facts": list(running.store_lacks)}
    return answered({"status": "ready"} | {name: each for name, each in told.items() if each is not None})


def _rules_told(running: Running) -> dict[str, object] | None:
    loss = running.loss_at(now_ms())
    fault = running.rules_fault or _refused_versions(running)
    if fault is None and loss is not None:
        return {"status": "fewer", "since_at_ms": loss.since_at_ms, "fact": loss.lost.said, "problems": []}
    return _fault_told(fault)


def _fault_told(fault: RulesFault | None) -> dict[str, object] | None:
    """Return what everybody may know of files that are refused: no word of them."""
    if fault is None:
        return None
    return {"status": "refused", "since_at_ms": fault.since_at_ms, "fact": fault.fact, "problems": fault.places}


def _refused_versions(running: Running) -> RulesFault | None:
    """Return that versions cannot be used here, without their tenants' names and files: this answer is open to all."""
    refused = running.versions_refused.values()
    if not refused:
        return None
    tenants = "1 tenant" if len(refused) == 1 else f"{len(refused)} tenants"
    return RulesFault(min(each.since_at_ms for each in refused), f"the version of {tenants} cannot be used here")


@router.get("/metrics", summary="Counts for Prometheus", responses=problems_documented())
async def metrics(call: Annotated[Call, called("oversee")]) -> Response:
    """Queues are those of the key's tenant at this moment; everything else counts since the process started."""
    running, tenant, at_ms = call.running, call.caller.tenant, now_ms()
    loss = running.loss_at(at_ms)
    running.metrics.rules_lost = 0 if loss is None else loss.lost.count
    try:
        rules = await running.overseen(tenant)
        queues = await handoffs.queues(running.store, rules, tenant)
    except Refusal:
        return Response(running.metrics.exposition((), store_up=False), media_type=CONTENT_TYPE)
    depths = [
        QueueDepth(
            tenant,
            queue.name,
            queue.waiting,
            queue.leased,
            0 if queue.oldest_opened_at_ms is None else max(0, at_ms - queue.oldest_opened_at_ms),
            queue.grouped,
        )
        for queue in queues
    ]
    loads = await budgets.loads(running.store, tenant, rules.files.budgets, at_ms)
    late = Lateness(LATE_BOUNDS_MS, *await deadlines.lateness(running.store, tenant))
    seen = await channels.seen(running.store, tenant)
    fares = [ChannelFares(tenant, each.name, each.fares.counts, each.fares.failures, each.owed) for each in seen]
    calls, promised_at_ms = await listings.owed(running.store, tenant)
    told = running.metrics.exposition(
        depths,
        store_up=True,
        late=late,
        fares=fares,
        drills=[_last(tenant, each) for each in await drills.last_ended(running.store, tenant, at_ms)],
        pressures={(tenant, queue): load.percent for queue, load in loads.items() if load.percent is not None},
        calls=[CallsOwed(tenant, calls, 0 if promised_at_ms is None else max(0, at_ms - promised_at_ms))],
    )
    return Response(told, media_type=CONTENT_TYPE)


def _last(tenant: str, drill: Drill) -> LastDrill:
    ended_at_ms = drill.ended_at_ms or drill.opened_at_ms
    took_ms = ended_at_ms - drill.opened_at_ms if drill.result == "passed" else None
    return LastDrill(tenant, drill.queue, ended_at_ms, took_ms)
