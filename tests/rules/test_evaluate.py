from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import files_or_raise
from rules.evaluation import reference
from rules.evaluation.asked import asked_signals
from rules.evaluation.evaluate import Evaluation, Ruleset, build, evaluate, is_live
from rules.history import remember
from rules.model import Mode, Rule, RuleFiles, Then
from rules.turn import Conversation, ToolCall, Turn
from tests.rules.strategies import NOW_MS, SPAN, compare, conversations, files_of, rule_files, turns

RULES = """
handrail: 1
thresholds: {low_confidence: 0.55, refund_limit_usd: 200}
topics:
  fees: {phrases: [hidden fee], inside: [message, reply]}
queues:
  tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: We will call you.}}}
rules:
  - id: unsure-twice
    why: the agent was unsure two turns in a row
    when: {all: [streak(confidence < $low_confidence) >= 2, "channel in [chat, voice]"]}
    then: {escalate: tier1, priority: high}
  - id: big-refund
    why: more than a bot may give
    when: {tool_call: {all: [name = issue_refund, amount_usd > $refund_limit_usd, status = proposed]}}
    then: {hold: tier1}
  - id: fees
    why: a person reads these
    when: {any: [topics has fees, count(topics has fees) over 10 turns >= 2]}
    then: {review: tier1}
  - id: fees-promised
    why: not tried yet
    when: reply_topics has fees
    then: {escalate: tier1}
    mode: shadow
"""


JOINS_AT_PERCENT = {"conversation-1": 6, "conversation-2": 13, "conversation-3": 9}


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return build(files_or_raise({"rules.yaml": RULES}))


def turn(**fields: object) -> Turn:
    return replace(Turn("conv-1", "turn-1", channel="chat"), **fields)  # type: ignore[arg-type]


def judged(ruleset: Ruleset, *turns: Turn) -> Evaluation:
    """Judge turns of one conversation a minute apart and return what came of the last."""
    conversation = Conversation("conv-1")
    for number, one in enumerate(turns):
        evaluation = evaluate(ruleset, replace(one, turn_id=f"turn-{number}"), conversation, NOW_MS + number * 60_000)
        conversation = remember(conversation, evaluation.record)
    return evaluation


def ids(rules: tuple[Rule, ...]) -> list[str]:
    return [rule.id for rule in rules]


def test_nothing_said_nothing_fires(ruleset: Ruleset) -> None:
    evaluation = judged(ruleset, turn())
    assert (evaluation.verdict, evaluation.rules, evaluation.shadow, evaluation.top) == ("continue", (), (), None)


def test_a_streak_needs_the_turn_before(ruleset: Ruleset) -> None:
    unsure = turn(confidence=0.4)
    assert judged(ruleset, unsure).verdict == "continue"
    assert judged(ruleset, unsure, unsure).verdict == "escalate"
    assert judged(ruleset, unsure, turn(confidence=0.9), unsure).verdict == "continue"
    assert judged(ruleset, unsure, turn(), unsure).verdict == "continue"


def test_the_strongest_rule_is_on_top_and_all_that_fired_are_there(ruleset: Ruleset) -> None:
    refund = ToolCall("issue_refund", amount=250.0)
    last = turn(confidence=0.4, message="why this hidden fee?", tool_calls=(refund,))
    evaluation = judged(ruleset, turn(confidence=0.4), last)
    assert ids(evaluation.rules) == ["unsure-twice", "big-refund", "fees"]
    assert evaluation.verdict == "escalate"
    assert evaluation.top is not None
    assert evaluation.top.then.priority == "high"


def test_a_shadow_rule_fires_apart_and_decides_nothing(ruleset: Ruleset) -> None:
    evaluation = judged(ruleset, turn(reply="no hidden fee at all"))
    assert (evaluation.verdict, ids(evaluation.rules), ids(evaluation.shadow)) == ("continue", [], ["fees-promised"])


def test_aggregates_of_fired_rules_stand_among_the_values_but_not_in_the_record(ruleset: Ruleset) -> None:
    evaluation = judged(ruleset, turn(confidence=0.4), turn(confidence=0.5))
    assert evaluation.values["streak(confidence < $low_confidence)"] == 2
    assert evaluation.record.values["confidence"] == 0.5
    assert not any("(" in name for name in evaluation.record.values)


def test_topics_found_in_the_texts_are_evidence(ruleset: Ruleset) -> None:
    evaluation = judged(ruleset, turn(message="a hidden fee"))
    assert [(hit.topic, hit.inside, hit.start, hit.end) for hit in evaluation.evidence] == [("fees", "message", 2, 12)]
    assert evaluation.values["topics"] == frozenset({"fees"})


def test_a_ruleset_is_named_by_its_files(ruleset: Ruleset) -> None:
    assert ruleset.hash == ruleset.files.hash


def _rule(percent: int, rule_id: str = "r") -> Rule:
    return Rule(rule_id, "because", compare("turn_count", ">=", 1), Then("review", "tier1"), Mode(percent), SPAN)


def test_a_rollout_is_the_same_for_ever_and_grows_with_its_percentage() -> None:
    conversations = [f"conversation-{number}" for number in range(2_000)]
    live = {percent: {one for one in conversations if is_live(_rule(percent), one)} for percent in range(0, 101, 5)}
    for percent in range(5, 101, 5):
        assert live[percent - 5] <= live[percent]
        assert abs(len(live[percent]) / len(conversations) - percent / 100) < 0.04
    assert (len(live[0]), len(live[100])) == (0, 2_000)


def test_the_percentage_at_which_a_conversation_joins_is_known_for_ever() -> None:
    joins = {name: next(p for p in range(101) if is_live(_rule(p), name)) for name in JOINS_AT_PERCENT}
    # A change of the hash, or of its bound, would move conversations in and out of every rollout that runs.
    assert joins == JOINS_AT_PERCENT


def test_two_rules_roll_out_to_different_conversations() -> None:
    conversations = [f"conversation-{number}" for number in range(500)]
    one = {name for name in conversations if is_live(_rule(50, "one"), name)}
    other = {name for name in conversations if is_live(_rule(50, "other"), name)}
    assert 0.15 < len(one & other) / 500 < 0.35


def test_a_conversation_named_with_half_a_character_is_rolled_out_like_any_other() -> None:
    assert is_live(_rule(50), "\ud800") in (True, False)


@settings(max_examples=100, deadline=None)
@given(rule_files, st.lists(turns, min_size=1, max_size=3), conversations)
def test_every_turn_is_judged_as_the_plain_meaning_judges_it(
    files: RuleFiles, many: list[Turn], conversation: Conversation
) -> None:
    ruleset = build(files)
    for number, one in enumerate(many):
        moment = replace(one, turn_id=f"turn-{number}")
        evaluation = evaluate(ruleset, moment, conversation, NOW_MS + number)
        meant = reference.evaluate(ruleset, moment, conversation, NOW_MS + number)
        # Of the signals only those are read that are kept or asked for; the plain meaning reads them all.
        assert asked_signals(files.rules) <= set(evaluation.values)
        assert evaluation == replace(meant, values={name: meant.values[name] for name in evaluation.values})
        assert evaluation.top == (evaluation.rules[0] if evaluation.rules else None)
        conversation = remember(conversation, evaluation.record)


@settings(max_examples=40, deadline=None)
@given(rule_files, turns, conversations)
def test_a_mode_never_changes_which_rules_fire(files: RuleFiles, one: Turn, conversation: Conversation) -> None:
    live = files_of([replace(rule, mode=Mode(100)) for rule in files.rules])
    fired = evaluate(build(files), one, conversation, NOW_MS)
    all_live = evaluate(build(live), one, conversation, NOW_MS)
    assert {*ids(fired.rules), *ids(fired.shadow)} == {*ids(all_live.rules)}
    assert all_live.shadow == ()
