"""Test files: what a case can say, what it tells when it fails, and every mistake in one at its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.case_files import STEPS_MAX, read_case_files
from rules.cases import CaseResult, coverage, render_case, run_cases
from rules.compile import files_or_raise
from rules.errors import RuleFileInvalid, render
from rules.evaluate import Ruleset, build

RULES = """\
handrail: 1
timezone: Europe/Madrid
signals: {mood: {type: text}, open_orders: {type: number}, flags: {type: set}}
customer: {region: {type: text}}
thresholds: {low: 0.5}
topics:
  refunds: {phrases: [refund]}
  promises: {phrases: [i promise], inside: [reply]}
queues:
  tier1:
    answer_within: 10m
    on_timeout: {verdict: callback, say: {en: Later.}}
    say: {en: One moment., es: Un momento.}
  approvals: {answer_within: 5m, on_timeout: {verdict: deny, say: {en: No.}}, say: {en: Wait.}}
rules:
  - {id: unsure-twice, why: unsure, when: streak(confidence < $low) >= 2, then: {escalate: tier1, priority: high}}
  - {id: refund-asked, why: money, when: topics has refunds, then: {review: approvals, priority: low, say: {en: Wait.}}}
  - id: promise
    why: a promise
    when: {any: [reply_topics has promises, mood = angry, flags has vip, customer.region = eu]}
    then: {hold: approvals, say: {en: Let me check., es: Lo compruebo.}}
  - id: big-write
    why: big
    when: {tool_call: {all: [write = true, amount_usd > 100, args.to = bob]}}
    then: {hold: approvals}
  - id: late
    why: late
    when: {all: [clock.hour >= 18, not: {tool_call: name = close}, open_orders > 3]}
    then: {review: tier1}
    mode: shadow
  - {id: after-one, why: again, when: {all: [handoffs_count >= 1, since_handoff_ms > 90s]}, then: {review: tier1}}
"""


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return build(files_or_raise({"rules.yaml": RULES}))


def results(ruleset: Ruleset, cases: str, head: str = "handrail_tests: 1\n") -> tuple[CaseResult, ...]:
    return run_cases(ruleset, {"a.tests.yaml": f"{head}cases:\n{cases}"})


def told(ruleset: Ruleset, cases: str, head: str = "handrail_tests: 1\n") -> list[str]:
    return [said for result in results(ruleset, cases, head) if (said := render_case(result))]


def refused(ruleset: Ruleset, text: str) -> list[str]:
    return [render(problem) for problem in read_case_files({"a.tests.yaml": text}, ruleset.files)[1]]


PASSING = {
    "a turn of one line": "- {name: n, message: a refund please, expect: review}",
    "queue and verdict in one word": "- {name: n, message: a refund, expect: {review: approvals}}",
    "everything of one turn": """\
- name: n
  message: refund
  expect: {verdict: review, queue: approvals, priority: low, rules: refund-asked, say: Wait., topics: [refunds]}
""",
    "the customer's language": "- {name: n, locale: es-MX, reply: I promise, expect: {say: Lo compruebo.}}",
    "a queue's words when the rule has none": """\
- name: n
  locale: es
  turns: [{message: a, confidence: 0.1}, {message: b, confidence: 0.2, expect: {escalate: tier1, say: Un momento.}}]
""",
    "among other rules": "- {name: n, message: refund, reply: I promise, expect: {rules_include: promise}}",
    "but not that one": "- {name: n, message: refund, expect: {rules_exclude: [big-write, late]}}",
    "topics of the draft": "- {name: n, reply: i promise, expect: {topics: [promises]}}",
    "no rule at all": "- {name: n, message: hi, expect: {verdict: continue, rules: [], shadow: []}}",
    "declared signals": """\
- {name: text, message: hi, signals: {mood: angry}, expect: {rules: [promise]}}
- {name: set, message: hi, signals: {flags: [vip, new]}, expect: {rules: [promise]}}
- {name: unknown, message: hi, signals: {mood: null}, expect: {rules: []}}
- {name: customer, message: hi, customer: {id: 7, tier: gold, region: eu}, expect: {rules: [promise]}}
""",
    "the arguments of a call": """\
- {name: n, tool_calls: [{name: pay, write: true, amount: 101, args: {to: bob, n: 1}}], expect: {hold: approvals}}
- {name: m, tool_calls: [{name: pay, write: true, amount: 101, args: {to: eve}}], expect: continue}
""",
    "time goes by between turns": """\
- name: n
  turns:
    - {message: refund}
    - {after: 2m, resolve: true}
    - {after: 90s, message: hi, expect: continue}
    - {after: 1s, message: hi, expect: {review: tier1, rules: [after-one]}}
""",
    "a person has the conversation until it ends": """\
- name: n
  turns:
    - {message: a, confidence: 0.1}
    - {message: b, confidence: 0.1, expect: escalate}
    - {message: refund, expect: {verdict: held_by_human, rules: [refund-asked]}}
    - {hand_back: true}
    - {message: c, confidence: 0.1, expect: continue}
""",
    "a handoff that stops nothing raises no fence": """\
- name: n
  turns: [{message: refund, expect: review}, {message: hi, expect: continue}, {expire: true}, {message: hi}]
""",
    "the clock of the rule files": """\
- {name: evening, at: "2026-03-02T18:30", message: hi, signals: {open_orders: 4}, expect: {shadow: [late]}}
- {name: evening in UTC, at: 2026-03-02T17:30Z, message: hi, signals: {open_orders: 4}, expect: {shadow: [late]}}
- {name: afternoon, at: 2026-03-02T16:30Z, message: hi, signals: {open_orders: 4}, expect: {shadow: []}}
""",
    "what a case gives to all its turns": """\
- name: n
  locale: es
  signals: {mood: angry}
  turns: [{message: a, expect: {say: Lo compruebo.}}, {message: b, signals: {mood: calm}, expect: continue}]
""",
    "where it comes from": """\
- {name: n, agent: {id: a, version: '1', prompt_version: p}, parent: {agent: b}, message: hi, expect: continue}
- {name: m, channel: voice, sources: [s], confidence: 0.9, sentiment: 0, topics: [refunds], message: hi, expect: review}
""",
}  # fmt: skip


@pytest.mark.parametrize("cases", PASSING.values(), ids=PASSING)
def test_a_case_says(ruleset: Ruleset, cases: str) -> None:
    assert told(ruleset, cases) == []
    assert all(result.passed for result in results(ruleset, cases))


def test_defaults_stand_for_every_turn_of_the_file(ruleset: Ruleset) -> None:
    head = "handrail_tests: 1\ndefaults: {locale: es, signals: {mood: angry}}\n"
    assert told(ruleset, "- {name: n, message: hi, expect: {say: Lo compruebo.}}", head) == []


FAILING = {
    "another verdict": (
        "- {name: a refund, message: hi, expect: review}",
        """\
a.tests.yaml:3:41: `a refund`, turn 1
      expected verdict review
      got      verdict continue""",
    ),
    "a rule that stayed quiet tells the values that it met": (
        """\
- name: twice
  turns:
    - {message: a, confidence: 0.4}
    - {message: b, confidence: 0.7, expect: {escalate: tier1, rules: [unsure-twice]}}
""",
        """\
a.tests.yaml:6:45: `twice`, turn 2
      expected verdict escalate
      got      verdict continue
      expected queue tier1
      got      queue none
      expected rules unsure-twice
      got      rules none
        unsure-twice stayed quiet
          no   streak(confidence < $low) >= 2, but it is 0""",
    ),
    "a rule that fired tells why": (
        "- {name: quiet, message: a refund, expect: continue}",
        """\
a.tests.yaml:3:44: `quiet`, turn 1
      expected verdict continue
      got      verdict review
        refund-asked fired: topics has refunds""",
    ),
    "without a rule's name, what nearly fired": (
        "- {name: n, signals: {open_orders: 5}, message: a, expect: review}",
        """\
a.tests.yaml:3:60: `n`, turn 1
      expected verdict review
      got      verdict continue
        late nearly fired, it lacks: clock.hour >= 18, but clock.hour is 9""",
    ),
    "calls that met nothing": (
        "- {name: pays, tool_calls: [{name: pay, write: true, amount: 7}], expect: {rules_include: [big-write]}}",
        """\
a.tests.yaml:3:75: `pays`, turn 1
      expected rules with big-write
      got      rules with none
        big-write stayed quiet
          yes  tool call 1: write = true
          no   tool call 1: amount_usd > 100, but it is 7
          ?    tool call 1: args.to = bob, but it is unknown""",
    ),
    "no call at all": (
        "- {name: pays, message: hi, expect: {rules: [big-write]}}",
        """\
a.tests.yaml:3:37: `pays`, turn 1
      expected rules big-write
      got      rules none
        big-write stayed quiet
          no   tool call with write = true, but the turn has no tool call
          no   tool call with amount_usd > 100, but the turn has no tool call
          no   tool call with args.to = bob, but the turn has no tool call""",
    ),
    "everything that differs in a turn stands together, and why once": (
        "- {name: says, message: refund, expect: {say: X., priority: high, rules_exclude: refund-asked, shadow: late}}",
        """\
a.tests.yaml:3:41: `says`, turn 1
      expected priority high
      got      priority low
      expected words X.
      got      words Wait.
      expected rules without refund-asked
      got      rules without refund-asked
      expected shadow rules late
      got      shadow rules none
        refund-asked fired: topics has refunds
        late stayed quiet
          no   clock.hour >= 18, but it is 9
          yes  not tool_call: name = close
          ?    open_orders > 3, but it is unknown""",
    ),
    "what is missing and what is too much, and how words differ": (
        """\
- name: n
  reply: I promise a refund
  message: refund
  locale: es
  expect: {rules: [promise, late], say: Lo reviso., say_includes: [mañana]}
""",
        """\
a.tests.yaml:7:11: `n`, turn 1
      expected words Lo reviso.
      got      words Lo compruebo.
      differs  `compruebo.` instead of `reviso.`
      expected words with mañana
      got      words with Lo compruebo.
      expected rules late, promise
      got      rules promise, refund-asked
      differs  late missing; refund-asked not expected
        promise fired: reply_topics has promises
        refund-asked fired: topics has refunds
        late stayed quiet
          no   clock.hour >= 18, but it is 9
          yes  not tool_call: name = close
          ?    open_orders > 3, but it is unknown""",
    ),
    "a handoff that is not there cannot end": (
        "- {name: ends, turns: [{message: hi, expect: continue}, {hand_back: true}]}",
        """\
a.tests.yaml:3:57: `ends`, turn 2
      expected an open handoff to hand_back
      got      an open handoff none is open""",
    ),
}


@pytest.mark.parametrize(("cases", "said"), FAILING.values(), ids=FAILING)
def test_a_failing_case_tells(ruleset: Ruleset, cases: str, said: str) -> None:
    assert "\n".join(told(ruleset, cases)) == said


MISTAKES = {
    "no version": (
        "cases: []",
        """\
a.tests.yaml:1:1: R115: the file does not begin with `handrail_tests: 1`
      cases: []
      ^ begin the file with `handrail_tests: 1`""",
    ),
    "another version": (
        "handrail_tests: 2\ncases: []",
        """\
a.tests.yaml:1:1: R115: this is no version of the test format
      handrail_tests: 2
      ^ write `handrail_tests: 1`""",
    ),
    "an empty file": (
        "handrail_tests: 1\ncases: []",
        """\
a.tests.yaml:2:8: R172: the file holds no case
      cases: []
             ^ write one, or remove the file""",
    ),
    "no cases": (
        "handrail_tests: 1",
        """\
a.tests.yaml:1:1: R106: a test file has no `cases`
      handrail_tests: 1
      ^ add `cases:`, the conversations""",
    ),
    "an unknown key": (
        "handrail_tests: 1\ncases:\n  - {name: n, mesage: hi, expect: continue}",
        """\
a.tests.yaml:3:5: R106: the turn has neither `message`, `reply` nor `tool_calls`
      - {name: n, mesage: hi, expect: continue}
        ^ add one of them
a.tests.yaml:3:15: R105: unknown key `mesage` in a case
      - {name: n, mesage: hi, expect: continue}
                  ^ did you mean `message`?""",
    ),
    "an unknown rule": (
        "handrail_tests: 1\ncases:\n  - {name: n, message: hi, expect: {rules: [unsure-twic]}}",
        """\
a.tests.yaml:3:45: R170: unknown rule `unsure-twic`
      - {name: n, message: hi, expect: {rules: [unsure-twic]}}
                                                ^ did you mean `unsure-twice`?""",
    ),
    "an unknown queue": (
        "handrail_tests: 1\ncases:\n  - {name: n, message: hi, expect: {escalate: tier9}}",
        """\
a.tests.yaml:3:47: R103: unknown queue `tier9`
      - {name: n, message: hi, expect: {escalate: tier9}}
                                                  ^ did you mean `tier1`?""",
    ),
    "an unknown topic": (
        "handrail_tests: 1\ncases:\n  - {name: n, message: hi, expect: {topics: refunt}}",
        """\
a.tests.yaml:3:45: R102: unknown topic `refunt`
      - {name: n, message: hi, expect: {topics: refunt}}
                                                ^ did you mean `refunds`?""",
    ),
    "an unknown verdict": (
        "handrail_tests: 1\ncases:\n  - {name: n, message: hi, expect: escalated}",
        """\
a.tests.yaml:3:36: R109: `escalated` is no `verdict`
      - {name: n, message: hi, expect: escalated}
                                       ^ did you mean `escalate`?""",
    ),
    "a signal that nobody declares": (
        "handrail_tests: 1\ncases:\n  - {name: n, message: hi, signals: {moood: x}, customer: {age: 3}, expect: hold}",
        """\
a.tests.yaml:3:38: R101: no rule file declares `moood`
      - {name: n, message: hi, signals: {moood: x}, customer: {age: 3}, expect: hold}
                                         ^ did you mean `mood`?
a.tests.yaml:3:60: R101: no rule file declares `age`
      - {name: n, message: hi, signals: {moood: x}, customer: {age: 3}, expect: hold}
                                                               ^ declare it under `customer:` of a rule file""",
    ),
    "a moment that is none": (
        "handrail_tests: 1\ncases:\n  - {name: n, at: monday, message: hi, expect: continue}",
        """\
a.tests.yaml:3:19: R171: `monday` is no moment
      - {name: n, at: monday, message: hi, expect: continue}
                      ^ write it as `2026-03-02T09:00Z`, or without `Z` for the rule files' own time zone""",
    ),
    "a time without a unit": (
        "handrail_tests: 1\ncases:\n  - {name: n, turns: [{after: 30, message: hi, expect: continue}]}",
        """\
a.tests.yaml:3:31: R123: `after` is 30 without a unit
      - {name: n, turns: [{after: 30, message: hi, expect: continue}]}
                                  ^ write `30m` or `30s`""",
    ),
    "nothing expected": (
        "handrail_tests: 1\ncases:\n  - {name: n, message: hi}\n  - {name: m, message: hi, expect: {}}",
        """\
a.tests.yaml:3:12: R172: the case expects nothing
      - {name: n, message: hi}
               ^ add `expect:` to at least one turn
a.tests.yaml:4:36: R172: `expect` holds nothing
      - {name: m, message: hi, expect: {}}
                                       ^ write a verdict, or remove it""",
    ),
    "two verdicts": (
        "handrail_tests: 1\ncases:\n  - {name: n, message: hi, expect: {verdict: hold, escalate: tier1}}",
        """\
a.tests.yaml:3:62: R107: `escalate` says verdict and queue again
      - {name: n, message: hi, expect: {verdict: hold, escalate: tier1}}
                                                                 ^ keep one of them""",
    ),
    "the same name twice": (
        "handrail_tests: 1\ncases:\n  - {name: n, message: a, expect: hold}\n  - {name: n, message: ho, expect: hold}",
        """\
a.tests.yaml:4:12: R107: the case `n` stands already at line 3
      - {name: n, message: ho, expect: hold}
               ^ say what this one proves instead""",
    ),
    "one turn beside many": (
        "handrail_tests: 1\ncases:\n  - {name: n, message: hi, turns: [{message: ho, expect: continue}]}",
        """\
a.tests.yaml:3:24: R105: `message` stands beside `turns`
      - {name: n, message: hi, turns: [{message: ho, expect: continue}]}
                           ^ write it into one of the turns""",
    ),
    "an end that is not": (
        "handrail_tests: 1\ncases:\n  - {name: n, turns: [{message: refund, expect: review}, {resolve: false}]}",
        """\
a.tests.yaml:3:68: R116: `resolve` is false
      - {name: n, turns: [{message: refund, expect: review}, {resolve: false}]}
                                                                       ^ write `true` or remove the step""",
    ),
    "a message that YAML takes for a map": (
        "handrail_tests: 1\ncases:\n  - name: n\n    message: {refund: now}\n    expect: review",
        """\
a.tests.yaml:3:5: R106: the turn has neither `message`, `reply` nor `tool_calls`
      - name: n
        ^ add one of them
a.tests.yaml:4:14: R116: `message` is not a text
      message: {refund: now}
               ^ put the text into quotes, it holds `: `""",
    ),
    "text that is not YAML": (
        "handrail_tests: 1\ncases: [",
        """\
a.tests.yaml:2:9: R110: not YAML: did not find expected node content
      cases: [
              ^ correct the syntax here or in the line above""",
    ),
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_stands_at_its_place(ruleset: Ruleset, text: str, said: str) -> None:
    assert "\n".join(refused(ruleset, text)) == said


def test_a_mistake_runs_no_case(ruleset: Ruleset) -> None:
    with pytest.raises(RuleFileInvalid) as raised:
        results(ruleset, "- {name: n, message: hi, expect: continue}\n- {name: m}")
    assert [problem.code for problem in raised.value.problems] == ["R106", "R172"]


def test_a_case_has_a_limit(ruleset: Ruleset) -> None:
    turns = ", ".join(["{message: a, expect: continue}"] * (STEPS_MAX + 1))
    (said, *_) = refused(ruleset, f"handrail_tests: 1\ncases:\n  - {{name: n, turns: [{turns}]}}")
    assert said.splitlines()[0].endswith(f"R113: the case has {STEPS_MAX + 1} turns, the limit is {STEPS_MAX}")


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(["cases:", "- ", "name: n", "\n", "  ", "expect:", "{", "}", "turns:", "x"])).map(
        "".join
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    ruleset = build(files_or_raise({"rules.yaml": "handrail: 1\nrules: []"}))
    cases, problems = read_case_files({"a.tests.yaml": f"handrail_tests: 1\n{text}"}, ruleset.files)
    assert cases or problems


def test_coverage_names_rules_and_comparisons_that_no_case_reached(ruleset: Ruleset) -> None:
    cases = """\
- {name: a, message: hi, signals: {mood: angry}, expect: hold}
- {name: b, message: refund, expect: review}
- {name: c, message: refund and refund, expect: review}
- {name: d, at: "2026-03-02T18:30", message: hi, signals: {open_orders: 4}, expect: {shadow: [late]}}
"""
    covered = {each.rule_id: each for each in coverage(ruleset, results(ruleset, cases))}
    assert {rule_id: each.cases for rule_id, each in covered.items()} == {
        "unsure-twice": 0,
        "promise": 1,
        "big-write": 0,
        "refund-asked": 2,
        "late": 1,
        "after-one": 0,
    }
    assert covered["promise"].unseen == ("reply_topics has promises", "flags has vip", "customer.region = eu")
    assert covered["late"].unseen == ()
    assert covered["big-write"].unseen == ("write = true", "amount_usd > 100", "args.to = bob")
