"""A request that is in flight several times at once takes one handoff, in whichever partition and process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence

import pytest

from rules.evaluation.evaluate import Ruleset
from rules.routing.operators import Operator
from service.errors import StoreAway
from service.flows import handoffs
from service.flows.access import Store, open_store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming
from service.flows.rooms import Room
from service.store import rooms
from tests.service.turns import angry

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
_TENANTS = (f"once-{number}" for number in itertools.count())


@pytest.fixture(params=[1, 4], ids=["one-partition", "four-partitions"])
async def stores(request: pytest.FixtureRequest, server_url: str) -> AsyncIterator[Sequence[Store]]:
    """Two processes' worth of one store: they share nothing but the server."""
    # A server remembers its partitions by its database.
    database = 0 if request.param == 1 else 1
    opened = [await open_store(f"{server_url}?db={database}", partitions=request.param) for _ in range(2)]
    yield opened
    for each in opened:
        await each.close()


@pytest.fixture
def tenant() -> str:
    return next(_TENANTS)


async def waiting(store: Store, ruleset: Ruleset, tenant: str, count: int) -> list[str]:
    made = [await decide(store, ruleset, tenant, angry(f"c{number}"), NOW + number) for number in range(count)]
    return [decided.decision.handoff_id or "" for decided in made]


async def claim(store: Store, ruleset: Ruleset, tenant: str, key: str, declared: Operator | None) -> tuple[str, str]:
    claiming = Claiming("mia", 60_000, key, declared)
    claimed = await handoffs.claim_next(store, ruleset, tenant, None, claiming, NOW + 1_000)
    assert isinstance(claimed, Claimed)
    return claimed.handoff.handoff_id, claimed.token


@pytest.mark.parametrize("declared", [None, Operator("mia"), Operator("mia", capacity=100)], ids=["any", "all", "100"])
async def test_the_same_request_at_once_gets_one_handoff_and_one_token(
    stores: Sequence[Store], ruleset: Ruleset, tenant: str, declared: Operator | None
) -> None:
    made = await waiting(stores[0], ruleset, tenant, 24)
    taken: list[tuple[str, str]] = []
    for number in range(6):
        asks = (claim(store, ruleset, tenant, f"r{number}", declared) for store in (*stores, *stores))
        answers = set(await asyncio.gather(*asks))
        assert len(answers) == 1
        taken += answers
    assert [handoff_id for handoff_id, _ in taken] == made[:6]
    assert sum((await stores[0].work.in_hand(stores[0].places(tenant), "mia"))[0]) == 6
    # Other requests of the same person do not wait for each other.
    asks = (
        claim(store, ruleset, tenant, f"other{number}", declared) for number, store in enumerate((*stores, *stores))
    )
    assert sorted(handoff_id for handoff_id, _ in await asyncio.gather(*asks)) == sorted(made[6:10])


async def test_a_named_one_is_claimed_once_for_a_request_too(
    stores: Sequence[Store], ruleset: Ruleset, tenant: str
) -> None:
    made = await waiting(stores[0], ruleset, tenant, 4)
    claiming = Claiming("mia", 60_000, "r1", Operator("mia", capacity=2))
    asks = (handoffs.claim_one(store, tenant, made[2], claiming, NOW + 1_000) for store in (*stores, *stores))
    assert {(each.handoff.handoff_id, each.token) for each in await asyncio.gather(*asks)} == {
        (made[2], (await handoffs.claim_one(stores[0], tenant, made[2], claiming, NOW + 1_000)).token)
    }


async def test_a_request_whose_process_was_killed_is_answered_once_that_can_take_nothing_more(
    stores: Sequence[Store], ruleset: Ruleset, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It ends when the test says so, however long the other takes to come.
    monkeypatch.setattr(rooms, "KEPT_MS", 600_000)
    store = stores[0]
    if store.partitions == 1:
        pytest.skip("one script sees the request and takes the handoff")
    made = await waiting(store, ruleset, tenant, 2)
    killed = Room(stores[1], tenant, "mia", "claims", 0, "claim:mia:r1")
    await killed.keep()
    await killed.note([], 3)
    asking = asyncio.create_task(claim(store, ruleset, tenant, "r1", None))
    while await keepers(store, tenant) < 2:
        assert not asking.done()
    # As it stands once the room has ended by itself.
    await killed.leave()
    assert (await asking)[0] == made[0]


async def keepers(store: Store, tenant: str) -> int:
    return max([int(await store.link.call("HLEN", place.room("mia", "claims"))) for place in store.places(tenant)])


async def test_a_request_that_is_never_done_is_told_so_and_takes_nothing(
    stores: Sequence[Store], ruleset: Ruleset, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores[0]
    if store.partitions == 1:
        pytest.skip("one script sees the request and takes the handoff")
    monkeypatch.setattr("service.flows.taking.OTHERS_WAIT_MS", 50)
    await waiting(store, ruleset, tenant, 1)
    await Room(stores[1], tenant, "mia", "claims", 0, "claim:mia:r1").keep()
    with pytest.raises(StoreAway, match="the same request is being answered"):
        await claim(store, ruleset, tenant, "r1", None)
    assert sum((await store.work.in_hand(store.places(tenant), "mia"))[0]) == 0
