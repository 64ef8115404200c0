"""A conversation that was tried is written as a test case, is read back the same, and passes."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.cases.case_files import read_case_files
from rules.cases.case_text import HEADER, case_text
from rules.cases.runner import run_cases
from rules.cases.values import Case, TurnStep
from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.trial import move_step, play, trial, turn_step
from rules.turn import AgentRef, Customer, Parent, ToolCall, TopicScore, Turn

RULES = """handrail: 1
signals:
  mood: {type: text, why: x}
  score: {type: number, why: x}
  tags: {type: set, why: x}
  vip: {type: bool, why: x}
customer: {region: {type: text, why: x}}
topics:
  refunds: {phrases: [refund]}
queues:
  desk:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: "We call you: soon."}}
    say: {en: "One moment: a colleague comes.", es: "Un momento."}
rules:
  - {id: refunds, why: x, when: topics has refunds, then: {escalate: desk, priority: high}}
  - {id: unsure, why: x, when: streak(confidence < 0.5) >= 2, then: {review: desk}}
  - {id: vip, why: x, when: vip = true, then: {hold: desk}, mode: {rollout: 50%}}
  - {id: cheap, why: x, when: {tool_call: amount_usd > 10}, then: {review: desk}, mode: shadow}
"""
MONDAY_MS = 1_772_442_000_000
EXPECTED = """handrail_tests: 1
cases:
  - name: a refund is asked for
    at: 2026-03-02T09:00:00Z
    conversation: a refund is asked for
    locale: en-US
    turns:
      - {message: "Hello, when do you open?", expect: continue}
      - message: "I want a refund: now!"
        confidence: 0.9
        expect: {escalate: desk, priority: high, rules: [refunds], say: "One moment: a colleague comes."}
      - message: are you there
        expect:
          verdict: held_by_human
          rules: []
          say: "A colleague is taking care of this and will answer you here."
      - {after: 5m, hand_back: true}
      - tool_calls: [{name: pay, args: {id: A-1}, write: true, amount: 12.5}]
        expect: {verdict: continue, rules: [], shadow: [cheap]}
"""


def ruleset() -> Ruleset:
    return build(files_or_raise({"a.yaml": RULES}))


def written(case: Case) -> str:
    rules = ruleset()
    return HEADER + case_text(case, [each.seen for each in play(rules, case)], rules.files.rules)


def said(case: Case, **fields: Any) -> Case:
    return turn_step(case, Turn("", "", **fields), 30_000 if case.steps else 0)


def test_a_conversation_reads_as_a_person_would_write_it() -> None:
    case = trial("a refund is asked for", MONDAY_MS)
    case = said(case, message="Hello, when do you open?", locale="en-US")
    case = said(case, message="I want a refund: now!", locale="en-US", confidence=0.9)
    case = said(case, message="are you there", locale="en-US")
    case = move_step(case, "hand_back", 300_000)
    case = said(case, locale="en-US", tool_calls=(ToolCall("pay", {"id": "A-1"}, write=True, amount=12.5),))
    assert written(case) == EXPECTED


WORDS = st.one_of(
    st.sampled_from(
        ["yes", "null", "1e3", "0x1f", "- a", "a: b", "#c", "'q'", '"', "{x}", " x ", "¿qué?", "a\nb", "~", "=", "<<"]
    ),
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co", "Cf", "Zl", "Zp")), min_size=1, max_size=20),
)
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
NUMBERS = st.floats(-1000, 1000).map(lambda number: round(number, 4))
CALLS = st.builds(
    ToolCall,
    NAMES,
    st.dictionaries(NAMES, st.one_of(WORDS, st.integers(-5, 5), st.booleans()), max_size=2),
    st.sampled_from([None, True, False]),
    st.one_of(st.none(), NUMBERS),
    st.sampled_from(["proposed", "ok", "error"]),
    st.one_of(st.none(), WORDS),
    st.one_of(st.none(), WORDS),
)
TURNS = st.builds(
    Turn,
    st.just(""),
    st.just(""),
    st.builds(AgentRef, st.one_of(st.none(), NAMES), st.one_of(st.none(), NAMES)),
    st.one_of(st.none(), NAMES),
    st.sampled_from([None, "en-US", "es-MX"]),
    st.builds(
        Customer, st.one_of(st.none(), NAMES), st.one_of(st.none(), NAMES), st.dictionaries(st.just("region"), NAMES)
    ),
    WORDS,
    st.one_of(st.none(), WORDS),
    st.one_of(st.none(), st.floats(0, 1)),
    st.lists(st.builds(TopicScore, st.sampled_from(["refunds", "other"])), max_size=2, unique=True).map(tuple),
    st.one_of(st.none(), st.floats(-1, 1)),
    st.lists(CALLS, max_size=2).map(tuple),
    st.one_of(st.none(), st.lists(NAMES, max_size=2, unique=True).map(tuple)),
    st.fixed_dictionaries(
        {},
        optional={"mood": WORDS, "score": NUMBERS, "vip": st.booleans(), "tags": st.frozensets(NAMES, max_size=2)},
    ),
    st.one_of(st.none(), st.builds(Parent, NAMES, NAMES)),
)
MOVES = st.sampled_from(["hand_back", "resolve", "timeout", "claim", "release", "lapse", None])


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_was_tried_is_read_back_and_passes(data: st.DataObject) -> None:
    rules = ruleset()
    case = turn_step(trial("it holds", MONDAY_MS), data.draw(TURNS), 0)
    for _ in range(data.draw(st.integers(0, 5))):
        if data.draw(st.booleans()):
            case = turn_step(case, data.draw(TURNS), data.draw(st.sampled_from([1_000, 30_000, 3_723_000])))
        else:
            longer = move_step(case, data.draw(MOVES), data.draw(st.sampled_from([1_000, 30_000, 86_400_000])))
            # A move that cannot be made is told to whoever tries it, and does not become a step.
            case = longer if play(rules, longer)[-1].seen.refused is None else case
    text = written(case)
    (found,), problems = read_case_files({"a.tests.yaml": text}, rules.files)
    assert not problems, text
    assert found.at_ms == case.at_ms
    assert [step.turn for step in found.steps if isinstance(step, TurnStep)] == [
        step.turn for step in case.steps if isinstance(step, TurnStep)
    ], text
    (result,) = run_cases(rules, {"a.tests.yaml": text})
    assert result.passed, (text, result.failures)
