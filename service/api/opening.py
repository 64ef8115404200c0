"""Where the links in messages lead: it shows that the link is ours and what became of the handoff, and nothing else."""

from __future__ import annotations

from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from service.api.routes import HandoffId, answered, problems_documented, running_of
from service.clock import now_ms
from service.flows import handoffs, links

router = APIRouter(tags=["operators"])
NOW = {
    "waiting": "it waits for a person",
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
    links.verify(await links.secret(store), tenant, handoff_id, exp, sig, now_ms())
    handoff = await handoffs.current(store, tenant, handoff_id, now_ms())
    state = "acknowledged" if handoff.state == "waiting" and handoff.acknowledged_by else handoff.state
    now = "somebody comes" if state == "acknowledged" else NOW[handoff.state]
    if "text/html" in request.headers.get("accept", ""):
        return Response(_page(handoff.handoff_id, now), media_type="text/html; charset=utf-8", headers=_HEADERS)
    address = f"/handoffs/{handoff.handoff_id}"
    return answered({"handoff_id": handoff.handoff_id, "state": state, "now": now, "handoff": address})


# The address holds the signature: it is told to no other site, and no script runs beside it.
_HEADERS = {"referrer-policy": "no-referrer", "content-security-policy": "default-src 'none'"}


def _page(handoff_id: str, now: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Handrail</title><h1>{escape(now)}</h1><p>Handoff <code>{escape(handoff_id)}</code>.</p>"
        "<p>Claim it where you work, with your own key: the link opens nothing by itself.</p></html>"
    )
