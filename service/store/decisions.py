"""Decisions in Redis: one a turn, written once with all that follows from it. Nothing is decided here."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from rules.decision import Decision
from rules.handoff import wanted
from rules.history import TURNS_READ_MAX
from rules.thinking import Change as Change
from service.store import codec, floods
from service.store.conversations import TRANSCRIPT_TURNS_MAX, Loaded
from service.store.keys import Place
from service.store.multiplexed import Reply
from service.store.store import Store


class Moved:
    """The conversation, or its handoff, has changed since it was read; nothing was written."""


async def commit(
    store: Store, place: Place, loaded: Loaded, change: Change, actor: str, *, told: bool = False
) -> tuple[Decision, bool] | Moved:
    """Write the change in one step, and return the Decision with its position, and whether it had stood before.

    `told` is a decision that was answered while the store was away: it replaces one that nobody has been told.
    """
    record, answer = codec.record_out(change.record), codec.decision_out(change.decision)
    meets = change.handoff or change.before or loaded.open_handoff_id or loaded.ended_handoff_id
    if meets is None and not told:
        word, *rest = await _commit_turn(store, place, loaded, change, record, answer)
    else:
        word, *rest = await _commit_decision(store, place, loaded, change, (record, answer), actor, told)
    if word == b"moved":
        return Moved()
    if word == b"decided":
        return codec.decision_in(rest[0]), True
    position, decision = codec.number(rest[0]) if rest else None, change.decision
    if rest and rest[1] == b"member" and not told:
        decision = _grouped(decision)
        answer = codec.decision_out(decision)
    if not told:
        store.recent.keep(place.tenant, loaded, change, record)
        store.told.keep(decision.decision_id, position, answer)
    return (decision if position is None else replace(decision, position=position)), False


def _grouped(decision: Decision) -> Decision:
    """Return what is answered where a flood's group holds the handoff: nobody can say how long that takes."""
    return replace(decision, wait=None)


async def _commit_turn(
    store: Store, place: Place, loaded: Loaded, change: Change, record: bytes, answer: bytes
) -> list[Reply]:
    """Write a turn that no handoff is open beside and that opens none: nearly every turn, at half the cost."""
    decision, turn = change.decision, change.turn
    return await store.scripts.run(
        "commit_turn",
        conversation=place.conversation(turn.conversation_id),
        turns=place.turns(turn.conversation_id),
        transcript=place.transcript(turn.conversation_id),
        decision=place.decision(decision.decision_id),
        version=loaded.version,
        order="" if turn.turn_index is None else turn.turn_index,
        record=record,
        said=codec.said_out(turn, decision),
        answer=answer,
        now_ms=decision.decided_at_ms,
        turns_max=TURNS_READ_MAX,
        transcript_max=TRANSCRIPT_TURNS_MAX,
        kept_ms=store.kept_ms,
    )


async def _commit_decision(
    store: Store, place: Place, loaded: Loaded, change: Change, kept: tuple[bytes, bytes], actor: str, told: bool
) -> list[Reply]:
    """Write a turn with the handoff that it opens, joins or meets. `kept` are its record and its answer, encoded."""
    record, answer = kept
    decision, handoff, turn = change.decision, change.handoff, change.turn
    before = change.before or handoff
    # A turn beside an open hold or review refers to none, and yet its answer carries what the operator has said.
    meets = handoff or change.before
    queue = handoff.queue if handoff else ""
    queue_before = before.queue if before else ""
    fields = codec.handoff_out(handoff) if handoff and change.event else []
    if change.event == "handoff.opened":
        fields += ["state", "waiting"]
    return await store.scripts.run(
        "commit_decision",
        conversation=place.conversation(turn.conversation_id),
        turns=place.turns(turn.conversation_id),
        transcript=place.transcript(turn.conversation_id),
        decision=place.decision(decision.decision_id),
        handoff=place.handoff(meets.handoff_id if meets else ""),
        waiting=place.waiting(queue),
        waiting_before=place.waiting(queue_before),
        open=place.open(queue),
        open_before=place.open(queue_before),
        deadlines=place.deadlines,
        queues=place.queues,
        outbox=place.outbox,
        in_class=place.waiting_in(wanted(handoff).text if handoff else ""),
        in_class_before=place.waiting_in(wanted(before).text if before else ""),
        classes=place.classes,
        group_before=floods.group_key(place, before),
        calls=place.calls,
        # Also of one that the answer does not refer to: a review waits while the agent goes on.
        packet=place.packet(handoff.handoff_id if handoff else loaded.open_handoff_id or ""),
        guards=floods.guard_keys(place, change),
        version=loaded.version,
        # A turn that only meets the handoff does not mind what happens to it; one that joins it must know it whole.
        handoff_version=change.before.version if change.before and change.event else "",
        order="" if turn.turn_index is None else turn.turn_index,
        record=record,
        said=codec.said_out(turn, decision),
        answer=answer,
        now_ms=decision.decided_at_ms,
        turns_max=TURNS_READ_MAX,
        transcript_max=TRANSCRIPT_TURNS_MAX,
        kept_ms=store.kept_ms,
        event=change.event or "",
        handoff_id=handoff.handoff_id if handoff else "",
        queue=queue,
        ahead="" if change.ahead is None else change.ahead,
        actor=actor,
        told="told" if told else "",
        # While the store is away nobody sees it live; it is in the transcript once it is delivered.
        message=turn.turn_id if handoff and turn.message and not told else "",
        replies_told=decision.replies[-1].number if decision.replies else "",
        limits=floods.limits_out(handoff, change) if handoff and change.guards else "",
        answer_grouped=codec.decision_out(_grouped(decision)) if change.guards else "",
        fields=fields,
    )


async def get(store: Store, place: Place, decision_id: str) -> Decision | None:
    """Return a stored Decision."""
    stored = await store.link.call("GET", place.decision(decision_id))
    return codec.decision_in(stored) if stored is not None else None


async def many(store: Store, place: Place, decision_ids: tuple[str, ...]) -> tuple[Decision, ...]:
    """Return those of the Decisions that are still kept: one round trip."""
    found = await asyncio.gather(*(get(store, place, decision_id) for decision_id in decision_ids))
    return tuple(decision for decision in found if decision is not None)
