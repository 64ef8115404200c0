"""A step of a conversation as POST /rulesets/try takes it. Nothing is asked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rules.cases.values import MoveStep, Step
from rules.turn import Turn, Value


def step_body(step: Step) -> dict[str, Any]:
    """Return a step of `steps`; what it does not say is left out."""
    if isinstance(step, MoveStep):
        return _known({"move": step.move, "queue": step.given.get("queue"), "after_ms": step.after_ms})
    pressure = dict(step.pressures) or None
    return _known({"turn": turn_body(step.turn), "after_ms": step.after_ms, "pressure": pressure})


def turn_body(turn: Turn) -> dict[str, Any]:
    """Return a turn without its ids, which its place in the conversation gives it."""
    customer = {"id": turn.customer.id, "tier": turn.customer.tier, **turn.customer.attributes}
    return _known(
        {
            "agent": _known(asdict(turn.agent)),
            "channel": turn.channel,
            "locale": turn.locale,
            "customer": _known(customer),
            "message": turn.message,
            "reply": turn.reply,
            "confidence": turn.confidence,
            "topics": [_known(asdict(topic)) for topic in turn.topics],
            "sentiment": turn.sentiment,
            "tool_calls": [_known(asdict(call)) for call in turn.tool_calls],
            "sources": None if turn.sources is None else list(turn.sources),
            "signals": {name: _plain(value) for name, value in turn.signals.items()},
            "parent": None if turn.parent is None else _known(asdict(turn.parent)),
        }
    )


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _plain(value: Value) -> object:
    return sorted(value) if isinstance(value, frozenset) else value
