"""Versions of rules for managers: push, look, stage, approve, activate, roll back. The rules in force: `rulesets`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from service.api.following import look
from service.api.routes import Call, answered, called, problems_documented
from service.api.version_answers import (
    NUMBER_MAX,
    DifferenceAnswer,
    ExpectBody,
    HistoryAnswer,
    PushBody,
    PushedAnswer,
    RollbackBody,
    RolledBackAnswer,
    ShadowAnswer,
    StageBody,
    VersionAnswer,
    VersionTextsAnswer,
    difference_answer,
    history_answer,
    pushed_answer,
    rolled_back_answer,
    shadow_answer,
    texts_answer,
    version_answer,
)
from service.clock import now_ms
from service.flows import rulesets
from service.flows.in_force import Following
from service.flows.ruleset_refusals import FileMode
from service.flows.ruleset_texts import CompiledVersions
from service.flows.rulesets import HISTORY_MAX, Actor, Desk
from service.flows.shadow import DIFFERENCES_SHOWN_MAX, report

router = APIRouter(prefix="/rulesets", tags=["managers"])
Overseeing = Annotated[Call, called("oversee")]
Governing = Annotated[Call, called("govern")]
VersionNumber = Annotated[int, Path(ge=1, le=NUMBER_MAX, description="as GET /rulesets says")]
VersionName = Annotated[str, Path(pattern=r"^(active|staged|\d{1,16})$", description="a number, `active` or `staged`")]
STEP: dict[int | str, dict[str, Any]] = {
    200: {"model": VersionAnswer},
    **problems_documented(
        *("version_unknown", "body_invalid", "rules_invalid", "tests_failed", "approval_missing"),
        *("version_staged", "version_active", "rulesets_moved", "file_mode"),
    ),
}


@router.post(
    "",
    summary="Push rule files as a new version",
    status_code=201,
    responses={
        201: {"model": PushedAnswer},
        200: {"model": PushedAnswer, "description": "the same files were pushed before"},
        **problems_documented("body_invalid", "body_too_large", "rules_invalid", "limit_reached"),
    },
)
async def push(body: PushBody, call: Governing) -> Response:
    """Files that do not compile are refused with every problem in `problems`, and in `rendered` as `handrail check`
    shows them. Nothing decides by it yet: stage or activate the version."""
    pushed = await rulesets.push(desk_of(call), body.files, body.message, _actor(call))
    return answered(pushed_answer(pushed), 200 if pushed.repeated else 201)


@router.get(
    "",
    summary="The versions and what was done with them",
    responses={200: {"model": HistoryAnswer}, **problems_documented("query_invalid")},
)
async def history(
    call: Overseeing,
    before: Annotated[int | None, Query(ge=1, le=NUMBER_MAX, description="versions below this one")] = None,
    limit: Annotated[int, Query(ge=1, le=HISTORY_MAX)] = 50,
) -> Response:
    """Latest first. `revision` rises with every step; send it with yours as `expect_revision`, and a step that somebody
    else took meanwhile is told instead of overwritten."""
    found = await rulesets.history(desk_of(call), before, limit)
    return answered(history_answer(found, managed=call.running.following is not None))


@router.post(
    "/rollback",
    summary="Take back the last step that decides turns",
    responses={
        200: {"model": RolledBackAnswer},
        **problems_documented("body_invalid", "rulesets_moved", "nothing_before", "rules_invalid", "file_mode"),
    },
)
async def rollback(call: Governing, body: RollbackBody | None = None) -> Response:
    """A rollout that is under way ends; without one the version that was active before decides again. With the same
    `Idempotency-Key` it is done once, and with `expect` only where that version is the one to take back."""
    following = _managed(call)
    expected = None if body is None else body.expect
    back = await rulesets.rollback(desk_of(call), _actor(call), expected, call.request_id)
    await look(call.running, following, call.caller.tenant)
    return answered(rolled_back_answer(back))


@router.get(
    "/{version}",
    summary="A version with its files",
    responses={200: {"model": VersionTextsAnswer}, **problems_documented("version_unknown", "query_invalid")},
)
async def get(version: VersionNumber, call: Overseeing) -> Response:
    """As they were pushed, to the letter."""
    desk = desk_of(call)
    return answered(texts_answer(await rulesets.get(desk, version), await rulesets.texts_of(desk, version)))


@router.get(
    "/{old}/diff/{new}",
    summary="What differs between two versions, in rules",
    responses={200: {"model": DifferenceAnswer}, **problems_documented("version_unknown", "query_invalid")},
)
async def difference(old: VersionName, new: VersionName, call: Overseeing) -> Response:
    """What got stricter, what looser, which thresholds moved. `active` and `staged` name versions too, and 0 are the
    service's own rules."""
    desk = desk_of(call)
    one, other = await rulesets.named(desk, old), await rulesets.named(desk, new)
    return answered(difference_answer(one, other, await rulesets.difference(desk, one, other)))


@router.post("/{version}/stage", summary="Try a version in shadow, or for a share of the conversations", responses=STEP)
async def stage(version: VersionNumber, body: StageBody, call: Governing) -> Response:
    """One version at a time. In `shadow` it judges every turn after the answer is out, and decides none. In `rollout`
    it decides `percent` of the conversations, always the same ones, and raising `percent` only adds to them."""
    following = _managed(call)
    staged = await rulesets.stage(
        desk_of(call), version, body.mode, body.percent or 0, _actor(call), body.expect_revision
    )
    await look(call.running, following, call.caller.tenant)
    return answered(version_answer(staged))


@router.post(
    "/{version}/approve",
    summary="Stand behind somebody else's version",
    responses={200: {"model": VersionAnswer}, **problems_documented("version_unknown", "own_approval")},
)
async def approve(version: VersionNumber, call: Governing) -> Response:
    """Needed where the version, or the active one, says `approvals: 2`. Nobody approves what they pushed themselves."""
    return answered(version_answer(await rulesets.approve(desk_of(call), version, _actor(call))))


@router.post("/{version}/activate", summary="Let a version decide", responses=STEP)
async def activate(version: VersionNumber, call: Governing, body: ExpectBody | None = None) -> Response:
    """Every turn from now on, in every process within a second. Turns that were decided keep their decisions."""
    following = _managed(call)
    revision = None if body is None else body.expect_revision
    active = await rulesets.activate(desk_of(call), version, _actor(call), revision)
    await look(call.running, following, call.caller.tenant)
    return answered(version_answer(active))


@router.get(
    "/{version}/shadow",
    summary="What a version in shadow would have decided",
    responses={200: {"model": ShadowAnswer}, **problems_documented("version_unknown", "query_invalid")},
)
async def in_shadow(
    version: VersionNumber, call: Overseeing, limit: Annotated[int, Query(ge=1, le=DIFFERENCES_SHOWN_MAX)] = 50
) -> Response:
    """Counted since it was first staged in shadow, with the latest turns on which it differs. Ids and rules only: why a
    turn was decided as it was stands at GET /decisions/{decision_id}."""
    await rulesets.get(desk_of(call), version)
    return answered(shadow_answer(await report(call.running.store, call.caller.tenant, version, limit)))


def desk_of(call: Call) -> Desk:
    """Return where the caller's versions are worked on."""
    running = call.running
    if running.following is not None:
        return running.following.desk(running.store, call.caller.tenant)
    return Desk(running.store, call.caller.tenant, running.ruleset, CompiledVersions())


def _managed(call: Call) -> Following:
    if call.running.following is None:
        raise FileMode
    return call.running.following


def _actor(call: Call) -> Actor:
    return Actor(call.caller.name, call.caller.key_id, now_ms())
