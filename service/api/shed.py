"""`GET /shed`: which decisions asked people for less because a queue was over its budget."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from rules.model import Verdict
from rules.routing.shed import shed_json
from service.api.decision_answers import Shape, ShedAnswer
from service.api.routes import NAME_CHARS_MAX, Call, answered, called, problems_documented
from service.flows import budgets

router = APIRouter(tags=["managers"])

LIMIT_MAX = 1_000
LIMIT_DEFAULT = 100


class ShedDecisionAnswer(Shape):
    """One decision that shed something."""

    decision_id: str
    conversation_id: str
    turn_id: str
    decided_at_ms: int
    verdict: Verdict
    handoff_id: str | None
    shed: list[ShedAnswer]


class ShedListAnswer(Shape):
    """Decisions that shed something, latest first."""

    decisions: list[ShedDecisionAnswer]


@router.get(
    "/shed",
    summary="What was shed because a queue was over its budget",
    responses={200: {"model": ShedListAnswer}, **problems_documented("query_invalid")},
)
async def shed(
    call: Annotated[Call, called("list")],
    queue: Annotated[str | None, Query(max_length=NAME_CHARS_MAX)] = None,
    since: Annotated[int, Query(ge=0, description="a moment in milliseconds, Unix time")] = 0,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
) -> Response:
    """Latest first, of all queues or one."""
    found = await budgets.listed(call.running.store, call.caller.tenant, queue, since, limit)
    return answered(
        {
            "decisions": [
                {
                    "decision_id": each.decision_id,
                    "conversation_id": each.conversation_id,
                    "turn_id": each.turn_id,
                    "decided_at_ms": each.decided_at_ms,
                    "verdict": each.verdict,
                    "handoff_id": each.handoff_id,
                    "shed": [shed_json(one) for one in each.shed],
                }
                for each in found
            ]
        }
    )
