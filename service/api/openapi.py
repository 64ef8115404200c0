"""What /openapi.json, /docs and /problems say. The examples here are sent to a running service by a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from service.api.identity import permit
from service.api.problems import PROBLEMS, Refused
from service.api.reference import POLICY, page
from service.api.routes import Call, answered, called, running_of
from service.api.turn_body import BODY
from service.clock import now_ms

if TYPE_CHECKING:
    from fastapi import FastAPI

DESCRIPTION = """Ask on every turn of an AI agent whether a person should take it, and get that person there in time.

Agents call `POST /should-escalate` before the reply is sent or the tool is run; operators claim handoffs from queues,
talk, and say how it went; managers read which rules decide. Keys travel as `Authorization: Bearer …`."""

TAGS = [
    {"name": "agents", "description": "For the software that speaks with customers."},
    {"name": "operators", "description": "For the people who take handoffs."},
    {"name": "managers", "description": "For the people who edit the rules."},
    {"name": "admins", "description": "For the people who run the service."},
    {"name": "health", "description": "For supervisors, load balancers and Prometheus."},
]

# name -> summary and body; each is answered with 200 whatever the rules say of it.
TURN_EXAMPLES: dict[str, dict[str, Any]] = {
    "a person is asked for": {
        "summary": "The customer asks for a person",
        "value": {
            "conversation_id": "conv-1001",
            "turn_id": "1",
            "agent": {"id": "support-bot", "version": "4.2.0"},
            "channel": "chat",
            "locale": "en-US",
            "message": "This is going in circles. Can I please talk to a human?",
            "reply": "I can help you with that! Which order is it about?",
        },
    },
    "a tool call is proposed": {
        "summary": "The agent is about to change something",
        "value": {
            "conversation_id": "conv-1002",
            "turn_id": "7",
            "customer": {"id": "cus-77", "tier": "gold"},
            "message": "Yes, please refund both payments.",
            "tool_calls": [
                {"name": "find_order", "args": {"order_id": "A-100"}, "write": False, "status": "ok"},
                {"name": "issue_refund", "args": {"order_id": "A-100"}, "write": True, "amount": 480.0},
            ],
        },
    },
    "only a draft": {
        "summary": "A draft with the agent's own confidence and sources",
        "value": {
            "conversation_id": "conv-1003",
            "turn_id": "2",
            "reply": "Your parcel arrives on Thursday.",
            "confidence": 0.93,
            "sources": ["orders/A-101"],
        },
    },
}
DECISION_EXAMPLE: dict[str, Any] = {
    "decision_id": "dec_0_6ce4a9c1c0b1f3d2a4e5",
    "conversation_id": "conv-1001",
    "turn_id": "1",
    "verdict": "escalate",
    "must_stop": True,
    "rules": [
        {
            "id": "asks-for-a-person",
            "why": "the customer asks for a person",
            "because": ["asks_for_person is true"],
        }
    ],
    "say": "Let me bring in a colleague.",
    "ruleset": "9f2c5a7d1e0b4c8f9f2c5a7d1e0b4c8f9f2c5a7d1e0b4c8f9f2c5a7d1e0b4c8f",
    "degraded": False,
    "handoff": {
        "id": "hof_0_5f0c9a7be1d24386",
        "queue": "tier1",
        "position": 3,
        "wait_ms": {"p10": 20_000, "p50": 95_000, "p90": 260_000},
        "expires_at_ms": 1_795_000_900_000,
        "on_timeout": {"verdict": "callback", "say": "We will call you back.", "queue": None},
    },
}
TURN_BODY_DOCUMENTED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Turn"}, "examples": TURN_EXAMPLES}},
    }
}
PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457. `code` is stable; `hint` says what to do next. Nothing of the request is in it.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "hint"],
    "properties": {
        "type": {"type": "string", "description": "address of the code's description"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(PROBLEMS)},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
    },
}

router = APIRouter(include_in_schema=False)
# The description of a service is no secret on the machine it runs on; from anywhere else it needs a key.
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@router.get("/openapi.json")
async def schema(request: Request) -> Response:
    """Answer with the OpenAPI description."""
    await _shown_to(request)
    return answered(request.app.openapi())


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Answer with the page that shows the description."""
    await _shown_to(request)
    headers = {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}
    return HTMLResponse(page(request.app.openapi()), headers=headers)


@router.get("/problems/{code}")
async def problem(code: str, call: Annotated[Call, called("read")]) -> Response:
    """Answer with what a problem's code means."""
    spec = PROBLEMS.get(code)
    if spec is None:
        raise Refused("route_unknown", "no problem has this code")
    return answered({"code": code, "status": spec.status, "title": spec.title, "hint": spec.hint})


async def _shown_to(request: Request) -> None:
    running = running_of(request)
    if running.settings.host not in LOOPBACK:
        key = request.headers.get("authorization")
        raw = None if key is None else key.encode("latin-1")
        permit(await running.callers.find(running.store, raw, now_ms()), "read")


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the whole description, with the schemas of what FastAPI does not read itself."""
    found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes, tags=TAGS)
    turn = BODY.json_schema(ref_template="#/components/schemas/{model}")
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    schemas |= turn.pop("$defs", {})
    # Attributes arrive beside `id` and `tier`, and are gathered only here.
    customer = schemas["CustomerBody"]
    attribute = customer["properties"].pop("attributes")["additionalProperties"]
    customer["additionalProperties"] = attribute | {"anyOf": [*attribute["anyOf"], {"type": "null"}]}
    schemas["Turn"] = turn | {"title": "Turn"}
    schemas["Problem"] = PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    # FastAPI leaves out of an example what is null, and null is an answer.
    asked = found["paths"]["/should-escalate"]["post"]
    asked["responses"]["200"]["content"]["application/json"]["example"] = DECISION_EXAMPLE
    for operations in found["paths"].values():
        for operation in operations.values():
            # FastAPI documents a 422 in its own shape for every route with a parameter; ours has another.
            rows = operation["responses"]
            if "HTTPValidationError" in str(rows.get("422")):
                rows["422"] = {
                    "description": f"`query_invalid`: {PROBLEMS['query_invalid'].title}",
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
    return found
