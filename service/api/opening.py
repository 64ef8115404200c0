"""Where the links in messages lead: it shows that the link is ours and what became of the handoff, and nothing else.

This is the JSON of it; a browser gets the page of `service.console` at the same address.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from service.api.routes import HandoffId, answered, problems_documented, running_of
from service.clock import now_ms
from service.flows import links

router = APIRouter(tags=["operators"])
NOW = {
    "waiting": "it waits for a person",
    "acknowledged": "somebody comes",
    "leased": "somebody has it",
    "held": "somebody has it",
    "resolved": "it is done",
    "handed_back": "it is done",
    "expired": "nobody came in time",
}


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "the link holds"},
    # No key is asked for, so none can be wrong.
    **{status: row for status, row in problems_documented("link_invalid", "link_expired").items() if status != 401},
}


@router.get(
    "/open/{handoff_id}",
    summary="Follow the link of a message",
    responses=ANSWERS,
)
async def follow(
    handoff_id: HandoffId,
    request: Request,
    tenant: Annotated[str, Query(max_length=63)],
    exp: Annotated[int, Query(ge=0, le=10**11)],
    sig: Annotated[str, Query(max_length=128)],
) -> Response:
    """Without a key: it names the handoff and whether it still waits, and no more. To see or claim it needs a key."""
    store = running_of(request).store
    found = await links.follow(store, tenant, handoff_id, exp, sig, now_ms())
    address = f"/handoffs/{found.handoff_id}"
    return answered({"handoff_id": found.handoff_id, "state": found.state, "now": NOW[found.state], "handoff": address})
