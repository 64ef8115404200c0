"""What all ordinary routes share: who calls, how an answer is made, what the documentation says of each. No route."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Annotated, Any, cast

import orjson
from fastapi import Depends, Path, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BeforeValidator, StringConstraints

from rules.handoff import Handoff
from rules.marks import is_drill
from service.api.bodies import TokenBody
from service.api.handoff_answers import claimed_answer, handoff_answer
from service.api.identity import Caller, permit
from service.api.problems import MEDIA_TYPE, PROBLEMS, Refused
from service.api.query import check_query
from service.api.running import Running
from service.clock import now_ms
from service.errors import DraftUnseen, LeaseLost, MoveIllegal, Refusal
from service.flows import drafts, floods, handoffs, operators
from service.flows.handoffs import Claimed, Claiming, Lease, NothingWaiting

NAME_CHARS_MAX = 128
CURSOR_CHARS_MAX = 512  # of a cursor that was given out; nothing longer was ever one
IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,128}\Z")
BEARER = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer hr_…`")

HandoffId = Annotated[str, Path(max_length=NAME_CHARS_MAX, description="as a decision's `handoff.id` says")]
DecisionId = Annotated[str, Path(max_length=NAME_CHARS_MAX, description="as the answer to the turn says")]
QueueName = Annotated[str, Path(max_length=NAME_CHARS_MAX, description="a queue of the active rules")]
# `?queue=` says as little as no `queue` at all: so forms send what nobody filled in.
EMPTY_IS_NONE = BeforeValidator(lambda given: None if given == "" else given)
QueueAsked = Annotated[Annotated[str, StringConstraints(max_length=NAME_CHARS_MAX)] | None, EMPTY_IS_NONE, Query()]
CursorAsked = Annotated[Annotated[str, StringConstraints(max_length=CURSOR_CHARS_MAX)] | None, EMPTY_IS_NONE, Query()]
KeyId = Annotated[str, Path(max_length=NAME_CHARS_MAX, description="as GET /keys says")]


@dataclass(frozen=True, slots=True)
class Call:
    """One permitted request: the running parts, its caller, and the id under which a retry is done once."""

    running: Running
    caller: Caller
    request_id: str | None

    def lease(self, handoff_id: str, token: str) -> Lease:
        """Return what the caller shows to move a handoff."""
        return Lease(handoff_id, token, self.request_id)

    async def check_queue(self, queue: str | None) -> None:
        """Raise QueueUnknown where a list that came out empty was asked for a queue that is not there."""
        if queue is not None:
            rules = await self.running.overseen(self.caller.tenant)
            await handoffs.check_queue(self.running.store, rules, self.caller.tenant, queue)

    async def claiming(self) -> Claiming:
        """Return what the caller shows to claim; whoever claims is there."""
        store, name = self.running.store, self.caller.name
        await operators.seen(store, self.caller.tenant, name, now_ms(), asks=True)
        declared = await operators.declared(store, self.caller.tenant, name)
        return Claiming(name, self.running.settings.lease_ms, self.request_id, declared)

    async def claimed(self, claim: Awaitable[Claimed | NothingWaiting]) -> Response:
        """Claim, count how it went, and answer with all that is needed to take it on; 204 where nothing waits."""
        claimed: Claimed | NothingWaiting = await self.counted("claim", claim)
        if isinstance(claimed, NothingWaiting):
            return Response(status_code=204)
        store, handoff = self.running.store, claimed.handoff
        groups = await floods.seen(store, (handoff,))
        return answered(claimed_answer(claimed, await drafts.of_handoff(store, handoff), groups))

    async def moved(self, verb: str, move: Awaitable[Handoff]) -> Response:
        """Make a move, count how it went, and answer with the handoff as it stands then."""
        return answered(handoff_answer(await self.counted(verb, move)))

    async def sent(self, body: TokenBody, handoff_id: str, verb: str, move: Awaitable[Handoff]) -> Response:
        """Make a move with what an operator wrote. Refused because they lost the handoff, it is kept as their draft."""
        store, tenant, name = self.running.store, self.caller.tenant, self.caller.name
        written = {"verb": verb, **body.model_dump(exclude={"token"}, exclude_none=True)}
        try:
            handoff = await self.counted(verb, move)
        except (LeaseLost, MoveIllegal, DraftUnseen) as refused:
            saved = await drafts.keep_refused(store, tenant, handoff_id, name, written, now_ms())
            refused.more = {"draft_saved": saved}
            raise
        await drafts.sent(store, handoff, name, written)
        return answered(handoff_answer(handoff))

    async def counted(self, verb: str, move: Awaitable[Any]) -> Any:
        """Make a move and count how it went."""
        moves = self.running.metrics.moves
        try:
            value = await move
        except Refusal as refusal:
            moves[verb, refusal.code] += 1
            raise
        handoff = value.handoff if isinstance(value, Claimed) else value
        if not (isinstance(handoff, Handoff) and is_drill(handoff.conversation_id)):
            moves[verb, "done"] += 1
        return value


def called(action: str) -> Any:
    """Return the dependency that finds the caller, permits it one action, and lets no parameter of no meaning pass."""

    async def permitted(
        request: Request, _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
    ) -> Call:
        running = running_of(request)
        authorization = request.headers.get("authorization")
        raw = None if authorization is None else authorization.encode("latin-1")
        caller = permit(await running.callers.find(running.store, raw, now_ms()), action)
        request.scope["handrail.actor"] = caller.name
        check_query(request)
        return Call(running, caller, _idempotency_key(request))

    return Depends(permitted)


def running_of(request: Request) -> Running:
    """Return the parts of this process."""
    return cast("Running", request.app.state.running)


def answered(value: object, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(orjson.dumps(value), status, media_type="application/json")


def problems_documented(*codes: str, query: bool = True) -> dict[int | str, dict[str, Any]]:
    """Return what the documentation says of the problems a route may answer, one row a status.

    `query` is whether it asks for a permitted `Call`, which takes no parameters but its own.
    """
    rows: dict[int | str, dict[str, Any]] = {}
    always = ("key_missing", "key_unknown", "role_missing", "store_away", *(("query_invalid",) if query else ()))
    for code in dict.fromkeys((*always, *codes)):
        spec = PROBLEMS[code]
        row = rows.setdefault(spec.status, {"description": "", "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}})
        row["description"] += f"`{code}`: {spec.title}. "
    return rows


PROBLEM_SCHEMA: dict[str, Any] = {"$ref": "#/components/schemas/Problem"}


def _idempotency_key(request: Request) -> str | None:
    given = request.headers.get("idempotency-key")
    if given is not None and not IDEMPOTENCY_KEY.match(given):
        raise Refused("query_invalid", "`Idempotency-Key` must be 1 to 128 printable ASCII characters without spaces")
    return given
