"""The shared connection: nobody gets another's answer, nobody waits for ever, and it comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from service.errors import NotDurable, ServerUnfit, StoreAway, StoreBusy
from service.store import multiplexed
from service.store.connection import address_of, link_to
from service.store.multiplexed import TOGETHER_MAX, Address, Barrier, Multiplexed, ServerError, Wire
from service.store.pooled import is_cluster
from tests.service.conftest import Server

pytestmark = pytest.mark.server

MARK = ("SET", "mark", "")


@pytest.fixture
async def link(own_server: Server) -> AsyncIterator[Multiplexed]:
    made = Multiplexed(Address(path=str(own_server.socket)))
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("unix:///run/hr/s", Address(path="/run/hr/s")),
        ("unix:///run/a%20b?db=2", Address(path="/run/a b", db=2)),
        ("redis://box:7000/3", Address(host="box", port=7000, db=3)),
        ("redis://:p%40ss@box", Address(host="box", password="p@ss")),
        ("redis://mia:pw@box/0?db=1", Address(host="box", username="mia", password="pw", db=1)),
        ("rediss://box", None),
        ("redis+sentinel://a:1,b:2/main", None),
        ("redis+cluster://box", None),
        ("redis://box?cluster=true", None),
    ],
)
def test_an_address_says_which_way_leads_there(url: str, address: Address | None) -> None:
    assert address_of(url) == address
    assert is_cluster(url) == ("cluster" in url)


async def test_calls_of_one_tick_leave_in_one_write_and_each_gets_its_own_answer(link: Multiplexed) -> None:
    numbers = list(range(2_000))
    answers = await asyncio.gather(*(link.call("ECHO", number) for number in numbers))
    assert [int(answer) for answer in answers] == numbers


async def test_callers_that_give_up_leave_no_answer_behind_for_others(link: Multiplexed) -> None:
    chance = random.Random(7)
    wrong: list[tuple[int, bytes]] = []

    async def caller(number: int) -> None:
        for step in range(40):
            word = f"{number}.{step}"
            try:
                async with asyncio.timeout(chance.choice([0.0, 0.0005, 5])):
                    answer = await link.call("ECHO", word)
                if answer != word.encode():
                    wrong.append((number, answer))
            except TimeoutError:
                pass

    await asyncio.gather(*(caller(number) for number in range(50)))
    assert wrong == []
    assert await link.call("ECHO", "still in step") == b"still in step"


async def test_a_server_killed_under_way_fails_every_call_and_the_next_finds_it_again(
    link: Multiplexed, own_server: Server
) -> None:
    assert await link.call("SET", "kept", "1") == b"OK"
    calls = [asyncio.ensure_future(link.call("BLPOP", "nothing", 0)) for _ in range(30)]
    await asyncio.sleep(0.05)
    own_server.kill()
    ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 20)
    assert {type(error) for error in ended} == {StoreAway}
    assert {str(error) for error in ended} == {"the store is away: the connection broke"}
    own_server.start()
    assert await link.call("GET", "kept") == b"1"


async def test_while_the_server_is_gone_calls_fail_at_once(link: Multiplexed, own_server: Server) -> None:
    await link.call("PING")
    own_server.kill()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(StoreAway):
        await link.call("PING")
    # The first call waits a moment for a server that restarts; those after it do not.
    assert loop.time() - begun < 10
    begun = loop.time()
    for _ in range(20):
        with pytest.raises(StoreAway):
            await link.call("PING")
    assert loop.time() - begun < 10  # twenty moments are longer
    own_server.start()
    for _ in range(200):
        try:
            await link.call("PING")
            break
        except StoreAway:
            await asyncio.sleep(0.05)
    else:
        pytest.fail("it never came back")


async def test_a_server_that_does_not_answer_is_given_up_in_time(
    link: Multiplexed, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiplexed, "CALL_MS_MAX", 300)
    await link.call("PING")
    assert own_server.process is not None
    os.kill(own_server.process.pid, signal.SIGSTOP)
    try:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(StoreAway) as away:
            await link.call("PING")
        assert str(away.value) == "the store is away: no answer within 300 ms"
        assert loop.time() - begun < 10
    finally:
        os.kill(own_server.process.pid, signal.SIGCONT)
    for _ in range(100):
        try:
            assert await link.call("ECHO", "back") == b"back"
            break
        except StoreAway:
            await asyncio.sleep(0.05)


async def test_more_calls_than_the_limit_are_refused(link: Multiplexed, monkeypatch: pytest.MonkeyPatch) -> None:
    await link.call("PING")
    monkeypatch.setattr(multiplexed, "IN_FLIGHT_MAX", 10)
    answers = await asyncio.gather(*(link.call("PING") for _ in range(15)), return_exceptions=True)
    busy = [answer for answer in answers if isinstance(answer, StoreBusy)]
    assert (len(busy), str(busy[0])) == (5, "the store is away: 10 calls are in flight already")
    assert await link.call("PING") == b"PONG"


async def test_an_error_line_is_the_callers_and_does_not_break_the_connection(link: Multiplexed) -> None:
    with pytest.raises(ServerError) as error:
        await link.call("NOSUCHCOMMAND")
    assert error.value.word == "ERR"
    assert await link.call("PING") == b"PONG"


async def test_wrong_credentials_are_told_as_such(own_server: Server) -> None:
    own_server.kill()
    own_server.start("--requirepass", "secret")
    socket = quote(str(own_server.socket))
    for url, refused in ((f"unix://{socket}", "NOAUTH"), (f"unix://:wrong@{socket}", "WRONGPASS")):
        link = link_to(url)
        with pytest.raises(ServerUnfit) as unfit:
            await link.call("PING")
        assert str(unfit.value) == f"the server says {refused}"
        await link.close()
    link = link_to(f"unix://:secret@{socket}")
    assert await link.call("PING") == b"PONG"
    await link.close()


async def test_after_close_nothing_is_sent(link: Multiplexed) -> None:
    await link.call("PING")
    await link.close()
    with pytest.raises(StoreAway):
        await link.call("PING")


async def test_writes_wait_for_the_disk_and_reads_pass_them_by(own_server: Server) -> None:
    own_server.kill()
    own_server.start("--appendfsync", "everysec")
    link = link_to(own_server.url, Barrier(("WAITAOF", 1, 0, 2_000), 1, MARK))
    answers = await asyncio.gather(*(link.call("SET", f"k{n}", n, durable=True) for n in range(100)))
    assert set(answers) == {b"OK"}
    own_server.kill()
    own_server.start()
    assert await link.call("DBSIZE") == 101, "a hundred, and the mark"
    await link.close()


async def test_what_is_not_confirmed_is_told_as_such(own_server: Server) -> None:
    link = link_to(own_server.url, Barrier(("WAIT", 1, 50), 1, MARK))
    with pytest.raises(NotDurable):
        await link.call("SET", "k", "v", durable=True)
    assert await link.call("GET", "k") == b"v"
    await link.close()


async def test_an_answer_that_is_only_found_waits_for_the_disk_as_well(own_server: Server) -> None:
    """A server waits for the last write of the same connection, and a retry writes nothing: the mark does."""
    reader, writer = await asyncio.open_unix_connection(str(own_server.socket))
    writer.write(b"MONITOR\r\n")
    assert await reader.readline() == b"+OK\r\n"
    link = link_to(own_server.url, Barrier(("WAITAOF", 1, 0, 2_000), 1, MARK))
    await asyncio.gather(link.call("GET", "a", durable=True), link.call("GET", "b", durable=True))
    seen: list[str] = []
    while "WAITAOF" not in seen:
        line = await asyncio.wait_for(reader.readline(), 20)
        seen.append(line.split(b'"')[1].decode())
    assert seen == ["CLIENT", "PING", "GET", "GET", "SET", "WAITAOF"]
    await link.close()
    writer.close()
    await writer.wait_closed()


async def test_several_connections_take_turns_and_are_made_anew_together_when_one_breaks(own_server: Server) -> None:
    link = Multiplexed(Address(path=str(own_server.socket)), connections=4)
    try:
        ids = [await link.call("CLIENT", "ID") for _ in range(9)]
        assert len(set(ids)) == 4
        # What is under way on one when another breaks is still answered.
        waiting = asyncio.ensure_future(link.call("BLPOP", "nothing", 0.2))
        assert await link.call("CLIENT", "KILL", "ID", ids[3]) == 1
        made_anew: set[int] = set()
        while len(made_anew) < 4:
            with contextlib.suppress(StoreAway):  # the call that finds out
                made_anew |= {await link.call("CLIENT", "ID")} - set(ids)
        assert await waiting is None
    finally:
        await link.close()


async def test_what_is_called_together_leaves_on_one_connection_as_far_as_one_write_goes(
    own_server: Server,
) -> None:
    link = Multiplexed(Address(path=str(own_server.socket)), connections=4)
    try:
        await link.call("PING")
        together = [await asyncio.gather(*(link.call("CLIENT", "ID") for _ in range(TOGETHER_MAX))) for _ in range(4)]
        assert [len(set(ids)) for ids in together] == [1, 1, 1, 1]
        assert len({ids[0] for ids in together}) == 4
        more = await asyncio.gather(*(link.call("CLIENT", "ID") for _ in range(3 * TOGETHER_MAX)))
        assert [len(set(more[at : at + TOGETHER_MAX])) for at in range(0, len(more), TOGETHER_MAX)] == [1, 1, 1]
        assert len(set(more)) == 3
    finally:
        await link.close()


@pytest.mark.parametrize(("barrier", "writes"), [(None, 1), (Barrier((b"WAITAOF", 1, 0, 0), 1, (b"PING",)), 0)])
async def test_a_full_write_leaves_at_once_unless_it_ends_in_a_wait_for_the_disk(
    barrier: Barrier | None, writes: int
) -> None:
    class Wrote(asyncio.Transport):
        def __init__(self) -> None:
            super().__init__()
            self.sent: list[bytes] = []

        def write(self, data: bytes | bytearray | memoryview) -> None:
            self.sent.append(bytes(data))

    wire, wrote = Wire(asyncio.get_running_loop(), barrier), Wrote()
    wire.connection_made(wrote)
    for _ in range(TOGETHER_MAX):
        assert wrote.sent == []
        wire.send(b"x", durable=True)
    assert len(wrote.sent) == writes
    wire.send(b"y", durable=True)
    await asyncio.sleep(0)
    assert b"".join(wrote.sent).startswith(b"x" * TOGETHER_MAX + b"y")
