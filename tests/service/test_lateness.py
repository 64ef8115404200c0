"""How late timers were, as the metric tells it: by the clock after each one's own step, not by the start of a sweep."""

from __future__ import annotations

from typing import Any

import pytest

from service.clock import now_ms
from service.flows import deadlines
from service.flows.access import Store
from service.flows.claims import Claimed, Claiming, claim_next
from service.store import handoffs
from service.store.handoffs import move
from service.store.timers import DUE_READ_MAX
from tests.workers.opened import open_many, rules

pytestmark = pytest.mark.server

STEP_MS = 10
DUE = DUE_READ_MAX + 20


async def test_each_is_as_late_as_its_own_step_was_written(
    store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More are due than one look reads, and each step takes ten milliseconds of a clock that stands still otherwise."""
    opened = await open_many(store, rules("1s"), tenant, DUE)
    due_at_ms = max(each.expires_at_ms for each in opened)
    clock_ms = [due_at_ms]

    async def slow(store: Store, verb: str, **values: Any) -> tuple[str, list[Any]]:
        found = await move(store, verb, **values)
        clock_ms[0] += STEP_MS
        return found

    monkeypatch.setattr(handoffs, "move", slow)
    late = deadlines.Late(lambda: clock_ms[0])
    ended = 0
    for partition in range(store.partitions):
        ended += await deadlines.expire_due(store, tenant, partition, due_at_ms, late)
    spread_ms = due_at_ms - min(each.expires_at_ms for each in opened)
    assert (ended, len(late.found_ms)) == (DUE, DUE)
    assert min(late.found_ms) >= STEP_MS
    assert STEP_MS * DUE <= max(late.found_ms) <= STEP_MS * DUE + spread_ms
    # What the first look found is told apart from what the next one did.
    assert sum(each <= STEP_MS * DUE_READ_MAX + spread_ms for each in late.found_ms) >= DUE_READ_MAX


async def test_what_somebody_else_has_done_is_noted_by_them_alone(store: Store, tenant: str) -> None:
    (opened,) = await open_many(store, rules("1s"), tenant, 1)
    at_ms = opened.expires_at_ms
    late = [deadlines.Late(lambda: at_ms + 7) for _ in range(2)]
    for each in late:
        for partition in range(store.partitions):
            await deadlines.expire_due(store, tenant, partition, at_ms, each)
    assert [each.found_ms for each in late] == [[7], []]


async def test_a_lease_that_lapses_is_late_by_the_clock_too(store: Store, tenant: str) -> None:
    ruleset = rules()
    await open_many(store, ruleset, tenant, 1)
    claimed = await claim_next(store, ruleset, tenant, "tier1", Claiming("mia", 60_000), now_ms())
    assert isinstance(claimed, Claimed)
    ends_at_ms = claimed.handoff.lease_expires_at_ms
    assert ends_at_ms is not None
    late = deadlines.Late(lambda: ends_at_ms + 2_734)
    for partition in range(store.partitions):
        await deadlines.lapse_due(store, tenant, partition, ends_at_ms, late)
    assert late.found_ms == [2_734]
