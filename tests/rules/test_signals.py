"""Every signal is read as the table says, and what is not known is never taken for zero, empty or false."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.decision import Evidence
from rules.evaluation.call_values import ARGS_DEPTH_MAX, ARGS_READ_MAX, call_values, read_as
from rules.evaluation.signal_table import CALL_SIGNALS, SIGNALS
from rules.evaluation.signals import read, record
from rules.model import RuleFiles, SignalDeclaration, Topic
from rules.turn import AgentRef, Conversation, Customer, Parent, ToolCall, TopicScore, Turn, TurnRecord, Value

NOW_MS = 1_795_300_200_000  # Sat 2026-11-21 22:30 UTC
FILES = RuleFiles("", {}, {}, {}, {}, ())
EMPTY = Turn("c1", "t1")
NEW = Conversation("c1")


def values(
    turn: Turn = EMPTY,
    conversation: Conversation = NEW,
    files: RuleFiles = FILES,
    evidence: tuple[Evidence, ...] = (),
    now_ms: int = NOW_MS,
) -> dict[str, Value]:
    return read(files, turn, conversation, now_ms, evidence)


def hit(topic: str, inside: str = "message") -> Evidence:
    return Evidence(topic, inside, 0, 1, "phrase")  # type: ignore[arg-type]


def calls(*calls: ToolCall) -> Turn:
    return replace(EMPTY, tool_calls=calls)


def test_the_table_has_its_signals_and_reading_answers_every_one_of_them() -> None:
    assert len(SIGNALS) >= 30
    assert {name for name in values() if not name.startswith("_")} == set(SIGNALS)


def test_an_empty_turn_knows_only_what_is_always_known() -> None:
    known = {name: value for name, value in values().items() if value is not None}
    assert known == {
        "message_present": False,
        "draft_present": False,
        "tools": frozenset(),
        "tools_proposed": frozenset(),
        "tools_failed": frozenset(),
        "tool_calls_count": 0,
        "tool_errors_count": 0,
        "writes_proposed_count": 0,
        "turn_count": 1,
        "elapsed_ms": 0,
        "tool_errors_total": 0,
        "handoffs_count": 0,
        "clock.weekday": "sat",
        "clock.hour": 22,
        "clock.time": 22 * 60 + 30,
        "clock.date": datetime(2026, 11, 21, tzinfo=UTC).toordinal(),
    }


# what the turn says -> what the signals read
TURNS: dict[str, tuple[Turn, dict[str, Value]]] = {
    "confidence and sentiment as sent": (
        replace(EMPTY, confidence=0.4, sentiment=-1.0),
        {"confidence": 0.4, "sentiment": -1.0},
    ),
    "a number that is no number is unknown": (
        replace(EMPTY, confidence=math.nan, sentiment=math.inf),
        {"confidence": None, "sentiment": None},
    ),
    "a message has a length, and no topics is known": (
        replace(EMPTY, message="Hello there"),
        {
            "message_present": True,
            "message_length": 11,
            "message_repeats": 0,
            "topics": frozenset(),
            "asks_for_person": False,
            "reply_topics": None,
        },
    ),
    "white space alone is no message, but has a length": (
        replace(EMPTY, message=" \n", reply=""),
        {"message_present": False, "message_length": 2, "draft_present": False, "reply_length": 0},
    ),
    "a draft": (
        replace(EMPTY, reply="Done."),
        {"draft_present": True, "reply_length": 5, "reply_repeats": 0, "reply_topics": frozenset(), "topics": None},
    ),
    "the language is the first part of the locale": (
        replace(EMPTY, locale="es-MX", channel="voice"),
        {"language": "es", "locale": "es-MX", "channel": "voice"},
    ),
    "an underscore in the locale": (replace(EMPTY, locale="PT_br"), {"language": "pt", "locale": "PT_br"}),
    "sources": (
        replace(EMPTY, sources=("faq-1", "faq-2", "faq-1")),
        {"sources": frozenset({"faq-1", "faq-2"}), "sources_count": 3},
    ),
    "no sources is known, when the caller says so": (
        replace(EMPTY, sources=()),
        {"sources": frozenset(), "sources_count": 0},
    ),
    "who is who": (
        replace(
            EMPTY,
            customer=Customer("c7", "gold"),
            agent=AgentRef("billing", "2", "p9"),
            parent=Parent("triage", "c0"),
        ),
        {
            "customer.id": "c7",
            "customer.tier": "gold",
            "agent.id": "billing",
            "agent.version": "2",
            "agent.prompt_version": "p9",
            "parent.agent": "triage",
        },
    ),
    "topics of the caller count from a score of 0.5, or without one": (
        replace(EMPTY, topics=(TopicScore("a"), TopicScore("b", 0.5), TopicScore("c", 0.49))),
        {"topics": frozenset({"a", "b"}), "asks_for_person": None},
    ),
    "tool calls": (
        calls(
            ToolCall("look_up", write=False, status="ok"),
            ToolCall("issue_refund", write=True, amount=250.0),
            ToolCall("close_account", write=True, amount=math.nan),
            ToolCall("send_mail", amount=10**400),
            ToolCall("charge", write=True, amount=9.0, status="error", error="declined"),
        ),
        {
            "tools": frozenset({"look_up", "issue_refund", "close_account", "send_mail", "charge"}),
            "tools_proposed": frozenset({"issue_refund", "close_account", "send_mail"}),
            "tools_failed": frozenset({"charge"}),
            "tool_calls_count": 5,
            "tool_errors_count": 1,
            "tool_errors_total": 1,
            "writes_proposed_count": 2,
            "amount_usd_max": 250.0,
        },
    ),
}


@pytest.mark.parametrize("name", TURNS)
def test_a_turn_is_read(name: str) -> None:
    turn, expected = TURNS[name]
    found = values(turn)
    assert {signal: found[signal] for signal in expected} == expected


def test_topics_come_from_the_text_they_were_found_in() -> None:
    files = replace(FILES, topics={"person": Topic("person", means="asks_for_person"), "fees": Topic("fees")})
    turn = replace(EMPTY, message="a person please", reply="here are the fees")
    found = values(turn, files=files, evidence=(hit("person"), hit("fees", "reply")))
    assert found["topics"] == frozenset({"person"})
    assert found["reply_topics"] == frozenset({"fees"})
    assert found["asks_for_person"] is True


def test_a_caller_may_say_itself_that_the_customer_asks_for_a_person() -> None:
    files = replace(FILES, topics={"person": Topic("person", means="asks_for_person")})
    assert values(replace(EMPTY, topics=(TopicScore("person", 0.9),)), files=files)["asks_for_person"] is True
    assert values(replace(EMPTY, topics=(TopicScore("other", 0.9),)), files=files)["asks_for_person"] is None


def test_a_draft_does_not_ask_for_a_person() -> None:
    files = replace(FILES, topics={"person": Topic("person", means="asks_for_person")})
    found = values(replace(EMPTY, message="hi", reply="a person?"), files=files, evidence=(hit("person", "reply"),))
    assert found["asks_for_person"] is False


def test_a_yes_holds_until_the_next_message() -> None:
    files = replace(FILES, topics={"yes": Topic("yes", means="confirmed")})
    agreed = values(replace(EMPTY, message="yes please"), files=files, evidence=(hit("yes"),))
    assert agreed["confirmed"] is True
    past = (record(files, EMPTY, agreed, NOW_MS),)
    assert values(calls(ToolCall("issue_refund")), Conversation("c1", past=past), files)["confirmed"] is True
    assert values(replace(EMPTY, message="wait"), Conversation("c1", past=past), files)["confirmed"] is False
    assert values(EMPTY, NEW, files)["confirmed"] is None


def test_a_conversation_is_counted_and_timed() -> None:
    past = (
        TurnRecord("t1", NOW_MS - 60_000, {"tool_errors_count": 2}),
        TurnRecord("t2", NOW_MS - 10_000, {"tool_errors_count": 1}),
    )
    conversation = Conversation("c1", NOW_MS - 90_000, 7, 2, NOW_MS - 70_000, past)
    found = values(calls(ToolCall("charge", status="error")), conversation)
    assert {name: found[name] for name in found if SIGNALS.get(name) and SIGNALS[name].group == "conversation"} == {
        "turn_count": 8,
        "elapsed_ms": 90_000,
        "since_last_turn_ms": 10_000,
        "tool_errors_total": 4,
        "handoffs_count": 2,
        "since_handoff_ms": 70_000,
    }


def test_a_time_that_would_run_backwards_is_none_at_all() -> None:
    past = (TurnRecord("t1", NOW_MS + 5_000, {}),)
    found = values(EMPTY, Conversation("c1", NOW_MS + 9_000, 1, 1, NOW_MS + 4_000, past))
    assert (found["elapsed_ms"], found["since_last_turn_ms"], found["since_handoff_ms"]) == (0, 0, 0)


def test_the_same_words_again_are_a_repeat_whatever_their_case_and_spacing() -> None:
    conversation = NEW
    said = ["Where is my order?", "where is  MY order?", "Thanks", "", "WHERE IS MY ORDER?\u200b"]
    repeats = []
    for number, message in enumerate(said):
        turn = replace(EMPTY, turn_id=f"t{number}", message=message, reply="We are looking.")
        found = values(turn, conversation)
        repeats.append((found["message_repeats"], found["reply_repeats"]))
        conversation = replace(conversation, past=(*conversation.past, record(FILES, turn, found, NOW_MS)))
    assert repeats == [(0, 0), (1, 1), (0, 2), (None, 3), (2, 4)]


def test_what_is_remembered_of_a_text_tells_nothing_to_another_conversation() -> None:
    one = values(replace(EMPTY, message="yes"))["_message"]
    other = values(replace(EMPTY, conversation_id="c2", message="yes"))["_message"]
    assert isinstance(one, str)
    assert one != other
    assert "yes" not in one


def test_a_record_holds_the_known_recorded_signals_and_no_text() -> None:
    files = replace(FILES, signals={"mood": SignalDeclaration("mood", "number")})
    turn = replace(EMPTY, message="my secret", confidence=0.3, channel="chat", signals={"mood": 4}, turn_index=9)
    kept = record(files, turn, values(turn, files=files), NOW_MS)
    assert (kept.turn_id, kept.at_ms, kept.turn_index) == ("t1", NOW_MS, 9)
    assert kept.values["confidence"] == 0.3
    assert kept.values["mood"] == 4
    assert None not in kept.values.values()
    assert set(kept.values) <= {name for name, spec in SIGNALS.items() if spec.recorded} | {"mood", "_message"}
    assert "secret" not in repr(kept)


DECLARED: dict[str, tuple[str, object, Value]] = {
    "an int": ("number", 3, 3),
    "a float": ("number", 0.5, 0.5),
    "a bool is no number": ("number", True, None),
    "a text is no number": ("number", "3", None),
    "NaN is no number": ("number", math.nan, None),
    "a text": ("text", "gold", "gold"),
    "a number is no text": ("text", 3, None),
    "a bool": ("bool", False, False),
    "a number is no bool": ("bool", 1, None),
    "a set": ("set", frozenset({"a"}), frozenset({"a"})),
    "a list of texts": ("set", ["a", "b", "a"], frozenset({"a", "b"})),
    "a list of numbers is no set": ("set", [1, 2], None),
    "a text is no set": ("set", "abc", None),
    "nothing": ("number", None, None),
}


@pytest.mark.parametrize("name", DECLARED)
def test_a_declared_signal_of_another_type_is_unknown(name: str) -> None:
    kind, given_value, expected = DECLARED[name]
    declared = {
        "mood": SignalDeclaration("mood", kind),  # type: ignore[arg-type]
        "customer.plan": SignalDeclaration("customer.plan", kind),  # type: ignore[arg-type]
    }
    turn = replace(
        EMPTY,
        signals={"mood": given_value},  # type: ignore[dict-item]
        customer=Customer(attributes={"plan": given_value}),  # type: ignore[dict-item]
    )
    found = values(turn, files=replace(FILES, signals=declared))
    assert (found["mood"], found["customer.plan"]) == (expected, expected)
    assert type(found["mood"]) is type(expected)
    assert read_as(given_value, kind) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Madrid", "America/St_Johns", "Asia/Kathmandu", "Pacific/Auckland"])
@pytest.mark.parametrize("hours", [0, 7, 24 * 100, 24 * 128 + 1, 24 * 311])
def test_the_clock_reads_as_the_time_zone_does(zone: str, hours: int) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours, minutes=47)
    found = values(files=replace(FILES, timezone=zone), now_ms=int(moment.timestamp() * 1000))
    there = moment.astimezone(ZoneInfo(zone))
    assert found["clock.weekday"] == there.strftime("%a").lower()
    assert (found["clock.hour"], found["clock.time"]) == (there.hour, there.hour * 60 + there.minute)
    assert found["clock.date"] == there.toordinal()


def test_a_moment_beyond_the_calendar_is_no_reason_to_fail() -> None:
    for now_ms in (-(10**18), 10**18):
        assert values(files=replace(FILES, timezone="Europe/Madrid"), now_ms=now_ms)["clock.hour"] is None
        assert values(now_ms=now_ms)["turn_count"] == 1


def test_one_tool_call_is_read() -> None:
    call = ToolCall(
        "issue_refund",
        {
            "amount": 250,
            "order": {"id": "A1", "lines": ["x", "y"], "gift": True},
            "notes": None,
            "weights": [1, 2],
            "rate": math.inf,
        },
        write=True,
        amount=250.0,
        status="error",
        error="declined",
    )
    assert call_values(call) == {
        "name": "issue_refund",
        "write": True,
        "amount_usd": 250.0,
        "status": "error",
        "error": "declined",
        "has_error": True,
        "args_items_max": 2,
        "args.amount": 250,
        "args.order.id": "A1",
        "args.order.lines": frozenset({"x", "y"}),
        "args.order.gift": True,
        "args.weights": None,
        "args.rate": None,
    }


def test_a_call_without_arguments_answers_every_signal_of_the_table() -> None:
    found = call_values(ToolCall("look_up"))
    assert set(found) == set(CALL_SIGNALS)
    assert (found["write"], found["has_error"], found["status"]) == (None, False, "proposed")


def test_arguments_without_end_are_read_to_a_limit() -> None:
    deep: Mapping[str, object] = {"x": 1}
    for _ in range(1_000):
        deep = {"x": deep}
    assert not [name for name in call_values(ToolCall("t", deep)) if name.startswith("args.")]
    assert f"args{'.x' * ARGS_DEPTH_MAX}" in call_values(ToolCall("t", {"x": {"x": {"x": {"x": 1}}}}))
    assert len(call_values(ToolCall("t", {str(number): 1 for number in range(1_000)}))) == ARGS_READ_MAX


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.frozensets(st.text()),
    max_leaves=8,
)


@settings(deadline=None)
@given(ANYTHING, st.text(), st.text(), st.integers(-(10**15), 10**15))
def test_no_value_of_a_caller_makes_reading_raise(value: object, message: str, name: str, now_ms: int) -> None:
    declared = {kind: SignalDeclaration(kind, kind) for kind in ("number", "text", "bool", "set")}
    signals = dict.fromkeys(declared, value)
    turn = replace(
        EMPTY,
        message=message,
        locale=message,
        signals=signals,  # type: ignore[arg-type]
        tool_calls=(ToolCall(name, {name: value}),),
    )
    files = replace(FILES, signals=declared, timezone="Asia/Tokyo")
    found = values(turn, NEW, files, now_ms=now_ms)
    kinds = {"number": (int, float), "text": (str,), "bool": (bool,), "set": (frozenset,)}
    for kind, types in kinds.items():
        assert found[kind] is None or type(found[kind]) in types
    record(files, turn, found, now_ms)
    call_values(turn.tool_calls[0])
