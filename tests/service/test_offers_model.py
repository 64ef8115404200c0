"""Offers under random commands on a real server: people come and go, let offers go by, and two tenants share a store.

What is offered to whom is decided by `rules`; this holds what must be true of it whatever happens, against a model of
who is there, what they hold and what waits.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.handoff import ENDED, Handoff
from rules.moves import OFFER_AGAIN_MS_MAX
from rules.routing.operators import Operator
from rules.routing.yielding import gives_way
from service.errors import AlreadyClaimed, CapacityReached, LeaseLost, MoveIllegal
from service.flows import handoffs, operators
from service.flows.access import open_store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, Lease, NothingWaiting, Resolving
from service.flows.operators import PRESENT_MS
from tests.service.turns import turn

pytestmark = pytest.mark.server

T = TypeVar("T")
SECOND, MINUTE = 1_000, 60_000
START = 1_800_000_000_000
LEASE_MS, OFFER_MS, PARTITIONS = 60_000, 30_000, 3
# What the server does depends on ids that are random, and so does how many there are to choose from: a place is drawn
# before anybody looks, or Hypothesis takes the run for another one.
PLACES = st.integers(0, 1_000)
RULES = build(
    files_or_raise(
        {
            "rules.yaml": """\
handrail: 1
queues:
  calls:
    answer_within: 4h
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
    offer_for: 30s
    language: customer
rules:
  - {id: low, why: x, when: channel = low, then: {escalate: calls, priority: low}}
  - {id: asks, why: x, when: channel = normal, then: {escalate: calls}}
  - {id: urgent, why: x, when: channel = urgent, then: {escalate: calls, priority: urgent}}
"""
        }
    )
)
TEAM = {
    "mia": Operator("mia", languages=("en", "es"), capacity=2),
    "ben": Operator("ben", languages=("en",), capacity=1),
    "kim": Operator("kim", capacity=3, weights={"escalate": 2}),
}
LOCALES = ("en", "es", "de")
# Mostly as urgent as each other: the order among them is what counts, and now and then one goes before all others.
CHANNELS = ("normal", "normal", "low", "urgent")
_TENANTS = (f"offers-{number}" for number in itertools.count())


@dataclass
class Tenant:
    """One tenant: what was opened, who holds what by which token, until when who is believed to be there."""

    name: str
    opened: dict[str, str]
    held: dict[str, tuple[str, str, int]]
    present_until_ms: dict[str, int]
    ended: set[str]


class OffersMachine(RuleBasedStateMachine):
    """The commands, on two tenants of one store."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = self.runner.run(open_store(f"{self.url}?db=10", partitions=PARTITIONS))
        self.now_ms = START
        self.count = itertools.count()
        self.tenants = [Tenant(next(_TENANTS), {}, {}, {}, set()) for _ in range(2)]
        # Who has declined what, so that a repetition is answered alike.
        self.declined: set[tuple[str, str, str]] = set()
        for tenant in self.tenants:
            self.do(operators.declare(self.store, tenant.name, TEAM.values(), "boss", START, replacing=True))

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()

    def do(self, work: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(60):
                return await work

        return self.runner.run(bounded())

    def sweep(self, tenant: Tenant) -> None:
        for due in (handoffs.lapse_due, handoffs.expire_due):
            for partition in range(PARTITIONS):
                self.do(due(self.store, tenant.name, partition, self.now_ms))
        self.lapse(tenant)

    def lapse(self, tenant: Tenant) -> None:
        tenant.held = {each: held for each, held in tenant.held.items() if held[2] > self.now_ms}

    def waits(self, tenant: Tenant) -> list[Handoff]:
        page = self.do(handoffs.list_open(self.store, tenant.name, None, "waiting", None, 200))
        return list(page.handoffs)

    def here(self, tenant: Tenant) -> set[str]:
        return {name for name, until_ms in tenant.present_until_ms.items() if until_ms > self.now_ms}

    def in_hand(self, tenant: Tenant, name: str) -> int:
        weight = TEAM[name].weights.get("escalate", 1)
        return weight * sum(holder == name for holder, _, _ in tenant.held.values())

    def has_room(self, tenant: Tenant, name: str, kept: int = 0) -> bool:
        weight, capacity = TEAM[name].weights.get("escalate", 1), TEAM[name].capacity or 0
        return self.in_hand(tenant, name) + (kept + 1) * weight <= capacity

    # Commands

    @rule(step_ms=st.sampled_from([1, SECOND, 10 * SECOND, OFFER_MS, LEASE_MS, PRESENT_MS]))
    def time_passes(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @rule(which=st.integers(0, 1), locale=st.sampled_from(LOCALES), channel=st.sampled_from(CHANNELS))
    def somebody_asks(self, which: int, locale: str, channel: str) -> None:
        tenant, conversation_id = self.tenants[which], f"c{next(self.count)}"
        if len(tenant.opened) - len(tenant.ended) >= 8:
            return
        asked = turn(conversation_id, channel=channel, locale=locale)
        decided = self.do(decide(self.store, RULES, tenant.name, asked, self.now_ms))
        tenant.opened[decided.decision.handoff_id or ""] = locale

    @rule(which=st.integers(0, 1), name=st.sampled_from(sorted(TEAM)), leaves=st.booleans())
    def somebody_comes_or_leaves(self, which: int, name: str, leaves: bool) -> None:
        tenant = self.tenants[which]
        if leaves:
            self.do(operators.leave(self.store, tenant.name, name))
            tenant.present_until_ms.pop(name, None)
        else:
            tenant.present_until_ms[name] = self.do(operators.heartbeat(self.store, tenant.name, name, self.now_ms))

    @rule(which=st.integers(0, 1))
    def a_worker_looks_until_nothing_is_due(self, which: int) -> None:
        tenant = self.tenants[which]
        before = {each.handoff_id: each for each in self.waits(tenant)}
        # Whoever was looked for in vain is looked for again a while later.
        self.now_ms += OFFER_AGAIN_MS_MAX
        self.sweep(tenant)
        here, waiting = self.here(tenant), self.waits(tenant)
        for each in waiting:
            whom = each.reserved_for
            earlier = before.get(each.handoff_id)
            if whom is not None and (earlier is None or earlier.reserved_for != whom):
                assert whom in here
                assert self.speaks(whom, each)
                assert each.reserved_until_at_ms == self.now_ms + min(OFFER_MS, (each.expires_at_ms - self.now_ms) // 2)
        if any((each.reserved_until_at_ms or self.now_ms + 1) <= self.now_ms for each in before.values()):
            # Whose offer ended in this very look was still taken for busy where it began: the next one has them free.
            return
        kept = [each.reserved_for for each in waiting]
        for name in here:
            if not self.has_room(tenant, name, kept.count(name)):
                continue
            # Whoever is free and may take something is offered it, unless they have let it go by.
            for each in waiting:
                if each.reserved_for is None and self.speaks(name, each):
                    assert name in each.route.passed_by
        self.nobody_is_asked_for_far_less(tenant, here, waiting)

    @rule(which=st.integers(0, 1), name=st.sampled_from(sorted(TEAM)), count=st.integers(1, 3))
    def an_urgent_one_comes_while_somebody_is_asked_for_less(self, which: int, name: str, count: int) -> None:
        self.somebody_comes_or_leaves(which, name, leaves=False)
        for _ in range(count):
            self.somebody_asks(which, "en", "low")
        self.a_worker_looks_until_nothing_is_due(which)
        self.somebody_asks(which, "en", "urgent")
        self.a_worker_looks_until_nothing_is_due(which)

    def nobody_is_asked_for_far_less(self, tenant: Tenant, here: set[str], waiting: list[Handoff]) -> None:
        """Whoever could take what waits in vain is not being asked for something that gives way to it."""
        kept = [each.reserved_for for each in waiting]
        for each in waiting:
            if each.reserved_for is not None:
                continue
            for other in waiting:
                name = other.reserved_for or ""
                if name in here and gives_way(other, each) and self.has_room(tenant, name, kept.count(name) - 1):
                    assert name in each.route.passed_by or not self.speaks(name, each)

    def speaks(self, name: str, handoff: Handoff) -> bool:
        return not TEAM[name].languages or (handoff.locale or "") in TEAM[name].languages

    @rule(which=st.integers(0, 1), name=st.sampled_from(sorted(TEAM)))
    def somebody_claims_the_next(self, which: int, name: str) -> None:
        tenant = self.tenants[which]
        self.sweep(tenant)
        waiting = [each for each in self.waits(tenant) if self.may_have(name, each)]
        claiming = Claiming(name, LEASE_MS, declared=TEAM[name])
        claimed: Claimed | NothingWaiting | None = None
        try:
            claimed = self.do(handoffs.claim_next(self.store, RULES, tenant.name, None, claiming, self.now_ms))
        except CapacityReached:
            assert waiting
            assert not self.has_room(tenant, name)
        if isinstance(claimed, NothingWaiting):
            assert not waiting
        if isinstance(claimed, Claimed):
            first = min(waiting, key=lambda each: (each.score_ms, each.handoff_id))
            assert claimed.handoff.handoff_id == first.handoff_id
            self.takes(tenant, name, claimed)

    def may_have(self, name: str, handoff: Handoff) -> bool:
        if handoff.reserved_for is not None:
            return handoff.reserved_for == name
        return self.speaks(name, handoff)

    def takes(self, tenant: Tenant, name: str, claimed: Claimed) -> None:
        handoff_id = claimed.handoff.handoff_id
        assert handoff_id not in tenant.held
        assert self.has_room(tenant, name)
        tenant.held[handoff_id] = (name, claimed.token, self.now_ms + LEASE_MS)
        assignment = claimed.handoff.assignment
        assert assignment is not None
        assert (assignment.operator, assignment.at_ms) == (name, self.now_ms)

    @rule(data=st.data(), name=st.sampled_from(sorted(TEAM)), declines=st.booleans())
    def somebody_answers_for_one(self, data: st.DataObject, name: str, declines: bool) -> None:
        place = data.draw(PLACES)
        those = [(tenant, handoff_id) for tenant in self.tenants for handoff_id in tenant.opened]
        if not those:
            return
        tenant, handoff_id = those[place % len(those)]
        self.sweep(tenant)
        before = self.do(handoffs.get(self.store, tenant.name, handoff_id))
        if declines:
            work = handoffs.decline(self.store, tenant.name, handoff_id, name, self.now_ms)
            again = (tenant.name, handoff_id, name) in self.declined and name in before.route.passed_by
            if before.state == "waiting" and (name == before.reserved_for or again):
                after = self.do(work)
                assert after.reserved_for != name
                self.declined.add((tenant.name, handoff_id, name))
            else:
                # Somebody else's is refused as theirs, what is kept for nobody as no offer.
                theirs = before.reserved_for is not None and before.reserved_until_at_ms is not None
                with pytest.raises(AlreadyClaimed if theirs else MoveIllegal):
                    self.do(work)
            return
        claiming = Claiming(name, LEASE_MS, declared=TEAM[name])
        try:
            claimed = self.do(handoffs.claim_one(self.store, tenant.name, handoff_id, claiming, self.now_ms))
        except AlreadyClaimed:
            assert before.state in ("leased", "held") or before.reserved_for not in (None, name)
        except MoveIllegal:
            assert before.state in ENDED
        except CapacityReached:
            assert not self.has_room(tenant, name)
        else:
            self.takes(tenant, name, claimed)

    @rule(data=st.data(), releases=st.booleans())
    def somebody_is_done(self, data: st.DataObject, releases: bool) -> None:
        place = data.draw(PLACES)
        those = [(tenant, handoff_id) for tenant in self.tenants for handoff_id in tenant.held]
        if not those:
            return
        tenant, handoff_id = those[place % len(those)]
        _, token, until_ms = tenant.held.pop(handoff_id)
        lease = Lease(handoff_id, token)
        if until_ms <= self.now_ms:
            with pytest.raises(LeaseLost):
                self.do(handoffs.release(self.store, tenant.name, lease, self.now_ms))
        elif releases:
            self.do(handoffs.release(self.store, tenant.name, lease, self.now_ms))
        else:
            answer = Resolving("answer", "needed")
            self.do(handoffs.resolve(self.store, tenant.name, lease, answer, self.now_ms))
            tenant.ended.add(handoff_id)

    @invariant()
    def nobody_is_lost_and_no_tenant_sees_anothers(self) -> None:
        for tenant in self.tenants:
            page = self.do(handoffs.list_open(self.store, tenant.name, None, None, None, 200))
            found = {each.handoff_id: each for each in page.handoffs}
            # Four hours are long: who was not answered by then was called back.
            missed = set(tenant.opened) - tenant.ended - set(found)
            for handoff_id in missed:
                ended = self.do(handoffs.get(self.store, tenant.name, handoff_id))
                assert ended.state == "expired"
                assert ended.expires_at_ms <= self.now_ms
            assert set(found) <= set(tenant.opened)
            for handoff_id, (name, _, until_ms) in tenant.held.items():
                if until_ms > self.now_ms:
                    assert (found[handoff_id].state, found[handoff_id].holder) == ("leased", name)


def test_whoever_is_offered_something_is_there_and_free_and_nobody_free_is_left_out(server_url: str) -> None:
    machine = type("Machine", (OffersMachine,), {"url": server_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
        ),
    )
