"""Agents and operators at work on running services; what they were told is held against the handoffs and the audit log.

What fails meanwhile is the matter of whoever calls: nothing is killed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from handrail_client import AsyncHandrail, Decision, HandrailUnreachable, Turn
from service.flows import audit
from tests.waiting import wait_until
from tests.walks.served import Served

# Of the agents and operators: they ask again for as long as this whatever fails; the end is never measured by it.
PATIENCE_S = 120
ENDINGS = frozenset({"handoff.resolved", "handoff.handed_back", "handoff.expired"})
ONCE = ("handoff.opened", "handoff.resolved", "ended")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many are at work, how many handoffs they open at the least, and how long all may take to be settled."""

    agents: int
    operators: int
    handoffs_min: int
    settled_s: float


class Shift:
    """Agents and operators on one or more services of one data directory, and what each of them was told.

    Agents open as many handoffs as planned, and more until `enough`. `faults_over` is set when nothing is made to fail
    any more, `all_asked` when the last agent has its answer.
    """

    def __init__(self, services: Sequence[Served], plan: Plan, enough: Callable[[Shift], bool]) -> None:
        self.services = services
        self.plan = plan
        self.asked = 0
        self.told: dict[str, str] = {}
        self.degraded = 0
        self.lapsed = 0
        self.resolved: Counter[str] = Counter()
        self.faults_over = asyncio.Event()
        self.all_asked = asyncio.Event()
        self._closing = asyncio.Event()
        self._urls = [served.url for served in services]
        self._keys = services[0].keys
        self._enough = enough
        self._requests = itertools.count()

    async def work(self, fails: Callable[[Shift], Awaitable[None]], look: Callable[[], None] = lambda: None) -> None:
        """Let everybody work while something fails, until all is settled; `look` each time that is looked at."""
        operators = [asyncio.create_task(self._operator()) for _ in range(self.plan.operators)]
        await asyncio.gather(self._everybody_asks(), self._until_over(fails))

        def settled() -> bool:
            look()
            assert not any(task.done() for task in operators), "an operator gave up"
            spooled = list((self.services[0].data_dir / "spool").glob("*.json"))
            return not spooled and all(map(nobody_waits, self.services))

        await asyncio.to_thread(wait_until, settled, self.plan.settled_s)
        self._closing.set()
        await asyncio.gather(*operators)

    async def _everybody_asks(self) -> None:
        await asyncio.gather(*(self._agent() for _ in range(self.plan.agents)))
        self.all_asked.set()

    async def _until_over(self, fails: Callable[[Shift], Awaitable[None]]) -> None:
        await fails(self)
        self.faults_over.set()

    async def _agent(self) -> None:
        """Ask for a person in one conversation after the other, each turn by one id until it is answered."""
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    AsyncHandrail(url, self._keys["agent"], on_unreachable="raise", budget_ms=5_000, try_ms=3_000)
                )
                for url in self._urls
            ]
            while self.asked < self.plan.handoffs_min or not self._enough(self):
                number = self.asked
                self.asked += 1
                turn = Turn(conversation_id=f"chat-{number}", turn_id="1", message="where is it?", confidence=0.3)
                first = number % len(clients)
                decision = await _answer([*clients[first:], *clients[:first]], turn)
                assert decision.verdict == "escalate"
                assert decision.handoff is not None
                self.told[turn.conversation_id] = decision.handoff.id
                self.degraded += decision.degraded

    async def _operator(self) -> None:
        """Claim, reply and resolve, until nobody will ask for a person any more and nobody waits."""
        async with httpx.AsyncClient(
            timeout=10, headers={"Authorization": f"Bearer {self._keys['operator']}"}
        ) as client:
            while not self._closing.is_set():
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
        """Post under one Idempotency-Key, to one service and the next, until there is an answer that is no failure."""
        number = next(self._requests)
        deadline = time.monotonic() + PATIENCE_S
        met: Counter[str] = Counter()
        for tries in itertools.count(number):
            try:
                answer = await client.post(
                    self._urls[tries % len(self._urls)] + path,
                    json=body,
                    headers={"Idempotency-Key": f"request-{number}"},
                )
                if answer.status_code < 500:
                    return answer
                met[answer.text] += 1
            except httpx.TransportError as error:
                met[repr(error)] += 1
            assert time.monotonic() < deadline, f"no answer from {path}: {dict(met)}"
            await asyncio.sleep(0.05)
        raise AssertionError


async def _answer(clients: Sequence[AsyncHandrail], turn: Turn) -> Decision:
    deadline = time.monotonic() + PATIENCE_S
    for client in itertools.cycle(clients):
        try:
            return await client.should_escalate(turn)
        except HandrailUnreachable:
            assert time.monotonic() < deadline, "no service answers the agent"
    raise AssertionError


async def each_was_resolved_once(shift: Shift, logged: Collection[str] = ONCE) -> audit.Verified:
    """Hold what was acknowledged against the handoffs and the audit log, and return what became of the log.

    One handoff for each conversation that was told of one, ended as the operator was told, by one resolve; and of each
    of them every kind of event that is `logged` once.
    """
    served = shift.services[0]
    views: list[dict[str, Any]] = await asyncio.gather(
        *(asyncio.to_thread(served.get, f"/handoffs/{handoff_id}") for handoff_id in shift.told.values())
    )
    once = Counter({view["id"]: 1 for view in views})
    assert len(once) == len(shift.told) >= shift.plan.handoffs_min
    assert Counter(view["state"] for view in views) == {"resolved": len(once)}
    assert differences(shift.resolved, once) == {}
    # The worker writes the log a moment later, and after a kill takes up what another had begun.
    records = served.data_dir / "audit"
    await asyncio.to_thread(wait_until, lambda: counted(records)["ended"].total() >= len(once), shift.plan.settled_s)
    told = counted(records)
    for kind in logged:
        assert differences(told[kind], once) == {}, kind
    verified = await asyncio.to_thread(audit.verify, records)
    assert verified.broken is None
    return verified


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
