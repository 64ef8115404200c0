"""A call that a busy queue promised, while time goes by: only a person ends it, in `try`, a test and the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from rules.handoff import NO_DEADLINE_AT_MS
from service.clock import now_ms
from service.flows import budgets, deadlines
from tests.rules.test_shedding import HEAD, UNSURE
from tests.service.api_service import Api, Server, embedded, ruleset, served
from tests.service.cli_run import handrail, rules_in

DAY_MS = 86_400_000
RULES = HEAD.replace("    budget:", "    resolve_within: 1h\n    warn_before: 2m\n    budget:") + UNSURE
CASES = """handrail_tests: 1
cases:
  - name: a call waits
    pressure: {tier1: 210%}
    turns:
      - {message: a, confidence: 0.35, expect: {verdict: review, say: We will call you back today.}}
      - {after: 24h, expect: {handoff: {state: waiting, priority: low}}}
      - {claim: true}
      - {release: true}
      - {after: 24h, expect: {handoff: {state: waiting}}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("calls") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server, ruleset(RULES)) as found:
        yield found


async def promised(api: Api) -> str:
    """Return the handoff of a turn for which a call was promised, as the queue has twice what it can take."""
    for _ in range(20):
        assert (await api.ask(confidence=0.1)).json()["verdict"] == "escalate"
    await budgets.look_again(api.running.store, now_ms())
    call = (await api.ask(confidence=0.1)).json()
    assert (call["verdict"], call["say"]) == ("review", "We will call you back today.")
    assert call["handoff"]["expires_at_ms"] is None
    handoff_id: str = call["handoff"]["id"]
    return handoff_id


async def handoff_of(api: Api, handoff_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"/handoffs/{handoff_id}", "operator")).json()
    return found


@pytest.mark.server
async def test_a_promised_call_outlives_every_deadline_of_its_queue(api: Api) -> None:
    handoff_id = await promised(api)
    later_ms = now_ms() + 30 * DAY_MS
    while await deadlines.sweep(api.running.store, api.tenant, later_ms):
        pass
    listed = (await api.get("/handoffs", "operator")).json()["handoffs"]
    # Those who waited in vain were promised a call as well: they have waited for less long.
    assert [(each["kind"], each["expires_at_ms"]) for each in listed] == [("review", None)] * 21
    open_still = listed[0]
    assert (open_still["call"]["say"], open_still["call"]["after"]) == ("We will call you back today.", None)
    assert (open_still["id"], open_still["state"], open_still["priority"]) == (handoff_id, "waiting", "low")
    assert (open_still["expires_at_ms"], open_still["resolve_by_ms"]) == (None, None)
    claimed = await api.post("/queues/tier1/claim")
    assert claimed.status_code == 200, claimed.text
    taken = claimed.json()
    assert (taken["handoff"]["id"], taken["packet"]["task"]["answer_by_ms"]) == (handoff_id, None)
    assert "deadline" not in taken["handoff"]["assigned_why"]
    token = taken["lease"]["token"]
    assert (await api.post(f"/handoffs/{handoff_id}/release", {"token": token})).status_code == 200
    while await deadlines.sweep(api.running.store, api.tenant, later_ms):
        pass
    assert (await handoff_of(api, handoff_id))["state"] == "waiting"


@pytest.mark.server
async def test_a_call_whose_operator_goes_silent_waits_again_without_a_deadline(api: Api) -> None:
    handoff_id = await promised(api)
    assert (await api.post(f"/handoffs/{handoff_id}/claim")).status_code == 200
    while await deadlines.sweep(api.running.store, api.tenant, now_ms() + DAY_MS):
        pass
    after = await handoff_of(api, handoff_id)
    assert (after["state"], after["holder"], after["expires_at_ms"]) == ("waiting", None, None)
    store = api.running.store
    partition = store.place_of(api.tenant, after["conversation_id"]).partition
    assert await deadlines.next_due_at_ms(store, api.tenant, partition) == NO_DEADLINE_AT_MS, "as Lua wrote it"


def test_in_a_test_a_call_waits_for_days(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules", RULES)
    (rules / "calls.tests.yaml").write_text(CASES)
    tested = handrail("test", str(rules))
    assert tested.exit_code == 0, tested.output
    (rules / "calls.tests.yaml").write_text(CASES + "      - {timeout: true}\n")
    tested = handrail("test", str(rules))
    assert tested.exit_code == 1
    assert "a call was promised, so it waits until somebody takes it" in tested.output


def test_tried_a_call_waits_until_somebody_takes_it(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules", RULES)
    lines = ("/pressure tier1 210%", "/confidence 0.35", "hello", "/after 20m", "/resolve")
    tried = handrail("try", "--rules", str(rules), "--at", "2026-03-02T09:00", stdin="".join(f"{x}\n" for x in lines))
    assert tried.exit_code == 0, tried.output
    assert "waits in `tier1` until somebody takes it: /hand-back or /resolve ends that\n" in tried.output
    assert "it is Mon 09:20:00\n" in tried.output
    assert "nobody came in time" not in tried.output
    assert "resolved" in tried.output
