"""Conversations in Redis: what a turn is judged by, and what an operator reads. Nothing is judged here."""

from __future__ import annotations

from dataclasses import replace

from rules.chains.told_turns import turn_told
from rules.decision import Decision
from rules.packet.context_packet import TRANSCRIPT_TURNS_MAX as TRANSCRIPT_TURNS_MAX
from rules.packet.context_packet import TranscriptTurn
from rules.turn import CHAINED, Conversation
from service.store import codec
from service.store.keys import Place
from service.store.loaded import Loaded as Loaded
from service.store.store import Store

# How a record says that its turn belongs to a chain, as it is written: the latest record says it for the conversation.
_CHAINED = f'"{CHAINED}":true'.encode()


async def load(store: Store, place: Place, conversation_id: str, decision_id: str) -> Loaded | Decision:
    """Return the conversation, or the stored Decision when the turn was decided before: one round trip."""
    word, *rest = await store.scripts.read(
        "load_conversation",
        conversation=place.conversation(conversation_id),
        turns=place.turns(conversation_id),
        decision=place.decision(decision_id),
    )
    if word == b"decided":
        return codec.decision_in(rest[0])
    (version, started, turns, handoffs, last_handoff, open_handoff, cut_order, ended), kept = rest
    records = tuple(kept)
    conversation = Conversation(
        conversation_id=conversation_id,
        started_at_ms=codec.number(started),
        turns_count=codec.number(turns) or 0,
        handoffs_count=codec.number(handoffs) or 0,
        last_handoff_at_ms=codec.number(last_handoff),
        past=codec.Records(records),
        chained=bool(records) and _CHAINED in records[-1],
    )
    return Loaded(
        conversation,
        codec.number(version) or 0,
        codec.text(open_handoff),
        codec.number(cut_order),
        records,
        codec.record_index(records[-1]) if records else None,
        codec.text(ended),
    )


async def with_turns(store: Store, place: Place, loaded: Loaded) -> Loaded:
    """Return the conversation with the turns that its records are of: a chain of agents is read from them."""
    conversation = loaded.conversation
    kept = await transcript(store, place, conversation.conversation_id)
    turns = {said.turn_id: turn_told(said, conversation.conversation_id) for said in kept}
    past = tuple(replace(record, turn=turns.get(record.turn_id)) for record in conversation.past)
    return replace(loaded, conversation=replace(conversation, past=past))


async def version(store: Store, place: Place, conversation_id: str) -> int:
    """Return a number that rises with every decided turn, 0 where nothing is kept."""
    return codec.number(await store.link.call("HGET", place.conversation(conversation_id), "version")) or 0


async def turns_count(store: Store, place: Place, conversation_id: str) -> int:
    """Return how many turns were decided, 0 where nothing is kept."""
    return codec.number(await store.link.call("HGET", place.conversation(conversation_id), "turns_count")) or 0


async def latest(store: Store, place: Place, conversation_id: str) -> TranscriptTurn | None:
    """Return the last of the kept turns, None where there is none."""
    kept = await store.link.call("ZRANGE", place.transcript(conversation_id), -1, -1)
    return codec.said_in(kept[0]) if kept else None


async def transcript(store: Store, place: Place, conversation_id: str) -> tuple[TranscriptTurn, ...]:
    """Return the kept turns, oldest first; they reach back before the last handoff."""
    kept = await store.link.call("ZRANGE", place.transcript(conversation_id), 0, -1)
    return tuple(codec.said_in(raw) for raw in kept)
