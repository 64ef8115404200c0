"""Turns as they are kept for operators, as a chain takes them; what an earlier version kept names no agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rules.chains.chain import Chain, ChainTurn, chain_of
from rules.packet.context_packet import TranscriptTurn
from rules.turn import AgentRef, Parent, Turn


def turn_told(kept: TranscriptTurn, conversation_id: str) -> Turn:
    """Return a kept turn as far as a chain is read from it."""
    told = chain_turn_told(kept)
    return Turn(
        conversation_id=conversation_id,
        turn_id=kept.turn_id,
        agent=AgentRef(told.agent),
        message=kept.message,
        reply=kept.reply,
        tool_calls=kept.tool_calls,
        parent=told.parent,
    )


def chain_turn_told(kept: TranscriptTurn) -> ChainTurn:
    """Return what a chain needs of a kept turn."""
    beside = kept.beside or {}
    agent, parent = beside.get("agent"), beside.get("parent")
    return ChainTurn(
        turn_id=kept.turn_id,
        agent=_text(agent, "id"),
        parent=None
        if parent is None
        else Parent(_text(parent, "agent"), _text(parent, "conversation_id"), _text(parent, "turn_id")),
        message=kept.message,
        reply=kept.reply,
        tool_calls=kept.tool_calls,
        verdict=kept.verdict,
        at_ms=kept.at_ms,
    )


def chain_told(transcript: Sequence[TranscriptTurn], conversation_id: str) -> Chain:
    """Return the chain of the kept turns, oldest first."""
    return chain_of([chain_turn_told(kept) for kept in transcript], conversation_id)


def kept_beside(turn: Turn) -> Mapping[str, Any] | None:
    """Return what must be kept beside the texts of a turn for its chain; None for a turn that names nobody."""
    parent = turn.parent
    if turn.agent.id is None and parent is None:
        return None
    beside: dict[str, Any] = {"agent": {"id": turn.agent.id}}
    if parent is not None:
        names = {"agent": parent.agent, "conversation_id": parent.conversation_id, "turn_id": parent.turn_id}
        beside["parent"] = names
    return beside


def _text(given: object, name: str) -> str | None:
    value = given.get(name) if isinstance(given, Mapping) else None
    return value if isinstance(value, str) else None
