"""`POST /rulesets/check | test | try`: rule files that nobody decides by yet, looked at for their author."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Response

from rules.cases.values import Case, TurnStep
from rules.trial import trial
from service import rule_files
from service.api.draft_bodies import (
    CheckBody,
    CheckedAnswer,
    FilesBody,
    RanCasesAnswer,
    RunCasesBody,
    TriedAnswer,
    TryBody,
    steps_of,
)
from service.api.problems import Refused
from service.api.routes import Call, called, problems_documented
from service.api.versions import desk_of
from service.clock import now_ms
from service.flows import rulesets
from service.rule_files import TESTS_ENDINGS, RulesUnreadable
from service.rule_work import Asked

router = APIRouter(prefix="/rulesets", tags=["managers"])
Overseeing = Annotated[Call, called("oversee")]
_PROBLEMS = ("body_invalid", "body_too_large", "work_too_much", "too_busy", "version_unknown")

_RULES = """handrail: 1
queues:
  desk: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: "We will call you."}}, say: {en: "One moment."}}
rules:
  - {id: unsure, why: the agent is unsure, when: confidence < 0.5, then: {escalate: desk}}
"""
_TESTS = """handrail_tests: 1
cases:
  - {name: a guess is handed over, message: hello, confidence: 0.3, expect: {escalate: desk}}
"""
# name -> body; each is answered with 200, a test sends them.
CHECK_EXAMPLE: dict[str, Any] = {"files": {"rules.yaml": _RULES.replace("confidence <", "confidense <")}}
TEST_EXAMPLE: dict[str, Any] = {"files": {"rules.yaml": _RULES, "rules.tests.yaml": _TESTS}, "coverage": True}
TRY_EXAMPLE: dict[str, Any] = {
    "files": {"rules.yaml": _RULES},
    "at_ms": 1_795_000_000_000,
    "steps": [
        {"turn": {"message": "Where is my parcel?", "confidence": 0.52}},
        {"turn": {"message": "Are you sure?", "confidence": 0.3}},
        {"turn": {"message": "Hello?"}, "after_ms": 120_000},
        {"move": "hand_back"},
        {"turn": {"message": "Thanks."}},
    ],
}


def _example(value: object) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"example": value}}}}


@router.post(
    "/check",
    summary="Find every problem in rule files and the tests beside them",
    responses={200: {"model": CheckedAnswer}, **problems_documented(*_PROBLEMS)},
    openapi_extra=_example(CHECK_EXAMPLE),
)
async def check(body: CheckBody, call: Overseeing) -> Response:
    """200 whatever is found: `ok` tells whether the files can be used. The first 200 problems are told, the errors
    before the warnings where there are more."""
    texts, _ = await _texts(call, body)
    return await _answer(call, Asked("check", texts))


@router.post(
    "/test",
    summary="Run the tests of rule files",
    responses={200: {"model": RanCasesAnswer}, **problems_documented(*_PROBLEMS, "rules_invalid")},
    openapi_extra=_example(TEST_EXAMPLE),
)
async def test(body: RunCasesBody, call: Overseeing) -> Response:
    """Files whose names end in `.tests.yaml` are the tests; `tests` stand in for them, to run new ones on what is in
    force. 200 whether they pass or fail."""
    texts, _ = await _texts(call, body)
    if body.tests is not None:
        texts = {name: text for name, text in texts.items() if not name.endswith(TESTS_ENDINGS)} | body.tests
    return await _answer(call, Asked("test", texts, coverage=body.coverage))


@router.post(
    "/try",
    summary="Play a conversation with rule files",
    responses={200: {"model": TriedAnswer}, **problems_documented(*_PROBLEMS, "rules_invalid")},
    openapi_extra=_example(TRY_EXAMPLE),
)
async def try_out(body: TryBody, call: Overseeing) -> Response:
    """Every step from the first one, with a clock of its own, as `handrail try` shows it: nothing is stored, and nobody
    is called. `nearest` are rules that nearly fired, with how much they missed by; `refused` says why a move could not
    be made."""
    at_ms = now_ms() if body.at_ms is None else body.at_ms
    case = _named(trial(body.conversation_id, at_ms, steps_of(body)))
    texts, version = await _texts(call, body)
    return await _answer(call, Asked("try", texts, case, wanted=body.wanted, version=version))


def _named(case: Case) -> Case:
    """Return the conversation with the ids that its turns have by their places."""
    steps = tuple(
        replace(step, turn=replace(step.turn, conversation_id=case.conversation_id, turn_id=f"turn-{number}"))
        if isinstance(step, TurnStep)
        else step
        for number, step in enumerate(case.steps, start=1)
    )
    return replace(case, steps=steps)


async def _answer(call: Call, asked: Asked) -> Response:
    told = await call.running.workbench.ask(asked)
    if told.code is None:
        return Response(told.body, media_type="application/json")
    more = orjson.loads(told.body)
    refused = Refused(told.code, more.pop("detail"))
    refused.more = more
    raise refused


async def _texts(call: Call, body: FilesBody) -> tuple[Mapping[str, str], int | None]:
    """Return the files that a body sends or means, and the number of the version that they are; None of what is sent.

    What it does not say are the rules that decide for the caller: a version's, the directory's, or the library.
    """
    running, version = call.running, body.version
    if body.files is not None:
        return body.files, None
    if version is None and running.following is not None:
        version = (await running.following.meet(running.store, call.caller.tenant)).version
    if version:
        return await rulesets.texts_of(desk_of(call), version), version
    directory = running.settings.rules or rule_files.LIBRARY
    try:
        texts, tests = await asyncio.to_thread(
            lambda: (rule_files.read_directory(directory), rule_files.read_tests(directory))
        )
    except RulesUnreadable as unreadable:
        raise Refused("rules_invalid", f"the rule files cannot be read: {unreadable.fact}", unreadable.hint) from None
    return {**(running.texts or texts), **tests}, 0
