"""`GET /calls`: which calls were promised to customers, and which of them were made."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from rules.handoff import Handoff, OutcomeWord, State
from rules.model import Priority
from service.api.decision_answers import Shape
from service.api.handoffs import PAGE_DEFAULT, PAGE_MAX
from service.api.routes import Call, CursorAsked, QueueAsked, answered, called, problems_documented
from service.flows import listings

router = APIRouter(tags=["operators"])


class PromisedCallAnswer(Shape):
    """A call that was promised, and the handoff that owes it, or with which it was owed no longer.

    `customer_id` is the customer's as the agent named it, null where it named none.
    `say` are the words of the promise, `after` the handoff that ended before this one. It must be made by `due_at_ms`,
    null where the rule files do not say. `ended_at_ms`, `ended_by` and
    `outcome` tell how a person ended it; they are null while it is owed.
    """

    handoff_id: str
    conversation_id: str
    customer_id: str | None
    queue: str
    priority: Priority
    locale: str | None
    promised_at_ms: int
    due_at_ms: int | None
    say: str | None
    after: str | None
    state: State
    holder: str | None
    ended_at_ms: int | None
    ended_by: str | None
    outcome: OutcomeWord | None


class CallsAnswer(Shape):
    """Calls, the longest promised first, or those that were ended, latest first; ask again with `cursor` for the next
    ones, null when these were the last. A page may be short, or empty, and still have a cursor."""

    calls: list[PromisedCallAnswer]
    cursor: str | None


@router.get(
    "/calls",
    summary="Calls that customers were promised",
    responses={200: {"model": CallsAnswer}, **problems_documented("cursor_invalid", "queue_unknown")},
)
async def calls(
    call: Annotated[Call, called("list")],
    queue: QueueAsked = None,
    done: Annotated[bool, Query(description="those that were ended lately, not those that are owed")] = False,
    cursor: CursorAsked = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
) -> Response:
    """Of all queues or one. Every call that is owed is listed; of those that were ended, the latest."""
    listing = listings.calls_done if done else listings.calls
    page = await listing(call.running.store, call.caller.tenant, queue, cursor, limit)
    if not page.handoffs and cursor is None:
        await call.check_queue(queue)
    return answered({"calls": [_call(handoff) for handoff in page.handoffs], "cursor": page.cursor})


def _call(handoff: Handoff) -> dict[str, object]:
    promised, resolution = handoff.call, handoff.resolution
    return {
        "handoff_id": handoff.handoff_id,
        "conversation_id": handoff.conversation_id,
        "customer_id": handoff.customer_id,
        "queue": handoff.queue,
        "priority": handoff.priority,
        "locale": handoff.locale,
        # Every one that is listed owes a call; a handoff that was opened says so even where the promise is not read.
        "promised_at_ms": handoff.opened_at_ms if promised is None else promised.promised_at_ms,
        "due_at_ms": None if promised is None else promised.due_at_ms,
        "say": None if promised is None else promised.say,
        "after": None if promised is None else promised.after,
        "state": handoff.state,
        "holder": handoff.holder,
        "ended_at_ms": handoff.ended_at_ms,
        "ended_by": None if resolution is None else resolution.by,
        "outcome": None if resolution is None else resolution.outcome,
    }
