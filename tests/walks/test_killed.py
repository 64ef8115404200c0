"""Two services, their workers and their server, killed at random while agents and operators are at work.

Every escalation that was acknowledged is resolved exactly once: counted from the answers, from the handoffs, and from
the audit log. `HANDRAIL_KILL_HANDOFFS=10000` makes it long, `HANDRAIL_KILL_SEED` another one,
`HANDRAIL_KILL_PAUSE_S=4` other pauses between the kills, `HANDRAIL_KILL_RESULT=FILE` writes down what it counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from handrail_client import AsyncHandrail, Decision, HandrailUnreachable, Turn
from service.flows import audit
from tests.walks.killing import Killer
from tests.walks.served import Served, wait_until

pytestmark = [
    pytest.mark.walk,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
HANDOFFS = int(os.environ.get("HANDRAIL_KILL_HANDOFFS", "200"))
SEED = int(os.environ.get("HANDRAIL_KILL_SEED", "4"))
# So many conversations at the most, until every part was killed and somebody was answered without the store.
CONVERSATIONS_MAX = HANDOFFS * 20
AGENTS = 6
OPERATORS = 12
# Between two kills, on average: some come while the parts killed before are still starting.
PAUSE_S = float(os.environ.get("HANDRAIL_KILL_PAUSE_S", "1"))
# Of the agents and operators: they ask again for as long as this whatever is killed; the end is never measured by it.
PATIENCE_S = 120
SETTLED_S = 120 + HANDOFFS / 20
RESULT = os.environ.get("HANDRAIL_KILL_RESULT")
ENDINGS = frozenset({"handoff.resolved", "handoff.handed_back", "handoff.expired"})


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: its names are too long for a socket in them.
    with tempfile.TemporaryDirectory(prefix="hr-") as place:
        yield Path(place)


class Shift:
    """Agents and operators at work on two services, and what each of them was told."""

    def __init__(self, services: Sequence[Served], killer: Killer) -> None:
        self.urls = [served.url for served in services]
        self.keys = services[0].keys
        self.killer = killer
        self.told: dict[str, str] = {}
        self.degraded = 0
        self.lapsed = 0
        self.resolved: Counter[str] = Counter()
        self.closing = asyncio.Event()
        self._conversations = itertools.count()
        self._requests = itertools.count()

    async def agent(self) -> None:
        """Ask for a person in one conversation after the other, each turn by one id until it is answered."""
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    AsyncHandrail(url, self.keys["agent"], on_unreachable="raise", budget_ms=5_000, try_ms=3_000)
                )
                for url in self.urls
            ]
            while (number := next(self._conversations)) < HANDOFFS or not self._met_all(number):
                turn = Turn(conversation_id=f"chat-{number}", turn_id="1", message="where is it?", confidence=0.3)
                decision = await self._answer(clients[number % 2], clients[1 - number % 2], turn)
                assert decision.verdict == "escalate"
                assert decision.handoff is not None
                self.told[turn.conversation_id] = decision.handoff.id
                self.degraded += decision.degraded

    def _met_all(self, number: int) -> bool:
        """Return whether all that the test is for has come up, or will not."""
        return (self.killer.met_all and self.degraded > 0) or number >= CONVERSATIONS_MAX

    async def _answer(self, first: AsyncHandrail, second: AsyncHandrail, turn: Turn) -> Decision:
        deadline = time.monotonic() + PATIENCE_S
        for client in itertools.cycle((first, second)):
            try:
                return await client.should_escalate(turn)
            except HandrailUnreachable:
                assert time.monotonic() < deadline, "no service answers the agent"
        raise AssertionError

    async def operator(self) -> None:
        """Claim, reply and resolve, until nobody will ask for a person any more and nobody waits."""
        async with httpx.AsyncClient(
            timeout=10, headers={"Authorization": f"Bearer {self.keys['operator']}"}
        ) as client:
            while not self.closing.is_set():
                if not await self._handle_one(client):
                    await asyncio.sleep(0.05)

    async def _handle_one(self, client: httpx.AsyncClient) -> bool:
        claim = await self._ask(client, "/queues/tier1/claim", {})
        if claim.status_code == httpx.codes.NO_CONTENT:
            return False
        assert claim.status_code == httpx.codes.OK, claim.text
        path = f"/handoffs/{claim.json()['handoff']['id']}"
        token = claim.json()["lease"]["token"]
        for verb, fields in (
            ("reply", {"text": "It arrives tomorrow."}),
            ("resolve", {"action": "take_over", "outcome": "needed"}),
        ):
            done = await self._ask(client, f"{path}/{verb}", {"token": token, **fields})
            if done.status_code == httpx.codes.CONFLICT and done.json()["code"] == "lease_lost":
                # Nobody could be asked for as long as a lease lasts: it waits again, for whoever claims next.
                self.lapsed += 1
                return True
            assert done.status_code == httpx.codes.OK, done.text
        self.resolved[claim.json()["handoff"]["id"]] += 1
        return True

    async def _ask(self, client: httpx.AsyncClient, path: str, body: dict[str, str]) -> httpx.Response:
        """Post under one Idempotency-Key, to one service and the other, until there is an answer that is no failure."""
        number = next(self._requests)
        deadline = time.monotonic() + PATIENCE_S
        met: Counter[str] = Counter()
        for tries in itertools.count(number):
            try:
                answer = await client.post(
                    self.urls[tries % 2] + path, json=body, headers={"Idempotency-Key": f"request-{number}"}
                )
                if answer.status_code < 500:
                    return answer
                met[answer.text] += 1
            except httpx.TransportError as error:
                met[repr(error)] += 1
            assert time.monotonic() < deadline, f"no answer from {path}: {dict(met)}"
            await asyncio.sleep(0.05)
        raise AssertionError


async def work_through(services: Sequence[Served], killer: Killer) -> Shift:
    """Let agents and operators work while parts are killed, until all is settled; return what they were told."""
    shift = Shift(services, killer)
    over = asyncio.Event()
    killing = asyncio.create_task(killer.run(over))
    operators = [asyncio.create_task(shift.operator()) for _ in range(OPERATORS)]
    await asyncio.gather(*(shift.agent() for _ in range(AGENTS)))
    over.set()
    await killing

    def settled() -> bool:
        killer.raise_the_dead()
        assert not any(task.done() for task in operators), "an operator gave up"
        spooled = list((services[0].data_dir / "spool").glob("*.json"))
        return not spooled and all(map(nobody_waits, services))

    await asyncio.to_thread(wait_until, settled, SETTLED_S)
    shift.closing.set()
    await asyncio.gather(*operators)
    return shift


def nobody_waits(served: Served) -> bool:
    try:
        return not any(view["waiting"] + view["leased"] for view in served.get("/queues")["queues"])
    except (httpx.TransportError, AssertionError):
        return False


def counted(directory: Path) -> dict[str, Counter[str]]:
    """Return how often the audit log tells each kind of event of each handoff."""
    found: dict[str, Counter[str]] = {"ended": Counter()}
    for line in audit.read(directory):
        if line["handoff_id"]:
            found.setdefault(line["type"], Counter())[line["handoff_id"]] += 1
            found["ended"][line["handoff_id"]] += line["type"] in ENDINGS
    return found


def differences(found: Counter[str], wanted: Counter[str]) -> dict[str, tuple[int, int]]:
    """Return what was counted and what was wanted where they differ, for a message that can be read."""
    return {each: (found[each], wanted[each]) for each in found | wanted if found[each] != wanted[each]}


async def test_every_acknowledged_escalation_is_resolved_exactly_once_whatever_is_killed(folder: Path) -> None:
    with Served(folder) as first, Served(folder) as second:
        began_s = time.monotonic()
        killer = Killer((first, second), SEED, (PAUSE_S / 5, PAUSE_S * 9 / 5))
        shift = await work_through((first, second), killer)
        took_s = time.monotonic() - began_s
        views: list[dict[str, Any]] = await asyncio.gather(
            *(asyncio.to_thread(first.get, f"/handoffs/{handoff_id}") for handoff_id in shift.told.values())
        )
        once = Counter({view["id"]: 1 for view in views})
        assert killer.met_all
        assert shift.degraded > 0
        # One handoff for each conversation that was told of one, ended as the operator was told, by one resolve.
        assert len(once) == len(shift.told) >= HANDOFFS
        assert Counter(view["state"] for view in views) == {"resolved": len(once)}
        assert differences(shift.resolved, once) == {}
        # The worker writes the log a moment later, and after a kill takes up what another had begun.
        records = first.data_dir / "audit"
        await asyncio.to_thread(wait_until, lambda: counted(records)["ended"].total() >= len(once), SETTLED_S)
        told = counted(records)
        for kind in ("handoff.opened", "handoff.replied", "handoff.resolved", "ended"):
            assert differences(told[kind], once) == {}, kind
        verified = await asyncio.to_thread(audit.verify, records)
        assert verified.broken is None
    # Shown by `pytest -s`: what the long run is run for.
    found = {
        "handoffs": len(once),
        "resolved_once": sum(shift.resolved.values()),
        "told_degraded": shift.degraded,
        "leases_lapsed": shift.lapsed,
        "kills": dict(sorted(killer.kills.items())),
        "audit_entries": verified.entries,
        "seconds": round(took_s),
        "seed": SEED,
        "pause_s": PAUSE_S,
        "machine": {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()},
    }
    sys.stdout.write(f"\n{json.dumps(found)}\n")
    if RESULT is not None:
        await asyncio.to_thread(Path(RESULT).write_text, json.dumps(found, indent=2) + "\n")
