"""What a case can say, and what then comes of it."""

from __future__ import annotations

import pytest

from rules.cases.runner import coverage
from tests.rules.case_rules import RULESET, results, told

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
    "nobody comes: what was promised is said, and the conversation is the agent's again": """\
- name: n
  turns:
    - {message: fire, signals: {mood: angry}, expect: {verdict: hold, on_timeout: deny, deadline: 5m}}
    - {timeout: true, expect: {verdict: deny, say: "No.", handoff: {state: expired}}}
    - {after: 3s, message: hi, expect: {verdict: continue, handoff: none}}
""",
    "a deadline in one word": "- {name: n, turns: [{message: a refund}, {timeout: true, expect: deny}]}",
    "nobody comes twice: it moves on, and then the customer is called": """\
- name: n
  turns:
    - {message: a, signals: {mood: patient}, expect: {escalate: patient, on_timeout: escalate, deadline: 20m}}
    - {timeout: true, expect: {escalate: crisis, on_timeout: callback, deadline: 2m, handoff: {queue: crisis}}}
    - {after: 1m, message: still nobody?, expect: {verdict: held_by_human, deadline: 1m}}
    - {timeout: true, expect: {verdict: callback, say: We call now., handoff: {state: expired}}}
""",
    "a deadline passes while only the clock goes on": """\
- name: n
  turns:
    - {message: on fire, expect: escalate}
    - {after: 1m59s, message: hello?, expect: {verdict: held_by_human, say_includes: [colleague]}}
    - {after: 1s, expect: callback}
""",
    "a deadline passes between two turns": """\
- name: n
  turns:
    - {message: on fire, expect: escalate}
    - {after: 2m, message: hi, expect: {verdict: continue, handoff: {state: waiting, kind: review, queue: crisis}}}
    - {claim: true}
    - {resolve: true, expect: {handoff: none}}
""",
    "what is claimed in time waits for its operator": """\
- name: n
  turns:
    - {message: on fire, expect: {escalate: crisis, must_stop: true}}
    - {claim: true, expect: {handoff: {state: leased}}}
    - {after: 2h, message: hi, expect: held_by_human}
    - {hand_back: {facts: {door: 7}, may_retry: true, text: Thank you., outcome: needed, flags: [wrong_queue]},
       expect: {say: Thank you., handoff: {state: handed_back}}}
    - {message: hi, expect: {verdict: continue, must_stop: false}}
""",
    "what is put back after its deadline waits two minutes for somebody else": """\
- name: n
  turns:
    - {message: on fire}
    - {claim: true}
    - {after: 1h, release: true, expect: {handoff: {state: waiting}}}
    - {after: 119s, expect: {handoff: {state: waiting}}}
    - {after: 1s, expect: {verdict: callback, handoff: {state: expired}}}
""",
    "an operator answers a draft": """\
- name: n
  turns:
    - {message: a, reply: I promise, expect: {hold: approvals, packet: {draft: [I promise]}}}
    - {resolve: {action: edit, edited: {reply: Maybe}, root_cause: tone, outcome: needed}}
    - {message: a, expect: continue}
""",
    "a second reason joins, and a more urgent one brings its queue": """\
- name: n
  turns:
    - {message: refund, expect: {review: approvals, handoff: {kind: review, priority: low}}}
    - {message: a, signals: {mood: patient}, expect: {escalate: patient, handoff: {kind: escalate, queue: patient}}}
    - message: it is on fire
      expect:
        verdict: held_by_human
        say: Still waiting.
        rules: [fire]
        handoff: {queue: crisis, priority: urgent, reasons: [refund-asked, moves, fire], reasons_include: fire}
""".replace("say: Still waiting.", "say_includes: [colleague]"),
    "the ladder of a queue is climbed as time goes by": """\
- name: n
  turns:
    - {message: a, signals: {mood: patient}, expect: {handoff: {priority: normal}}}
    - {after: 9m, message: b, expect: {verdict: held_by_human, say: Still waiting., handoff: {priority: normal}}}
    - {after: 1m, expect: {handoff: {priority: high, state: waiting}}}
""",
    "what an operator reads": """\
- name: n
  turns:
    - message: My order W-7712 burnt, card 4111111111111111
      reply: I will send a replacement today.
      tool_calls: [{name: look, status: ok}, {name: pay, status: error, error: no money}]
    - message: It is on fire, call +34 612 345 678
      expect:
        escalate: crisis
        packet:
          why: fire
          asked: [order W-7712, on fire]
          transcript: ["card ending 1111", replacement]
          tried: [look, pay]
          promises: [replacement today]
          entities: [W-7712]
          found: [danger]
          masks: [card, phone]
          draft: []
          lacks: [4111-1111-1111-1111, "612345678", no such words]
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
def test_a_case_says(cases: str) -> None:
    assert told(cases) == []
    assert all(result.passed for result in results(cases))


def test_defaults_stand_for_every_turn_of_the_file() -> None:
    head = "handrail_tests: 1\ndefaults: {locale: es, signals: {mood: angry}}\n"
    assert told("- {name: n, message: hi, expect: {say: Lo compruebo.}}", head) == []


def test_coverage_names_rules_and_comparisons_that_no_case_reached() -> None:
    cases = """\
- {name: a, message: hi, signals: {mood: angry}, expect: hold}
- {name: b, message: refund, expect: review}
- {name: c, message: refund and refund, expect: review}
- {name: d, at: "2026-03-02T18:30", message: hi, signals: {open_orders: 4}, expect: {shadow: [late]}}
"""
    covered = {each.rule_id: each for each in coverage(RULESET, results(cases))}
    assert {rule_id: each.cases for rule_id, each in covered.items()} == {
        "unsure-twice": 0,
        "promise": 1,
        "big-write": 0,
        "refund-asked": 2,
        "late": 1,
        "after-one": 0,
        "fire": 0,
        "moves": 0,
    }
    assert covered["promise"].unseen == ("reply_topics has promises", "flags has vip", "customer.region = eu")
    assert covered["late"].unseen == ()
    assert covered["big-write"].unseen == ("write = true", "amount_usd > 100", "args.to = bob")
