"""The agents and operators of the demo: they use the service only through its client, as anybody would."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from handrail_client import AsyncHandrail, Claimed, Decision, HandrailError, Resolution
from rules.replay.transcripts import Recorded
from service.cli.replay_over_http import sent_turn
from service.clock import now_ms

Outcome: TypeAlias = Literal["needed", "not_needed", "too_late", "unclear"]
OUTCOMES: tuple[Outcome, ...] = ("needed", "not_needed", "too_late", "unclear")

ANSWER_WAIT_MS = 30_000.0  # an agent of the demo waits this long for a person, then says so and ends
IDLE_S = 0.03  # between two looks of an operator at the queues
READING_S = (0.02, 0.12)  # the time an operator of the demo takes to read a packet
BUDGET_MS = 15_000.0
# What this share of the operators' claims does besides resolving, so that every verb is seen.
RELEASED_SHARE, HANDED_BACK_SHARE = 0.1, 0.15


@dataclass(slots=True)
class HandoffSeen:
    """What agents and operators saw of one handoff."""

    handoff_id: str
    conversation_id: str
    verdict: str
    queue: str | None
    claims: int = 0
    claim_ms: int | None = None
    held_by: str | None = None
    ended: str | None = None
    outcome: str | None = None


@dataclass(slots=True)
class Ledger:
    """Everything that happened, as the people of the demo saw it; what is counted in the end is counted from here."""

    labels: dict[str, bool | None]
    decisions: dict[str, list[Decision]] = field(default_factory=dict)
    handoffs: dict[str, HandoffSeen] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    packets_without_why: int = 0
    turns_unanswered: int = 0
    claimed_twice: int = 0
    answers_changed: int = 0
    repeated: int = 0
    failures: list[str] = field(default_factory=list)

    def saw(self, decision: Decision) -> None:
        """Note a decision, and the handoff it speaks of."""
        if decision.handoff is None:
            return
        known = self.handoffs.get(decision.handoff.id)
        if known is None:
            seen = HandoffSeen(decision.handoff.id, decision.conversation_id, decision.verdict, decision.handoff.queue)
            self.handoffs[decision.handoff.id] = seen


async def agent(
    handrail: AsyncHandrail, run: str, waiting: Iterator[Recorded], ledger: Ledger, done: Callable[[], object]
) -> None:
    """Hold one conversation after another: ask before every turn, and wait for a person when told to stop."""
    for recorded in waiting:
        conversation_id = f"{run}-{recorded.conversation_id}"
        ledger.labels[conversation_id] = recorded.truth.needed()
        decisions = ledger.decisions.setdefault(recorded.conversation_id, [])
        for each in recorded.turns:
            turn = sent_turn(each.turn, conversation_id)
            decision = await handrail.should_escalate(turn)
            if not decision.reachable:
                ledger.turns_unanswered += 1
                break
            decisions.append(decision)
            ledger.saw(decision)
            # A reply that got lost is asked for again under the same turn_id, and must be the same.
            if len(decisions) % 4 == 0:
                again = await handrail.should_escalate(turn)
                ledger.repeated += 1
                same = (again.decision_id, again.verdict) == (decision.decision_id, decision.verdict)
                ledger.answers_changed += not same
            if decision.must_stop and decision.handoff is not None:
                resolution = await handrail.wait_for(decision.handoff.id, ANSWER_WAIT_MS)
                if not _goes_on(resolution):
                    break
        done()


def _goes_on(resolution: Resolution | None) -> bool:
    return resolution is not None and resolution.action in ("approve", "edit", "reject", "answer", "hand_back")


async def operator(
    handrail: AsyncHandrail, name: str, ledger: Ledger, agents_done: asyncio.Event, chance: random.Random
) -> None:
    """Claim what is most urgent, read it, answer, and say whether a person was needed, until nothing is left."""
    while True:
        last_look = agents_done.is_set()
        worked = False
        for queue in await handrail.queues():
            if queue.waiting == 0:
                continue
            claimed = await handrail.claim(queue.name)
            if claimed is not None:
                worked = True
                await _work(handrail, name, claimed, ledger, chance)
        if not worked:
            if last_look:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(agents_done.wait(), IDLE_S)


async def _work(handrail: AsyncHandrail, name: str, claimed: Claimed, ledger: Ledger, chance: random.Random) -> None:
    handoff, token = claimed.handoff, claimed.lease.token
    seen = ledger.handoffs.setdefault(
        handoff.id, HandoffSeen(handoff.id, handoff.conversation_id or "", handoff.kind or "", handoff.queue)
    )
    if seen.held_by is not None:
        ledger.claimed_twice += 1
    seen.held_by, seen.claims = name, seen.claims + 1
    if seen.claim_ms is None and handoff.opened_at_ms is not None:
        seen.claim_ms = max(0, now_ms() - handoff.opened_at_ms)
    seen.queue = handoff.queue or seen.queue
    ledger.packets_without_why += not claimed.packet.get("why")
    try:
        await asyncio.sleep(chance.uniform(*READING_S))
        if seen.claims == 1 and chance.random() < RELEASED_SHARE:
            seen.held_by = None
            await handrail.release(handoff.id, token)
            return
        await handrail.renew(handoff.id, token)
        await _answer(handrail, name, claimed, seen, ledger, chance)
    except HandrailError as error:
        ledger.failures.append(f"{name}: {error}")
    finally:
        seen.held_by = None


def _word(outcome: str) -> Outcome:
    return next(word for word in OUTCOMES if word == outcome)


async def _answer(
    handrail: AsyncHandrail, name: str, claimed: Claimed, seen: HandoffSeen, ledger: Ledger, chance: random.Random
) -> None:
    """End the handoff as somebody would who read it: the sample's label stands in for their judgement."""
    handoff, token = claimed.handoff, claimed.lease.token
    needed = ledger.labels.get(handoff.conversation_id or "")
    outcome = "unclear" if needed is None else "needed" if needed else "not_needed"
    if handoff.kind == "escalate":
        await handrail.reply(handoff.id, token, f"Hello, this is {name.title()}. I have read everything above.")
        if chance.random() < HANDED_BACK_SHARE or needed is False:
            await handrail.hand_back(
                handoff.id,
                token,
                facts={"answered_by": name},
                text="The agent goes on from here.",
                outcome=_word(outcome),
            )
            seen.ended = "hand_back"
        else:
            await handrail.resolve(handoff.id, token, action="take_over", outcome=_word(outcome), root_cause="sample")
            seen.ended = "take_over"
    elif handoff.kind == "hold" and needed:
        await handrail.resolve(
            handoff.id, token, action="reject", outcome=_word(outcome), text="Not like this.", root_cause="sample"
        )
        seen.ended = "reject"
    else:
        await handrail.resolve(handoff.id, token, action="approve", outcome=_word(outcome))
        seen.ended = "approve"
    seen.outcome = outcome
    ledger.outcomes[outcome] += 1
