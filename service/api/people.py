"""Operators as they are declared and as they are now: who is there, who is busy, who claims the next of all queues."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import StrictBool, StringConstraints

from rules.compile.operators import NAME, compile_operators
from rules.routing.operators import Operator
from service.api.bodies import Body, ClaimBody
from service.api.decision_answers import Shape
from service.api.handoff_answers import ClaimedAnswer
from service.api.problems import Refused
from service.api.routes import NAME_CHARS_MAX, Call, answered, called, problems_documented
from service.clock import now_ms
from service.flows import handoffs, operators
from service.flows.keys import Role
from service.flows.operators import OperatorView
from service.flows.ruleset_refusals import RulesInvalid

router = APIRouter(tags=["operators"])

Working = Annotated[Call, called("work")]
Governing = Annotated[Call, called("govern")]
Listing = Annotated[Call, called("list")]
OperatorName = Annotated[
    str, Path(max_length=NAME_CHARS_MAX, pattern=f"^{NAME.pattern}$", description="that of the operator's API key")
]


class OperatorsBody(Body):
    """The text of an operators.yaml: everybody who is to be declared."""

    text: Annotated[str, StringConstraints(strict=True, min_length=1)]


class PresenceBody(Body):
    """Whether the caller is there to take work."""

    available: StrictBool = True


class OperatorAnswer(Shape):
    """An operator. `available`: work may be offered to them now, otherwise `why_not` says why it is not.

    `load` and `capacity` are weights of what is in hand; a `capacity` of null is unlimited. `present_until_ms` is null
    for somebody who has not been there yet.
    """

    name: str
    title: str | None
    skills: dict[str, int]
    languages: list[str]
    queues: list[str]
    capacity: int | None
    weights: dict[str, int]
    customers: list[str]
    timezone: str
    hours: list[dict[str, Any]]
    absences: list[dict[str, Any]]
    present_until_ms: int | None
    on_shift: bool
    load: int
    last_claim_at_ms: int | None
    available: bool
    why_not: str | None


class OperatorsAnswer(Shape):
    """Everybody who is declared, and whoever else is there, by name."""

    operators: list[OperatorAnswer]


class DeclaredAnswer(Shape):
    """How many operators are declared now, and what of them can never come to anything."""

    declared: int
    warnings: list[str]


class PresenceAnswer(Shape):
    """Until when the caller is believed to be there; null after they have left. Say it again before that."""

    present_until_ms: int | None


class MeAnswer(Shape):
    """Whose key came with the request: `name` is the actor in every record of what it does."""

    name: str
    role: Role
    tenant: str


@router.get("/me", summary="Whose key this is", responses={200: {"model": MeAnswer}, **problems_documented()})
async def me(call: Annotated[Call, called("read")]) -> Response:
    """For a console: it knows by the name which handoffs are its user's, and by the role what it may offer them."""
    caller = call.caller
    return answered({"name": caller.name, "role": caller.role, "tenant": caller.tenant})


@router.get(
    "/operators",
    summary="Who takes handoffs, and who is there",
    responses={200: {"model": OperatorsAnswer}, **problems_documented()},
)
async def every(call: Listing) -> Response:
    """With what each can do, what they have in hand, and why nothing is offered to them."""
    views = await operators.every(call.running.store, call.caller.tenant, now_ms())
    return answered({"operators": [_operator(view) for view in views]})


@router.put(
    "/operators",
    summary="Declare everybody anew",
    responses={200: {"model": DeclaredAnswer}, **problems_documented("body_invalid", "rules_invalid", "limit_reached")},
)
async def replace(body: OperatorsBody, call: Governing) -> Response:
    """The text of an operators.yaml. Whoever is not in it is no longer declared; what they have in hand they keep."""
    return await _declare(call, {"operators.yaml": body.text}, replacing=True)


@router.put(
    "/operators/{name}",
    summary="Declare one operator",
    responses={200: {"model": DeclaredAnswer}, **problems_documented("body_invalid", "rules_invalid", "limit_reached")},
)
async def put(name: OperatorName, body: dict[str, Any], call: Governing) -> Response:
    """With the keys that an operator has in operators.yaml, `name` left out."""
    if body.get("name", name) != name:
        raise Refused("body_invalid", "`name` is another one than that of the address", "leave it out")
    # JSON is YAML, so a file and a body are read, and refused, in the same words.
    text = json.dumps({"operators": [{**body, "name": name}]}, ensure_ascii=False)
    return await _declare(call, {"operators.yaml": text}, replacing=False)


@router.delete(
    "/operators/{name}",
    summary="Forget an operator",
    status_code=204,
    responses={204: {"description": "forgotten"}, **problems_documented("operator_unknown")},
)
async def remove(name: OperatorName, call: Governing) -> Response:
    """What they have in hand stays theirs until it ends. Their API key is another matter: see DELETE /keys."""
    await operators.remove(call.running.store, call.caller.tenant, name, call.caller.name, now_ms())
    return Response(status_code=204)


@router.post(
    "/presence",
    summary="Say that you are there, or not",
    responses={200: {"model": PresenceAnswer}, **problems_documented()},
)
async def presence(call: Working, body: PresenceBody | None = None) -> Response:
    """A heartbeat: every 30 seconds while you are ready for work. A claim or a renewal says it too."""
    store, tenant, name = call.running.store, call.caller.tenant, call.caller.name
    if body is not None and not body.available:
        await operators.leave(store, tenant, name)
        return answered({"present_until_ms": None})
    return answered({"present_until_ms": await operators.heartbeat(store, tenant, name, now_ms())})


@router.post(
    "/claim",
    summary="Claim the most urgent handoff of all your queues",
    responses={
        200: {"model": ClaimedAnswer},
        204: {"description": "nothing waits that you can do"},
        **problems_documented("capacity_reached"),
    },
)
async def claim(call: Working, body: ClaimBody | None = None) -> Response:
    """The most urgent that you can do: your skills, languages and queues, or what is kept for you. 204 for nothing."""
    running, caller = call.running, call.caller
    rules = await running.overseen(caller.tenant)
    return await call.claimed(
        handoffs.claim_next(running.store, rules, caller.tenant, None, await call.claiming(), now_ms())
    )


async def _declare(call: Call, texts: dict[str, str], *, replacing: bool) -> Response:
    found, problems = compile_operators(texts)
    if any(problem.severity == "error" for problem in problems):
        raise RulesInvalid(problems, "the operators")
    store, tenant, actor = call.running.store, call.caller.tenant, call.caller.name
    queues = (await call.running.overseen(tenant)).files.queues
    count = await operators.declare(store, tenant, found, actor, now_ms(), replacing=replacing)
    # Rules may come after the people who work by them, so this hinders nobody.
    return answered({"declared": count, "warnings": operators.strange_queues(found, queues)})


def _operator(view: OperatorView) -> dict[str, object]:
    known: Operator = view.operator
    return {
        "name": known.name,
        "title": known.title,
        "skills": dict(known.skills),
        "languages": known.languages,
        "queues": known.queues,
        "capacity": known.capacity,
        "weights": dict(known.weights),
        "customers": known.customers,
        "timezone": known.timezone,
        "hours": [
            {"days": sorted(shift.days), "from_minutes": shift.from_minutes, "to_minutes": shift.to_minutes}
            for shift in known.hours
        ],
        "absences": known.absences,
        "present_until_ms": view.present_until_ms,
        "on_shift": view.on_shift,
        "load": view.load,
        "last_claim_at_ms": view.last_claim_at_ms,
        "available": view.available,
        "why_not": view.why_not,
    }
