"""A webhook receiver on this machine: real HTTP, and as badly behaved as its path says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Got:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def verified(self, secret: str) -> dict[str, Any]:
        """Return the body as the Standard Webhooks library hands it out, after checking the signature."""
        found: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return found


class Receiver:
    """Answers by path: /ok, /status/N, /slow, /drop, /flood, /redirect, /busy, or by `script`, a status a request."""

    def __init__(self, port: int = 0, script: list[int] | None = None) -> None:
        self.got: list[Got] = []
        self.script = script or []
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append(Got(self.path, headers, body))
                receiver.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up on us here
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "/ok") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, holds: Callable[[list[Got]], bool], seconds: float = 60.0) -> list[Got]:
        deadline = time.monotonic() + seconds
        while not holds(self.got):
            assert time.monotonic() < deadline, f"waited in vain, got {[each.path for each in self.got]}"
            time.sleep(0.01)
        return list(self.got)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        kind, _, rest = request.path.strip("/").partition("/")
        if self.script:
            return _say(request, self.script.pop(0))
        if kind == "slow":
            self.released.wait(30)
            return _say(request, 200)
        if kind == "drop":
            request.close_connection = True
            request.connection.close()
            return None
        if kind == "flood":
            return self._flood(request)
        if kind == "redirect":
            return _say(request, 302, location=self.url("/ok"))
        if kind == "busy":
            return _say(request, 429, **{"retry-after": rest or "7"})
        return _say(request, int(rest) if kind == "status" else 200)

    def _flood(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not self.released.is_set():
            request.wfile.write(b"x" * 65_536)


def _say(request: BaseHTTPRequestHandler, status: int, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("content-length", "0")
    request.end_headers()
