"""What tests reach of a rule: probes agree with the rules' meaning, and each figure says what it promises."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.cases.advice import gaps
from rules.cases.coverage import RuleCoverage, Watch, percent, totals
from rules.cases.probes import WAYS_MAX, probe_of
from rules.cases.runner import coverage, run_cases
from rules.compile.rule_files import files_or_raise
from rules.evaluation.call_values import call_values
from rules.evaluation.evaluate import Ruleset, build, evaluate
from rules.evaluation.facts import Facts
from rules.model import RuleFiles
from rules.turn import Conversation, Turn
from tests.rules.strategies import NOW_MS, conversations, rule_files, turns


@settings(max_examples=300, deadline=None)
@given(rule_files, turns, conversations)
def test_a_probe_holds_where_its_rule_fires_and_nowhere_else(
    files: RuleFiles, turn: Turn, conversation: Conversation
) -> None:
    ruleset = build(files)
    evaluation = evaluate(ruleset, turn, conversation, NOW_MS)
    facts = Facts(evaluation.values, turn, conversation, NOW_MS)
    fired = {rule.id for rule in (*evaluation.rules, *evaluation.shadow)}
    for number, rule in enumerate(files.rules):
        probe = probe_of(rule)
        measured = {text: measure(facts) for text, measure in ruleset.measures[number]}
        met = probe.met({**evaluation.values, **measured}, [call_values(call) for call in turn.tool_calls])
        assert (met.truth(probe.tree) is True) is (rule.id in fired)
        took = [way for way in probe.ways if met.took(probe, way)]
        # Where no way was cut off, a rule fires exactly when one of its ways holds.
        if len(probe.ways) < WAYS_MAX:
            assert bool(took) is (rule.id in fired)
        assert all(leaf in set(met.helped(probe.tree)) for way in took for leaf in way)


@settings(max_examples=100, deadline=None)
@given(rule_files, st.lists(st.tuples(turns, conversations), max_size=4))
def test_looking_at_all_rules_tells_of_those_that_fire_what_looking_at_them_alone_does(
    files: RuleFiles, seen: Sequence[tuple[Turn, Conversation]]
) -> None:
    ruleset = build(files)
    found = []
    for all_rules in (False, True):
        watch, met = Watch(ruleset, all_rules=all_rules), {}  # type: ignore[var-annotated]  # as `note` fills it
        for turn, conversation in seen:
            watch.note(evaluate(ruleset, turn, conversation, NOW_MS), conversation, NOW_MS, met)
        reached = watch.reached(met)
        found.append({rule: (one.held, one.ways) for rule, one in reached.items() if one.fired})
    assert found[0] == found[1]


RULES = """\
handrail: 1
signals: {mood: {type: text}}
topics: {refunds: {phrases: [refund]}, fees: {phrases: [fee]}}
queues: {desk: {answer_within: 5m, on_timeout: {verdict: deny, say: {en: No.}}, say: {en: Wait.}}}
rules:
  - {id: one, why: w, when: %s, then: {hold: desk}}
"""


def covered(when: str, *cases: str) -> RuleCoverage:
    ruleset = build(files_or_raise({"rules.yaml": RULES % when}))
    text = "handrail_tests: 1\ncases:\n" + "".join(f"  - {{name: c{n}, {case}}}\n" for n, case in enumerate(cases))
    (rule,) = coverage(ruleset, run_cases(ruleset, {"a.tests.yaml": text}, watch_all=True))
    return rule


def missing(when: str, *cases: str) -> list[tuple[str, str]]:
    return [(gap.of, gap.missing) for gap in gaps([covered(when, *cases)])]


ALONE, KEPT, UNKNOWN = "it never fires by this alone", "it never was the only one that failed", "it never was unknown"
A, B = "confidence < 0.5", "mood = sad"
REACHED: dict[str, tuple[str, list[str], list[tuple[str, str]]]] = {
    "a rule that never fires says only that": (
        A,
        ["message: hi, confidence: 0.9, expect: continue"],
        [("", "it never fires")],
    ),
    "one comparison: low, high and unknown": (
        A,
        ["message: a, confidence: 0.4, expect: hold", "message: a, confidence: 0.9, expect: continue"],
        [(A, UNKNOWN)],
    ),
    "a threshold that is never exceeded": (A, ["message: a, confidence: 0.4, expect: hold"], [(A, KEPT), (A, UNKNOWN)]),
    "both of two, only ever together": (
        f"{{all: [{A}, {B}]}}",
        [
            "message: a, confidence: 0.4, signals: {mood: sad}, expect: hold",
            "message: a, confidence: 0.9, signals: {mood: calm}, expect: continue",
        ],
        [(A, KEPT), (A, UNKNOWN), (B, KEPT), (B, UNKNOWN)],
    ),
    "both of two, each alone once": (
        f"{{all: [{A}, {B}]}}",
        [
            "message: a, confidence: 0.4, signals: {mood: sad}, expect: hold",
            "message: a, confidence: 0.9, signals: {mood: sad}, expect: continue",
            "message: a, confidence: 0.4, signals: {mood: calm}, expect: continue",
            "message: a, expect: continue",
        ],
        [],
    ),
    "one of two, only ever the first": (
        f"{{any: [{A}, {B}]}}",
        [
            "message: a, confidence: 0.4, expect: hold",
            "message: a, confidence: 0.9, signals: {mood: calm}, expect: continue",
        ],
        [(B, ALONE), (A, UNKNOWN)],
    ),
    "one of two, but always both": (
        f"{{any: [{A}, {B}]}}",
        ["message: a, confidence: 0.4, signals: {mood: sad}, expect: hold", "message: a, expect: continue"],
        [(A, ALONE), (B, ALONE), (A, KEPT), (B, KEPT)],
    ),
    "what counts and what is asked for being unknown is never unknown itself": (
        "{all: [count(confidence < 0.5) over 3 turns >= 1, confidence is known, turn_count >= 1]}",
        ["message: a, confidence: 0.4, expect: hold"],
        [
            ("count(confidence < 0.5) over 3 turns >= 1", KEPT),
            ("confidence is known", KEPT),
            ("turn_count >= 1", KEPT),
        ],
    ),
    "inside of one and the same call": (
        "{tool_call: {all: [name = pay, amount_usd > 100]}}",
        [
            "tool_calls: [{name: pay, amount: 200}], expect: hold",
            "tool_calls: [{name: pay, amount: 20}, {name: ask, amount: 200}], expect: continue",
        ],
        [("amount_usd > 100", UNKNOWN)],
    ),
    "alternatives inside of a call": (
        "{tool_call: {all: [name = pay, {any: [write = true, amount_usd > 100]}]}}",
        ["tool_calls: [{name: pay, amount: 200, write: false}], expect: hold"],
        [
            ("name = pay and write = true", ALONE),
            ("name = pay", KEPT),
            ("write = true", KEPT),
            ("write = true", UNKNOWN),
            ("amount_usd > 100", KEPT),
            ("amount_usd > 100", UNKNOWN),
        ],
    ),
    "no call may": (
        "{all: [topics has refunds, {not: {tool_call: name = close}}]}",
        ["message: refund, expect: hold", "message: refund, tool_calls: [{name: close}], expect: continue"],
        [("topics has refunds", KEPT), ("topics has refunds", UNKNOWN)],
    ),
    "under not, as the rule means it": (
        "{not: {any: [topics has refunds, topics has fees]}}",
        ["message: hi, expect: hold", "message: refund, expect: continue"],
        [
            ("not topics has refunds", UNKNOWN),
            ("not topics has fees", KEPT),
            ("not topics has fees", UNKNOWN),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("when", "cases", "left"), REACHED.values(), ids=REACHED)
def test_what_is_left_to_reach(when: str, cases: list[str], left: list[tuple[str, str]]) -> None:
    assert missing(when, *cases) == left


def test_a_way_that_asks_for_more_than_another_is_none_of_its_own() -> None:
    rule = covered(f"{{any: [{A}, {{all: [{A}, {B}]}}]}}", "message: a, confidence: 0.4, expect: hold")
    assert [way.texts for way in rule.ways] == [(A,)]


def test_two_alternatives_twice_are_four_ways() -> None:
    when = f"{{all: [{{any: [{A}, {B}]}}, {{any: [topics has refunds, topics has fees]}}]}}"
    rule = covered(when, "message: a refund, confidence: 0.4, expect: hold")
    assert [(way.texts, way.taken) for way in rule.ways] == [
        ((A, "topics has refunds"), True),
        ((A, "topics has fees"), False),
        ((B, "topics has refunds"), False),
        ((B, "topics has fees"), False),
    ]


def test_the_ways_of_a_rule_have_a_limit() -> None:
    parts = ", ".join(f"{{any: [sentiment < -0.{n}1, confidence < 0.{n}1]}}" for n in range(1, 9))
    rule = covered(f"{{all: [{parts}]}}", "message: a, confidence: 0.1, expect: hold")
    assert len(rule.ways) == WAYS_MAX
    assert rule.ways[0].texts[0] == "sentiment < -0.11"


def test_the_figures_count_rules_sides_and_ways() -> None:
    rule = covered(f"{{any: [{A}, {B}]}}", "message: a, confidence: 0.4, expect: hold")
    assert rule.counts == {"rules": (1, 1), "conditions": (2, 6), "branches": (1, 2)}
    assert totals([rule, rule]) == {"rules": (2, 2), "conditions": (4, 12), "branches": (2, 4)}
    assert percent(rule.counts) == pytest.approx(100 * 4 / 9)
    assert percent(totals([])) == 100.0


def test_the_advice_names_a_case_to_copy_and_the_one_thing_to_change() -> None:
    rule = covered(f"{{any: [{A}, {B}]}}", "message: a, confidence: 0.4, expect: hold")
    assert [(gap.of, gap.advice) for gap in gaps([rule])] == [
        (B, f"write a turn on which `{B}` holds, and none of `{A}`"),
        (A, f"copy the case `c0` (a.tests.yaml:3) and change one thing: `{A}` no longer holds"),
        (A, "copy the case `c0` (a.tests.yaml:3) and leave `confidence` out"),
        (B, f"copy the case `c0` (a.tests.yaml:3) and change one thing: `{B}` no longer holds"),
    ]
    never = covered(f"{{any: [{A}, {B}]}}", "message: a, expect: continue")
    assert [gap.advice for gap in gaps([never])] == [f"write a turn on which this holds: `{A}` or `{B}`"]


def test_without_looking_at_all_rules_only_what_fired_is_known(ruleset: Ruleset) -> None:
    text = "handrail_tests: 1\ncases:\n  - {name: c, message: hi, confidence: 0.9, expect: continue}\n"
    (rule,) = coverage(ruleset, run_cases(ruleset, {"a.tests.yaml": text}))
    assert (rule.cases, rule.unseen, rule.comparisons[0].failed) == (0, (A,), False)


@pytest.fixture
def ruleset() -> Ruleset:
    return build(files_or_raise({"rules.yaml": RULES % A}))
