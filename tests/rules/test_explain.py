from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from rules.compile.rule_files import files_or_raise
from rules.decision import Check, Evidence
from rules.evaluation.evaluate import Ruleset, build, evaluate
from rules.evaluation.explain import condition_text, fired, sentence
from rules.history import remember
from rules.model import Aggregate, All, Any, CallMatch, Compare, Condition, Not, Rule, RuleFiles, Then, Window
from rules.model import Mode as RuleMode
from rules.turn import Conversation, Customer, ToolCall, Turn, Value
from tests.rules.strategies import (
    MEMBERS,
    NOW_MS,
    SPAN,
    compare,
    conversations,
    files_of,
    rule_files,
    turns,
)

LOW = Compare("confidence", "<", 0.55, "confidence < $low_confidence", SPAN, "low_confidence")
REFUND = Compare("name", "=", "issue_refund", "name = issue_refund", SPAN)
BIG = Compare("amount_usd", ">", 200, "amount_usd > $refund_limit", SPAN, "refund_limit")


@pytest.mark.parametrize(
    ("one", "actual", "words"),
    [
        (LOW, 0.41, "confidence 0.41 < 0.55 (low_confidence)"),
        (compare("confidence", "=", 0.5), 0.5, "confidence = 0.5"),
        (compare("confidence", "!=", 0.5), 0.4, "confidence 0.4 != 0.5"),
        (compare("turn_count", "in", (3, 4)), 3, "turn_count 3 in [3, 4]"),
        (compare("elapsed_ms", ">", 600_000), 723_000, "elapsed_ms 12m 3s > 10m"),
        (compare("clock.time", ">=", 1080), 1085, "clock.time 18:05 >= 18:00"),
        (compare("clock.date", "=", 739_611), 739_611, "clock.date = 2025-12-26"),
        (compare("channel", "=", "chat"), "chat", "channel = chat"),
        (compare("channel", "in", ("chat", "voice")), "chat", "channel chat in [chat, voice]"),
        (compare("channel", "!=", "chat"), "my secret", "channel != chat"),
        (compare("channel", "not in", ("chat", "voice")), "my secret", "channel not in [chat, voice]"),
        (compare("topics", "has", "fees"), frozenset({"fees", "other"}), "topics has fees"),
        (compare("topics", "lacks", "fees"), frozenset({"other"}), "topics lacks fees"),
        (compare("sources", "not within", ("kb", "faq")), frozenset({"my secret"}), "sources not within [kb, faq]"),
        (compare("asks_for_person", "=", True), True, "asks_for_person = true"),
        (compare("asks_for_person", "!=", True), False, "asks_for_person false != true"),
        (compare("sentiment", "is unknown"), None, "sentiment is unknown"),
        (compare("sentiment", "is known"), 0.5, "sentiment is known"),
        (compare(Aggregate("count", REFUND, Window(9)), ">", 2), 3, "count(name = issue_refund) over 9 turns: 3 > 2"),
        (compare(Aggregate("streak", LOW, Window()), "=", 2), 2, "streak(confidence < $low_confidence): 2 = 2"),
        (compare(Aggregate("avg", "risk", Window(span_ms=600_000)), "<", 0), -0.25, "avg(risk) over 10m: -0.25 < 0"),
        (compare(Aggregate("max", "elapsed_ms", Window()), ">", 60_000), 90_000, "max(elapsed_ms): 1m 30s > 1m"),
    ],
)  # fmt: skip
def test_a_comparison_in_words(one: Compare, actual: Value, words: str) -> None:
    assert sentence(one, actual) == words


def ruleset_of(*whens: Condition) -> Ruleset:
    rules = [
        Rule(f"r{number}", "because", when, Then("review", "tier1"), RuleMode(), SPAN)
        for number, when in enumerate(whens)
    ]
    return build(files_of(rules))


def sentences(when: Condition, turn: Turn, conversation: Conversation | None = None) -> list[str]:
    ruleset = ruleset_of(when)
    evaluation = evaluate(ruleset, turn, conversation or Conversation("conv-1"), NOW_MS)
    (one,) = fired(ruleset, evaluation)
    return [check.sentence for check in one.checks]


TURN = Turn("conv-1", "turn", channel="chat", confidence=0.41, sentiment=0.2, message="why this hidden fee?")
CALLS = (ToolCall("lookup"), ToolCall("issue_refund", {"why": "he shouted at me"}, amount=250.0))


@pytest.mark.parametrize(
    ("when", "calls", "words"),
    [
        pytest.param(
            All((LOW, compare("channel", "=", "chat"))),
            (),
            ["confidence 0.41 < 0.55 (low_confidence)", "channel = chat"],
            id="all of them",
        ),
        pytest.param(
            Any((LOW, compare("channel", "=", "mail"), compare("topics", "has", "fees"))),
            (),
            ["confidence 0.41 < 0.55 (low_confidence)", "topics has fees"],
            id="of any only those that held",
        ),
        pytest.param(Not(compare("confidence", ">", 0.9)), (), ["confidence 0.41 <= 0.9"], id="not turns it round"),
        pytest.param(
            Not(Any((compare("sentiment", "<", 0), compare("channel", "=", "mail")))),
            (),
            ["sentiment 0.2 >= 0", "channel != mail"],
            id="not any is all of the opposites",
        ),
        pytest.param(Any((LOW, All((LOW, LOW)))), (), ["confidence 0.41 < 0.55 (low_confidence)"], id="a reason once"),
        pytest.param(
            CallMatch(All((REFUND, BIG)), SPAN),
            CALLS,
            ["tool call 2: name = issue_refund", "tool call 2: amount_usd 250 > 200 (refund_limit)"],
            id="which call, and its values",
        ),
        pytest.param(
            CallMatch(Not(compare("args.why", "=", "gift")), SPAN),
            CALLS,
            ["tool call 2: args.why != gift"],
            id="no words of a call",
        ),
        pytest.param(
            Not(CallMatch(All((REFUND, compare("amount_usd", ">", 900))), SPAN)),
            CALLS,
            ["none of 2 tool calls meets `name = issue_refund and amount_usd > 900`"],
            id="no call meets it",
        ),
        pytest.param(
            Not(CallMatch(REFUND, SPAN)), (), ["no tool call, so none meets `name = issue_refund`"], id="no call at all"
        ),
    ],
)  # fmt: skip
def test_only_what_made_the_rule_true_is_told(when: Condition, calls: tuple[ToolCall, ...], words: list[str]) -> None:
    assert sentences(when, replace(TURN, tool_calls=calls)) == words


def test_an_aggregate_tells_its_number() -> None:
    ruleset = ruleset_of(compare("turn_count", "<", 0))
    conversation = Conversation("conv-1")
    conversation = remember(conversation, evaluate(ruleset, TURN, conversation, NOW_MS - 1).record)
    streak = compare(Aggregate("streak", LOW, Window()), ">=", 2)
    assert sentences(streak, replace(TURN, turn_id="next"), conversation) == [
        "streak(confidence < $low_confidence): 2 >= 2"
    ]


def test_a_topic_brings_its_places_and_a_topic_that_means_something_too() -> None:
    ruleset = ruleset_of(
        All((compare("topics", "has", "fees"), compare("reply_topics", "has", "fees"))),
        compare("asks_for_person", "=", True),
        compare(Aggregate("count", compare("topics", "has", "fees"), Window(3)), ">=", 1),
        compare("topics", "lacks", "refund"),
    )
    turn = replace(TURN, message="a human, this hidden fee!", reply="no hidden fee")
    checks = [one.checks for one in fired(ruleset, evaluate(ruleset, turn, Conversation("conv-1"), NOW_MS))]
    in_message = Evidence("fees", "message", 14, 24, "hidden fee")
    in_reply = Evidence("fees", "reply", 3, 13, "hidden fee")
    a_person = Evidence("person", "message", 0, 7, "a human")
    assert [[check.evidence for check in each] for each in checks] == [
        [(in_message,), (in_reply,)],
        [(a_person,)],
        [(in_message,)],
        [()],
    ]


def test_a_check_holds_what_the_file_says_and_the_value_it_met() -> None:
    ruleset = ruleset_of(All((LOW, Not(compare("sentiment", "<", 0)))))
    (one,) = fired(ruleset, evaluate(ruleset, TURN, Conversation("conv-1"), NOW_MS))
    assert one.checks == (
        Check("confidence < $low_confidence", 0.41, 0.55, "low_confidence", "confidence 0.41 < 0.55 (low_confidence)"),
        Check("not sentiment < 0", 0.2, 0, None, "sentiment 0.2 >= 0"),
    )
    assert (one.rule_id, one.why, one.verdict, one.live) == ("r0", "because", "review", True)


def test_shadow_rules_are_explained_after_the_live_ones() -> None:
    files = files_or_raise({"rules.yaml": RULES})
    ruleset = build(files)
    told = fired(ruleset, evaluate(ruleset, TURN, Conversation("conv-1"), NOW_MS))
    assert [(one.rule_id, one.live) for one in told] == [("weak", True), ("strong", False)]


RULES = """
handrail: 1
queues: {tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: We will call you.}}}}
rules:
  - {id: strong, why: a, when: confidence < 0.5, then: {escalate: tier1}, mode: shadow}
  - {id: weak, why: b, when: confidence < 0.5, then: {review: tier1}}
"""


def test_a_condition_in_one_line() -> None:
    condition = All((LOW, Any((REFUND, Not(BIG))), CallMatch(REFUND, SPAN)))
    assert condition_text(condition) == (
        "confidence < $low_confidence and (name = issue_refund or (not (amount_usd > $refund_limit)))"
        " and (tool_call (name = issue_refund))"
    )


@settings(max_examples=60, deadline=None)
@given(rule_files, turns, conversations)
def test_every_rule_that_fired_says_why(files: RuleFiles, turn: Turn, conversation: Conversation) -> None:
    ruleset = build(files)
    evaluation = evaluate(ruleset, turn, conversation, NOW_MS)
    told = fired(ruleset, evaluation)
    assert [one.rule_id for one in told] == [rule.id for rule in (*evaluation.rules, *evaluation.shadow)]
    assert all(one.checks for one in told)
    assert all(check.sentence and "None" not in check.sentence for one in told for check in one.checks)


SECRET = "my card is 4111"


@settings(max_examples=60, deadline=None)
@given(rule_files, turns, conversations)
def test_no_customers_words_are_in_a_sentence(files: RuleFiles, turn: Turn, conversation: Conversation) -> None:
    ruleset = build(files)
    turn = replace(
        turn,
        channel=SECRET,
        customer=Customer(SECRET, SECRET, {"plan": SECRET}),
        message=f"{turn.message} {SECRET}",
        reply=SECRET,
        sources=(SECRET,),
        signals={**turn.signals, "mood": SECRET, "labels": frozenset({SECRET, *MEMBERS})},
        tool_calls=(*turn.tool_calls, ToolCall(SECRET, {"why": SECRET, "labels": [SECRET]}, error=SECRET)),
    )
    told = fired(ruleset, evaluate(ruleset, turn, conversation, NOW_MS))
    assert SECRET not in " ".join(check.sentence for one in told for check in one.checks)
