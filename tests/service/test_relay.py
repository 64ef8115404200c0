"""While a person has the conversation: the customer's words reach them, theirs go back once and in order."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from service.store import outbox
from tests.service.api_service import Api, Server, embedded, ruleset, served

pytestmark = pytest.mark.server
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("relay"))


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server, ruleset()) as api:
        yield api


class Talk:
    """A conversation that a person has taken."""

    def __init__(self, api: Api, conversation_id: str, handoff_id: str, token: str) -> None:
        self.api, self.conversation_id, self.handoff_id, self.token = api, conversation_id, handoff_id, token

    async def writes(self, text: str, turn_id: str | None = None) -> dict[str, Any]:
        """Return the answer to a turn of the customer's."""
        turn_id = turn_id or f"w{next(_NUMBERS)}"
        answer = await self.api.ask(conversation_id=self.conversation_id, turn_id=turn_id, message=text)
        assert answer.status_code == 200
        told: dict[str, Any] = answer.json()
        return told

    async def does(self, verb: str, **body: object) -> dict[str, Any]:
        answer = await self.api.post(f"/handoffs/{self.handoff_id}/{verb}", {"token": self.token, **body})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


async def taken(api: Api) -> Talk:
    conversation_id = f"relay-{next(_NUMBERS)}"
    asked = await api.escalated(conversation_id=conversation_id)
    handoff_id = asked["handoff"]["id"]
    claimed = (await api.post(f"/handoffs/{handoff_id}/claim")).json()
    return Talk(api, conversation_id, handoff_id, claimed["lease"]["token"])


def said(answer: dict[str, Any]) -> list[tuple[int, str]]:
    return [(reply["number"], reply["text"]) for reply in answer.get("replies", [])]


async def test_every_reply_is_told_by_its_number(api: Api) -> None:
    talk = await taken(api)
    store = api.running.store
    for text in ("One.", "Two."):
        await talk.does("reply", text=text)
    events = await outbox.read(store, store.places(api.tenant)[0], "test", 100)
    told = [(event.detail, event.version) for event in events if event.type == "handoff.replied"]
    version = (await api.get(f"/handoffs/{talk.handoff_id}")).json()["version"]
    assert told == [("1", version - 1), ("2", version)]


async def test_replies_go_back_with_the_next_answer_once_and_in_order(api: Api) -> None:
    talk = await taken(api)
    assert "replies" not in await talk.writes("Hello?")
    await talk.does("reply", text="I am Mia.")
    await talk.does("reply", text="One moment.")
    first = await talk.writes("Thanks", "t-first")
    assert first["verdict"] == "held_by_human"
    assert said(first) == [(1, "I am Mia."), (2, "One moment.")]
    assert "replies" not in await talk.writes("Still there?")
    await talk.does("reply", text="It ships on Monday.")
    # The retry of a turn is answered as it was, and takes nothing from the next.
    assert await talk.writes("Thanks", "t-first") == first
    assert said(await talk.writes("Great")) == [(3, "It ships on Monday.")]


async def test_the_first_answer_after_it_tells_how_the_persons_time_ended(api: Api) -> None:
    talk = await taken(api)
    await talk.does("reply", text="I have changed your address.")
    given = {
        "facts": {"address": "new"},
        "may_retry": False,
        "edited": {"reply": "Anything else?"},
        "text": "All done.",
    }
    await talk.does("hand-back", **given)
    after = await talk.writes("Thank you", "t-after")
    assert after["verdict"] == "continue"
    end = after["after_human"]
    assert (end["handoff_id"], end["kind"], end["resolution"]["action"]) == (talk.handoff_id, "escalate", "hand_back")
    assert {name: end["resolution"][name] for name in given} == given
    assert said(end) == [(1, "I have changed your address.")]
    assert await talk.writes("Thank you", "t-after") == after
    assert "after_human" not in await talk.writes("And now?")


async def test_two_turns_at_once_carry_each_reply_once(api: Api) -> None:
    talk = await taken(api)
    for number in range(1, 4):
        await talk.does("reply", text=f"words {number}")
    answers = await asyncio.gather(*(talk.writes(f"at once {number}") for number in range(4)))
    assert sorted(number for answer in answers for number, _ in said(answer)) == [1, 2, 3]


async def test_what_the_customer_writes_is_told_and_in_the_packet(api: Api) -> None:
    talk = await taken(api)
    before = await talk.api.get(f"/handoffs/{talk.handoff_id}", "operator")
    await talk.writes("My order is 4711.")
    shown = (await api.get(f"/handoffs/{talk.handoff_id}/packet", "operator")).json()
    assert "4711" in json.dumps(shown["packet"]["transcript"])
    assert shown["handoff"]["version"] == before.json()["version"]


async def events_of(api: Api, handoff_id: str, last: str | None = None) -> AsyncIterator[dict[str, str]]:
    """Yield the events of a stream as a browser would read them."""
    headers = api.bearer("agent") | ({"Last-Event-ID": last} if last else {})
    transport = StreamingTransport(api)
    async for block in transport.blocks(f"/handoffs/{handoff_id}/events", headers):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            yield fields


class StreamingTransport:
    """Reads a response as it is sent: httpx's own ASGI transport waits for the end."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def blocks(self, path: str, headers: dict[str, str]) -> AsyncIterator[str]:
        sent: asyncio.Queue[bytes | None] = asyncio.Queue()
        gone = asyncio.Event()
        request = httpx.Request("GET", f"http://test{path}", headers=headers)

        async def receive() -> dict[str, object]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200
            else:
                sent.put_nowait(message.get("body", b""))
                if not message.get("more_body"):
                    sent.put_nowait(None)

        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(name.lower(), value) for name, value in request.headers.raw], "http_version": "1.1",
            "scheme": "http", "server": ("test", 80), "client": ("127.0.0.1", 1), "root_path": "",
        }  # fmt: skip
        running = asyncio.create_task(self._api.app(scope, receive, send))
        try:
            rest = ""
            while (part := await asyncio.wait_for(sent.get(), 20)) is not None:
                *whole, rest = (rest + part.decode()).split("\n\n")
                for block in whole:
                    yield block
        finally:
            gone.set()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_stream_tells_each_reply_once_the_changes_and_the_end(api: Api) -> None:
    talk = await taken(api)
    await talk.does("reply", text="one")
    seen: list[tuple[str, object]] = []
    ids = []
    async for event in events_of(api, talk.handoff_id):
        data = json.loads(event["data"])
        seen.append((event["event"], data.get("text") or data.get("state") or data.get("turns")))
        ids.append(event["id"])
        if seen[-1] == ("handoff", "leased") and len(seen) == 2:
            await talk.does("reply", text="two")
        elif seen[-1] == ("handoff", "leased"):
            await talk.writes("I see.")
        elif seen[-1][0] == "message":
            await talk.does("hand-back", may_retry=True)
    assert seen == [
        ("reply", "one"),
        ("handoff", "leased"),
        ("reply", "two"),
        ("handoff", "leased"),
        ("message", 2),
        ("handoff", "handed_back"),
    ]
    # Taken up where it broke, nothing is missed and no reply comes twice.
    again = [event["event"] async for event in events_of(api, talk.handoff_id, ids[2])]
    assert again == ["message", "handoff"]
    assert [event["event"] async for event in events_of(api, talk.handoff_id, ids[4])] == ["handoff"]
    assert [event["event"] async for event in events_of(api, talk.handoff_id, ids[-1])] == []
    assert [event["event"] async for event in events_of(api, talk.handoff_id, "no id of ours")] == [
        "reply",
        "reply",
        "handoff",
    ]
