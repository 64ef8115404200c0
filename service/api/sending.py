"""How an answer leaves: whole, in one piece, whatever carries it. What it says is decided elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from starlette.types import Send

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
# Sends status, headers and body, once.
Write: TypeAlias = Callable[[int, Headers, bytes], Awaitable[None]]


def over_asgi(send: Send) -> Write:
    """Return what writes an answer as the two messages of ASGI."""

    async def write(status: int, headers: Headers, body: bytes) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return write
