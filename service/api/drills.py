"""Fire drills over HTTP: run one, see how it went, say when a queue is drilled."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field, StringConstraints

from rules import drills as plan
from rules.drills import EVERY_MS_MAX, EVERY_MS_MIN, WITHIN_MS_MAX, WITHIN_MS_MIN, Schedule
from service.api.bodies import Body
from service.api.decision_answers import Shape
from service.api.routes import NAME_CHARS_MAX, Call, QueueName, answered, called, problems_documented
from service.clock import now_ms
from service.flows import drills
from service.flows.drills import HISTORY_MAX, Drill

router = APIRouter(prefix="/drills", tags=["managers"])
Overseeing = Annotated[Call, called("oversee")]
DrillId = Annotated[str, Path(max_length=NAME_CHARS_MAX, description="as POST /drills says")]
WithinMs = Annotated[int, Field(strict=True, ge=WITHIN_MS_MIN, le=WITHIN_MS_MAX)]
WITHIN_MS_DEFAULT = 300_000


class DrillBody(Body):
    """A drill of a queue: somebody must claim or acknowledge it within `within_ms`."""

    queue: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=NAME_CHARS_MAX)]
    within_ms: WithinMs = WITHIN_MS_DEFAULT


class ScheduleBody(Body):
    """When a queue is drilled: every `every_ms`, first when it is `at_minutes` after midnight in UTC."""

    every_ms: Annotated[int, Field(strict=True, ge=EVERY_MS_MIN, le=EVERY_MS_MAX)]
    at_minutes: Annotated[int, Field(strict=True, ge=0, lt=1_440)]
    within_ms: WithinMs = WITHIN_MS_DEFAULT


class DrillAnswer(Shape):
    """A drill. `answered_ms` is how long it took until a person claimed or acknowledged it, null while nobody has.

    `steps` says when each step of its path was reached: `queued`, `passed_on` (a worker tells webhooks and channels),
    `acknowledged`, `claimed`, `resolved`, `expired`. `waiting` counts the customers who waited when it ended.
    """

    id: str
    queue: str
    handoff_id: str | None
    within_ms: int
    opened_at_ms: int
    due_at_ms: int | None
    by: str
    result: Literal["passed", "failed"] | None
    answered_ms: int | None
    ended_at_ms: int | None
    waiting: int
    steps: dict[str, int]


class ScheduleAnswer(Shape):
    """When a queue is drilled, and when next."""

    queue: str
    every_ms: int
    within_ms: int
    next_at_ms: int


class DrillsAnswer(Shape):
    """The latest drills, latest first, and when queues are drilled."""

    drills: list[DrillAnswer]
    schedules: list[ScheduleAnswer]


@router.get("", summary="How fire drills went", responses={200: {"model": DrillsAnswer}, **problems_documented()})
async def list_all(
    call: Annotated[Call, called("list")], limit: Annotated[int, Query(ge=1, le=HISTORY_MAX)] = 50
) -> Response:
    """The latest first, and when queues are drilled."""
    store, tenant = call.running.store, call.caller.tenant
    found = await drills.history(store, tenant, limit, now_ms())
    planned = await drills.schedules(store, tenant)
    return answered({"drills": [_drill(each) for each in found], "schedules": [_schedule(each) for each in planned]})


@router.post(
    "",
    summary="Drill a queue now",
    status_code=201,
    responses={201: {"model": DrillAnswer}, **problems_documented("body_invalid", "queue_unknown")},
)
async def begin(body: DrillBody, call: Overseeing) -> Response:
    """A marked handoff goes into the queue, behind every customer; ask for the drill until it has a `result`."""
    store, tenant = call.running.store, call.caller.tenant
    ruleset = await call.running.overseen(tenant)
    made = await drills.begin(store, ruleset, tenant, body.queue, body.within_ms, call.caller.name, now_ms())
    return answered(_drill(made), 201)


@router.get(
    "/{drill_id}",
    summary="How one fire drill went",
    responses={200: {"model": DrillAnswer}, **problems_documented("drill_unknown")},
)
async def one(drill_id: DrillId, call: Annotated[Call, called("list")]) -> Response:
    """Settled as it is asked for, also while no worker runs."""
    return answered(_drill(await drills.look(call.running.store, call.caller.tenant, drill_id, now_ms())))


@router.put(
    "/schedules/{queue}",
    summary="Drill a queue on a schedule",
    responses={200: {"model": ScheduleAnswer}, **problems_documented("body_invalid", "queue_unknown", "limit_reached")},
)
async def schedule(queue: QueueName, body: ScheduleBody, call: Overseeing) -> Response:
    """In the place of its schedule before. What was missed while nothing ran is caught up with once."""
    store, tenant = call.running.store, call.caller.tenant
    wanted = Schedule(queue, body.every_ms, plan.first_at_ms(body.at_minutes, now_ms()), body.within_ms)
    await drills.schedule(store, await call.running.overseen(tenant), tenant, wanted)
    return answered(_schedule(wanted))


@router.delete(
    "/schedules/{queue}",
    summary="Drill a queue no more by itself",
    status_code=204,
    responses=problems_documented("drill_unknown"),
)
async def unschedule(queue: QueueName, call: Overseeing) -> Response:
    """A drill that goes on ends as it would have."""
    await drills.unschedule(call.running.store, call.caller.tenant, queue)
    return Response(status_code=204)


def _drill(drill: Drill) -> dict[str, Any]:
    passed = drill.result == "passed" and drill.ended_at_ms is not None
    return {
        "id": drill.drill_id,
        "queue": drill.queue,
        "handoff_id": drill.handoff_id or None,
        "within_ms": drill.within_ms,
        "opened_at_ms": drill.opened_at_ms,
        "due_at_ms": drill.due_at_ms,
        "by": drill.by,
        "result": drill.result,
        "answered_ms": max(0, (drill.ended_at_ms or 0) - drill.opened_at_ms) if passed else None,
        "ended_at_ms": drill.ended_at_ms,
        "waiting": drill.waiting,
        "steps": dict(sorted(drill.steps.items(), key=lambda step: step[1])),
    }


def _schedule(planned: Schedule) -> dict[str, Any]:
    return {
        "queue": planned.queue,
        "every_ms": planned.every_ms,
        "within_ms": planned.within_ms,
        "next_at_ms": plan.next_at_ms(planned, now_ms()),
    }
