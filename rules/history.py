"""What a conversation remembers of its turns: bounded, in order, cut after a handoff. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rules.turn import CHAINED, Conversation, TurnRecord

# What annoys a customer shows within a dozen turns; 50 bound what a decision reads and what an aggregate costs.
TURNS_READ_MAX = 50


def remember(conversation: Conversation, record: TurnRecord) -> Conversation:
    """Return the conversation with this turn in its place; the oldest turns past TURNS_READ_MAX are forgotten.

    A turn that counts itself (`turn_index`) goes before the first one with a higher index, others go last. The same
    `turn_id` again replaces its record, in its old place, and is not counted twice.
    """
    past = conversation.past
    for place, earlier in enumerate(past):
        if earlier.turn_id == record.turn_id:
            return _with_past(conversation, (*past[:place], record, *past[place + 1 :]))
    place = _place(past, record.turn_index)
    started = conversation.started_at_ms
    longer = (*past[:place], record, *past[place:])[-TURNS_READ_MAX:]
    return replace(
        conversation,
        started_at_ms=record.at_ms if started is None else min(started, record.at_ms),
        turns_count=conversation.turns_count + 1,
        past=longer,
        chained=CHAINED in longer[-1].values,
    )


def before(conversation: Conversation, turn_index: int | None) -> Conversation:
    """Return the conversation as it stood before the turn with that index: what a turn that came late may look at."""
    if turn_index is None:
        return conversation
    past = tuple(record for record in conversation.past if _lower(record.turn_index, turn_index))
    return conversation if len(past) == len(conversation.past) else _with_past(conversation, past)


def cut(conversation: Conversation, at_ms: int) -> Conversation:
    """Return the conversation without the records up to that moment, so that what led to a handoff never counts twice.

    The counts of turns and of handoffs stay: they cover the whole conversation.
    """
    past = tuple(record for record in conversation.past if record.at_ms > at_ms)
    return conversation if len(past) == len(conversation.past) else _with_past(conversation, past)


def _with_past(conversation: Conversation, past: tuple[TurnRecord, ...]) -> Conversation:
    return replace(conversation, past=past, chained=bool(past) and CHAINED in past[-1].values)


def _place(past: Sequence[TurnRecord], turn_index: int | None) -> int:
    for place, earlier in enumerate(past):
        if turn_index is not None and earlier.turn_index is not None and earlier.turn_index > turn_index:
            return place
    return len(past)


def _lower(index: int | None, turn_index: int) -> bool:
    return index is None or index < turn_index
