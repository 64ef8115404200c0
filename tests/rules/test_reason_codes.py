"""A rule that asks for nobody and still says something, the name of a reason, and a look at the turn before."""

from __future__ import annotations

from rules.cases.runner import render_failure, run_cases
from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.model import Then

RULES = """\
handrail: 1
queues:
  desk: {answer_within: 5m, on_timeout: {verdict: callback, say: {en: Later.}}, say: {en: One moment.}}
topics:
  offer: {phrases: [a colleague for you], inside: [reply], why: the draft offers a person}
  agrees: {phrases: ["yes"], means: confirmed, why: the customer agrees}
rules:
  - id: offers
    why: nothing was found
    when: sources_count = 0
    then: {continue: true, say: {en: Shall I?, es: ¿Le paso?}, reason_code: nothing_found}
  - id: agreed
    why: the customer was asked on the turn before
    when: {all: [confirmed = true, count(reply_topics has offer) over 1 earlier turns = 1]}
    then: {escalate: desk, reason_code: nothing_found}
"""
CASES = """\
handrail_tests: 1
cases:
  - name: words without a person, in the customer's language
    locale: es-ES
    message: a
    reply: b
    sources: []
    expect: {verdict: continue, rules: [offers], say: "¿Le paso?", reason_code: nothing_found}
  - name: the offer of this very turn was not agreed to
    message: "yes"
    reply: I can get a colleague for you.
    expect: continue
  - name: the offer of the turn before was
    turns:
      - {message: a, reply: I can get a colleague for you., expect: continue}
      - {message: "yes", expect: {escalate: desk, rules: [agreed], reason_code: nothing_found}}
  - name: the offer of two turns before was not
    turns:
      - {message: a, reply: I can get a colleague for you., expect: continue}
      - {message: no, reply: All right.}
      - {message: "yes", expect: continue}
  - name: another reason than the one that was expected
    message: a
    sources: []
    reply: b
    expect: {reason_code: other}
"""


def test_a_rule_says_its_words_and_names_its_reason_and_looks_at_the_turn_before() -> None:
    ruleset = build(files_or_raise({"a.yaml": RULES}))
    assert ruleset.files.rules[1].then == Then(
        "continue", say={"en": "Shall I?", "es": "¿Le paso?"}, reason_code="nothing_found"
    )
    *passed, failed = run_cases(ruleset, {"a.tests.yaml": CASES})
    assert [render_failure(result, failure) for result in passed for failure in result.failures] == []
    assert [(failure.what, failure.expected, failure.got) for failure in failed.failures] == [
        ("reason code", "other", "nothing_found")
    ]
