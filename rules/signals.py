"""The table of signals, and how each is read from a turn and its conversation. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache
from hashlib import blake2b
from math import isfinite
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from rules.comparisons import NUMBER_MAX
from rules.decision import Evidence
from rules.model import RuleFiles
from rules.normalise import normalise
from rules.turn import Conversation, ToolCall, Turn, TurnRecord, Value

SignalType: TypeAlias = Literal["number", "text", "bool", "set"]
# What a number counts, which decides how its operand is written: `90s` for ms, `18:00` for minutes, a date for day.
Unit: TypeAlias = Literal["ratio", "score", "characters", "count", "usd", "ms", "hour", "minutes", "day"]

# A caller that sends a whole distribution means the topics it believes in, not all of them.
TOPIC_SCORE_MIN = 0.5
# Deeper or further than any tool's arguments that were seen; what lies beyond reads as unknown.
ARGS_DEPTH_MAX = 4
ARGS_READ_MAX = 200

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# The names under which a turn's texts are remembered for `message_repeats` and `reply_repeats`: no rule can say them.
MESSAGE_HASH = "_message"
REPLY_HASH = "_reply"

_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
# 1970-01-01 counted as datetime.date.toordinal() does, from 0001-01-01 = 1; it was a Thursday.
_EPOCH_ORDINAL = 719_163
_EPOCH_WEEKDAY = 3
CUSTOMER_PREFIX = "customer."


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """One row of the table: what a rule file may say of a signal.

    `recorded` ones are kept with each decided turn, so aggregates may look back at them. `low` and `high` bound a
    number, `values` lists all that a text can be; an operand outside of them is a mistake in the rule file.
    """

    name: str
    type: SignalType
    unit: Unit | None
    group: str
    about: str
    recorded: bool = False
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()


def _table(*rows: SignalSpec) -> dict[str, SignalSpec]:
    return {row.name: row for row in rows}


SIGNALS: dict[str, SignalSpec] = _table(
    SignalSpec("confidence", "number", "ratio", "turn", "how sure the agent says it is", True, 0.0, 1.0),
    SignalSpec("sentiment", "number", "score", "turn", "how the customer feels, from -1 to 1", True, -1.0, 1.0),
    SignalSpec("message_present", "bool", None, "turn", "the customer wrote something besides white space"),
    SignalSpec("message_length", "number", "characters", "turn", "length of the customer's message", True, 0),
    SignalSpec("message_repeats", "number", "count", "turn", "earlier turns with the same message", low=0),
    SignalSpec("draft_present", "bool", None, "turn", "the agent drafted a reply"),
    SignalSpec("reply_length", "number", "characters", "turn", "length of the agent's draft", True, 0),
    SignalSpec("reply_repeats", "number", "count", "turn", "earlier turns with the same reply", low=0),
    SignalSpec("language", "text", None, "turn", "language of the locale: `es` of `es-MX`"),
    SignalSpec("locale", "text", None, "turn", "locale as the caller sent it: `es-MX`"),
    SignalSpec("channel", "text", None, "turn", "where the conversation takes place, as the caller names it"),
    SignalSpec("topics", "set", None, "turn", "topics found in the message or sent by the caller", True),
    SignalSpec("reply_topics", "set", None, "turn", "topics found in the agent's draft", True),
    SignalSpec("asks_for_person", "bool", None, "turn", "the customer asks for a person", True),
    SignalSpec("confirmed", "bool", None, "turn", "the customer's latest message agrees to what was proposed", True),
    SignalSpec("sources", "set", None, "turn", "sources that the draft rests on, as the caller names them"),
    SignalSpec("sources_count", "number", "count", "turn", "number of these sources", True, 0),
    SignalSpec("customer.id", "text", None, "customer", "the caller's id of the customer"),
    SignalSpec("customer.tier", "text", None, "customer", "the customer's tier, as the caller names it"),
    SignalSpec("agent.id", "text", None, "agent", "which agent speaks"),
    SignalSpec("agent.version", "text", None, "agent", "version of that agent"),
    SignalSpec("agent.prompt_version", "text", None, "agent", "version of that agent's prompt"),
    SignalSpec("parent.agent", "text", None, "agent", "the agent that handed the conversation over"),
    SignalSpec("tools", "set", None, "tools", "names of all tool calls of the turn", True),
    SignalSpec("tools_proposed", "set", None, "tools", "names of the calls that are proposed, not yet run", True),
    SignalSpec("tools_failed", "set", None, "tools", "names of the calls that ended in an error", True),
    SignalSpec("tool_calls_count", "number", "count", "tools", "number of tool calls of the turn", True, 0),
    SignalSpec("tool_errors_count", "number", "count", "tools", "number of those that ended in an error", True, 0),
    SignalSpec("writes_proposed_count", "number", "count", "tools", "proposed calls that change something", True, 0),
    SignalSpec("amount_usd_max", "number", "usd", "tools", "largest amount of the turn's tool calls", True, 0),
    SignalSpec("turn_count", "number", "count", "conversation", "turns so far, this one included", low=0),
    SignalSpec("elapsed_ms", "number", "ms", "conversation", "time since the first turn", low=0),
    SignalSpec("since_last_turn_ms", "number", "ms", "conversation", "time since the turn before", low=0),
    SignalSpec("tool_errors_total", "number", "count", "conversation", "failed tool calls, this turn included", low=0),
    SignalSpec("handoffs_count", "number", "count", "conversation", "handoffs that this conversation had", low=0),
    SignalSpec("since_handoff_ms", "number", "ms", "conversation", "time since the last handoff ended", low=0),
    SignalSpec("clock.weekday", "text", None, "clock", "day of the week", values=WEEKDAYS),
    SignalSpec("clock.hour", "number", "hour", "clock", "hour of the day, 0 to 23", low=0, high=23),
    SignalSpec("clock.time", "number", "minutes", "clock", "time of the day", low=0, high=1439),
    SignalSpec("clock.date", "number", "day", "clock", "the date"),
)

# What a condition inside `tool_call` may speak of, besides `args.NAME`.
CALL_SIGNALS: dict[str, SignalSpec] = _table(
    SignalSpec("name", "text", None, "call", "name of the tool"),
    SignalSpec("write", "bool", None, "call", "the call changes something"),
    SignalSpec("amount_usd", "number", "usd", "call", "amount that the caller gave, in US dollars", low=0),
    SignalSpec("status", "text", None, "call", "how far the call is", values=("proposed", "ok", "error")),
    SignalSpec("error", "text", None, "call", "the error it ended in"),
    SignalSpec("has_error", "bool", None, "call", "it ended in an error"),
    SignalSpec("args_items_max", "number", "count", "call", "length of the longest list in its arguments", low=0),
)
ARGS_PREFIX = "args."

# What a topic may mean besides itself: the signal that it feeds.
MEANINGS: tuple[str, ...] = ("asks_for_person", "confirmed")

_RECORDED = tuple(spec.name for spec in SIGNALS.values() if spec.recorded)
_NO_NAMES: frozenset[str] = frozenset()


def read_as(given: object, kind: SignalType) -> Value:
    """Return the value when it is of that type, else None: a wrong type is unknown, never an error or a guess."""
    if kind == "number":
        # A bool is a Python int, and NaN is no number that a rule could mean.
        number = type(given) is int or (type(given) is float and isfinite(given))
        return given if number else None  # type: ignore[return-value]  # `number` has narrowed it
    if kind == "text":
        return given if isinstance(given, str) else None
    if kind == "bool":
        return given if isinstance(given, bool) else None
    if isinstance(given, (frozenset, set, list, tuple)) and all(isinstance(item, str) for item in given):
        return frozenset(given)
    return None


def read(
    files: RuleFiles, turn: Turn, conversation: Conversation, now_ms: int, evidence: tuple[Evidence, ...]
) -> dict[str, Value]:
    """Return every signal of the turn by name, None where it is unknown; declared signals included.

    `evidence` is where the topics were found in the turn's texts. This runs on every turn, so it is written flat.
    """
    message, draft, locale, customer, agent = turn.message, turn.reply, turn.locale, turn.customer, turn.agent
    past = conversation.past
    topics, reply_topics, asks_for_person, confirmed = _topics(files, turn, evidence)
    proposed, failed, errors_count, writes_count, amount = _calls(turn.tool_calls) if turn.tool_calls else _NO_CALLS
    weekday, date, minutes = _clock(files.timezone, now_ms)
    message_hash = None if message is None else _digest(message, turn.conversation_id)
    reply_hash = None if draft is None else _digest(draft, turn.conversation_id)
    values: dict[str, Value] = {
        "confidence": read_as(turn.confidence, "number"),
        "sentiment": read_as(turn.sentiment, "number"),
        "message_present": message is not None and not (message == "" or message.isspace()),
        "message_length": None if message is None else len(message),
        "message_repeats": None if message_hash is None else _repeats(past, MESSAGE_HASH, message_hash),
        "draft_present": draft is not None and not (draft == "" or draft.isspace()),
        "reply_length": None if draft is None else len(draft),
        "reply_repeats": None if reply_hash is None else _repeats(past, REPLY_HASH, reply_hash),
        "language": None if locale is None else locale.replace("_", "-").partition("-")[0].lower(),
        "locale": locale,
        "channel": turn.channel,
        "topics": topics,
        "reply_topics": reply_topics,
        "asks_for_person": asks_for_person,
        "confirmed": _confirmed_before(past) if message is None else confirmed,
        "sources": None if turn.sources is None else frozenset(turn.sources),
        "sources_count": None if turn.sources is None else len(turn.sources),
        "customer.id": customer.id,
        "customer.tier": customer.tier,
        "agent.id": agent.id,
        "agent.version": agent.version,
        "agent.prompt_version": agent.prompt_version,
        "parent.agent": None if turn.parent is None else turn.parent.agent,
        "tools": frozenset([call.name for call in turn.tool_calls]) if turn.tool_calls else _NO_NAMES,
        "tools_proposed": proposed,
        "tools_failed": failed,
        "tool_calls_count": len(turn.tool_calls),
        "tool_errors_count": errors_count,
        "writes_proposed_count": writes_count,
        "amount_usd_max": amount,
        "turn_count": conversation.turns_count + 1,
        "elapsed_ms": _since(conversation.started_at_ms, now_ms) or 0,
        "since_last_turn_ms": _since(past[-1].at_ms, now_ms) if past else None,
        "tool_errors_total": errors_count + _errors_before(past),
        "handoffs_count": conversation.handoffs_count,
        "since_handoff_ms": _since(conversation.last_handoff_at_ms, now_ms),
        "clock.weekday": weekday,
        "clock.hour": None if minutes is None else minutes // 60,
        "clock.time": minutes,
        "clock.date": date,
        MESSAGE_HASH: message_hash,
        REPLY_HASH: reply_hash,
    }
    return _with_declared(files, turn, values) if files.signals else values


def _with_declared(files: RuleFiles, turn: Turn, values: dict[str, Value]) -> dict[str, Value]:
    attributes = turn.customer.attributes
    for name, declaration in files.signals.items():
        given = attributes.get(name[9:]) if name.startswith(CUSTOMER_PREFIX) else turn.signals.get(name)
        values[name] = read_as(given, declaration.type)
    return values


def _since(at_ms: int | None, now_ms: int) -> int | None:
    # Clocks of two processes differ a little: a time that seems to run backwards is no time at all.
    return None if at_ms is None else max(0, now_ms - at_ms)


def record(files: RuleFiles, turn: Turn, values: Mapping[str, Value], now_ms: int) -> TurnRecord:
    """Return what later turns may look back at: the recorded signals that are known, and the texts' hashes."""
    kept = {name: value for name in _RECORDED if (value := values[name]) is not None}
    for name in files.signals:
        if (value := values[name]) is not None:
            kept[name] = value
    for name in (MESSAGE_HASH, REPLY_HASH):
        if (value := values[name]) is not None:
            kept[name] = value
    return TurnRecord(turn.turn_id, now_ms, kept, turn.turn_index)


def call_values(call: ToolCall) -> dict[str, Value]:
    """Return CALL_SIGNALS of one call by name, and its arguments as `args.NAME`, nested ones as `args.NAME.NAME`.

    A name that is not there is unknown, and so is an argument that is neither number, text, bool nor list of texts.
    """
    values: dict[str, Value] = {
        "name": call.name,
        "write": call.write,
        "amount_usd": read_as(call.amount, "number"),
        "status": call.status,
        "error": call.error,
        "has_error": call.status == "error" or call.error is not None,
        "args_items_max": 0,
    }
    if call.args:
        lists = [len(given) for given in call.args.values() if isinstance(given, (list, tuple))]
        values["args_items_max"] = max(lists, default=0)
        _flatten(call.args, ARGS_PREFIX, values, ARGS_DEPTH_MAX)
    return values


def _topics(
    files: RuleFiles, turn: Turn, evidence: tuple[Evidence, ...]
) -> tuple[frozenset[str] | None, frozenset[str] | None, bool | None, bool | None]:
    """Return the topics of the message, those of the draft, and what the message means: one value a meaning."""
    message_known = turn.message is not None
    asks = False if message_known else None
    # Where no topic says what a yes looks like, the lack of one is no refusal.
    confirmed = False if message_known and _has_meaning(files, "confirmed") else None
    if not evidence and not turn.topics:
        return _NO_NAMES if message_known else None, None if turn.reply is None else _NO_NAMES, asks, confirmed
    found = [hit.topic for hit in evidence if hit.inside == "message"]
    found += [sent.name for sent in turn.topics if sent.score is None or sent.score >= TOPIC_SCORE_MIN]
    meant = {files.topics[name].means for name in found if name in files.topics}
    return (
        frozenset(found) if message_known or turn.topics else None,
        None if turn.reply is None else frozenset([hit.topic for hit in evidence if hit.inside == "reply"]),
        True if "asks_for_person" in meant else asks,
        True if "confirmed" in meant else confirmed,
    )


def _has_meaning(files: RuleFiles, meaning: str) -> bool:
    # A loop, for `any` over a generator takes twice as long and this runs on every turn.
    for topic in files.topics.values():  # noqa: SIM110  # see above
        if topic.means == meaning:
            return True
    return False


_NO_CALLS: tuple[frozenset[str], frozenset[str], int, int, float | None] = (_NO_NAMES, _NO_NAMES, 0, 0, None)


def _calls(calls: tuple[ToolCall, ...]) -> tuple[frozenset[str], frozenset[str], int, int, float | None]:
    """Return the names proposed, the names failed, the errors, the writes proposed and the largest amount."""
    proposed, failed = [], []
    writes_count, amount_max = 0, None
    for call in calls:
        if call.status == "proposed":
            proposed.append(call.name)
            writes_count += call.write is True
        elif call.status == "error":
            failed.append(call.name)
        amount = call.amount
        if amount is not None and -NUMBER_MAX <= amount <= NUMBER_MAX and (amount_max is None or amount > amount_max):
            amount_max = amount
    return frozenset(proposed), frozenset(failed), len(failed), writes_count, amount_max


def _digest(text: str, conversation_id: str) -> str | None:
    """Return what tells two texts of one conversation apart without keeping either; None for an empty one.

    Salted with the conversation, so equal texts of two customers do not show as equal.
    """
    words = normalise(text)
    if not words:
        return None
    salted = f"{conversation_id}\0{words}".encode("utf-8", "replace")
    return blake2b(salted, digest_size=8).hexdigest()


def _repeats(past: tuple[TurnRecord, ...], name: str, digest: str) -> int:
    return sum(1 for earlier in past if earlier.values.get(name) == digest)


def _confirmed_before(past: tuple[TurnRecord, ...]) -> bool | None:
    """Return what the latest message of the turns before meant; None when there was none.

    Agents look things up between a customer's yes and the call it was given for: the yes holds until the next message.
    """
    return next(
        (known for earlier in reversed(past) if isinstance(known := earlier.values.get("confirmed"), bool)), None
    )


def _errors_before(past: tuple[TurnRecord, ...]) -> int:
    total = 0
    for earlier in past:
        count = earlier.values.get("tool_errors_count")
        if type(count) is int:
            total += count
    return total


def _clock(zone: str, now_ms: int) -> tuple[str | None, int | None, int | None]:
    """Return the weekday, the date as an ordinal and the minutes since midnight in that time zone."""
    if zone != "UTC":
        try:
            moment = datetime.fromtimestamp(now_ms / 1000, _zone(zone))
        except (OverflowError, OSError, ValueError):
            return None, None, None
        return WEEKDAYS[moment.weekday()], moment.toordinal(), moment.hour * 60 + moment.minute
    days, into_day_ms = divmod(now_ms, _DAY_MS)
    return WEEKDAYS[(days + _EPOCH_WEEKDAY) % 7], days + _EPOCH_ORDINAL, into_day_ms // _MINUTE_MS


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    return ZoneInfo(name)


def _flatten(args: Mapping[str, object], prefix: str, values: dict[str, Value], depth: int) -> None:
    for name, given in args.items():
        if len(values) >= ARGS_READ_MAX:
            return
        if isinstance(given, Mapping):
            if depth > 1:
                _flatten(given, f"{prefix}{name}.", values, depth - 1)
        elif isinstance(given, (str, bool)):
            values[f"{prefix}{name}"] = given
        elif isinstance(given, (int, float)):
            values[f"{prefix}{name}"] = read_as(given, "number")
        elif isinstance(given, (list, tuple)):
            values[f"{prefix}{name}"] = read_as(given, "set")
