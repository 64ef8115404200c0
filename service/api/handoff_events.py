"""A handoff as it happens: server-sent events for whoever follows it, resumed where a connection broke."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Response
from starlette.responses import StreamingResponse

from rules.handoff import ENDED, Handoff
from service.api.handoff_answers import handoff_answer
from service.api.handoffs import WAITS_OPEN_MAX, changed
from service.api.routes import Call, HandoffId, called, problems_documented
from service.clock import now_ms
from service.errors import LimitReached
from service.flows import handoffs

router = APIRouter()

# A proxy that hears nothing for a minute hangs up; a comment is three bytes.
PULSE_MS = 15_000
# A stream ends by itself after this and is taken up again by the client, so that no connection is held for ever.
STREAM_MS_MAX = 600_000
RETRY_MS = 1_000
EVENT_ID_CHARS_MAX = 64
EVENT_ID_PARTS = 3


@router.get(
    "/handoffs/{handoff_id}/events",
    tags=["agents"],
    summary="Follow a handoff as it happens",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "`reply` and `handoff` events, until it has ended"},
        **problems_documented("handoff_unknown", "limit_reached"),
    },
)
async def follow(
    handoff_id: HandoffId,
    call: Annotated[Call, called("read")],
    last_event_id: Annotated[str | None, Header(max_length=EVENT_ID_CHARS_MAX)] = None,
) -> Response:
    """Server-sent events. `reply`: what the operator says, each once and in order, `data` as in `replies`. `message`:
    the customer wrote, and its turn is in the packet. `handoff`: the handoff after every change. The stream ends after
    the one that has a `resolution`; a client that reconnects with `Last-Event-ID` misses nothing and hears no reply
    twice."""
    running = call.running
    handoff = await handoffs.current(running.store, call.caller.tenant, handoff_id, now_ms())
    if running.metrics.waits_open >= WAITS_OPEN_MAX:
        raise LimitReached("agents waiting on this process", WAITS_OPEN_MAX, "ask again later, or without waiting")
    known = _resumed(last_event_id)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_events(call, handoff, known), media_type="text/event-stream", headers=headers)


async def _events(call: Call, handoff: Handoff, known: tuple[int, int, int | None]) -> AsyncIterator[bytes]:
    """Yield what has happened since, and what happens, until the handoff has ended, the process stops or time is up."""
    running, loop = call.running, asyncio.get_running_loop()
    ends_at_s = loop.time() + STREAM_MS_MAX / 1000
    told, version, heard = known
    count = await handoffs.turns_count(running.store, handoff)
    # Whoever comes for the first time reads the packet; whoever comes back is told of what was written meanwhile.
    turns = count if heard is None else heard
    running.metrics.waits_open += 1
    try:
        yield f"retry: {RETRY_MS}\n\n".encode()
        while True:
            if count > turns:
                turns = count
                yield _event("message", (told, version, turns), {"turns": count})
            for reply in handoff.replies:
                if reply.number > told:
                    told = reply.number
                    said = {"number": reply.number, "text": reply.text, "by": reply.by, "at_ms": reply.at_ms}
                    yield _event("reply", (told, version, turns), said)
            if handoff.version > version:
                version = handoff.version
                yield _event("handoff", (told, version, turns), handoff_answer(handoff))
            if handoff.state in ENDED or running.stopping.is_set() or loop.time() >= ends_at_s:
                return
            handoff = await changed(call, handoff, PULSE_MS, words=True)
            count = await handoffs.turns_count(running.store, handoff)
            if count <= turns and handoff.version == version:
                yield b": \n\n"
    finally:
        running.metrics.waits_open -= 1


def _event(kind: str, known: tuple[int, int, int], data: object) -> bytes:
    """Return one event; its id says what the client has by then: the last reply, the handoff's version, the turns."""
    named = "-".join(map(str, known))
    return f"id: {named}\nevent: {kind}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"


def _resumed(last_event_id: str | None) -> tuple[int, int, int | None]:
    """Return what the client has: the number of the last reply, the version and the turns it has heard of; nothing for
    an id that is not ours."""
    parts = (last_event_id or "").split("-")
    if len(parts) == EVENT_ID_PARTS and all(part.isascii() and part.isdecimal() for part in parts):
        told, version, turns = map(int, parts)
        return told, version, turns
    return 0, 0, None
