"""`GET /shed`: which decisions asked people for less because a queue was over its budget."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from rules.model import Verdict
from rules.routing.shed import shed_json
from service.api.decision_answers import Shape, ShedAnswer
from service.api.routes import Call, CursorAsked, QueueAsked, answered, called, problems_documented
from service.flows import budgets
from service.flows.budgets import LISTED_MAX

router = APIRouter(tags=["managers"])

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
    """Decisions that shed something, latest first; ask again with `cursor` for the next ones, null when these were the
    last. With `queue` a page may be short, or empty, and still have a cursor."""

    decisions: list[ShedDecisionAnswer]
    cursor: str | None


@router.get(
    "/shed",
    summary="What was shed because a queue was over its budget",
    responses={200: {"model": ShedListAnswer}, **problems_documented("cursor_invalid", "queue_unknown")},
)
async def shed(
    call: Annotated[Call, called("list")],
    queue: QueueAsked = None,
    since: Annotated[int, Query(ge=0, description="a moment in milliseconds, Unix time")] = 0,
    cursor: CursorAsked = None,
    limit: Annotated[int, Query(ge=1, le=LISTED_MAX)] = LIMIT_DEFAULT,
) -> Response:
    """Latest first, of all queues or one; ask again with `cursor` until it is null. The latest 10,000 of each partition
    are kept, as long as their decisions are."""
    found = await budgets.listed(call.running.store, call.caller.tenant, queue, since, limit, cursor)
    if not found.decisions and cursor is None:
        await call.check_queue(queue)
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
                for each in found.decisions
            ],
            "cursor": found.cursor,
        }
    )
