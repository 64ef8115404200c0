"""Asking about a turn, against a server that misbehaves: one turn_id, a kept budget, a declared answer."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from pydantic import ValidationError

from handrail_client import AsyncHandrail, Decision, Handrail, HandrailProblem, HandrailUnreachable, Turn
from tests.client.drive import KEY, KINDS, Kind, run
from tests.client.misbehaving import (
    Act,
    Server,
    answers,
    babbles,
    decides,
    drips,
    drips_a_head,
    halves,
    hangs,
    promises,
    resets,
)

pytestmark = pytest.mark.parametrize("kind", KINDS)
UNREACHABLE = answers({"code": "store_away", "detail": "the store is away"}, 503)


def test_a_turn_goes_out_with_the_field_names_of_the_contract(kind: Kind) -> None:
    with Server([decides()]) as server:
        run(
            kind,
            server.url,
            "should_escalate",
            conversation_id="c1",
            turn_id="t1",
            turn_index=3,
            agent={"id": "a", "version": "2", "prompt_version": "p"},
            channel="chat",
            locale="de-DE",
            customer={"id": "k", "tier": "gold", "orders": 3},
            message="Hallo",
            reply="Guten Tag",
            confidence=0.5,
            topics=[{"name": "billing", "score": 0.9}],
            sentiment=-0.2,
            tool_calls=[
                {"name": "refund", "args": {"n": None, "d": [1]}, "write": True, "amount": 12.5, "error": "no"}
            ],
            sources=["faq-3"],
            signals={"vip": True},
            parent={"agent": "triage", "conversation_id": "c0"},
        )
    request = server.requests[0]
    assert (request.method, request.target) == ("POST", "/should-escalate")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "conversation_id": "c1",
        "turn_id": "t1",
        "turn_index": 3,
        "agent": {"id": "a", "version": "2", "prompt_version": "p"},
        "channel": "chat",
        "locale": "de-DE",
        "customer": {"id": "k", "tier": "gold", "orders": 3},
        "message": "Hallo",
        "reply": "Guten Tag",
        "confidence": 0.5,
        "topics": [{"name": "billing", "score": 0.9}],
        "sentiment": -0.2,
        "tool_calls": [
            {
                "name": "refund",
                "args": {"n": None, "d": [1]},
                "write": True,
                "amount": 12.5,
                "status": "proposed",
                "error": "no",
            }
        ],
        "sources": ["faq-3"],
        "signals": {"vip": True},
        "parent": {"agent": "triage", "conversation_id": "c0"},
    }


def test_what_nobody_knows_is_not_sent(kind: Kind) -> None:
    with Server([decides()]) as server:
        run(kind, server.url, "should_escalate", Turn(conversation_id="c1", turn_id="t1", message="hi"))
    assert server.requests[0].json == {"conversation_id": "c1", "turn_id": "t1", "message": "hi"}


def test_none_is_what_nobody_knows_in_every_field(kind: Kind) -> None:
    call = {"name": "x", "args": None, "write": None, "amount": None, "status": None, "error": None, "output": None}
    unknown: dict[str, Any] = dict.fromkeys(set(Turn.model_fields) - {"conversation_id", "turn_id", "tool_calls"})
    with Server([decides()]) as server:
        run(kind, server.url, "should_escalate", conversation_id="c1", turn_id="t1", tool_calls=[call], **unknown)
        run(kind, server.url, "should_escalate", conversation_id="c1", turn_id="t2", tool_calls=None, message="hi")
    assert [request.json for request in server.requests] == [
        {"conversation_id": "c1", "turn_id": "t1", "tool_calls": [{"name": "x", "args": {}, "status": "proposed"}]},
        {"conversation_id": "c1", "turn_id": "t2", "message": "hi"},
    ]


def test_no_sources_is_not_the_same_as_unknown_sources(kind: Kind) -> None:
    with Server([decides()]) as server:
        run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", sources=[])
        run(kind, server.url, "should_escalate", conversation_id="c1", message="hi")
    assert server.requests[0].json["sources"] == []
    assert "sources" not in server.requests[1].json


def test_a_decision_comes_back_typed(kind: Kind) -> None:
    act = decides(
        verdict="hold",
        must_stop=True,
        say="One moment.",
        rules=[{"id": "big-refund", "why": "money", "because": ["amount_usd 420 > 200"]}],
        handoff={
            "id": "hof_1",
            "queue": "approvals",
            "position": 2,
            "wait_ms": {"p50": 30_000, "p90": None},
            "expires_at_ms": 17,
            "on_timeout": {"verdict": "deny", "say": "Later."},
        },
    )
    with Server([act]) as server:
        decision: Decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi")
    assert (decision.verdict, decision.must_stop, decision.say) == ("hold", True, "One moment.")
    assert decision.rules[0].because == ("amount_usd 420 > 200",)
    assert decision.handoff is not None
    assert decision.handoff.id == "hof_1"
    assert decision.handoff.wait_ms is not None
    assert (decision.handoff.wait_ms.p50, decision.handoff.wait_ms.p90) == (30_000, None)
    assert decision.handoff.on_timeout is not None
    assert decision.handoff.on_timeout.verdict == "deny"
    assert (decision.reachable, decision.tries, decision.because) == (True, 1, None)


def test_new_fields_and_new_words_of_a_newer_service_are_kept(kind: Kind) -> None:
    with Server([decides(verdict="pause", must_stop=True, mood="calm", rules=[{"id": "r", "risk": 3}])]) as server:
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi")
    assert (decision.verdict, decision.must_stop, decision.reachable) == ("pause", True, True)
    assert decision.model_extra == {"mood": "calm"}
    assert decision.rules[0].model_extra == {"risk": 3}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(UNREACHABLE, id="503"),
        pytest.param(answers(b"bad gateway", 502), id="502 from a proxy"),
        pytest.param(answers({}, 504), id="504"),
        pytest.param(answers({"code": "too_many"}, 429), id="429"),
        pytest.param(resets, id="a torn connection"),
        pytest.param(halves, id="half a body"),
        pytest.param(babbles, id="no HTTP"),
        pytest.param(hangs, id="silence"),
        pytest.param(drips, id="an endless drip"),
        pytest.param(drips_a_head, id="an endless head"),
        pytest.param(promises, id="interim answers without end"),
        pytest.param(answers(b"<html>"), id="a web page"),
        pytest.param(answers([1]), id="JSON, but no object"),
        pytest.param(answers({"verdict": "continue", "must_stop": False}), id="no turn named"),
        pytest.param(decides(must_stop="no"), id="must_stop is no bool"),
        pytest.param(decides(turn_id="another"), id="the answer to another turn"),
        pytest.param(answers(b"\xff" * 10), id="bytes"),
        pytest.param(answers(b"[" * 100_000), id="JSON of a depth that breaks parsers"),
        pytest.param(answers(b" " * (5 * 1024 * 1024)), id="too long"),
    ],
)
def test_after_a_fault_the_same_turn_is_asked_again_and_answered(kind: Kind, fault: Act) -> None:
    with Server([fault, decides()]) as server:
        options = {"try_ms": 1_000, "budget_ms": 20_000, "on_unreachable": "raise"}
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", options=options)
    first, second = (request.json for request in server.requests)
    assert first == second
    assert first["turn_id"] == decision.turn_id
    assert (decision.verdict, decision.reachable, decision.tries) == ("continue", True, 2)


@pytest.mark.parametrize(("declared", "stop"), [("continue", False), ("stop", True)])
def test_the_declared_answer_is_given_when_the_service_stays_away(
    kind: Kind, declared: str, stop: bool, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"on_unreachable": declared, "unreachable_say": "One moment.", "budget_ms": 20_000}
    with Server([UNREACHABLE]) as server, caplog.at_level(logging.WARNING, "handrail_client"):
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="s3cret", options=options)
    assert (decision.must_stop, decision.reachable, decision.degraded) == (stop, False, True)
    assert decision.verdict == ("hold" if stop else "continue")
    assert decision.say == ("One moment." if stop else None)
    assert decision.because == "the service answered 503 (store_away)"
    assert decision.turn_id == server.requests[0].json["turn_id"]
    assert decision.tries == len(server.requests) == 5
    assert [record.getMessage() for record in caplog.records] == [
        f"handrail is unreachable after {decision.tries} tries (the service answered 503 (store_away)): "
        f"answering `{declared}`"
    ]


def test_a_call_can_declare_otherwise_than_its_client(kind: Kind) -> None:
    url, turn = "http://127.0.0.1:9", Turn(conversation_id="c1", message="hi")  # nothing listens on the discard port
    # So much that no try is cut short: the reason is that of the last one.
    options = {"on_unreachable": "stop", "budget_ms": 10_000}
    decision = run(kind, url, "should_escalate", turn, on_unreachable="continue", options=options)
    assert (decision.must_stop, decision.reachable, decision.because) == (False, False, "ConnectError")
    with pytest.raises(HandrailUnreachable, match=r"^no answer from handrail after \d+ tr(y|ies): ConnectError$"):
        run(kind, url, "should_escalate", turn, on_unreachable="raise", options=options)


@pytest.mark.parametrize("misspelt", ["STOP", "closed", "contniue", "", None])
def test_a_misspelt_declaration_lets_nothing_out(kind: Kind, misspelt: str | None) -> None:
    url, told = "http://127.0.0.1:9", rf"^on_unreachable is one of `continue`, `stop`, `raise`, not `{misspelt}`$"
    with pytest.raises(ValueError, match=told):
        run(kind, url, "should_escalate", conversation_id="c1", message="hi", options={"on_unreachable": misspelt})
    if misspelt is not None:
        with pytest.raises(ValueError, match=told):
            run(kind, url, "should_escalate", conversation_id="c1", message="hi", on_unreachable=misspelt)


def test_a_call_without_any_time_is_not_given_the_time_of_its_client(kind: Kind) -> None:
    with Server([hangs]) as server:
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", budget_ms=0)
    assert (decision.must_stop, decision.tries) == (True, 1)


def test_a_busy_conversation_is_asked_again_and_then_answered_as_declared(kind: Kind) -> None:
    busy = answers({"code": "conversation_busy", "title": "the conversation is busy"}, 409)
    with Server([busy, decides()]) as server:
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", budget_ms=20_000)
    assert (decision.verdict, decision.tries) == ("continue", 2)
    with Server([busy]) as server:
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", budget_ms=20_000)
    assert (decision.reachable, decision.because) == (False, "the service answered 409 (conversation_busy)")


@pytest.mark.parametrize("fault", [hangs, drips, drips_a_head, promises])
def test_the_budget_is_for_all_tries_and_pauses_together(kind: Kind, fault: Act) -> None:
    with Server([fault]) as server:
        started = time.monotonic()
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", budget_ms=700)
        took_ms = (time.monotonic() - started) * 1000
    assert (decision.reachable, decision.because) == (False, "time-out")
    assert took_ms < 4_500  # five tries without a budget would take five seconds


def test_no_pause_is_begun_that_the_budget_cannot_pay(kind: Kind) -> None:
    with Server([answers({"code": "busy"}, 503, {"retry-after": "30"})]) as server:
        started = time.monotonic()
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", budget_ms=10_000)
        took_ms = (time.monotonic() - started) * 1000
    assert (decision.tries, decision.reachable) == (1, False)
    assert took_ms < 10_000


def test_retry_after_is_waited_for(kind: Kind) -> None:
    with Server([answers({"code": "busy"}, 503, {"retry-after": "1"}), decides()]) as server:
        started = time.monotonic()
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", budget_ms=10_000)
        took_ms = (time.monotonic() - started) * 1000
    assert decision.reachable
    assert took_ms >= 1_000


def test_a_stop_survives_a_rest_that_cannot_be_read(kind: Kind) -> None:
    with Server([decides(verdict="escalate", must_stop=True, say="Wait.", rules=7)]) as server:
        options = {"on_unreachable": "continue"}
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", options=options)
    assert (decision.verdict, decision.must_stop, decision.say, decision.reachable) == ("escalate", True, "Wait.", True)
    assert decision.because == "the answer could not be read in full"


def test_the_service_cannot_call_itself_unreachable(kind: Kind) -> None:
    with Server([decides(reachable=False, tries=9)]) as server:
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi")
    assert (decision.reachable, decision.tries) == (True, 1)


def test_a_refusal_is_raised_with_its_code_and_next_step_and_not_tried_again(kind: Kind) -> None:
    refusal = {
        "type": "https://handrail.dev/problems/turn_stale",
        "title": "the turn is stale",
        "status": 409,
        "code": "turn_stale",
        "detail": "a person has spoken since",
        "hint": "drop its reply",
    }
    act = answers(refusal, 409, {"x-request-id": "r-1"})
    with Server([act]) as server, pytest.raises(HandrailProblem) as caught:
        run(kind, server.url, "should_escalate", conversation_id="c1", message="hi")
    problem = caught.value
    assert (problem.status, problem.code, problem.hint, problem.request_id) == (
        409,
        "turn_stale",
        "drop its reply",
        "r-1",
    )
    assert str(problem) == "turn_stale (409): a person has spoken since; drop its reply"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(answers(b"<h1>not here</h1>", 404), id="a proxy's page"),
        pytest.param(answers({"code": "internal"}, 500), id="500"),
        pytest.param(answers(b"", 302, {"location": "http://127.0.0.1:9/steal"}), id="a redirect is not followed"),
    ],
)
def test_what_is_no_answer_of_handrail_is_answered_as_declared_at_once(kind: Kind, act: Act) -> None:
    with Server([act]) as server:
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi")
    assert (decision.reachable, decision.must_stop, decision.tries, len(server.requests)) == (False, True, 1, 1)


def test_connections_are_kept(kind: Kind) -> None:
    with Server([decides()]) as server:
        if kind == "blocking":
            with Handrail(server.url, KEY) as handrail:
                for _ in range(5):
                    handrail.should_escalate(conversation_id="c1", message="hi")
        else:

            async def ask() -> None:
                async with AsyncHandrail(server.url, KEY) as handrail:
                    for _ in range(5):
                        await handrail.should_escalate(conversation_id="c1", message="hi")

            asyncio.run(ask())
    assert [request.connection for request in server.requests] == [1] * 5
    assert len({request.json["turn_id"] for request in server.requests}) == 5


def test_a_misspelt_field_is_refused_without_repeating_what_was_said(kind: Kind) -> None:
    with pytest.raises(ValidationError) as caught:
        run(kind, "http://127.0.0.1:9", "should_escalate", conversation_id="c1", mesage="my s3cret")
    assert "s3cret" not in str(caught.value)
    assert "mesage" in str(caught.value)
    with pytest.raises(TypeError, match=r"^give a Turn or its fields, not both: message$"):
        run(kind, "http://127.0.0.1:9", "should_escalate", Turn(conversation_id="c1"), message="hi")


def test_text_that_utf8_cannot_carry_and_numbers_that_are_none_still_go_out(kind: Kind) -> None:
    call = {"name": "x", "args": {"n": float("nan"), "t": "\ud83d", "d": {1}}}
    with Server([decides()]) as server:
        fields: dict[str, Any] = {"message": "cut \ud83d", "confidence": float("inf"), "tool_calls": [call]}
        assert run(kind, server.url, "should_escalate", conversation_id="c1", **fields).reachable
    sent = server.requests[0].json
    assert sent["message"] == "cut ?"
    assert sent["confidence"] is None
    assert sent["tool_calls"][0]["args"] == {"n": None, "t": "?", "d": [1]}


def test_the_key_is_in_no_repr_log_or_error(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    client = Handrail("http://127.0.0.1:9", KEY) if kind == "blocking" else AsyncHandrail("http://127.0.0.1:9", KEY)
    assert repr(client) == f"{type(client).__name__}('http://127.0.0.1:9')"
    assert KEY not in repr(vars(client))
    options = {"on_unreachable": "raise", "budget_ms": 200}
    with caplog.at_level(logging.DEBUG), pytest.raises(HandrailUnreachable) as caught:
        run(kind, "http://127.0.0.1:9", "should_escalate", conversation_id="c1", message="s3cret", options=options)
    with Server([decides()]) as server, caplog.at_level(logging.DEBUG):
        run(kind, server.url, "should_escalate", conversation_id="c1", message="s3cret")
    assert KEY not in caplog.text
    assert "s3cret" not in caplog.text
    assert KEY not in str(caught.value)
    for bad in ("", "two words", "line\nend", "kéy"):
        with pytest.raises(ValueError, match=r"^the key is empty or holds characters that no key has"):
            Handrail("http://127.0.0.1:9", bad) if kind == "blocking" else AsyncHandrail("http://127.0.0.1:9", bad)


@pytest.mark.parametrize(
    ("url", "fact"),
    [
        ("127.0.0.1:8321", "the address must start with http:// or https:// and name a host"),
        ("ftp://a", "the address must start with http:// or https:// and name a host"),
        ("http://", "the address must start with http:// or https:// and name a host"),
        ("http://me:pw@a", "the address must not carry a name or password: give the key as `key`"),
    ],
)
def test_an_address_that_cannot_be_right_is_refused_at_once(kind: Kind, url: str, fact: str) -> None:
    with pytest.raises(ValueError, match=f"^{fact}$"):
        Handrail(url) if kind == "blocking" else AsyncHandrail(url)


def test_an_address_may_have_a_path(kind: Kind) -> None:
    with Server([decides()]) as server:
        run(kind, server.url + "/handrail/", "should_escalate", conversation_id="c1", message="hi")
    assert server.requests[0].target == "/handrail/should-escalate"
