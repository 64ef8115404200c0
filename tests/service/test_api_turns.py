"""`POST /should-escalate` answers every verdict with 200, the same turn with the same decision, and explains itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.service.api_service import Api, Server, embedded, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("api") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


async def test_an_escalation_answers_to_the_letter_of_the_contract(api: Api) -> None:
    answer = await api.ask(conversation_id="c-letter", turn_id="t-1", locale="es-MX", message="a real person now")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "handrail-repeated" not in answer.headers
    decision = answer.json()
    handoff = decision.pop("handoff")
    decision_id, ruleset = decision.pop("decision_id"), decision.pop("ruleset")
    assert decision_id.startswith("dec_")
    assert ruleset == api.running.ruleset.files.hash
    assert decision == {
        "conversation_id": "c-letter",
        "turn_id": "t-1",
        "verdict": "escalate",
        "must_stop": True,
        "rules": [
            {
                "id": "asks-for-a-person",
                "why": "the customer asks for a person",
                "because": [decision["rules"][0]["because"][0]],
            }
        ],
        "say": "Un momento, viene un colega.",
        "degraded": False,
    }
    assert handoff.pop("id").startswith("hof_")
    assert handoff.pop("expires_at_ms") > 0
    assert handoff == {
        "queue": "tier1",
        "position": 1,
        "wait_ms": None,
        "on_timeout": {"verdict": "callback", "say": "Le llamaremos.", "queue": None},
    }


VERDICTS: dict[str, tuple[dict[str, Any], str, bool, str | None]] = {
    "nothing fires": ({}, "continue", False, None),
    "a person looks afterwards": ({"confidence": 0.2}, "review", False, "later"),
    "a call waits for approval": (
        {"tool_calls": [{"name": "issue_refund", "amount": 480, "status": "proposed"}]},
        "hold",
        True,
        "approvals",
    ),
    "a person takes it": ({"message": "talk to a human"}, "escalate", True, "tier1"),
    "what is unknown fires nothing": ({"confidence": None, "signals": {"risk": None}}, "continue", False, None),
    "what is tried out changes nothing": ({"signals": {"risk": 0.95}}, "continue", False, None),
}


@pytest.mark.parametrize("name", VERDICTS)
async def test_every_verdict_is_a_200(api: Api, name: str) -> None:
    fields, verdict, must_stop, queue = VERDICTS[name]
    answer = await api.ask(**fields)
    decision = answer.json()
    assert (answer.status_code, decision["verdict"], decision["must_stop"]) == (200, verdict, must_stop)
    assert (decision["handoff"] and decision["handoff"]["queue"]) == queue


async def test_the_same_turn_gets_the_same_answer_whatever_its_body_now_says(api: Api) -> None:
    first = await api.ask(conversation_id="c-same", turn_id="9", message="talk to a human")
    again = await api.ask(conversation_id="c-same", turn_id="9", message="never mind", confidence=1.0)
    assert again.json() == first.json()
    assert again.headers["handrail-repeated"] == "true"


async def test_without_turn_id_the_same_bytes_are_the_same_turn(api: Api) -> None:
    first = await api.ask(conversation_id="c-bytes", turn_id=None)
    again = await api.ask(conversation_id="c-bytes", turn_id=None)
    other = await api.ask(conversation_id="c-bytes", turn_id=None, message="hello?")
    assert again.json() == first.json()
    assert again.headers["handrail-repeated"] == "true"
    assert other.json()["turn_id"] != first.json()["turn_id"]


async def test_without_turn_id_a_person_who_is_asked_for_again_comes_again(api: Api) -> None:
    asked = {"conversation_id": "c-anew", "turn_id": None, "message": "talk to a human"}
    first = (await api.ask(**asked)).json()
    again = await api.ask(**asked)
    assert (again.json(), again.headers["handrail-repeated"]) == (first, "true")
    path = f"/handoffs/{first['handoff']['id']}"
    token = (await api.post(f"{path}/claim", {}, "operator")).json()["lease"]["token"]
    assert (await api.post(f"{path}/hand-back", {"token": token}, "operator")).status_code == 200
    anew = await api.ask(**asked)
    assert "handrail-repeated" not in anew.headers
    assert anew.json()["verdict"] == "escalate"
    assert anew.json()["handoff"]["id"] != first["handoff"]["id"]


async def test_one_turn_asked_a_hundred_times_at_once_is_one_decision_and_one_handoff(api: Api) -> None:
    answers = await asyncio.gather(
        *(api.ask(conversation_id="c-race", turn_id="1", message="talk to a human") for _ in range(100))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert sum("handrail-repeated" not in answer.headers for answer in answers) == 1


async def test_while_a_person_has_the_conversation_every_turn_is_held(api: Api) -> None:
    first = await api.escalated(conversation_id="c-fence")
    later = (await api.ask(conversation_id="c-fence", turn_id="2")).json()
    assert (later["verdict"], later["must_stop"]) == ("held_by_human", True)
    assert later["handoff"]["id"] == first["handoff"]["id"]


async def test_the_position_counts_those_ahead(api: Api) -> None:
    positions = [(await api.escalated())["handoff"]["position"] for _ in range(3)]
    assert positions == [1, 2, 3]


async def test_a_decision_explains_its_checks_and_names_what_shadow_rules_would_have_done(api: Api) -> None:
    asked = (
        await api.ask(message="Is there a hidden fee?", confidence=0.2, signals={"risk": 0.95}, turn_id="7")
    ).json()
    answer = await api.get(f"/decisions/{asked['decision_id']}")
    explained = answer.json()
    assert answer.status_code == 200
    assert (explained["verdict"], explained["must_stop"], explained["turn_id"]) == ("review", False, "7")
    by_id = {rule["id"]: rule for rule in explained["rules"]}
    assert sorted(by_id) == ["fees", "unsure"]
    (check,) = by_id["unsure"]["checks"]
    assert (check["text"], check["actual"], check["operand"], check["threshold"]) == (
        "confidence < $low_confidence",
        0.2,
        0.5,
        "low_confidence",
    )
    (check,) = by_id["fees"]["checks"]
    assert check["actual"] == ["fees"]
    assert check["evidence"] == [
        {"topic": "fees", "inside": "message", "start": 11, "end": 21, "matched": "hidden fee"}
    ]
    assert [(rule["id"], rule["live"]) for rule in explained["shadow"]] == [("risky-in-shadow", False)]


async def test_a_decision_that_is_not_there_or_of_another_tenant(api: Api, server: Server) -> None:
    decision = await api.escalated()
    async with served(server) as stranger:
        for decision_id in (decision["decision_id"], "dec_0_00000000000000000000", "x", "%00", "x" * 100):
            answer = await stranger.get(f"/decisions/{decision_id}")
            assert (answer.status_code, answer.json()["code"]) == (404, "decision_unknown")
        answer = await stranger.get(f"/handoffs/{decision['handoff']['id']}")
        assert (answer.status_code, answer.json()["code"]) == (404, "handoff_unknown")


async def test_two_tenants_may_use_the_same_ids(api: Api, server: Server) -> None:
    async with served(server) as other:
        one = await api.ask(conversation_id="c-both", message="talk to a human")
        two = await other.ask(conversation_id="c-both", message="hello")
    assert (one.json()["verdict"], two.json()["verdict"]) == ("escalate", "continue")
    assert "handrail-repeated" not in two.headers


async def test_a_turn_from_before_a_person_had_the_conversation_is_stale(api: Api) -> None:
    handoff, token = await api.claimed(conversation_id="c-stale", turn_id="5", turn_index=5)
    done = await api.post(f"/handoffs/{handoff['id']}/hand-back", {"token": token})
    assert done.status_code == 200, done.text
    answer = await api.ask(conversation_id="c-stale", turn_id="3", turn_index=3)
    assert answer.status_code == 409
    problem = answer.json()
    assert (problem["code"], problem["hint"]) == ("turn_stale", "drop its reply")


async def test_a_request_carries_its_own_id_or_gets_one(api: Api) -> None:
    for path, role in (("/livez", "agent"), ("/queues", "operator")):
        given = await api.client.get(path, headers=api.bearer(role) | {"X-Request-Id": "my-request.1"})
        assert given.headers["x-request-id"] == "my-request.1"
    made = await api.ask()
    assert made.headers["x-request-id"].startswith("req_")
    hostile = await api.client.get("/livez", headers={"X-Request-Id": "a b<script>"})
    assert hostile.headers["x-request-id"].startswith("req_")


async def test_answers_are_not_to_be_kept_by_caches(api: Api) -> None:
    for answer in (await api.get("/decisions/x"), await api.get("/queues", "operator"), await api.ask(message=5)):
        assert answer.headers["cache-control"] == "no-store"


async def test_where_the_application_is_mounted_below_another_turns_are_answered_too(api: Api) -> None:
    import httpx
    from fastapi import FastAPI

    outer = FastAPI()
    outer.mount("/support", api.app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://outer") as client:
        answer = await client.post(
            "/support/should-escalate",
            content=json.dumps({"conversation_id": "c-m", "turn_id": "1", "message": "talk to a human"}),
            headers=api.bearer("agent") | {"Content-Type": "application/json"},
        )
    assert answer.json()["verdict"] == "escalate"
