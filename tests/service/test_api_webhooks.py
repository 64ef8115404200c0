"""Admins add webhooks, see how they fare and send again what was given up; nobody else, and never with a secret."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from service.clock import now_ms
from service.flows import deliver, webhooks
from service.flows.deliver import Means
from service.flows.tries import Answer, Request
from service.flows.webhook_events import EVENTS
from tests.service.api_service import Api, Server, embedded, served

URL = "https://shop.example/hooks/handrail"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("hooks") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


async def run(api: Api, status: int) -> list[str]:
    """Deliver what is due to a receiver that answers with one status, and return where to."""
    called = []

    async def send(request: Request) -> Answer:
        called.append(request.url)
        return Answer(status, f"answered {status}")

    await deliver.deliver_due(api.running.store, api.tenant, 0, Means(send, now_ms, lambda: 0.5, "1"), 5_000)
    return called


async def test_a_webhook_is_added_with_its_secret_once_and_listed_without(api: Api) -> None:
    answer = await api.post("/webhooks", {"url": URL, "events": ["handoff.*"], "about": "the shop"}, "admin")
    assert answer.status_code == 201
    made = answer.json()
    secret = made.pop("secret")
    assert webhooks.checked_secret(secret) == secret
    assert made == {
        "id": made["id"],
        "url": URL,
        "events": ["handoff.*"],
        "about": "the shop",
        "created_at_ms": made["created_at_ms"],
        "disabled": None,
    }
    listed = await api.get("/webhooks", "admin")
    assert listed.json() == {"webhooks": [made]}
    assert secret not in listed.text


async def test_a_secret_is_replaced_by_another(api: Api) -> None:
    made = (await api.post("/webhooks", {"url": URL}, "admin")).json()
    renewed = (await api.post(f"/webhooks/{made['id']}/secret", None, "admin")).json()
    assert renewed["secret"] != made["secret"]
    assert {**renewed, "secret": None} == {**made, "secret": None}


async def test_a_test_event_is_owed_and_a_removed_webhook_is_gone(api: Api) -> None:
    made = (await api.post("/webhooks", {"url": URL, "events": ["outcome.recorded"]}, "admin")).json()
    tested = await api.post(f"/webhooks/{made['id']}/test", None, "admin")
    assert (tested.status_code, list(tested.json())) == (202, ["event_id"])
    assert await run(api, 200) == [URL]
    removed = await api.client.delete(f"/webhooks/{made['id']}", headers=api.bearer("admin"))
    assert (removed.status_code, removed.content) == (204, b"")
    assert (await api.get("/webhooks", "admin")).json() == {"webhooks": []}


async def test_what_is_gone_is_out_of_service_until_it_is_enabled_and_sent_again(api: Api) -> None:
    made = (await api.post("/webhooks", {"url": URL}, "admin")).json()
    event_id = (await api.post(f"/webhooks/{made['id']}/test", None, "admin")).json()["event_id"]
    await run(api, 410)
    (listed,) = (await api.get("/webhooks", "admin")).json()["webhooks"]
    assert listed["disabled"] == "answered 410"
    (dead,) = (await api.get("/webhooks/dead-letters", "admin")).json()["dead_letters"]
    assert (dead["webhook_id"], dead["event_id"], dead["type"], dead["tries"], dead["fact"]) == (
        made["id"],
        event_id,
        "webhook.test",
        1,
        "answered 410",
    )
    enabled = await api.post(f"/webhooks/{made['id']}/enable", None, "admin")
    assert enabled.json()["disabled"] is None
    again = await api.post(f"/webhooks/dead-letters/{dead['id']}/redeliver", None, "admin")
    assert again.status_code == 202
    assert await run(api, 200) == [URL]
    assert (await api.get("/webhooks/dead-letters", "admin", limit=5)).json() == {"dead_letters": []}
    twice = await api.post(f"/webhooks/dead-letters/{dead['id']}/redeliver", None, "admin")
    assert (twice.status_code, twice.json()["code"]) == (404, "dead_letter_unknown")


async def test_the_types_of_events_are_listed(api: Api) -> None:
    assert (await api.get("/webhooks/events", "admin")).json() == {"events": dict(EVENTS)}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"url": "http://10.0.0.1/"}, 422, "webhook_url_refused"),
        ({"url": "https://169.254.169.254/latest"}, 422, "webhook_url_refused"),
        ({"url": "https://mia:secret@shop.example/"}, 422, "webhook_url_refused"),
        ({"url": URL, "events": ["handoff.opend"]}, 422, "events_unknown"),
        ({"url": URL, "secret": "whsec_c2hvcnQ="}, 422, "webhook_secret_unfit"),
        ({"url": URL, "events": []}, 422, "body_invalid"),
        ({"url": URL, "secret": "hunter2"}, 422, "body_invalid"),
        ({"url": URL, "color": "turquoise"}, 422, "body_invalid"),
        ({}, 422, "body_invalid"),
    ],
)
async def test_a_webhook_that_cannot_work_is_refused_without_telling_its_words_back(
    api: Api, body: dict[str, object], status: int, code: str
) -> None:
    answer = await api.post("/webhooks", body, "admin")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["hint"]
    for word in ("10.0.0.1", "169.254", "secret@", "opend", "c2hvcnQ", "hunter2", "turquoise"):
        assert word not in answer.text


@pytest.mark.parametrize("role", ["agent", "operator", "manager"])
async def test_only_admins_may(api: Api, role: str) -> None:
    refused = [
        await api.get("/webhooks", role),
        await api.post("/webhooks", {"url": URL}, role),
        await api.get("/webhooks/dead-letters", role),
        await api.post("/webhooks/whk_1/test", None, role),
    ]
    assert {(each.status_code, each.json()["code"]) for each in refused} == {(403, "role_missing")}


async def test_one_tenant_does_not_see_another_s(api: Api, server: Server) -> None:
    made = (await api.post("/webhooks", {"url": URL}, "admin")).json()
    async with served(server) as other:
        assert (await other.get("/webhooks", "admin")).json() == {"webhooks": []}
        answer = await other.post(f"/webhooks/{made['id']}/test", None, "admin")
        assert (answer.status_code, answer.json()["code"]) == (404, "webhook_unknown")
