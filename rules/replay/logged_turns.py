"""Rows of a turn log back to turns that the turn-by-turn engine judges: for what columns cannot hold, and for reasons.

The signals' values come from the log, so that a masked text changes none of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import polars as pl

from rules.decision import Evidence
from rules.evaluation import signals
from rules.evaluation.call_values import SignalType
from rules.evaluation.evaluate import Evaluation, Ruleset, find_topics, judge
from rules.evaluation.facts import Facts
from rules.evaluation.signal_table import CUSTOMER_PREFIX, SIGNALS
from rules.history import TURNS_READ_MAX
from rules.model import RuleFiles
from rules.replay.column_signals import topic_names
from rules.replay.columns import Fired
from rules.replay.turn_log import About
from rules.replay.turn_rows import FOUND, KEPT, TOPICS_SENT
from rules.text.topics import Inside, Matcher
from rules.turn import Conversation, Customer, ToolCall, TopicScore, Turn, Value

# The rows of a stretch, all columns of each, in order.
StretchRows: TypeAlias = Sequence[Mapping[str, Any]]


class LoggedTurns:
    """Judges logged stretches turn by turn for one ruleset."""

    def __init__(self, ruleset: Ruleset, about: About) -> None:
        self.ruleset = ruleset
        names = topic_names(ruleset.files, about)
        self._names = names.of_log
        self._stale: dict[Inside, Matcher | None] = {
            inside: Matcher({topic.name: topic for topic in stale}) if stale else None
            for inside, stale in names.stale.items()
        }

    def judged(self, conversation_id: str, rows: StretchRows) -> list[Evaluation]:
        """Return what the rules say of every turn of a stretch, each with the history that the log has for it."""
        conversation = Conversation(conversation_id)
        found = []
        for row in rows:
            evaluation = self._judge(conversation, row)
            found.append(evaluation)
            # The rows stand in the order of the conversation already.
            past = (*conversation.past, evaluation.record)[-TURNS_READ_MAX:]
            conversation = replace(conversation, past=past)
        return found

    def _judge(self, conversation: Conversation, row: Mapping[str, Any]) -> Evaluation:
        exact: Mapping[str, Any] = json.loads(row.get("exact") or "{}")
        files, at_ms = self.ruleset.files, int(exact.get("at_ms", row["at_ms"]))
        turn = _turn(files, conversation.conversation_id, row, exact)
        evidence = self._evidence(row, turn)
        values = signals.read(files, turn, conversation, at_ms, evidence)
        values |= {name: _value(row, exact, name, SIGNALS[name].type) for name in KEPT}
        record = signals.record(files, turn, values, at_ms)
        return judge(self.ruleset, Facts(values, turn, conversation, at_ms), values, evidence, record)

    def _evidence(self, row: Mapping[str, Any], turn: Turn) -> tuple[Evidence, ...]:
        """Return the topics that the log found, by their names here, and where a kept text shows the others.

        What the log found is shown in the text as well, where it can still be seen there.
        """
        seen = find_topics(self.ruleset.matcher, turn)
        evidence: list[Evidence] = []
        for inside, column in FOUND.items():
            logged = {
                name
                for of_log in json.loads(row.get(column) or "[]")
                for name in self._names[inside].get(of_log, ())
                if inside in self.ruleset.files.topics[name].inside
            }
            # What tools gave back is not kept, so nothing can be looked for in it.
            stale, text = self._stale[inside], {"message": turn.message, "reply": turn.reply}.get(inside)
            again = {hit.topic for hit in stale.find(text, inside)} if stale is not None and text else set()
            shown = [hit for hit in seen if hit.inside == inside and hit.topic in logged | again]
            evidence += shown
            unseen = sorted((logged | again) - {hit.topic for hit in shown})
            evidence += [Evidence(name, inside, 0, 0, "") for name in unseen]
        return tuple(evidence)


def settled(fired: Fired, turns: LoggedTurns, stretches: Mapping[int, tuple[str, int, StretchRows]]) -> Fired:
    """Return the fired rules with whole stretches judged turn by turn: id, first row and rows of each."""
    if not stretches:
        return fired
    numbers = {rule.id: number for number, rule in enumerate(turns.ruleset.files.rules)}
    rows: list[int] = []
    held: list[list[bool]] = [[] for _ in fired.rules]
    for conversation_id, first_row, stretch_rows in stretches.values():
        for place, evaluation in enumerate(turns.judged(conversation_id, stretch_rows)):
            rows.append(first_row + place)
            firing = {numbers[rule.id] for rule in (*evaluation.rules, *evaluation.shadow)}
            for number, column in enumerate(held):
                column.append(number in firing)
    # `scatter` writes in place, and rulesets share columns.
    columns = [
        column.clone().scatter(rows, pl.Series(values, dtype=pl.Boolean))
        for column, values in zip(fired.rules, held, strict=True)
    ]
    return Fired(tuple(columns), fired.reread, fired.seen)


def _turn(files: RuleFiles, conversation_id: str, row: Mapping[str, Any], exact: Mapping[str, Any]) -> Turn:
    sent: dict[str, Value] = {
        name: _value(row, exact, f"sent.{name}:{declared.type}", declared.type)
        for name, declared in files.signals.items()
    }
    attributes = {name[len(CUSTOMER_PREFIX) :]: sent.pop(name) for name in list(sent) if name.startswith("customer.")}
    topics = row.get(TOPICS_SENT)
    # One without a name keeps "sent, but none believed in" apart from "none sent".
    names = [] if topics is None else [TopicScore("", 0.0), *map(TopicScore, json.loads(topics))]
    return Turn(
        conversation_id=conversation_id,
        turn_id=row["turn_id"],
        customer=Customer(attributes=attributes),  # type: ignore[arg-type]  # a set is unknown there, as in a live turn
        message=_text(row, "message"),
        reply=_text(row, "reply"),
        topics=tuple(names),
        tool_calls=tuple(ToolCall(**call) for call in json.loads(row.get("calls") or "[]")),
        signals=sent,
    )


def _text(row: Mapping[str, Any], name: str) -> str | None:
    """Return a text as far as it was kept; empty where there was one and it was not."""
    known = row.get(f"{name}_length") is not None
    return (row.get(name) or "") if known else None


def _value(row: Mapping[str, Any], exact: Mapping[str, Any], name: str, kind: SignalType) -> Value:
    value = exact[name] if name in exact else row.get(name)
    if value is None or kind != "set":
        return value
    return frozenset(json.loads(value))
