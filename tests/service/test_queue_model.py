"""The queue against a pure model: random commands must leave the store and the model agreeing, and nobody lost.

The model is what this file says a queue is: a dict of handoffs and a clock. The store is the real one, on a real
server, with two partitions.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.handoff import ENDED, KINDS, NO_DEADLINE_AT_MS, Action, Handoff, Kind
from rules.model import PRIORITIES
from rules.routing.leases import Outage, ends_at_ms, noted
from rules.routing.operators import Operator
from rules.turn import Turn
from service.errors import AlreadyClaimed, AnswerUnfit, CapacityReached, LeaseLost, MoveIllegal, Refusal
from service.flows import drafts, handoffs
from service.flows.access import open_store
from service.flows.decide import Decided, decide
from service.flows.handoffs import Claimed, Claiming, HandingBack, Lease, NothingWaiting, Resolving
from tests.service.conftest import RULES
from tests.service.turns import angry, calm, refunding, turn, wordy

pytestmark = pytest.mark.server

T = TypeVar("T")
MINUTE = 60_000
START = 1_800_000_000_000
LEASE_MS = 60_000
RETURNED_MS = 2 * MINUTE
OPERATORS = ("mia", "ben", "kim")
CONVERSATIONS = tuple(f"c{number}" for number in range(4))
QUEUES = ("tier1", "tier2", "approvals", "readers", "lawyers")
ALLOWANCE_MS = {"low": 60 * MINUTE, "normal": 15 * MINUTE, "high": 5 * MINUTE, "urgent": 0}
WITHIN_MS = {
    "tier1": 15 * MINUTE,
    "tier2": 10 * MINUTE,
    "approvals": 5 * MINUTE,
    "readers": 1440 * MINUTE,
    "lawyers": 60 * MINUTE,
}
# The queues whose `on_timeout` promises a call in the end: what tier2 missed has moved on to tier1 before.
CALLING = ("tier1", "tier2", "lawyers")
# How a handoff for lawyers widens: minutes in the queue -> the level of law it needs, and the queues it waits for too.
# With the last step the customer's language counts no more.
LAW: tuple[tuple[int, int, tuple[str, ...]], ...] = ((0, 3, ()), (5, 2, ()), (25, 0, ("readers",)))
DECLARED = {
    "mia": Operator("mia", skills={"law": 3}, languages=("en",)),
    "ben": Operator("ben", skills={"law": 2}, languages=("en", "es"), queues=("lawyers", "tier1", "tier2"), capacity=2),
    "kim": Operator("kim", capacity=3, weights={"escalate": 2}),
}
LOCALES = {conversation_id: ("en", "es-MX")[number % 2] for number, conversation_id in enumerate(CONVERSATIONS)}
PANIC = """
  - id: panic
    why: the agent has no idea
    when: confidence < 0.1
    then: {escalate: tier2}
"""
SUING = """\
handrail: 1
queues:
  lawyers:
    answer_within: 1h
    on_timeout: {verdict: callback, say: {en: "We will write to you."}}
    say: {en: "A colleague who knows the law is on the way."}
    needs: {law: 3}
    language: customer
    ladder:
      - {after: 5m, needs: {law: 2}}
      - {after: 25m, needs: [], queues: [readers], language: any}
rules:
  - id: sues
    why: the letter comes from a court
    when: channel = court
    then: {escalate: lawyers}
"""
RULESET = build(files_or_raise({"rules.yaml": RULES + PANIC, "suing.yaml": SUING}))
# kind of turn -> what it asks for: kind, queue, priority
ASKS = {
    "angry": ("escalate", "tier1", "high"),
    "panic": ("escalate", "tier2", "normal"),
    "refund": ("hold", "approvals", "high"),
    "wordy": ("review", "readers", "low"),
    "sues": ("escalate", "lawyers", "normal"),
    "calm": None,
}
# What is drawn depends on nothing that happened: of two who claim at once either may be the first, and a run that is
# repeated must draw the same. The newest are where things happen, and there are seldom more than ten.
BACK = st.integers(0, 9)
STALE = st.integers(-5, 4)
_TENANTS = (f"model-{number}" for number in itertools.count())


def from_the_end(those: Sequence[T], back: int) -> T:
    """Return one by its place, as ids are random and a failure must be found again; the first where there are fewer."""
    return those[-1 - min(back, len(those) - 1)]


@dataclass
class Modelled:
    """A handoff as the model sees it."""

    handoff_id: str
    conversation_id: str
    kind: str
    queue: str
    priority: str
    opened_at_ms: int
    expires_at_ms: int
    state: str = "waiting"
    reroutes: bool = False
    rerouted: bool = False
    holder: str | None = None
    token: str | None = None
    ended_token: str | None = None
    lease_at_ms: int = 0
    reserved_for: str | None = None
    reserved_at_ms: int = 0
    reasons: int = 1
    replies: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    score_ms: int = 0
    routed_at_ms: int = 0
    weight: int = 0
    calls_back: bool = False
    called: bool = False
    level_and_queues: tuple[int, tuple[str, ...]] | None = None

    def free_for(self, operator: str, now_ms: int) -> bool:
        reserved = self.reserved_for not in (None, operator) and self.reserved_at_ms > now_ms
        return self.state == "waiting" and not reserved and self.expires_at_ms > now_ms

    def widened(self, now_ms: int) -> tuple[int, tuple[str, ...]]:
        """Return the level of law that is asked for by now, and the queues whose people may take it."""
        if self.level_and_queues is not None:
            return self.level_and_queues
        steps = LAW if self.queue == "lawyers" else ((0, 0, ()),)
        level, also = next(
            (level, also) for minutes, level, also in reversed(steps) if self.routed_at_ms + minutes * MINUTE <= now_ms
        )
        return level, (self.queue, *also)

    def can_be_done_by(self, operator: str, now_ms: int) -> bool:
        if self.reserved_for == operator and self.reserved_at_ms > now_ms:
            return True
        level, queues = self.widened(now_ms)
        known = DECLARED[operator]
        works_there = not known.queues or not set(known.queues).isdisjoint(queues)
        asks_language = self.queue == "lawyers" and level > 0
        speaks = not known.languages or LOCALES[self.conversation_id][:2] in known.languages
        return works_there and known.skills.get("law", 0) >= level and (speaks or not asks_language)

    def weighs(self, operator: str) -> int:
        return DECLARED[operator].weights.get(cast(Kind, self.kind), 1)


def made(kind: str, conversation_id: str) -> Turn:
    if kind == "sues":
        one = turn(conversation_id, channel="court")
    elif kind == "panic":
        one = turn(conversation_id, confidence=0.05)
    else:
        one = {"angry": angry, "refund": refunding, "wordy": wordy, "calm": calm}[kind](conversation_id)
    return replace(one, locale=LOCALES[conversation_id])


class QueueMachine(RuleBasedStateMachine):
    """The commands, each carried out on both sides."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = self.runner.run(open_store(f"{self.url}?db=2", partitions=2))
        self.tenant = next(_TENANTS)
        self.now_ms = START
        self.all: dict[str, Modelled] = {}
        self.open: dict[str, Modelled] = {}
        self.decided: list[tuple[Turn, Decided]] = []
        self.requests = itertools.count()
        self.drafts: dict[str, dict[str, int]] = {}
        self.outage: Outage | None = None

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()

    def do(self, work: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(20):
                return await work

        return self.runner.run(bounded())

    # What time does, in the model.

    def lapse(self, one: Modelled) -> None:
        if one.state in ("leased", "held") and one.lease_at_ms <= self.now_ms:
            one.state, one.holder, one.token = "waiting", None, None
            one.expires_at_ms = max(one.expires_at_ms, self.now_ms + RETURNED_MS)

    def expire(self, one: Modelled) -> None:
        if one.state != "waiting" or one.expires_at_ms > self.now_ms:
            return
        if one.reroutes:
            one.reroutes, one.queue, one.reserved_for = False, "tier1", None
            one.rerouted = True
            one.expires_at_ms, one.routed_at_ms = self.now_ms + WITHIN_MS["tier1"], self.now_ms
        else:
            self.end(one, "expired")

    def end(self, one: Modelled, state: str) -> None:
        one.ended_token = one.token
        one.state, one.holder, one.token, one.reserved_for = state, None, None, None
        del self.open[one.conversation_id]
        if self.is_owed_a_call(one, state):
            self.owe(one)

    def is_owed_a_call(self, one: Modelled, state: str) -> bool:
        """Who waited in vain is called, if that was promised; what was promised is owed until somebody spoke."""
        if one.kind == "review":
            return False
        if state == "expired":
            return one.called or one.calls_back
        return one.kind == "hold" and one.called

    def owe(self, after: Modelled) -> None:
        read = self.do(handoffs.get(self.store, self.tenant, after.handoff_id))
        assert read.call_id is not None, "the call that is owed has no handoff"
        assert read.call_id not in self.all, "the call was opened before"
        call = Modelled(
            read.call_id, after.conversation_id, "review", after.queue, after.priority, self.now_ms, NO_DEADLINE_AT_MS
        )
        call.score_ms = self.now_ms + ALLOWANCE_MS[after.priority]
        call.level_and_queues = after.widened(self.now_ms)
        call.called, call.reasons = True, after.reasons
        self.all[call.handoff_id] = self.open[call.conversation_id] = call

    def settle_all(self) -> None:
        for one in list(self.open.values()):
            self.lapse(one)
        for one in list(self.open.values()):
            self.expire(one)

    # Commands

    @rule(step_ms=st.sampled_from([1, 2, 1_000, 5_000, LEASE_MS // 2, LEASE_MS, 3 * MINUTE, 20 * MINUTE]))
    def time_passes(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @rule(away_ms=st.sampled_from([3_000, 3_001, 10_000, LEASE_MS, 20 * MINUTE]))
    def the_store_is_away(self, away_ms: int) -> None:
        """The clock of the server is not the model's, so what it would note of the gap is written for it."""
        beat_at_ms, self.now_ms = self.now_ms, self.now_ms + away_ms
        self.outage = noted(self.outage, beat_at_ms, self.now_ms)
        if self.outage is None:
            return
        for place in self.store.places(self.tenant):
            span = ("from_ms", self.outage.from_at_ms, "until_ms", self.outage.until_at_ms)
            self.do(self.store.link.call("HSET", place.beats, *span))
        for one in self.open.values():
            if one.state in ("leased", "held"):
                one.lease_at_ms = ends_at_ms(one.lease_at_ms, self.outage)

    @rule(conversation_id=st.sampled_from(CONVERSATIONS), kind=st.sampled_from(sorted(ASKS)))
    def a_turn_comes_in(self, conversation_id: str, kind: str) -> None:
        one = made(kind, conversation_id)
        decided = self.do(decide(self.store, RULESET, self.tenant, one, self.now_ms))
        self.decided.append((one, decided))
        current = self.open.get(conversation_id)
        for _ in range(3):
            if current is not None and current.state in ("leased", "held"):
                self.lapse(current)
            elif current is not None:
                self.expire(current)
            current = self.open.get(conversation_id)
        asks = ASKS[kind]
        fenced = current is not None and current.kind == "escalate"
        assert decided.decision.verdict == ("held_by_human" if fenced else asks[0] if asks else "continue")
        if asks is None:
            assert decided.decision.handoff_id == (current.handoff_id if current and fenced else None)
        elif current is None:
            self.opens(decided, conversation_id, *asks)
        else:
            self.joins(current, *asks)
            assert decided.decision.handoff_id == current.handoff_id

    def opens(self, decided: Decided, conversation_id: str, kind: str, queue: str, priority: str) -> None:
        handoff_id = decided.decision.handoff_id
        assert handoff_id is not None
        assert handoff_id not in self.all
        one = Modelled(handoff_id, conversation_id, kind, queue, priority, self.now_ms, self.now_ms + WITHIN_MS[queue])
        one.score_ms = min(self.now_ms + ALLOWANCE_MS[priority], one.expires_at_ms)
        one.routed_at_ms = self.now_ms
        one.reroutes = queue == "tier2"
        one.calls_back = queue in CALLING
        self.all[handoff_id] = self.open[conversation_id] = one

    def joins(self, one: Modelled, kind: str, queue: str, priority: str) -> None:
        one.reasons += 1
        joins_a_call = one.kind == kind == "review" and one.called
        if joins_a_call and one.state == "waiting":
            one.queue, one.reserved_for, one.level_and_queues = queue, None, (0, (queue,))
            one.score_ms = min(one.score_ms, self.now_ms + ALLOWANCE_MS[priority])
        more_urgent = one.state == "waiting" and PRIORITIES.index(priority) > PRIORITIES.index(one.priority)
        if one.kind == kind == "escalate" and more_urgent:
            one.queue, one.expires_at_ms = queue, min(one.expires_at_ms, self.now_ms + WITHIN_MS[queue])
            one.reserved_for, one.routed_at_ms = None, self.now_ms
            one.score_ms = min(one.score_ms, one.expires_at_ms)
            one.reroutes = queue == "tier2" and not one.rerouted
            one.calls_back = queue in CALLING
        one.priority = max(one.priority, priority, key=PRIORITIES.index)
        one.score_ms = min(one.score_ms, one.opened_at_ms + ALLOWANCE_MS[one.priority])
        if KINDS.index(kind) > KINDS.index(one.kind):
            one.kind, one.queue, one.expires_at_ms = kind, queue, self.now_ms + WITHIN_MS[queue]
            one.score_ms, one.routed_at_ms = min(one.score_ms, one.expires_at_ms), self.now_ms
            one.reroutes = queue == "tier2"
            one.calls_back, one.level_and_queues = queue in CALLING, None

    @rule(back=BACK)
    def a_turn_is_sent_again(self, back: int) -> None:
        if not self.decided:
            return
        one, first = self.decided[-1 - back % len(self.decided)]
        again = self.do(decide(self.store, RULESET, self.tenant, one, self.now_ms))
        assert again.repeated
        assert again.decision == first.decision

    def in_hand(self, operator: str) -> int:
        return sum(one.weight for one in self.open.values() if one.holder == operator)

    def has_room(self, operator: str, one: Modelled) -> bool:
        capacity = DECLARED[operator].capacity
        return capacity is None or self.in_hand(operator) + one.weighs(operator) <= capacity

    @rule(operator=st.sampled_from(OPERATORS), queue=st.sampled_from([None, *QUEUES]), twice=st.booleans())
    def an_operator_claims_the_next(self, operator: str, queue: str | None, twice: bool) -> None:
        claiming = Claiming(operator, LEASE_MS, f"r{next(self.requests)}", DECLARED[operator])
        claimed: Claimed | NothingWaiting | CapacityReached
        try:
            claimed = self.do(handoffs.claim_next(self.store, RULESET, self.tenant, queue, claiming, self.now_ms))
        except CapacityReached as full:
            claimed = full
        self.settle_all()
        able = [
            one
            for one in self.open.values()
            if one.free_for(operator, self.now_ms)
            and one.can_be_done_by(operator, self.now_ms)
            and (queue is None or queue in one.widened(self.now_ms)[1])
        ]
        free = [one for one in able if self.has_room(operator, one)]
        if not free:
            assert isinstance(claimed, CapacityReached if able else NothingWaiting)
            return
        assert isinstance(claimed, Claimed)
        wanted = min(free, key=lambda one: (one.score_ms, one.handoff_id))
        assert claimed.handoff.handoff_id == wanted.handoff_id
        self.claimed(wanted, operator, claimed)
        if twice:
            again = self.do(handoffs.claim_next(self.store, RULESET, self.tenant, queue, claiming, self.now_ms))
            assert isinstance(again, Claimed)
            assert (again.token, again.handoff) == (claimed.token, claimed.handoff)

    def claimed(self, one: Modelled, operator: str, claimed: Claimed) -> None:
        assert claimed.token not in one.tokens
        one.state, one.holder, one.token = "leased", operator, claimed.token
        one.weight = one.weighs(operator)
        assert claimed.handoff.assignment is not None
        assert claimed.handoff.assignment.operator == operator
        one.lease_at_ms, one.reserved_for = self.now_ms + LEASE_MS, None
        one.tokens.append(claimed.token)
        assert claimed.packet.handoff_id == one.handoff_id

    @rule(back=BACK, operator=st.sampled_from(OPERATORS), again=st.booleans())
    def an_operator_claims_one(self, back: int, operator: str, again: bool) -> None:
        if not self.all:
            return
        # Those that are held now come last, where `from_the_end` looks first.
        one = from_the_end(sorted(self.all.values(), key=lambda m: again and m.token is not None), back)
        claiming = Claiming(operator, LEASE_MS, declared=DECLARED[operator], again=again)
        if again and one.holder == operator and one.lease_at_ms > self.now_ms:
            self.claims_again(one, claiming)
            return
        work = handoffs.claim_one(self.store, self.tenant, one.handoff_id, claiming, self.now_ms)
        claimed: Claimed | None = None
        try:
            claimed = self.do(work)
        except (AlreadyClaimed, MoveIllegal, CapacityReached) as error:
            refused: Refusal = error
        for _ in range(3):
            self.lapse(one)
            self.expire(one)
        if claimed is not None:
            assert one.free_for(operator, self.now_ms)
            assert self.has_room(operator, one)
            self.claimed(one, operator, claimed)
        elif isinstance(refused, CapacityReached):
            assert one.free_for(operator, self.now_ms)
            assert not self.has_room(operator, one)
        else:
            assert not one.free_for(operator, self.now_ms)
            assert isinstance(refused, MoveIllegal) == (one.state in ENDED)

    def claims_again(self, one: Modelled, claiming: Claiming) -> None:
        """Whoever has it gets a new token, whatever they carry; it stays on hold, and no other lease gets longer."""
        claimed = self.do(handoffs.claim_one(self.store, self.tenant, one.handoff_id, claiming, self.now_ms))
        assert claimed.token not in one.tokens
        assert (claimed.handoff.state, claimed.handoff.holder) == (one.state, one.holder)
        one.lease_at_ms = one.lease_at_ms if one.state == "held" else self.now_ms + LEASE_MS
        assert claimed.lease_expires_at_ms == claimed.handoff.lease_expires_at_ms == one.lease_at_ms
        one.token = claimed.token
        one.tokens.append(claimed.token)

    @rule(back=BACK, stale=STALE, verb=st.sampled_from(["renew", "resume", "hold", "reply"]), lost=st.booleans())
    def an_operator_keeps_it(self, back: int, stale: int, verb: str, lost: bool) -> None:
        self.with_a_token(back, stale, verb, None, None, lost)

    @rule(back=BACK, stale=STALE, verb=st.sampled_from(["release", "resolve", "hand_back"]), lost=st.booleans())
    def an_operator_lets_it_go(self, back: int, stale: int, verb: str, lost: bool) -> None:
        self.with_a_token(back, stale, verb, None, None, lost)

    @rule(
        back=BACK,
        stale=STALE,
        queue=st.sampled_from([None, *QUEUES]),
        operator=st.sampled_from([None, *OPERATORS]),
        lost=st.booleans(),
    )
    def an_operator_passes_it_on(
        self, back: int, stale: int, queue: str | None, operator: str | None, lost: bool
    ) -> None:
        self.with_a_token(back, stale, "transfer", queue, operator, lost)

    def with_a_token(
        self, back: int, stale: int, verb: str, queue: str | None, operator: str | None, lost: bool
    ) -> None:
        # Those that are held now come last, where `from_the_end` looks first.
        held_last = sorted((m for m in self.all.values() if m.tokens), key=lambda m: m.token is not None)
        if not held_last:
            return
        one = from_the_end(held_last, back)
        # The newest token most often; now and then one that somebody kept from before.
        token = from_the_end(one.tokens, max(stale, 0))
        lease = Lease(one.handoff_id, token, f"r{next(self.requests)}")
        expected: type[Refusal] | None = None
        if one.state in ENDED:
            # Whoever ended it is told so; anyone else has lost the lease.
            expected = MoveIllegal if token == one.ended_token else LeaseLost
        elif one.token != token or one.lease_at_ms <= self.now_ms:
            expected = LeaseLost
        elif (verb == "renew" and one.state == "held") or (verb == "resume" and one.state == "leased"):
            expected = MoveIllegal
        if expected is not None:
            with pytest.raises(expected):
                self.do(self.verb(verb, lease, queue, operator))
            return
        if verb in ("resolve", "reply") and one.kind == "review" and one.called:
            # Words make no call; whoever has called ends it.
            with pytest.raises(AnswerUnfit):
                self.do(self.verb(verb, lease, queue, operator))
            if verb == "reply":
                return
            verb = "take_over"
        first = self.do(self.verb(verb, lease, queue, operator))
        if lost and verb != "renew":
            # The reply got lost; the same request again changes nothing.
            assert self.do(self.verb(verb, lease, queue, operator)) == first
        self.moved(one, verb, queue, operator)

    def verb(self, verb: str, lease: Lease, queue: str | None, operator: str | None) -> Awaitable[Handoff]:
        store, tenant, now_ms = self.store, self.tenant, self.now_ms
        if verb == "renew":
            return handoffs.renew(store, tenant, lease, LEASE_MS, now_ms)
        if verb == "resume":
            return handoffs.resume(store, tenant, lease, LEASE_MS, now_ms)
        if verb == "hold":
            return handoffs.hold(store, tenant, lease, now_ms + 30 * MINUTE, "bank", now_ms)
        if verb == "release":
            return handoffs.release(store, tenant, lease, now_ms)
        if verb == "transfer":
            return handoffs.transfer(store, RULESET, tenant, lease, queue, operator, now_ms)
        if verb == "reply":
            return handoffs.reply(store, tenant, lease, f"words {now_ms}", LEASE_MS, now_ms)
        if verb in ("resolve", "take_over"):
            action: Action = "take_over" if verb == "take_over" else "answer"
            return handoffs.resolve(store, tenant, lease, Resolving(action, "needed"), now_ms)
        return handoffs.hand_back(store, tenant, lease, HandingBack(may_retry=True), now_ms)

    def moved(self, one: Modelled, verb: str, queue: str | None, operator: str | None) -> None:
        if verb in ("renew", "resume", "reply"):
            if verb != "reply" or one.state != "held":
                one.state, one.lease_at_ms = "leased", self.now_ms + LEASE_MS
            one.replies += [f"words {self.now_ms}"] if verb == "reply" else []
        elif verb == "hold":
            one.state, one.lease_at_ms = "held", self.now_ms + 30 * MINUTE
        elif verb in ("release", "transfer"):
            one.state, one.holder, one.token = "waiting", None, None
            if verb == "release":
                one.expires_at_ms = max(one.expires_at_ms, self.now_ms + RETURNED_MS)
            if verb == "transfer":
                if queue is not None and queue != one.queue:
                    one.routed_at_ms = self.now_ms
                    if one.kind == "review" and one.called:
                        # A call has no ladder: what the queue asks for stays.
                        one.level_and_queues = (3 if queue == "lawyers" else 0, (queue,))
                    if not one.called:
                        one.score_ms = min(one.score_ms, self.now_ms + WITHIN_MS[queue])
                one.queue = queue or one.queue
                one.expires_at_ms = max(one.expires_at_ms, self.now_ms + WITHIN_MS[one.queue])
                half_ms = (one.expires_at_ms - self.now_ms) // 2
                one.reserved_for, one.reserved_at_ms = operator, self.now_ms + min(handoffs.RESERVED_MS, half_ms)
        else:
            self.end(one, "handed_back" if verb == "hand_back" else "resolved")

    @rule(back=BACK, operator=st.sampled_from(OPERATORS), nothing=st.booleans())
    def an_operator_writes(self, back: int, operator: str, nothing: bool) -> None:
        if not self.all:
            return
        # Whoever holds it, and whether anybody does: what is written is not lost with a lease.
        one = from_the_end(list(self.all.values()), back)
        number = next(self.requests)
        fields = {} if nothing else {"text": number}
        self.do(drafts.save(self.store, self.tenant, one.handoff_id, operator, fields, self.now_ms))
        kept = self.drafts.setdefault(one.handoff_id, {})
        kept.pop(operator, None)
        if not nothing:
            kept[operator] = number

    @rule(several=st.lists(st.sampled_from(OPERATORS), min_size=2, max_size=3, unique=True))
    def operators_claim_at_once(self, several: list[str]) -> None:
        async def ask(operator: str) -> Claimed | NothingWaiting | CapacityReached:
            claiming = Claiming(operator, LEASE_MS, None, DECLARED[operator])
            try:
                return await handoffs.claim_next(self.store, RULESET, self.tenant, None, claiming, self.now_ms)
            except CapacityReached as full:
                return full

        async def together() -> list[Claimed | NothingWaiting | CapacityReached]:
            return await asyncio.gather(*map(ask, several))

        answers = dict(zip(several, self.do(together()), strict=True))
        self.settle_all()
        took = {name: answer for name, answer in answers.items() if isinstance(answer, Claimed)}
        by_id = {one.handoff_id: one for one in self.open.values()}
        assert len({each.handoff.handoff_id for each in took.values()}) == len(took)
        before = [one for one in self.open.values() if one.state == "waiting"]
        for name, answer in took.items():
            one = by_id[answer.handoff.handoff_id]
            assert one.free_for(name, self.now_ms)
            assert one.can_be_done_by(name, self.now_ms)
            assert self.has_room(name, one)
            self.claimed(one, name, answer)
        # Whoever was not given the most urgent that they can do was given the next because another of them had it.
        for name in several:
            mine = took.get(name)
            for one in before:
                left = one.state == "waiting" and one.free_for(name, self.now_ms)
                if left and one.can_be_done_by(name, self.now_ms) and self.has_room(name, one):
                    assert mine is not None
                    held = by_id[mine.handoff.handoff_id]
                    assert (held.score_ms, held.handoff_id) < (one.score_ms, one.handoff_id)

    @rule()
    def a_worker_sweeps(self) -> None:
        for partition in range(2):
            self.do(handoffs.lapse_due(self.store, self.tenant, partition, self.now_ms))
            self.do(handoffs.expire_due(self.store, self.tenant, partition, self.now_ms))
        self.settle_all()

    @invariant()
    def both_sides_agree(self) -> None:
        for one in self.all.values():
            found = self.do(handoffs.get(self.store, self.tenant, one.handoff_id))
            assert (found.state, found.queue, found.kind, found.priority, found.score_ms) == (
                one.state, one.queue, one.kind, one.priority, one.score_ms,
            )  # fmt: skip
            assert (found.holder, found.expires_at_ms, len(found.reasons)) == (
                one.holder, one.expires_at_ms, one.reasons,
            )  # fmt: skip
            assert [reply.text for reply in found.replies] == one.replies
            if one.state in ("leased", "held"):
                assert found.lease_expires_at_ms is not None
                ends = ends_at_ms(found.lease_expires_at_ms, self.outage)
                # One that two outages made longer and nobody has looked at since may say the end of before.
                assert ends == one.lease_at_ms or max(ends, one.lease_at_ms) <= self.now_ms

    @invariant()
    def what_was_written_is_there(self) -> None:
        for handoff_id, wanted in self.drafts.items():
            handoff = self.do(handoffs.get(self.store, self.tenant, handoff_id))
            found = self.do(drafts.of_handoff(self.store, handoff))
            assert {each.by: each.fields["text"] for each in found} == wanted

    @invariant()
    def everybodys_hands_are_counted(self) -> None:
        for operator in OPERATORS:
            held, _ = self.do(self.store.work.in_hand(self.store.places(self.tenant), operator))
            assert sum(held) == self.in_hand(operator)

    @invariant()
    def nobody_is_lost_and_nobody_stands_twice(self) -> None:
        listed = self.do(handoffs.list_open(self.store, self.tenant, None, None, None, 100)).handoffs
        assert sorted(one.handoff_id for one in listed) == sorted(one.handoff_id for one in self.open.values())
        for view in self.do(handoffs.queues(self.store, RULESET, self.tenant)):
            mine = [one.state for one in self.open.values() if one.queue == view.name]
            assert (view.waiting, view.leased) == (mine.count("waiting"), len(mine) - mine.count("waiting"))


def test_random_commands_leave_the_store_and_the_model_agreeing(server_url: str) -> None:
    machine = type("Machine", (QueueMachine,), {"url": server_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=50,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
        ),
    )
