"""A real embedded server for the tests of the workers, and a fresh tenant for each test."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.flows.access import Store, open_store
from service.store.embedded import Embedded, start_or_attach

_TENANTS = (f"tenant-{number}" for number in itertools.count())


REDIS = shutil.which("redis-server")


@pytest.fixture(scope="session", params=["valkey", *(["redis"] if REDIS else [])])
def server(request: pytest.FixtureRequest) -> Iterator[Embedded]:
    binary = Path(REDIS) if REDIS and request.param == "redis" else None
    # Not tmp_path: its names are too long for a socket in them.
    with (
        tempfile.TemporaryDirectory(prefix="hr-") as place,
        start_or_attach(Path(place) / "d", binary=binary) as embedded,
    ):
        yield embedded


@pytest.fixture
async def store(server: Embedded) -> AsyncIterator[Store]:
    opened = await open_store(server.url)
    yield opened
    await opened.close()


@pytest.fixture
def tenant() -> str:
    return next(_TENANTS)
