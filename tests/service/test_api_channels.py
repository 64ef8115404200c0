"""Managers say how people are told; whoever is told says that they come; a link shows no more than that it is ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from rules.telling.tell_text import Item, Message
from service.clock import now_ms
from service.flows import channels, deliver, links, tellings
from service.flows.channels import Channel
from service.flows.tellings import Means
from service.flows.tries import Answer
from service.store import channels as channels_kept
from tests.service.api_service import RULES, Api, Server, embedded, ruleset, served

pytestmark = pytest.mark.server

TAKEN = Answer(200, "answered 200")
SECRET = "T0SECRET"
ROOM = {"name": "on-call", "kind": "slack", "url": f"http://127.0.0.1:9/services/{SECRET}"}
MAIL = {"host": "smtp.shop.example", "sender": "h@shop.example", "to": ["ana@shop.example"]}
NOTIFY = RULES.replace(
    "    title: First line\n", "    title: First line\n    notify: [{channel: on-call, repeat: 30s}]\n", 1
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("channels") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server, ruleset(NOTIFY)) as found:
        yield found


async def tell(api: Api, answer: Answer = TAKEN) -> list[str]:
    """Do what the workers do once, a little later so that everything is due, and return what was said."""
    said = []

    async def send(tenant: str, channel: Channel, message: Message, items: Sequence[Item], message_id: str) -> Answer:
        said.append(message.text)
        return answer

    store = api.running.store
    step = await deliver.fan_out(store, api.tenant, 0, "tests", now_ms())
    await tellings.owe(store, api.tenant, step.events)
    await deliver.forget(store, api.tenant, 0, step.entries)
    later = Means(send, lambda: now_ms() + 20_000, "https://desk.example")
    await tellings.tell_due(store, api.tenant, later, 30_000)
    return said


async def test_a_channel_is_added_shown_masked_and_removed(api: Api) -> None:
    made = await api.post("/channels", ROOM, "manager")
    assert made.status_code == 201
    assert made.json() == {
        "name": "on-call",
        "kind": "slack",
        "leads_to": "http://127.0.0.1:9/…",
        "language": "en",
        "gather_ms": 10_000,
        "quiet": None,
        **dict.fromkeys(("owed", "messages", "told", "held", "failed", "given_up", "failures_in_a_row"), 0),
        "last_fact": None,
        "last_try_at_ms": None,
        "rests_until_at_ms": None,
    }
    quiet = {"hours": "22:00-07:00", "timezone": "Europe/Madrid"}
    mail = {"name": "managers", "kind": "email", "language": "es", "quiet": quiet}
    login = {"user": "handrail", "password": "hunter2 hunter2"}
    assert (await api.post("/channels", {**mail, "mail": {**MAIL, **login}}, "admin")).status_code == 201
    listed = await api.get("/channels", "manager")
    assert [each["name"] for each in listed.json()["channels"]] == ["managers", "on-call"]
    shown = listed.json()["channels"][0]
    assert shown["leads_to"] == "ana@shop.example by smtp.shop.example:587 (starttls)"
    assert shown["quiet"]["hours"] == "22:00-07:00"
    assert SECRET not in listed.text
    assert "hunter2" not in listed.text
    assert (await api.client.delete("/channels/on-call", headers=api.bearer("manager"))).status_code == 204
    again = await api.client.delete("/channels/on-call", headers=api.bearer("manager"))
    assert (again.status_code, again.json()["code"]) == (404, "channel_unknown")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**ROOM, "url": "http://10.0.0.1/x"}, "webhook_url_refused"),
        ({**ROOM, "url": "http://169.254.169.254/x"}, "webhook_url_refused"),
        ({**ROOM, "url": "https://user:pass@shop.example/x"}, "webhook_url_refused"),
        ({**ROOM, "name": "on call"}, "channel_unfit"),
        ({**ROOM, "name": "on-call?test"}, "channel_unfit"),
        ({**ROOM, "language": "xx"}, "channel_unfit"),
        ({**ROOM, "url": None}, "channel_unfit"),
        ({**ROOM, "mail": MAIL}, "channel_unfit"),
        ({**ROOM, "quiet": {"hours": "always"}}, "channel_unfit"),
        ({**ROOM, "quiet": {"hours": "22:00-07:00", "timezone": "Mars/Base"}}, "channel_unfit"),
        ({**ROOM, "gather_ms": 10_000_000}, "body_invalid"),
        ({"name": "m", "kind": "email", "mail": {**MAIL, "host": "10.0.0.1"}}, "webhook_url_refused"),
        ({"name": "m", "kind": "email", "mail": {**MAIL, "to": ["ana\nBcc: x@y"]}}, "channel_unfit"),
        ({"name": "m", "kind": "email", "mail": {**MAIL, "user": "u"}}, "channel_unfit"),
        ({"name": "m", "kind": "email", "mail": {**MAIL, "host": "smtp/x"}}, "channel_unfit"),
        ({"name": "h", "kind": "webhook", "webhook_id": "whk_none"}, "webhook_unknown"),
    ],
)
async def test_what_cannot_be_a_channel_is_refused_without_telling_it_back(api: Api, body: Any, code: str) -> None:
    refused = await api.post("/channels", body, "manager")
    assert refused.json()["code"] == code, refused.text
    assert SECRET not in refused.text
    assert (await api.get("/channels", "manager")).json() == {"channels": []}


async def test_only_managers_and_admins_have_to_do_with_channels(api: Api) -> None:
    for role in ("agent", "operator"):
        assert (await api.get("/channels", role)).status_code == 403
        assert (await api.post("/channels", ROOM, role)).status_code == 403
        assert (await api.post("/channels/on-call/test", None, role)).status_code == 403


async def test_an_acknowledgement_by_a_manager_ends_the_telling_and_not_the_wait(api: Api) -> None:
    await api.post("/channels", ROOM, "manager")
    handoff_id = (await api.escalated())["handoff"]["id"]
    said = await tell(api)
    assert len(said) == 1
    answer = await api.post(f"/handoffs/{handoff_id}/acknowledge", None, "manager")
    assert (answer.status_code, answer.json()["state"]) == (200, "waiting")
    assert answer.json()["acknowledged_by"] is not None
    version = answer.json()["version"]
    again = await api.post(f"/handoffs/{handoff_id}/acknowledge", None, "manager")
    assert (again.json()["version"], again.status_code) == (version, 200)
    assert (await api.post(f"/handoffs/{handoff_id}/acknowledge", None, "agent")).status_code == 403
    claimed = await api.post(f"/handoffs/{handoff_id}/claim")
    assert claimed.json()["handoff"]["acknowledged_by"] is None
    token = claimed.json()["lease"]["token"]
    ended = {"token": token, "action": "answer", "text": "done", "outcome": "needed"}
    assert (await api.post(f"/handoffs/{handoff_id}/resolve", ended)).status_code == 200
    late = await api.post(f"/handoffs/{handoff_id}/acknowledge", None, "manager")
    assert (late.status_code, late.json()["code"]) == (409, "move_illegal")
    assert (await api.post("/handoffs/hof_0_0000000000000000/acknowledge")).status_code == 404


async def test_a_link_shows_that_it_is_ours_and_opens_nothing(api: Api) -> None:
    await api.post("/channels", ROOM, "manager")
    handoff_id = (await api.escalated(message="let me talk to a human, my PIN is 4711"))["handoff"]["id"]
    (said,) = await tell(api)
    parts = urlsplit(said.splitlines()[-1])
    assert (parts.netloc, parts.path) == ("desk.example", f"/open/{handoff_id}")
    path = f"{parts.path}?{parts.query}"
    shown = await api.client.get(path)
    assert shown.json() == {
        "handoff_id": handoff_id,
        "state": "waiting",
        "now": "it waits for a person",
        "handoff": f"/handoffs/{handoff_id}",
    }
    page = await api.client.get(path, headers={"accept": "text/html"})
    assert "It waits for a person" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
    assert "4711" not in shown.text + page.text
    # It names the handoff; what is in it is for those with a key.
    assert (await api.client.get(f"/handoffs/{handoff_id}?{parts.query}")).status_code == 401
    signature = parse_qs(parts.query)["sig"][0]
    other = (await api.escalated())["handoff"]["id"]
    for wrong in (
        path.replace(signature, "0" * 64),
        path.replace(handoff_id, other),
        path.replace(f"tenant={api.tenant}", "tenant=other"),
        path.replace("exp=1", "exp=2"),
    ):
        refused = await api.client.get(wrong)
        assert (refused.status_code, refused.json()["code"]) == (403, "link_invalid")
    await api.post(f"/handoffs/{handoff_id}/claim")
    assert (await api.client.get(path)).json()["now"] == "somebody has it"


async def test_an_old_link_says_so(api: Api) -> None:
    handoff_id = (await api.escalated())["handoff"]["id"]
    key = await links.secret(api.running.store)
    parts = urlsplit(links.link("http://x", key, api.tenant, handoff_id, now_ms() - links.LINK_MS - 3_600_000))
    old = await api.client.get(f"{parts.path}?{parts.query}")
    assert (old.status_code, old.json()["code"]) == (410, "link_expired")


async def test_a_test_message_says_what_was_answered(api: Api) -> None:
    await api.post("/channels", ROOM, "manager")
    trying = asyncio.create_task(api.post("/channels/on-call/test", None, "manager"))
    said: list[str] = []
    async with asyncio.timeout(20):
        while not said:
            said = await tell(api, Answer(404, "answered 404"))
    assert said == ["This is a test of the channel on-call. Nobody waits."]
    assert (await trying).json() == {"taken": False, "fact": "answered 404"}
    unknown = await api.post("/channels/nobody/test", None, "manager")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "channel_unknown")


async def test_a_channel_that_was_mended_or_tested_has_no_failures_behind_it(api: Api) -> None:
    async def failures() -> tuple[int, str | None]:
        (channel,) = (await api.get("/channels", "manager")).json()["channels"]
        rests.append(channel["rests_until_at_ms"])
        return channel["failures_in_a_row"], channel["last_fact"]

    rests: list[int | None] = []

    await api.post("/channels", ROOM, "manager")
    await api.escalated()
    await tell(api, Answer(429, "answered 429", 900_000))
    assert await failures() == (1, "answered 429")
    (until_at_ms,) = rests
    assert until_at_ms is not None
    assert until_at_ms > now_ms() + 600_000
    await api.post("/channels", ROOM, "manager")
    assert await failures() == (0, None)
    assert rests == [until_at_ms, None]
    await channels_kept.failed(api.running.store, api.tenant, "on-call", "answered 500", now_ms())
    await channels_kept.note_test(api.running.store, api.tenant, "on-call", "t", ok=False, fact="answered 500")
    assert (await failures())[0] == 1
    await channels_kept.note_test(api.running.store, api.tenant, "on-call", "t", ok=True, fact="answered 200")
    assert await failures() == (0, None)


async def test_a_test_without_a_worker_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "TEST_WAIT_MS", 200)
    await api.post("/channels", ROOM, "manager")
    told = await api.post("/channels/on-call/test", None, "manager")
    assert told.json() == {"taken": None, "fact": "no worker took it up in time"}


async def test_how_channels_fare_stands_in_the_metrics(api: Api) -> None:
    await api.post("/channels", ROOM, "manager")
    await api.escalated()
    await tell(api, Answer(500, "answered 500"))
    told = (await api.get("/metrics", "manager")).text
    label = f'{{channel="on-call",tenant="{api.tenant}"}}'
    for line in (
        f"handrail_channel_failed_total{label} 1.0",
        f"handrail_channel_failures{label} 1.0",
        f"handrail_channel_owed{label} 1.0",
        f"handrail_channel_messages_total{label} 0.0",
    ):
        assert line in told


async def test_a_channel_that_leads_to_a_webhook_needs_one_that_is_there(api: Api) -> None:
    hook = await api.post("/webhooks", {"url": "http://127.0.0.1:9/hook"}, "admin")
    body = {"name": "pager", "kind": "webhook", "webhook_id": hook.json()["id"]}
    made = await api.post("/channels", body, "manager")
    assert (made.status_code, made.json()["leads_to"]) == (201, hook.json()["id"])
    assert "whsec" not in json.dumps(made.json())
