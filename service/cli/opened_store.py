"""The store that `serve` would use, opened for one command: the same data directory, or the same address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.flows.access import Store, open_store, start_or_attach
from service.settings import Settings


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """Open the store and leave it as it was found: an embedded server that was started for this is stopped again."""
    embedded = start_or_attach(settings.data_dir) if settings.redis_url is None else None
    try:
        url = settings.redis_url if embedded is None else embedded.url
        store = await open_store(str(url), partitions=settings.partitions, durable=settings.durable)
        try:
            yield store
        finally:
            await store.close()
    finally:
        if embedded is not None:
            embedded.close()
