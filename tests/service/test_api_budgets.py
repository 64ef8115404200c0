"""A queue's budget as a manager meets it: how full it is, what was shed and listed, and what calm brings back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rules.evaluation.evaluate import Ruleset
from rules.routing.shedding import HANDLED_MIN
from service.clock import now_ms
from service.flows import budgets
from tests.service.api_service import Api, Server, embedded, ruleset, served

pytestmark = pytest.mark.server

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
RULES = """handrail: 1
thresholds:
  low: {value: 0.5, min: 0.2, max: 0.8}
topics:
  advice: {regulated: true, source: FINRA Rule 2111, phrases: [which fund]}
queues:
  tier1:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: We will call you.}}
    say: {en: One moment please.}
    budget: {minutes: 20, over: 1h, minutes_each: 10}
  desk:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: We will call you.}}
    say: {en: One moment please.}
rules:
  - id: unsure
    why: the agent is unsure
    when: confidence < $low
    then: {escalate: tier1}
    when_busy:
      - {over: 100%, thresholds: {low: 0.3}}
      - {over: 200%, then: callback, say: {en: We will call you back today.}}
  - id: advice
    why: the law asks for a person
    when: topics has advice
    then: {escalate: desk}
"""
BUSY_RULES: Ruleset = ruleset(RULES)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("budgets") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server, BUSY_RULES) as found:
        yield found


async def asked(api: Api, **fields: Any) -> dict[str, Any]:
    answer = await api.ask(**({"confidence": 0.1} | fields))
    assert answer.status_code == 200, answer.text
    decision: dict[str, Any] = answer.json()
    return decision


async def resolved(api: Api, handoff_id: str) -> None:
    token = (await api.post(f"/handoffs/{handoff_id}/claim")).json()["lease"]["token"]
    body = {"token": token, "action": "answer", "text": "It is on its way.", "outcome": "needed"}
    answer = await api.post(f"/handoffs/{handoff_id}/resolve", body)
    assert answer.status_code == 200, answer.text


async def looked(api: Api) -> None:
    """Look how full the queues are, as every serving process does every few seconds."""
    await budgets.look_again(api.running.store, now_ms())


async def budget_of(api: Api, queue: str) -> Any:
    queues = (await api.get("/queues", "manager")).json()["queues"]
    return next(each["budget"] for each in queues if each["name"] == queue)


async def metric(api: Api) -> dict[str, int]:
    text = (await api.client.get("/metrics", headers=api.bearer("admin"))).text
    return {label: int(float(value)) for label, value in re.findall(r"^handrail_shed_total\{(.*)\} (\S+)$", text, re.M)}


async def test_a_queue_tells_what_its_pressure_is_made_of(api: Api) -> None:
    assert await budget_of(api, "desk") is None
    first = {"minutes": 20, "over_ms": HOUR_MS, "minutes_each": 10, "observed": 0}
    assert await budget_of(api, "tier1") == first | {"spent_minutes": 0, "open": 0, "pressure_percent": 0}
    handoffs = [(await asked(api))["handoff"]["id"] for _ in range(3)]
    assert await budget_of(api, "tier1") == first | {"spent_minutes": 0, "open": 3, "pressure_percent": 150}
    await resolved(api, handoffs[0])
    after = await budget_of(api, "tier1")
    assert (after["open"], after["pressure_percent"]) == (2, 100)
    assert 0 <= after["spent_minutes"] < 1


async def test_over_its_budget_a_queue_sheds_and_when_it_is_calm_it_does_not(api: Api) -> None:
    await asked(api)
    await looked(api)
    opened = [(await asked(api))["handoff"]["id"] for _ in range(2)]
    assert (await asked(api, confidence=0.4))["verdict"] == "escalate", "half full, as last looked at"
    await looked(api)
    calm = await asked(api, confidence=0.2, conversation_id="same")
    assert (calm["verdict"], calm["say"]) == ("review", "We will call you back today."), "200%: 4 at 10 of 20 minutes"
    assert calm["shed"] == [
        {
            "rule": "unsure",
            "from": "escalate",
            "to": "callback",
            "queue": "tier1",
            "pressure_percent": 200,
            "step_percent": 200,
        }
    ]
    half_sure = await asked(api, confidence=0.4)
    assert (half_sure["verdict"], half_sure["shed"][0]["to"], half_sure["handoff"]) == ("continue", "continue", None)
    law = await asked(api, message="tell me which fund to buy")
    assert (law["verdict"], "shed" in law) == ("escalate", False)

    for handoff_id in (*opened, law["handoff"]["id"]):
        await resolved(api, handoff_id)
    await looked(api)
    still = await asked(api, confidence=0.2)
    assert (still["verdict"], "shed" in still) == ("escalate", False), "150%: the number of the first step asks still"
    again = await api.ask(confidence=0.2, conversation_id="same")
    assert (again.json(), again.headers["handrail-repeated"]) == (calm, "true"), "what was decided stands"


async def test_what_was_shed_is_listed_and_counted(api: Api) -> None:
    for _ in range(4):
        await asked(api)
    await looked(api)
    await asked(api, confidence=0.9)
    await looked(api)
    before = now_ms()
    one, other = await asked(api, confidence=0.4), await asked(api, confidence=0.1, conversation_id="again")
    await asked(api, confidence=0.1, conversation_id="again")
    assert [(await asked(api, confidence=0.9))["verdict"]] == ["continue"], "nothing fires, so nothing is shed"
    listed = (await api.get("/shed", "manager")).json()["decisions"]
    assert [each["decision_id"] for each in listed] == [other["decision_id"], one["decision_id"]]
    assert before <= listed[0].pop("decided_at_ms") <= now_ms()
    assert listed[0] == {
        "decision_id": other["decision_id"],
        "conversation_id": "again",
        "turn_id": "1",
        "verdict": "review",
        "handoff_id": other["handoff"]["id"],
        "shed": other["shed"],
    }
    for params, count in (
        ({"queue": "tier1"}, 2),
        ({"queue": "desk"}, 0),
        ({"since": before}, 2),
        ({"since": now_ms() + 1}, 0),
        ({"limit": 1}, 1),
        ({"queue": "tier1", "limit": 1}, 1),
    ):
        assert len((await api.get("/shed", "manager", **params)).json()["decisions"]) == count, params
    first = (await api.get("/shed", "manager", limit=1)).json()
    then = (await api.get("/shed", "manager", limit=1, cursor=first["cursor"])).json()
    assert [each["decision_id"] for each in (*first["decisions"], *then["decisions"])] == [
        other["decision_id"],
        one["decision_id"],
    ]
    assert then["cursor"] is None
    refused = await api.get("/shed", "manager", cursor="mine")
    assert (refused.status_code, refused.json()["code"]) == (422, "cursor_invalid")
    assert await metric(api) == {
        'queue="tier1",rule="unsure",to="callback"': 1,
        'queue="tier1",rule="unsure",to="continue"': 1,
    }


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 1_001}, {"since": -1}, {"since": "x"}, {"queue": "q" * 999}]
)
async def test_a_list_that_cannot_be_asked_for_is_refused(api: Api, params: dict[str, Any]) -> None:
    answer = await api.get("/shed", "manager", **params)
    assert (answer.status_code, answer.json()["code"]) == (422, "query_invalid")


async def test_what_was_shed_for_one_tenant_no_other_sees(api: Api, server: Server) -> None:
    for _ in range(4):
        await asked(api)
    await looked(api)
    await asked(api)
    await looked(api)
    assert (await asked(api))["verdict"] == "review"
    async with served(server, BUSY_RULES) as other:
        assert (await other.get("/shed", "manager")).json() == {"decisions": [], "cursor": None}
        assert (await asked(other))["verdict"] == "escalate"


async def test_handlings_that_were_seen_take_the_place_of_what_the_file_says(api: Api) -> None:
    for _ in range(HANDLED_MIN):
        await resolved(api, (await asked(api))["handoff"]["id"])
    found = await budget_of(api, "tier1")
    assert found["observed"] == HANDLED_MIN
    assert found["minutes_each"] < 1


async def test_a_shed_decision_becomes_a_test_that_passes(api: Api) -> None:
    """The test says how full the queue was."""
    for _ in range(4):
        await asked(api)
    await looked(api)
    await asked(api, confidence=0.9)
    await looked(api)
    for confidence, verdict in ((0.1, "review"), (0.4, "continue")):
        decision = await asked(api, confidence=confidence)
        assert decision["verdict"] == verdict
        case = (await api.get(f"/decisions/{decision['decision_id']}/case", "manager")).json()
        assert case["passes"], case["case"]
        assert 'pressure: {tier1: "200%"}' in case["case"] or 'pressure: {tier1: "250%"}' in case["case"]


async def test_a_manager_tries_rules_under_a_pressure(api: Api) -> None:
    def step(**more: Any) -> dict[str, Any]:
        return {"turn": {"message": "x", "confidence": 0.4}, **more}

    steps = [step(pressure={"tier1": 120}), step(pressure={"tier1": 99}), step()]
    tried = await api.post("/rulesets/try", {"files": {"a.yaml": RULES}, "steps": steps}, "manager")
    assert tried.status_code == 200, tried.text
    first, second, third = tried.json()["steps"]
    assert (first["verdict"], [each["to"] for each in first["shed"]]) == ("continue", ["continue"])
    assert (second["verdict"], second["shed"], third["shed"]) == ("escalate", [], [])
    for pressure in ({"tier1": -1}, {"tier1": 1_001}, {"tier1": "120%"}):
        refused = await api.post("/rulesets/try", {"steps": [step(pressure=pressure)]}, "manager")
        assert (refused.status_code, refused.json()["code"]) == (422, "body_invalid")
