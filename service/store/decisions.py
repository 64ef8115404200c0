"""Decisions in Redis: one a turn, written once with all that follows from it. Nothing is decided here."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from rules.decision import Decision
from rules.handoff import wanted
from rules.history import TURNS_READ_MAX
from rules.thinking import Change as Change
from service.store import codec
from service.store.conversations import TRANSCRIPT_TURNS_MAX, Loaded
from service.store.keys import Place
from service.store.store import Store


class Moved:
    """The conversation, or its handoff, has changed since it was read; nothing was written."""


async def commit(
    store: Store, place: Place, loaded: Loaded, change: Change, actor: str, *, told: bool = False
) -> tuple[Decision, bool] | Moved:
    """Write the change in one step, and return the Decision with its position, and whether it had stood before.

    `told` is a decision that was answered while the store was away: it replaces one that nobody has been told.
    """
    decision, handoff, turn = change.decision, change.handoff, change.turn
    before = change.before or handoff
    queue = handoff.queue if handoff else ""
    queue_before = before.queue if before else ""
    record = codec.record_out(change.record)
    fields = codec.handoff_out(handoff) if handoff and change.event else []
    if change.event == "handoff.opened":
        fields += ["state", "waiting"]
    word, *rest = await store.scripts.run(
        "commit_decision",
        conversation=place.conversation(turn.conversation_id),
        turns=place.turns(turn.conversation_id),
        transcript=place.transcript(turn.conversation_id),
        decision=place.decision(decision.decision_id),
        handoff=place.handoff(handoff.handoff_id if handoff else ""),
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
        version=loaded.version,
        # A turn that only meets the handoff does not mind what happens to it; one that joins it must know it whole.
        handoff_version=change.before.version if change.before and change.event else "",
        order="" if turn.turn_index is None else turn.turn_index,
        record=record,
        said=codec.said_out(turn, decision),
        answer=codec.decision_out(decision),
        now_ms=decision.decided_at_ms,
        turns_max=TURNS_READ_MAX,
        transcript_max=TRANSCRIPT_TURNS_MAX,
        kept_ms=store.kept_ms,
        event=change.event or "",
        handoff_id=handoff.handoff_id if handoff else "",
        queue=queue,
        ahead=change.ahead,
        actor=actor,
        told="told" if told else "",
        fields=fields,
    )
    if word == b"moved":
        return Moved()
    if word == b"decided":
        return codec.decision_in(rest[0]), True
    if not told:
        store.recent.keep(place.tenant, loaded, change, record)
    position = codec.number(rest[0])
    return (decision if position is None else replace(decision, position=position)), False


async def get(store: Store, place: Place, decision_id: str) -> Decision | None:
    """Return a stored Decision."""
    stored = await store.link.call("GET", place.decision(decision_id))
    return codec.decision_in(stored) if stored is not None else None


async def many(store: Store, place: Place, decision_ids: tuple[str, ...]) -> tuple[Decision, ...]:
    """Return those of the Decisions that are still kept: one round trip."""
    found = await asyncio.gather(*(get(store, place, decision_id) for decision_id in decision_ids))
    return tuple(decision for decision in found if decision is not None)
