"""A recorded conversation (one row of a file) to the turns an agent would have reported, ground truth kept apart.

Nothing is opened here, and nothing is invented: what a row does not carry stays unknown, save the clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from rules.turn import AgentRef, CallStatus, Customer, Parent, Scalar, ToolCall, TopicScore, Turn, Value

ROWS_MAX = 2_000  # rows of one conversation; the longest recorded call seen had under 200
TEXT_CHARS_MAX = 8_000  # of one message or draft: well above what people type, under what the service takes
TOOL_ERROR_CHARS_MAX = 300  # enough for a sentence; a stack trace says nothing more to a rule
HANDLING_MS_MAX = 2_592_000_000  # 30 days: a handoff that was worked on for longer was forgotten, not worked on
TURN_ORDINALS_FROM = 1
UNNAMED_TOOL = "unnamed_tool"  # stands for a call whose name was not recorded; it counts as unknown

# Rows without a time get this clock: a weekday at noon UTC, and a turn every 30 s. Durations measured on it are made
# up, which is why `Recorded.clock` says so.
SYNTHETIC_START_AT_MS = 1_736_942_400_000  # Wednesday 2025-01-15 12:00 UTC
SYNTHETIC_TURN_MS = 30_000

# Every key of a row or of its calls that tells how things ended. They go to Truth or nowhere; tests hold this.
TRUTH_KEYS = frozenset(
    {
        "abuse",
        "abuse_severity_mean",
        "abuse_strong",
        "bad_write_index",
        "escalate_actual",
        "escalate_truth",
        "escalate_truth_v2",
        "escalate_turn_index",
        "executed",
        "failed",
        "handling_ms",
        "handling_queue",
        "in_reference",
        "label_turn",
        "needs_human",
        "outcome",
        "reference_actions",
        "reward",
        "target",
        "types",
    }
)
# Which label says that a person was needed, best first; the first that a row carries counts.
TRUTHS: tuple[str, ...] = ("needs_human", "escalate_truth", "abuse_strong")
# Outcomes that say whether a person was needed, before any label: who had the handoff said so. `unclear` says nothing.
OUTCOMES_NEEDED: Mapping[str, bool] = {"needed": True, "too_late": True, "not_needed": False}

# Simulated customers end a talk with such a marker; no person ever typed one.
_MARKER = re.compile(r"\s*###[A-Z][A-Z _-]{0,30}###\s*")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}(?=$|\s)")


class RowInvalid(Exception):
    """A row that is no conversation; the message is the fact and never quotes the row."""


@dataclass(frozen=True, slots=True)
class Truth:
    """How a conversation really went, for scoring only.

    `labels` holds the booleans of TRUTHS that the row carries; a missing one is unknown. `bad_write_index` is the row
    of the first write that should not have happened. `group` ties conversations that must not be split between
    folds. `tracks_writes` is false where the row's kind does not tell good writes from bad ones. `handling_ms` is how
    long a person worked on the handoff that it had, in `handling_queue`, and `outcome` what that person said of it.
    """

    labels: Mapping[str, bool] = field(default_factory=dict)
    bad_write_index: int | None = None
    tracks_writes: bool = False
    group: str | None = None
    handling_ms: int | None = None
    handling_queue: str | None = None
    outcome: str | None = None

    def needed(self, label: str | None = None) -> bool | None:
        """Return whether a person was needed, None when nobody said."""
        known = self.known(label)
        return None if known is None else known[1]

    def known(self, label: str | None = None) -> tuple[str, bool] | None:
        """Return who says whether a person was needed, and that: this label, or the outcome, or the first of TRUTHS."""
        said = OUTCOMES_NEEDED.get(self.outcome or "")
        if label is None and said is not None:
            return "outcome", said
        names = TRUTHS if label is None else (label,)
        return next(((name, self.labels[name]) for name in names if name in self.labels), None)


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """A turn as it would have been reported, when, and the row it was made of."""

    turn: Turn
    at_ms: int
    row_index: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded conversation: what a rule may see (`turns`) and what it never may (`truth`)."""

    conversation_id: str
    turns: tuple[RecordedTurn, ...]
    truth: Truth
    clock: Literal["recorded", "synthetic"]
    domain: str | None = None


@dataclass(slots=True)
class _Since:
    """What has gathered since the turn before: the customer's texts, and the calls that came back."""

    messages: list[str] = field(default_factory=list)
    topics: list[TopicScore] = field(default_factory=list)
    open_calls: list[ToolCall] = field(default_factory=list)
    done_calls: list[ToolCall] = field(default_factory=list)
    last_row: int = 0
    seen: Mapping[str, object] = field(default_factory=dict)
    sentiment: float | None = None


def read(row: Mapping[str, object]) -> Recorded:
    """Return the conversation of one row.

    A turn is made of each agent row, before its calls have results: the customer's texts and the finished calls since
    the turn before it, the agent's text as the draft, its calls as proposed. Customer's texts that no agent row
    follows make a last turn without a draft. Rows from `escalate_turn_index` on are truth and are left out.
    """
    conversation_id = _text(row.get("id")) or _text(row.get("conversation_id"))
    if not conversation_id:
        raise RowInvalid("the row has no `id`")
    rows = row.get("turns")
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise RowInvalid("the row has no list `turns`")
    if len(rows) > ROWS_MAX:
        raise RowInvalid(f"the conversation has {len(rows)} rows, more than {ROWS_MAX}")
    shared = _shared(row, conversation_id)
    until = _index(row.get("escalate_turn_index"))
    since = _Since()
    made: list[tuple[Turn, int, Mapping[str, object]]] = []
    for position, raw in enumerate(rows):
        if not isinstance(raw, Mapping):
            raise RowInvalid(f"turn {position} is no mapping")
        at = _index(raw.get("i"))
        index = position if at is None else at
        if until is not None and index >= until:
            break
        role = raw.get("role")
        if role == "agent":
            proposed = _calls(raw)
            made.append((_turn(shared, since, raw, proposed, len(made)), index, raw))
            since = _Since(open_calls=list(proposed))
        elif role == "tool":
            _tool(since, raw)
        elif role == "user":
            _user(since, raw, index)
        elif role != "system":
            raise RowInvalid(f"turn {position} has a role that is none of user, agent, tool, system")
    if since.messages:
        made.append((_turn(shared, since, since.seen, (), len(made)), since.last_row, since.seen))
    return _recorded(row, conversation_id, made)


def _recorded(
    row: Mapping[str, object], conversation_id: str, made: Sequence[tuple[Turn, int, Mapping[str, object]]]
) -> Recorded:
    times = [_index(raw.get("at_ms")) for _, _, raw in made]
    synthetic = not all(time is not None for time in times) or not made
    turns = tuple(
        RecordedTurn(
            turn=turn,
            at_ms=SYNTHETIC_START_AT_MS + ordinal * SYNTHETIC_TURN_MS if synthetic else cast(int, times[ordinal]),
            row_index=index,
        )
        for ordinal, (turn, index, _) in enumerate(made)
    )
    clock: Literal["recorded", "synthetic"] = "synthetic" if synthetic else "recorded"
    return Recorded(conversation_id, turns, _truth(row), clock, _text(row.get("domain")))


def _truth(row: Mapping[str, object]) -> Truth:
    labels = {name: value for name in TRUTHS if isinstance(value := row.get(name), bool)}
    return Truth(
        labels=labels,
        bad_write_index=_index(row.get("bad_write_index")),
        tracks_writes="bad_write_index" in row,
        group=_text(row.get("group")),
        handling_ms=_within(_index(row.get("handling_ms")), HANDLING_MS_MAX),
        handling_queue=_text(row.get("handling_queue")),
        outcome=_text(row.get("outcome")),
    )


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all turns of a conversation have in common."""

    conversation_id: str
    agent: AgentRef
    customer: Customer
    channel: str | None
    locale: str | None


def _shared(row: Mapping[str, object], conversation_id: str) -> _Shared:
    raw = row.get("customer")
    customer = Customer()
    if isinstance(raw, Mapping):
        rest = {str(k): v for k, v in raw.items() if k not in ("id", "tier") and isinstance(v, (bool, int, float, str))}
        customer = Customer(_text(raw.get("id")), _text(raw.get("tier")), rest)
    return _Shared(
        conversation_id=conversation_id,
        agent=_agent(row.get("agent")),
        customer=customer,
        channel=_text(row.get("channel")),
        locale=_language(row.get("locale")) or _language(row.get("lang")),
    )


def _agent(given: object) -> AgentRef:
    if isinstance(given, Mapping):
        return AgentRef(_text(given.get("id")), _text(given.get("version")), _text(given.get("prompt_version")))
    return AgentRef(_text(given))


def _parent(given: object) -> Parent | None:
    """Return who handed the work over, named by a word or as a service is told it; None where nobody is named."""
    if isinstance(given, Mapping):
        return Parent(_text(given.get("agent")), _text(given.get("conversation_id")), _text(given.get("turn_id")))
    name = _text(given)
    return None if name is None else Parent(name)


def _turn(
    shared: _Shared, since: _Since, raw: Mapping[str, object], proposed: Sequence[ToolCall], ordinal: int
) -> Turn:
    is_agent = raw.get("role") == "agent"
    signals = raw.get("signals") if is_agent else None
    return Turn(
        conversation_id=shared.conversation_id,
        turn_id=f"t{ordinal + TURN_ORDINALS_FROM}",
        agent=_agent(raw["agent"]) if is_agent and raw.get("agent") is not None else shared.agent,
        channel=shared.channel,
        locale=shared.locale,
        customer=shared.customer,
        message="\n".join(since.messages)[:TEXT_CHARS_MAX] or None,
        reply=_said(raw) if is_agent else None,
        confidence=_number(raw.get("confidence")) if is_agent else None,
        topics=tuple(since.topics),
        sentiment=since.sentiment,
        tool_calls=(*since.done_calls, *proposed),
        sources=_sources(raw.get("sources")) if is_agent else None,
        signals={str(k): _signal(v) for k, v in signals.items()} if isinstance(signals, Mapping) else {},
        parent=_parent(raw.get("parent")) if is_agent else None,
        turn_index=ordinal,
    )


def _user(since: _Since, raw: Mapping[str, object], index: int) -> None:
    text = _said(raw)
    if text:
        since.messages.append(text)
        since.last_row = index
        since.seen = raw
    sentiment = _number(raw.get("sentiment"))
    since.sentiment = since.sentiment if sentiment is None else sentiment
    intent = _text(raw.get("intent"))
    if intent:
        since.topics.append(TopicScore(intent))


def _tool(since: _Since, raw: Mapping[str, object]) -> None:
    """Match a result to the oldest open call of that name, or to the oldest open one when the row names none."""
    name = _text(raw.get("tool_name"))
    failed = raw.get("tool_error") is True
    status: CallStatus = "error" if failed else "ok"
    error = (_text(raw.get("text")) or "error")[:TOOL_ERROR_CHARS_MAX] if failed else None
    output = None if failed else _said(raw)
    position = next((at for at, call in enumerate(since.open_calls) if name is None or call.name == name), None)
    if position is None:
        since.done_calls.append(ToolCall(name=name or UNNAMED_TOOL, status=status, error=error, output=output))
        return
    call = since.open_calls.pop(position)
    since.done_calls.append(replace(call, status=status, error=error, output=output))


def _calls(raw: Mapping[str, object]) -> tuple[ToolCall, ...]:
    calls = raw.get("tool_calls")
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        return ()
    return tuple(_call(call) for call in calls if isinstance(call, Mapping))


def _call(raw: Mapping[str, object]) -> ToolCall:
    args = raw.get("args")
    write = raw.get("write")
    amount = raw.get("amount_usd", raw.get("amount"))
    return ToolCall(
        name=_text(raw.get("name")) or UNNAMED_TOOL,
        args={str(k): v for k, v in args.items()} if isinstance(args, Mapping) else {},
        write=write if isinstance(write, bool) else None,
        amount=_number(amount),
    )


def _said(raw: Mapping[str, object]) -> str | None:
    text = raw.get("text")
    if not isinstance(text, str):
        return None
    return (_MARKER.sub(" ", text).strip() if "###" in text else text.strip())[:TEXT_CHARS_MAX] or None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _language(value: object) -> str | None:
    found = _LANGUAGE.match(value) if isinstance(value, str) else None
    return found.group(0) if found else None


def _index(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _within(value: int | None, most: int) -> int | None:
    return None if value is None or value > most else value


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _sources(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    return tuple(item for item in value if isinstance(item, str))


def _signal(value: object) -> Value:
    if isinstance(value, (bool, int, float, str)):
        scalar: Scalar = value
        return scalar
    if isinstance(value, Sequence):
        return frozenset(item for item in value if isinstance(item, str))
    return None
