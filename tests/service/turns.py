"""Turns that the rules of conftest answer in a known way."""

from __future__ import annotations

import itertools

from rules.turn import ToolCall, Turn

_NUMBERS = itertools.count(1)


def turn(conversation_id: str, turn_id: str | None = None, **fields: object) -> Turn:
    given: dict[str, object] = {"message": "hello", "confidence": 0.9, **fields}
    return Turn(conversation_id, turn_id or f"unnamed-{next(_NUMBERS)}", **given)  # type: ignore[arg-type]  # as the tests say


def calm(conversation_id: str, turn_id: str | None = None, **fields: object) -> Turn:
    """Nothing fires."""
    return turn(conversation_id, turn_id, **fields)


def angry(conversation_id: str, turn_id: str | None = None, **fields: object) -> Turn:
    """Escalates to tier1, priority high."""
    return turn(conversation_id, turn_id, sentiment=-0.9, **fields)


def unsure(conversation_id: str, turn_id: str | None = None, **fields: object) -> Turn:
    """The second in a row escalates to tier2, priority normal."""
    return turn(conversation_id, turn_id, **{"confidence": 0.2, **fields})


def refunding(conversation_id: str, turn_id: str | None = None, **fields: object) -> Turn:
    """Holds in approvals, priority high."""
    call = ToolCall("issue_refund", {"order": "W1"}, write=True, amount=20.0)
    return turn(conversation_id, turn_id, reply="I will refund it.", tool_calls=(call,), **fields)


def wordy(conversation_id: str, turn_id: str | None = None, **fields: object) -> Turn:
    """Asks for a review in readers, priority low."""
    return turn(conversation_id, turn_id, reply="word " * 50, **fields)
