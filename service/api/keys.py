"""API keys for admins: listed, made, revoked. A secret is shown once, in the answer that makes it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Response

from service.api.bodies import KeyBody
from service.api.decision_answers import Shape
from service.api.routes import Call, KeyId, answered, called, problems_documented
from service.clock import now_ms
from service.flows import keys
from service.flows.keys import Role

router = APIRouter(prefix="/keys", tags=["admins"])
Administering = Annotated[Call, called("administer")]


class KeyAnswer(Shape):
    """A key without its secret; it works as long as `revoked_at_ms` is null."""

    key_id: str
    tenant: str
    name: str
    role: Role
    created_at_ms: int
    last_used_at_ms: int | None
    revoked_at_ms: int | None


class KeysAnswer(Shape):
    """The tenant's keys, oldest first."""

    keys: list[KeyAnswer]


class CreatedKeyAnswer(KeyAnswer):
    """A new key; `token` is its secret and is never shown again."""

    token: str


@router.get("", summary="The keys of this tenant", responses={200: {"model": KeysAnswer}, **problems_documented()})
async def list_all(call: Administering) -> Response:
    """Revoked ones too."""
    return answered({"keys": await keys.list_all(call.running.store, call.caller.tenant)})


@router.post(
    "",
    summary="Make a key",
    status_code=201,
    responses={201: {"model": CreatedKeyAnswer}, **problems_documented("body_invalid", "limit_reached")},
)
async def create(body: KeyBody, call: Administering) -> Response:
    """For this tenant; the secret is only in this answer."""
    made = await keys.create(call.running.store, call.caller.tenant, body.name, body.role, now_ms(), call.caller.name)
    return answered({**asdict(made.key), "token": made.token}, 201)


@router.delete(
    "/{key_id}", summary="Revoke a key", responses={200: {"model": KeyAnswer}, **problems_documented("key_id_unknown")}
)
async def revoke(key_id: KeyId, call: Administering) -> Response:
    """At once in this process, within 10 seconds in every other. Revoking twice is revoking once."""
    ended = await keys.revoke(call.running.store, call.caller.tenant, key_id, now_ms(), call.caller.name)
    call.running.callers.forget(key_id)
    return answered(ended)
