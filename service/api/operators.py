"""The operators' verbs: claim, renew, hold, release, transfer, reply, resolve, hand back."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Response

from service.api.bodies import (
    ClaimBody,
    ClaimThisBody,
    DraftBody,
    HandBackBody,
    HoldBody,
    ReplyBody,
    ResolveBody,
    TokenBody,
    TransferBody,
)
from service.api.handoff_answers import ClaimedAnswer, HandoffAnswer, PacketAnswer, packet_answer
from service.api.problems import Refused
from service.api.routes import Call, HandoffId, QueueName, answered, called, problems_documented
from service.clock import now_ms
from service.flows import drafts, floods, handoffs, operators
from service.flows.handoffs import HandingBack, Resolving

router = APIRouter(tags=["operators"])

Working = Annotated[Call, called("work")]
MOVED: dict[int | str, dict[str, Any]] = {
    200: {"model": HandoffAnswer},
    **problems_documented("handoff_unknown", "lease_lost", "move_illegal", "body_invalid"),
}
REPLIED = MOVED | problems_documented("request_reused", "body_invalid")
RESOLVED: dict[int | str, dict[str, Any]] = {
    200: {"model": HandoffAnswer},
    **problems_documented("handoff_unknown", "lease_lost", "move_illegal", "draft_unseen", "body_invalid"),
}
TRANSFERRED: dict[int | str, dict[str, Any]] = {
    200: {"model": HandoffAnswer},
    **problems_documented(
        *("handoff_unknown", "queue_unknown", "operator_unknown", "lease_lost", "move_illegal", "body_invalid")
    ),
}


@router.post(
    "/queues/{queue}/claim",
    summary="Claim the most urgent handoff of a queue",
    responses={
        200: {"model": ClaimedAnswer},
        204: {"description": "nothing waits in this queue"},
        **problems_documented("queue_unknown", "capacity_reached"),
    },
)
async def claim_next(queue: QueueName, call: Working, body: ClaimBody | None = None) -> Response:
    """The caller holds it until the lease ends; renew before that. 204 when nothing waits."""
    running, caller = call.running, call.caller
    rules = await running.overseen(caller.tenant)
    claim = handoffs.claim_next(running.store, rules, caller.tenant, queue, await call.claiming(), now_ms())
    return await call.claimed(claim)


@router.post(
    "/handoffs/{handoff_id}/acknowledge",
    summary="Say that you know of it and come",
    responses={200: {"model": HandoffAnswer}, **problems_documented("handoff_unknown", "move_illegal")},
)
async def acknowledge(handoff_id: HandoffId, call: Annotated[Call, called("acknowledge")]) -> Response:
    """Nobody is told of it any more, until it is claimed and comes back, moves on, or nobody came. It still waits."""
    store, caller = call.running.store, call.caller
    return await call.moved(
        "acknowledge", handoffs.acknowledge(store, caller.tenant, handoff_id, caller.name, now_ms())
    )


@router.post(
    "/handoffs/{handoff_id}/decline",
    summary="Let an offer go by",
    responses={
        200: {"model": HandoffAnswer},
        **problems_documented("handoff_unknown", "already_claimed", "move_illegal"),
    },
)
async def decline(handoff_id: HandoffId, call: Working) -> Response:
    """What is kept for you goes to the next at once, and not only when your time to accept is over. Twice is once."""
    store, caller = call.running.store, call.caller
    return await call.moved("decline", handoffs.decline(store, caller.tenant, handoff_id, caller.name, now_ms()))


@router.post(
    "/handoffs/{handoff_id}/claim",
    summary="Claim this handoff",
    responses={
        200: {"model": ClaimedAnswer},
        **problems_documented("handoff_unknown", "already_claimed", "capacity_reached", "move_illegal"),
    },
)
async def claim_one(handoff_id: HandoffId, call: Working, body: ClaimThisBody | None = None) -> Response:
    """Out of its turn, for instance because its customer is on the telephone. With `again` you get what you have in
    hand already once more, with a new token: the window that had the one before can do nothing with it any more."""
    running, caller = call.running, call.caller
    claiming = replace(await call.claiming(), again=body is not None and body.again)
    claim = handoffs.claim_one(running.store, caller.tenant, handoff_id, claiming, now_ms())
    return await call.claimed(claim)


@router.get(
    "/handoffs/{handoff_id}/packet",
    summary="What it is about, with all that was said since",
    responses={200: {"model": PacketAnswer}, **problems_documented("handoff_unknown")},
)
async def packet(handoff_id: HandoffId, call: Annotated[Call, called("list")]) -> Response:
    """While an operator works the customer writes on: the packet as it would be built now. It needs no lease."""
    store, tenant = call.running.store, call.caller.tenant
    handoff = await handoffs.current(store, tenant, handoff_id, now_ms())
    built = await handoffs.packet_json(store, tenant, handoff, now_ms())
    groups = await floods.seen(store, (handoff,))
    return answered(packet_answer(handoff, built, await drafts.of_handoff(store, handoff), groups))


@router.post("/handoffs/{handoff_id}/renew", summary="Keep the lease", responses=MOVED)
async def renew(handoff_id: HandoffId, body: TokenBody, call: Working) -> Response:
    """The heartbeat of an operator at work; `lease_expires_at_ms` says when the next one is due."""
    store, tenant, lease_ms = call.running.store, call.caller.tenant, call.running.settings.lease_ms
    await operators.seen(store, tenant, call.caller.name, now_ms())
    return await call.moved(
        "renew", handoffs.renew(store, tenant, call.lease(handoff_id, body.token), lease_ms, now_ms())
    )


@router.post("/handoffs/{handoff_id}/hold", summary="Keep it without heartbeat for a while", responses=MOVED)
async def hold(handoff_id: HandoffId, body: HoldBody, call: Working) -> Response:
    """For a call to the warehouse or a colleague's answer; at most 24 hours."""
    store, tenant = call.running.store, call.caller.tenant
    if body.until_at_ms <= now_ms():
        raise Refused("body_invalid", "`until_at_ms` has passed already", "name a moment within the next 24 hours")
    lease = call.lease(handoff_id, body.token)
    return await call.moved("hold", handoffs.hold(store, tenant, lease, body.until_at_ms, body.reason, now_ms()))


@router.post("/handoffs/{handoff_id}/resume", summary="Go on with what you held", responses=MOVED)
async def resume(handoff_id: HandoffId, body: TokenBody, call: Working) -> Response:
    """The lease counts again. An answer ends a hold as well; a reply and a renewal do not."""
    store, tenant, lease_ms = call.running.store, call.caller.tenant, call.running.settings.lease_ms
    lease = call.lease(handoff_id, body.token)
    return await call.moved("resume", handoffs.resume(store, tenant, lease, lease_ms, now_ms()))


@router.put(
    "/handoffs/{handoff_id}/draft",
    summary="Keep what you are writing",
    status_code=204,
    responses={204: {"description": "kept"}, **problems_documented("handoff_unknown", "limit_reached", "body_invalid")},
)
async def draft(handoff_id: HandoffId, body: DraftBody, call: Working) -> Response:
    """It needs no lease: whoever lost theirs loses no work, and who has the handoff next sees it."""
    await drafts.save(call.running.store, call.caller.tenant, handoff_id, call.caller.name, body.fields, now_ms())
    return Response(status_code=204)


@router.post("/handoffs/{handoff_id}/release", summary="Put it back where it waited", responses=MOVED)
async def release(handoff_id: HandoffId, body: TokenBody, call: Working) -> Response:
    """It waits again with the urgency it had."""
    store, tenant = call.running.store, call.caller.tenant
    return await call.moved("release", handoffs.release(store, tenant, call.lease(handoff_id, body.token), now_ms()))


@router.post("/handoffs/{handoff_id}/transfer", summary="Move it to another queue or operator", responses=TRANSFERRED)
async def transfer(handoff_id: HandoffId, body: TransferBody, call: Working) -> Response:
    """Give `queue`, `operator` or both; it is kept for a named operator for two minutes, then anybody may take it."""
    running, tenant = call.running, call.caller.tenant
    lease = call.lease(handoff_id, body.token)
    if body.operator is not None:
        await operators.meet(running.store, tenant, body.operator)
    rules = await running.overseen(tenant)
    return await call.moved(
        "transfer", handoffs.transfer(running.store, rules, tenant, lease, body.queue, body.operator, now_ms())
    )


@router.post("/handoffs/{handoff_id}/reply", summary="Say something to the customer", responses=REPLIED)
async def reply(handoff_id: HandoffId, body: ReplyBody, call: Working) -> Response:
    """The waiting agent gets it in `replies` and passes it on; the lease is renewed."""
    store, tenant, lease_ms = call.running.store, call.caller.tenant, call.running.settings.lease_ms
    lease = call.lease(handoff_id, body.token)
    return await call.sent(
        body, handoff_id, "reply", handoffs.reply(store, tenant, lease, body.text, lease_ms, now_ms())
    )


@router.post("/handoffs/{handoff_id}/resolve", summary="End it with an answer and an outcome", responses=RESOLVED)
async def resolve(handoff_id: HandoffId, body: ResolveBody, call: Working) -> Response:
    """The waiting agent gets the resolution; the outcome goes on record with it."""
    edited = None if body.edited is None else body.edited.model_dump(exclude_none=True)
    resolving = Resolving(body.action, body.outcome, body.text, edited, body.root_cause, tuple(body.flags))
    store, tenant = call.running.store, call.caller.tenant
    return await call.sent(
        body,
        handoff_id,
        "resolve",
        handoffs.resolve(store, tenant, call.lease(handoff_id, body.token), resolving, now_ms()),
    )


@router.post("/handoffs/{handoff_id}/hand-back", summary="Give the conversation back to the agent", responses=MOVED)
async def hand_back(handoff_id: HandoffId, body: HandBackBody, call: Working) -> Response:
    """With what was found out in `facts`; nothing said before counts again."""
    edited = None if body.edited is None else body.edited.model_dump(exclude_none=True)
    back = HandingBack(body.facts, body.may_retry, body.text, body.outcome, edited=edited)
    store, tenant = call.running.store, call.caller.tenant
    return await call.sent(
        body,
        handoff_id,
        "hand_back",
        handoffs.hand_back(store, tenant, call.lease(handoff_id, body.token), back, now_ms()),
    )
