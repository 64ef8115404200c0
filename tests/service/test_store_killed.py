"""A server killed under load: whatever was acknowledged is there afterwards, and nothing is there twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rules.evaluation.evaluate import Ruleset
from service.errors import Refusal, StoreAway
from service.flows import degraded, handoffs
from service.flows.access import Store, open_store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, Lease, Resolving
from service.flows.spool import Spool
from service.store.connection import link_to
from service.store.keys import MOVED_CHANNEL
from tests.service.conftest import Server
from tests.service.listening import WAIT_S
from tests.service.turns import angry

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
KILLS = 3


async def again(server: Server, store: Store) -> None:
    server.start()
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await store.ping()
            except StoreAway:
                await asyncio.sleep(0.02)


async def grown(acknowledged: dict[str, str], wanted: int) -> None:
    async with asyncio.timeout(60):
        while len(acknowledged) < wanted:  # noqa: ASYNC110  # others fill it by themselves
            await asyncio.sleep(0.01)


async def listened(*servers: Server) -> None:
    """Wait until somebody hears of moves on one of the servers: what happens before is told to nobody."""
    async with asyncio.timeout(WAIT_S):
        while not any([await _hears(server) for server in servers]):  # noqa: ASYNC110  # it happens in the server
            await asyncio.sleep(0.02)


async def _hears(server: Server) -> bool:
    link = link_to(server.url)
    try:
        _, count = await link.call("PUBSUB", "NUMSUB", MOVED_CHANNEL)
        return bool(count)
    except StoreAway:
        return False
    finally:
        await link.close()


async def test_every_acknowledged_handoff_survives_kills_under_load_and_is_done_once(
    own_server: Server, ruleset: Ruleset, place: Path
) -> None:
    store = await open_store(own_server.url)
    spool = Spool(place / "spool")
    acknowledged: dict[str, str] = {}
    resolved: dict[str, str] = {}
    stop = asyncio.Event()
    numbers = iter(range(1_000_000))

    async def agent() -> None:
        while not stop.is_set():
            one = angry(f"c{next(numbers)}")
            decided = await decide(store, ruleset, "acme", one, NOW, spool=spool)
            assert decided.decision.handoff_id is not None
            acknowledged[one.conversation_id] = decided.decision.handoff_id
            await asyncio.sleep(0.001)

    async def operator(name: str) -> None:
        while not stop.is_set():
            try:
                claimed = await handoffs.claim_next(store, ruleset, "acme", "tier1", Claiming(name, 60_000), NOW)
                if isinstance(claimed, Claimed):
                    lease = Lease(claimed.handoff.handoff_id, claimed.token, "done")
                    await handoffs.resolve(store, "acme", lease, Resolving("answer", "needed"), NOW + 1)
                    assert claimed.handoff.handoff_id not in resolved, "done twice"
                    resolved[claimed.handoff.handoff_id] = name
            except Refusal:
                pass
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(agent())
        for name in ("mia", "ben", "kim"):
            group.create_task(operator(name))
        for _ in range(KILLS):
            await grown(acknowledged, len(acknowledged) + 60)
            own_server.kill()
            await asyncio.sleep(0.05)
            await again(own_server, store)
        stop.set()
    while await degraded.drain(store, spool):
        pass
    found = [await handoffs.get(store, "acme", handoff_id) for handoff_id in acknowledged.values()]
    assert len(found) >= KILLS * 60
    by_id = {handoff.handoff_id: handoff for handoff in found}
    assert {handoff_id for handoff_id in resolved if by_id[handoff_id].state != "resolved"} == set()
    assert {handoff.conversation_id for handoff in found} == set(acknowledged)
    # Nobody else is waiting: what is open is what was acknowledged and not yet resolved or held.
    (tier1,) = [view for view in await handoffs.queues(store, ruleset, "acme") if view.name == "tier1"]
    assert tier1.waiting == sum(handoff.state == "waiting" for handoff in found)
    assert tier1.leased == sum(handoff.state == "leased" for handoff in found)
    await store.close()


async def test_an_agent_that_waits_is_answered_after_the_server_came_back(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    decided = await decide(store, ruleset, "acme", angry("c1"), NOW)
    handoff_id = decided.decision.handoff_id or ""
    waiting = asyncio.create_task(handoffs.wait(store, "acme", handoff_id, 30_000, None, NOW))
    await listened(own_server)
    own_server.kill()
    await again(own_server, store)
    await listened(own_server)
    claimed = await handoffs.claim_one(store, "acme", handoff_id, Claiming("mia", 60_000), NOW)
    # Nobody who was not woken would be answered before the 30 s are over.
    assert await asyncio.wait_for(waiting, WAIT_S) == claimed.handoff
    await store.close()
