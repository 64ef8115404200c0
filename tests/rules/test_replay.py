"""Recorded conversations through the real engine: what counts, what stops, and what is only unknown."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.replay.conversations import Played, RuleStatus, Scores, SignalsSeen, could_hold, play, score
from rules.replay.scorecards import Rate
from rules.replay.transcripts import read

TAU = Path(__file__).parents[3] / "shared" / "data" / "tau.dev.jsonl.gz"

HEAD = """
handrail: 1
topics:
  legal: {phrases: [lawyer]}
queues:
  desk: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: "later"}}, say: {en: "one moment"}}
rules:
"""


def ruleset(*rules: str) -> Ruleset:
    written = "".join(f"  - {{id: r{n}, why: because, when: {when}}}\n" for n, when in enumerate(rules))
    return build(files_or_raise({"a.yaml": HEAD + written}))


def rule(when: str, then: str = "{hold: desk}", mode: str = "live") -> str:
    return f"{when}, then: {then}, mode: {mode}"


WRITES = rule("{tool_call: {all: [write = true, status = proposed]}}")
LEGAL = rule("topics has legal", "{escalate: desk}")


def row(name: str, *turns: dict[str, Any], **labels: Any) -> dict[str, Any]:
    return {"id": name, "turns": list(turns), **labels}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "text": text}


def agent(text: str = "ok", **more: Any) -> dict[str, Any]:
    return {"role": "agent", "text": text, **more}


def write() -> dict[str, Any]:
    return agent("", tool_calls=[{"name": "refund", "args": {"order": "W1"}, "write": True}])


def run(rules: Ruleset, *rows: dict[str, Any], truth: str | None = None) -> tuple[Scores, list[Played]]:
    seen = SignalsSeen()
    played = [play(rules, read(each), seen) for each in rows]
    return score(rules, played, seen, truth), played


def test_a_hold_ends_a_conversation_and_a_review_does_not() -> None:
    rules = ruleset(rule("turn_count >= 2", "{review: desk}"), WRITES)
    scores, played = run(rules, row("a", agent(), agent(), write(), agent(), agent()))
    assert [step.verdict for step in played[0].steps] == ["continue", "review", "hold"]
    assert played[0].stop_row == 2
    assert dict(scores.verdicts) == {"continue": 1, "review": 1, "hold": 1, "escalate": 0}
    assert (scores.turns, scores.turns_recorded) == (3, 5)
    assert scores.stopped == Rate(1, 1)


def test_what_is_remembered_counts_within_a_conversation_and_never_across() -> None:
    rules = ruleset(rule("count(topics has legal) over 10 turns >= 2", "{escalate: desk}"))
    once = row("a", user("my lawyer"), agent(), user("hm"), agent())
    twice = row("b", user("my lawyer"), agent(), user("the lawyer"), agent())
    _, played = run(rules, once, once, twice)
    assert [each.stop is not None for each in played] == [False, False, True]


@pytest.mark.parametrize(
    ("bad_write_index", "counts"),
    [(4, Rate(1, 1)), (3, Rate(1, 1)), (2, Rate(0, 1)), (None, Rate(0, 0))],
    ids=["a stop before it is in time", "a stop at it is in time", "a stop after it is too late", "none to stop"],
)
def test_bad_writes_stopped_in_time(bad_write_index: int | None, counts: Rate) -> None:
    turns = [agent(), agent(), agent(), write(), write()]
    scores, _ = run(ruleset(WRITES), row("a", *turns, bad_write_index=bad_write_index))
    assert scores.bad_writes_stopped == counts


def test_precision_recall_and_load_each_have_their_own_denominator() -> None:
    rows = [
        row("stopped, needed", write(), needs_human=True),
        row("stopped, not needed", write(), needs_human=False),
        row("stopped, not needed 2", write(), needs_human=False),
        row("missed", agent(), needs_human=True),
        row("left alone", agent(), needs_human=False),
        row("nobody said", write()),
    ]
    scores, _ = run(ruleset(WRITES), *rows)
    assert scores.precision == Rate(1, 3)
    assert scores.recall == Rate(1, 2)
    assert scores.load == Rate(2, 3)
    assert scores.stopped == Rate(4, 6)
    assert scores.truths == {"needs_human": 5}
    assert scores.rules[0].needed == Rate(1, 3)
    assert scores.rules[0].stopped == 4


def test_a_file_without_labels_has_no_rates_rather_than_rates_of_0() -> None:
    scores, _ = run(ruleset(WRITES), row("a", write()), row("b", agent()))
    assert not scores.labelled
    for rate in (scores.precision, scores.recall, scores.load, scores.bad_writes_stopped):
        assert (rate.rate, rate.interval) == (None, None)


def test_what_an_operator_said_is_a_label() -> None:
    rows = [row(f"c{n}", write(), outcome=said) for n, said in enumerate(("needed", "not_needed", "unclear"))]
    scores, _ = run(ruleset(WRITES), *rows, row("d", write(), outcome="not_needed", needs_human=True))
    assert (scores.labelled, scores.truths, scores.precision) == (True, {"outcome": 3}, Rate(1, 3))
    named, _ = run(
        ruleset(WRITES), *rows, row("d", write(), outcome="not_needed", needs_human=True), truth="needs_human"
    )
    assert (named.truths, named.precision) == ({"needs_human": 1}, Rate(1, 1))


def test_the_label_can_be_named() -> None:
    scores, _ = run(ruleset(WRITES), row("a", write(), needs_human=False, escalate_truth=True), truth="escalate_truth")
    assert (scores.truths, scores.precision) == ({"escalate_truth": 1}, Rate(1, 1))


def test_a_shadow_rule_is_counted_apart_and_stops_nothing() -> None:
    rules = ruleset(rule("{tool_call: write = true}", mode="shadow"))
    scores, played = run(rules, row("a", write(), agent()))
    assert [step.verdict for step in played[0].steps] == ["continue", "continue"]
    found = scores.rules[0]
    assert (found.status, found.turns, found.shadow_turns, found.stopped) == ("fired", 0, 1, 0)


STATUSES: list[tuple[str, str, RuleStatus]] = [
    ("it fired", "topics has legal", "fired"),
    ("its signal was known and it did not hold", "turn_count >= 9", "quiet"),
    ("its signal was never known", "confidence < 0.5", "NO_MATCHING_DATA"),
    ("one of two that are needed was never known", "{all: [confidence < 0.5, turn_count >= 9]}", "NO_MATCHING_DATA"),
    ("one of two that are enough was known", "{any: [confidence < 0.5, turn_count >= 9]}", "quiet"),
    ("a count of what was never known", "count(confidence < 0.5) over 9 turns >= 2", "NO_MATCHING_DATA"),
    ("a count of what was known", "count(topics has legal) over 9 turns >= 2", "quiet"),
    ("an average of what was never known", "avg(sentiment) over 9 turns < 0", "NO_MATCHING_DATA"),
    ("a negated comparison with what was never known", "{not: confidence < 0.5}", "NO_MATCHING_DATA"),
    ("absence itself is asked for", "{all: [confidence is unknown, turn_count >= 9]}", "quiet"),
    ("presence of what was never there", "confidence is known", "NO_MATCHING_DATA"),
    ("absence asked for by a negation", "{all: [{not: confidence is known}, turn_count >= 9]}", "quiet"),
    ("no call ever had an amount", "{tool_call: {all: [name = refund, amount_usd > 5]}}", "NO_MATCHING_DATA"),
    ("no call ever had that argument", "{tool_call: args.iban = x}", "NO_MATCHING_DATA"),
    ("a call had that argument", "{tool_call: args.order = W9}", "quiet"),
]


@pytest.mark.parametrize(("when", "status"), [case[1:] for case in STATUSES], ids=[case[0] for case in STATUSES])
def test_a_rule_without_data_is_not_a_quiet_rule(when: str, status: RuleStatus) -> None:
    rules = ruleset(rule(when, "{review: desk}"))
    scores, _ = run(rules, row("a", user("my lawyer"), agent(), write()))
    assert scores.rules[0].status == status
    if status == "NO_MATCHING_DATA":
        assert not could_hold(rules.files.rules[0].when, SignalsSeen())


def test_a_call_whose_name_was_not_recorded_is_no_data_for_a_rule_about_names() -> None:
    rules = ruleset(
        rule("{tool_call: name = refund}", "{review: desk}"), rule("{tool_call: has_error = true}", "{review: desk}")
    )
    scores, _ = run(rules, row("a", agent(), {"role": "tool", "text": "ok"}, agent()))
    assert [each.status for each in scores.rules] == ["NO_MATCHING_DATA", "quiet"]


def test_the_same_conversations_give_the_same_scores() -> None:
    rows = [
        row(f"c{n}", user("my lawyer" if n % 3 else "hi"), agent(), write(), needs_human=n % 2 == 0) for n in range(20)
    ]
    rules = ruleset(LEGAL, WRITES, rule("turn_count >= 1", "{review: desk}", "{rollout: 50%}"))
    assert run(rules, *rows) == run(rules, *rows)


@pytest.mark.skipif(not TAU.exists(), reason="the recorded agent runs are not on this machine")
def test_holding_a_write_after_a_tool_error_counts_as_a_plain_loop_over_the_rows_counts() -> None:
    with gzip.open(TAU) as lines:
        rows = [json.loads(line) for line in lines]
    scores, _ = run(
        ruleset(rule("{all: [tool_errors_total >= 1, {tool_call: {all: [write = true, status = proposed]}}]}")), *rows
    )
    bad = in_time = nobody = load = 0
    for each in rows:
        failed, stop = False, None
        for turn in each["turns"]:
            if turn["i"] == each["escalate_turn_index"] or stop is not None:
                break
            failed = failed or bool(turn.get("tool_error"))
            if failed and any(call.get("write") for call in turn.get("tool_calls", [])):
                stop = turn["i"]
        if each["bad_write_index"] is not None:
            bad += 1
            in_time += stop is not None and stop <= each["bad_write_index"]
        if not each["needs_human"]:
            nobody += 1
            load += stop is not None
    assert scores.bad_writes_stopped == Rate(in_time, bad)
    assert scores.load == Rate(load, nobody)
    assert bad > 50
    assert in_time > 5
