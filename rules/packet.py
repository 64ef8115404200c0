"""What an operator gets to see of a handoff: the ContextPacket. Values in, value out; nothing is stored here."""

from __future__ import annotations

from dataclasses import dataclass

from rules.model import Verdict
from rules.turn import ToolCall


@dataclass(frozen=True, slots=True)
class TranscriptTurn:
    """One decided turn as it is kept for the operator: its texts, its tool calls and what was decided.

    `reply` is the draft; it went out only when `verdict` did not stop the turn.
    """

    turn_id: str
    at_ms: int
    message: str | None
    reply: str | None
    tool_calls: tuple[ToolCall, ...]
    verdict: Verdict
