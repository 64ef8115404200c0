"""A turn comes in, its one Decision goes out: read, think, write once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable
from dataclasses import dataclass, replace

from rules.decision import Decision
from rules.evaluation.evaluate import Ruleset
from rules.evaluation.sparing import Raised
from rules.handoff import Handoff
from rules.model import OnTimeout
from rules.routing.waits import Wait
from rules.thinking import Names, judge_sparing, think
from rules.turn import Conversation, Turn
from service.errors import ConversationBusy, DecisionUnknown, NotDurable, StoreAway, StoreBusy, TurnStale
from service.flows import deadlines, floods, operators, waits
from service.flows.degraded import answer_alone, told_in
from service.flows.spool import Spool
from service.store import budgets, conversations, decisions, handoffs, keys, queues
from service.store.conversations import Loaded
from service.store.decisions import Change, Moved
from service.store.keys import Place
from service.store.store import Store

# A turn is thought again when another of the same conversation was decided meanwhile. Eight turns at once in one
# conversation is a caller that does not wait for answers.
TRIES_MAX = 8
# How long what lies on other shards is waited for: it is read in milliseconds, and a turn waits for the answer.
PROMISE_MS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the agent may promise: `position` counts from 1, None when it is unknown or nothing waits any more.

    `wait` is how long it was believed to take when the decision was made, None for unknown: a guess would be a promise.
    """

    handoff_id: str
    queue: str
    position: int | None
    wait: Wait | None
    expires_at_ms: int
    on_timeout: OnTimeout


@dataclass(frozen=True, slots=True)
class Decided:
    """A Decision, whether it had been made before, and the wait it leads to.

    `before` is the conversation that it was made with, None where it was not made here and now; `raised` what rules
    that decide nothing in it raised meanwhile.
    """

    decision: Decision
    repeated: bool
    waiting: Waiting | None
    before: Conversation | None = None
    raised: Raised | None = None


async def decide(
    store: Store, ruleset: Ruleset, tenant: str, turn: Turn, now_ms: int, *, spool: Spool | None = None
) -> Decided:
    """Return the Decision of the turn, the stored one when it was decided before.

    Two round trips for an ordinary turn; one for a repeated turn, and where this process decided the turn before it;
    one more where a handoff is open, where the conversation has a chain of agents, and where a queue has its first in
    a while. While the store is away the rules alone answer into the `spool`. Raises TurnStale, ConversationBusy,
    NotDurable, and StoreAway where there is no `spool` or it is full.
    """
    place = store.place_of(tenant, turn.conversation_id)
    decision_id = keys.decision_id(tenant, place.partition, turn.conversation_id, turn.turn_id)
    if spool is not None:
        # What was answered while the store was away stands, also before it was delivered.
        told = spool.find(decision_id)
        if told is not None:
            return decided(told_in(told), repeated=True)
    # Any number that nobody else draws will do: an id opens nothing without its tenant's key.
    names = Names(tenant, decision_id, keys.handoff_id(place.partition, f"{random.getrandbits(64):016x}"))
    try:
        if not store.knows(tenant):
            await store.know(tenant)
        return await _decide(store, ruleset, place, names, turn, now_ms)
    except (NotDurable, StoreBusy):
        # The one is written, so an answer from the rules alone could only contradict it; with the other the store is
        # there, and this process has more on its hands than a disk full of decisions would mend.
        raise
    except StoreAway:
        # What was answered before the store went away stands: the rules alone might say something else.
        given = store.told.find(decision_id)
        if given is not None:
            return decided(given, repeated=True)
        if spool is None:
            raise
        alone, repeated = await answer_alone(spool, ruleset, names, turn, now_ms)
        return replace(decided(alone.decision, repeated=repeated), raised=alone.raised)


async def find(store: Store, tenant: str, decision_id: str) -> Decision:
    """Return a stored Decision, or raise DecisionUnknown."""
    partition = keys.partition_in(keys.DECISION_ID, decision_id, store.partitions)
    decision = None if partition is None else await decisions.get(store, keys.place(tenant, partition), decision_id)
    if decision is None:
        raise DecisionUnknown
    return decision


def decided(decision: Decision, *, repeated: bool, before: Conversation | None = None) -> Decided:
    """Return a Decision with the wait it promises."""
    waiting = None
    if decision.handoff_id and decision.queue and decision.expires_at_ms is not None and decision.on_timeout:
        waiting = Waiting(
            decision.handoff_id,
            decision.queue,
            decision.position,
            decision.wait,
            decision.expires_at_ms,
            decision.on_timeout,
        )
    return Decided(decision, repeated, waiting, None if repeated else before)


async def _decide(store: Store, ruleset: Ruleset, place: Place, names: Names, turn: Turn, now_ms: int) -> Decided:
    recent, tenant, conversation_id = store.recent, place.tenant, turn.conversation_id
    left = recent.take(tenant, conversation_id)
    if left is not None and _stale(turn, left):
        left = None  # it may have been answered before the cut, which only the store knows
    for _ in range(TRIES_MAX):
        loaded = left or await conversations.load(store, place, conversation_id, names.decision_id)
        if isinstance(loaded, Decision):
            await store.confirm(place)
            await _list_shed(store, place, loaded)
            return decided(loaded, repeated=True)
        if stale := _stale(turn, loaded):
            raise stale
        handoff = None
        if loaded.open_handoff_id is not None:
            handoff = await handoffs.find(store, place, loaded.open_handoff_id)
            # A deadline ends the fence on time, also while no worker runs.
            if handoff is not None and await deadlines.settle(store, handoff, now_ms):
                continue
        ended = None
        if loaded.ended_handoff_id is not None:
            ended = await handoffs.find(store, place, loaded.ended_handoff_id)
        if turn.parent is not None or loaded.conversation.chained:
            # Whoever commits meanwhile raises the version, so these turns are those that the records speak of.
            loaded = await conversations.with_turns(store, place, loaded)
        pressures = store.pressures.of(tenant, ruleset.files, now_ms)
        judged = judge_sparing(ruleset, turn, loaded.conversation, now_ms, pressures)
        change = think(ruleset, names, turn, judged, handoff, now_ms, ended)
        if change.handoff is not None and change.handoff.state == "waiting":
            change = await _promised(store, ruleset, place, change, change.handoff, now_ms)
        written = await decisions.commit(store, place, loaded, change, turn.agent.id or "agent")
        if not isinstance(written, Moved):
            await _list_shed(store, place, written[0])
            told = decided(written[0], repeated=written[1], before=loaded.conversation)
            return told if change.raised is None else replace(told, raised=change.raised)
        if left is not None:
            recent.distrust(tenant, conversation_id)
            left = None
    raise ConversationBusy(TRIES_MAX)


async def _list_shed(store: Store, place: Place, decision: Decision) -> None:
    """Put a decision that shed something on the list; again for a repeated one, as its process may have died before.

    The decision is written, so a store that goes away now must not lead to another one.
    """
    if decision.shed:
        with contextlib.suppress(StoreAway):
            await budgets.note_shed(store, place, decision)


def _stale(turn: Turn, loaded: Loaded) -> TurnStale | None:
    """Return why the turn is not decided any more: a person has had the conversation since it was sent."""
    if turn.turn_index is None or loaded.cut_order is None or turn.turn_index >= loaded.cut_order:
        return None
    return TurnStale(turn.turn_index, loaded.cut_order)


async def _promised(
    store: Store, ruleset: Ruleset, place: Place, change: Change, handoff: Handoff, now_ms: int
) -> Change:
    """Return a change whose handoff waits with what depends on others: behind whom, for whom it is kept, how long.

    While another shard is away that is unknown, and nothing of it is told. The handoff waits all the same.
    """
    change = await _counted(store, place, change, handoff.score_ms, now_ms)
    if change.ahead is None:
        return change
    if change.event == "handoff.opened":
        change = await _if_known(store, _kept(store, ruleset, change, handoff, now_ms), change)
    return await _if_known(store, waits.told(store, change, now_ms), change)


async def _counted(store: Store, place: Place, change: Change, score_ms: int, now_ms: int) -> Change:
    """Return a change with what is counted in other partitions; the script counts those in its own."""
    handoff = change.handoff
    if handoff is None or store.partitions == 1:
        return change
    queue = handoff.queue

    async def count(other: Place) -> tuple[int, tuple[int, ...]]:
        ahead, alike = await asyncio.gather(
            queues.ahead(store, [other], queue, score_ms), floods.counted(store, [other], change, now_ms)
        )
        return ahead, alike

    elsewhere = [other for other in store.places(place.tenant) if other is not place]
    found = await store.reach.each(elsewhere, count, most_ms=PROMISE_MS_MAX)
    there = [each for each in found if each is not None]
    return replace(
        change,
        # Whoever was told too low a place would be lied to; whoever waits as one of a flood's is served all the same.
        ahead=sum(ahead for ahead, _ in there) if len(there) == len(found) else None,
        elsewhere=tuple(map(sum, zip(*(alike for _, alike in there), strict=True))),
    )


async def _kept(store: Store, ruleset: Ruleset, change: Change, handoff: Handoff, now_ms: int) -> Change:
    queue = ruleset.files.queues[handoff.queue]
    return replace(change, handoff=await operators.kept_for_keeper(store, handoff, queue, now_ms))


async def _if_known(store: Store, told: Awaitable[Change], otherwise: Change) -> Change:
    """Return a change as others let it be told, or as it is where their shard does not answer."""
    if store.partitions == 1:
        return await told
    try:
        async with asyncio.timeout(PROMISE_MS_MAX / 1000):
            return await told
    except StoreBusy:
        raise
    except (StoreAway, TimeoutError):
        return otherwise
