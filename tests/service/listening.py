"""The application of a test behind a real socket, and bytes sent to it as they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn

from service.api.application import Handrail
from service.api.escalation import PATH
from service.api.turn_protocol import turn_protocol
from tests.service.api_service import Api

WAIT_S = 20


@dataclass
class Listening:
    """The application behind a real socket."""

    api: Api
    uvicorn: uvicorn.Server
    port: int

    async def exchange(self, *pieces: bytes, answers: int = 1) -> list[tuple[int, bytes, bytes]]:
        """Send pieces one after the other, and return status, head and body of so many answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02 if len(pieces) > 1 else 0)
            async with asyncio.timeout(WAIT_S):
                return [await self.answer(reader) for _ in range(answers)]
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def until_closed(self, sent: bytes) -> bytes:
        """Return everything that comes until the service ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        async with asyncio.timeout(WAIT_S):
            told = await reader.read()
        writer.close()
        await writer.wait_closed()
        return told

    async def answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
        """Read one answer: its status, its head, its body."""
        head = await reader.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head = await reader.readuntil(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
        return int(head.split()[1]), head, await reader.readexactly(int(lines[b"content-length"]))

    def request(self, turn_id: str, *more: str, version: str = "1.1", message: str = "hello") -> tuple[bytes, bytes]:
        """Return head and body of a turn."""
        body = json.dumps({"conversation_id": "c1", "turn_id": turn_id, "message": message}).encode()
        lines = [
            f"POST {PATH} HTTP/{version}",
            "Host: h",
            f"Authorization: {self.api.bearer('agent')['Authorization']}",
        ]
        lines += ["Content-Type: application/json", *more]
        if not any(line.startswith("Transfer") for line in more):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode(), body


@asynccontextmanager
async def listens(api: Api, **given: Any) -> AsyncIterator[Listening]:
    """Serve an application with the protocol of `handrail serve`; `given` are uvicorn's own settings."""
    app: Handrail = api.app
    http = turn_protocol(PATH, app.answer_turn, app.refuse_unread)
    config = uvicorn.Config(app, http=http, port=0, lifespan="off", ws="none", log_config=None, **given)
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running.serve())
    while not running.started:  # noqa: ASYNC110  # uvicorn has a flag and no event
        await asyncio.sleep(0.01)
    yield Listening(api, running, running.servers[0].sockets[0].getsockname()[1])
    running.should_exit = True
    await serving
