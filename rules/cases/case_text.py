"""A conversation as the text of a test case, which `rules.cases.case_files` reads back as the same conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rules.cases.case_files import TURN_GAP_MS
from rules.cases.case_run import Seen
from rules.cases.keys import PARENT_KEYS, TIMEOUTS
from rules.cases.recorded import HEADER as HEADER
from rules.cases.values import Case, Step, TurnStep
from rules.evaluation.wording import SPAN_UNITS
from rules.files.yaml_text import item_lines
from rules.model import Rule
from rules.turn import ToolCall, Turn, Value

# What is nearly always the same for a whole conversation is written once, at the case.
_SHARED = ("channel", "locale", "customer", "agent", "parent")
_NO_SOURCES: tuple[str, list[str]] = ("sources", [])


def case_text(case: Case, seen: Sequence[Seen], rules: Iterable[Rule]) -> str:
    """Return the case as an item of a test file's `cases:`, expecting what was seen.

    The id of the conversation is written only where it decides a rollout of one of the rules.
    """
    turns = [step.turn for step in case.steps if isinstance(step, TurnStep)]
    shared = _shared([_turn_map(turn) for turn in turns])
    found: dict[str, Any] = {"name": case.name, "at": _moment(case.at_ms)}
    if any(0 < rule.mode.percent < 100 for rule in rules):
        found["conversation"] = case.conversation_id
    found |= shared
    found["turns"] = [
        _step_map(step, number, one, shared)
        for number, (step, one) in enumerate(zip(case.steps, seen, strict=True), start=1)
    ]
    return "\n".join(item_lines(found)) + "\n"


def _step_map(step: Step, number: int, seen: Seen, shared: Mapping[str, Any]) -> dict[str, Any]:
    at_once = number == 1 if isinstance(step, TurnStep) else step.move in TIMEOUTS
    gap_ms = 0 if at_once else TURN_GAP_MS
    found: dict[str, Any] = {} if step.after_ms == gap_ms else {"after": _span(step.after_ms)}
    if isinstance(step, TurnStep):
        found |= {key: value for key, value in _turn_map(step.turn).items() if key not in shared}
        if step.pressures:
            found["pressure"] = {queue: f"{percent}%" for queue, percent in step.pressures.items()}
        return found | {"expect": _expected(seen)}
    if step.move is not None:
        found[step.move] = step.given["queue"] if step.move == "transfer" else dict(step.given) or True
    elif not found:
        found["after"] = _span(step.after_ms)
    return found


def _expected(seen: Seen) -> dict[str, Any] | str:
    judged, decision = seen.judged, seen.decision
    if judged is None or decision is None:
        return {}
    top = judged.evaluation.top
    found: dict[str, Any] = {"verdict": decision.verdict}
    if decision.verdict in ("review", "hold", "escalate") and top is not None and top.then.queue is not None:
        found = {decision.verdict: top.then.queue, "priority": top.then.priority}
    elif not judged.evaluation.rules and not judged.evaluation.shadow and decision.say is None:
        return decision.verdict
    found["rules"] = sorted(rule.id for rule in judged.evaluation.rules)
    if judged.evaluation.shadow:
        found["shadow"] = sorted(rule.id for rule in judged.evaluation.shadow)
    if decision.say is not None:
        found["say"] = decision.say
    return found


def _shared(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if not turns:
        return {}
    first = turns[0]
    return {key: first[key] for key in _SHARED if key in first and all(turn.get(key) == first[key] for turn in turns)}


def _turn_map(turn: Turn) -> dict[str, Any]:
    """Return what the turn says under the keys of a test file; what it does not say is left out."""
    customer = {"id": turn.customer.id, "tier": turn.customer.tier, **turn.customer.attributes}
    agent = {name: getattr(turn.agent, name) for name in ("id", "version", "prompt_version")}
    parent = {} if turn.parent is None else {name: getattr(turn.parent, name) for name in PARENT_KEYS}
    found: dict[str, Any] = {
        "channel": turn.channel,
        "locale": turn.locale,
        "customer": _known(customer),
        "agent": _known(agent),
        "parent": _known(parent),
        "message": turn.message,
        "reply": turn.reply,
        "confidence": turn.confidence,
        "sentiment": turn.sentiment,
        "topics": [topic.name for topic in turn.topics],
        "tool_calls": [_call_map(call) for call in turn.tool_calls],
        "sources": None if turn.sources is None else list(turn.sources),
        "signals": {name: _plain(value) for name, value in turn.signals.items()},
    }
    # An empty list of sources says that there were none; every other empty list or map says nothing.
    return {
        key: value for key, value in found.items() if value not in (None, [], {}) or (key, value) == ("sources", [])
    }


def _call_map(call: ToolCall) -> dict[str, Any]:
    found: dict[str, Any] = {"name": call.name}
    if call.args:
        found["args"] = dict(call.args)
    found |= _known({"write": call.write, "amount": call.amount, "error": call.error, "output": call.output})
    return found | ({} if call.status == "proposed" else {"status": call.status})


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _plain(value: Value) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def _span(span_ms: int) -> str:
    """Return a span as a rule file writes it, exact to the millisecond."""
    left, parts = span_ms, []
    for unit_ms, letters in SPAN_UNITS:
        count, left = divmod(left, unit_ms)
        if count:
            parts.append(f"{count}{letters}")
    return "".join(parts)
