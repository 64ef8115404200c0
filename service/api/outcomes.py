"""`POST /outcomes`: what becomes known of a conversation after its handoff ended, or without one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from service.api.bodies import OutcomeBody
from service.api.decision_answers import Shape
from service.api.routes import Call, answered, called, problems_documented
from service.clock import now_ms
from service.flows import outcomes
from service.flows.outcomes import OutcomeReport

router = APIRouter(tags=["agents"])


class RecordedAnswer(Shape):
    """An outcome on record; `repeated` when this request had been done before."""

    outcome_id: str
    repeated: bool


@router.post(
    "/outcomes",
    summary="Report what became known later",
    status_code=201,
    responses={
        201: {"model": RecordedAnswer},
        200: {"model": RecordedAnswer, "description": "it was on record already"},
        **problems_documented("handoff_unknown", "body_invalid", "request_reused"),
    },
)
async def record(body: OutcomeBody, call: Annotated[Call, called("report")]) -> Response:
    """Reopened, a CSAT score, a complaint, or resolved without a person. With the same `Idempotency-Key` once only."""
    report = OutcomeReport(**body.model_dump())
    store, caller = call.running.store, call.caller
    recorded = await outcomes.record(store, caller.tenant, report, caller.name, now_ms(), request_id=call.request_id)
    return answered(recorded, 200 if recorded.repeated else 201)
