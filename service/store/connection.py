"""Which way leads to a server, by its address; and what every way offers. No key is known here."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from service.store.multiplexed import Address, Barrier, Multiplexed, Reply, Word
from service.store.pooled import is_cluster, pooled

# With one, 32 turns at once took 15 ms, with four 11 ms and a fifth less of the server's time. Each is one more
# connection of every process.
SHARED_CONNECTIONS = 4


class Link(Protocol):
    """A way to a server. All of its errors are facts of `service.errors`, or ServerError."""

    def call(self, *words: Word, durable: bool = False) -> Awaitable[Reply]:
        """Send one command and return its answer to come; `durable` waits for the link's barrier."""

    async def close(self) -> None:
        """Let go of every connection."""


class Twin:
    """Two shared connections: a wait for the disk keeps back the writes behind it, and must not keep back the reads."""

    def __init__(self, address: Address, barrier: Barrier) -> None:
        self._reads = Multiplexed(address)
        self._writes = Multiplexed(address, barrier)

    async def call(self, *words: Word, durable: bool = False) -> Reply:
        """Send over the connection for this kind of call."""
        return await (self._writes if durable else self._reads).call(*words, durable=durable)

    async def close(self) -> None:
        """Let go of both."""
        await self._reads.close()
        await self._writes.close()


def address_of(url: str) -> Address | None:
    """Return the address of a plain server, None where TLS, Sentinel or a cluster stand between."""
    parts = urlsplit(url)
    if parts.scheme not in ("unix", "redis") or is_cluster(url):
        return None
    asked = parse_qs(parts.query)
    db = asked.get("db", [""])[-1] or ("" if parts.scheme == "unix" else parts.path.strip("/"))
    return Address(
        path=unquote(parts.path) if parts.scheme == "unix" else None,
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 6379,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        db=int(db or 0),
    )


def link_to(url: str, barrier: Barrier | None = None) -> Link:
    """Return a way to the server at `url`; nothing is connected before the first call."""
    address = address_of(url)
    if address is None:
        return pooled(url, barrier)
    return Multiplexed(address, connections=SHARED_CONNECTIONS) if barrier is None else Twin(address, barrier)
