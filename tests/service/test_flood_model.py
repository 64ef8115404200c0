"""Floods under random commands on a real server: nobody is lost, nobody waits or is answered twice, and a group's count
is its members."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Awaitable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.handoff import ENDED, Action, Handoff, group_of, is_member, stands_at_ms, wanted
from rules.tasks import task_of
from rules.turn import AgentRef, Customer, Turn
from service.errors import AlreadyClaimed, HandoffUnknown, LeaseLost, MoveIllegal, NoGroup
from service.flows import floods, handoffs
from service.flows.access import open_store
from service.flows.decide import decide
from service.flows.floods import Answering
from service.flows.handoffs import Claimed, Claiming, HandingBack, Lease, Resolving
from service.store import floods as store_floods
from service.store.keys import Place

pytestmark = pytest.mark.server

T = TypeVar("T")
MINUTE = 60_000
START = 1_800_000_000_000
LEASE_MS = 60_000
# What the server does depends on ids that are random, and so does how many there are to choose from: a place is drawn
# before anybody looks, or Hypothesis takes the run for another one.
PLACES = st.integers(0, 1_000)
RULES = """\
handrail: 1
queues:
  tier1:
    answer_within: 15m
    on_timeout: {verdict: escalate, queue: tier2}
    say: {en: "One moment."}
    flood: {customer: 3 in 10m, agent: 2 in 10m}
    offer_for: 30s
    ladder:
      - {after: 5m, priority: high}
  tier2:
    answer_within: 10m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "One moment."}
    flood: {tenant: 3 in 10m}
rules:
  - id: unsure
    why: the agent is unsure
    when: confidence < 0.5
    then: {escalate: tier1}
  - id: refund
    why: money is about to go
    when: channel = refunds
    then: {hold: tier1}
  - id: danger
    why: somebody is in danger
    when: channel = crisis
    then: {escalate: tier2, priority: urgent}
  - id: angry
    why: the customer is angry
    when: sentiment < -0.5
    then: {escalate: tier2, priority: high}
"""
RULESET = build(files_or_raise({"rules.yaml": RULES}))
KINDS: dict[str, dict[str, object]] = {
    "unsure": {"confidence": 0.1},
    "refund": {"channel": "refunds", "reply": "I will refund it."},
    "danger": {"channel": "crisis"},
    "angry": {"sentiment": -0.9},
}
ENDINGS = ("handoff.resolved", "handoff.handed_back", "handoff.expired")
_TENANTS = (f"flood-{number}" for number in itertools.count())


class FloodMachine(RuleBasedStateMachine):
    """The commands; what must hold after each of them is asked of the store itself."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = self.runner.run(open_store(f"{self.url}?db=3", partitions=2))
        self.tenant = next(_TENANTS)
        self.now_ms = START
        self.numbers = itertools.count()
        self.opened: dict[str, str] = {}
        self.leases: dict[str, Lease] = {}

    def teardown(self) -> None:
        # Whatever was left: time ends it, as each was promised, and people make the calls that were promised then.
        for _ in range(6):
            self.now_ms += 20 * MINUTE
            self.a_worker_sweeps()
        still = [each for each in self.do(self.all()) if each.state not in ENDED]
        assert {(each.state, each.call is not None) for each in still} <= {("waiting", True)}
        # Nobody has anything any more: what is claimed from here on is the last that was.
        self.leases.clear()
        for _ in still:
            self.somebody_claims_the_next("ben")
            self.what_was_claimed_last_is_resolved(all_first=False)
            self.a_worker_sweeps()
        assert {each.state for each in self.do(self.all())} <= ENDED
        counted = Counter(handoff_id for kind, handoff_id in self.told() if kind in ENDINGS)
        assert counted == dict.fromkeys(self.opened, 1), "everybody is answered exactly once"
        assert self.do(floods.listed(self.store, self.tenant)) == []
        self.runner.run(self.store.close())
        self.runner.close()

    def do(self, work: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(20):
                return await work

        return self.runner.run(bounded())

    async def all(self) -> list[Handoff]:
        found = await asyncio.gather(*(handoffs.get(self.store, self.tenant, each) for each in self.opened))
        calls = {each.call_id: each.conversation_id for each in found if each.call_id is not None}
        if calls.keys() <= self.opened.keys():
            return list(found)
        self.opened |= calls
        return await self.all()

    def get(self, handoff_id: str) -> Handoff:
        return self.do(handoffs.get(self.store, self.tenant, handoff_id))

    def call(self, *words: str | int) -> Any:
        return self.do(self.store.link.call(*words))

    def told(self) -> list[tuple[str, str]]:
        found = []
        for place in self.store.places(self.tenant):
            for _, flat in self.call("XRANGE", place.outbox, "-", "+"):
                fields = dict(zip(flat[::2], flat[1::2], strict=True))
                found.append((fields[b"type"].decode(), fields[b"handoff_id"].decode()))
        return found

    # Commands

    @rule(step_ms=st.sampled_from([1, 1, 1_000, 1_000, LEASE_MS, 6 * MINUTE]))
    def time_passes(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @rule(
        kind=st.sampled_from(["unsure", "unsure", "unsure", "refund", "angry", "danger"]),
        agent=st.sampled_from(["broken", "broken", "broken", "fine"]),
        count=st.integers(1, 6),
    )
    def turns_come_in(self, kind: str, agent: str, count: int) -> None:
        async def several() -> None:
            await asyncio.gather(*(self._turn(f"c{next(self.numbers)}", kind, agent) for _ in range(count)))

        self.do(several())

    @precondition(lambda self: self.opened)
    @rule(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
    def the_customer_writes_on(self, data: st.DataObject, kind: str) -> None:
        self.do(self._turn(self.opened[self.drawn(data)], kind, "broken"))

    async def _turn(self, conversation_id: str, kind: str, agent: str) -> None:
        turn = Turn(
            conversation_id=conversation_id,
            turn_id=f"t{next(self.numbers)}",
            agent=AgentRef(agent),
            customer=Customer("u1" if agent == "fine" else None),
            **KINDS[kind],  # type: ignore[arg-type]  # as the table above says
        )
        decided = await decide(self.store, RULESET, self.tenant, turn, self.now_ms)
        if decided.decision.handoff_id is not None:
            self.opened[decided.decision.handoff_id] = conversation_id

    @rule(operator=st.sampled_from(["mia", "ben"]))
    def somebody_claims_the_next(self, operator: str) -> None:
        claiming = Claiming(operator, LEASE_MS)
        before = {each.handoff_id: each for each in self.do(self.all())}
        claimed = self.do(handoffs.claim_next(self.store, RULESET, self.tenant, None, claiming, self.now_ms))
        if isinstance(claimed, Claimed):
            self.leases[claimed.handoff.handoff_id] = Lease(claimed.handoff.handoff_id, claimed.token)
            assert not is_member(claimed.handoff)
            # What is no part of a flood goes by its urgency, whatever the floods hold.
            free = [
                each
                for each in map(self._unmoved, before.values())
                if each is not None and each.group is None and each.reserved_for in (None, operator)
            ]
            if claimed.handoff.group is None:
                assert all(each.score_ms >= claimed.handoff.score_ms for each in free)

    def _unmoved(self, before: Handoff) -> Handoff | None:
        now = self.get(before.handoff_id)
        return now if now.state == "waiting" and now.version == before.version else None

    @precondition(lambda self: self.opened)
    @rule(data=st.data())
    def somebody_claims_this_one(self, data: st.DataObject) -> None:
        handoff_id = self.drawn(data)
        try:
            claimed = self.do(
                handoffs.claim_one(self.store, self.tenant, handoff_id, Claiming("kim", LEASE_MS), self.now_ms)
            )
        except (AlreadyClaimed, MoveIllegal):
            return
        assert claimed.handoff.handoff_id == handoff_id
        assert not is_member(claimed.handoff)
        self.leases[handoff_id] = Lease(handoff_id, claimed.token)

    def drawn(self, data: st.DataObject) -> str:
        # By place, as ids are random; those in a flood come last, and are drawn first.
        those = sorted(self.do(self.all()), key=lambda each: each.state == "waiting" and each.group is not None)
        return those[-1 - data.draw(PLACES) % len(those)].handoff_id

    @rule()
    def somebody_claims_what_stands_for_a_flood(self) -> None:
        for group in self.do(floods.listed(self.store, self.tenant)):
            with contextlib.suppress(AlreadyClaimed, MoveIllegal, HandoffUnknown):
                claiming = Claiming("ann", LEASE_MS)
                claimed = self.do(
                    handoffs.claim_one(self.store, self.tenant, group.leader or "", claiming, self.now_ms)
                )
                self.leases[claimed.handoff.handoff_id] = Lease(claimed.handoff.handoff_id, claimed.token)

    def resolve(self, lease: Lease) -> Awaitable[Handoff]:
        """Words do for whoever waits; a call that was promised has to be made."""
        action: Action = "take_over" if task_of(self.get(lease.handoff_id)) == "call" else "answer"
        return handoffs.resolve(self.store, self.tenant, lease, Resolving(action, "needed"), self.now_ms)

    def together(self, member: Handoff, handoff_id: str) -> bool:
        """Return whether both lie in one partition: each has groups of its own."""
        conversations = (member.conversation_id, self.get(handoff_id).conversation_id)
        first, second = (self.store.place_of(self.tenant, each) for each in conversations)
        return first is second

    @rule(all_first=st.booleans())
    def what_was_claimed_last_is_resolved(self, all_first: bool) -> None:
        if not self.leases:
            return
        handoff_id, lease = list(self.leases.items())[-1]
        answering = Answering("answer", "not_needed", "Solved.")
        with contextlib.suppress(LeaseLost, MoveIllegal):
            if all_first and self.get(handoff_id).leads:
                group = group_of(self.get(handoff_id))
                dealt = self.do(floods.answer_members(self.store, self.tenant, lease, answering, self.now_ms))
                rest = [each for each in self.do(self.all()) if is_member(each) and each.state not in ENDED]
                of_group = [
                    task_of(each) for each in rest if group_of(each) == group and self.together(each, handoff_id)
                ]
                assert (dealt.left, dealt.calls, set(of_group) <= {"call"}) == (0, len(of_group), True)
            self.do(self.resolve(lease))
        del self.leases[handoff_id]

    @rule(
        data=st.data(),
        verb=st.sampled_from(["resolve", "hand_back", "release", "transfer", "members"]),
        queue=st.sampled_from([None, "tier1", "tier2"]),
    )
    def somebody_moves_what_they_have(self, data: st.DataObject, verb: str, queue: str | None) -> None:
        those = list(self.leases.values())
        place = data.draw(PLACES)
        if not those:
            return
        lease = those[-1 - place % len(those)]
        store, tenant, now_ms = self.store, self.tenant, self.now_ms
        work: Awaitable[object]
        if verb == "resolve":
            work = self.resolve(lease)
        elif verb == "hand_back":
            work = handoffs.hand_back(store, tenant, lease, HandingBack(), now_ms)
        elif verb == "release":
            work = handoffs.release(store, tenant, lease, now_ms)
        elif verb == "transfer":
            work = handoffs.transfer(store, RULESET, tenant, lease, queue, None if queue else "mia", now_ms)
        else:
            work = floods.answer_members(store, tenant, lease, Answering("answer", "not_needed", "Solved."), now_ms)
        with contextlib.suppress(LeaseLost, MoveIllegal, NoGroup):
            self.do(work)
        if verb != "members":
            del self.leases[lease.handoff_id]

    @precondition(lambda self: self.opened)
    @rule(data=st.data(), every=st.booleans())
    def members_are_let_go(self, data: st.DataObject, every: bool) -> None:
        handoff_id = self.drawn(data)
        try:
            self.do(
                floods.let_go_members(
                    self.store, self.tenant, handoff_id, [] if every else [handoff_id], "mia", self.now_ms
                )
            )
        except NoGroup:
            assert self.get(handoff_id).group is None

    @rule()
    def a_worker_sweeps(self) -> None:
        for place in self.store.places(self.tenant):
            self.do(handoffs.lapse_due(self.store, self.tenant, place.partition, self.now_ms))
            self.do(handoffs.expire_due(self.store, self.tenant, place.partition, self.now_ms))
        for group in self.do(store_floods.groups(self.store, self.tenant)):
            assert group.leader is not None, "somebody stands for every group that has members"

    # What always holds

    @invariant()
    def everybody_waits_exactly_once(self) -> None:
        async def look() -> None:
            every = await self.all()
            for place in self.store.places(self.tenant):
                mine = [each for each in every if self.store.place_of(self.tenant, each.conversation_id) is place]
                await self.classes_hold_who_waits(place, mine)
                await self.groups_count_their_members(place, mine)

        self.do(look())

    async def classes_hold_who_waits(self, place: Place, every: list[Handoff]) -> None:
        call = self.store.link.call
        waiting = [each for each in every if each.state == "waiting"]
        names, due, *queued = await asyncio.gather(
            call("ZRANGE", place.classes, 0, -1),
            call("ZRANGE", place.deadlines, 0, -1),
            *(call("ZRANGE", place.waiting(queue), 0, -1, "WITHSCORES") for queue in ("tier1", "tier2")),
            *(call("ZRANGE", place.open(queue), 0, -1) for queue in ("tier1", "tier2")),
        )
        held = await asyncio.gather(*(call("ZRANGE", place.waiting_in(name.decode()), 0, -1) for name in names))
        found = Counter(
            f"{name.decode()} {each.decode()}" for name, ids in zip(names, held, strict=True) for each in ids
        )
        assert found == Counter(f"{wanted(each).text} {each.handoff_id}" for each in waiting)
        assert {each.decode() for each in due} >= {each.handoff_id for each in waiting}
        for queue, flat, opened in zip(("tier1", "tier2"), queued[:2], queued[2:], strict=True):
            scored = {name.decode(): int(float(score)) for name, score in zip(flat[::2], flat[1::2], strict=True)}
            assert scored == {each.handoff_id: stands_at_ms(each) for each in waiting if each.queue == queue}
            still = {each.handoff_id for each in every if each.state not in ENDED and each.queue == queue}
            assert {each.decode() for each in opened} == still

    async def groups_count_their_members(self, place: Place, every: list[Handoff]) -> None:
        in_group: dict[str, list[Handoff]] = {}
        for each in every:
            group = group_of(each)
            if group is not None and each.state not in ENDED:
                in_group.setdefault(group.text, []).append(each)
        for name, those in in_group.items():
            members, leading = ([each for each in those if each.leads == leads] for leads in (False, True))
            count = await store_floods.size(self.store, place, name)
            assert (count, len(leading) <= 1) == (len(members), True)
            assert all(each.state == "waiting" for each in members)
            leader = await self.store.link.call("HGET", place.group(name), "leader")
            assert (leader and leader.decode()) == (leading[0].handoff_id if leading else None)
            due_at_ms = await self.store.link.call("ZSCORE", place.deadlines, name)
            assert leading or int(due_at_ms) <= self.now_ms, "somebody is about to stand for it"


def test_random_floods_lose_nobody(server_url: str) -> None:
    machine = type("Machine", (FloodMachine,), {"url": server_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
        ),
    )
