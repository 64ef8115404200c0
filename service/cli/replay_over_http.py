"""Recorded conversations sent to a running service, as its agents would send them. Counting happens elsewhere."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from handrail_client import (
    Agent,
    AsyncHandrail,
    Customer,
    HandrailProblem,
    HandrailUnreachable,
    ToolCall,
    TopicScore,
)
from handrail_client import Parent as SentParent
from handrail_client import Turn as SentTurn
from rules.model import STOPPING, VERDICTS, Verdict
from rules.replay.conversations import Played, Step
from rules.replay.transcripts import Recorded
from rules.turn import Parent, Turn
from service.cli.output import first_of, refuse

CONCURRENCY_MAX = 256  # conversations at a time; beyond it the client's own pool is what one measures
BUDGET_MS = 30_000  # of one turn, retries included


@dataclass(frozen=True, slots=True)
class HttpPlay:
    """Conversations as a service decided them, in the order given; `rulesets` are the hashes it named."""

    url: str
    run: str
    played: tuple[Played, ...]
    rulesets: frozenset[str]
    elapsed_s: float


async def play_over_http(
    url: str, key: str | None, recorded: list[Recorded], concurrency: int, done: Callable[[], object]
) -> HttpPlay:
    """Send every conversation turn by turn, several at a time, until a turn stops it.

    Conversations get ids of this run, made of their place: the service answers a turn that it has decided before with
    the stored decision, whatever the rules say now, and a recording may name two alike or in a way that no id is.
    """
    try:
        client = AsyncHandrail(url, key, on_unreachable="raise", budget_ms=BUDGET_MS)
    except ValueError as unfit:
        refuse(str(unfit), "give the address as http://127.0.0.1:8321 and an agent's key with --key")
    run = f"replay-{secrets.token_hex(4)}"
    played: list[Played | None] = [None] * len(recorded)
    rulesets: set[str] = set()
    waiting: Iterator[tuple[int, Recorded]] = iter(enumerate(recorded))
    started_s = time.perf_counter()
    async with client as handrail:

        async def send_some() -> None:
            # All senders draw from one iterator, so each conversation is sent once and none waits for a slow one.
            for place, each in waiting:
                played[place] = await _send(handrail, f"{run}-{place}", each, rulesets)
                done()

        try:
            async with asyncio.TaskGroup() as senders:
                for _ in range(min(concurrency, len(recorded))):
                    senders.create_task(send_some())
        except ExceptionGroup as group:
            first = first_of(group)
            if isinstance(first, HandrailUnreachable):
                refuse(f"no answer from {url}: {first}", "is `handrail serve` running there?")
            if isinstance(first, HandrailProblem):
                refuse(f"the service refused a turn: {first}", "give an agent's key with --key")
            raise first from None
    complete = tuple(each for each in played if each is not None)
    return HttpPlay(url, run, complete, frozenset(rulesets), time.perf_counter() - started_s)


async def _send(handrail: AsyncHandrail, conversation_id: str, recorded: Recorded, rulesets: set[str]) -> Played:
    steps: list[Step] = []
    for each in recorded.turns:
        decision = await handrail.should_escalate(sent_turn(each.turn, conversation_id))
        rulesets.update((decision.ruleset,) if decision.ruleset else ())
        steps.append(Step(known_verdict(decision.verdict), tuple(rule.id for rule in decision.rules)))
        if steps[-1].verdict in STOPPING:
            break
    return Played(recorded, tuple(steps))


def sent_turn(turn: Turn, conversation_id: str) -> SentTurn:
    """Return the turn as the client sends it, under another conversation id."""
    return SentTurn(
        conversation_id=conversation_id,
        turn_id=turn.turn_id,
        turn_index=turn.turn_index,
        agent=Agent(id=turn.agent.id, version=turn.agent.version, prompt_version=turn.agent.prompt_version),
        channel=turn.channel,
        locale=turn.locale,
        customer=_customer(turn),
        message=turn.message,
        reply=turn.reply,
        confidence=turn.confidence,
        topics=tuple(TopicScore(name=topic.name, score=topic.score) for topic in turn.topics),
        sentiment=turn.sentiment,
        tool_calls=tuple(
            ToolCall(
                name=call.name,
                args=call.args,
                write=call.write,
                amount=call.amount,
                status=call.status,
                error=call.error,
                output=call.output,
            )
            for call in turn.tool_calls
        ),
        sources=turn.sources,
        signals={name: sorted(v) if isinstance(v, frozenset) else v for name, v in turn.signals.items()},
        parent=_parent(turn.parent, turn.conversation_id, conversation_id),
    )


def _parent(parent: Parent | None, recorded_id: str, conversation_id: str) -> SentParent | None:
    """Return a parent as it is sent; the recorded conversation has another name there."""
    if parent is None:
        return None
    where = conversation_id if parent.conversation_id == recorded_id else parent.conversation_id
    return SentParent(agent=parent.agent, conversation_id=where, turn_id=parent.turn_id)


def _customer(turn: Turn) -> Customer | None:
    fields: Mapping[str, object] = {"id": turn.customer.id, "tier": turn.customer.tier, **turn.customer.attributes}
    return Customer.model_validate(fields) if any(value is not None for value in fields.values()) else None


def known_verdict(word: str) -> Verdict:
    """Return the verdict that the service answered; refuses one that this Handrail cannot count."""
    known = next((verdict for verdict in VERDICTS if verdict == word), None)
    if known is None:
        refuse(
            f"the service answered a verdict that this Handrail does not know: `{word}`", "update the one or the other"
        )
    return known
