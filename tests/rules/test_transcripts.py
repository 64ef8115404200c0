"""Recorded conversations as turns: what a rule may see, and what it never may."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from rules.replay.transcripts import (
    SYNTHETIC_START_AT_MS,
    SYNTHETIC_TURN_MS,
    TEXT_CHARS_MAX,
    TOOL_ERROR_CHARS_MAX,
    TRUTH_KEYS,
    RowInvalid,
    read,
)
from rules.turn import AgentRef, Customer, ToolCall, TopicScore

SECRET = "what really happened"


def row(turns: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"id": "c1", "turns": turns, **more}


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "text": text, **more}


def agent(text: str = "", **more: Any) -> dict[str, Any]:
    return {"role": "agent", "text": text, **more}


def tool(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "text": text, **more}


def test_a_turn_is_made_of_each_agent_row_with_all_texts_since_the_one_before() -> None:
    made = read(row([user("hello"), user("are you there?"), agent("yes"), agent("what is it?"), user("bye")])).turns
    assert [(each.turn.message, each.turn.reply, each.row_index) for each in made] == [
        ("hello\nare you there?", "yes", 2),
        (None, "what is it?", 3),
        ("bye", None, 4),
    ]
    assert [each.turn.turn_id for each in made] == ["t1", "t2", "t3"]
    assert [each.turn.turn_index for each in made] == [0, 1, 2]


def test_a_call_is_proposed_in_its_own_turn_and_done_in_the_next() -> None:
    call = {"name": "refund", "args": {"order": "W1"}, "write": True, "amount_usd": 20}
    made = read(
        row([user("money back"), agent(tool_calls=[call]), tool("Error: locked", tool_error=True), agent("no")])
    )
    first, second = (each.turn.tool_calls for each in made.turns)
    assert first == (ToolCall("refund", {"order": "W1"}, True, 20.0, "proposed"),)
    assert second == (ToolCall("refund", {"order": "W1"}, True, 20.0, "error", "Error: locked"),)


def test_results_find_their_calls_by_name_and_then_by_order() -> None:
    calls = [{"name": "a", "args": {"n": 1}}, {"name": "b"}, {"name": "a", "args": {"n": 2}}]
    results = [tool("x", tool_name="b"), tool("x", tool_name="a"), tool("x", tool_error=True)]
    done = read(row([agent(tool_calls=calls), *results, agent("ok")])).turns[1].turn.tool_calls
    assert [(call.name, dict(call.args), call.status) for call in done] == [
        ("b", {}, "ok"),
        ("a", {"n": 1}, "ok"),
        ("a", {"n": 2}, "error"),
    ]


def test_a_result_whose_call_was_not_recorded_is_still_a_call() -> None:
    done = read(row([agent(), tool("Error: not found", tool_error=True), agent("sorry")])).turns[1].turn.tool_calls
    assert done == (ToolCall("unnamed_tool", status="error", error="Error: not found"),)


def test_no_label_reaches_a_turn_and_nothing_from_the_turn_of_escalation_on() -> None:
    call = {"name": "refund", "args": {}, "write": True, "in_reference": SECRET, "executed": SECRET}
    labels: dict[str, Any] = dict.fromkeys(TRUTH_KEYS, SECRET)
    labels.update(escalate_turn_index=3, bad_write_index=1, needs_human=True, reference_actions=[SECRET])
    turns = [user("hi"), agent(tool_calls=[call]), user("a person please"), agent(SECRET), tool(SECRET), user(SECRET)]
    made = read(row(turns, **labels))
    assert SECRET not in repr([asdict(each) for each in made.turns])
    assert [each.row_index for each in made.turns] == [1, 2]
    assert made.turns[-1].turn.message == "a person please"
    assert (made.truth.needed(), made.truth.bad_write_index) == (True, 1)


def test_every_row_is_cut_at_the_escalation_even_when_rows_carry_other_numbers() -> None:
    turns = [user("hi", i=10), agent("hello", i=11), agent(SECRET, i=12), agent(SECRET, i=13)]
    made = read(row(turns, escalate_turn_index=12))
    assert [each.row_index for each in made.turns] == [11]


@pytest.mark.parametrize(
    ("labels", "needed"),
    [
        ({"needs_human": True, "escalate_truth": False}, True),
        ({"escalate_truth": False}, False),
        ({"needs_human": None, "escalate_truth": True}, True),
        ({"abuse_strong": True}, True),
        ({"needs_human": "yes"}, None),
        ({"outcome": "needed"}, True),
        ({"outcome": "too_late", "needs_human": False}, True),
        ({"outcome": "not_needed", "needs_human": True}, False),
        ({"outcome": "unclear", "needs_human": True}, True),
        ({"outcome": "unclear"}, None),
        ({}, None),
    ],
)
def test_the_first_label_that_is_known_counts(labels: dict[str, Any], needed: bool | None) -> None:
    assert read(row([agent("hi")], **labels)).truth.needed() is needed


def test_a_label_that_is_named_is_not_replaced_by_another() -> None:
    assert read(row([agent("hi")], needs_human=True)).truth.needed("escalate_truth") is None


def test_nothing_is_invented() -> None:
    turn = read(row([user("hi"), agent("hello")])).turns[0].turn
    assert (turn.confidence, turn.sentiment, turn.sources, turn.channel, turn.locale) == (None,) * 5
    assert turn.agent == AgentRef()
    assert turn.customer == Customer()


def test_what_a_row_carries_is_told() -> None:
    made = read(
        row(
            [
                user("hi", sentiment=-0.5, intent="greet"),
                agent("hello", confidence=0.4, sources=["kb"], signals={"mood": 3, "tags": ["a"]}),
            ],
            agent={"id": "bot", "version": "2"},
            customer={"id": "c9", "tier": "gold", "region": "EU"},
            channel="chat",
            locale="es-MX",
        )
    )
    turn = made.turns[0].turn
    assert (turn.confidence, turn.sentiment, turn.sources) == (0.4, -0.5, ("kb",))
    assert (turn.channel, turn.locale) == ("chat", "es-MX")
    assert turn.topics == (TopicScore("greet"),)
    assert turn.signals == {"mood": 3, "tags": frozenset({"a"})}
    assert turn.agent == AgentRef("bot", "2")
    assert turn.customer == Customer("c9", "gold", {"region": "EU"})


def test_rows_without_a_time_get_a_clock_that_says_so() -> None:
    made = read(row([agent("a"), agent("b"), agent("c")]))
    assert made.clock == "synthetic"
    assert [each.at_ms for each in made.turns] == [SYNTHETIC_START_AT_MS + n * SYNTHETIC_TURN_MS for n in range(3)]


def test_rows_with_times_keep_them() -> None:
    made = read(row([user("hi", at_ms=5), agent("a", at_ms=7), user("bye", at_ms=90)]))
    assert made.clock == "recorded"
    assert [each.at_ms for each in made.turns] == [7, 90]


def test_a_simulated_customer_s_end_mark_is_not_a_word_of_theirs() -> None:
    made = read(row([agent("done"), user("thanks! ###STOP###"), user("###STOP###")]))
    assert made.turns[-1].turn.message == "thanks!"


def test_long_texts_and_errors_are_bounded() -> None:
    made = read(
        row(
            [
                user("x" * 99_999),
                agent("y" * 99_999, tool_calls=[{"name": "a"}]),
                tool("e" * 9_999, tool_error=True),
                agent(),
            ]
        )
    )
    first, second = (each.turn for each in made.turns)
    assert len(first.message or "") == len(first.reply or "") == TEXT_CHARS_MAX
    assert len(second.tool_calls[0].error or "") == TOOL_ERROR_CHARS_MAX


@pytest.mark.parametrize(
    ("bad", "fact"),
    [
        ({"turns": []}, "the row has no `id`"),
        ({"id": "c"}, "the row has no list `turns`"),
        ({"id": "c", "turns": "agent"}, "the row has no list `turns`"),
        ({"id": "c", "turns": ["agent"]}, "turn 0 is no mapping"),
        ({"id": "c", "turns": [{"role": "narrator"}]}, "turn 0 has a role that is none of user, agent, tool, system"),
        ({"id": "c", "turns": [{}] * 2_001}, "the conversation has 2001 rows, more than 2000"),
    ],
)
def test_a_row_that_is_no_conversation_is_refused_with_the_fact(bad: dict[str, Any], fact: str) -> None:
    with pytest.raises(RowInvalid) as refused:
        read(bad)
    assert str(refused.value) == fact
