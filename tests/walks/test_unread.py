"""Whoever connects without a key and never finishes a request holds nothing for long, by the clocks of `serve`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from service.api.bounded_protocol import HEAD_WAIT_MS_MAX
from tests.walks.served import Served, turn

pytestmark = pytest.mark.walk

HELD = 60
# Twice the clock; and who trickles sends so often that a clock set back by each byte would never end.
WAIT_S = HEAD_WAIT_MS_MAX / 1000 * 2
TRICKLE_EVERY_S = 1
BEGUN = (b"", b"POST /should-esc", b"GET /livez HTTP/1.1\r\nHost: h\r\nX-No")


async def hold(port: int, begun: bytes, trickled: bytes) -> bytes:
    """Return what a connection was told before the service ended it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    told = asyncio.create_task(reader.read())
    with suppress(ConnectionError):
        writer.write(begun)
        while not told.done():
            writer.write(trickled)
            await asyncio.wait([told], timeout=TRICKLE_EVERY_S)
    try:
        return await told
    except ConnectionError:
        return b""
    finally:
        await end(writer)


async def flood(port: int) -> bytes:
    """Send headers until the connection is ended, and return the answer's first line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    told = asyncio.create_task(reader.readline())
    writer.write(b"GET /livez HTTP/1.1\r\n")
    with suppress(ConnectionError):
        while True:
            writer.write(b"X-N: " + b"a" * 9_000 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)
    await end(writer)
    return await told


async def end(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_connections_that_never_ask_are_ended_while_those_that_do_are_answered(folder: Path) -> None:
    with Served(folder, work="false") as served:
        async with httpx.AsyncClient(timeout=WAIT_S) as client, asyncio.timeout(WAIT_S * 2):
            handoff = (await served.ask(client, "/should-escalate", "agent", turn("c"))).json()["handoff"]["id"]
            at = f"{served.url}/handoffs/{handoff}"
            key = {"Authorization": f"Bearer {served.keys['agent']}"}
            version = (await client.get(at, headers=key)).json()["version"]
            # Longer than a head may take.
            asked = {"wait_ms": HEAD_WAIT_MS_MAX + 2_000, "version": version}
            poll = asyncio.create_task(client.get(at, params=asked, headers=key))
            holding = [
                asyncio.create_task(hold(served.port, begun, trickled))
                for begun in BEGUN
                for trickled in ((b"", b"a") if begun else (b"",))
                for _ in range(HELD // 5)
            ]
            assert b" 431 " in await flood(served.port)
            assert (await client.get(f"{served.url}/livez")).status_code == httpx.codes.OK
            told = await asyncio.gather(*holding)
            assert {each[:12] for each in told} == {b"", b"HTTP/1.1 408"}
            assert (await poll).json()["version"] == version
            assert (await client.get(f"{served.url}/readyz")).json() == {"status": "ready"}
