"""However a turn's bytes arrive, its answer is the same; only those that arrive whole take the short way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.api.arrival import whole
from tests.service.api_service import Server, embedded, served
from tests.service.listening import WAIT_S, Listening, listens

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(Path(tmp_path_factory.mktemp("protocol")) / "s")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the bodies of the turns that take the short way."""
    bodies: list[bytes] = []

    def counted(headers: dict[bytes, bytes], body: bytes) -> bytes:
        bodies.append(body)
        return whole(headers, body)

    monkeypatch.setattr("service.api.turn_protocol.whole", counted)
    return bodies


@pytest.fixture
async def listening(server: Server, short: list[bytes]) -> AsyncIterator[Listening]:
    async with served(server) as api, listens(api) as found:
        yield found


def verdict(answer: tuple[int, bytes, bytes]) -> tuple[int, str, str]:
    decision = json.loads(answer[2])
    return answer[0], decision["turn_id"], decision["verdict"]


async def test_a_turn_in_one_piece_is_answered_in_one_piece_and_the_connection_stays(
    listening: Listening, short: list[bytes]
) -> None:
    head, body = listening.request("1")
    (answer,) = await listening.exchange(head + body)
    assert verdict(answer) == (200, "1", "continue")
    assert b"\r\ncontent-type: application/json\r\n" in answer[1]
    assert b"\r\nx-request-id: req_" in answer[1]
    assert b"\r\ndate: " in answer[1]
    assert b"connection" not in answer[1]
    (again,) = await listening.exchange(head + body)
    assert json.loads(again[2]) == json.loads(answer[2])
    assert b"handrail-repeated: true" in again[1]
    assert len(short) == 2


async def test_a_body_in_pieces_goes_the_long_way_to_the_same_answer(listening: Listening, short: list[bytes]) -> None:
    head, body = listening.request("1")
    ways = ((head, body), (head + body[:7], body[7:]), (head[:30], head[30:] + body[:1], body[1:9], body[9:]))
    for pieces in ways:
        (answer,) = await listening.exchange(*pieces)
        assert verdict(answer) == (200, "1", "continue")
    assert short == []
    # A head in two pieces is no reason: the body is there with its end.
    (answer,) = await listening.exchange(head[:30], head[30:] + body)
    assert verdict(answer) == (200, "1", "continue")
    assert len(short) == 1


async def test_requests_sent_before_an_answer_came_are_answered_in_order(
    listening: Listening, short: list[bytes]
) -> None:
    turns = [listening.request(str(number)) for number in range(1, 6)]
    live = b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"
    sent = b"".join(head + body for head, body in turns[:3]) + live + b"".join(head + body for head, body in turns[3:])
    answers = await listening.exchange(sent, answers=6)
    assert [answer[0] for answer in answers] == [200] * 6
    assert [verdict(answer)[1] for place, answer in enumerate(answers) if place != 3] == ["1", "2", "3", "4", "5"]
    # Only the first of them found nobody before it.
    assert len(short) == 1


async def test_turns_one_after_the_other_on_one_connection_each_take_the_short_way(
    listening: Listening, short: list[bytes]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
    for number in range(1, 5):
        writer.write(b"".join(listening.request(str(number))))
        async with asyncio.timeout(WAIT_S):
            assert verdict(await listening.answer(reader)) == (200, str(number), "continue")
    writer.close()
    await writer.wait_closed()
    assert len(short) == 4


UNUSUAL = {
    "HTTP/1.0": ((), "1.0"),
    "a connection that is to be closed": (("Connection: close",), "1.1"),
    "a body that waits to be asked for": (("Expect: 100-continue",), "1.1"),
}


@pytest.mark.parametrize(("more", "version"), UNUSUAL.values(), ids=UNUSUAL)
async def test_what_is_not_plain_goes_the_long_way(
    listening: Listening, short: list[bytes], more: tuple[str, ...], version: str
) -> None:
    head, body = listening.request("1", *more, version=version)
    (answer,) = await listening.exchange(head + body)
    assert verdict(answer) == (200, "1", "continue")
    assert short == []


async def test_a_body_in_chunks_is_read_however_its_chunks_fall(listening: Listening) -> None:
    head, body = listening.request("1", "Transfer-Encoding: chunked")
    chunks = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (5, body[:5], len(body) - 5, body[5:])
    for pieces in ((head + chunks,), (head, chunks), (head + chunks[:9], chunks[9:])):
        (answer,) = await listening.exchange(*pieces)
        assert verdict(answer) == (200, "1", "continue")


async def test_a_refusal_is_the_same_problem_either_way(listening: Listening, short: list[bytes]) -> None:
    head, body = listening.request("1")
    for wrong in (
        head.replace(b"Bearer hr_", b"Bearer hr_x") + body,
        head.replace(b"application/json", b"text/plain") + body,
        head.replace(b"Content-Type", b"Content-Encoding: gzip\r\nContent-Type") + body,
        head + b"!" * len(body),
    ):
        once, slow = (
            (await listening.exchange(wrong))[0],
            (await listening.exchange(wrong[:90], wrong[90:-1], wrong[-1:]))[0],
        )
        assert once[0] == slow[0] >= 400
        assert json.loads(once[2]) == json.loads(slow[2])
        assert b"content-type: application/problem+json" in once[1]
    assert len(short) == 2  # the others were refused before their body was asked for


async def test_other_ways_to_the_route_are_none_of_its_business(listening: Listening, short: list[bytes]) -> None:
    head, body = listening.request("1")
    assert (await listening.exchange(head.replace(b"POST", b"PUT") + body))[0][0] == 405
    assert (await listening.exchange(head.replace(b"escalate ", b"escalate/ ") + body))[0][0] == 404
    assert (await listening.exchange(head.replace(b"escalate ", b"escalate?a=1 ") + body))[0][0] == 200
    assert (await listening.exchange(b"POST /should-escalate HTTP/1.1\r\nHost h\r\n\r\n"))[0][0] == 400
    assert short == []


async def test_a_caller_that_hangs_up_leaves_a_service_that_answers(listening: Listening) -> None:
    head, body = listening.request("1", message="let me talk to a human")
    for pieces in ((head + body,), (head + body[:5],)):
        _, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        for piece in pieces:
            writer.write(piece)
        await writer.drain()
        writer.transport.abort()
    (answer,) = await listening.exchange(head + body)
    assert verdict(answer) == (200, "1", "escalate")


async def test_a_stop_lets_a_turn_that_is_under_way_be_answered(listening: Listening, short: list[bytes]) -> None:
    head, body = listening.request("1")
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
    writer.write(head + body)
    while not short:  # noqa: ASYNC110  # what is counted has no event
        await asyncio.sleep(0)
    listening.uvicorn.should_exit = True
    async with asyncio.timeout(WAIT_S):
        assert verdict(await listening.answer(reader)) == (200, "1", "continue")
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
