"""Floods over HTTP: which groups there are, who is in one, and one answer for all of them or none."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field, model_validator

from rules.handoff import OUTCOMES
from service.api.bodies import Body, RootCause, TokenBody
from service.api.group_answers import DealtAnswer, FloodsAnswer, dealt_answer, flood_answer
from service.api.handoff_answers import HandoffPageAnswer, page_answer
from service.api.routes import Call, HandoffId, QueueAsked, answered, called, problems_documented
from service.api.turn_body import Id, Text
from service.clock import now_ms
from service.flows import floods
from service.flows.floods import ANSWERS_TO_ALL, DEALT_MAX, MEMBERS_LISTED_MAX, Answering
from service.flows.handoffs import Page

LIMIT_DEFAULT = 25

router = APIRouter(tags=["operators"])

Working = Annotated[Call, called("work")]


class AnswerMembersBody(TokenBody):
    """One answer for all members; `token` is that of the handoff which stands for them. `answer` needs `text`."""

    action: Literal[ANSWERS_TO_ALL]  # type: ignore[valid-type]  # the table is the type
    outcome: Literal[OUTCOMES]  # type: ignore[valid-type]  # the table is the type
    text: Text | None = None
    root_cause: RootCause | None = None

    @model_validator(mode="after")
    def _complete(self) -> AnswerMembersBody:
        if self.action == "answer" and not (self.text or "").strip():
            raise ValueError("`answer` needs `text`")
        return self


class UngroupBody(Body):
    """Which members go back to the queue; all of them where none is named."""

    members: Annotated[list[Id], Field(max_length=DEALT_MAX)] = Field(default_factory=list)


@router.get(
    "/floods",
    summary="Floods: groups of handoffs for which one stands in the queue",
    responses={200: {"model": FloodsAnswer}, **problems_documented("queue_unknown")},
)
async def listed(
    call: Annotated[Call, called("list")],
    queue: QueueAsked = None,
) -> Response:
    """Those of most members first, of all queues or one."""
    found = await floods.listed(call.running.store, call.caller.tenant, queue)
    if not found:
        await call.check_queue(queue)
    return answered({"floods": [flood_answer(each) for each in found]})


@router.get(
    "/handoffs/{handoff_id}/members",
    summary="The members of a flood's group",
    responses={
        200: {"model": HandoffPageAnswer},
        **problems_documented("handoff_unknown", "no_group", "query_invalid"),
    },
)
async def members(
    handoff_id: HandoffId,
    call: Annotated[Call, called("list")],
    limit: Annotated[int, Query(ge=1, le=MEMBERS_LISTED_MAX)] = LIMIT_DEFAULT,
) -> Response:
    """The most urgent first, of the group that this handoff stands for or is part of. `cursor` is always null: whoever
    has dealt with these sees the next ones."""
    found = await floods.members(call.running.store, call.caller.tenant, handoff_id, limit)
    return answered(page_answer(Page(tuple(found), None)))


@router.post(
    "/handoffs/{handoff_id}/members/answer",
    summary="One answer for all members of a flood's group",
    responses={
        200: {"model": DealtAnswer},
        **problems_documented("handoff_unknown", "no_group", "lease_lost", "move_illegal", "body_invalid"),
    },
)
async def answer(handoff_id: HandoffId, body: AnswerMembersBody, call: Working) -> Response:
    """By whoever has claimed the handoff that stands for them, and before they resolve that one. Each member ends with
    this answer and outcome, as if it alone had been answered; no draft is let out and no tool run. A member that is
    urgent, regulated or looked at by somebody is none; a promised call stays, and is counted in `calls`. Safe to
    repeat."""
    answering = Answering(body.action, body.outcome, body.text, body.root_cause)
    lease = call.lease(handoff_id, body.token)
    return answered(
        dealt_answer(
            await call.counted(
                "answer_members",
                floods.answer_members(call.running.store, call.caller.tenant, lease, answering, now_ms()),
            )
        )
    )


@router.post(
    "/handoffs/{handoff_id}/members/ungroup",
    summary="Let members of a flood's group go back to the queue",
    responses={200: {"model": DealtAnswer}, **problems_documented("handoff_unknown", "no_group", "body_invalid")},
)
async def ungroup(handoff_id: HandoffId, call: Working, body: UngroupBody | None = None) -> Response:
    """All of them, or those that are named; they wait as ones of their own, each with its own urgency. It needs no
    lease. What comes in later is still grouped, as long as the flood lasts. Where one that is named is unknown, none is
    let go; one that is no member any more is passed over. Safe to repeat."""
    only = body.members if body is not None else []
    store, caller = call.running.store, call.caller
    return answered(
        dealt_answer(
            await call.counted(
                "ungroup", floods.let_go_members(store, caller.tenant, handoff_id, only, caller.name, now_ms())
            )
        )
    )
