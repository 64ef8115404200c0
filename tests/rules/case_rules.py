"""Rules that the tests of test files speak of, and test files run or read against them."""

from __future__ import annotations

from rules.cases.case_files import read_case_files
from rules.cases.runner import CaseResult, render_case, run_cases
from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.files.errors import render

RULES = """\
handrail: 1
timezone: Europe/Madrid
signals: {mood: {type: text}, open_orders: {type: number}, flags: {type: set}}
customer: {region: {type: text}}
thresholds: {low: 0.5}
topics:
  refunds: {phrases: [refund]}
  promises: {phrases: [i promise], inside: [reply]}
  danger: {phrases: [on fire]}
queues:
  tier1:
    answer_within: 10m
    on_timeout: {verdict: callback, say: {en: Later.}}
    say: {en: One moment., es: Un momento.}
  crisis: {answer_within: 2m, on_timeout: {verdict: callback, say: {en: We call now.}}, say: {en: Stay calm.}}
  patient:
    answer_within: 20m
    warn_before: 5m
    on_timeout: {verdict: escalate, queue: crisis}
    say: {en: Please wait.}
    meanwhile: {en: Still waiting.}
    ladder: [{after: 10m, priority: high}]
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
  - {id: fire, why: danger, when: topics has danger, then: {escalate: crisis, priority: urgent}}
  - {id: moves, why: passed on, when: mood = patient, then: {escalate: patient}}
"""
RULESET = build(files_or_raise({"rules.yaml": RULES}))


def results(cases: str, head: str = "handrail_tests: 1\n") -> tuple[CaseResult, ...]:
    return run_cases(RULESET, {"a.tests.yaml": f"{head}cases:\n{cases}"})


def told(cases: str, head: str = "handrail_tests: 1\n") -> list[str]:
    return [said for result in results(cases, head) if (said := render_case(result))]


def refused(text: str) -> list[str]:
    return [render(problem) for problem in read_case_files({"a.tests.yaml": text}, RULESET.files)[1]]
