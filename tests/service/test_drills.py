"""Fire drills through the real queue: once, in time or told, by themselves at an end, and in nobody's way or count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rules.drills import Schedule
from rules.marks import DRILL_MARK
from service.clock import now_ms
from service.flows import drills
from service.flows.access import Store
from service.store import drills as kept
from service.store import keys, outbox
from tests.service.api_service import Api, Server, embedded, ruleset, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("drills") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


async def begun(api: Api, within_ms: int = 60_000) -> dict[str, Any]:
    answer = await api.post("/drills", {"queue": "tier1", "within_ms": within_ms}, "manager")
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def told(store: Store, tenant: str) -> list[str]:
    return [event.type for event in await outbox.read(store, keys.place(tenant, 0), "test", 100)]


async def test_whoever_claims_it_in_time_passes_it(api: Api) -> None:
    drill = await begun(api)
    assert drill["result"] is None
    claimed = (await api.post("/queues/tier1/claim")).json()
    assert (claimed["handoff"]["id"], claimed["handoff"]["drill"]) == (drill["handoff_id"], True)
    assert claimed["packet"]["drill"] is True
    assert "fire drill" in claimed["packet"]["asked"]["last"]
    found = (await api.get(f"/drills/{drill['id']}", "operator")).json()
    assert found["result"] == "passed"
    assert 0 <= found["answered_ms"] <= 60_000
    body = {"token": claimed["lease"]["token"], "action": "take_over", "outcome": "needed"}
    assert (await api.post(f"/handoffs/{drill['handoff_id']}/resolve", body)).status_code == 200
    assert (await api.get(f"/drills/{drill['id']}", "operator")).json()["result"] == "passed"


async def test_whoever_acknowledges_it_passes_it(api: Api) -> None:
    drill = await begun(api)
    assert (await api.post(f"/handoffs/{drill['handoff_id']}/acknowledge")).status_code == 200
    assert (await api.get(f"/drills/{drill['id']}", "manager")).json()["result"] == "passed"


async def test_one_that_nobody_comes_to_ends_by_itself_and_is_told_once(api: Api) -> None:
    store = api.running.store
    drill = await drills.begin(store, ruleset(), api.tenant, "tier1", 1_000, "ana", now_ms() - 5_000)
    looked = await asyncio.gather(*(drills.look(store, api.tenant, drill.drill_id, now_ms()) for _ in range(8)))
    assert {each.result for each in looked} <= {"failed", None}
    found = await drills.look(store, api.tenant, drill.drill_id, now_ms())
    assert (found.result, found.ended_at_ms) == ("failed", drill.opened_at_ms + 1_000)
    assert (await told(store, api.tenant)).count("drill.failed") == 1
    assert (await api.post("/queues/tier1/claim")).status_code == 204


async def test_a_claim_that_comes_too_late_does_not_pass_it(api: Api) -> None:
    drill = await begun(api, 1_000)
    while now_ms() < drill["opened_at_ms"] + 1_000:  # noqa: ASYNC110  # only the clock ends a deadline
        await asyncio.sleep(0.05)
    assert (await api.post("/queues/tier1/claim")).status_code == 204
    assert (await api.get("/drills", "operator")).json()["drills"][0]["result"] == "failed"


async def test_a_customer_who_comes_later_is_claimed_first_and_has_the_place_they_would_have(api: Api) -> None:
    drill = await begun(api)
    customer = await api.escalated()
    assert customer["handoff"]["position"] == 1
    first, second = [(await api.post("/queues/tier1/claim")).json()["handoff"]["id"] for _ in range(2)]
    assert (first, second) == (customer["handoff"]["id"], drill["handoff_id"])


async def counted(api: Api) -> tuple[object, ...]:
    """Return everything that is counted of customers, without the times of day."""
    queues = (await api.get("/queues", "operator")).json()["queues"]
    for queue in queues:
        queue.pop("oldest_opened_at_ms")
    # What drills are counted in is theirs alone.
    skipped = (
        *("handrail_http", "handrail_decision_seconds", "process_", "#", "handrail_queue_oldest"),
        *("handrail_drill_passed", "handrail_drill_came_seconds", "handrail_drill_ended_timestamp_seconds"),
    )
    lines = [line for line in (await api.get("/metrics", "manager")).text.splitlines() if not line.startswith(skipped)]
    store = api.running.store
    waits = await store.link.call("LLEN", store.places(api.tenant)[0].waits("tier1"))
    return queues, [line for line in lines if "timers_late" not in line and "timer_late" not in line], waits


async def test_everything_counted_is_the_same_with_and_without_drills(api: Api) -> None:
    await api.escalated()
    before = await counted(api)
    taken = await begun(api)
    assert await counted(api) == before
    claim = (await api.post(f"/handoffs/{taken['handoff_id']}/claim")).json()
    assert await counted(api) == before
    body = {"token": claim["lease"]["token"], "action": "take_over", "outcome": "not_needed"}
    assert (await api.post(f"/handoffs/{taken['handoff_id']}/resolve", body)).status_code == 200
    missed = await drills.begin(api.running.store, ruleset(), api.tenant, "tier1", 1_000, "ana", now_ms() - 5_000)
    assert (await drills.look(api.running.store, api.tenant, missed.drill_id, now_ms())).result == "failed"
    assert await counted(api) == before


async def test_drills_have_series_of_their_own(api: Api) -> None:
    async def series() -> dict[str, float]:
        text = (await api.get("/metrics", "manager")).text
        mine = [line for line in text.splitlines() if line.startswith("handrail_drill_")]
        label = f'{{queue="tier1",tenant="{api.tenant}"}} '
        return {
            name.removeprefix("handrail_drill_"): float(value) for name, value in (one.split(label) for one in mine)
        }

    store = api.running.store
    await begun(api)
    assert await series() == {}, "one that goes on has come to nothing yet"
    claim = (await api.post("/queues/tier1/claim")).json()
    first = await series()
    assert (first["passed"], 0 <= first["came_seconds"] < 60) == (1, True)
    body = {"token": claim["lease"]["token"], "action": "take_over", "outcome": "needed"}
    await api.post(f"/handoffs/{claim['handoff']['id']}/resolve", body)
    opened_at_ms = now_ms() + 60_000
    await drills.begin(store, ruleset(), api.tenant, "tier1", 1_000, "ana", opened_at_ms)
    ended = await drills.last_ended(store, api.tenant, opened_at_ms + 5_000)
    assert [(each.result, each.ended_at_ms) for each in ended] == [("failed", opened_at_ms + 1_000)]
    assert await series() == {"passed": 0, "ended_timestamp_seconds": (opened_at_ms + 1_000) / 1000}


async def test_a_weekly_drill_keeps_its_series_behind_any_number_of_hourly_ones(api: Api) -> None:
    store, tenant, at_ms = api.running.store, api.tenant, now_ms()

    async def ended(name: str, queue: str, opened_at_ms: int) -> None:
        drill = drills.Drill(DRILL_MARK + name, queue, "", 1_000, opened_at_ms, "schedule")
        await kept.keep(store, tenant, drill)
        await kept.end(store, tenant, drill, "failed", opened_at_ms + 1_000, 0)

    await ended("weekly", "tier1", at_ms)
    for number in range(drills.HISTORY_MAX + 1):
        await ended(f"hourly-{number}", "desk", at_ms + 1 + number)
    assert "tier1" not in {each.queue for each in await drills.history(store, tenant, drills.HISTORY_MAX, at_ms)}
    found = await drills.last_ended(store, tenant, at_ms)
    assert [(each.queue, each.drill_id) for each in found] == [
        ("desk", f"{DRILL_MARK}hourly-{drills.HISTORY_MAX}"),
        ("tier1", f"{DRILL_MARK}weekly"),
    ]
    text = (await api.get("/metrics", "manager")).text
    assert f'handrail_drill_passed{{queue="tier1",tenant="{tenant}"}} 0.0' in text


async def test_the_last_of_a_queue_is_the_one_that_began_last_whichever_ended_first(api: Api) -> None:
    store, tenant, at_ms = api.running.store, api.tenant, now_ms()
    made = [drills.Drill(f"{DRILL_MARK}{number}", "tier1", "", 9_000, at_ms + number, "ana") for number in range(3)]
    for number in (1, 2, 0):
        await kept.keep(store, tenant, made[number])
        await kept.end(store, tenant, made[number], "failed", at_ms + 10_000, 0)
    assert [each.drill_id for each in await drills.last_ended(store, tenant, at_ms)] == [made[2].drill_id]


async def test_no_agent_marks_its_conversation_as_a_drill(api: Api) -> None:
    answer = await api.ask(conversation_id=DRILL_MARK + "mine")
    assert (answer.status_code, answer.json()["code"]) == (422, "body_invalid")


async def test_nothing_becomes_known_of_a_drill_later(api: Api) -> None:
    drill = await begun(api)
    for about in ({"handoff_id": drill["handoff_id"]}, {"conversation_id": drill["id"]}):
        answer = await api.post("/outcomes", {"kind": "complaint"} | about, "manager")
        assert (answer.status_code, answer.json()["code"]) == (404, "handoff_unknown")


async def test_a_schedule_opens_each_drill_once_however_many_look_and_after_every_kill(api: Api) -> None:
    store, tenant, rules = api.running.store, api.tenant, ruleset()
    planned = Schedule("tier1", 3_600_000, now_ms() - 5 * 3_600_000, 60_000)
    await drills.schedule(store, rules, tenant, planned)
    due = await drills.due(store, tenant, now_ms())
    assert len(due) == 1
    await asyncio.gather(*(drills.run_due(store, rules, tenant, due, now_ms()) for _ in range(6)))
    (opened,) = await drills.history(store, tenant, 10, now_ms())
    # As it is after a kill between the opening and the record of it.
    place = store.places(tenant)[0]
    await store.link.call("DEL", place.drill(opened.drill_id))
    again = await drills.due(store, tenant, now_ms())
    await drills.run_due(store, rules, tenant, again, now_ms())
    (found,) = await drills.history(store, tenant, 10, now_ms())
    assert (found.handoff_id, found.opened_at_ms) == (opened.handoff_id, opened.opened_at_ms)
    assert (await told(store, tenant)).count("handoff.opened") == 1
    assert await drills.due(store, tenant, now_ms()) == []


async def test_a_drill_of_a_queue_that_is_gone_fails_and_is_told(api: Api) -> None:
    store, tenant, rules = api.running.store, api.tenant, ruleset()
    await drills.schedule(store, rules, tenant, Schedule("later", 3_600_000, now_ms() - 1_000, 60_000))
    del_rules = ruleset("""handrail: 1
queues: {tier1: {answer_within: 5m, on_timeout: {verdict: deny, say: {en: No.}}, say: {en: Wait.}}}
rules: [{id: a, why: b, when: confidence < 0.5, then: {escalate: tier1}}]
""")
    await drills.run_due(store, del_rules, tenant, await drills.due(store, tenant, now_ms()), now_ms())
    (found,) = await drills.history(store, tenant, 10, now_ms())
    assert (found.result, found.handoff_id) == ("failed", "")
    assert [each for each in await told(store, tenant) if each != "key.created"] == ["drill.failed"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"queue": "nowhere"}, 404, "queue_unknown"),
        ({"queue": "tier1", "within_ms": 10}, 422, "body_invalid"),
        ({"queue": "tier1", "within_ms": 10**12}, 422, "body_invalid"),
        ({}, 422, "body_invalid"),
    ],
)
async def test_a_drill_that_cannot_be_is_refused(api: Api, body: dict[str, Any], status: int, code: str) -> None:
    answer = await api.post("/drills", body, "manager")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_schedules_are_kept_shown_and_removed(api: Api) -> None:
    path = "/drills/schedules/tier1"
    body = {"every_ms": 86_400_000, "at_minutes": 600}
    put = await api.client.put(path, json=body, headers=api.bearer("manager"))
    assert put.status_code == 200, put.text
    assert now_ms() < put.json()["next_at_ms"] <= now_ms() + 86_400_000
    assert (await api.get("/drills", "operator")).json()["schedules"] == [put.json()]
    refused = await api.client.put(path, json=body, headers=api.bearer("operator"))
    assert refused.json()["code"] == "role_missing"
    assert (await api.client.delete(path, headers=api.bearer("manager"))).status_code == 204
    assert (await api.client.delete(path, headers=api.bearer("manager"))).json()["code"] == "drill_unknown"
    assert (await api.get("/drills/nothing", "operator")).json()["code"] == "drill_unknown"
