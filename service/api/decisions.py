"""`GET /decisions/{id}`: why a turn was answered as it was."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from service.api.decision_answers import ExplainedAnswer, explained_answer
from service.api.routes import Call, DecisionId, answered, called, problems_documented
from service.flows import decide

router = APIRouter(tags=["agents"])


@router.get(
    "/decisions/{decision_id}",
    summary="Why a turn was answered as it was",
    responses={200: {"model": ExplainedAnswer}, **problems_documented("decision_unknown")},
)
async def explain(decision_id: DecisionId, call: Annotated[Call, called("read")]) -> Response:
    """Every rule that fired, each check with the value it met and where in the text a topic was found, and the
    rules in shadow that would have fired."""
    return answered(explained_answer(await decide.find(call.running.store, call.caller.tenant, decision_id)))
