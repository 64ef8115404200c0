"""Each request to Handrail as a value: method, path, body and how to read its answer. Nothing is sent here."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from handrail_client.answers import Chain, Claimed, Dealt, Decision, Flood, Handoff, HandoffPage, Packet, QueueView
from handrail_client.problems import HandrailProblem
from handrail_client.turn import Turn, body_of, encode

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

ANSWER_BYTES_MAX = 4 * 1024 * 1024  # a page of handoffs with their replies is far below; more is not from Handrail
PROBLEM_CHARS_MAX = 500  # a problem's words go into logs, so they are cut


# What stands before the name of a member of a JSON object, and before its value.
BRACE, COLON, COMMA = (re.compile(rf"\s*{mark}\s*") for mark in (r"\{", ":", ","))


class Nonsense(Exception):
    """The answer is not one that Handrail gives."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and `read`, which turns a 2xx answer into the value the caller wants or raises Nonsense.

    Every call may be sent again: reads and turns by their nature, moves because of the `Idempotency-Key` they carry.
    """

    method: str
    path: str
    read: Callable[[Answer], T]
    body: bytes | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    # Takes what came of a 2xx answer that broke off, and returns what it is good for; None when it is for nothing.
    read_part: Callable[[Answer], T | None] = lambda answer: None


def should_escalate(turn: Turn) -> Call[Decision]:
    """Return the call that asks for the decision on this turn."""
    return Call(
        "POST",
        "/should-escalate",
        lambda answer: _decision(answer, turn),
        body_of(turn),
        read_part=lambda answer: _stop_in_part(answer, turn),
    )


def decision(decision_id: str) -> Call[dict[str, Any]]:
    """Return the call that asks why a decision was made."""
    return Call("GET", f"/decisions/{_segment(decision_id)}", _object)


def chain(conversation_id: str) -> Call[Chain]:
    """Return the call for the chain of agents of a conversation."""
    path = f"/conversations/{_segment(conversation_id)}/chain"
    return Call("GET", path, lambda answer: _model(Chain, _object(answer)))


def handoff(handoff_id: str, wait_ms: int | None = None, version: int | None = None) -> Call[Handoff]:
    """Return the call for a handoff; with `wait_ms`, answered once it is past `version` or time is up."""
    params = {"wait_ms": wait_ms, "version": version}
    return Call("GET", f"/handoffs/{_segment(handoff_id)}", _handoff, params=_given(params))


def handoffs(queue: str | None, state: str | None, cursor: str | None, limit: int | None) -> Call[HandoffPage]:
    """Return the call for a page of handoffs."""
    params = {"queue": queue, "state": state, "cursor": cursor, "limit": limit}
    return Call("GET", "/handoffs", lambda answer: _model(HandoffPage, _object(answer)), params=_given(params))


def queues() -> Call[tuple[QueueView, ...]]:
    """Return the call for the queues."""
    return Call("GET", "/queues", _queues)


def floods(queue: str | None) -> Call[tuple[Flood, ...]]:
    """Return the call for the floods, of one queue or all."""
    return Call("GET", "/floods", _floods, params=_given({"queue": queue}))


def members(handoff_id: str, limit: int | None) -> Call[HandoffPage]:
    """Return the call for those who wait behind the handoff that stands for a flood."""
    path = f"/handoffs/{_segment(handoff_id)}/members"
    return Call("GET", path, lambda answer: _model(HandoffPage, _object(answer)), params=_given({"limit": limit}))


def answer_members(handoff_id: str, token: str, fields: Mapping[str, object]) -> Call[Dealt]:
    """Return the call that answers all members of a flood, by whoever has the handoff that stands for it."""
    known = {name: value for name, value in fields.items() if value is not None}
    path = f"/handoffs/{_segment(handoff_id)}/members/answer"
    return _move(path, {"token": token, **known}, lambda answer: _model(Dealt, _object(answer)))


def ungroup(handoff_id: str, only: Sequence[str]) -> Call[Dealt]:
    """Return the call that lets members of a flood wait as ones of their own: these, or all of them."""
    path = f"/handoffs/{_segment(handoff_id)}/members/ungroup"
    return _move(path, {"members": list(only)}, lambda answer: _model(Dealt, _object(answer)))


def claim_next(queue: str | None) -> Call[Claimed | None]:
    """Return the call that claims what is most urgent in a queue, or in all; its value is None when nothing waits."""
    return _move("/claim" if queue is None else f"/queues/{_segment(queue)}/claim", {}, _claimed_or_none)


def claim_one(handoff_id: str) -> Call[Claimed]:
    """Return the call that claims this handoff."""
    return _move(f"/handoffs/{_segment(handoff_id)}/claim", {}, lambda answer: _model(Claimed, _object(answer)))


def without_a_lease(handoff_id: str, verb: str) -> Call[Handoff]:
    """Return the call for what an operator does with a handoff that waits: acknowledge or decline."""
    return _move(f"/handoffs/{_segment(handoff_id)}/{verb}", {}, _handoff)


def packet(handoff_id: str) -> Call[Packet]:
    """Return the call for what a handoff is about at this moment."""
    path = f"/handoffs/{_segment(handoff_id)}/packet"
    return Call("GET", path, lambda answer: _model(Packet, _object(answer)))


def save_draft(handoff_id: str, fields: Mapping[str, object]) -> Call[None]:
    """Return the call that keeps what an operator is writing."""
    return Call("PUT", f"/handoffs/{_segment(handoff_id)}/draft", lambda answer: None, encode({"fields": fields}))


def presence(available: bool) -> Call[int | None]:
    """Return the call that says whether an operator is there; its value is until when that is believed."""
    return Call("POST", "/presence", _present_until_ms, encode({"available": available}))


def move(handoff_id: str, verb: str, token: str, fields: Mapping[str, object]) -> Call[Handoff]:
    """Return the call for a move by the holder of the lease; fields that are None are left out."""
    known = {name: value for name, value in fields.items() if value is not None}
    return _move(f"/handoffs/{_segment(handoff_id)}/{verb}", {"token": token, **known}, _handoff)


def outcome(fields: Mapping[str, object]) -> Call[dict[str, Any]]:
    """Return the call that reports what became known later."""
    known = {name: value for name, value in fields.items() if value is not None}
    return _move("/outcomes", known, lambda answer: _object(answer) if answer.content else {})


def problem_of(answer: Answer) -> HandrailProblem | None:
    """Return the problem that a 4xx or 5xx answer states; None when it is none of Handrail's, but some proxy's."""
    try:
        stated = _object(answer)
    except Nonsense:
        return None
    code = _words(stated.get("code"))
    if not code:
        return None
    return HandrailProblem(
        answer.status,
        code,
        _words(stated.get("detail")) or _words(stated.get("title")),
        _words(stated.get("hint")),
        answer.headers.get("x-request-id"),
    )


def _move(path: str, body: Mapping[str, object], read: Callable[[Answer], T]) -> Call[T]:
    return Call("POST", path, read, encode(body), headers={"idempotency-key": uuid.uuid4().hex})


def _segment(name: str) -> str:
    if not name or name in (".", ".."):
        raise ValueError("an id or a queue's name is never empty")
    return quote(name, safe="")


def _given(params: Mapping[str, str | int | None]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}


def _words(value: object) -> str:
    return value[:PROBLEM_CHARS_MAX] if isinstance(value, str) else ""


def _object(answer: Answer) -> dict[str, Any]:
    try:
        value = json.loads(answer.content)
    except (ValueError, RecursionError):
        raise Nonsense("the answer is not JSON") from None
    if not isinstance(value, dict):
        raise Nonsense("the answer is not a JSON object")
    return cast("dict[str, Any]", value)


def _model(model: type[M], value: object) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        places = ", ".join(sorted({".".join(map(str, part["loc"])) or "the answer" for part in error.errors()}))
        raise Nonsense(f"the answer is not a {model.__name__}: {places}") from None


def _decision(answer: Answer, turn: Turn) -> Decision:
    try:
        value = _object(answer)
    except Nonsense:
        if (stop := _stop_in_part(answer, turn)) is None:
            raise
        return stop
    # An answer to somebody else's turn (a cache, a proxy that mixed things up) must never decide this one.
    if value.get("turn_id") != turn.turn_id or value.get("conversation_id") != turn.conversation_id:
        raise Nonsense("the answer is to another turn")
    value.pop("reachable", None)
    value.pop("tries", None)
    try:
        return _model(Decision, value)
    except Nonsense:
        if (stop := _stop(value, turn)) is None:
            raise
        return stop


def _stop_in_part(answer: Answer, turn: Turn) -> Decision | None:
    """Return the stop that the beginning of an answer says, if it says one and names no other turn."""
    value = _members_of(answer.content.decode("utf-8", "replace"))
    own = {"turn_id": turn.turn_id, "conversation_id": turn.conversation_id}
    return _stop(value, turn) if all(value.get(name, own[name]) == own[name] for name in own) else None


def _stop(value: Mapping[str, Any], turn: Turn) -> Decision | None:
    # A stop must survive whatever is wrong with the rest of the answer: it is the one thing that cannot be undone.
    if value.get("must_stop") is not True:
        return None
    kept = {name: value[name] for name in ("verdict", "say", "decision_id") if isinstance(value.get(name), str)}
    return Decision(
        verdict=kept.get("verdict", "hold"),
        must_stop=True,
        conversation_id=turn.conversation_id,
        turn_id=turn.turn_id,
        decision_id=kept.get("decision_id"),
        say=kept.get("say"),
        because="the answer could not be read in full",
    )


def _members_of(text: str) -> dict[str, Any]:
    """Return the whole members at the beginning of a JSON object that is cut off or broken later on."""
    decoder = json.JSONDecoder()
    members: dict[str, Any] = {}
    before = BRACE.match(text)
    try:
        while before is not None:
            name, at = decoder.raw_decode(text, before.end())
            between = COLON.match(text, at)
            if between is None or not isinstance(name, str):
                break
            value, at = decoder.raw_decode(text, between.end())
            members[name] = value
            before = COMMA.match(text, at)
    except (ValueError, RecursionError):
        pass
    return members


def _handoff(answer: Answer) -> Handoff:
    value = _object(answer)
    handoff = _model(Handoff, value.get("handoff", value))
    if handoff.state == "resolved" and handoff.resolution is None:
        raise Nonsense("the handoff is resolved, but the answer does not say how")
    return handoff


def _queues(answer: Answer) -> tuple[QueueView, ...]:
    try:
        value = json.loads(answer.content)
    except (ValueError, RecursionError):
        raise Nonsense("the answer is not JSON") from None
    listed = value.get("queues") if isinstance(value, dict) else value
    if not isinstance(listed, list):
        raise Nonsense("the answer is not a list of queues")
    return tuple(_model(QueueView, item) for item in listed)


def _floods(answer: Answer) -> tuple[Flood, ...]:
    listed = _object(answer).get("floods")
    if not isinstance(listed, list):
        raise Nonsense("the answer is not a list of floods")
    return tuple(_model(Flood, item) for item in listed)


def _present_until_ms(answer: Answer) -> int | None:
    until_ms = _object(answer).get("present_until_ms")
    return until_ms if isinstance(until_ms, int) else None


def _claimed_or_none(answer: Answer) -> Claimed | None:
    return None if answer.status == 204 else _model(Claimed, _object(answer))
