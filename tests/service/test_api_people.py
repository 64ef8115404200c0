"""Operators over HTTP and in the command: declared by a file or one by one, there by a heartbeat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.api.operators_watch import watch_operators
from tests.service.api_service import Api, Server, embedded, ruleset, served
from tests.service.cli_run import handrail

pytestmark = pytest.mark.server

RULES = """\
handrail: 1
queues:
  cards:
    answer_within: 20m
    resolve_within: 4h
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
    needs: {fraud: 3}
    ladder: [{after: 5m, needs: [fraud]}]
rules:
  - {id: cards, why: x, when: channel = cards, then: {escalate: cards}}
"""
TEAM = """\
timezone: Europe/Madrid
operators:
  - name: operator-key
    title: Mia Torres
    skills: {fraud: 2}
    languages: [en, es]
    capacity: 2
    weights: {escalate: 2}
    hours: [{days: [mon, tue, wed, thu, fri, sat, sun], from: "00:00", to: "24:00"}]
    absences: [{from: 2020-01-01, to: 2020-01-02, why: holidays}]
  - name: ben
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("people"))


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server, ruleset(RULES)) as api:
        yield api


async def me(api: Api) -> str:
    """Return the name of the operator's key."""
    shown = await api.post("/presence")
    assert shown.status_code == 200
    return str((await api.get("/operators", "operator")).json()["operators"][0]["name"])


async def test_nobody_is_declared_and_everybody_may_claim(api: Api) -> None:
    await api.ask(channel="cards")
    claimed = await api.post("/claim")
    assert claimed.status_code == 200
    handoff = claimed.json()["handoff"]
    assert handoff["wanted"] == {
        "needs": [{"skill": "fraud", "level": 3}],
        "languages": [],
        "also_queues": [],
        "changes_at_ms": None,
    }
    # The earlier of its deadline in 20 minutes and what a normal one may be passed over for.
    assert handoff["urgency_at_ms"] == handoff["opened_at_ms"] + 15 * 60_000
    assert handoff["resolve_by_ms"] == handoff["opened_at_ms"] + 4 * 3_600_000
    assert "the most urgent of all that" in handoff["assigned_why"]


async def test_a_file_declares_everybody_and_a_claim_goes_by_it(api: Api) -> None:
    name = await me(api)
    told = await api.client.put(
        "/operators", json={"text": TEAM.replace("operator-key", name)}, headers=api.bearer("manager")
    )
    assert (told.status_code, told.json()) == (200, {"declared": 2, "warnings": []})
    await api.ask(channel="cards")
    assert (await api.post("/claim")).status_code == 204
    assert (await api.post("/queues/cards/claim")).status_code == 204
    better = {"skills": {"fraud": 3}, "capacity": 2, "weights": {"escalate": 2}}
    told = await api.client.put(f"/operators/{name}", json=better, headers=api.bearer("manager"))
    assert told.json() == {"declared": 2, "warnings": []}
    claimed = await api.post("/claim")
    assert claimed.status_code == 200
    assert claimed.json()["handoff"]["assigned_why"].endswith(f"it needed fraud 3; {name} had 0 of 2 in hand")
    await api.ask(channel="cards")
    full = await api.post("/claim")
    assert (full.status_code, full.json()["code"], full.json()["detail"]) == (
        409,
        "capacity_reached",
        "you have 2 of 2 in hand",
    )
    listed = {each["name"]: each for each in (await api.get("/operators", "manager")).json()["operators"]}
    assert (listed[name]["load"], listed[name]["why_not"]) == (2, "2 of 2 in hand")
    assert (listed["ben"]["present_until_ms"], listed["ben"]["why_not"]) == (None, "no heartbeat")


async def test_whoever_leaves_is_not_there_any_more(api: Api) -> None:
    name = await me(api)
    left = await api.post("/presence", {"available": False})
    assert left.json() == {"present_until_ms": None}
    await api.client.put(f"/operators/{name}", json={}, headers=api.bearer("manager"))
    (listed,) = (await api.get("/operators", "manager")).json()["operators"]
    assert (listed["available"], listed["why_not"]) == (False, "no heartbeat")
    gone = await api.client.delete(f"/operators/{name}", headers=api.bearer("manager"))
    assert gone.status_code == 204
    again = await api.client.delete(f"/operators/{name}", headers=api.bearer("manager"))
    assert (again.status_code, again.json()["code"]) == (404, "operator_unknown")


async def test_mistakes_are_told_at_their_place_and_change_nothing(api: Api) -> None:
    text = "operators:\n  - {name: mia, skills: {fraud: high}, capacty: 2}\n  - {title: Nobody}\n"
    told = await api.client.put("/operators", json={"text": text}, headers=api.bearer("manager"))
    assert (told.status_code, told.json()["code"]) == (422, "rules_invalid")
    assert [(each["line"], each["code"], each["message"]) for each in told.json()["problems"]] == [
        (2, "R105", "unknown key `capacty` in an operator"),
        (2, "R116", "the level of `fraud` is no whole number from 1 to 10"),
        (3, "R106", "an operator has no `name`"),
    ]
    assert (await api.get("/operators", "manager")).json() == {"operators": []}
    other = await api.client.put("/operators/mia", json={"name": "ben"}, headers=api.bearer("manager"))
    assert (other.status_code, other.json()["detail"]) == (422, "`name` is another one than that of the address")
    one = await api.client.put("/operators/mia", json={"capacity": "two"}, headers=api.bearer("manager"))
    assert one.json()["problems"][0]["message"] == "`capacity` is no whole number from 0 to 1000"


async def test_only_managers_declare_and_only_operators_are_there(api: Api) -> None:
    refused = await api.client.put("/operators", json={"text": TEAM}, headers=api.bearer("operator"))
    assert refused.status_code == 403
    assert (await api.post("/presence", role="agent")).status_code == 403
    assert (await api.get("/operators", "agent")).status_code == 403


def test_the_command_looks_for_mistakes_without_a_service(tmp_path: Path) -> None:
    (tmp_path / "operators.yaml").write_text(TEAM)
    fine = handrail("operators", "apply", "--check", str(tmp_path))
    assert (fine.exit_code, fine.stdout.strip()) == (0, f"{tmp_path / 'operators.yaml'}: 2 operators")
    (tmp_path / "operators.yaml").write_text("operators: [{name: mia, hours: [{from: 9, to: '25:00'}]}]")
    wrong = handrail("operators", "apply", "--check", "--json", str(tmp_path))
    assert wrong.exit_code == 1
    assert "R116: `from` is no time of day" in wrong.stderr
    assert "R116: `to` is no time of day" in wrong.stderr
    assert handrail("operators", "apply", str(tmp_path / "nowhere")).exit_code == 2


async def test_a_queue_that_the_rules_do_not_have_is_told(api: Api) -> None:
    text = "operators: [{name: mia, queues: [cards, nope]}]"
    told = await api.client.put("/operators", json={"text": text}, headers=api.bearer("manager"))
    assert told.json() == {
        "declared": 1,
        "warnings": ["`mia` serves `nope`, which is no queue of the rules that decide now"],
    }


def test_a_file_that_names_nobody_opens_everything_only_where_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "operators.yaml"
    file.write_text("operators: []\n")
    refused = handrail("operators", "apply", str(file))
    assert refused.exit_code == 2
    assert (
        f"{file} names nobody, and while nobody is declared every operator's key may claim everything" in refused.stderr
    )
    assert handrail("operators", "apply", "--check", "--nobody", str(file)).stdout.strip() == f"{file}: 0 operators"


def test_a_path_that_leads_nowhere_is_to_be_checked(tmp_path: Path) -> None:
    told = handrail("operators", "apply", str(tmp_path / "nowhere.yaml"))
    assert (told.exit_code, "check the path" in told.stderr) == (2, True)


def test_json_of_the_check_names_everybody(tmp_path: Path) -> None:
    (tmp_path / "operators.yaml").write_text(TEAM)
    told = handrail("operators", "apply", "--check", "--json", str(tmp_path))
    assert json.loads(told.stdout) == {"operators": ["operator-key", "ben"]}


async def test_the_file_beside_the_rules_is_taken_up_with_every_good_edit(api: Api, tmp_path: Path) -> None:
    async def named() -> list[str]:
        return [each["name"] for each in (await api.get("/operators", "manager")).json()["operators"]]

    async def until(names: list[str]) -> None:
        async with asyncio.timeout(20):
            while await named() != names:  # noqa: ASYNC110  # what is waited for happens in the store
                await asyncio.sleep(0.05)

    api.running.settings.__dict__["tenant"] = api.tenant
    file = tmp_path / "operators.yaml"
    file.write_text(TEAM)
    watching = asyncio.create_task(watch_operators(api.running, tmp_path))
    try:
        await until(["ben", "operator-key"])
        file.write_text("operators: [{name: m/ia}]")
        assert (await refusal(api))["fact"] == "operators.yaml has 1 error"
        assert await named() == ["ben", "operator-key"]
        file.write_text("operators: [{name: mia}]")
        await until(["mia"])
        await taken(api)
        # A queue that the rules do not have: `check` refuses it as well.
        file.write_text("operators: [{name: mia, skils: [x]}]")
        told = await refusal(api)
        assert (told["fact"], told["problems"]) == (
            "operators.yaml has 1 error",
            [f"{file}:1:25: R105: unknown key"],
        )
        file.write_text("operators: [{name: mia, queues: [nope]}]")
        async with asyncio.timeout(20):
            while (told := await refusal(api))["fact"] == "operators.yaml has 1 error":  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.05)
        assert told["fact"] == "operators.yaml: `mia` serves `nope`, which is no queue of the rules that decide now"
        assert "handrail_operators_faulty 1.0" in (await api.get("/metrics", "manager")).text
        assert await named() == ["mia"]
        file.write_text("operators: [{name: ana}]")
        await until(["ana"])
        await taken(api)
    finally:
        watching.cancel()


async def taken(api: Api) -> None:
    """Wait until nothing is told of the file any more: a moment after those whom it names are there."""
    async with asyncio.timeout(20):
        while (await api.client.get("/readyz")).json() != {"status": "ready"}:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.05)


async def refusal(api: Api) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while "operators" not in (health := (await api.client.get("/readyz")).json()):  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.05)
    told: dict[str, Any] = health["operators"]
    assert told["status"] == "refused"
    return told
