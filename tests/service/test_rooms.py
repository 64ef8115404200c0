"""Capacity over several partitions and processes: never passed at any moment, and nobody locked out by a kill."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from rules.handoff import Assignment, wanted
from rules.routing.operators import Operator
from service.errors import AlreadyClaimed, CapacityReached, MoveIllegal
from service.flows import handoffs, operators
from service.flows.access import Store, open_store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, Lease, NothingWaiting
from service.flows.rooms import Room
from service.store import handoffs as stored
from service.store import rooms
from service.store.handoffs import Candidate, Claim, Taken, TooLate
from tests.service.desk import DESK, NOW, waiting
from tests.service.turns import turn

pytestmark = pytest.mark.server

T = TypeVar("T")
PARTITIONS = 4
_TENANTS = (f"rooms-{number}" for number in itertools.count())
# All partitions of one server at one moment: what several looks would see one after the other.
SUMS = """
local total = {}
for _, key in ipairs(KEYS) do
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do total[flat[i]] = (total[flat[i]] or 0) + tonumber(flat[i + 1]) end
end
local found = {}
for name, weight in pairs(total) do found[#found + 1] = name; found[#found + 1] = weight end
return found
"""


@pytest.fixture
async def stores(server_url: str) -> AsyncIterator[Sequence[Store]]:
    """Two processes' worth of one store: they share nothing but the server."""
    opened = [await open_store(f"{server_url}?db=11", partitions=PARTITIONS) for _ in range(2)]
    yield opened
    for each in opened:
        await each.close()


async def in_hand(store: Store, tenant: str) -> Mapping[str, int]:
    """Return what everybody has in hand, over all partitions, at one moment."""
    places = store.places(tenant)
    flat = await store.link.call("EVAL", SUMS, len(places), *(place.loads for place in places))
    return {name.decode(): weight for name, weight in zip(flat[::2], flat[1::2], strict=True)}


@contextlib.asynccontextmanager
async def watched(store: Store, tenant: str, team: Mapping[str, Operator]) -> AsyncIterator[Counter[str]]:
    """Look all the time whether anybody has more than they carry; give the most that each ever had."""
    most: Counter[str] = Counter()
    over = asyncio.Event()

    async def look() -> None:
        for name, weight in (await in_hand(store, tenant)).items():
            most[name] = max(most[name], weight)

    async def go_on_looking() -> None:
        while not over.is_set():
            await look()

    looking = asyncio.create_task(go_on_looking())
    try:
        yield most
    finally:
        over.set()
        await looking
        await look()
    for name, weight in most.items():
        assert weight <= (team[name].capacity or 0), f"{name} had {weight}"


async def claims(store: Store, tenant: str, operator: Operator, named: str | None = None) -> Claimed | str:
    claiming = Claiming(operator.name, 60_000, declared=operator)
    try:
        if named is not None:
            return await handoffs.claim_one(store, tenant, named, claiming, NOW + 10_000)
        claimed = await handoffs.claim_next(store, DESK, tenant, None, claiming, NOW + 10_000)
    except (CapacityReached, AlreadyClaimed, MoveIllegal) as refused:
        return type(refused).__name__
    return "NothingWaiting" if isinstance(claimed, NothingWaiting) else claimed


async def test_who_asks_in_many_tabs_at_once_gets_what_they_carry_and_never_more(
    stores: Sequence[Store], tenant: str
) -> None:
    await waiting(stores[0], tenant, 40)
    kim, ben = Operator("kim", capacity=5), Operator("ben", capacity=7, weights={"escalate": 2})
    async with watched(stores[0], tenant, {"kim": kim, "ben": ben}) as most:
        asked = [claims(stores[number % 2], tenant, operator) for number in range(12) for operator in (kim, ben)]
        found = await asyncio.gather(*asked)
    for operator, room in ((kim, 5), (ben, 3)):
        mine = found[::2] if operator is kim else found[1::2]
        assert sum(isinstance(each, Claimed) for each in mine) == room
        assert mine.count("CapacityReached") == 12 - room
    assert most == {"kim": 5, "ben": 6}
    taken = [each.handoff.handoff_id for each in found if isinstance(each, Claimed)]
    assert len(set(taken)) == len(taken)


async def test_claims_by_name_are_counted_with_the_others(stores: Sequence[Store], tenant: str) -> None:
    ids = await waiting(stores[0], tenant, 20)
    kim = Operator("kim", capacity=3)
    async with watched(stores[0], tenant, {"kim": kim}) as most:
        found = await asyncio.gather(
            *(claims(stores[number % 2], tenant, kim, ids[-1 - number] if number % 3 else None) for number in range(12))
        )
    assert sum(isinstance(each, Claimed) for each in found) == most["kim"] == 3


async def test_people_who_claim_and_finish_all_day_never_have_more_than_they_carry(
    stores: Sequence[Store], tenant: str
) -> None:
    await waiting(stores[0], tenant, 60)
    team = {"kim": Operator("kim", capacity=2), "ben": Operator("ben", capacity=4, weights={"escalate": 2})}
    chance, done = random.Random(7), Counter[str]()

    async def tab(store: Store, operator: Operator) -> None:
        while (claimed := await claims(store, tenant, operator)) != "NothingWaiting":
            if not isinstance(claimed, Claimed):
                await asyncio.sleep(0.001)
                continue
            await asyncio.sleep(chance.uniform(0, 0.005))
            lease = Lease(claimed.handoff.handoff_id, claimed.token)
            await handoffs.resolve(store, tenant, lease, handoffs.Resolving("answer", "needed"), NOW + 10_000)
            done[claimed.handoff.handoff_id] += 1

    async with watched(stores[0], tenant, team):
        tabs = [tab(store, operator) for store in stores for operator in team.values() for _ in range(3)]
        await asyncio.gather(*tabs)
    assert len(done) == done.total() == 60
    assert await in_hand(stores[0], tenant) == {}


async def test_room_that_a_killed_process_kept_ends_by_itself_and_hinders_nobody_who_has_enough(
    stores: Sequence[Store], tenant: str
) -> None:
    await waiting(stores[0], tenant, 5)
    kim = Operator("kim", capacity=4)
    killed = Room(stores[1], tenant, "kim", "claims", 1)
    await killed.keep()

    async def keepers() -> list[int]:
        keys = [place.room("kim", "claims") for place in stores[0].places(tenant)]
        return sorted([await stores[0].link.call("HLEN", key) for key in keys])

    assert isinstance(await claims(stores[0], tenant, kim), Claimed)
    assert await keepers() == [0, 0, 0, 1]
    # Whether the last places are taken is known once it is over: they are had then, and not refused.
    for _ in range(3):
        assert isinstance(await claims(stores[0], tenant, kim), Claimed)
    assert await claims(stores[0], tenant, kim) == "CapacityReached"
    assert await keepers() == [0, 0, 0, 0]


async def test_who_came_before_is_counted_and_who_comes_again_keeps_their_turn(
    stores: Sequence[Store], tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "KEPT_MS", 600_000)
    first, second, other = (Room(store, tenant, "kim", "claims", 2) for store in (*stores, stores[0]))
    for _ in range(2):
        await first.keep()
        await second.keep()
        assert (first.before, second.before) == (0, 2)
    await other.keep()
    assert other.before == 4
    await first.leave()
    await first.leave()
    await second.keep()
    await other.keep()
    await first.keep()
    assert (second.before, other.before, first.before) == (0, 2, 4)


async def test_more_than_anybody_needs_keep_no_room_and_try_again(
    stores: Sequence[Store], tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long it takes until all of them have come.
    monkeypatch.setattr(rooms, "KEPT_MS", 600_000)
    many = [Room(stores[0], tenant, "kim", "claims", 1) for _ in range(rooms.KEEPERS_MAX + 1)]
    for each in many:
        await each.keep()
    assert many[-2].before == rooms.KEEPERS_MAX - 1
    assert many[-1].before > rooms.KEEPERS_MAX
    await many[0].leave()
    await many[-1].keep()
    assert many[-1].before == rooms.KEEPERS_MAX - 1


async def test_a_claim_that_comes_too_late_to_the_server_takes_nothing(stores: Sequence[Store], tenant: str) -> None:
    (handoff_id,) = await waiting(stores[0], tenant, 1)
    found = await handoffs.get(stores[0], tenant, handoff_id)
    place = stores[0].place_of(tenant, found.conversation_id)
    _, clocks_ms = await stores[0].work.in_hand(stores[0].places(tenant), "kim")
    for until_ms, kind in ((clocks_ms[0] - 1, TooLate), (clocks_ms[0] + 60_000, Taken)):
        claim = Claim(
            "kim", "ab", NOW + 60_000, f"r{until_ms}", Assignment("kim", NOW, "next", 1, 0, 3), 3, until_ms=until_ms
        )
        candidate = Candidate(handoff_id, found.queue, wanted(found).text)
        assert isinstance(await stored.claim(stores[0], place, [candidate], claim, NOW), kind)


async def test_looks_at_the_same_moment_offer_nobody_more_than_they_have_room_for(
    stores: Sequence[Store], tenant: str
) -> None:
    team = {
        "kim": Operator("kim", capacity=3),
        "ben": Operator("ben", capacity=5, weights={"escalate": 2}),
        "mia": Operator("mia"),
    }
    await operators.declare(stores[0], tenant, team.values(), "boss", NOW, replacing=True)
    for name in team:
        await operators.heartbeat(stores[0], tenant, name, NOW)
    await waiting(stores[0], tenant, 30, channel="calls")
    for step_ms in (1_000, 12_000):
        looks = (
            handoffs.expire_due(store, tenant, partition, NOW + step_ms)
            for store in stores
            for partition in range(PARTITIONS)
        )
        await asyncio.gather(*looks)
        kept = Counter[str]()
        for each in (await handoffs.list_open(stores[0], tenant, "calls", "waiting", None, 100)).handoffs:
            kept[each.reserved_for or "nobody"] += 1
        assert kept["kim"] <= 3
        assert kept["ben"] <= 2
        assert kept["mia"] <= 1
    # Who was busy with another look is found at the next one.
    assert kept == {"kim": 3, "ben": 2, "mia": 1, "nobody": 24}


class RoomsMachine(RuleBasedStateMachine):
    """Bursts of claims of three people in two processes, and of what they finish, in any order."""

    url = ""
    TEAM = (
        Operator("kim", capacity=1),
        Operator("ben", capacity=3),
        Operator("mia", capacity=5, weights={"escalate": 2}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stores = [self.do(open_store(f"{self.url}?db=12", partitions=PARTITIONS)) for _ in range(2)]
        self.tenant = next(_TENANTS)
        self.held: dict[str, list[Lease]] = {each.name: [] for each in self.TEAM}
        self.open: set[str] = set()
        self.count = itertools.count()

    def teardown(self) -> None:
        for store in self.stores:
            self.do(store.close())
        self.runner.close()

    def do(self, work: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(60):
                return await work

        return self.runner.run(bounded())

    @rule(count=st.integers(1, 6))
    def some_ask_for_a_person(self, count: int) -> None:
        for _ in range(count):
            asked = turn(f"c{next(self.count)}", channel="desk")
            decided = self.do(decide(self.stores[0], DESK, self.tenant, asked, NOW))
            self.open.add(decided.decision.handoff_id or "")

    @rule(tabs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans()), min_size=1, max_size=12))
    def a_burst_of_claims(self, tabs: Sequence[tuple[int, int, bool]]) -> None:
        ids = sorted(self.open)

        async def burst() -> list[Claimed | str]:
            async with watched(self.stores[0], self.tenant, {each.name: each for each in self.TEAM}):
                return await asyncio.gather(
                    *(
                        claims(self.stores[store], self.tenant, self.TEAM[who], ids[-1] if by_name and ids else None)
                        for who, store, by_name in tabs
                    )
                )

        answers = self.do(burst())
        for (who, _, _), answer in zip(tabs, answers, strict=True):
            if isinstance(answer, Claimed):
                self.held[self.TEAM[who].name].append(Lease(answer.handoff.handoff_id, answer.token))
        held = [lease.handoff_id for leases in self.held.values() for lease in leases]
        assert len(set(held)) == len(held)
        assert set(held) <= self.open
        for (who, _, by_name), answer in zip(tabs, answers, strict=True):
            operator = self.TEAM[who]
            weight = operator.weights.get("escalate", 1)
            # Nobody finished anything meanwhile: who was refused has no room, who found nothing left nothing.
            if answer == "CapacityReached":
                assert (len(self.held[operator.name]) + 1) * weight > (operator.capacity or 0)
            if answer == "NothingWaiting":
                assert len(held) == len(self.open)
            assert answer != "AlreadyClaimed" or by_name
        weights = {each.name: each.weights.get("escalate", 1) * len(self.held[each.name]) for each in self.TEAM}
        assert self.do(in_hand(self.stores[0], self.tenant)) == {name: each for name, each in weights.items() if each}

    @rule(who=st.integers(0, 2), ends=st.booleans())
    def somebody_is_done(self, who: int, ends: bool) -> None:
        mine = self.held[self.TEAM[who].name]
        if not mine:
            return
        lease = mine.pop()
        if ends:
            answer = handoffs.Resolving("answer", "needed")
            self.do(handoffs.resolve(self.stores[0], self.tenant, lease, answer, NOW + 10_000))
            self.open.discard(lease.handoff_id)
        else:
            self.do(handoffs.release(self.stores[0], self.tenant, lease, NOW + 10_000))

    @rule(who=st.integers(0, 2))
    def a_killed_process_kept_room(self, who: int) -> None:
        # As it stands the moment after: its end is shortened so that hundreds of runs need not wait for it.
        operator = self.TEAM[who]
        self.do(Room(self.stores[1], self.tenant, operator.name, "claims", operator.weights.get("escalate", 1)).keep())
        for place in self.stores[0].places(self.tenant):
            self.do(self.stores[0].link.call("PEXPIRE", place.room(operator.name, "claims"), 20))


def test_bursts_of_claims_never_pass_what_people_carry_and_lose_nobody(server_url: str) -> None:
    machine = type("Machine", (RoomsMachine,), {"url": server_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=8,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
        ),
    )
