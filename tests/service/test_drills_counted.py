"""Random commands of customers and operators, with fire drills among them and without: everybody fares the same."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.marks import is_drill
from rules.routing.operators import Operator
from rules.turn import Turn
from service.errors import CapacityReached
from service.flows import budgets, claims, drills, moves, operators, waits
from service.flows.access import Store, open_store
from service.flows.claims import Claimed, Claiming
from service.flows.decide import decide
from service.flows.moves import Lease, Resolving
from service.store import queues
from tests.rules.test_shedding import HEAD, UNSURE

RULESET = build(files_or_raise({"a.yaml": HEAD + UNSURE}))
START_MS = 1_800_000_000_000
PEOPLE = (Operator("ana", capacity=1), Operator("ben", capacity=2), Operator("mia"))
_TENANTS = (f"drilled-{number}" for number in itertools.count())


@dataclass
class Desk:
    """One tenant: its customers, its operators, and what these hold."""

    store: Store
    tenant: str
    drilled: bool
    now_ms: int = START_MS
    turns: int = 0
    held: dict[str, list[tuple[str, Lease]]] = field(default_factory=lambda: {one.name: [] for one in PEOPLE})

    async def take(self, verb: str, who: Operator) -> object:
        """Do one thing, and return what a customer or an operator of customers saw of it."""
        self.now_ms += 7_000
        if verb == "turn":
            self.turns += 1
            turn = Turn(conversation_id=f"c{self.turns}", turn_id="t", confidence=0.35)
            found = (await decide(self.store, RULESET, self.tenant, turn, self.now_ms)).decision
            return found.verdict, found.wait, found.shed, found.expires_at_ms
        if verb == "claim":
            return await self._claim(who)
        if verb in ("resolve", "release"):
            return await self._end(verb, who, drill=False)
        if verb == "drill" and self.drilled:
            await drills.begin(self.store, RULESET, self.tenant, "tier1", 20_000, "ana", self.now_ms)
        elif verb == "drill ends" and self.drilled:
            await self._end("resolve", who, drill=True)
        return None

    async def _claim(self, who: Operator) -> object:
        claiming = Claiming(who.name, 3_600_000, declared=who)
        try:
            found = await claims.claim_next(self.store, RULESET, self.tenant, "tier1", claiming, self.now_ms)
        except CapacityReached as reached:
            return "full", reached.in_hand
        if not isinstance(found, Claimed):
            return None
        handoff = found.handoff
        self.held[who.name].append((handoff.conversation_id, Lease(handoff.handoff_id, found.token)))
        return None if is_drill(handoff.conversation_id) else handoff.conversation_id

    async def _end(self, verb: str, who: Operator, *, drill: bool) -> object:
        mine = [each for each in self.held[who.name] if is_drill(each[0]) is drill]
        if not mine:
            return None
        self.held[who.name].remove(mine[0])
        conversation_id, lease = mine[0]
        if verb == "resolve":
            await moves.resolve(self.store, self.tenant, lease, Resolving("take_over", "needed"), self.now_ms)
        else:
            await moves.release(self.store, self.tenant, lease, self.now_ms)
        return conversation_id

    async def counted(self) -> dict[str, object]:
        """Return everything that is counted."""
        store, tenant, at_ms = self.store, self.tenant, self.now_ms
        await budgets.look_again(store, at_ms)
        return {
            "depths": await queues.counts(store, tenant, "tier1"),
            "budget": await budgets.loads(store, tenant, RULESET.files.budgets, at_ms),
            "waits": await waits.of_queues(store, RULESET, tenant, ["tier1"], at_ms),
            "people": [
                (one.operator.name, one.load, one.last_claim_at_ms)
                for one in await operators.every(store, tenant, at_ms)
            ],
        }


VERBS = (
    "turn",
    "turn",
    "turn",
    "claim",
    "claim",
    "claim",
    "resolve",
    "resolve",
    "release",
    "drill",
    "drill",
    "drill ends",
)
steps = st.lists(st.tuples(st.sampled_from(VERBS), st.sampled_from(PEOPLE)), min_size=5, max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(taken=steps)
def test_with_and_without_drills_everything_is_counted_the_same(
    server_url: str, taken: Sequence[tuple[str, Operator]]
) -> None:
    asyncio.run(_alike(server_url, taken))


async def _alike(url: str, taken: Sequence[tuple[str, Operator]]) -> None:
    # A store each, as each process has: what one remembers must not help the other.
    stores = [await open_store(url) for _ in range(2)]
    try:
        desks = [Desk(store, next(_TENANTS), drilled) for store, drilled in zip(stores, (False, True), strict=True)]
        for desk in desks:
            await operators.declare(desk.store, desk.tenant, PEOPLE, "ana", START_MS, replacing=True)
        for step in taken:
            seen: list[Any] = [await desk.take(*step) for desk in desks]
            assert seen[0] == seen[1], step
            counted = [await desk.counted() for desk in desks]
            assert counted[0] == counted[1], step
    finally:
        for store in stores:
            await store.close()


async def test_a_drill_in_hand_takes_no_room_and_gives_none_back(store: Store, tenant: str) -> None:
    desk, (ana, *_) = Desk(store, tenant, drilled=True), PEOPLE
    await operators.declare(store, tenant, PEOPLE, "ana", START_MS, replacing=True)

    async def load() -> int:
        return (await operators.every(store, tenant, desk.now_ms))[0].load

    for verb in ("drill", "claim"):
        await desk.take(verb, ana)
    assert (len(desk.held["ana"]), await load()) == (1, 0)
    await desk.take("turn", ana)
    assert await desk.take("claim", ana) == "c1", "a capacity of one, and a drill in hand"
    await desk.take("drill", ana)
    await desk.take("turn", ana)
    assert await desk.take("claim", ana) == ("full", 1), "nor is she given a drill while a customer waits"
    await desk.take("drill ends", ana)
    assert await load() == 1
    await desk.take("resolve", ana)
    assert await load() == 0
