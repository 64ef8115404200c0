"""Decisions made while the store is away: kept on local disk, delivered exactly once when it is back."""

from __future__ import annotations

from pathlib import Path

from service.store.store import Store


class Spool:
    """The directory `data_dir/spool`: one file a decision."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory


async def drain(store: Store, spool: Spool, now_ms: int) -> int:
    """Deliver what the spool holds, oldest first, and return how many were delivered. Safe to repeat, and to race."""
    raise NotImplementedError
