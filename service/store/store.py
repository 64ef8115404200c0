"""The open store: the link to the server, its scripts, and the limits it was opened with."""

from __future__ import annotations

from typing import Literal


class Store:
    """A server opened for Handrail's keys."""

    partitions: int

    async def close(self) -> None:
        """Let go of every connection."""
        raise NotImplementedError

    async def ping(self) -> None:
        """Return when the server answers; raise StoreAway otherwise."""
        raise NotImplementedError


async def open_store(url: str, *, partitions: int = 1, durable: Literal["default", "strict"] = "default") -> Store:
    """Open the server at `url`; raises ServerUnfit, PartitionsDiffer, StoreAway."""
    raise NotImplementedError
