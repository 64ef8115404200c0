"""Work that is too heavy for somebody hides nothing lighter behind it, however much of it there is."""

from __future__ import annotations

import pytest

from rules.routing.operators import Operator
from service.errors import CapacityReached
from service.flows import handoffs
from service.flows.access import Store
from service.flows.handoffs import Claimed, Claiming
from service.store.lighter import READ_MAX
from tests.service.desk import DESK, NOW, waiting

pytestmark = pytest.mark.server

KIM = Operator("kim", capacity=3, weights={"escalate": 2})


@pytest.fixture
def store(parted: Store) -> Store:
    return parted


async def claim(store: Store, tenant: str, who: Operator = KIM) -> int | None:
    """Return which conversation was claimed, None where all that waits is too heavy."""
    try:
        claimed = await handoffs.claim_next(
            store, DESK, tenant, None, Claiming(who.name, 60_000, declared=who), NOW + 10_000
        )
    except CapacityReached:
        return None
    assert isinstance(claimed, Claimed)
    return int(claimed.handoff.conversation_id[1:])


async def test_a_light_one_is_found_behind_many_heavy_ones_of_its_class(store: Store, tenant: str) -> None:
    await waiting(store, tenant, 60)
    await waiting(store, tenant, 2, first=60, channel="mail")
    # Two of three are in hand with the first; another would be four.
    assert [await claim(store, tenant) for _ in range(3)] == [0, 60, None]


async def test_a_light_one_of_another_class_is_found_behind_many_heavy_ones(store: Store, tenant: str) -> None:
    await waiting(store, tenant, 60)
    await waiting(store, tenant, 1, first=60, channel="mail", languages=["es"])
    await waiting(store, tenant, 1, first=61, channel="mail")
    assert [await claim(store, tenant) for _ in range(3)] == [0, 60, None]


async def test_light_ones_of_more_classes_than_a_look_reads_are_found(store: Store, tenant: str) -> None:
    languages = ("en", "es", "de", "fr", "it", "pt", "nl", "pl", "sv", "fi", "da", "cs")
    await waiting(store, tenant, 36, languages=languages)
    await waiting(store, tenant, 1, first=36, channel="mail", languages=["tr"])
    assert [await claim(store, tenant) for _ in range(2)] == [0, 36]


async def test_what_a_page_does_not_hold_is_found_by_asking_again(store: Store, tenant: str) -> None:
    if store.partitions > 1:
        pytest.skip("the pages of one class are the same in each partition")
    heavy = 2 * READ_MAX + 10
    await waiting(store, tenant, heavy)
    await waiting(store, tenant, 1, first=heavy, channel="mail")
    assert [await claim(store, tenant) for _ in range(5)] == [0, None, None, heavy, None]


async def test_who_carries_as_much_as_they_can_reads_nothing_behind(store: Store, tenant: str) -> None:
    even, asked = Operator("even", capacity=1), []
    for most in (60, 180):
        await waiting(store, tenant, 60, first=most - 60)
        if most == 60:
            assert await claim(store, tenant, even) == 0
        before = await calls(store)
        assert await claim(store, tenant, even) is None
        asked.append(await calls(store) - before)
    assert abs(asked[1] - asked[0]) < 10


async def calls(store: Store) -> int:
    """Return how many commands the server was sent; those of scripts count as well."""
    told = await store.link.call("INFO", "stats")
    return int(next(line for line in told.decode().splitlines() if line.startswith("total_commands")).split(":")[1])
