"""Every mistake in a test file, told at its place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.cases.case_files import STEPS_MAX, read_case_files
from rules.cases.runner import render_case
from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.files.errors import RuleFileInvalid
from tests.rules.case_rules import refused, results

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
    "an unknown key of a move": (
        "handrail_tests: 1\ncases:\n- name: n\n  turns:\n  - {timeout: true, mesage: a, expect: x}\n",
        """\
a.tests.yaml:5:21: R105: unknown key `mesage` in a move of the handoff
      - {timeout: true, mesage: a, expect: x}
                        ^ known here: `after`, `claim`, `release`, `transfer`, `lapse`, `hand_back`, \
`resolve`, `timeout`, `expire`, `expect`
a.tests.yaml:5:40: R109: `x` is no `verdict`
      - {timeout: true, mesage: a, expect: x}
                                           ^ write one of `continue`, `deny`, `answer`, `callback`, `escalate`""",
    ),
    "two moves at once": (
        "handrail_tests: 1\ncases:\n- name: n\n  turns:\n  - {message: a, expect: hold}\n"
        "  - {claim: true, release: true}",
        """\
a.tests.yaml:6:19: R105: `release` stands beside `claim`
      - {claim: true, release: true}
                      ^ write it as a step of its own""",
    ),
    "what an operator cannot give": (
        """\
handrail_tests: 1
cases:
- name: n
  turns:
  - {message: a, expect: hold}
  - resolve: {action: aprove, flags: [wrong]}
""",
        """\
a.tests.yaml:6:23: R109: `aprove` is no `action`
      - resolve: {action: aprove, flags: [wrong]}
                          ^ did you mean `approve`?
a.tests.yaml:6:39: R109: unknown flag `wrong`
      - resolve: {action: aprove, flags: [wrong]}
                                          ^ did you mean `wrong_queue`?""",
    ),
    "what a packet does not have": (
        """\
handrail_tests: 1
cases:
- name: n
  message: a
  expect: {packet: {promised: [x], masks: [cards], why: [on-fire]}}
""",
        """\
a.tests.yaml:5:21: R105: unknown key `promised` in `packet`
      expect: {packet: {promised: [x], masks: [cards], why: [on-fire]}}
                        ^ did you mean `promises`?
a.tests.yaml:5:44: R109: unknown kind of personal data `cards`
      expect: {packet: {promised: [x], masks: [cards], why: [on-fire]}}
                                               ^ did you mean `card`?
a.tests.yaml:5:58: R170: unknown rule `on-fire`
      expect: {packet: {promised: [x], masks: [cards], why: [on-fire]}}
                                                             ^ did you mean `fire`?""",
    ),
    "what a handoff is not": (
        "handrail_tests: 1\ncases:\n  - {name: n, message: a, expect: {handoff: open, deadline: 5}}",
        """\
a.tests.yaml:3:45: R116: `handoff` is neither `none` nor a map of keys
      - {name: n, message: a, expect: {handoff: open, deadline: 5}}
                                                ^ write `none`, or keys as in `{queue: tier1}`
a.tests.yaml:3:61: R123: `deadline` is 5 without a unit
      - {name: n, message: a, expect: {handoff: open, deadline: 5}}
                                                                ^ write `5m` or `5s`""",
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
def test_a_mistake_stands_at_its_place(text: str, said: str) -> None:
    assert "\n".join(refused(text)) == said


def test_a_mistake_runs_no_case() -> None:
    with pytest.raises(RuleFileInvalid) as raised:
        results("- {name: n, message: hi, expect: continue}\n- {name: m}")
    assert [problem.code for problem in raised.value.problems] == ["R106", "R172"]


def test_a_case_has_a_limit() -> None:
    turns = ", ".join(["{message: a, expect: continue}"] * (STEPS_MAX + 1))
    (said, *_) = refused(f"handrail_tests: 1\ncases:\n  - {{name: n, turns: [{turns}]}}")
    assert said.splitlines()[0].endswith(f"R113: the case has {STEPS_MAX + 1} turns, the limit is {STEPS_MAX}")


_PIECES = ("cases:", "- ", "name: n", "\n", "  ", "expect:", "{", "}", "turns:", "x")
_STEPS = (
    *("{message: a}", "{message: on fire, expect: escalate}", "{claim: true}", "{release: true}", "{after: 5m}"),
    *("{hand_back: true}", "{hand_back: {facts: {a: 1}}}", "{resolve: {action: approve}}", "{timeout: true}"),
    *("{after: 3h, expect: callback}", "{timeout: true, expect: {escalate: crisis}}", "{expire: true, after: 1s}"),
    *("{message: a, expect: {handoff: none}}", "{claim: true, expect: {packet: {lacks: [x], why: fire}}}"),
    *("{reply: i promise, expect: {deadline: 5m, on_timeout: deny, packet: {draft: []}}}", "{message: refund}"),
)


@given(st.text(max_size=200) | st.lists(st.sampled_from(_PIECES)).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    ruleset = build(files_or_raise({"rules.yaml": "handrail: 1\nrules: []"}))
    cases, problems = read_case_files({"a.tests.yaml": f"handrail_tests: 1\n{text}"}, ruleset.files)
    assert cases or problems


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(_STEPS), min_size=1, max_size=12))
def test_steps_in_any_order_are_run_to_their_end_and_told(steps: list[str]) -> None:
    text = "".join(f"    - {step}\n" for step in steps)
    (result,) = results(f"- name: n\n  turns:\n{text}    - {{message: hi, expect: {{rules: []}}}}\n")
    assert result.turns >= 1
    assert bool(render_case(result)) is not result.passed
