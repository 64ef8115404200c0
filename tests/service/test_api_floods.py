"""An operator meets a flood over HTTP: one handoff with a count, one answer for all, and whoever matters let go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.service.api_service import RULES, Api, Server, embedded, ruleset, served

FLOODED = ruleset(RULES.replace("    title: First line\n", "    title: First line\n    flood: {agent: 2 in 10m}\n"))
ASK = "let me talk to a human"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("api") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server, FLOODED) as found:
        yield found


async def flood(api: Api, count: int) -> list[dict[str, Any]]:
    return [(await api.escalated(agent={"id": "refund-bot"})) for _ in range(count)]


async def test_a_flood_is_one_handoff_with_a_count(api: Api) -> None:
    decisions = await flood(api, 6)
    assert [each["handoff"]["position"] for each in decisions] == [1, 2, 3, None, None, None]
    leader = decisions[2]["handoff"]["id"]
    (found,) = (await api.get("/floods", "operator")).json()["floods"]
    since = found.pop("since_at_ms")
    assert found == {
        "queue": "tier1",
        "by": "agent",
        "who": "refund-bot",
        "rule_id": "asks-for-a-person",
        "leader": leader,
        "members": 3,
        "grouped": 4,
    }
    read = (await api.get(f"/handoffs/{leader}", "operator")).json()
    group = {"by": "agent", "who": "refund-bot", "rule_id": "asks-for-a-person", "leads": True, "leader": leader}
    assert read["group"] == {**group, "since_at_ms": since, "members": 3}
    member = (await api.get(f"/handoffs/{decisions[3]['handoff']['id']}", "agent")).json()
    assert (member["state"], member["position"], member["wait_ms"]) == ("waiting", None, None)
    assert member["group"] == {**group, "leads": False, "since_at_ms": since, "members": 3}
    (queue,) = (each for each in (await api.get("/queues", "operator")).json()["queues"] if each["name"] == "tier1")
    assert (queue["waiting"], queue["leased"], queue["grouped"]) == (3, 0, 3)
    listed = (await api.get("/handoffs", "operator")).json()["handoffs"]
    assert [each["id"] for each in listed] == [each["handoff"]["id"] for each in decisions]
    assert [each["group"] and each["group"]["members"] for each in listed] == [None, None, 3, 3, 3, 3]
    pages: list[str] = []
    cursor = None
    while cursor or not pages:
        asked = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/handoffs", "operator", **asked)).json()
        pages += [each["id"] for each in page["handoffs"]]
        cursor = page["cursor"]
    assert pages == [each["id"] for each in listed]
    told = (await api.get("/metrics", "manager")).text
    assert f'handrail_queue_grouped{{queue="tier1",tenant="{api.tenant}"}} 3.0' in told
    assert (await api.get("/floods", "operator", queue="later")).json() == {"floods": []}


async def test_all_are_answered_with_one_answer(api: Api) -> None:
    decisions = await flood(api, 6)
    leader = decisions[2]["handoff"]["id"]
    claimed = (await api.post(f"/handoffs/{leader}/claim")).json()
    assert claimed["handoff"]["group"]["members"] == 3
    listed = (await api.get(f"/handoffs/{leader}/members", "operator", limit=2)).json()
    assert [each["id"] for each in listed["handoffs"]] == [each["handoff"]["id"] for each in decisions[3:5]]
    body = {
        "token": claimed["lease"]["token"],
        "action": "answer",
        "outcome": "not_needed",
        "text": "Your refund is on its way.",
    }
    path = f"/handoffs/{leader}/members/answer"
    lost = await api.post(path, body | {"token": "1-x"})
    assert (lost.status_code, lost.json()["code"]) == (409, "lease_lost")
    for wrong in ({"action": "approve"}, {"text": None}, {"text": " \n"}, {"more": 1}):
        assert (await api.post(path, body | wrong)).status_code == 422
    assert (await api.post(path, body)).json() == {"done": 3, "left": 0}
    assert (await api.post(path, body)).json() == {"done": 0, "left": 0}
    lost = await api.post(path, body | {"token": "1-x"})
    assert (lost.status_code, lost.json()["code"]) == (409, "lease_lost")
    for each in decisions[3:]:
        ended = (await api.get(f"/handoffs/{each['handoff']['id']}", "agent")).json()
        assert (ended["state"], ended["resolution"]["text"]) == ("resolved", "Your refund is on its way.")
    assert (await api.get(f"/handoffs/{leader}", "agent")).json()["state"] == "leased"


async def test_members_are_let_go_one_or_all(api: Api) -> None:
    decisions = await flood(api, 7)
    leader, *members = (each["handoff"]["id"] for each in decisions[2:])
    path = f"/handoffs/{leader}/members/ungroup"
    unknown = await api.post(path, {"members": [members[0], "hof_0_0000000000000000"]})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "handoff_unknown")
    assert (await api.post(path, {"members": members[:1]})).json() == {"done": 1, "left": 3}
    assert (await api.post(path, {"members": members[:1]})).json() == {"done": 0, "left": 3}
    claimed = await api.post(f"/handoffs/{members[1]}/claim")
    assert (claimed.status_code, claimed.json()["handoff"]["group"]) == (200, None)
    assert (await api.post(path)).json() == {"done": 2, "left": 0}
    assert (await api.get("/floods", "operator")).json() == {"floods": []}


async def test_what_is_in_no_group_has_no_members(api: Api) -> None:
    ((first),) = await flood(api, 1)
    path = f"/handoffs/{first['handoff']['id']}/members"
    body = {"token": "1-x", "action": "reject", "outcome": "not_needed"}
    answers = [
        await api.get(path, "operator"),
        await api.post(f"{path}/answer", body),
        await api.post(f"{path}/ungroup"),
    ]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(409, "no_group")] * 3
    assert (await api.get("/handoffs/hof_0_0000000000000000/members", "operator")).status_code == 404
