"""uvicorn's HTTP/1.1, with bounds on what comes before anybody is asked: a request's head, and what nobody reads.

Whoever connects may make the service wait for the head of a request, or for the rest of one that is answered already,
without a key. So both have a clock, which no further byte sets back, and lines are only kept up to a limit. While a
request is being answered the bounds of its route hold: a long poll or a stream is never cut here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from service.api.problems import Answer, Refused

# A phone on a bad line sends a kilobyte in this time; each connection that waits longer is one less for the others.
HEAD_WAIT_MS_MAX = 10_000
# Four times what proxies let through by default. All of it is held in memory until the head is complete.
HEAD_BYTES_MAX = 65_536
# How long a refused caller may go on sending before the connection is cut: closed at once, while its bytes still come,
# the system would throw away the answer that says why.
REFUSED_WAIT_MS_MAX = 2_000

# Makes the answer of a request that no route has seen, and leaves a count and a log line behind.
RefuseUnread: TypeAlias = Callable[[Refused], Answer]

# What the next bytes belong to. After a body in chunks there may be trailers: lines again, which nobody reads.
_HEAD: Final = "head"
_BODY: Final = "body"
_TRAILERS: Final = "trailers"


class HeadTooLarge(Exception):
    """The head that has just been read is larger than one may be."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What it does with a request stands in the three methods at the end."""

    def __init__(
        self,
        refuse: RefuseUnread,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._refuse = refuse
        self._reading = _HEAD
        # Of the head or the trailers that are being read; none while a body is.
        self._lines_bytes = 0
        # Runs while somebody is waited for and nothing is being answered.
        self._clock: asyncio.TimerHandle | None = None
        self.refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own
        """Take a connection; its first head has to be complete in time."""
        super().connection_made(transport)
        self._clock = self.loop.call_later(HEAD_WAIT_MS_MAX / 1000, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        if self.refused:
            return
        if self._reading is not _BODY:
            self._lines_bytes += len(data)
        super().data_received(data)
        if self._lines_bytes > HEAD_BYTES_MAX:
            self._give_up(_too_large())
        elif (self.cycle is None or self.cycle.response_complete) and not self.refused:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what was not understood; uvicorn calls this for whatever its parser or a method below has raised."""
        if self._lines_bytes > HEAD_BYTES_MAX:
            self._give_up(_too_large())
        else:
            self._give_up(Refused("request_malformed", "what was sent cannot be read as HTTP/1.1"))

    def on_headers_complete(self) -> None:
        """Go on to the body; httptools calls this."""
        if self._lines_bytes > HEAD_BYTES_MAX:
            # A part of the body may have come with it.
            head_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if head_bytes > HEAD_BYTES_MAX:
                raise HeadTooLarge
        if self._clock is not None:
            self._stop_clock()
        self._reading = _BODY
        self._lines_bytes = 0
        self.head_came()

    def on_chunk_header(self) -> None:
        """Expect trailers: no byte of the body follows the header of the last chunk; httptools calls this."""
        self._reading = _TRAILERS
        self._lines_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; httptools calls this."""
        self._reading = _BODY
        self._lines_bytes = 0
        self.body_came(body)

    def on_message_complete(self) -> None:
        """Expect the next head; httptools calls this."""
        # It may run since a piece of the body, and the next head has its own time.
        self._stop_clock()
        self._reading = _HEAD
        self._lines_bytes = 0
        self.request_came()

    def head_came(self) -> None:
        """Begin a request."""
        super().on_headers_complete()

    def body_came(self, body: bytes) -> None:
        """Keep a piece of its body."""
        super().on_body(body)

    def request_came(self) -> None:
        """End its body."""
        super().on_message_complete()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        """Let the clock run for whatever is half here; a connection that only waits is uvicorn's to close."""
        if self._reading is _HEAD and not self._lines_bytes and self.cycle is not None:
            # The rest of a request that had its answer before: uvicorn has stopped its own clock for these bytes.
            self._stop_clock()
            if self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )
        elif self._clock is None:
            self._clock = self.loop.call_later(HEAD_WAIT_MS_MAX / 1000, self._late)

    def _late(self) -> None:
        self._clock = None
        if self._answering() or self.transport.is_closing():
            return
        if self._reading is _HEAD and self._lines_bytes:
            self._give_up(Refused("head_slow", f"the head was not complete after {HEAD_WAIT_MS_MAX} ms"))
        else:
            # Who has sent nothing waits for no answer, and who is not done with a request has had theirs.
            self.transport.close()

    def _give_up(self, refused: Refused) -> None:
        """Answer once more if there is a request to answer, read nothing from here on, and end the connection."""
        self.refused = True
        self._stop_clock()
        cycle = self.cycle
        body_broken = self._answering() and cycle.more_body and not cycle.response_started and not self.pipeline
        if self._answering() and not body_broken:
            # Its own answer goes first, and is the last.
            self.shutdown()
            return
        if self.transport.is_closing():
            return
        if body_broken:
            cycle.disconnected = True
            cycle.message_event.set()
        sent = self._refuse(refused)
        parts = [STATUS_LINE[sent.status]]
        for name, value in (*self.server_state.default_headers, *sent.headers):
            parts += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join((*parts, b"connection: close\r\n\r\n", sent.body)))
        self.transport.write_eof()
        self._clock = self.loop.call_later(REFUSED_WAIT_MS_MAX / 1000, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None


def _too_large() -> Refused:
    return Refused("head_too_large", f"the head of the request is larger than {HEAD_BYTES_MAX} bytes")
