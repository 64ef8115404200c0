"""`GET /decisions/{id}`: why a turn was answered as it was; `…/case`: the same as a test for the rule files."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Response

from rules.cases.recorded import write_case
from service.api.decision_answers import CaseAnswer, ExplainedAnswer, explained_answer
from service.api.routes import Call, DecisionId, answered, called, problems_documented
from service.flows import decide, recorded_decisions

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


@router.get(
    "/decisions/{decision_id}/case",
    tags=["managers"],
    summary="The decision as a test case for rule files",
    responses={200: {"model": CaseAnswer}, **problems_documented("decision_unknown", "turn_not_kept")},
)
async def case(decision_id: DecisionId, call: Annotated[Call, called("list")]) -> Response:
    """The conversation up to that turn, without ids and personal data, and what was decided as what is expected.

    Names and addresses in texts and sources stay.

    It was run against the rules that decide now; `passes` tells how that went, `notes` what could not be kept."""
    running, tenant = call.running, call.caller.tenant
    recorded = await recorded_decisions.find(running.store, tenant, decision_id)
    ruleset = await running.meet(tenant, recorded.decision.conversation_id)
    # Some sixty turns are judged, perhaps twice: other callers must not wait for that.
    written = await asyncio.to_thread(write_case, recorded, ruleset)
    return answered(
        {
            "decision_id": decision_id,
            "name": written.name,
            "case": written.item,
            "file": written.file,
            "passes": written.passes,
            "notes": list(written.notes),
        }
    )
