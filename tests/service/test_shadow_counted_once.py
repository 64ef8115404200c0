"""What a version in shadow would have decided is counted once, also where the client sends a write a second time."""

from __future__ import annotations

import asyncio

import pytest

from service.flows.access import Store
from service.store import shadows
from service.store.connection import Link
from service.store.multiplexed import Reply, Word
from service.store.scripts import Scripts, library
from service.store.shadows import Difference

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000


class Twice:
    """A link that sends each command twice, as redis-py does on a cluster when the first answer is lost."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def call(self, *words: Word, durable: bool = False) -> Reply:
        await self._link.call(*words, durable=durable)
        return await self._link.call(*words, durable=durable)

    async def close(self) -> None:
        await self._link.close()


async def test_a_write_that_is_sent_twice_is_counted_once_and_the_next_one_too(store: Store, tenant: str) -> None:
    store.scripts = Scripts(Twice(store.link), library())
    place = store.places(tenant)[0]
    difference = Difference("dec_0_1", "c1", NOW, "stricter", "continue", "escalate", "tier1", ("angry",), ())
    for _ in range(2):
        await shadows.record(store, place, 3, {"judged": 5, "stricter": 1}, [difference], NOW)
    counts, differences = await shadows.read(store, place, 3, 10)
    assert counts == {"judged": 10, "stricter": 2, "since_at_ms": NOW, "until_at_ms": NOW}
    assert differences == (difference, difference)


async def test_two_processes_that_write_at_once_are_both_counted(store: Store, tenant: str) -> None:
    place = store.places(tenant)[0]
    await asyncio.gather(*(shadows.record(store, place, 3, {"judged": 1}, (), NOW) for _ in range(4)))
    counts, _ = await shadows.read(store, place, 3, 10)
    assert counts["judged"] == 4
