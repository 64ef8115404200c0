"""What comes before a request is one has bounds of time and bytes, and what is being answered is not cut by them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from service.api import arrival
from service.api.bounded_protocol import HEAD_BYTES_MAX
from tests.service.api_service import Server, embedded, served
from tests.service.listening import WAIT_S, Listening, listens

pytestmark = pytest.mark.server

# In place of 10 s: long against a request on this machine, short for a test.
HEAD_WAIT_MS = 400
LIVE = b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(Path(tmp_path_factory.mktemp("bounds")) / "s")


@pytest.fixture
async def listening(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listening]:
    monkeypatch.setattr("service.api.bounded_protocol.HEAD_WAIT_MS_MAX", HEAD_WAIT_MS)
    async with served(server) as api, listens(api, limit_concurrency=20) as found:
        yield found


class Line:
    """One connection; whatever is read of it is read within WAIT_S."""

    def __init__(self, listening: Listening, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._listening = listening
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, Any]:
        """Read one answer: its status and its body."""
        async with asyncio.timeout(WAIT_S):
            status, _, body = await self._listening.answer(self._reader)
        return status, json.loads(body)

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(WAIT_S):
            return await self._reader.readuntil(end)

    async def rest(self) -> bytes:
        """Read until the service has ended the connection; cut off while something was sent, nothing is left of it."""
        try:
            async with asyncio.timeout(WAIT_S):
                return await self._reader.read()
        except ConnectionError:
            return b""

    async def trickle(self, data: bytes) -> bytes:
        """Send a byte after the other until the service has ended the connection, and return what it said."""
        told = asyncio.create_task(self.rest())
        sent = 0
        while not told.done():
            with suppress(ConnectionError):
                await self.send(data[sent % len(data) :][:1])
            sent += 1
            await asyncio.wait([told], timeout=HEAD_WAIT_MS / 1000 / 8)
        return await told


@asynccontextmanager
async def line(listening: Listening) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
    try:
        yield Line(listening, reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def slow(rest: bytes) -> dict[str, Any]:
    """Return the problem with which a connection was ended, which is all there is in it."""
    head, _, body = rest.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"\r\nconnection: close" in head
    assert b"\r\nx-request-id: req_" in head
    assert rest.count(b"HTTP/1.1") == 1
    problem: dict[str, Any] = json.loads(body)
    assert problem["detail"] == f"the head was not complete after {HEAD_WAIT_MS} ms"
    return problem


BEGUN = {
    "half a line": b"POST /should-esc",
    "half a header": b"GET /livez HTTP/1.1\r\nHost: h\r\nX-No",
    "a head without its last line": b"GET /livez HTTP/1.1\r\nHost: h\r\n",
    "line ends before any request": b"\r\n\r\n",
}


@pytest.mark.parametrize("begun", BEGUN.values(), ids=BEGUN)
async def test_a_head_that_is_never_complete_is_refused_in_time(listening: Listening, begun: bytes) -> None:
    async with line(listening) as held:
        await held.send(begun)
        assert slow(await held.rest())["code"] == "head_slow"
    metrics = listening.api.running.metrics
    assert (metrics.problems["head_slow"], metrics.answers["unknown", 408]) == (1, 1)


async def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(listening: Listening) -> None:
    async with line(listening) as held:
        assert await held.rest() == b""


@pytest.mark.parametrize("after", [b"", LIVE], ids=["at the first request", "at a later request"])
async def test_no_further_byte_sets_the_clock_of_a_head_back(listening: Listening, after: bytes) -> None:
    async with line(listening) as held:
        if after:
            await held.send(after)
            assert await held.answer() == (200, {"status": "alive"})
        told = await held.trickle(b"GET /livez HTTP/1.1\r\nX-Name-That-Goes-On: " + b"a" * 1_000)
        assert slow(told)["code"] == "head_slow"


async def test_connections_that_nobody_uses_do_not_keep_others_out_for_long(listening: Listening) -> None:
    async with asyncio.timeout(WAIT_S):
        held = [await asyncio.open_connection("127.0.0.1", listening.port) for _ in range(20)]
        assert (await listening.exchange(LIVE))[0][0] == 503
        for reader, _ in held:
            assert await reader.read() == b""
    assert (await listening.exchange(LIVE))[0][0] == 200
    for _, writer in held:
        writer.close()


@pytest.mark.parametrize("begun", [b"fff\r\n{", b"0\r\nX-Name: "], ids=["a body", "trailers"])
async def test_what_follows_an_answer_that_was_given_early_has_a_clock_too(listening: Listening, begun: bytes) -> None:
    head, _ = listening.request("1", "Transfer-Encoding: chunked")
    async with line(listening) as held:
        await held.send(head.replace(b"Bearer hr_", b"Bearer hr_x") + begun)
        assert (await held.answer())[0] == 401
        # There was an answer already.
        assert await held.trickle(b"a") == b""


async def test_the_rest_of_an_early_answered_body_leaves_a_connection_that_can_be_used(listening: Listening) -> None:
    head, body = listening.request("1")
    async with line(listening) as held:
        await held.send(head.replace(b"Bearer hr_", b"Bearer hr_x") + body[:9])
        assert (await held.answer())[0] == 401
        for piece in (body[9:20], body[20:]):
            await held.send(piece)
            await asyncio.sleep(HEAD_WAIT_MS / 1000 / 4)
        # Longer than a head may take: nobody has begun one.
        await asyncio.sleep(HEAD_WAIT_MS / 1000 * 2)
        await held.send(head + body)
        assert (await held.answer())[0] == 200


async def test_a_connection_with_an_early_answered_body_is_closed_when_it_is_idle(server: Server) -> None:
    async with served(server) as api, listens(api, timeout_keep_alive=1) as listening, line(listening) as held:
        head, body = listening.request("1")
        await held.send(head.replace(b"Bearer hr_", b"Bearer hr_x") + body[:9])
        assert (await held.answer())[0] == 401
        await held.send(body[9:])
        assert await held.rest() == b""


async def test_an_idle_connection_has_longer_than_a_head(listening: Listening) -> None:
    async with line(listening) as held:
        for _ in range(2):
            await held.send(LIVE)
            assert await held.answer() == (200, {"status": "alive"})
            await asyncio.sleep(HEAD_WAIT_MS / 1000 * 2)
        head, body = listening.request("1")
        await held.send(head + body)
        assert (await held.answer())[0] == 200


async def test_a_body_that_came_by_itself_leaves_no_clock_behind(listening: Listening) -> None:
    head, body = listening.request("1")
    async with line(listening) as held:
        for _ in range(2):
            for piece in (head, body[:9], body[9:]):
                await held.send(piece)
                await asyncio.sleep(HEAD_WAIT_MS / 1000 / 8)
            assert (await held.answer())[0] == 200
            # Nobody has begun the next head.
            await asyncio.sleep(HEAD_WAIT_MS / 1000 * 2)
    assert listening.api.running.metrics.problems["head_slow"] == 0


async def test_a_body_has_the_time_of_a_body(listening: Listening) -> None:
    head, body = listening.request("1")
    for pieces in ((head + body[:9], body[9:]), (head, body)):
        async with line(listening) as held:
            for piece in pieces:
                await held.send(piece)
                await asyncio.sleep(HEAD_WAIT_MS / 1000 * 2)
            assert (await held.answer())[0] == 200


async def test_a_body_that_is_never_complete_is_the_last_of_its_connection(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "BODY_WAIT_MS_MAX", HEAD_WAIT_MS)
    head, body = listening.request("1")
    async with line(listening) as held:
        await held.send(head + body[:9])
        told, _, problem = (await held.rest()).partition(b"\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"\r\nconnection: close" in told.lower()
    assert json.loads(problem)["code"] == "body_slow"


async def test_a_long_poll_and_a_stream_last_as_long_as_they_do(listening: Listening) -> None:
    handoff, token = await listening.api.claimed()
    asked = f"/handoffs/{handoff['id']}"
    key = f"Host: h\r\nAuthorization: {listening.api.bearer('agent')['Authorization']}\r\n"
    async with line(listening) as poll, line(listening) as stream:
        await stream.send(f"GET {asked}/events HTTP/1.1\r\n{key}\r\n".encode())
        assert b"200 OK" in await stream.until(b"\r\n\r\n")
        await poll.send(
            f"GET {asked}?wait_ms={HEAD_WAIT_MS * 3}&version={handoff['version']} HTTP/1.1\r\n{key}\r\n".encode()
        )
        # Bytes of the next request do not make the one that is being answered late.
        await poll.send(b"GET /li")
        status, body = await poll.answer()
        assert (status, body["version"]) == (200, handoff["version"])
        await poll.send(b"vez HTTP/1.1\r\nHost: h\r\n\r\n")
        assert await poll.answer() == (200, {"status": "alive"})
        replied = await listening.api.post(f"/handoffs/{handoff['id']}/reply", {"token": token, "text": "I am here."})
        assert replied.status_code == 200
        assert b"I am here." in await stream.until(b"I am here.")


def large(size: int) -> bytes:
    """Return a whole request with a head of this many bytes."""
    begun = b"GET /livez HTTP/1.1\r\nHost: h\r\nX-Long: "
    return begun + b"a" * (size - len(begun) - 4) + b"\r\n\r\n"


async def too_large(held: Line) -> None:
    rest = await held.rest()
    assert rest.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    problem = json.loads(rest.partition(b"\r\n\r\n")[2])
    assert problem["code"] == "head_too_large"
    assert problem["detail"] == "the head of the request is larger than 65536 bytes"


async def test_a_head_up_to_the_limit_is_read_however_it_comes(listening: Listening) -> None:
    whole = large(HEAD_BYTES_MAX)
    for pieces in ((whole,), (whole[:40_000], whole[40_000:])):
        assert (await listening.exchange(*pieces))[0][0] == 200
    # A body that comes with its head is none of it.
    head, _ = listening.request("1")
    body = json.dumps({"conversation_id": "c", "turn_id": "1", "message": "a", "sources": ["b" * 1_000] * 200}).encode()
    head = head[: head.rindex(b"Content-Length")] + b"Content-Length: %d\r\n\r\n" % len(body)
    assert (await listening.exchange(head + body))[0][0] == 200


async def test_a_larger_head_is_refused_however_it_comes(listening: Listening) -> None:
    whole = large(HEAD_BYTES_MAX + 1_000)
    for pieces in ((whole,), (whole[:40_000], whole[40_000:]), (large(200_000),)):
        async with line(listening) as held:
            for piece in pieces:
                await held.send(piece)
            await too_large(held)


async def test_headers_without_end_are_cut_off(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.bounded_protocol.REFUSED_WAIT_MS_MAX", 200)
    async with line(listening) as held:
        sent = 0
        await held.send(b"GET /livez HTTP/1.1\r\nHost: h\r\n")
        with suppress(ConnectionError):
            async with asyncio.timeout(WAIT_S):
                while True:
                    await held.send(b"X-N: " + b"a" * 9_000 + b"\r\n")
                    sent += 1
                    await asyncio.sleep(0.01)
        assert sent > 7
    assert listening.api.running.metrics.problems["head_too_large"] == 1


async def test_trailers_have_the_same_limit(listening: Listening) -> None:
    head, body = listening.request("1", "Transfer-Encoding: chunked")
    chunks = b"%x\r\n%b\r\n0\r\n" % (len(body), body)
    (answer,) = await listening.exchange(head + chunks + b"X-Sum: 1\r\n\r\n")
    assert answer[0] == 200
    async with line(listening) as held:
        await held.send(head + chunks)
        for _ in range(10):
            await held.send(b"X-N: " + b"a" * 9_000 + b"\r\n")
            await asyncio.sleep(0.01)
        await too_large(held)


NO_REQUEST = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a header without a colon": b"GET /livez HTTP/1.1\r\nHost h\r\n\r\n",
    "a length that is none": b"POST /should-escalate HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
    "a broken chunk of a turn": b"POST /should-escalate HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh",
    "a size of a chunk that is none": b"PUT /operators HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("sent", NO_REQUEST.values(), ids=NO_REQUEST)
async def test_what_is_no_request_is_told_as_a_problem(listening: Listening, sent: bytes) -> None:
    async with line(listening) as held:
        await held.send(sent)
        head, _, body = (await held.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\ncontent-type: application/problem+json\r\n" in head
    assert json.loads(body) == {
        "type": "/problems/request_malformed",
        "title": "not a request",
        "status": 400,
        "code": "request_malformed",
        "detail": "what was sent cannot be read as HTTP/1.1",
        "hint": "send HTTP/1.1 without TLS, and let a library write it",
    }


async def test_what_is_no_request_waits_for_the_answer_before_it(listening: Listening) -> None:
    handoff, _ = await listening.api.claimed()
    key = f"Host: h\r\nAuthorization: {listening.api.bearer('agent')['Authorization']}\r\n"
    head, body = listening.request("1")
    asked = f"GET /handoffs/{handoff['id']}?wait_ms=300&version={handoff['version']} HTTP/1.1\r\n{key}\r\n".encode()
    for first in (asked, head + body):
        async with line(listening) as held:
            await held.send(first + b"hello\r\n\r\n")
            assert (await held.answer())[0] == 200
            assert await held.rest() == b""
