"""uvicorn's HTTP/1.1, but a turn that arrived whole is answered without ASGI. No other request is met here.

Scope, channel, cycle, messages and two writes to the socket are a quarter of what a turn costs. Whatever is not plain
(a body in pieces, a request before the last one was answered, an upgrade, `Expect`, `Connection: close`) goes uvicorn's
own way to the same route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

from service.api.arrival import Read, whole
from service.api.bounded_protocol import BoundedProtocol, RefuseUnread
from service.api.problems import answer as answer_of
from service.api.sending import Headers, Write

# Answers a turn: its headers, what reads its body, what writes the answer.
AnswerTurn: TypeAlias = Callable[[dict[bytes, bytes], Read, Write], Awaitable[None]]


def turn_protocol(path: str, answer: AnswerTurn, refuse: RefuseUnread = answer_of) -> type[asyncio.Protocol]:
    """Return what uvicorn makes for each connection (its `http`), so that `answer` gets the turns sent to `path`.

    `refuse` makes the answer of what never becomes a request.
    """
    # uvicorn only ever calls it.
    return cast("type[asyncio.Protocol]", partial(_TurnProtocol, path.encode(), answer, refuse))


class _Underway(RequestResponseCycle):
    """A turn that is being answered, as far as uvicorn asks about the request at hand."""

    message_event = asyncio.Event()  # uvicorn tells it of a hang-up, and nobody waits

    def __init__(self) -> None:
        self.response_complete = False
        self.response_started = False
        self.disconnected = False
        self.keep_alive = True
        self.more_body = False


class _TurnProtocol(BoundedProtocol):
    """One connection."""

    def __init__(
        self,
        path: bytes,
        answer: AnswerTurn,
        refuse: RefuseUnread,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(refuse, config, server_state, app_state, _loop)
        self._path = path
        self._answer = answer
        # The body so far of a turn that may still arrive whole.
        self._pieces: list[bytes] | None = None

    def data_received(self, data: bytes) -> None:
        """Take what has arrived; a turn that is not complete with it is one for ASGI, where clocks and limits are."""
        super().data_received(data)
        pieces, self._pieces = self._pieces, None
        if pieces is not None and not self.refused and not self.transport.is_closing():
            super().head_came()
            for piece in pieces:
                super().body_came(piece)

    def head_came(self) -> None:
        """Hold a turn back until its body is there."""
        if self.url == self._path and self._is_plain():
            self._pieces = []
        else:
            super().head_came()

    def body_came(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self._pieces is None:
            super().body_came(body)
        else:
            self._pieces.append(body)

    def request_came(self) -> None:
        """Answer a turn that is there."""
        pieces, self._pieces = self._pieces, None
        if pieces is None:
            super().request_came()
            return
        self.cycle = underway = _Underway()
        task = self.loop.create_task(self._answered(underway, dict(self.headers), b"".join(pieces)))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _is_plain(self) -> bool:
        parser, limit = self.parser, self.limit_concurrency
        return (
            (self.cycle is None or self.cycle.response_complete)
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self.root_path
            and (limit is None or (len(self.connections) < limit and len(self.tasks) < limit))
        )

    async def _answered(self, underway: _Underway, headers: dict[bytes, bytes], body: bytes) -> None:
        async def read() -> bytes:
            return whole(headers, body)

        try:
            await self._answer(headers, read, partial(self._write, underway))
        finally:
            if not underway.response_complete:
                self.transport.close()

    async def _write(self, underway: _Underway, status: int, headers: Headers, body: bytes) -> None:
        if self.flow.write_paused and not underway.disconnected:
            await self.flow.drain()
        underway.response_complete = True
        if underway.disconnected:
            return
        parts = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            if name.lower() == b"connection":
                underway.keep_alive = False  # the one thing that an answer ever says of its connection
            else:
                parts += (name, b": ", value, b"\r\n")
        if not underway.keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", body)
        self.transport.write(b"".join(parts))
        if not underway.keep_alive:
            self.transport.close()
        self.on_response_complete()
