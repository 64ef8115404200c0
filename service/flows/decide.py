"""A turn comes in, its one Decision goes out: read, think, write once."""

from __future__ import annotations

import asyncio
import contextlib
import random
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
    """Return a change whose handoff waits with what depends on others: for whom it is kept, how long, behind whom."""
    if change.event == "handoff.opened":
        kept = await operators.kept_for_keeper(store, handoff, ruleset.files.queues[handoff.queue], now_ms)
        change = replace(change, handoff=kept)
    change = await waits.told(store, change, now_ms)
    if change.event is None or change.handoff is None or store.partitions == 1:
        return change
    # The script counts those in its own partition.
    elsewhere = [other for other in store.places(place.tenant) if other is not place]
    score_ms = change.handoff.score_ms
    ahead, counted = await asyncio.gather(
        queues.ahead(store, elsewhere, change.handoff.queue, score_ms), floods.counted(store, elsewhere, change, now_ms)
    )
    return replace(change, ahead=ahead, elsewhere=counted)
