"""A small HTTP server on real sockets that answers as its script says: well, late, broken, in halves or not at all."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self


@dataclass(frozen=True)
class Request:
    """What came in; `connection` counts the connections from 1."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


# What to do with a request: send bytes over the socket, wait for the server's end, …; returns whether to keep it open.
Act = Callable[["Server", socket.socket, Request], bool]


@dataclass
class Server:
    """Serves until left; the acts of `script` are used up in order, the last one is repeated."""

    script: list[Act]
    requests: list[Request] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                connection.close()
        for thread in self._threads:
            thread.join(timeout=5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        number = 0
        while not self.ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            with self._lock:
                self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with connection, connection.makefile("rb") as incoming:
                while (request := _read(incoming, number)) is not None:
                    with self._lock:
                        act = self.script[0] if len(self.script) == 1 else self.script.pop(0)
                        self.requests.append(request)
                    if not act(self, connection, request):
                        return
        except OSError:
            return


def _read(incoming: Any, number: int) -> Request | None:
    first = incoming.readline().decode()
    if not first:
        return None
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    while line := incoming.readline().decode().rstrip("\r\n"):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(method, target, headers, incoming.read(int(headers.get("content-length", 0))), number)


def _head(status: int, length: int, headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"content-length: {length}", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    return "\r\n".join([*lines, "", ""]).encode()


def answers(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Act:
    """Answer with JSON, or with bytes as they are."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()

    def act(_: Server, connection: socket.socket, __: Request) -> bool:
        connection.sendall(_head(status, len(content), headers) + content)
        return True

    return act


def decides(**more: object) -> Act:
    """Answer a turn with a decision to it: `continue` unless told otherwise."""

    def act(server: Server, connection: socket.socket, request: Request) -> bool:
        return answers(decision_for(request.json, **more))(server, connection, request)

    return act


def decision_for(turn: Mapping[str, Any], **more: object) -> dict[str, object]:
    """Return a decision as section 7 of the contract shows it."""
    return {
        "decision_id": "dec_0_1",
        "conversation_id": turn["conversation_id"],
        "turn_id": turn["turn_id"],
        "verdict": "continue",
        "must_stop": False,
        "rules": [],
        "say": None,
        "ruleset": "ab" * 32,
        "degraded": False,
        "handoff": None,
        **more,
    }


def hangs(server: Server, _: socket.socket, __: Request) -> bool:
    """Say nothing until the server ends."""
    server.ending.wait()
    return False


def resets(_: Server, connection: socket.socket, __: Request) -> bool:
    """Tear the connection down."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return False


def halves(_: Server, connection: socket.socket, request: Request) -> bool:
    """Send half of a good answer and close."""
    content = json.dumps(decision_for(request.json)).encode()
    connection.sendall(_head(200, len(content)) + content[: len(content) // 2])
    return False


def drips(server: Server, connection: socket.socket, _: Request) -> bool:
    """Send a body of which a byte comes every 20 ms, so that no single read is ever late."""
    connection.sendall(_head(200, 100_000))
    while not server.ending.wait(0.02):
        connection.sendall(b" ")
    return False


def babbles(_: Server, connection: socket.socket, __: Request) -> bool:
    """Speak something that is not HTTP."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    return False


def drips_a_head(server: Server, connection: socket.socket, _: Request) -> bool:
    """Send a head of which a line comes every 20 ms and the last one never."""
    connection.sendall(b"HTTP/1.1 200 Said\r\n")
    while not server.ending.wait(0.02):
        connection.sendall(b"x: y\r\n")
    return False


def promises(server: Server, connection: socket.socket, _: Request) -> bool:
    """Say every 20 ms that the answer comes, and send none."""
    while not server.ending.wait(0.02):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return False


def zips(size: int) -> Act:
    """Send so many zeros, in a thousandth of their bytes."""
    content = gzip.compress(bytes(size))
    return answers(content, headers={"content-encoding": "gzip"})


def cuts(until: str, ending: Literal["whole", "closed", "silent"], **more: object) -> Act:
    """Send a decision up to these characters: as if it were all, and close or say nothing more in the middle of it."""

    def act(server: Server, connection: socket.socket, request: Request) -> bool:
        content = json.dumps(decision_for(request.json, **more)).encode()
        sent = content[: content.index(until.encode()) + len(until)]
        connection.sendall(_head(200, len(sent if ending == "whole" else content)) + sent)
        if ending == "silent":
            server.ending.wait()
        return ending == "whole"

    return act
