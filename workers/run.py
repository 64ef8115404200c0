"""The processes that do the machine work: `work` is one scheduler and a worker a lane, `lane NAME` is one of these."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

import redis
import structlog

from service import logs, settings, supervise
from service.errors import Refusal, StoreAway
from service.flows import webhooks
from service.flows.access import Embedded, ServerUnavailable, Store, open_store, start_or_attach
from service.flows.audit import AuditLog
from service.flows.webhook_targets import targets_of
from service.jobs import LANES, Lane
from service.settings import Settings
from service.supervise import Keeper
from workers import context, lane, rq_server, schedule
from workers.context import Context
from workers.mailer import Mailer
from workers.nudges import Nudges
from workers.sender import Sender

OPEN_PAUSE_MS_MAX = 5_000  # a server that is away at the start is asked again at the latest after this
ORPHAN_PATIENCE_MS = 3_000  # six times as long as the locks of a killed parent were seen to outlive it
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h

log = structlog.get_logger("handrail.work")


def main(words: Sequence[str]) -> int:
    """Run `work` or `lane NAME` and return the exit code; the settings are those of the environment."""
    found = settings.load()
    lines = logs.configure(found.log_level, found.log_format)
    supervise.watch_parent()
    try:
        if len(words) == 2 and words[0] == "lane" and words[1] in LANES:
            return run_lane(found, words[1])
        if list(words) == ["work"]:
            return work(found)
    finally:
        lines.close()
    sys.stderr.write(f"usage: python -m workers.run work | lane {'|'.join(LANES)}\n")
    return 2


def work(found: Settings) -> int:
    """Run the scheduler and keep a worker a lane, until SIGTERM or SIGINT; return the exit code."""
    try:
        embedded = start_or_attach(found.data_dir) if found.redis_url is None else None
    except ServerUnavailable as fact:
        log.error("server_unavailable", code=fact.code, detail=fact.detail, hint=fact.hint)
        return EXIT_UNAVAILABLE
    try:
        url = embedded.url if embedded else str(found.redis_url)
        if embedded:
            embedded.watch()
        asyncio.run(_work(found, url, rq_server.address(found, url)))
    except (Refusal, rq_server.RqNeedsItsOwnServer) as fact:
        log.error("not_started", detail=str(fact), hint=getattr(fact, "hint", ""))
        return EXIT_UNAVAILABLE
    finally:
        _leave(embedded)
    return 0


def run_lane(found: Settings, name: Lane) -> int:
    """Be the worker of one lane until told to end, or until its server stays away; return the exit code."""
    if found.redis_url is None:
        log.error("not_started", detail="a lane is started by `handrail work`, which knows the server")
        return EXIT_UNAVAILABLE
    rq = rq_server.connect(rq_server.address(found, found.redis_url))
    with asyncio.Runner() as runner:
        try:
            store = runner.run(open_store(found.redis_url, partitions=found.partitions, durable=found.durable))
            targets = targets_of(found.webhook_targets, found.host)
            sender = Sender(targets)
            context.enter(
                Context(
                    found,
                    store,
                    Nudges(rq),
                    sender,
                    runner,
                    f"{name}-{os.getpid()}",
                    AuditLog(found.data_dir / "audit"),
                    Mailer(targets),
                )
            )
            lane.worker(name, rq).work()
            runner.run(sender.close())
            runner.run(store.close())
        except (StoreAway, redis.RedisError) as error:
            log.warning("server_away", lane=name, error=type(error).__name__)
            return EXIT_UNAVAILABLE
        finally:
            rq.close()
    return 0


async def _work(found: Settings, url: str, rq_url: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        store = await _opened(found, url, stop)
        if store is None:
            return
        stack.push_async_callback(store.close)
        try:
            await webhooks.adopt_setting(store, found)
        except Refusal as fact:
            # Deadlines and other webhooks must not wait until somebody mends this one.
            log.error("webhook_setting_refused", code=fact.code, detail=fact.detail, hint=fact.hint)
        rq = rq_server.connect(rq_url)
        stack.callback(rq.close)
        keepers = [_lane_keeper(found, name, url, rq_url) for name in LANES]
        for keeper in keepers:
            keeper.start()
        log.info("working", lanes=LANES, pid=os.getpid())
        try:
            await schedule.run(store, schedule.nudge_through(Nudges(rq)), stop)
        finally:
            # Side by side: each may be in the middle of a job that takes some seconds to end.
            await asyncio.gather(*(asyncio.to_thread(keeper.stop) for keeper in keepers))
            log.info("stopped")


async def _opened(found: Settings, url: str, stop: asyncio.Event) -> Store | None:
    """Return the open store, waiting for a server that is away; None when told to stop meanwhile."""
    pause_ms = 100
    while not stop.is_set():
        try:
            return await open_store(url, partitions=found.partitions, durable=found.durable)
        except StoreAway as away:
            log.warning("server_away", error=away.code, again_in_ms=pause_ms)
        try:
            await asyncio.wait_for(stop.wait(), pause_ms / 1000)
        except TimeoutError:
            pause_ms = min(pause_ms * 2, OPEN_PAUSE_MS_MAX)
    return None


def _lane_keeper(found: Settings, name: Lane, url: str, rq_url: str) -> Keeper:
    # The lanes are told the server's address: this process holds the server for them, and they end with it.
    environment = supervise.environment(found, HANDRAIL_REDIS_URL=url, HANDRAIL_RQ_URL=rq_url)
    return Keeper(f"lane-{name}", supervise.command("lane", name), environment)


def _leave(embedded: Embedded | None) -> None:
    if embedded is None:
        return
    # The parent is a user of the server as well; killed a moment ago, it may still seem to be one.
    stopped = embedded.close(ORPHAN_PATIENCE_MS if supervise.orphaned() else 0)
    log.info("server_stopped" if stopped else "server_left_to_others")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
