"""What a case tells when it fails: what was expected, what came, and how."""

from __future__ import annotations

import pytest

from tests.rules.case_rules import told

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
      got      rules refund-asked
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
    "a deadline that passed unseen is told": (
        "- {name: n, turns: [{message: on fire}, {after: 3m, message: hi, expect: held_by_human}, {resolve: true}]}",
        """\
a.tests.yaml:3:74: `n`, turn 2
      expected verdict held_by_human
      got      verdict continue
        nobody came to `crisis` in 2m, so the handoff expired, and the call that was promised waits; a \
`claim: true` before keeps it""",
    ),
    "a deadline that passed unseen has left nobody to answer": (
        "- {name: n, turns: [{reply: i promise, expect: hold}, {after: 6m}, {resolve: true}]}",
        """\
a.tests.yaml:3:68: `n`, turn 3
      expected the step `resolve` to be made
      got      the step `resolve` refused: no handoff is open
        nobody came to `approvals` in 5m, so the handoff expired; a `claim: true` before keeps it""",
    ),
    "a deadline does not come to what a person has": (
        "- {name: n, turns: [{message: on fire, expect: escalate}, {claim: true}, {claim: true}, {timeout: true}]}",
        """\
a.tests.yaml:3:74: `n`, turn 3
      expected the step `claim` to be made
      got      the step `claim` refused: the handoff is `leased`
a.tests.yaml:3:89: `n`, turn 4
      expected the step `timeout` to be made
      got      the step `timeout` refused: a person has it, and a deadline ends only a wait""",
    ),
    "another end of a deadline than promised": (
        "- {name: n, turns: [{message: on fire}, {timeout: true, expect: {verdict: deny, say: We call you.}}]}",
        """\
a.tests.yaml:3:65: `n`, turn 2
      expected verdict deny
      got      verdict callback
      expected words We call you.
      got      words We call now.
      differs  `now.` instead of `you.`""",
    ),
    "a step that was meant as a turn": (
        "- {name: n, turns: [{message: hi}, {after: 9m, expect: continue}]}",
        """\
a.tests.yaml:3:56: `n`, turn 2
      expected verdict continue
      got      verdict none
        the step has no `message`, `reply` or `tool_calls`, so only the clock went on""",
    ),
    "another handoff than expected": (
        """\
- name: n
  turns:
    - {message: on fire, expect: {handoff: {queue: tier1, priority: low, reasons: [moves]}, deadline: 5m}}
    - {message: hi, expect: {handoff: none, must_stop: false}}
""",
        """\
a.tests.yaml:5:34: `n`, turn 1
      expected deadline in 5m
      got      deadline in 2m
      expected handoff's queue tier1
      got      handoff's queue crisis
      expected handoff's priority low
      got      handoff's priority urgent
      expected handoff's reasons moves
      got      handoff's reasons fire
      differs  moves missing; fire not expected
        fire fired: topics has danger
a.tests.yaml:6:29: `n`, turn 2
      expected must_stop false
      got      must_stop true
      expected handoff none
      got      handoff one that is `waiting`""",
    ),
    "another packet than expected": (
        """\
- name: n
  turns:
    - message: on fire, order W-7712
      reply: I will send help today.
      expect: {packet: {tried: [look], promises: [], entities: [W-1], masks: card, lacks: [W7712, on fire]}}
    - {hand_back: true}
""",
        """\
a.tests.yaml:7:15: `n`, turn 1
      expected packet's tried with look
      got      packet's tried with nothing
      expected packet's promises nothing
      got      packet's promises I will send help today.
      expected packet's entities with W-1
      got      packet's entities with W-7712
      expected packet's masks with card
      got      packet's masks with nothing
      expected packet without on fire
      got      packet on fire in `asked`, `transcript`, `found`
        fire fired: topics has danger""",
    ),
    "a packet and a handoff where there is none": (
        "- {name: n, message: hi, expect: {packet: {why: fire}, handoff: {state: waiting}, on_timeout: deny}}",
        """\
a.tests.yaml:3:34: `n`, turn 1
      expected on_timeout deny
      got      on_timeout none
      expected handoff one
      got      handoff none: none was opened
      expected packet one to read
      got      packet none: no handoff was opened""",
    ),
    "a handoff that is not there cannot end": (
        "- {name: ends, turns: [{message: hi, expect: continue}, {hand_back: true}]}",
        """\
a.tests.yaml:3:57: `ends`, turn 2
      expected the step `hand_back` to be made
      got      the step `hand_back` refused: no handoff is open""",
    ),
}


@pytest.mark.parametrize(("cases", "said"), FAILING.values(), ids=FAILING)
def test_a_failing_case_tells(cases: str, said: str) -> None:
    assert "\n".join(told(cases)) == said
