"""How each signal is read from a turn and its conversation. Nothing is decided here; their table is `signal_table`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from rules.chains.standing import CHAIN_SIGNALS, values_of
from rules.decision import Evidence
from rules.evaluation.call_values import SignalType, read_as
from rules.evaluation.comparisons import NUMBER_MAX
from rules.evaluation.late_signals import LATE, MESSAGE_HASH, REPLY_HASH, Asked, LateReader
from rules.evaluation.signal_table import CUSTOMER_PREFIX, SIGNALS
from rules.model import RuleFiles
from rules.text.normalise import normalise
from rules.turn import CHAINED, Conversation, ToolCall, Turn, TurnRecord, Value

# A caller that sends a whole distribution means the topics it believes in, not all of them.
TOPIC_SCORE_MIN = 0.5
_RECORDED = tuple(spec.name for spec in SIGNALS.values() if spec.recorded)
_NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of every turn under one set of rule files. Worked out once, because all of it runs on every turn.

    `late` are the signals that no turn leaves behind, as far as they are asked for, and `no_chain` those of a chain, as
    they are where there is none; `meanings` the topics that mean something; `declared` each declared signal with the
    name it is sent under and where: customer or signals.
    """

    timezone: str
    late: tuple[tuple[str, LateReader], ...]
    meanings: Mapping[str, str]
    says_yes: bool
    declared: tuple[tuple[str, str, bool, SignalType], ...]
    no_chain: Mapping[str, None]


def reading_of(files: RuleFiles, asked: Iterable[str] = (*LATE, *CHAIN_SIGNALS)) -> Reading:
    """Return what is to be read: the recorded and the declared signals, and of the others those that are asked for."""
    wanted = frozenset(asked)
    meanings = {name: topic.means for name, topic in files.topics.items() if topic.means is not None}
    return Reading(
        files.timezone,
        tuple((name, LATE[name]) for name in LATE if name in wanted),
        meanings,
        "confirmed" in meanings.values(),
        tuple(
            (name, name.removeprefix(CUSTOMER_PREFIX), name.startswith(CUSTOMER_PREFIX), declaration.type)
            for name, declaration in files.signals.items()
        ),
        {name: None for name in CHAIN_SIGNALS if name in wanted},
    )


def read(
    files: RuleFiles, turn: Turn, conversation: Conversation, now_ms: int, evidence: tuple[Evidence, ...]
) -> dict[str, Value]:
    """Return every signal of the turn by name, None where it is unknown; declared signals included.

    `evidence` is where the topics were found in the turn's texts.
    """
    reading = reading_of(files)
    return read_late(reading, read_kept(reading, turn, conversation, evidence), turn, conversation, now_ms)


def read_kept(
    reading: Reading, turn: Turn, conversation: Conversation, evidence: tuple[Evidence, ...]
) -> dict[str, Value]:
    """Return the signals that are kept with a turn, None where unknown: the recorded ones, the declared, the hashes.

    This runs on every turn, so it is written flat.
    """
    message, draft, sources, calls = turn.message, turn.reply, turn.sources, turn.tool_calls
    topics, reply_topics, asks_for_person, confirmed = _topics(reading, turn, evidence)
    proposed, failed, errors_count, writes_count, amount = _calls(calls) if calls else _NO_CALLS
    values: dict[str, Value] = {
        "confidence": read_as(turn.confidence, "number"),
        "sentiment": read_as(turn.sentiment, "number"),
        "message_length": None if message is None else len(message),
        "reply_length": None if draft is None else len(draft),
        "topics": topics,
        "reply_topics": reply_topics,
        "asks_for_person": asks_for_person,
        "confirmed": _confirmed_before(conversation.past) if message is None else confirmed,
        "sources_count": None if sources is None else len(sources),
        "tools": frozenset([call.name for call in calls]) if calls else _NO_NAMES,
        "tools_proposed": proposed,
        "tools_failed": failed,
        "tool_calls_count": len(calls),
        "tool_errors_count": errors_count,
        "writes_proposed_count": writes_count,
        "output_topics": _output_topics(calls, evidence) if calls else None,
        "amount_usd_max": amount,
        MESSAGE_HASH: None if message is None else _digest(message, turn.conversation_id),
        REPLY_HASH: None if draft is None else _digest(draft, turn.conversation_id),
    }
    for name, sent_as, by_customer, kind in reading.declared:
        given = turn.customer.attributes.get(sent_as) if by_customer else turn.signals.get(name)
        values[name] = read_as(given, kind)
    if turn.parent is not None or conversation.chained:
        values[CHAINED] = True
    return values


def read_late(
    reading: Reading, values: dict[str, Value], turn: Turn, conversation: Conversation, now_ms: int
) -> dict[str, Value]:
    """Add to the kept signals the others that are asked for, and return them all."""
    if reading.late:
        asked = Asked(turn, conversation, now_ms, values, reading.timezone)
        for name, late in reading.late:
            values[name] = late(asked)
    if turn.parent is not None or conversation.chained:
        values |= values_of(turn, conversation)
    elif reading.no_chain:
        values |= reading.no_chain
    return values


def record(files: RuleFiles, turn: Turn, values: Mapping[str, Value], now_ms: int) -> TurnRecord:
    """Return what later turns may look back at: the recorded signals that are known, and the texts' hashes."""
    chained = (CHAINED,) if CHAINED in values else ()
    names = (*_RECORDED, *files.signals, MESSAGE_HASH, REPLY_HASH, *chained)
    return record_kept(turn, {name: values[name] for name in names}, now_ms)


def record_kept(turn: Turn, kept: Mapping[str, Value], now_ms: int) -> TurnRecord:
    """Return what later turns may look back at: of the kept signals those that are known."""
    known = {name: value for name, value in kept.items() if value is not None}
    return TurnRecord(turn.turn_id, now_ms, known, turn.turn_index, turn)


def _topics(
    reading: Reading, turn: Turn, evidence: tuple[Evidence, ...]
) -> tuple[frozenset[str] | None, frozenset[str] | None, bool | None, bool | None]:
    """Return the topics of the message, those of the draft, and what the message means: one value a meaning."""
    message_known = turn.message is not None
    asks = False if message_known else None
    # Where no topic says what a yes looks like, the lack of one is no refusal.
    confirmed = False if message_known and reading.says_yes else None
    if not evidence and not turn.topics:
        return _NO_NAMES if message_known else None, None if turn.reply is None else _NO_NAMES, asks, confirmed
    found = [hit.topic for hit in evidence if hit.inside == "message"]
    found += [sent.name for sent in turn.topics if sent.score is None or sent.score >= TOPIC_SCORE_MIN]
    meant = {reading.meanings[name] for name in found if name in reading.meanings}
    return (
        frozenset(found) if message_known or turn.topics else None,
        None if turn.reply is None else frozenset([hit.topic for hit in evidence if hit.inside == "reply"]),
        True if "asks_for_person" in meant else asks,
        True if "confirmed" in meant else confirmed,
    )


def _output_topics(calls: tuple[ToolCall, ...], evidence: tuple[Evidence, ...]) -> frozenset[str] | None:
    """Return the topics of what the calls gave back; None when nobody said what that was."""
    for call in calls:
        if call.output is not None:
            return frozenset([hit.topic for hit in evidence if hit.inside == "tool_output"])
    return None


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


def _confirmed_before(past: Sequence[TurnRecord]) -> bool | None:
    """Return what the latest message of the turns before meant; None when there was none.

    Agents look things up between a customer's yes and the call it was given for: the yes holds until the next message.
    """
    return next(
        (known for earlier in reversed(past) if isinstance(known := earlier.values.get("confirmed"), bool)), None
    )
