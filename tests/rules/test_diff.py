"""A difference speaks in rules, and what it calls stricter or looser is so on every turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import files_or_raise
from rules.diff.differences import Difference
from rules.diff.files import diff
from rules.diff.promises import LANGUAGES_MAX, LEAD_CHARS, TEXT_CHARS_MAX, words_facts
from rules.diff.words import as_json, lines
from rules.evaluation.evaluate import Evaluation, build, evaluate
from rules.model import VERDICTS, Aggregate, All, Any, Condition, Mode, Not, Rule, RuleFiles, Then, Window
from rules.turn import Conversation, Turn
from tests.rules import strategies as make
from tests.rules.test_entailment import near, turns

BASE = """\
handrail: 1
thresholds:
  low: 0.55
  patience: 3m
topics:
  legal: {phrases: [lawyer, court], unless: [court shoes]}
  person: {phrases: [a human], means: asks_for_person}
queues:
  desk:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: "Later."}}
    say: {en: "One moment."}
  safety:
    answer_within: 5m
    on_timeout: {verdict: callback, say: {en: "Later."}}
    say: {en: "One moment."}
rules:
  - {id: legal, why: a lawyer was named, when: topics has legal, then: {escalate: desk, priority: high}}
  - {id: person, why: asks for a person, when: asks_for_person = true, then: {escalate: desk}}
  - {id: unsure-twice, why: unsure two turns in a row, when: streak(confidence < $low) >= 2, then: {escalate: desk}}
  - {id: sure, why: to be counted, when: confidence >= $low, then: continue}
  - id: big-write
    why: a write over 100 dollars
    when: {tool_call: {all: [write = true, amount_usd > 100]}}
    then: {hold: desk}
  - {id: slow, why: it takes long, when: {all: [elapsed_ms > $patience, channel = chat]}, then: {review: desk}}
  - {id: quiet, why: nothing is known, when: {any: [turn_count >= 9, topics lacks legal]}, then: {review: desk}}
  - {id: tried, why: tried out, when: sentiment < -0.9, then: {review: desk}, mode: shadow}
"""

CASES: dict[str, tuple[str, str, list[str]]] = {
    "a threshold is raised": (
        "low: 0.55",
        "low: 0.6",
        [
            "only stricter: 1 stricter",
            "unsure-twice fires more often: low 0.55 → 0.6",
            "sure fires less often: low 0.55 → 0.6",
            "low 0.55 → 0.6: unsure-twice fires more often, sure fires less often",
        ],
    ),
    "a span is told as a span": (
        "patience: 3m",
        "patience: 10m",
        [
            "only looser: 1 looser",
            "slow fires less often: patience 3m → 10m",
            "patience 3m → 10m: slow fires less often",
        ],
    ),
    "a part of `all` is removed": (
        "{all: [elapsed_ms > $patience, channel = chat]}",
        "elapsed_ms > $patience",
        ["only stricter: 1 stricter", "slow fires more often: no longer asks for `channel = chat`"],
    ),
    "an alternative is added": (
        "{any: [turn_count >= 9, topics lacks legal]}",
        "{any: [turn_count >= 9, topics lacks legal, channel = voice]}",
        ["only stricter: 1 stricter", "quiet fires more often: also when `channel = voice`"],
    ),
    "a condition is another one": (
        "when: sentiment < -0.9",
        "when: message_length > 900",
        ["no turn is decided otherwise", "tried fires on other turns: `sentiment < -0.9` → `message_length > 900`"],
    ),
    "a live rule's condition is another one": (
        "when: asks_for_person = true",
        "when: message_length > 900",
        [
            "changed, and neither only stricter nor only looser: 1 changed",
            "person fires on other turns: `asks_for_person = true` → `message_length > 900`",
        ],
    ),
    "a verdict is stronger": (
        "{hold: desk}",
        "{escalate: desk}",
        ["only stricter: 1 stricter", "big-write: hold → escalate"],
    ),
    "a priority is lower": (
        "priority: high",
        "priority: low",
        ["only looser: 1 looser", "legal: priority high → low"],
    ),
    "a rule goes to another queue": (
        "when: asks_for_person = true, then: {escalate: desk}",
        "when: asks_for_person = true, then: {escalate: safety}",
        [
            "changed, and neither only stricter nor only looser: 1 changed",
            "person hands over to safety instead of desk",
        ],
    ),
    "a rule leaves the shadow": (
        "mode: shadow",
        "mode: {rollout: 10%}",
        ["only stricter: 1 stricter", "tried: in shadow → live for 10% of the conversations"],
    ),
    "a rule is removed": (
        "  - {id: person, why: asks for a person, when: asks_for_person = true, then: {escalate: desk}}\n",
        "",
        ["only looser: 1 looser", "person: removed: it escalated to desk when `asks_for_person = true`"],
    ),
    "a rule is added": (
        "  - {id: person",
        "  - {id: rude, why: rude, when: sentiment < -0.5, then: {hold: safety}}\n  - {id: person",
        ["only stricter: 1 stricter", "rude: new: holds for safety when `sentiment < -0.5`"],
    ),
    "a rule has another name": (
        "{id: person,",
        "{id: human,",
        ["no turn is decided otherwise", "human: was called person"],
    ),
    "a phrase is added to a topic": (
        "phrases: [lawyer, court]",
        "phrases: [lawyer, court, solicitor]",
        [
            "stricter in some, looser or changed in others: 1 stricter, 1 looser",
            "legal fires more often: the topic legal is found in more texts",
            "quiet fires less often: the topic legal is found in more texts",
            "legal: found in more texts; new phrases: “solicitor”",
        ],
    ),
    "an exception is removed": (
        ", unless: [court shoes]",
        "",
        [
            "stricter in some, looser or changed in others: 1 stricter, 1 looser",
            "legal fires more often: the topic legal is found in more texts",
            "quiet fires less often: the topic legal is found in more texts",
            "legal: found in more texts; removed exceptions (`unless`): “court shoes”",
        ],
    ),
    "a topic means a person no longer": (
        ", means: asks_for_person",
        "",
        [
            "only looser: 1 looser",
            "person fires less often: the topic person no longer means that a person is asked for",
            "person: means nothing besides itself now",
        ],
    ),
    "a queue answers sooner": (
        "answer_within: 15m",
        "answer_within: 10m",
        ["only stricter: 1 stricter", "desk: a person within 10m instead of 15m"],
    ),
    "words are others": (
        'say: {en: "One moment."}\n  safety:',
        'say: {en: "Please wait."}\n  safety:',
        [
            "no turn is decided otherwise",
            "desk: words to the customer: en “One moment.” → “Please wait.”",
        ],
    ),
    "the agent goes on where a call was promised": (
        '{verdict: callback, say: {en: "Later."}}\n    say: {en: "One moment."}\n  safety:',
        '{verdict: continue}\n    say: {en: "One moment."}\n  safety:',
        [
            "only looser: 1 looser",
            "desk: when nobody comes: callback → continue (the agent goes on); "
            "words when nobody comes: en “Later.” → none",
        ],
    ),
    "another end that is no looser": (
        '{verdict: callback, say: {en: "Later."}}\n    say: {en: "One moment."}\n  safety:',
        '{verdict: escalate, queue: safety}\n    say: {en: "One moment."}\n  safety:',
        [
            "changed, and neither only stricter nor only looser: 1 changed",
            "desk: when nobody comes: callback → escalate to safety; words when nobody comes: en “Later.” → none",
        ],
    ),
    "a rule's own end is looser than its queue's": (
        "when: asks_for_person = true, then: {escalate: desk}",
        "when: asks_for_person = true, then: {escalate: desk, on_timeout: {verdict: continue}}",
        [
            "only looser: 1 looser",
            "person: when nobody comes: callback → continue (the agent goes on); "
            "words when nobody comes: en “Later.” → none",
        ],
    ),
    "a rule says of itself what its queue says": (
        "when: asks_for_person = true, then: {escalate: desk}",
        'when: asks_for_person = true, then: {escalate: desk, on_timeout: {verdict: callback, say: {en: "Later."}}}',
        [
            "no turn is decided otherwise",
            "person: its end when nobody comes is written in another place",
        ],
    ),
    "skills are needed": (
        "answer_within: 15m",
        "answer_within: 15m\n    needs: {law: 3, english: 1}",
        [
            "changed, and neither only stricter nor only looser: 1 changed",
            "desk: needed skills: none → law 3, english",
        ],
    ),
    "a title": (
        "answer_within: 15m",
        "answer_within: 15m\n    title: The desk",
        ["no turn is decided otherwise", "desk: title: none → “The desk”"],
    ),
    "a rule has words of its own, in two languages": (
        "when: asks_for_person = true, then: {escalate: desk}",
        "when: asks_for_person = true, then: {escalate: desk, say: {en: Your PIN please, es: Su PIN}}",
        [
            "no turn is decided otherwise",
            "person: words to the customer: en none → “Your PIN please”, es none → “Su PIN”",
        ],
    ),
    "a reason is another": (
        "why: it takes long",
        "why: it takes too long",
        ["no turn is decided otherwise", "slow: another reason: it takes too long"],
    ),
    "two persons are asked for": (
        "handrail: 1\n",
        "handrail: 1\napprovals: 2\n",
        ["changed, and neither only stricter nor only looser", "a version needs two persons instead of one person"],
    ),
    "a condition says the same in other words": (
        "{tool_call: {all: [write = true, amount_usd > 100]}}",
        "{tool_call: {all: [amount_usd > 100, write = true]}}",
        [
            "no turn is decided otherwise",
            "big-write is written in another way: `tool_call (write = true and amount_usd > 100)` → "
            "`tool_call (amount_usd > 100 and write = true)`",
        ],
    ),
}


def told(old: RuleFiles, new: RuleFiles) -> list[str]:
    """Return the lines without those that head a section."""
    first, *others = lines(diff(old, new))
    return [first, *(line.strip() for line in others if line.startswith("  "))]


@pytest.mark.parametrize("name", CASES)
def test_what_differs_is_told_in_rules(name: str) -> None:
    old, new, said = CASES[name]
    assert BASE.count(old) == 1
    other = files_or_raise({"rules.yaml": BASE.replace(old, new)})
    assert told(files_or_raise({"rules.yaml": BASE}), other) == said


def test_a_goes_on_that_is_taken_back_is_stricter() -> None:
    goes_on = BASE.replace('{verdict: callback, say: {en: "Later."}}', "{verdict: continue}", 1)
    assert told(*(files_or_raise({"r.yaml": text}) for text in (goes_on, BASE)))[:2] == [
        "only stricter: 1 stricter",
        "desk: when nobody comes: continue (the agent goes on) → callback; words when nobody comes: en none → “Later.”",
    ]


def test_long_words_are_told_around_the_place_where_they_differ() -> None:
    same = "A colleague joins as soon as one is free, and reads what you wrote. " * 4
    old, new = (files_or_raise({"r.yaml": BASE.replace("One moment.", same + end, 1)}) for end in ("Bye.", "Your PIN!"))
    lead = same[-LEAD_CHARS:]
    assert told(old, new) == [
        "no turn is decided otherwise",
        f"desk: words to the customer: en “…{lead}Bye.” → “…{lead}Your PIN!”",
    ]
    (far,) = words_facts("words", {"en": "a" * 999}, {"en": "b" * 999})
    assert far.text == f"words: en “{'a' * TEXT_CHARS_MAX}…” → “{'b' * TEXT_CHARS_MAX}…”"
    (many,) = words_facts("words", {}, {f"x{n}": "w" for n in range(LANGUAGES_MAX + 2)})
    assert many.text.endswith("x3 none → “w” and 2 more languages")


def test_the_same_rules_in_other_files_do_not_differ() -> None:
    head, rules = BASE.split("rules:\n")
    parts = {"a.yaml": head, "b.yaml": "# moved\nhandrail: 1\nrules:\n" + rules}
    found = diff(files_or_raise({"rules.yaml": BASE}), files_or_raise(parts))
    assert (found, list(lines(found))) == (Difference((), (), (), (), ()), ["nothing differs"])


def test_what_a_program_reads_is_the_same() -> None:
    old, new = (files_or_raise({"r.yaml": BASE.replace("low: 0.55", f"low: {low}")}) for low in ("0.55", "0.6"))
    assert as_json(diff(old, new)) == {
        "overall": "stricter",
        "summary": {"stricter": 1, "looser": 0, "changed": 0, "words": 1},
        "rules": [
            {
                "name": "unsure-twice",
                "kind": "changed",
                "effect": "stricter",
                "facts": ["fires more often: low 0.55 → 0.6"],
            },
            {"name": "sure", "kind": "changed", "effect": "words", "facts": ["fires less often: low 0.55 → 0.6"]},
        ],
        "thresholds": [
            {
                "name": "low",
                "old": 0.55,
                "new": 0.6,
                "said": "low 0.55 → 0.6",
                "rules": [
                    {"rule_id": "unsure-twice", "effect": "stricter"},
                    {"rule_id": "sure", "effect": "looser"},
                ],
            }
        ],
        "topics": [],
        "queues": [],
        "others": [],
    }


# Conditions on what a topic finds: when the topic moves, they move with it or against it.
_ON_TOPICS = st.one_of(
    st.builds(make.compare, st.just("topics"), st.sampled_from(["has", "lacks"]), st.sampled_from(["person", "fees"])),
    st.builds(make.compare, st.just("asks_for_person"), st.sampled_from(["=", "!="]), st.booleans()),
    st.builds(
        make.compare,
        st.builds(
            Aggregate,
            st.sampled_from(["count", "streak"]),
            st.builds(make.compare, st.just("topics"), st.sampled_from(["has", "lacks"]), st.just("person")),
            st.just(Window(turns=2)),
        ),
        st.sampled_from(["<", ">=", "="]),
        st.sampled_from([0, 1, 2]),
    ),
)
some = st.one_of(near, make.nested(_ON_TOPICS, 2))


@st.composite
def edited(draw: st.DrawFn, rule: Rule) -> Rule | None:
    """Draw a rule as somebody may leave it: alike, with one thing changed, or not at all."""
    part = draw(some)
    edits = [
        rule,
        replace(rule, when=All((rule.when, part))),
        replace(rule, when=Any((rule.when, part))),
        replace(rule, when=part),
        replace(rule, when=Not(Not(rule.when))),
        replace(rule, mode=Mode(draw(st.sampled_from((0, 30, 70, 100))))),
        replace(rule, then=replace(rule.then, verdict="escalate", queue="tier1")),
        replace(rule, then=replace(rule.then, verdict="review", queue="tier1")),
        None,
    ]
    return draw(st.sampled_from(edits))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[RuleFiles, RuleFiles]:
    """Draw rule files and what somebody made of them."""
    thens = st.sampled_from(VERDICTS[:4]).map(lambda verdict: Then(verdict, None if verdict == "continue" else "tier1"))
    modes = st.sampled_from((Mode(100), Mode(100), Mode(0), Mode(50)))
    parts = draw(st.lists(st.tuples(some, thens, modes), min_size=1, max_size=3))
    old = [Rule(f"rule-{n}", "why", when, then, mode, make.SPAN) for n, (when, then, mode) in enumerate(parts)]
    kept = [draw(edited(rule)) for rule in old]
    added = [Rule("new", "why", draw(some), draw(thens), draw(modes), make.SPAN)] if draw(st.booleans()) else []
    new = [*added, *(rule for rule in kept if rule is not None)]
    topics = dict(make.TOPICS)
    if draw(st.booleans()):
        topics["person"] = replace(topics["person"], phrases=("a human", "hello"))
    return make.files_of(make.ordered(old)), replace(make.files_of(make.ordered(new)), topics=topics)


def asking(evaluation: Evaluation) -> set[str]:
    return {rule.id for rule in evaluation.rules if rule.then.verdict != "continue"}


def strength(evaluation: Evaluation) -> int:
    return VERDICTS.index(evaluation.verdict)


@settings(max_examples=300, deadline=None)
@given(pairs(), st.lists(st.tuples(turns, make.conversations), min_size=1, max_size=4))
def test_only_stricter_is_a_person_on_every_turn_that_had_one(
    files: tuple[RuleFiles, RuleFiles], situations: Sequence[tuple[Turn, Conversation]]
) -> None:
    found = diff(*files)
    overall = found.overall
    old, new = map(build, files)
    renamed = (change for change in found.rules if change.kind == "renamed")
    names = {change.facts[0].removeprefix("was called "): change.name for change in renamed}
    for turn, conversation in situations:
        before, after = (evaluate(each, turn, conversation, make.NOW_MS) for each in (old, new))
        were = {names.get(rule_id, rule_id) for rule_id in asking(before)}
        if overall in ("stricter", "same", "words"):
            assert were <= asking(after)
            assert strength(before) <= strength(after)
        if overall in ("looser", "same", "words"):
            assert were >= asking(after)
            assert strength(before) >= strength(after)


@settings(max_examples=200, deadline=None)
@given(make.nested(_ON_TOPICS, 2), st.lists(st.tuples(turns, make.conversations), min_size=3, max_size=6))
def test_a_topic_that_is_found_more_moves_the_rules_on_it_as_told(
    condition: Condition, situations: Sequence[tuple[Turn, Conversation]]
) -> None:
    old = make.files_of([Rule("on-topic", "why", condition, Then("escalate", "tier1"), Mode(100), make.SPAN)])
    wider = replace(make.TOPICS["person"], phrases=("a human", "hello", "why"))
    new = replace(old, topics={**make.TOPICS, "person": wider})
    overall = diff(old, new).overall
    sets = build(old), build(new)
    for turn, conversation in situations:
        before, after = (bool(evaluate(each, turn, conversation, make.NOW_MS).rules) for each in sets)
        if overall in ("stricter", "same", "words"):
            assert before <= after
        if overall in ("looser", "same", "words"):
            assert before >= after


@settings(max_examples=100, deadline=None)
@given(make.rule_files)
def test_rule_files_do_not_differ_from_themselves(files: RuleFiles) -> None:
    assert diff(files, files).overall == "same"


@pytest.mark.parametrize("priority", ["", ", priority: high"])
def test_a_rule_that_has_become_regulated_says_so_whatever_else_changed(priority: str) -> None:
    law = BASE.replace("legal: {phrases", "legal: {regulated: true, source: a law, phrases")
    changed = law.replace(
        "when: asks_for_person = true, then: {escalate: desk}",
        f"when: asks_for_person = true, then: {{escalate: desk{priority}}}",
    )
    told = lines(diff(files_or_raise({"a.yaml": BASE}), files_or_raise({"a.yaml": changed})))
    assert any("legal" in line and "is about something regulated" in line for line in told)
    before, after = (
        files_or_raise({"a.yaml": BASE}),
        files_or_raise({"a.yaml": law.replace("priority: high", "priority: urgent", 1)}),
    )
    assert any("is about something regulated" in line for line in lines(diff(before, after)))
