"""What a test beside rules sees is what the service does: the same conversations through both, step by step."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from rules.cases.case_run import OPERATOR, Run, Seen, packet_of, start, take
from rules.cases.keys import HELD_MOVES
from rules.cases.values import Case, MoveStep, Step, TurnStep
from rules.decision import Decision
from rules.handoff import Handoff, Resolution
from rules.model import Span
from rules.moves import is_due
from rules.packet.context_packet import ContextPacket
from rules.packet.packet_json import loads, to_json
from rules.tasks import TASKS, task_of
from rules.turn import ToolCall, Turn
from service.errors import DraftUnseen
from service.flows import handoffs
from service.flows.access import Store
from service.flows.deadlines import lapse_due
from service.flows.decide import decide
from service.flows.handoffs import Claiming, HandingBack, Lease, Resolving
from tests.rules.case_rules import RULESET

pytestmark = pytest.mark.server

START_MS = 1_790_000_000_000
SPAN = Span("", 1, 1, 2)
LEASE_MS = 86_400_000  # an operator of a test case never falls silent
# Of a turn and of a handoff, what must be the same. The ids are each one's own.
DECISION = ("verdict", "say", "queue", "expires_at_ms", "on_timeout", "must_stop", "rules", "decided_at_ms")
# A case has no clock of people: nobody else waits or is at work, so no wait is told there.
OF_THE_SERVICE = ("handoff_id", "tenant", "reasons", "resolution", "assignments", "told", "call", "call_id")
# How long a lease lasts is the service's matter too.
OF_LEASES = ("lease_began_at_ms", "lease_expires_at_ms")
HANDOFF = tuple(field.name for field in fields(Handoff) if field.name not in (*OF_THE_SERVICE, *OF_LEASES))
RESOLUTION = tuple(field.name for field in fields(Resolution))
MESSAGES = ("hi", "a refund please", "it is on fire", "my order W-7712, card 4111111111111111", None)
MOODS = ("angry", "patient", "calm")


def a_step(chance: random.Random, number: int) -> Step:
    """Return a turn mostly, and else a move; times are such that deadlines are met, missed, and just missed."""
    after_ms = chance.choice((1, 30_000, 89_999, 120_000, 299_999, 300_000, 600_000, 1_200_000))
    kind = chance.random()
    if kind < 0.6:
        calls = (ToolCall("pay", {"to": "bob"}, True, 120.0, chance.choice(("proposed", "ok", "error"))),)
        turn = Turn(
            conversation_id="c",
            turn_id=f"turn-{number}",
            locale=chance.choice((None, "es-MX", "en")),
            message=chance.choice(MESSAGES),
            reply=chance.choice((None, "I promise.", "I will send it today.")),
            confidence=chance.choice((None, 0.2, 0.9)),
            tool_calls=calls if chance.random() < 0.4 else (),
            signals={"mood": chance.choice(MOODS)} if chance.random() < 0.5 else {},
        )
        return TurnStep(SPAN, after_ms, turn)
    if kind < 0.68:
        return MoveStep(SPAN, after_ms, "claim")
    if kind < 0.71:
        return MoveStep(SPAN, after_ms, "release")
    if kind < 0.73:
        return MoveStep(SPAN, after_ms, "lapse")
    if kind < 0.76:
        return MoveStep(SPAN, after_ms, "transfer", {"queue": chance.choice(sorted(RULESET.files.queues))})
    if kind < 0.82:
        given = {"facts": {"seen": True}, "may_retry": chance.random() < 0.5, "text": "Done.", "outcome": "needed"}
        return MoveStep(SPAN, after_ms, "hand_back", given)
    if kind < 0.92:
        return MoveStep(SPAN, after_ms, "resolve", {"action": "approve", "outcome": "needed"})
    return MoveStep(SPAN, after_ms, chance.choice(("timeout", None)))


@dataclass(slots=True)
class Service:
    """The same conversation in the real store."""

    store: Store
    tenant: str
    now_ms: int = START_MS
    handoff_id: str | None = None
    token: str = ""

    async def go_on(self, then_ms: int) -> None:
        """Let workers look at every moment at which something is due."""
        while (due_ms := await handoffs.next_due_at_ms(self.store, self.tenant, 0)) is not None and due_ms <= then_ms:
            at_ms = max(due_ms, self.now_ms)
            before = await self.handoff()
            await handoffs.expire_due(self.store, self.tenant, 0, at_ms)
            if await self.handoff() == before:
                break
        self.now_ms = then_ms

    async def handoff(self) -> Handoff | None:
        return None if self.handoff_id is None else await handoffs.get(self.store, self.tenant, self.handoff_id)

    async def follow(self) -> None:
        """Go on with the call that is owed where the handoff has ended: it is the conversation's from now on."""
        handoff = await self.handoff()
        if handoff is not None and handoff.call_id is not None:
            self.handoff_id = handoff.call_id

    async def turn(self, turn: Turn) -> Decision:
        decided = await decide(self.store, RULESET, self.tenant, turn, self.now_ms)
        # A review that is open may not be what the turn refers to, and is what comes next all the same.
        self.handoff_id = decided.decision.handoff_id or self.handoff_id
        return decided.decision

    async def claim(self) -> None:
        assert self.handoff_id is not None
        claiming = Claiming(OPERATOR, LEASE_MS)
        self.token = (await handoffs.claim_one(self.store, self.tenant, self.handoff_id, claiming, self.now_ms)).token

    async def move(self, step: MoveStep) -> None:
        if step.move in ("timeout", None):
            return  # the clock has done it
        assert self.handoff_id is not None
        lease, given = Lease(self.handoff_id, self.token), dict(step.given)
        if step.move == "claim":
            await self.claim()
        elif step.move == "release":
            await handoffs.release(self.store, self.tenant, lease, self.now_ms)
        elif step.move == "lapse":
            # The lease is made to end now; a worker finds it at once.
            await handoffs.renew(self.store, self.tenant, lease, 0, self.now_ms)
            await lapse_due(self.store, self.tenant, 0, self.now_ms)
        elif step.move == "transfer":
            await handoffs.transfer(self.store, RULESET, self.tenant, lease, given["queue"], None, self.now_ms)
        elif step.move == "hand_back":
            await handoffs.hand_back(self.store, self.tenant, lease, HandingBack(**given), self.now_ms)
        elif step.move == "resolve":
            await handoffs.resolve(self.store, self.tenant, lease, Resolving(**given), self.now_ms)


@pytest.mark.parametrize("seed", range(24))
async def test_a_conversation_goes_the_same_way(store: Store, tenant: str, seed: int) -> None:
    chance = random.Random(seed)
    run = start(RULESET, Case("", f"seed {seed}", SPAN, START_MS, "c", ()))
    service = Service(store, tenant)
    for number in range(1, 31):
        step = a_step(chance, number)
        if isinstance(step, TurnStep) and not (step.turn.message or step.turn.reply or step.turn.tool_calls):
            continue
        await service.follow()
        standing = run.call or run.handoff
        waits_for_operator = (
            isinstance(step, MoveStep)
            and step.move in HELD_MOVES
            and standing is not None
            and standing.state == "waiting"
            and not is_due(standing, run.now_ms)
        )
        if waits_for_operator:
            await service.claim()
        if isinstance(step, MoveStep) and step.move == "resolve" and standing is not None:
            # A case may be written with any answer; the service takes those that the handoff has.
            known = None if standing.state == "waiting" else run.claimed_version
            if step.given["action"] not in TASKS[task_of(standing, known)].actions:
                step = replace(step, given={**step.given, "action": "take_over"})
        seen = take(run, step)
        await service.go_on(run.now_ms)
        if isinstance(step, TurnStep) or step.move not in ("timeout", None):
            await service.follow()
        if isinstance(step, TurnStep):
            assert_same(seen, await service.turn(step.turn), number)
        elif seen.refused is None:
            await service.move(step)
        elif "draft" in seen.refused:
            with pytest.raises(DraftUnseen):
                await service.move(step)
        await assert_same_handoff(run, service, number)


def assert_same(seen: Seen, decision: Decision, number: int) -> None:
    assert seen.decision is not None
    for name in DECISION:
        assert getattr(seen.decision, name) == getattr(decision, name), (number, name)


async def assert_same_handoff(run: Run, service: Service, number: int) -> None:
    stored = await service.handoff()
    assert (run.handoff is None) is (stored is None), number
    if run.handoff is None or stored is None:
        return
    for name in HANDOFF:
        assert getattr(run.handoff, name) == getattr(stored, name), (number, name)
    assert promised(run.handoff) == promised(stored), number
    assert (run.call is None) == (stored.call_id is None), number
    for reason, kept in zip(run.handoff.reasons, stored.reasons, strict=True):
        assert (reason.turn_id, reason.verdict, reason.rule_ids, reason.at_ms, reason.version) == (
            kept.turn_id,
            kept.verdict,
            kept.rule_ids,
            kept.at_ms,
            kept.version,
        ), number
    for name in RESOLUTION:
        assert getattr(run.handoff.resolution, name, None) == getattr(stored.resolution, name, None), (number, name)
    packet = packet_of(run)
    assert packet is not None
    read = loads(await handoffs.packet_json(service.store, service.tenant, stored, run.now_ms))
    assert without_ids(packet) == without_ids(read), number


def promised(handoff: Handoff) -> tuple[int, str | None] | None:
    return None if handoff.call is None else (handoff.call.promised_at_ms, handoff.call.say)


def without_ids(packet: ContextPacket) -> dict[str, Any]:
    document: dict[str, Any] = to_json(packet)
    for name in ("handoff_id", "conversation_id", "built_at_ms"):
        document.pop(name)
    for why in document["why"]:
        why.pop("decision_id")
    return document
