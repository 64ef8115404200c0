"""`POST /should-escalate`: the one route that every turn of every agent takes, so it is plain ASGI and nothing more.

FastAPI documents it, and answers it where the application is mounted below another. Its own way of reading a body and
answering costs more than deciding does.
"""

from __future__ import annotations

from time import perf_counter
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request, Response
from starlette.types import Receive, Scope, Send

from service.api.arrival import Gone, Ids, Read, check_type, read_body, request_id, trace_id
from service.api.decision_answers import DecisionAnswer, decision_answer
from service.api.identity import Caller, permit
from service.api.openapi import DECISION_EXAMPLE, TURN_BODY_DOCUMENTED
from service.api.refusals import refuse
from service.api.routes import BEARER, problems_documented, running_of
from service.api.running import Running
from service.api.sending import Write, over_asgi
from service.api.turn_body import is_unnamed, read_turn
from service.clock import now_ms
from service.flows.decide import Decided, decide
from service.flows.unnamed import decide_unnamed
from service.logs import failure

router = APIRouter(tags=["agents"])

PATH = "/should-escalate"
_JSON = (b"content-type", b"application/json")
_REPEATED = (b"handrail-repeated", b"true")


async def should_escalate(running: Running, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one turn that came over ASGI."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    await answer_turn(running, headers, lambda: read_body(headers, receive), over_asgi(send))


async def answer_turn(running: Running, headers: dict[bytes, bytes], read: Read, write: Write) -> None:
    """Answer one turn: 200 with a Decision whatever the verdict, a problem when there is no deciding."""
    started_s = perf_counter()
    ids = request_id(headers), trace_id(headers)
    try:
        caller = permit(await running.callers.find(running.store, headers.get(b"authorization"), now_ms()), "decide")
        check_type(headers)
        raw = await read()
        turn = read_turn(raw)
        rules = running.rules_for(caller.tenant, turn.conversation_id)
        if rules is None:
            rules = await running.meet(caller.tenant, turn.conversation_id)
        deciding = decide_unnamed if is_unnamed(turn, raw) else decide
        decided = await deciding(running.store, rules, caller.tenant, turn, now_ms(), spool=running.spool)
        body = orjson.dumps(decision_answer(decided, turn.locale))
    except Gone:
        return
    except Exception as error:
        await refuse(running, error, ids, PATH, started_s, write)
        return
    # No `cache-control` here: nobody keeps the answer to a POST that does not ask for it.
    answer = [_JSON, (b"content-length", b"%d" % len(body)), (b"x-request-id", ids[0].encode())]
    if decided.repeated:
        answer.append(_REPEATED)
    await write(200, answer, body)
    _tell(running, decided, caller, ids, perf_counter() - started_s)
    if running.following is not None:
        running.following.answered(caller.tenant, turn, decided)


def _tell(running: Running, decided: Decided, caller: Caller, ids: Ids, took_s: float) -> None:
    """Count the turn and write its one log line: names and numbers that rules and service made, nothing of the body."""
    decision = decided.decision
    rule_ids = [rule.rule_id for rule in decision.rules if rule.live]
    running.metrics.decided(decision.verdict, rule_ids, decided.repeated, decision.degraded, took_s)
    if len(rule_ids) < len(decision.rules) and not decided.repeated:
        running.metrics.fired_in_shadow(rule.rule_id for rule in decision.rules if not rule.live)
    if decided.raised is not None:
        running.metrics.raised_in_shadow(decided.raised.rule_ids)
        running.log.error(
            "rule in shadow raised, and the turn was decided without it",
            tenant=caller.tenant,
            ruleset=decision.ruleset[:12],
            rule_ids=list(decided.raised.rule_ids),
            decision_id=decision.decision_id,
            **failure(decided.raised.error),
        )
    if decision.shed and not decided.repeated:
        running.metrics.shed.update((shed.queue, shed.rule_id, shed.to) for shed in decision.shed)
    running.log.info(
        "decided",
        request_id=ids[0],
        trace_id=ids[1],
        tenant=caller.tenant,
        decision_id=decision.decision_id,
        verdict=decision.verdict,
        rule_ids=rule_ids,
        handoff_id=decision.handoff_id,
        ruleset=decision.ruleset[:12],
        repeated=decided.repeated,
        degraded=decision.degraded,
        took_us=round(took_s * 1e6),
    )


class _Plain(Response):
    """Answers by itself, as plain ASGI."""

    def __init__(self, running: Running) -> None:
        super().__init__()
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await should_escalate(self._running, scope, receive, send)


@router.post(
    PATH,
    summary="Should a person take this turn?",
    responses={
        200: {"model": DecisionAnswer, "content": {"application/json": {"example": DECISION_EXAMPLE}}},
        **problems_documented(
            "body_invalid",
            "body_not_json",
            "body_too_large",
            "body_type",
            "turn_stale",
            "conversation_busy",
            query=False,
        ),
    },
    openapi_extra=TURN_BODY_DOCUMENTED,
)
async def documented(request: Request, _shown: Annotated[object, Depends(BEARER)]) -> Response:
    """Ask before the reply is sent or the tool is run: 200 whatever the verdict.

    The same `conversation_id` and `turn_id` get the same decision for ever, with the header `Handrail-Repeated: true`.
    Send `turn_id` so that a retry is known as one; without it the turn is named after the bytes of its body, and the
    same bytes are a retry for a minute and while nothing else was said.
    While a person has the conversation every turn is answered `held_by_human`. `null` is unknown: no rule fires on it.
    """
    return _Plain(running_of(request))
