"""`confirmed` and `args_items_max`: a customer's yes holds until it is used, and silence about it is never a no."""

from __future__ import annotations

import pytest

from rules.decision import Evidence
from rules.evaluation.call_values import call_values
from rules.evaluation.signals import read, record
from rules.model import RuleFiles, Topic
from rules.turn import Conversation, ToolCall, TopicScore, Turn, Value

YES = Topic("says_yes", phrases=("yes",), means="confirmed")
FOUND = (Evidence("says_yes", "message", 0, 3, "yes"),)
FOUND_IN_DRAFT = (Evidence("says_yes", "reply", 0, 3, "yes"),)


def files(*topics: Topic) -> RuleFiles:
    return RuleFiles("0" * 64, {}, {topic.name: topic for topic in topics}, {}, {}, ())


def turn(message: str | None, number: int = 0, topics: tuple[TopicScore, ...] = ()) -> Turn:
    return Turn("c1", f"t{number}", message=message, topics=topics)


@pytest.mark.parametrize(
    ("told", "topics", "evidence", "confirmed"),
    [
        pytest.param(turn("yes"), (YES,), FOUND, True, id="a yes was found"),
        pytest.param(turn("why?"), (YES,), (), False, id="a message without a yes"),
        pytest.param(turn("why?"), (YES,), FOUND_IN_DRAFT, False, id="the agent's own yes is not the customer's"),
        pytest.param(turn(None), (YES,), (), None, id="no message yet"),
        pytest.param(turn("why?"), (), (), None, id="no topic says what a yes is"),
        pytest.param(turn("ja", 0, (TopicScore("says_yes", 0.9),)), (YES,), (), True, id="the caller found the yes"),
        pytest.param(turn("ja", 0, (TopicScore("says_yes", 0.2),)), (YES,), (), False, id="the caller doubts it"),
    ],
)
def test_confirmed(told: Turn, topics: tuple[Topic, ...], evidence: tuple[Evidence, ...], confirmed: Value) -> None:
    assert read(files(*topics), told, Conversation("c1"), 0, evidence)["confirmed"] is confirmed


def test_a_yes_holds_over_turns_without_a_message_and_ends_with_the_next_message() -> None:
    rules = files(YES)
    conversation = Conversation("c1")
    seen: list[Value] = []
    said: tuple[tuple[str | None, tuple[Evidence, ...]], ...] = (
        ("yes", FOUND),
        (None, ()),
        (None, ()),
        ("wait", ()),
        (None, ()),
    )
    for number, (message, evidence) in enumerate(said):
        told = turn(message, number)
        values = read(rules, told, conversation, number, evidence)
        seen.append(values["confirmed"])
        past = (*conversation.past, record(rules, told, values, number))
        conversation = Conversation("c1", 0, number + 1, past=past)
    assert seen == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("args", "longest"),
    [
        ({}, 0),
        ({"order_id": "o-1"}, 0),
        ({"items": ["a"], "new_items": ["b", "c"]}, 2),
        ({"passengers": [{"name": "x"}, {"name": "y"}, {"name": "z"}]}, 3),
        ({"text": "a long text is no list"}, 0),
    ],
)
def test_the_longest_list_of_a_call_counts(args: dict[str, object], longest: int) -> None:
    assert call_values(ToolCall("modify", args))["args_items_max"] == longest
