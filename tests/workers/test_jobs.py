"""Every job runs once, twice, and killed in between, with the same end."""

from __future__ import annotations

import asyncio
import collections
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from rules.handoff import Handoff
from service import settings, supervise
from service.clock import now_ms
from service.flows import audit, deadlines, handoffs, machine_work
from service.flows.access import Store, open_store
from service.flows.audit import AuditLog
from service.flows.handoffs import Claimed, Claiming
from service.flows.machine_work import WorkDue
from service.flows.webhook_events import EVENTS
from service.jobs import JOBS, Lane
from service.store import handoffs as stored
from service.store import keys, outbox, packets
from service.store.embedded import Embedded
from tests.workers.opened import ended, open_handoff, open_many, rules
from workers import context, deliver, enrich, expire, relay, schedule
from workers.context import Context
from workers.mailer import Mailer
from workers.nudges import Nudges
from workers.sender import Sender

pytestmark = pytest.mark.server


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture
def lane(server: Embedded, runner: asyncio.Runner, tmp_path: Path) -> Iterator[Store]:
    """A lane's context in this very process, and its store."""
    with redis.Redis.from_url(server.url, db=2) as connection:
        connection.flushdb()
        store = runner.run(open_store(server.url))
        context.enter(
            Context(
                settings.load(),
                store,
                Nudges(connection),
                Sender("loopback"),
                runner,
                "tests",
                AuditLog(tmp_path / "audit"),
                Mailer("loopback"),
            )
        )
        yield store
        runner.run(store.close())


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the job that ends what has run out find itself so much later."""

    def set_to(ms: int) -> None:
        monkeypatch.setattr(expire, "now_ms", lambda: now_ms() + ms)

    return set_to


async def told(store: Store, tenant: str) -> collections.Counter[str]:
    """Return how many events of each type the outbox holds."""
    entries = await store.link.call("XRANGE", keys.place(tenant, 0).outbox, "-", "+")
    return collections.Counter(fields[fields.index(b"type") + 1].decode() for _, fields in entries)


@pytest.mark.parametrize("times", [1, 2])
def test_a_missed_deadline_ends_the_handoff_once(
    lane: Store, runner: asyncio.Runner, tenant: str, later: Callable[[int], None], times: int
) -> None:
    opened = runner.run(open_many(lane, rules("1m"), tenant, 20))
    later(60_000)
    for _ in range(times):
        expire.run(tenant, 0)
    found = runner.run(ended(lane, tenant, opened))
    assert {(each.state, each.resolution.action if each.resolution else None) for each in found} == {
        ("expired", "timeout")
    }
    assert runner.run(told(lane, tenant)) == {"handoff.opened": 20, "handoff.expired": 20, "handoff.call_owed": 20}


@pytest.mark.parametrize("times", [1, 2])
def test_a_silent_operator_s_handoff_waits_again(
    lane: Store, runner: asyncio.Runner, tenant: str, later: Callable[[int], None], times: int
) -> None:
    ruleset = rules()
    opened = runner.run(open_handoff(lane, ruleset, tenant))
    claim = handoffs.claim_next(lane, ruleset, tenant, "tier1", Claiming("mia", 60_000), now_ms())
    assert isinstance(runner.run(claim), Claimed)
    expire.run(tenant, 0)
    assert runner.run(handoffs.get(lane, tenant, opened.handoff_id)).state == "leased"
    later(60_000)
    for _ in range(times):
        expire.run(tenant, 0)
    again = runner.run(handoffs.get(lane, tenant, opened.handoff_id))
    assert (again.state, again.holder, again.score_ms) == ("waiting", None, opened.score_ms)
    assert runner.run(told(lane, tenant))["handoff.lapsed"] == 1


def test_a_lease_that_outlives_its_deadline_leaves_somebody_else_the_time_to_take_it(
    lane: Store, runner: asyncio.Runner, tenant: str, later: Callable[[int], None]
) -> None:
    ruleset = rules("1m")
    opened = runner.run(open_handoff(lane, ruleset, tenant))
    runner.run(handoffs.claim_next(lane, ruleset, tenant, "tier1", Claiming("mia", 70_000), now_ms()))
    later(75_000)
    expire.run(tenant, 0)
    back = runner.run(handoffs.get(lane, tenant, opened.handoff_id))
    assert (back.state, back.expires_at_ms > now_ms() + 75_000 + 60_000) == ("waiting", True)


@pytest.mark.parametrize("times", [1, 2])
def test_a_packet_is_built_ahead_of_the_claim(lane: Store, runner: asyncio.Runner, tenant: str, times: int) -> None:
    opened = runner.run(open_handoff(lane, rules(), tenant))
    place = stored.place_of(lane, tenant, opened.handoff_id)
    assert runner.run(packets.find(lane, place, opened)) == (None, 1)
    for _ in range(times):
        enrich.run(tenant, opened.handoff_id)
    packet, _ = runner.run(packets.find(lane, place, opened))
    assert packet is not None


def test_a_packet_of_a_handoff_that_is_gone_is_not_built(lane: Store, tenant: str) -> None:
    enrich.run(tenant, "hof_0_0123456789abcdef")


def test_every_kind_of_change_reaches_the_audit_log(
    lane: Store, runner: asyncio.Runner, tenant: str, tmp_path: Path
) -> None:
    for kind in EVENTS:
        runner.run(outbox.tell(lane, tenant, kind, "mia", now_ms(), f"about {kind}"))
    relay.run(tenant, 0)
    audited = [(line["type"], line["actor"], line["detail"]) for line in audit.read(tmp_path / "audit")]
    assert audited == [(kind, "mia", f"about {kind}") for kind in EVENTS]


def test_the_relay_empties_the_outbox_and_nudges_the_packets(lane: Store, runner: asyncio.Runner, tenant: str) -> None:
    runner.run(open_many(lane, rules(), tenant, 3))
    assert runner.run(machine_work.work_due(lane, tenant, 0, now_ms())).outbox == 3
    relay.run(tenant, 0)
    relay.run(tenant, 0)
    assert runner.run(machine_work.work_due(lane, tenant, 0, now_ms())) == WorkDue(0, 0, 0, 0)
    deliver.run(tenant, 0)


@pytest.mark.parametrize(
    ("due", "names"),
    [
        (WorkDue(0, 0, 0, 0), []),
        (WorkDue(2, 0, 0, 0), ["expire"]),
        (WorkDue(0, 1, 0, 0), ["relay"]),
        (WorkDue(0, 0, 9, 0), ["deliver"]),
        (WorkDue(0, 0, 0, 1), ["tell"]),
        (WorkDue(1, 1, 1, 1), ["expire", "relay", "deliver", "tell"]),
    ],
)
def test_what_is_due_asks_for_its_job(due: WorkDue, names: list[str]) -> None:
    assert [spec.name for spec in schedule.jobs_for(due)] == names


async def test_a_tick_looks_at_every_partition_of_every_tenant(server: Embedded, tenant: str) -> None:
    with redis.Redis.from_url(server.url, db=3) as connection:
        connection.flushdb()
    store = await open_store(server.url + "?db=3", partitions=100)
    try:
        ruleset = rules("1s")
        opened = [await open_handoff(store, ruleset, tenant) for _ in range(8)]
        partitions = {int(each.handoff_id.split("_")[1], 16) for each in opened}
        nudged: list[tuple[str, str, int]] = []

        async def nudge(spec: Any, of: str, partition: int) -> None:
            nudged.append((spec.name, of, partition))

        await schedule.tick(store, nudge, (tenant, "nobody"), now_ms() + 60_000)
        assert sorted(nudged) == sorted((name, tenant, each) for name in ("expire", "relay") for each in partitions)
        assert await schedule.tick(store, nudge, (tenant,), 0) == len(partitions)
    finally:
        await store.close()


def lane_process(server: Embedded, name: Lane) -> subprocess.Popen[bytes]:
    environment = supervise.environment(
        settings.load(), HANDRAIL_REDIS_URL=server.url, HANDRAIL_RQ_URL=server.url + "?db=4"
    )
    return subprocess.Popen(supervise.command("lane", name), env=environment, stderr=subprocess.DEVNULL)


def killed_again_and_again(server: Embedded, name: Lane, nudge: Callable[[], object], left: Callable[[], int]) -> int:
    """Start a lane and kill it at a random moment of its work until nothing is left; return how often it died."""
    kills = 0
    chance = random.Random(7)
    while left():
        process = lane_process(server, name)
        try:
            before = left()
            while left() == before and process.poll() is None:
                nudge()
            time.sleep(chance.uniform(0, 0.02))
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
        kills += 1
        assert kills < 60
    return kills


def test_a_timers_lane_that_is_killed_again_and_again_ends_each_handoff_once(
    server: Embedded, lane: Store, runner: asyncio.Runner, tenant: str
) -> None:
    opened: list[Handoff] = runner.run(open_many(lane, rules("1s"), tenant, 300))
    runner.run(asyncio.sleep(1.05))
    with redis.Redis.from_url(server.url, db=4) as connection:
        connection.flushdb()
        nudges = Nudges(connection)
        kills = killed_again_and_again(
            server,
            "timers",
            lambda: nudges.send(JOBS["expire"], tenant, 0),
            lambda: runner.run(machine_work.work_due(lane, tenant, 0, now_ms())).timers,
        )
    assert kills >= 1
    assert {each.state for each in runner.run(ended(lane, tenant, opened))} == {"expired"}
    assert runner.run(told(lane, tenant)) == {"handoff.opened": 300, "handoff.expired": 300, "handoff.call_owed": 300}


def test_how_late_deadlines_were_is_counted(lane: Store, runner: asyncio.Runner, later: Callable[[int], None]) -> None:
    opened = runner.run(open_many(lane, rules("1m"), "late", 3))
    later(60_200)
    expire.run("late", 0)
    assert all(each.ended_at_ms is not None for each in runner.run(ended(lane, "late", opened)))
    counts, sum_ms = runner.run(deadlines.lateness(lane, "late"))
    assert (sum(counts), counts[-1]) == (3, 0)
    assert 3 <= sum_ms < 3 * 600_000
