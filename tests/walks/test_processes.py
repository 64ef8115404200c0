"""Whole processes, killed at random moments: what was answered stands, what was owed arrives, nobody is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.jobs import LANES
from tests.waiting import wait_until
from tests.walks.served import Served, alive, turn
from tests.workers.receiver import Got, Receiver

pytestmark = [
    pytest.mark.walk,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
KILLS = 7
AGENTS = 4
OPERATORS = 2


def told(got: list[Got]) -> Counter[tuple[str, str]]:
    """Return how many different events of each type have arrived for each handoff; a key's events are no handoff's."""
    seen = {
        (event["id"], event["type"], event["data"]["handoff_id"])
        for event in [each.event for each in list(got)]
        if event["type"].startswith("handrail.handoff.")
    }
    return Counter((kind, handoff_id) for _, kind, handoff_id in seen)


class Walk:
    """Agents and operators at work on one Handrail, and what each of them was told."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.over = asyncio.Event()
        self.decided: dict[str, dict[str, Any]] = {}
        self.resolved: Counter[str] = Counter()
        self._numbers = itertools.count()

    async def agent(self, client: httpx.AsyncClient) -> None:
        while not self.over.is_set():
            conversation_id = f"chat-{next(self._numbers)}"
            answer = await self.served.ask(client, "/should-escalate", "agent", turn(conversation_id))
            assert answer.status_code == httpx.codes.OK, answer.text
            self.decided[conversation_id] = answer.json()
            await asyncio.sleep(0.02)

    async def operator(self, client: httpx.AsyncClient) -> None:
        while not self.over.is_set():
            if not await self.handle_one(client):
                await asyncio.sleep(0.05)

    async def handle_one(self, client: httpx.AsyncClient) -> bool:
        """Claim one and resolve it; return whether there was one. A lost answer is asked for again by its id."""
        number = next(self._numbers)
        claim = await self.served.ask(client, "/queues/tier1/claim", "operator", None, f"claim-{number}")
        if claim.status_code == httpx.codes.NO_CONTENT:
            return False
        assert claim.status_code == httpx.codes.OK, claim.text
        handoff_id = claim.json()["handoff"]["id"]
        body = {"token": claim.json()["lease"]["token"], "action": "take_over", "outcome": "needed"}
        path = f"/handoffs/{handoff_id}/resolve"
        done = await self.served.ask(client, path, "operator", body, f"resolve-{number}")
        assert done.status_code == httpx.codes.OK, done.text
        self.resolved[handoff_id] += 1
        return True

    async def disturb(self) -> Counter[str]:
        """Kill one part after the other at random moments; only `serve` needs somebody to start it again."""
        chance = random.Random(11)
        kills: Counter[str] = Counter()
        while kills.total() < KILLS:
            await asyncio.sleep(chance.uniform(0.3, 1.0))
            part = ("worker", "server", "worker", "serve", "server")[kills.total() % 5]
            if part == "serve":
                await asyncio.to_thread(self.served.kill)
                self.served.restart()
                await asyncio.to_thread(self.served.wait_until_ready)
            else:
                pids = [self.served.server_pid] if part == "server" else self.served.worker_pids
                if not pids:
                    continue
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(pids), signal.SIGKILL)
            kills[part] += 1
        return kills


async def test_what_was_answered_stands_and_what_is_owed_arrives_whatever_is_killed(folder: Path) -> None:
    with Receiver() as receiver, Served(folder) as served:
        served.post("/webhooks", {"url": receiver.url("/ok")})
        walk = Walk(served)
        async with httpx.AsyncClient(timeout=5) as client:
            tasks = [asyncio.create_task(walk.agent(client)) for _ in range(AGENTS)]
            tasks += [asyncio.create_task(walk.operator(client)) for _ in range(OPERATORS)]
            kills = await walk.disturb()
            walk.over.set()
            await asyncio.gather(*tasks)
            assert kills == {"server": 3, "worker": 3, "serve": 1}
            # What was claimed by an operator that lost its answer for good would wait for its lease: nobody did.
            while await walk.handle_one(client):
                pass
            for conversation_id, first in walk.decided.items():
                again = (await served.ask(client, "/should-escalate", "agent", turn(conversation_id))).json()
                assert (again["decision_id"], again["verdict"], again["say"]) == (
                    first["decision_id"],
                    first["verdict"],
                    first["say"],
                )
        opened = {first["handoff"]["id"] for first in walk.decided.values()}
        assert len(opened) == len(walk.decided)
        assert walk.resolved == Counter(opened)
        assert [view["waiting"] + view["leased"] for view in served.get("/queues")["queues"]] == [0, 0]
        wanted = {
            (f"handrail.handoff.{kind}", handoff_id): 1
            for handoff_id in opened
            for kind in ("opened", "claimed", "resolved")
        }
        await asyncio.to_thread(receiver.wait_for, lambda got: len(told(got)) >= len(wanted), 60)
        assert told(receiver.got) == wanted
        assert served.get("/webhooks/dead-letters") == {"dead_letters": []}


async def test_a_deadline_ends_by_itself_and_a_clean_stop_leaves_no_process(folder: Path) -> None:
    with Receiver() as receiver, Served(folder) as served:
        hook = served.post("/webhooks", {"url": receiver.url("/ok"), "events": ["handoff.expired"]})
        async with httpx.AsyncClient() as client:
            decided = (await served.ask(client, "/should-escalate", "agent", turn("chat-1", confidence=0.05))).json()
        (got,) = await asyncio.to_thread(receiver.wait_for, lambda all_got: len(all_got) == 1)
        event = got.verified(hook["secret"])
        assert event["data"]["handoff_id"] == decided["handoff"]["id"]
        # How late, `python -m bench.queue` measures: tests share their cores with others.
        assert event["data"]["at_ms"] >= decided["handoff"]["expires_at_ms"]
        await asyncio.to_thread(wait_until, lambda: len(served.worker_pids) == 1 + len(LANES))
        pids = [served.process.pid, served.server_pid, *served.worker_pids]
        assert len(pids) == 3 + len(LANES)
        served.stop()
        assert not any(alive(pid) for pid in pids)
        assert not (served.data_dir / "server.sock").exists()
        served.restart()
        served.wait_until_ready()
        assert served.get(f"/handoffs/{decided['handoff']['id']}")["state"] == "expired"


def test_a_killed_serve_leaves_nobody_behind(folder: Path) -> None:
    with Served(folder) as served:
        wait_until(lambda: len(served.worker_pids) == 1 + len(LANES))
        pids = [served.server_pid, *served.worker_pids]
        served.kill()
        # The worker leaves because its parent is gone, and as the last one that used the server it stops it.
        wait_until(lambda: not any(alive(pid) for pid in pids))


def test_two_services_share_one_server_and_the_last_one_stops_it(folder: Path) -> None:
    with Served(folder, work="false") as first, Served(folder, work="false") as second:
        assert first.server_pid == second.server_pid
        made = first.post("/should-escalate", turn("chat-1"), "agent")
        assert second.post("/should-escalate", turn("chat-1"), "agent")["decision_id"] == made["decision_id"]
        first.kill()
        assert second.get(f"/decisions/{made['decision_id']}", "agent")["decision_id"] == made["decision_id"]
        server = second.server_pid
        second.stop()
        wait_until(lambda: not alive(server))


async def test_what_was_answered_without_the_store_is_in_it_later_even_when_serve_is_killed(folder: Path) -> None:
    with Served(folder, work="false") as served:
        served.post("/should-escalate", turn("chat-0"), "agent")
        server = served.server_pid
        os.kill(server, signal.SIGSTOP)
        try:
            async with httpx.AsyncClient(timeout=20) as client:
                first = (await served.ask(client, "/should-escalate", "agent", turn("chat-1"))).json()
            assert (first["degraded"], first["verdict"]) == (True, "escalate")
            served.kill()
        finally:
            os.kill(server, signal.SIGCONT)
        served.restart()
        served.wait_until_ready()

        def kept() -> bool:
            headers = {"Authorization": f"Bearer {served.keys['admin']}"}
            answer = httpx.get(f"{served.url}/handoffs/{first['handoff']['id']}", headers=headers)
            return answer.status_code == httpx.codes.OK and answer.json()["state"] == "waiting"

        await asyncio.to_thread(wait_until, kept)
        again = served.post("/should-escalate", turn("chat-1"), "agent")
        assert (again["decision_id"], again["handoff"]["id"]) == (first["decision_id"], first["handoff"]["id"])
