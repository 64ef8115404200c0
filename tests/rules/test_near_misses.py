"""Rules that nearly fired: the nearest first, and how far each was away in the unit of its own signal."""

from __future__ import annotations

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build, evaluate
from rules.evaluation.near_misses import NearMiss, near_misses
from rules.turn import Conversation, ToolCall, Turn

HEAD = """handrail: 1
thresholds: {low_confidence: 0.55, limit_usd: 200}
topics:
  refunds: {phrases: [refund]}
queues:
  desk: {answer_within: 5m, on_timeout: {verdict: callback, say: {en: later}}, say: {en: one moment}}
rules:
"""
NOW_MS = 1_800_000_000_000


def rules(**whens: str) -> Ruleset:
    lines = [f"  - {{id: {name}, why: x, when: {when}, then: {{review: desk}}}}\n" for name, when in whens.items()]
    return build(files_or_raise({"a.yaml": HEAD + "".join(lines)}))


def near(ruleset: Ruleset, turn: Turn) -> tuple[NearMiss, ...]:
    conversation = Conversation("c")
    return near_misses(ruleset, evaluate(ruleset, turn, conversation, NOW_MS), conversation, NOW_MS)


@pytest.mark.parametrize(
    ("when", "turn", "distance"),
    [
        ("confidence < $low_confidence", Turn("c", "1", message="x", confidence=0.57), "0.02 above the threshold"),
        ("confidence < 0.55", Turn("c", "1", message="x", confidence=0.57), "0.02 above 0.55"),
        (
            "confidence < $low_confidence",
            Turn("c", "1", message="x", confidence=0.55),
            "exactly the threshold, which does not count",
        ),
        ("turn_count >= 4", Turn("c", "1", message="x"), "3 below 4"),
        ("elapsed_ms >= 90s", Turn("c", "1", message="x"), "1m 30s below 1m 30s"),
        ("{not: sentiment >= -0.5}", Turn("c", "1", message="x", sentiment=-0.25), "0.25 above -0.5"),
        ("count(topics has refunds) over 5 turns >= 2", Turn("c", "1", message="a refund"), "1 below 2"),
        (
            "streak(confidence < $low_confidence) >= 2",
            Turn("c", "1", message="x", confidence=0.57),
            "2 below 2; this turn's confidence is 0.57, 0.02 above the threshold",
        ),
        ("streak(confidence < 0.1) >= 2", Turn("c", "1", message="x", confidence=0.57), "2 below 2"),
        ("streak(confidence < 0.6) >= 2", Turn("c", "1", message="x", confidence=0.57), "1 below 2"),
        ("topics has refunds", Turn("c", "1", message="x"), None),
        ("channel = chat", Turn("c", "1", message="x", channel="mail"), None),
        ("confidence < 0.5", Turn("c", "1", message="x"), None),
    ],
)
def test_a_number_says_how_far_it_is_off(when: str, turn: Turn, distance: str | None) -> None:
    (miss,) = near(rules(one=when), turn)
    assert [lack.distance for lack in miss.lacks] == [distance]


def test_the_amount_of_a_call_says_how_far_it_is_off() -> None:
    ruleset = rules(one="{tool_call: {all: [name = refund, amount_usd > $limit_usd]}}")
    (miss,) = near(ruleset, Turn("c", "1", tool_calls=(ToolCall("refund", amount=190.5),)))
    assert [lack.distance for lack in miss.lacks] == ["9.5 below the threshold"]


def test_what_just_missed_comes_before_what_is_far_and_before_what_is_not_there() -> None:
    ruleset = rules(
        topic="topics has refunds",
        far="confidence < 0.1",
        just="confidence < 0.55",
        part="{all: [channel = chat, turn_count > 8]}",
    )
    found = near(ruleset, Turn("c", "1", message="x", confidence=0.57, channel="chat"))
    assert [miss.rule_id for miss in found] == ["just", "far", "part"]


def test_a_rule_about_tool_calls_is_not_near_where_the_turn_has_none() -> None:
    ruleset = rules(call="{all: [channel = chat, {tool_call: write = true}]}", topic="topics has refunds")
    found = near(ruleset, Turn("c", "1", message="x", channel="chat"))
    assert [miss.rule_id for miss in found] == ["topic", "call"]
    found = near(ruleset, Turn("c", "1", message="x", channel="chat", tool_calls=(ToolCall("look", write=False),)))
    assert [miss.rule_id for miss in found] == ["call", "topic"]
