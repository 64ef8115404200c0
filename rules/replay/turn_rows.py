"""Conversations to the rows of a turn log: values by column, as plain lists. No frame is made and no rule is asked.

A row holds what rules may ask of a turn whatever the rule files say: the signals that they do not bear upon, what the
caller sent, and which topics were found. What rule files decide (`topics`, `asks_for_person`, declared types, time
zones) is worked out when a log is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import TypeAlias

from rules.decision import Evidence, Inside
from rules.evaluation import signals
from rules.evaluation.call_values import SignalType, call_values, read_as
from rules.evaluation.comparisons import kind_of
from rules.evaluation.evaluate import find_topics
from rules.evaluation.signal_table import CALL_SIGNALS, CUSTOMER_PREFIX, MEANINGS, SIGNALS, TOPIC_SETS
from rules.evaluation.signals import TOPIC_SCORE_MIN
from rules.history import cut, remember
from rules.model import RuleFiles, Topic
from rules.replay.transcripts import Recorded, RecordedTurn
from rules.text.mask import mask
from rules.text.topics import Matcher
from rules.turn import Conversation, ToolCall, Turn, Value

# Columns of one table for what callers send (signals, customer attributes, arguments of calls). Agents of one company
# send some dozens; a caller that makes up names must not make up columns without end.
SENT_COLUMNS_MAX = 1_000
# What a rule file can write as a name: nobody can ask for another.
_ASKED = re.compile(r"\w[\w.\-]{0,159}")
# From 1973, when the last zone's clock began to run by whole minutes, to the year 9999; a time beyond is judged apart.
_AT_MS_MIN, _AT_MS_MAX = 94_694_400_000, 253_402_300_799_999

# The signals that depend on the rule files, which no log can hold.
OF_RULE_FILES: frozenset[str] = frozenset(
    {*TOPIC_SETS, *MEANINGS, *(name for name in SIGNALS if name.startswith("clock."))}
)
KEPT: tuple[str, ...] = tuple(name for name in SIGNALS if name not in OF_RULE_FILES)
KINDS: tuple[SignalType, ...] = ("number", "text", "bool", "set")
# The columns of the topics that were found, by the text they were found in: null where there was no such text.
FOUND: Mapping[Inside, str] = {inside: f"{name}_found" for name, inside in TOPIC_SETS.items()}
TOPICS_SENT = "topics_sent"

Cell: TypeAlias = float | int | str | bool | None
_NO_RULES = RuleFiles("", {}, {}, {}, {}, ())


class LogUnreadable(Exception):
    """What stands there is no turn log that can be read; the message is the fact."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The handoff that ended a stretch: when, in which queue, how long a person worked on it, and how it went."""

    at_ms: int
    queue: str | None = None
    handling_ms: int | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A conversation from its start, or from the end of a handoff, to the end of the next one: what counts together.

    Aggregates never look past its start. `needed` holds the labels that say whether a person was needed.
    """

    turns: tuple[RecordedTurn, ...]
    ended: Ended | None = None
    needed: Mapping[str, bool] = field(default_factory=dict)
    synthetic_clock: bool = False


def stretches_of(recorded: Recorded) -> tuple[Stretch, ...]:
    """Return a recorded conversation as one stretch, which ended where a person took it, if one did."""
    truth = recorded.truth
    ended = None
    if recorded.turns and (truth.handling_ms is not None or truth.outcome is not None):
        ended = Ended(recorded.turns[-1].at_ms, truth.handling_queue, truth.handling_ms, truth.outcome)
    return (Stretch(recorded.turns, ended, truth.labels, recorded.clock == "synthetic"),)


class Table:
    """Columns that grow row by row; one that appears late is filled up with nothing."""

    __slots__ = ("_sent", "columns", "height", "left_out")

    def __init__(self) -> None:
        self.columns: dict[str, list[Cell]] = {}
        self.height = 0
        self.left_out: set[str] = set()
        self._sent = 0

    def add(self, row: Mapping[str, Cell], sent: Mapping[str, Cell] | None = None) -> None:
        """Append a row; columns of `sent` past SENT_COLUMNS_MAX are left out and remembered by name."""
        for name, cell in row.items():
            self._column(name).append(cell)
        for name, cell in (sent or {}).items():
            if name not in self.columns:
                if self._sent >= SENT_COLUMNS_MAX:
                    # As many names again tell what is missing; more would be the same flood.
                    if len(self.left_out) < SENT_COLUMNS_MAX:
                        self.left_out.add(name)
                    continue
                self._sent += 1
            self._column(name).append(cell)
        self.height += 1

    def filled(self) -> dict[str, list[Cell]]:
        """Return all columns at the same length."""
        for name in self.columns:
            self._column(name)
        return self.columns

    def _column(self, name: str) -> list[Cell]:
        column = self.columns.setdefault(name, [])
        column.extend([None] * (self.height - len(column)))
        return column


@dataclass(frozen=True, slots=True)
class Definition:
    """What a log has found a topic by: the hash of its phrases and patterns, and the texts that were read."""

    hash: str
    inside: frozenset[str]


def definition_of(topic: Topic) -> Definition:
    """Return what tells whether two topics are found in the same texts, whatever they are called and mean."""
    words = json.dumps([sorted(topic.phrases), sorted(topic.patterns), sorted(topic.unless)])
    return Definition(blake2b(words.encode(), digest_size=16).hexdigest(), topic.inside)


class Rows:
    """Gathers conversations into the three tables of a log: turns, their tool calls, and stretches.

    Topics are found by the definitions of all the rule files given: a name that means two things stands under two.
    `masked` takes personal data out of everything that a person wrote, for what is to lie on a disk.
    """

    def __init__(self, files: Iterable[RuleFiles], *, masked: bool) -> None:
        self.turns, self.calls, self.stretches = Table(), Table(), Table()
        self.masked = masked
        topics = _distinct_topics(files)
        self.topics = {name: definition_of(topic) for name, topic in topics.items()}
        self._matcher = Matcher(topics)
        self._sets: dict[frozenset[str], str] = {}

    def clear(self) -> None:
        """Begin anew, with the same topics."""
        self.turns, self.calls, self.stretches = Table(), Table(), Table()

    @property
    def left_out(self) -> frozenset[str]:
        """Return the columns for which there was no room."""
        return frozenset(self.turns.left_out | self.calls.left_out)

    def add(self, conversation_id: str, stretches: Sequence[Stretch]) -> None:
        """Append a conversation, all its turns as they came, each with what was remembered when it came."""
        conversation = Conversation(conversation_id)
        for stretch in stretches:
            first_row, odd = self.turns.height, False
            previous_at_ms: int | None = None
            for recorded in stretch.turns:
                turn, at_ms = recorded.turn, recorded.at_ms
                values = signals.read(_NO_RULES, turn, conversation, at_ms, ())
                conversation = remember(conversation, signals.record(_NO_RULES, turn, values, at_ms))
                exact = self._add_turn(turn, at_ms, values)
                # Times that run backwards are told apart turn by turn, not by where they stand in a column.
                odd = odd or exact or (previous_at_ms is not None and at_ms < previous_at_ms)
                previous_at_ms = at_ms
            self._add_stretch(conversation_id, stretch, first_row, odd)
            if stretch.ended is not None:
                ended_at_ms = stretch.ended.at_ms
                conversation = cut(conversation, ended_at_ms)
                count = conversation.handoffs_count + 1
                conversation = replace(conversation, handoffs_count=count, last_handoff_at_ms=ended_at_ms)

    def _add_stretch(self, conversation_id: str, stretch: Stretch, first_row: int, odd: bool) -> None:
        ended = stretch.ended
        plain, exact_id = _plain_text(conversation_id)
        self.stretches.add(
            {
                "conversation_id": plain,
                "exact_id": exact_id,
                "first_row": first_row,
                "rows": self.turns.height - first_row,
                "odd": odd,
                "synthetic_clock": stretch.synthetic_clock,
                "ended_at_ms": None if ended is None else ended.at_ms,
                "queue": None if ended is None else ended.queue,
                "handling_ms": None if ended is None else ended.handling_ms,
                "outcome": None if ended is None else ended.outcome,
            },
            {f"needed.{label}": needed for label, needed in stretch.needed.items()},
        )

    def _add_turn(self, turn: Turn, at_ms: int, values: Mapping[str, Value]) -> bool:
        """Append one turn and return whether it holds what a column cannot: such values are kept as JSON as well."""
        exact: dict[str, Cell] = {}
        evidence = find_topics(self._matcher, turn)
        row: dict[str, Cell] = {
            "stretch": self.stretches.height,
            "turn_id": _plain_text(turn.turn_id)[0],
            "at_ms": at_ms if _AT_MS_MIN <= at_ms <= _AT_MS_MAX else _AT_MS_MIN,
            **{name: self._cell(name, values[name], exact) for name in KEPT},
            **self._topics(turn, evidence),
            "message": self._text(turn.message),
            "reply": self._text(turn.reply),
            "calls": self._calls_text(turn.tool_calls),
        }
        if row["at_ms"] != at_ms:
            exact["at_ms"] = at_ms
        sent: dict[str, Cell] = {}
        self._sent(sent, "", turn.signals, exact)
        self._sent(sent, CUSTOMER_PREFIX, turn.customer.attributes, exact)
        row["exact"] = json.dumps(exact) if exact else None
        for call in turn.tool_calls:
            # A call's odd values need no place of their own: `calls` has them all.
            self._add_call(call, exact)
        self.turns.add(row, sent)
        return bool(exact)

    def _topics(self, turn: Turn, evidence: Sequence[Evidence]) -> dict[str, Cell]:
        found: dict[Inside, set[str]] = {inside: set() for inside in FOUND}
        for hit in evidence:
            found[hit.inside].add(hit.topic)
        known: dict[Inside, bool] = {
            "message": turn.message is not None,
            "reply": turn.reply is not None,
            "tool_output": any(call.output is not None for call in turn.tool_calls),
        }
        sent = [topic.name for topic in turn.topics if topic.score is None or topic.score >= TOPIC_SCORE_MIN]
        return {
            **{FOUND[inside]: json.dumps(sorted(found[inside])) if known[inside] else None for inside in FOUND},
            TOPICS_SENT: self._set_text(frozenset(sent)) if turn.topics else None,
        }

    def _add_call(self, call: ToolCall, exact: dict[str, Cell]) -> None:
        odd: dict[str, Cell] = {}
        row: dict[str, Cell] = {"row": self.turns.height}
        args: dict[str, Cell] = {}
        for name, value in call_values(call).items():
            if name in CALL_SIGNALS:
                row[name] = self._cell(name, value, odd)
            elif value is not None and _ASKED.fullmatch(name):
                args[f"{name}:{kind_of(value)}"] = self._cell(name, value, odd)
        self.calls.add(row, args)
        if odd:
            exact["calls"] = True

    def _sent(self, row: dict[str, Cell], prefix: str, given: Mapping[str, object], exact: dict[str, Cell]) -> None:
        for name, value in given.items():
            if not _ASKED.fullmatch(name):
                continue
            for kind in KINDS:
                read = read_as(value, kind)
                if read is not None:
                    column = f"sent.{prefix}{name}:{kind}"
                    row[column] = self._cell(column, read, exact)

    def _cell(self, name: str, value: Value, exact: dict[str, Cell]) -> Cell:
        """Return a value as its column holds it; what no column holds exactly is unknown there and put into `exact`."""
        kind = kind_of(value)
        if kind is None:
            return None
        if isinstance(value, frozenset):
            return self._set_text(value)
        if isinstance(value, str):
            text = self._text(value)
            if text is not None:
                return text
        elif isinstance(value, bool):
            return value
        elif isinstance(value, float | int) and float(value) == value:
            return float(value)
        exact[name] = value
        return None

    def _text(self, text: str | None) -> str | None:
        """Return a text as the log holds it; None also for one with half a character, which no column can hold."""
        if text is None or _plain_text(text)[1] is not None:
            return None
        return mask(text).text if self.masked else text

    def _set_text(self, members: frozenset[str]) -> str:
        """Return a set as its column holds it, a JSON list: equal sets are equal texts."""
        text = self._sets.get(members)
        if text is None:
            shown = [mask(member).text for member in members] if self.masked else members
            text = self._sets[members] = json.dumps(sorted(set(shown)))
        return text

    def _calls_text(self, calls: tuple[ToolCall, ...]) -> str | None:
        if not calls:
            return None
        # What a tool gave back is read for topics, and kept nowhere: only that there was something.
        told = [asdict(replace(call, output=None if call.output is None else "")) for call in calls]
        return json.dumps([_masked(call) if self.masked else call for call in told], default=list)


def _masked(value: object) -> object:
    if isinstance(value, str):
        return mask(value).text
    if isinstance(value, Mapping):
        return {name: _masked(inner) for name, inner in value.items()}
    return [_masked(inner) for inner in value] if isinstance(value, list | tuple | set | frozenset) else value


def _plain_text(text: str) -> tuple[str, str | None]:
    """Return the text as UTF-8 can hold it, and as JSON when that is not all of it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode(), json.dumps(text)
    return text, None


def _distinct_topics(files: Iterable[RuleFiles]) -> dict[str, Topic]:
    topics: dict[str, Topic] = {}
    for name, topic in (item for each in files for item in each.topics.items()):
        definition = definition_of(topic)
        known = topics.get(name)
        if known is not None and definition_of(known) != definition:
            name = f"{name}@{definition.hash[:8]}+{'+'.join(sorted(topic.inside))}"  # noqa: PLW2901  # another thing
        topics.setdefault(name, replace(topic, name=name))
    return topics
