"""The few words spoken with the embedded server before any client is connected to it: PING, INFO, SHUTDOWN."""

from __future__ import annotations

import re
import socket as sockets
from enum import Enum
from pathlib import Path

TALK_WAIT_MS_MAX = 1_000  # a server that is not loading answers PING in 0.1 ms
ANSWER_BYTES_MAX = 16_384  # `INFO server` is 1,200 bytes long


class Answer(Enum):
    """What the server said, as far as starting and stopping it are concerned."""

    READY = "ready"
    LOADING = "loading"  # it reads its append-only file
    AWAY = "away"  # nobody listens, or nobody answers
    REFUSED = "refused"


def ask(socket: Path, command: str) -> Answer:
    """Send one word and return what the answer means; after SHUTDOWN a closed connection is READY to be gone."""
    answer = _exchange(socket, command)
    if answer is None:
        return Answer.AWAY
    if answer.startswith(b"-LOADING"):
        return Answer.LOADING
    if answer.startswith(b"-"):
        return Answer.REFUSED
    return Answer.READY


def server_pid(socket: Path) -> int | None:
    """Return the process id that the server itself reports, None when it does not answer."""
    match = re.search(rb"process_id:(\d+)", _exchange(socket, "INFO server") or b"")
    return int(match[1]) if match else None


def _exchange(socket: Path, command: str) -> bytes | None:
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as connection:
        connection.settimeout(TALK_WAIT_MS_MAX / 1000)
        try:
            connection.connect(str(socket))
            connection.sendall(command.encode() + b"\r\n")
            return _read(connection)
        except OSError:
            return None


def _read(connection: sockets.socket) -> bytes:
    """Return one answer: a line, or the head of a bulk text and as much of the text as has been announced."""
    answer = b""
    while len(answer) < ANSWER_BYTES_MAX:
        part = connection.recv(4096)
        answer += part
        head, _, body = answer.partition(b"\r\n")
        if not part or (b"\r\n" in answer and (head[:1] != b"$" or len(body) >= int(head[1:]))):
            break
    return answer
