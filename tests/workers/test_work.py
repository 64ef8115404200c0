"""`handrail work` as a process: on time, more than once at a time, and through the deaths of all it depends on."""

from __future__ import annotations

import asyncio
import collections
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service import settings, supervise
from service.clock import now_ms
from service.errors import StoreAway
from service.flows import deadlines, webhooks
from service.flows.access import Store, open_store
from service.flows.webhooks import NewWebhook
from service.jobs import LANES
from service.store.embedded import Embedded, start_or_attach
from tests.waiting import wait_until
from tests.workers.opened import ended, open_many, rules
from tests.workers.receiver import Got, Receiver

pytestmark = [pytest.mark.server, pytest.mark.walk]

# What is told of a handoff that nobody took in time, each once; its customer was promised a call.
OF_A_MISSED_ONE = ("handrail.handoff.opened", "handrail.handoff.expired", "handrail.handoff.call_owed")


@pytest.fixture
def server() -> Iterator[Embedded]:
    with tempfile.TemporaryDirectory(prefix="hr-") as place, start_or_attach(Path(place) / "data") as embedded:
        yield embedded


@pytest.fixture
async def store(server: Embedded) -> AsyncIterator[Store]:
    opened = await open_store(server.url)
    yield opened
    await opened.close()


@contextmanager
def work(server: Embedded, count: int = 1, **more: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run so many `handrail work` on the server, and see each of them end in order."""
    environment = supervise.environment(settings.load(), HANDRAIL_REDIS_URL=server.url, **more)
    processes = [subprocess.Popen(supervise.command("work"), env=environment) for _ in range(count)]
    try:
        yield processes
        for process in processes:
            process.terminate()
        assert [process.wait(60) for process in processes] == [0] * count
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait(10)


def children(pid: int) -> list[int]:
    """Return the processes that one has started and that are alive."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(") ")[2].split()[:2]
        except FileNotFoundError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(stat.parent.name))
    return found


def types(got: list[Got]) -> collections.Counter[str]:
    """Return how many different events of each type have arrived."""
    return collections.Counter(kind for _, kind in {(each.event["id"], each.event["type"]) for each in got})


async def test_deadlines_end_in_time_and_are_told(server: Embedded, store: Store) -> None:
    with Receiver() as receiver, work(server) as processes:
        hook = await webhooks.add(store, "acme", NewWebhook(receiver.url("/ok")), "loopback", now_ms())
        wait_until(lambda: all(len(children(process.pid)) == len(LANES) for process in processes))
        opened = []
        for _ in range(10):
            opened += await open_many(store, rules("3s"), "acme", 5)
            await asyncio.sleep(0.1)
        found = await ended(store, "acme", opened)
        lateness = [(each.ended_at_ms or 0) - each.expires_at_ms for each in found]
        assert min(lateness) >= 0
        # How late, `python -m bench.queue` measures: tests share their cores with others.
        got = await asyncio.to_thread(receiver.wait_for, lambda all_got: len(all_got) >= 150)
        assert types(got) == dict.fromkeys(OF_A_MISSED_ONE, 50)
        assert {each.verified(hook.secret)["source"] for each in got} == {"/tenants/acme"}
    # What stands in a handoff is the moment its sweep began; the metric tells when each was really done.
    counts, sum_ms = await deadlines.lateness(store, "acme")
    assert (sum(counts), sum_ms >= sum(lateness)) == (50, True)


async def test_several_at_once_end_and_tell_everything_once(server: Embedded, store: Store) -> None:
    with Receiver() as receiver, work(server, 3):
        await webhooks.add(store, "acme", NewWebhook(receiver.url("/ok")), "loopback", now_ms())
        opened = await open_many(store, rules("2s"), "acme", 100)
        await ended(store, "acme", opened)
        # At least once is the promise: of three who share two cores, one may be so late with what it has read that
        # another takes it for dead and tells it again, under the same id.
        await asyncio.to_thread(receiver.wait_for, lambda all_got: types(all_got).total() >= 300)
        await asyncio.sleep(0.5)
        assert types(receiver.got) == dict.fromkeys(OF_A_MISSED_ONE, 100)


async def test_killed_lanes_come_back_and_nothing_is_lost(server: Embedded, store: Store) -> None:
    with Receiver() as receiver, work(server) as (process,):
        await webhooks.add(store, "acme", NewWebhook(receiver.url("/ok")), "loopback", now_ms())
        wait_until(lambda: len(children(process.pid)) == len(LANES))
        opened = []
        for _ in range(3):
            for lane in children(process.pid):
                os.kill(lane, signal.SIGKILL)
            opened += await open_many(store, rules("1s"), "acme", 20)
            await asyncio.sleep(0.7)
        await ended(store, "acme", opened)
        got = await asyncio.to_thread(receiver.wait_for, lambda all_got: sum(types(all_got).values()) == 180)
        assert types(got) == dict.fromkeys(OF_A_MISSED_ONE, 60)


async def test_a_server_that_is_away_is_waited_for(server: Embedded, store: Store) -> None:
    with Receiver() as receiver, work(server) as (process,):
        await webhooks.add(store, "acme", NewWebhook(receiver.url("/ok")), "loopback", now_ms())
        opened = await open_many(store, rules("2s"), "acme", 10)
        wait_until(lambda: len(children(process.pid)) == len(LANES))
        os.kill(server.pid, signal.SIGKILL)
        # Those deadlines that have not passed do while nobody can see to it, and every lane finds that out.
        last_at_ms = max(now_ms(), *(each.expires_at_ms for each in opened))
        await asyncio.sleep((last_at_ms + 1_000 - now_ms()) / 1000)
        # The kernel may take a moment to free the locks of who was killed.
        await asyncio.to_thread(wait_until, server.revive)
        await found_again(store)
        await ended(store, "acme", opened)
        got = await asyncio.to_thread(receiver.wait_for, lambda all_got: sum(types(all_got).values()) == 30)
        assert types(got) == dict.fromkeys(OF_A_MISSED_ONE, 10)


async def found_again(store: Store) -> None:
    """Wait until this process too has a connection: the call that finds out that one broke fails."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await store.ping()
            except StoreAway:
                await asyncio.sleep(0.05)


async def test_a_receiver_that_dies_gets_everything_when_it_is_back(server: Embedded, store: Store) -> None:
    with work(server):
        with Receiver() as first:
            port = first.port
            await webhooks.add(store, "acme", NewWebhook(first.url("/ok")), "loopback", now_ms())
            await open_many(store, rules(), "acme", 5)
            await asyncio.to_thread(first.wait_for, lambda got: len(got) == 5)
        await open_many(store, rules(), "acme", 5)
        await asyncio.sleep(1)
        with Receiver(port) as second:
            got = await asyncio.to_thread(second.wait_for, lambda all_got: sum(types(all_got).values()) == 5)
            assert types(got) == {"handrail.handoff.opened": 5}


def test_a_killed_supervisor_takes_its_lanes_with_it(server: Embedded) -> None:
    environment = supervise.environment(settings.load(), HANDRAIL_REDIS_URL=server.url)
    process = subprocess.Popen(supervise.command("work"), env=environment)
    try:
        wait_until(lambda: len(children(process.pid)) == len(LANES))
        lanes = children(process.pid)
    finally:
        process.kill()
        process.wait(10)
    wait_until(lambda: not any(Path(f"/proc/{lane}").exists() for lane in lanes))


def test_a_worker_with_nowhere_to_work_says_so() -> None:
    environment = supervise.environment(settings.load(redis_url="redis://127.0.0.1:1/?cluster=true"))
    ran = subprocess.run(
        supervise.command("work"), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 69
    assert "RQ does not run on a cluster; set HANDRAIL_RQ_URL to a standalone server or a Sentinel" in ran.stderr


async def test_a_webhook_setting_that_is_wrong_keeps_no_deadline_from_ending(
    server: Embedded, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    with work(server, HANDRAIL_WEBHOOK_URL="http://10.0.0.1/", HANDRAIL_WEBHOOK_SECRET="x"):
        await ended(store, "acme", await open_many(store, rules("1s"), "acme", 3))
    assert '"event":"webhook_setting_refused"' in capfd.readouterr().err
