"""The calls that customers were promised, as people list them: owed, made, counted; and what has ended lately."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from handrail_client.answers import Handoff
from service.cli.service_client import Service
from service.clock import now_ms
from service.flows import deadlines
from tests.service.api_service import Api, Server, embedded, ruleset, served
from tests.service.cli_run import as_json, handrail

pytestmark = pytest.mark.server

HOUR_MS = 3_600_000
RULES = """
handrail: 1
queues:
  tier1:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: "We will call you.", es: "Le llamaremos."}}
    say: {en: "One moment."}
  tier2:
    answer_within: 15m
    on_timeout: {verdict: deny, say: {en: "Not today."}}
    say: {en: "One moment."}
rules:
  - {id: unsure, why: the agent is unsure, when: confidence < 0.5, then: {escalate: tier1}}
  - {id: other, why: the channel is another, when: channel = fax, then: {escalate: tier2}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("calls") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server, ruleset(RULES)) as found:
        yield found


async def listed(api: Api, path: str, **asked: Any) -> list[dict[str, Any]]:
    """Return all pages of a listing, page by page as small as it gets."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await api.get(path, "manager", limit=2, **asked, **cursor)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        found += told["calls" if "calls" in told else "handoffs"]
        if told["cursor"] is None:
            return found
        cursor = {"cursor": told["cursor"]}


async def missed(api: Api, count: int, **more: Any) -> list[str]:
    """Return handoffs that nobody took in time."""
    ids = [(await api.ask(**{"confidence": 0.1, **more})).json()["handoff"]["id"] for _ in range(count)]
    while await deadlines.sweep(api.running.store, api.tenant, now_ms() + HOUR_MS):
        pass
    return ids


async def test_what_was_promised_is_listed_until_it_is_done(api: Api) -> None:
    ended = await missed(api, 5, locale="es-MX", customer={"id": "cus-8"})
    owed = await listed(api, "/calls")
    assert {each["after"] for each in owed} == set(ended)
    assert {(each["queue"], each["priority"], each["say"], each["state"], each["customer_id"]) for each in owed} == {
        ("tier1", "normal", "Le llamaremos.", "waiting", "cus-8")
    }
    assert await listed(api, "/calls", queue="tier2") == await listed(api, "/calls", done=True) == []
    expired = await listed(api, "/handoffs", state="expired")
    assert {each["id"] for each in expired} == set(ended)
    assert {each["call_id"] for each in expired} == {each["handoff_id"] for each in owed}
    metrics = (await api.get("/metrics", "manager")).text
    assert f'handrail_calls_owed{{tenant="{api.tenant}"}} 5.0' in metrics

    taken = (await api.post(f"/handoffs/{owed[0]['handoff_id']}/claim")).json()
    assert taken["handoff"]["call"] == {"promised_at_ms": owed[0]["promised_at_ms"], "say": "Le llamaremos.",
                                        "after": owed[0]["after"], "customer_id": "cus-8",
                                        "due_at_ms": None}  # fmt: skip
    read = Handoff.model_validate(taken["handoff"])
    assert read.call is not None
    assert (read.call.say, read.call.after, read.call_id) == ("Le llamaremos.", owed[0]["after"], None)
    assert taken["packet"]["task"]["sentence"].startswith("call the customer back: promised at 20")
    assert next(each for each in await listed(api, "/calls") if each["holder"])["state"] == "leased"
    body = {"token": taken["lease"]["token"], "action": "take_over", "outcome": "too_late"}
    assert (await api.post(f"/handoffs/{owed[0]['handoff_id']}/resolve", body)).status_code == 200
    assert [each["handoff_id"] for each in await listed(api, "/calls")] == [each["handoff_id"] for each in owed[1:]]
    (done,) = await listed(api, "/calls", done=True, queue="tier1")
    assert (done["handoff_id"], done["ended_by"], done["outcome"]) == (
        owed[0]["handoff_id"], taken["handoff"]["holder"], "too_late",
    )  # fmt: skip
    assert [each["id"] for each in await listed(api, "/handoffs", state="resolved")] == [owed[0]["handoff_id"]]
    assert f'handrail_calls_owed{{tenant="{api.tenant}"}} 4.0' in (await api.get("/metrics", "manager")).text


async def test_those_that_ended_lately_are_listed_latest_first(api: Api) -> None:
    (first,) = await missed(api, 1, channel="fax", confidence=None)
    several = await missed(api, 3)
    found = await listed(api, "/handoffs", state="expired")
    assert found[-1]["id"] == first
    assert {each["id"] for each in found[:3]} == set(several)
    moments = [each["ended_at_ms"] for each in found]
    assert moments == sorted(moments, reverse=True)
    assert [each["id"] for each in await listed(api, "/handoffs", state="expired", queue="tier2")] == [first]
    assert found[-1]["call_id"] is None, "nobody promised to call"
    assert await listed(api, "/handoffs", state="handed_back") == []


async def test_a_cursor_that_is_none_of_ours_is_refused(api: Api) -> None:
    for path, asked in (("/calls", {}), ("/calls", {"done": True}), ("/handoffs", {"state": "expired"})):
        refused = await api.get(path, "manager", cursor="nonsense", **asked)
        assert (refused.status_code, refused.json()["code"]) == (422, "cursor_invalid")
    assert (await api.get("/calls", "agent")).status_code == 403


CALL = {
    "handoff_id": "hof_0_1",
    "conversation_id": "c",
    "queue": "tier1",
    "priority": "normal",
    "locale": "en",
    "promised_at_ms": 1_800_000_000_000,
    "due_at_ms": 1_800_000_300_000,
    "say": "We will call you.",
    "after": "hof_0_0",
    "state": "waiting",
    "holder": None,
    "ended_at_ms": None,
    "ended_by": None,
    "outcome": None,
}


def test_a_manager_reads_what_is_owed_and_what_became_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, list[str]]] = []

    def get(_self: Service, path: str) -> dict[str, Any]:
        query = parse_qs(urlsplit(path).query)
        asked.append(query)
        if query["done"] == ["true"]:
            done = {
                **CALL,
                "state": "resolved",
                "ended_at_ms": 1_800_000_600_000,
                "ended_by": "mia",
                "outcome": "needed",
            }
            return {"calls": [done], "cursor": None}
        return {"calls": [CALL], "cursor": None if "cursor" in query else "more"}

    monkeypatch.setattr(Service, "get", get)
    at = ("--url", "http://127.0.0.1:1", "--key", "k")
    owed = handrail("calls", "--limit", "2", *at)
    assert owed.exit_code == 0, owed.output
    # Nobody has made it, and by now it is over.
    for word in ("2027-01-15 08:00", "2027-01-15 08:05", "tier1", "nobody yet", "We will call you.", "hof_0_1"):
        assert owed.stdout.count(word) == 2, word
    assert [query["limit"] for query in asked] == [["2"], ["1"]]
    done = handrail("calls", "--done", "--queue", "tier1", *at)
    for word in ("2027-01-15 08:10", "2027-01-15 08:05 (over)", "mia", "needed"):
        assert word in done.stdout
    assert asked[-1]["queue"] == ["tier1"]
    assert as_json(handrail("calls", "--done", "--json", *at))["calls"][0]["ended_by"] == "mia"
