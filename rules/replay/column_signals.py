"""The signals of a part of a turn log as one ruleset reads them: what is kept as it is, what its files decide anew.

Topics are taken from the log where it found them by the same phrases; others are looked for in the texts that it kept.
Where it kept none they are unknown, and counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import polars as pl

from rules.evaluation.call_values import SignalType
from rules.evaluation.comparisons import COMPARISONS, tester
from rules.evaluation.late_signals import WEEKDAYS
from rules.evaluation.signal_table import SIGNALS, TOPIC_SETS
from rules.model import Compare, RuleFiles, Span, Topic
from rules.replay.column_leaves import (
    Leaf,
    Sets,
    Truth,
    absent,
    bool_leaf,
    coded_leaf,
    every,
    number_leaf,
    opposite,
    set_leaf,
    some,
)
from rules.replay.column_stages import Staged
from rules.replay.turn_log import About, Part
from rules.replay.turn_rows import FOUND, OF_RULE_FILES, TOPICS_SENT, definition_of
from rules.text.topics import Inside, Matcher
from rules.turn import Scalar, Value

_DAY_MS, _MINUTE_MS = 86_400_000, 60_000
# 1970-01-01 as datetime.date.toordinal() counts it; it was a Thursday.
_EPOCH_ORDINAL, _EPOCH_WEEKDAY = 719_163, 3
_NOWHERE = Span("", 1, 1, 1)

# The texts that a log keeps, so that other topics can be looked for in them.
_TEXTS: frozenset[Inside] = frozenset({"message", "reply"})


@dataclass(frozen=True, slots=True)
class TopicNames:
    """How the topics of rule files and those of a log belong together, worked out once for both.

    `of_log` gives for each text and each name of the log the names here; `stale` are the topics that the log did not
    look for in that text, or by other phrases.
    """

    of_log: Mapping[Inside, Mapping[str, tuple[str, ...]]]
    stale: Mapping[Inside, tuple[Topic, ...]]


def topic_names(files: RuleFiles, about: About) -> TopicNames:
    """Return which topics of the log are which of these files: those with the same phrases and patterns."""
    of_log: dict[Inside, dict[str, tuple[str, ...]]] = {inside: {} for inside in FOUND}
    stale: dict[Inside, list[Topic]] = {inside: [] for inside in FOUND}
    for topic in files.topics.values():
        digest = definition_of(topic).hash
        for inside in FOUND:
            if inside not in topic.inside:
                continue
            found = [name for name, each in about.topics.items() if each.hash == digest and inside in each.inside]
            for name in found:
                of_log[inside][name] = (*of_log[inside].get(name, ()), topic.name)
            if not found:
                stale[inside].append(topic)
    return TopicNames(of_log, {inside: tuple(topics) for inside, topics in stale.items()})


def columns_of(name: str, files: RuleFiles, names: TopicNames) -> frozenset[str]:
    """Return the columns of the log that tell a signal, as these rule files read it."""
    declared = files.signals.get(name)
    if declared is not None:
        return frozenset({f"sent.{name}:{declared.type}"})
    if name not in OF_RULE_FILES:
        return frozenset({name})
    if name.startswith("clock."):
        return frozenset({"at_ms"})
    inside = TOPIC_SETS.get(name, "message")
    columns = {FOUND[inside], *([TOPICS_SENT] if inside == "message" else [])}
    return frozenset(columns | ({inside} & _TEXTS if names.stale[inside] else set()))


@dataclass(slots=True)
class Reread:
    """How many texts were looked through again for topics that the log does not know, and how many were not kept."""

    topics: set[str] = field(default_factory=set)
    texts: int = 0
    missing: int = 0


class ColumnSignals:
    """Reads the signals of one part for one ruleset; what takes a pass over the column is done once.

    `told` hears after each thousand texts that are looked through again.
    """

    def __init__(self, part: Part, files: RuleFiles, told: Callable[[int], None] | None = None) -> None:
        self.files = files
        self.names = topic_names(files, part.about)
        self._logged = part.turns
        self.staged = Staged(part.turns)
        self.reread = Reread()
        self._first_rows = part.stretches["first_row"]
        self._told = told
        self._leaves: dict[str, Leaf] = {}
        self._values: dict[str, list[tuple[object, Value]]] = {}
        self._stale: dict[Inside, Mapping[str, str]] = {}
        self._topic_sets: dict[Inside, list[Sets]] = {}

    def leaf(self, name: str) -> Leaf:
        """Return what compares this signal."""
        if name not in self._leaves:
            self._leaves[name] = self._leaf(name)
        return self._leaves[name]

    def number(self, name: str) -> str | None:
        """Return the column of a signal's numbers, null where unknown; None for one that no row knows."""
        declared = self.files.signals.get(name)
        column = name if declared is None else f"sent.{name}:number"
        spec_type = SIGNALS[name].type if declared is None and name in SIGNALS else declared and declared.type
        return column if spec_type == "number" and column in self._logged.columns else None

    def known(self, name: str) -> Truth:
        """Return where a signal is known; of one that is a column as it stands, whether it is known on any row."""
        if name in OF_RULE_FILES and name not in self.files.signals:
            return self.leaf(name)(Compare(name, "is known", None, "", _NOWHERE))
        return any(
            column in self._logged.columns and self._logged[column].count() > 0
            for column in columns_of(name, self.files, self.names)
        )

    def _leaf(self, name: str) -> Leaf:
        declared = self.files.signals.get(name)
        if declared is not None:
            return self.kept(f"sent.{name}:{declared.type}", declared.type)
        if name in TOPIC_SETS:
            return self._topics_leaf(TOPIC_SETS[name])
        if name == "asks_for_person":
            return self._asks_leaf()
        if name == "confirmed":
            return self._confirmed_leaf()
        if name.startswith("clock."):
            return self._clock_leaf(name)
        spec = SIGNALS.get(name)
        return absent if spec is None else self.kept(name, spec.type)

    def kept(self, column: str, kind: SignalType) -> Leaf:
        """Return what compares a column of the log as it stands."""
        return frame_leaf(self._logged, column, kind, self._values, self.staged.add)

    def _sets(self, inside: Inside) -> list[Sets]:
        """Return the topics of a text as columns: found by the log, under the names here, and sent by the caller."""
        if inside not in self._topic_sets:
            columns = [column for column in (FOUND[inside], *([TOPICS_SENT] if inside == "message" else []))]
            self._topic_sets[inside] = [
                self._set(column, inside) for column in columns if column in self._logged.columns
            ]
        return self._topic_sets[inside]

    def _set(self, column: str, inside: Inside) -> Sets:
        values = [(code, _members(value)) for code, value in decoded(self._logged, column, "set")]
        if column != TOPICS_SENT:
            own = self.names.of_log[inside]
            values = [
                (code, frozenset(name for of_log in members for name in own.get(of_log, ())))
                for code, members in values
            ]
        return Sets(self._logged[column], values, self.staged.add)

    def _has(self, name: str, inside: Inside) -> Truth:
        """Return where a text is about the topic; the expression is null where its text would have to be read again."""
        parts = [sets.has(name) for sets in self._sets(inside)]
        if name in self._stale_columns(inside):
            parts.append(pl.col(self._stale_columns(inside)[name]))
        return some(parts)

    def _known(self, inside: Inside) -> Truth:
        known: list[Truth] = [self._text_known(inside)]
        if inside == "message" and TOPICS_SENT in self._logged.columns:
            known.append(pl.col(TOPICS_SENT).is_not_null())
        return some(known)

    def _text_known(self, inside: Inside) -> Truth:
        column = FOUND[inside]
        return pl.col(column).is_not_null() if column in self._logged.columns else False

    def _topics_leaf(self, inside: Inside) -> Leaf:
        def met(compare: Compare) -> Truth:
            comparison = COMPARISONS[compare.operator]
            known, operand = self._known(inside), compare.operand
            if comparison.group == "presence":
                return known if comparison.wanted else opposite(known)
            if comparison.group == "member" and isinstance(operand, str):
                has = self._has(operand, inside)
                truth = has if comparison.wanted else every([known, opposite(has)])
                return _sure(truth) if self._stale_columns(inside) else truth
            if comparison.group == "subset" and isinstance(operand, tuple):
                beyond = self._beyond(frozenset(operand), inside)
                return _sure(every([known, opposite(beyond) if comparison.wanted else beyond]))
            return False

        return met

    def _beyond(self, allowed: frozenset[Scalar], inside: Inside) -> Truth:
        """Return where a topic stands that is not among those allowed; null where that is unknown."""
        stale = self._stale_columns(inside)
        parts = [sets.passing(lambda members: not _members(members) <= allowed) for sets in self._sets(inside)]
        return some([*parts, *(pl.col(stale[name]) for name in stale if name not in allowed)])

    def _stale_columns(self, inside: Inside) -> Mapping[str, str]:
        """Return the columns of the topics that had to be looked for again, by topic: one pass over the texts."""
        if inside not in self._stale:
            topics = self.names.stale[inside]
            found = self._looked_for({topic.name: topic for topic in topics}, inside) if topics else {}
            self._stale[inside] = {name: f"#{inside} {name}" for name in found}
            for name, column in found.items():
                self.staged.add(f"#{inside} {name}", column)
        return self._stale[inside]

    def _looked_for(self, topics: Mapping[str, Topic], inside: Inside) -> dict[str, pl.Series]:
        # Under one name of text, whichever texts the rule files read: the column says which these are.
        matcher = Matcher({name: replace(topic, inside=frozenset({inside})) for name, topic in topics.items()})
        known = self._logged[FOUND[inside]].is_not_null()
        texts = (
            self._logged[inside] if inside in self._logged.columns else pl.Series([None] * len(known), dtype=pl.String)
        )
        missing = known & texts.is_null()
        found: dict[str, list[int]] = {name: [] for name in topics}
        for row, text in enumerate(texts):
            if text is not None:
                for topic in {hit.topic for hit in matcher.find(text, inside)}:
                    found[topic].append(row)
            if self._told is not None and row % 1_000 == 0:
                self._told(row)
        self.reread.topics |= topics.keys()
        self.reread.texts += int((known & ~missing).sum())
        self.reread.missing += int(missing.sum())
        unknown = pl.select(pl.when(~missing).then(False)).to_series()
        # `scatter` writes in place.
        return {name: unknown.clone().scatter(rows, True) if rows else unknown for name, rows in found.items()}

    def _meant(self, meaning: str) -> tuple[Truth, bool]:
        """Return where the message means this, null where unknown, and whether any topic has this meaning."""
        names = [topic.name for topic in self.files.topics.values() if topic.means == meaning]
        return some([self._has(name, "message") for name in names]), bool(names)

    def _asks_leaf(self) -> Leaf:
        meant, _ = self._meant("asks_for_person")
        yes, no = _sure(meant), _sure(every([self._text_known("message"), opposite(meant)]))

        def met(compare: Compare) -> Truth:
            test = tester(compare)
            known = some([yes, no])
            return some([truth for truth, value in ((yes, True), (no, False), (opposite(known), None)) if test(value)])

        return met

    def _confirmed_leaf(self) -> Leaf:
        meant, any_topic = self._meant("confirmed")
        known = self._text_known("message")
        if not any_topic or isinstance(known, bool):
            return absent
        # 2 stands for a message that says nothing because it was not kept: an earlier one does not speak for it.
        said = pl.when(known).then(_expr(meant).cast(pl.Int8).fill_null(2))
        code = self.staged.frame.select(said.alias("said"))["said"]
        rows = pl.int_range(len(code), dtype=pl.Int64, eager=True)
        where = pl.select(pl.when(code.is_not_null()).then(rows).forward_fill().fill_null(-1)).to_series()
        first = self._first_rows.cast(pl.Int64).gather(self._logged["stretch"])
        filled = code.forward_fill()
        value = pl.select(pl.when((where >= first) & (filled != 2)).then(filled == 1)).to_series()
        return bool_leaf(self.staged.add("#confirmed", value))

    def _clock_leaf(self, name: str) -> Leaf:
        local = pl.col("at_ms")
        if self.files.timezone != "UTC":
            local = self.staged.add("#local_ms", _local_ms(self._logged["at_ms"], self.files.timezone))
        day, minute = local // _DAY_MS, local % _DAY_MS // _MINUTE_MS
        if name == "clock.weekday":
            values: list[tuple[object, Value]] = list(enumerate(WEEKDAYS))
            return coded_leaf((day + _EPOCH_WEEKDAY) % len(WEEKDAYS), values, nullable=False)
        numbers = {"clock.date": day + _EPOCH_ORDINAL, "clock.time": minute, "clock.hour": minute // 60}
        return number_leaf(numbers[name], nullable=False) if name in numbers else absent


def frame_leaf(
    frame: pl.DataFrame,
    column: str,
    kind: SignalType,
    known: dict[str, list[tuple[object, Value]]],
    add: Callable[[str, pl.Expr], pl.Expr] | None = None,
) -> Leaf:
    """Return what compares a column of a frame; `known` keeps the different values of each, for whoever asks again."""
    if column not in frame.columns:
        return absent
    expr, nullable = pl.col(column), frame[column].null_count() > 0
    if kind == "number":
        return number_leaf(expr, nullable=nullable)
    if kind == "bool":
        return bool_leaf(expr, nullable=nullable)
    if column not in known:
        known[column] = decoded(frame, column, kind)
    if kind == "set":
        return set_leaf(Sets(frame[column], [(code, _members(value)) for code, value in known[column]], add))
    return coded_leaf(expr, known[column], nullable=nullable)


def decoded(frame: pl.DataFrame, column: str, kind: SignalType) -> list[tuple[object, Value]]:
    """Return the different values of a text or set column: as it has them, and as rules see them."""
    series = frame[column]
    if isinstance(series.dtype, pl.Enum):
        texts = series.dtype.categories.to_list()
    else:
        texts = series.drop_nulls().unique().to_list()
    return [(text, _set_of(text) if kind == "set" else text) for text in texts]


# As many texts of sets are kept as some columns of a part have; the next part mostly has the same.
@lru_cache(maxsize=2**16)
def _set_of(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))


def _members(value: Value) -> frozenset[str]:
    return value if isinstance(value, frozenset) else frozenset()


def _expr(truth: Truth) -> pl.Expr:
    return pl.lit(truth) if isinstance(truth, bool) else truth


def _sure(truth: Truth) -> Truth:
    return truth if isinstance(truth, bool) else truth.fill_null(False)


def _local_ms(at_ms: pl.Series, zone: str) -> pl.Series:
    """Return the times as a wall clock of that zone shows them, in ms since 1970 of that wall.

    Python's own tables say how far the zone is off, minute by minute that occurs: the engine of frames has others.
    """
    minutes = at_ms // _MINUTE_MS
    distinct = minutes.unique()
    offsets = [_offset_ms(zone, minute * _MINUTE_MS) for minute in distinct]
    table = pl.DataFrame({"minute": distinct, "offset": pl.Series(offsets, dtype=pl.Int64)})
    found = pl.DataFrame({"minute": minutes}).join(table, on="minute", how="left", maintain_order="left")
    return at_ms + found["offset"]


def _offset_ms(zone: str, at_ms: int) -> int:
    offset = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(_zone(zone)).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
