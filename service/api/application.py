"""The FastAPI application: its routes, and the plain ASGI that stands in front of them. Its parts come from `main`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any, TypeAlias

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from service.api import (
    agents,
    calls,
    chains,
    channels,
    decisions,
    drafts,
    drills,
    floods,
    handoff_events,
    handoffs,
    health,
    keys,
    openapi,
    opening,
    operators,
    outcomes,
    people,
    rulesets,
    schemas,
    shed,
    versions,
    webhooks,
)
from service.api.arrival import (
    BODY_BYTES_MAX,
    RULES_BYTES_MAX,
    Gone,
    Ids,
    Read,
    check_type,
    read_body,
    request_id,
    trace_id,
)
from service.api.escalation import PATH, answer_turn, should_escalate
from service.api.escalation import router as escalation
from service.api.faults import refusal
from service.api.json_text import parse
from service.api.problems import PROBLEMS, Answer, Refused, answer
from service.api.refusals import note, problem_of, refuse, refuse_unread
from service.api.running import Running
from service.api.sending import Write, over_asgi
from service.errors import Refusal
from service.logs import failure

ROUTERS: tuple[APIRouter, ...] = (
    escalation,
    decisions.router,
    chains.router,
    handoffs.router,
    handoff_events.router,
    operators.router,
    people.router,
    outcomes.router,
    rulesets.router,
    agents.router,
    drafts.router,
    versions.router,
    keys.router,
    webhooks.router,
    channels.router,
    drills.router,
    shed.router,
    calls.router,
    floods.router,
    opening.router,
    schemas.router,
    openapi.router,
    health.router,
)
WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


# Opens what the application needs, tells the application by `runs`, and closes it at the end.
Lifespan: TypeAlias = "Callable[[Handrail], AbstractAsyncContextManager[None]]"


@dataclass(frozen=True, slots=True)
class Pages:
    """What people open in a browser beside the API, and the page of a refusal: from its status, detail and hint."""

    routes: Sequence[BaseRoute] = ()
    refused: Callable[[Request, int, str, str], Response] | None = None


NO_PAGES = Pages()


class Handrail(FastAPI):
    """FastAPI for every route but the one that every turn takes, which is answered before FastAPI wakes up."""

    def __init__(self, lifespan: Lifespan, pages: Pages = NO_PAGES) -> None:
        super().__init__(
            title="Handrail",
            version=_version(),
            description=openapi.DESCRIPTION,
            lifespan=lifespan,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        self.pages = pages
        # A page stands before the API's route at the same address, and leaves to it whoever asks for no HTML.
        self.router.routes.extend(pages.routes)
        for router in ROUTERS:
            self.include_router(router)
        for fact in (Refused, Refusal, RequestValidationError, HTTPException, Exception):
            self.add_exception_handler(fact, _problem)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or run the lifespan."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif scope["path"] == PATH and scope["method"] == "POST":
            await should_escalate(self.state.running, scope, receive, send)
        else:
            await self._ordinary(scope, receive, send)

    def answer_turn(self, headers: dict[bytes, bytes], read: Read, write: Write) -> Awaitable[None]:
        """Answer a turn that came without ASGI, by service.api.turn_protocol."""
        # Not `self.state.running`: Starlette's state looks everything up in Python, a microsecond a turn.
        return answer_turn(self._running, headers, read, write)

    def refuse_unread(self, refused: Refused) -> Answer:
        """Return the answer to what never became a request, by service.api.bounded_protocol."""
        return refuse_unread(self._running, refused)

    def runs(self, running: Running) -> None:
        """Keep what the lifespan has opened, as `state.running` too."""
        self._running = self.state.running = running

    def openapi(self) -> dict[str, Any]:
        """Return the description of every route, the plain one too."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi.describe(self)
        return self.openapi_schema

    async def _ordinary(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Bound the body, hand the request to FastAPI, and leave a count and a log line behind."""
        running: Running = self.state.running
        started_s = perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        ids = request_id(headers), trace_id(headers)
        status = 0

        async def answer_with_ids(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = MutableHeaders(scope=message)
                sent["x-request-id"] = ids[0]
                sent.setdefault("cache-control", "no-store")
            await send(message)

        try:
            if scope["method"] in WITH_BODY:
                receive = await _bounded(headers, receive, scope["path"])
            await super().__call__(scope, receive, answer_with_ids)
        except Gone:
            return
        except Exception as error:
            # FastAPI raises again what it has answered as `internal`, so that the server may log it; we log it here.
            if not status:
                await refuse(running, error, ids, _route(scope), started_s, over_asgi(send))
                return
            running.log.error("failed", request_id=ids[0], **failure(error))
        _tell(running, scope, ids, status, started_s)


def _version() -> str:
    try:
        return version("handrail")
    except PackageNotFoundError:
        return "0+checkout"


async def _bounded(headers: dict[bytes, bytes], receive: Receive, path: str) -> Receive:
    """Return the request's body, read and checked, as a channel that FastAPI can read again."""
    bytes_max = RULES_BYTES_MAX if path.startswith("/rulesets") else BODY_BYTES_MAX
    body = await read_body(headers, receive, bytes_max)
    if body:
        check_type(headers)
        parse(body)
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


async def _problem(request: Request, error: Exception) -> Response:
    refused = _invalid(request, error) if isinstance(error, RequestValidationError) else problem_of(error)
    request.scope["handrail.code"] = refused.code
    note(request.app.state.running, error, refused)
    sent = answer(refused)
    pages: Pages = request.app.pages
    if pages.refused is not None and request.scope.get("route") in pages.routes:
        return pages.refused(request, sent.status, refused.detail, refused.hint or PROBLEMS[refused.code].hint)
    response = Response(sent.body, sent.status)
    response.raw_headers = list(sent.headers)
    return response


def _invalid(request: Request, invalid: RequestValidationError) -> Refused:
    """Return what does not fit a route's body, or else its query and path, without the values that were sent."""
    errors = [{**error, "loc": error["loc"][1:]} for error in invalid.errors() if error["loc"][0] == "body"]
    if errors:
        body = getattr(request.scope.get("route"), "body_field", None)
        return refusal(errors, getattr(getattr(body, "field_info", None), "annotation", None))
    errors = [{**error, "loc": error["loc"][1:]} for error in invalid.errors()]
    return refusal(errors, None, "query_invalid")


def _route(scope: Scope) -> str:
    """Return the route's own pattern: addresses hold ids, and unknown ones may hold anything."""
    return getattr(scope.get("route"), "path", "unknown")


def _tell(running: Running, scope: Scope, ids: Ids, status: int, started_s: float) -> None:
    route = f"{scope['method']} {_route(scope)}" if scope.get("route") else "unknown"
    running.metrics.answers[route, status] += 1
    running.log.info(
        "answered",
        request_id=ids[0],
        trace_id=ids[1],
        route=route,
        status=status,
        code=scope.get("handrail.code"),
        actor=scope.get("handrail.actor"),
        took_us=round((perf_counter() - started_s) * 1e6),
    )
