"""Work that is too heavy for somebody hides nothing lighter behind it, however much of it there is."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.routing.operators import Operator
from service.errors import CapacityReached
from service.flows import handoffs
from service.flows.access import Store, open_store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming
from service.store.lighter import READ_MAX
from tests.service.turns import turn

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
RULES = build(
    files_or_raise(
        {
            "rules.yaml": """\
handrail: 1
queues:
  desk:
    answer_within: 1h
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
    language: customer
rules:
  - {id: asks, why: x, when: channel = desk, then: {escalate: desk}}
  - {id: reads, why: x, when: channel = mail, then: {review: desk}}
"""
        }
    )
)
KIM = Operator("kim", capacity=3, weights={"escalate": 2})
_TENANTS = (f"lighter-{number}" for number in itertools.count())


@pytest.fixture(params=[1, 3], ids=["one-partition", "three-partitions"])
async def store(request: pytest.FixtureRequest, server_url: str) -> AsyncIterator[Store]:
    # A server remembers its partitions by its database.
    opened = await open_store(f"{server_url}?db={6 + request.param}", partitions=request.param)
    yield opened
    await opened.close()


@pytest.fixture
def tenant() -> str:
    return next(_TENANTS)


async def waits(store: Store, tenant: str, number: int, channel: str = "desk", locale: str = "en") -> None:
    await decide(store, RULES, tenant, turn(f"c{number}", channel=channel, locale=locale), NOW + number)


async def claim(store: Store, tenant: str, who: Operator = KIM) -> int | None:
    """Return which conversation was claimed, None where all that waits is too heavy."""
    try:
        claimed = await handoffs.claim_next(
            store, RULES, tenant, None, Claiming(who.name, 60_000, declared=who), NOW + 10_000
        )
    except CapacityReached:
        return None
    assert isinstance(claimed, Claimed)
    return int(claimed.handoff.conversation_id[1:])


async def test_a_light_one_is_found_behind_many_heavy_ones_of_its_class(store: Store, tenant: str) -> None:
    for number in range(60):
        await waits(store, tenant, number)
    for number in (60, 61):
        await waits(store, tenant, number, "mail")
    # Two of three are in hand with the first; another would be four.
    assert [await claim(store, tenant) for _ in range(3)] == [0, 60, None]


async def test_a_light_one_of_another_class_is_found_behind_many_heavy_ones(store: Store, tenant: str) -> None:
    for number in range(60):
        await waits(store, tenant, number)
    await waits(store, tenant, 60, "mail", "es")
    await waits(store, tenant, 61, "mail")
    assert [await claim(store, tenant) for _ in range(3)] == [0, 60, None]


async def test_light_ones_of_more_classes_than_a_look_reads_are_found(store: Store, tenant: str) -> None:
    languages = ("en", "es", "de", "fr", "it", "pt", "nl", "pl", "sv", "fi", "da", "cs")
    for number in range(36):
        await waits(store, tenant, number, locale=languages[number % 12])
    await waits(store, tenant, 36, "mail", "tr")
    assert [await claim(store, tenant) for _ in range(2)] == [0, 36]


async def test_what_a_page_does_not_hold_is_found_by_asking_again(store: Store, tenant: str) -> None:
    if store.partitions > 1:
        pytest.skip("the pages of one class are the same in each partition")
    heavy = 2 * READ_MAX + 10
    for number in range(heavy):
        await waits(store, tenant, number)
    await waits(store, tenant, heavy, "mail")
    assert [await claim(store, tenant) for _ in range(5)] == [0, None, None, heavy, None]


async def test_who_carries_as_much_as_they_can_reads_nothing_behind(store: Store, tenant: str) -> None:
    even, asked = Operator("even", capacity=1), []
    for most in (60, 180):
        for number in range(most - 60, most):
            await waits(store, tenant, number)
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
