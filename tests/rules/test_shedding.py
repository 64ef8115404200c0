"""What a queue over its budget sheds, what it never does, and what the check refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.compile.rule_files import compile_files, files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.model import Budget
from rules.routing.shedding import Handled, load_of
from rules.thinking import Judged, judge
from rules.turn import Conversation, Turn

HEAD = """handrail: 1
thresholds:
  low: {value: 0.55, min: 0.3, max: 0.8}
topics:
  advice: {regulated: true, source: FINRA Rule 2111, phrases: [which fund]}
queues:
  tier1:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: We will call you.}}
    budget: {minutes: 60, over: 1h, minutes_each: 6}
    say: {en: One moment please.}
rules:
"""
UNSURE = """  - id: unsure
    why: the agent is unsure
    when: confidence < $low
    then: {escalate: tier1}
    when_busy:
      - {over: 100%, thresholds: {low: 0.4}}
      - {over: 150%, then: review}
      - {over: 200%, then: callback, say: {en: We will call you back today.}}
"""
ADVICE = """  - id: advice
    why: the law asks for a person
    when: topics has advice
    then: {escalate: tier1}
"""
RULESET = build(files_or_raise({"a.yaml": HEAD + UNSURE + ADVICE}))


def judged(ruleset: Ruleset, pressures: dict[str, int], **fields: object) -> Judged:
    turn = Turn(conversation_id="c", turn_id="t", **fields)  # type: ignore[arg-type]  # a turn's own fields
    return judge(ruleset, turn, Conversation("c"), 0, pressures)


@pytest.mark.parametrize(
    ("percent", "confidence", "verdict", "to"),
    [
        pytest.param(99, 0.5, "escalate", [], id="below its first step nothing is shed"),
        pytest.param(100, 0.5, "continue", ["continue"], id="the raised threshold lets the turn go on"),
        pytest.param(100, 0.35, "escalate", [], id="what is below the raised threshold still asks for a person"),
        pytest.param(150, 0.35, "review", ["review"], id="past the second step a person looks afterwards"),
        pytest.param(150, 0.5, "continue", ["continue"], id="the threshold of the first step stays"),
        pytest.param(900, 0.35, "review", ["callback"], id="the last step is as far as it goes"),
    ],
)
def test_steps(percent: int, confidence: float, verdict: str, to: list[str]) -> None:
    found = judged(RULESET, {"tier1": percent}, confidence=confidence)
    assert (found.verdict, [shed.to for shed in found.shed]) == (verdict, to)
    # What fired is told as it fired.
    assert [rule.rule_id for rule in found.fired] == ["unsure"]


def test_an_unknown_pressure_sheds_nothing() -> None:
    assert judged(RULESET, {}, confidence=0.5).verdict == "escalate"
    assert judged(RULESET, {"other": 900}, confidence=0.5).verdict == "escalate"


@given(
    percent=st.integers(0, 1_000_000),
    confidence=st.one_of(st.none(), st.floats(0, 1)),
    message=st.sampled_from(["which fund", "please say which fund is best", "hello which fund?"]),
)
def test_a_regulated_topic_is_never_shed(percent: int, confidence: float | None, message: str) -> None:
    """Nor is anything else of its turn: the strongest of several rules decides, and none of them grows weaker."""
    busy = judged(RULESET, {"tier1": percent}, confidence=confidence, message=message)
    assert (busy.verdict, busy.shed) == ("escalate", ())
    assert busy == judged(RULESET, {}, confidence=confidence, message=message)


@given(percent=st.integers(0, 1_000), confidence=st.floats(0, 1))
def test_pressure_makes_no_rule_fire(percent: int, confidence: float) -> None:
    order = ["continue", "review", "hold", "escalate"]
    calm = judged(RULESET, {}, confidence=confidence)
    busy = judged(RULESET, {"tier1": percent}, confidence=confidence)
    assert order.index(busy.verdict) <= order.index(calm.verdict)
    assert bool(busy.shed) == (busy.verdict != calm.verdict)


BUSY = "    when_busy: [{over: 100%, then: review}]\n"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        pytest.param(
            ADVICE + BUSY,
            "R147: the rule asks for the regulated topic `advice`, which is never shed",
            id="a regulated rule",
        ),
        pytest.param(
            ADVICE.replace("topics has advice", "{any: [confidence < $low, not: topics has advice]}") + BUSY,
            "R147: the rule asks for the regulated topic `advice`, which is never shed",
            id="a regulated topic anywhere in it",
        ),
        pytest.param(
            UNSURE.replace("escalate: tier1", "escalate: tier1, priority: urgent"),
            "R147: the rule is `priority: urgent`, which is never shed",
            id="an urgent rule",
        ),
        pytest.param(
            UNSURE.replace("low: 0.4", "low: 0.2"),
            "R148: `low` would fall below its own `min`",
            id="a threshold past its floor",
        ),
        pytest.param(
            UNSURE.replace("over: 150%", "over: 90%"),
            "R148: the step before is at 100% already",
            id="steps out of order",
        ),
        pytest.param(
            UNSURE.replace("low: 0.4", "low: 0.6"),
            "R148: with this `low` the rule asks for more people, not for fewer",
            id="a threshold with which more people are asked",
        ),
        pytest.param(
            UNSURE.replace("over: 150%, then: review", "over: 150%, thresholds: {low: 0.5}"),
            "R148: with this `low` the rule asks for more people, not for fewer",
            id="a step that gives back what the one before took",
        ),
        pytest.param(
            UNSURE.replace("low: 0.4", "low: 0.55"),
            "R148: with this `low` the rule asks for as many people",
            id="a threshold that stays as it is",
        ),
        pytest.param(
            UNSURE.replace("confidence < $low", "{not: confidence >= $low}").replace("low: 0.4", "low: 0.7"),
            "R148: with this `low` the rule asks for more people, not for fewer",
            id="the wrong way under a `not`",
        ),
        pytest.param(
            UNSURE.replace("confidence < $low", "{any: [confidence < $low, sentiment > $low]}"),
            "R148: `low` is compared both ways, or with `=`: nobody can tell if the rule fires less",
            id="a threshold that is compared both ways",
        ),
        pytest.param(
            UNSURE.replace("then: review", "then: callback, say: {en: x}").replace(
                "over: 200%, then: callback, say: {en: We will call you back today.}", "over: 200%, then: review"
            ),
            "R148: the step asks for more than the one before: a `callback` is less than a `review`",
            id="a review after a callback",
        ),
        pytest.param(
            UNSURE[: UNSURE.index("      - {over: 200%")].replace("escalate: tier1", "hold: tier1"),
            "R147: the rule holds a reply or a call, which would go out before anybody sees it",
            id="a hold that would let it out",
        ),
        pytest.param(
            UNSURE.replace("low: 0.4", "lo: 0.4"),
            "R148: the rule compares no signal of this turn with `$lo`",
            id="a threshold that the rule does not know",
        ),
        pytest.param(
            UNSURE.replace("    when: confidence < $low", "    when: streak(confidence < $low) >= 2"),
            "R148: the rule compares no signal of this turn with `$low`",
            id="a threshold that is counted over earlier turns",
        ),
    ],
)
def test_refused(rule: str, message: str) -> None:
    _, problems = compile_files({"a.yaml": HEAD + rule})
    assert [f"{each.code}: {each.message}" for each in problems if each.severity == "error"] == [message]


def test_a_rule_behind_one_that_is_shed_is_not_called_superfluous() -> None:
    """It is what decides once the first one gives way."""
    looked_at = """  - id: looked-at
    why: a person looks at it later
    when: confidence < 0.4
    then: {review: tier1}
"""
    for unsure, codes in ((UNSURE, []), (UNSURE[: UNSURE.index("    when_busy")], ["W221"])):
        _, problems = compile_files({"a.yaml": HEAD + unsure + looked_at})
        assert [each.code for each in problems if each.code == "W221"] == codes


def test_pressure_is_what_was_spent_and_what_is_open() -> None:
    minute = 60_000
    budget = Budget(60 * minute, 60 * minute, 6 * minute)
    few = [Handled(100 * minute, 10 * minute)] * 3
    load = load_of(budget, few, 5, 101 * minute)
    assert (load.percent, load.observed) == (100, 0)
    assert load_of(budget, few, 5, 161 * minute).percent == 50
    assert load_of(Budget(60 * minute, 60 * minute), few, 5, 101 * minute).percent is None
    known = load_of(Budget(60 * minute, 60 * minute), few * 7, 0, 101 * minute)
    assert (known.percent, known.each_ms, known.observed) == (350, 10 * minute, 21)
