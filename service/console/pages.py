"""The addresses of the console. Where the API has one too, a browser is given HTML, and all others are left to it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from service.clock import now_ms
from service.console import markup
from service.console.files import assets, version
from service.flows import links
from service.flows.access import Store
from service.flows.links import LinkInvalid

# What an id, a tenant and a signature may be long at most; anything longer was never ours.
PART_CHARS_MAX = 128
SECONDS_DIGITS_MAX = 11  # of a moment in seconds: the year 5138
# The version stands in the address: what is behind it never changes.
KEPT = "public, max-age=31536000, immutable"


class PageRoute(Route):
    """A page for people: it is there for those who ask for HTML, and the API answers all others at the same address."""

    def matches(self, scope: MutableMapping[str, Any]) -> tuple[Match, Any]:
        """Match only a browser's request, and name the pattern for the log as the API's routes do."""
        match, found = super().matches(scope)
        if match is Match.NONE or not _wants_page(scope):
            return Match.NONE, {}
        return match, {**found, "route": self}


class OwnRoute(Route):
    """An address at which the API has nothing: it is there for everybody."""

    def matches(self, scope: MutableMapping[str, Any]) -> tuple[Match, Any]:
        """Name the pattern for the log as the API's routes do."""
        match, found = super().matches(scope)
        return match, {**found, "route": self}


def _wants_page(scope: MutableMapping[str, Any]) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


async def opened(request: Request) -> Response:
    """Follow the link of a message. Raises LinkInvalid, LinkExpired and HandoffUnknown."""
    query, handoff_id = request.query_params, request.path_params["handoff_id"]
    tenant, exp, sig = query.get("tenant", ""), query.get("exp", ""), query.get("sig", "")
    whole = exp.isascii() and exp.isdecimal() and len(exp) <= SECONDS_DIGITS_MAX
    if not whole or max(map(len, (handoff_id, tenant, sig))) > PART_CHARS_MAX:
        raise LinkInvalid
    store = cast("Store", request.app.state.running.store)
    found = await links.follow(store, tenant, handoff_id, int(exp), sig, now_ms())
    return _html(markup.link_page(found, _language(request)))


async def handoff(request: Request) -> Response:
    """Show one handoff to whoever has a key: the page itself knows nothing of it."""
    return _html(markup.handoff_page(request.path_params["handoff_id"][:PART_CHARS_MAX], _language(request)))


async def queues(request: Request) -> Response:
    """Show the queues to whoever has a key."""
    return _html(markup.queues_page(_language(request)))


async def asset(request: Request) -> Response:
    """Send one file. An address of another release gets today's, but may not be kept."""
    found = assets().get(request.path_params["name"])
    if found is None:
        return Response(status_code=404)
    kept = KEPT if request.path_params["version"] == version() else "no-store"
    headers = {"cache-control": kept, "x-content-type-options": "nosniff"}
    return Response(found.content, media_type=found.media_type, headers=headers)


def refused(request: Request, status: int, detail: str, hint: str) -> Response:
    """Return the page for a link that opens nothing."""
    base = "../" * (request.url.path.strip("/").count("/")) or "./"
    return _html(markup.refused_page(detail, hint, _language(request), base), status)


ROUTES: tuple[Route, ...] = (
    PageRoute("/open/{handoff_id}", opened),
    OwnRoute("/console", queues),
    OwnRoute("/console/handoffs/{handoff_id}", handoff),
    OwnRoute("/console/static/{version}/{name}", asset),
)


def _language(request: Request) -> str:
    return markup.language_of(request.headers.get("accept-language", ""))


def _html(text: str, status: int = 200) -> Response:
    return Response(text, status, markup.HEADERS, "text/html; charset=utf-8")
