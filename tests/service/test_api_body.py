"""A turn's body is read strictly: every fault names its field and its limit, and none tells what was sent."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.turn import AgentRef, Customer, Turn
from service.api.json_text import DEPTH_MAX, VALUES_MAX, parse
from service.api.problems import Refused
from service.api.turn_body import (
    ARGS_DEPTH_MAX,
    ARGS_VALUES_MAX,
    SIGNALS_MAX,
    TEXT_CHARS_MAX,
    TOOL_CALLS_MAX,
    TurnBody,
    read_turn,
)

MARK = "zebra-4111"
NAMES = [field.name for field in dataclasses.fields(TurnBody)]
LEAST = {"conversation_id": "c-1", "message": "hello"}


def refused(raw: bytes) -> str:
    with pytest.raises(Refused) as caught:
        read_turn(raw)
    assert MARK not in str(caught.value)
    return f"{caught.value.code}: {caught.value.detail}"


def body(**fields: Any) -> bytes:
    return json.dumps(LEAST | fields).encode()


def test_everything_that_a_turn_may_say_arrives_as_it_was_sent() -> None:
    turn = read_turn(
        json.dumps(
            {
                "conversation_id": "c-1",
                "turn_id": "t-1",
                "turn_index": 3,
                "agent": {"id": "bot", "version": "4", "prompt_version": "p"},
                "channel": "chat",
                "locale": "es-MX",
                "customer": {"id": "cus", "tier": "gold", "country": "MX", "age": 41, "vip": True, "limit": None},
                "message": "hola",
                "reply": "¡hola!",
                "confidence": 1,
                "topics": [{"name": "billing", "score": 0.5}, {"name": "fees"}],
                "sentiment": -1,
                "tool_calls": [{"name": "refund", "args": {"a": [1, {"b": None}]}, "write": True, "amount": 12}],
                "sources": ["kb/1"],
                "signals": {"risk": 0.5, "seats": 2, "plan": "pro", "late": False, "tags": ["a", "b"], "x": None},
                "parent": {"agent": "router", "conversation_id": "c-0"},
            }
        ).encode()
    )
    assert (turn.conversation_id, turn.turn_id, turn.turn_index) == ("c-1", "t-1", 3)
    assert (turn.agent.id, turn.agent.version, turn.agent.prompt_version) == ("bot", "4", "p")
    assert (turn.customer.id, turn.customer.tier) == ("cus", "gold")
    assert turn.customer.attributes == {"country": "MX", "age": 41, "vip": True}
    assert (turn.confidence, turn.sentiment, turn.message, turn.reply) == (1.0, -1.0, "hola", "¡hola!")
    assert [(topic.name, topic.score) for topic in turn.topics] == [("billing", 0.5), ("fees", None)]
    (call,) = turn.tool_calls
    assert (call.name, call.args, call.write, call.amount, call.status, call.error) == (
        "refund",
        {"a": [1, {"b": None}]},
        True,
        12.0,
        "proposed",
        None,
    )
    assert turn.sources == ("kb/1",)
    assert turn.signals == {
        "risk": 0.5,
        "seats": 2,
        "plan": "pro",
        "late": False,
        "tags": frozenset({"a", "b"}),
        "x": None,
    }
    assert turn.parent is not None
    assert (turn.parent.agent, turn.parent.conversation_id) == ("router", "c-0")


def test_what_is_null_reads_like_what_was_not_sent() -> None:
    nothing = dict.fromkeys(NAMES)
    turn = read_turn(json.dumps(nothing | LEAST | {"turn_id": "t"}).encode())
    assert turn == read_turn(body(turn_id="t"))
    assert (turn.agent, turn.customer) == (AgentRef(), Customer())
    assert (turn.topics, turn.tool_calls, turn.sources, dict(turn.signals)) == ((), (), None, {})


def test_what_is_null_in_a_part_of_a_turn_reads_like_what_was_not_sent() -> None:
    call = {"name": "x", "args": None, "write": None, "amount": None, "status": None, "error": None, "output": None}
    parts = {"agent": {"id": None}, "customer": {"id": None, "tier": None, "plan": None}, "parent": {"agent": None}}
    turn = read_turn(body(turn_id="t", tool_calls=[call], topics=[{"name": "fees", "score": None}], **parts))
    assert turn == read_turn(
        body(turn_id="t", tool_calls=[{"name": "x"}], topics=[{"name": "fees"}], **{part: {} for part in parts})
    )
    assert (turn.tool_calls[0].args, turn.tool_calls[0].status) == ({}, "proposed")


def test_the_fields_are_those_of_the_turn_that_rules_read() -> None:
    assert set(NAMES) == set(Turn.__dataclass_fields__)


def test_without_turn_id_the_same_bytes_are_the_same_turn_and_others_are_not() -> None:
    first, again, other = read_turn(body()), read_turn(body()), read_turn(body(message="hello!"))
    assert first.turn_id == again.turn_id != other.turn_id
    assert len(first.turn_id) == 18
    assert first.turn_id.startswith("t_")


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing at all": (b"", "body_not_json: the body is empty"),
    "text": (b"hello", "body_not_json: reading stopped at line 1, column 1"),
    "a comma too many": (b'{"conversation_id": "c",}', "body_not_json: reading stopped at line 1, column 24"),
    "two values": (b"{} {}", "body_not_json: reading stopped at line 1, column 4"),
    "not UTF-8": (b'{"message": "caf\xe9"}', "body_not_json: byte 17 is not UTF-8"),
    "half of a surrogate pair": (
        b'{"message": "\\ud83d"}',
        "body_not_json: reading stopped at line 1, column 14",
    ),
    "a surrogate in the bytes": (b'{"message": "\xed\xa0\xbd"}', "body_not_json: byte 14 is not UTF-8"),
    "NaN": (b'{"confidence": NaN}', "body_not_json: reading stopped at line 1, column 16"),
    "Infinity": (b'{"confidence": -Infinity}', "body_not_json: reading stopped at line 1, column 17"),
    "a number beyond all numbers": (b'{"confidence": 1e999}', "body_not_json: reading stopped at line 1, column 16"),
    "a list": (b"[]", "body_invalid: the body must be an object"),
    "null": (b"null", "body_invalid: the body must be an object"),
    "a number": (b"5", "body_invalid: the body must be an object"),
    "an empty object": (b"{}", "body_invalid: `conversation_id` is required"),
    "a turn without a word": (
        b'{"conversation_id": "c"}',
        "body_invalid: one of `message`, `reply` and `tool_calls` is required",
    ),
    "the same key twice": (
        b'{"conversation_id": "c", "message": "a", "message": "b"}',
        "body_not_json: an object has the same key twice",
    ),
    "the same key twice, deep inside and with escapes": (
        b'{"conversation_id": "c", "tool_calls": [{"name": "x", "args": {"a\\"": "\\"", "a\\u0022": 1}}]}',
        "body_not_json: an object has the same key twice",
    ),
    "nested beyond reason": (
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        "body_not_json: reading stopped at line 1, column 5122",
    ),
    "nested deeper than a turn is": (
        b'{"a":' * DEPTH_MAX + b"{}" + b"}" * DEPTH_MAX,
        f"body_invalid: the body is nested deeper than {DEPTH_MAX} levels",
    ),
    "more values than a turn has": (
        b'{"a": [' + b"1," * VALUES_MAX + b"1]}",
        f"body_invalid: the body has more than {VALUES_MAX} values",
    ),
    "a misspelt field": (
        body(mesage=MARK),
        "body_invalid: `mesage` is not a field (did you mean `message`?)",
    ),
    "a field of nobody": (body(qqq=MARK), "body_invalid: `qqq` is not a field"),
    "a field whose name may be a customer's words": (
        json.dumps(LEAST | {f"I am {MARK} and angry": 1}).encode(),
        "body_invalid: `…` is not a field",
    ),
    "a misspelt field of an agent": (
        body(agent={"versoin": MARK}),
        "body_invalid: `agent.versoin` is not a field (did you mean `version`?)",
    ),
    "a misspelt field of a call": (
        body(tool_calls=[{"name": "a"}, {"name": "b", "arg": {}}]),
        "body_invalid: `tool_calls.1.arg` is not a field (did you mean `args`?)",
    ),
    "an id with a space": (
        json.dumps({"conversation_id": f"{MARK} {MARK}", "message": ""}).encode(),
        "body_invalid: `conversation_id` has characters that are not allowed; the pattern is `^[!-~]+$`",
    ),
    "an id that is too long": (body(turn_id="x" * 129), "body_invalid: `turn_id` is longer than 128 characters"),
    "an id that is empty": (body(turn_id=""), "body_invalid: `turn_id` must have at least 1 characters"),
    "an id that is a number": (body(turn_id=5), "body_invalid: `turn_id` must be a text"),
    "a text that is too long": (
        body(message="x" * (TEXT_CHARS_MAX + 1)),
        f"body_invalid: `message` is longer than {TEXT_CHARS_MAX} characters",
    ),
    "a text that is a list": (body(reply=[MARK]), "body_invalid: `reply` must be a text"),
    "a number written as text": (body(confidence="0.5"), "body_invalid: `confidence` must be a number"),
    "true for a number": (body(confidence=True), "body_invalid: `confidence` must be a number"),
    "a confidence above one": (body(confidence=55), "body_invalid: `confidence` must be at most 1"),
    "a sentiment below minus one": (body(sentiment=-1.5), "body_invalid: `sentiment` must be at least -1"),
    "a turn_index with a fraction": (body(turn_index=1.5), "body_invalid: `turn_index` must be a whole number"),
    "a turn_index below zero": (body(turn_index=-1), "body_invalid: `turn_index` must be at least 0"),
    "an agent that is a text": (body(agent=MARK), "body_invalid: `agent` must be an object"),
    "topics that are texts": (body(topics=[MARK]), "body_invalid: `topics.0` must be an object"),
    "more calls than a turn has": (
        body(tool_calls=[{"name": "x"}] * (TOOL_CALLS_MAX + 1)),
        f"body_invalid: `tool_calls` has more than {TOOL_CALLS_MAX} items",
    ),
    "a status that is not one": (
        body(tool_calls=[{"name": "x", "status": MARK}]),
        "body_invalid: `tool_calls.0.status` must be one of `proposed`, `ok` or `error`",
    ),
    "an amount that is a text": (
        body(tool_calls=[{"name": "x", "amount": MARK}]),
        "body_invalid: `tool_calls.0.amount` must be a number",
    ),
    "arguments that are deep": (
        body(tool_calls=[{"name": "x", "args": {"a": [[[[[[[[MARK]]]]]]]]}}]),
        f"body_invalid: `tool_calls.args` is nested deeper than {ARGS_DEPTH_MAX} levels",
    ),
    "arguments that are many": (
        body(tool_calls=[{"name": "x", "args": {"a": [1] * ARGS_VALUES_MAX}}]),
        f"body_invalid: `tool_calls.args` has more than {ARGS_VALUES_MAX} values",
    ),
    "arguments that are long": (
        body(tool_calls=[{"name": "x", "args": {"a": MARK * 10_000}}]),
        "body_invalid: `tool_calls.args` is longer than 65536 characters",
    ),
    "more signals than files declare": (
        body(signals={f"s{number}": 1 for number in range(SIGNALS_MAX + 1)}),
        f"body_invalid: `signals` has more than {SIGNALS_MAX} items",
    ),
    "a signal that is an object": (
        body(signals={"risk": {"a": MARK}}),
        "body_invalid: `signals.risk` must be a number, a text, true or false, or a list of texts",
    ),
    "an attribute that is a list": (
        body(customer={"plan": [MARK]}),
        "body_invalid: `customer.plan` must be a number, a text or true or false",
    ),
    "a customer whose id is a number": (
        body(customer={"id": 77, "tier": True}),
        "body_invalid: `customer.id` must be a text; `customer.tier` must be a text",
    ),
    "everything wrong at once": (
        json.dumps({"mesage": MARK, "confidence": MARK, "agent": {"id": 5}}).encode(),
        "body_invalid: `conversation_id` is required; `agent.id` must be a text; `confidence` must be a number; "
        "`mesage` is not a field (did you mean `message`?)",
    ),
    "more wrong than one answer tells": (
        body(topics=[{"name": MARK, "score": 9}] * 20),
        "body_invalid: "
        + "; ".join(f"`topics.{number}.score` must be at most 1" for number in range(8))
        + "; and 12 more",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_body_that_cannot_be_a_turn_is_refused_with_a_sentence(name: str) -> None:
    raw, told = REFUSED[name]
    assert refused(raw) == told


ALLOWED = {
    "quotes in a text are no second key": b'{"conversation_id": "c", "message": "she said \\"no\\""}',
    "a quote written as its number": b'{"conversation_id": "c", "message": "\\u0022"}',
    "an emoji in two halves": b'{"conversation_id": "c", "message": "\\ud83d\\ude00"}',
    "a text without a character": b'{"conversation_id": "c", "message": ""}',
    "only a call": b'{"conversation_id": "c", "tool_calls": [{"name": "x"}]}',
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_looks_odd_and_is_not(name: str) -> None:
    assert read_turn(ALLOWED[name]).conversation_id == "c"


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)
FIELDS = st.sampled_from(sorted(NAMES)) | st.text(max_size=10)


@given(st.dictionaries(FIELDS, VALUES))
@settings(max_examples=400, deadline=None)
def test_whatever_comes_it_is_a_turn_or_a_problem(fields: dict[str, Any]) -> None:
    raw = json.dumps(fields).encode()
    with contextlib.suppress(Refused):
        assert read_turn(raw).conversation_id == fields["conversation_id"]


@given(st.binary(max_size=200))
@settings(max_examples=400, deadline=None)
def test_whatever_bytes_come_they_are_a_turn_or_a_problem(raw: bytes) -> None:
    with pytest.raises(Refused):
        read_turn(raw)


@given(VALUES)
@settings(max_examples=400, deadline=None)
def test_a_value_without_a_key_twice_is_never_refused_for_one(value: Any) -> None:
    assert json.dumps(parse(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))) is not None


@given(st.text(), VALUES, VALUES, st.booleans())
@settings(max_examples=400, deadline=None)
def test_a_key_twice_is_always_found(key: str, one: Any, other: Any, ascii_only: bool) -> None:
    name = json.dumps(key, ensure_ascii=ascii_only).encode("utf-8", "replace")
    inner = b"{%s : %s, %s:%s}" % (name, json.dumps(one).encode(), name, json.dumps(other).encode())
    with pytest.raises(Refused):
        parse(b'{"a": [1, ' + inner + b"]}")
