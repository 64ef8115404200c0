from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import files_or_raise
from rules.evaluation import evaluate, reference
from rules.evaluation.asked import asked_signals
from rules.evaluation.evaluate import Evaluation, Ruleset, build
from rules.history import cut, remember
from rules.model import RuleFiles
from rules.replay import columns
from rules.replay.logged_turns import LoggedTurns, settled
from rules.replay.transcripts import RecordedTurn
from rules.replay.turn_log import Part, part_of
from rules.replay.turn_rows import Rows, Stretch
from rules.turn import Conversation, ToolCall, Turn
from tests.rules.recorded_stretches import every_signal_files, recorded
from tests.rules.strategies import rule_files

Judge = Callable[[Ruleset, Turn, Conversation, int], Evaluation]


def walked(judge: Judge, ruleset: Ruleset, name: str, stretches: Sequence[Stretch]) -> list[list[str]]:
    """Return the rules that fire on each turn, judged one after another as the service does."""
    conversation = Conversation(name)
    fired = []
    for stretch in stretches:
        for each in stretch.turns:
            found = judge(ruleset, each.turn, conversation, each.at_ms)
            fired.append(sorted(rule.id for rule in found.rules + found.shadow))
            conversation = remember(conversation, found.record)
        if stretch.ended is not None:
            conversation = replace(
                cut(conversation, stretch.ended.at_ms),
                handoffs_count=conversation.handoffs_count + 1,
                last_handoff_at_ms=stretch.ended.at_ms,
            )
    return fired


def part_with(files: Sequence[RuleFiles], *conversations: Sequence[Stretch]) -> Part:
    rows = Rows(files, masked=False)
    for number, stretches in enumerate(conversations):
        rows.add(f"conv-{number}", stretches)
    return part_of(rows)


def in_columns(part: Part, files: RuleFiles) -> list[list[str]]:
    """Return the rules that fire on each turn of a part, its odd stretches judged from their rows."""
    (fired,) = columns.judge(part, [columns.questions_of(files)])
    odd = {
        number: (json.loads(row["exact_id"] or "null") or row["conversation_id"], row["first_row"], rows)
        for number, row in enumerate(part.stretches.to_dicts())
        if row["odd"]
        for rows in [part.turns.slice(row["first_row"], row["rows"]).to_dicts()]
    }
    fired = settled(fired, LoggedTurns(build(files), part.about), odd)
    by_rule = [column.to_list() for column in fired.rules]
    return [
        sorted(rule.id for rule, held in zip(files.rules, by_rule, strict=True) if held[row])
        for row in range(part.turns.height)
    ]


def walked_all(judge: Judge, files: RuleFiles, conversations: Sequence[Sequence[Stretch]]) -> list[list[str]]:
    ruleset = build(files)
    return [
        fired
        for number, stretches in enumerate(conversations)
        for fired in walked(judge, ruleset, f"conv-{number}", stretches)
    ]


@settings(max_examples=150, deadline=None)
@given(rule_files, st.tuples(recorded("conv-0"), recorded("conv-1")))
def test_columns_fire_what_the_turn_by_turn_engines_fire(
    files: RuleFiles, conversations: tuple[tuple[Stretch, ...], ...]
) -> None:
    plainly = walked_all(reference.evaluate, files, conversations)
    assert walked_all(evaluate.evaluate, files, conversations) == plainly
    assert in_columns(part_with([files], *conversations), files) == plainly


@settings(max_examples=250, deadline=None)
@given(every_signal_files(), st.tuples(recorded("conv-0"), recorded("conv-1")))
def test_columns_agree_whatever_signal_is_asked_for(
    files: RuleFiles, conversations: tuple[tuple[Stretch, ...], ...]
) -> None:
    plainly = walked_all(reference.evaluate, files, conversations)
    assert walked_all(evaluate.evaluate, files, conversations) == plainly
    assert in_columns(part_with([files], *conversations), files) == plainly


@settings(max_examples=120, deadline=None)
@given(every_signal_files(), recorded("conv-0"))
def test_topics_that_a_log_does_not_know_are_found_again_in_its_texts(
    files: RuleFiles, stretches: tuple[Stretch, ...]
) -> None:
    assume("output_topics" not in asked_signals(files.rules))
    # A text with half a character is kept nowhere, and what tools gave back neither.
    assume(not any("\ud800" in f"{each.turn.message}{each.turn.reply}" for one in stretches for each in one.turns))
    nothing = replace(files, topics={})
    assert in_columns(part_with([nothing], stretches), files) == walked_all(reference.evaluate, files, [stretches])


@settings(max_examples=60, deadline=None)
@given(every_signal_files(), recorded("conv-0"))
def test_every_logged_turn_judged_by_itself_fires_the_same(files: RuleFiles, stretches: tuple[Stretch, ...]) -> None:
    part = part_with([files], stretches)
    turns = LoggedTurns(build(files), part.about)
    found = [
        sorted(rule.id for rule in evaluation.rules + evaluation.shadow)
        for row in part.stretches.to_dicts()
        for evaluation in turns.judged("conv-0", part.turns.slice(row["first_row"], row["rows"]).to_dicts())
    ]
    assert found == walked_all(reference.evaluate, files, [stretches])


def test_a_signal_and_a_part_of_a_call_that_share_a_name_do_not_share_an_answer() -> None:
    files = files_or_raise({"rules.yaml": _SAME_WORDS})
    at_ms = 1_790_000_000_000
    both: list[tuple[str | None, Literal["ok", "error"]]] = [
        ("ok", "error"),
        ("error", "ok"),
        ("ok", "ok"),
        (None, "ok"),
    ]
    turns = [
        RecordedTurn(
            Turn("conv-0", f"t{number}", tool_calls=(ToolCall("pay", status=of_call),), signals={"status": of_turn}),
            at_ms + number,
            number,
        )
        for number, (of_turn, of_call) in enumerate(both)
    ]
    stretches = (Stretch(tuple(turns), None),)
    fired = in_columns(part_with([files], stretches), files)
    assert fired == walked_all(reference.evaluate, files, [stretches])
    assert fired == [["all", "turn"], ["any", "call"], ["all", "any", "call", "turn"], ["any", "call"]]


_SAME_WORDS = """
handrail: 1
signals: {status: {type: text}}
queues: {tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: We call.}}}}
rules:
  - {id: turn, why: because, when: status = ok, then: {review: tier1}}
  - {id: all, why: because, when: {all: [status = ok, tool_calls_count >= 1]}, then: {review: tier1}}
  - {id: call, why: because, when: {tool_call: status = ok}, then: {review: tier1}}
  - {id: any, why: because, when: {tool_call: {all: [status = ok, name = pay]}}, then: {review: tier1}}
"""
