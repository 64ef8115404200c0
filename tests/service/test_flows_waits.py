"""How long a handoff will take is learned from its queue's own handoffs, told once, and never changed afterwards."""

from __future__ import annotations

import asyncio

import pytest

from rules.evaluation.evaluate import Ruleset
from rules.routing.waits import ANSWERED_MIN, Kept, Wait
from service.errors import StoreBusy
from service.flows import handoffs, operators, waits
from service.flows.access import Store
from service.flows.decide import Decided, decide
from service.flows.handoffs import Claiming, Lease, Resolving
from service.store import queues
from service.store import waits as stored
from service.store.wait_views import AtWork, WaitView
from tests.service.turns import angry

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
MINUTE = 60_000
WAITED_MS = 30_000


async def opened(store: Store, ruleset: Ruleset, tenant: str, name: str, now_ms: int) -> Decided:
    return await decide(store, ruleset, tenant, angry(name), now_ms)


async def answered(store: Store, tenant: str, decided: Decided, now_ms: int) -> Lease:
    assert decided.decision.handoff_id is not None
    await operators.heartbeat(store, tenant, "mia", now_ms)
    claimed = await handoffs.claim_one(store, tenant, decided.decision.handoff_id, Claiming("mia", MINUTE), now_ms)
    return Lease(claimed.handoff.handoff_id, claimed.token)


async def busy_hour(store: Store, ruleset: Ruleset, tenant: str, count: int = ANSWERED_MIN) -> int:
    """Open and answer so many, each after WAITED_MS, one a minute; return the moment after the last."""
    for number in range(count):
        at_ms = NOW + number * MINUTE
        decided = await opened(store, ruleset, tenant, f"before-{number}", at_ms)
        lease = await answered(store, tenant, decided, at_ms + WAITED_MS)
        await handoffs.resolve(store, tenant, lease, Resolving("take_over", "needed"), at_ms + WAITED_MS + 1_000)
    return NOW + count * MINUTE


async def test_the_wait_is_unknown_until_enough_were_answered_and_then_is_theirs(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    first = await opened(store, ruleset, tenant, "first", NOW - MINUTE)
    assert first.waiting is not None
    assert first.waiting.wait is None
    await answered(store, tenant, first, NOW - MINUTE)
    now_ms = await busy_hour(store, ruleset, tenant)
    decided = await opened(store, ruleset, tenant, "next", now_ms)
    assert decided.waiting is not None
    assert (decided.waiting.position, decided.waiting.wait) == (1, Wait(WAITED_MS, WAITED_MS, WAITED_MS))


async def test_a_retry_is_told_what_the_turn_was_told(store: Store, ruleset: Ruleset, tenant: str) -> None:
    now_ms = await busy_hour(store, ruleset, tenant)
    decided = await decide(store, ruleset, tenant, angry("next", "asked"), now_ms)
    again = await decide(store, ruleset, tenant, angry("next", "asked"), now_ms + 5 * MINUTE)
    assert again.repeated
    assert decided.waiting is not None
    assert decided.waiting.wait == Wait(WAITED_MS, WAITED_MS, WAITED_MS)
    assert again.waiting == decided.waiting


async def test_nobody_at_work_makes_it_unknown(store: Store, ruleset: Ruleset, tenant: str) -> None:
    now_ms = await busy_hour(store, ruleset, tenant)
    decided = await opened(store, ruleset, tenant, "next", now_ms + 3 * MINUTE)
    assert decided.waiting is not None
    assert decided.waiting.wait is None


async def test_a_handoff_tells_its_place_and_wait_while_it_waits(store: Store, ruleset: Ruleset, tenant: str) -> None:
    now_ms = await busy_hour(store, ruleset, tenant)
    first = await opened(store, ruleset, tenant, "one", now_ms)
    second = await opened(store, ruleset, tenant, "two", now_ms + 1)
    places = []
    for decided in (first, second):
        handoff = await handoffs.get(store, tenant, decided.decision.handoff_id or "")
        told = await waits.of(store, handoff, now_ms + 2)
        assert told is not None
        assert told.wait is not None
        places.append(told.position)
    assert places == [1, 2]
    lease = await answered(store, tenant, first, now_ms + 3)
    assert await waits.of(store, await handoffs.get(store, tenant, lease.handoff_id), now_ms + 4) is None


async def test_those_whom_nobody_answered_in_time_count_as_longer(store: Store, ruleset: Ruleset, tenant: str) -> None:
    now_ms = await busy_hour(store, ruleset, tenant)
    for number in range(ANSWERED_MIN * 2):
        await opened(store, ruleset, tenant, f"left-{number}", now_ms)
    late_ms = now_ms + 20 * MINUTE
    await handoffs.expire_due(store, tenant, 0, late_ms)
    for partition in range(1, store.partitions):
        await handoffs.expire_due(store, tenant, partition, late_ms)
    await operators.heartbeat(store, tenant, "mia", late_ms)
    decided = await opened(store, ruleset, tenant, "next", late_ms)
    assert decided.waiting is not None
    assert decided.waiting.wait is None or decided.waiting.wait.p90_ms is None


async def test_one_that_was_given_back_counts_by_its_first_answer(store: Store, ruleset: Ruleset, tenant: str) -> None:
    now_ms = await busy_hour(store, ruleset, tenant)
    decided = await opened(store, ruleset, tenant, "back", now_ms)
    lease = await answered(store, tenant, decided, now_ms + WAITED_MS)
    await handoffs.release(store, tenant, lease, now_ms + WAITED_MS + 1)
    await answered(store, tenant, decided, now_ms + 5 * MINUTE)
    told = await waits.of_queues(store, ruleset, tenant, ["tier1", "tier2"], now_ms + 5 * MINUTE)
    assert (told["tier1"].wait, told["tier2"].wait) == (Wait(WAITED_MS, WAITED_MS, WAITED_MS), None)
    assert told["tier1"].kept == Kept(told=1, held=1)


async def test_a_view_is_read_again_in_the_background_and_only_while_it_is_asked_for(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    assert await waits.look_again(store, NOW) >= 0
    await opened(store, ruleset, tenant, "one", NOW)
    before = store.waits.views[tenant, "tier1"]
    assert before.history == ()
    assert await waits.look_again(store, NOW + 1_000) >= 1
    assert len(store.waits.views[tenant, "tier1"].history) == 1
    assert await waits.look_again(store, NOW + waits.FOLLOWED_MS) == 0


async def test_all_of_a_rush_share_one_look(
    store: Store, ruleset: Ruleset, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    view, at_work = stored.view, stored.at_work

    async def counted(store: Store, tenant: str, queue: str, now_ms: int) -> WaitView:
        looks.append(queue)
        return await view(store, tenant, queue, now_ms)

    async def counted_who(store: Store, tenant: str, now_ms: int) -> AtWork:
        looks.append("who is there")
        return await at_work(store, tenant, now_ms)

    monkeypatch.setattr(stored, "view", counted)
    monkeypatch.setattr(stored, "at_work", counted_who)
    rush = [opened(store, ruleset, tenant, f"rush-{number}", NOW) for number in range(40)]
    assert all(decided.waiting is not None for decided in await asyncio.gather(*rush))
    assert looks == ["who is there", "tier1"]
    assert not store.waits.looking
    assert not store.waits.looking_who
    await opened(store, ruleset, tenant, "later", NOW + waits.VIEW_MS_MAX + 1)
    assert looks == ["who is there", "tier1"] * 2


async def test_a_look_that_fails_fails_those_who_shared_it_and_nobody_after(
    store: Store, ruleset: Ruleset, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> WaitView:
        raise StoreBusy(1)

    with monkeypatch.context() as patched:
        patched.setattr(stored, "view", away)
        asked = (waits.of_queues(store, ruleset, tenant, ["tier1"], NOW) for _ in range(3))
        assert [type(each) for each in await asyncio.gather(*asked, return_exceptions=True)] == [StoreBusy] * 3
    assert (await waits.of_queues(store, ruleset, tenant, ["tier1"], NOW))["tier1"].wait is None


async def test_a_turn_that_meets_its_waiting_handoff_is_told_how_much_longer(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    now_ms = await busy_hour(store, ruleset, tenant)
    await opened(store, ruleset, tenant, "next", now_ms)
    again = await decide(store, ruleset, tenant, angry("next", turn_id="later"), now_ms + 5_000)
    assert again.decision.verdict == "held_by_human"
    assert again.waiting is not None
    assert (again.waiting.position, again.waiting.wait) == (1, Wait(WAITED_MS, WAITED_MS, WAITED_MS))


async def test_a_handoff_keeps_what_it_was_told(store: Store, ruleset: Ruleset, tenant: str) -> None:
    now_ms = await busy_hour(store, ruleset, tenant)
    decided = await opened(store, ruleset, tenant, "next", now_ms)
    handoff = await handoffs.get(store, tenant, decided.decision.handoff_id or "")
    assert handoff.told is not None
    assert handoff.told.wait == Wait(WAITED_MS, WAITED_MS, WAITED_MS)
    assert (handoff.told.circumstances.ahead, handoff.told.circumstances.at_work) == (0, 1)
    assert await queues.ahead(store, store.places(tenant), "tier1", handoff.score_ms) == 0
