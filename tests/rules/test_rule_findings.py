"""What is told of whole rules: that they never fire, always fire, or decide nothing behind another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile.names import Names
from rules.compile.rule_files import compile_files
from rules.evaluation.evaluate import build, evaluate
from rules.files.source import Source
from rules.findings.rules import tell_of_rules
from rules.model import Rule
from rules.turn import Conversation, Turn
from tests.rules import strategies as make
from tests.rules.test_entailment import SPECS, near, turns

NAMES = """handrail: 1
thresholds: {low: 0.3}
topics:
  fees: {phrases: [a fee]}
  refunds: {phrases: [my money back]}
  law: {regulated: true, source: Act 1, phrases: [a law]}
queues:
  desk: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: Later.}}, say: {en: Wait.}}
rules:
- id: uses
  why: x
  when: {any: [topics has fees, topics has refunds, confidence < $low]}
  then: continue
- {id: law, why: x, when: topics has law, then: {review: desk, priority: low}}
"""


def told(*rules: str) -> list[str]:
    """Return what is said of rules beside NAMES, one line a problem: line, code, fact, next step."""
    text = "handrail: 1\nrules:\n" + "".join(f"- {rule}\n" for rule in rules)
    return [
        f"{problem.span.line}: {problem.code}: {problem.message} -> {problem.next_step}"
        for problem in compile_files({"names.yaml": NAMES, "r.yaml": text})[1]
    ]


def rule(rule_id: str, when: str, then: str = "{review: desk}", mode: str = "live") -> str:
    return f"{{id: {rule_id}, why: x, when: {when}, then: {then}, mode: {mode}}}"


NEVER = {
    "{all: [{any: [confidence < 0.2, confidence < $low]}, confidence > 0.5]}": (
        "`confidence > 0.5` never holds together with `confidence < 0.2`"
    ),
    "{all: [topics has fees, {not: {any: [topics has fees, channel = a]}}]}": (
        "`not topics has fees` never holds together with `topics has fees`"
    ),
    "{all: [streak(confidence < 0.4) >= 2, confidence > 0.6]}": (
        "`confidence > 0.6` never holds together with `streak(confidence < 0.4) >= 2`"
    ),
    "{all: [{tool_call: {all: [name = pay, write = true]}}, {not: {tool_call: write = true}}]}": (
        "`not: {tool_call: …}` never holds together with `tool_call`"
    ),
    "{tool_call: {all: [name = pay, {not: {any: [name = pay, write = true]}}]}}": (
        "no turn meets all that it asks for together"
    ),
    "{all: [{any: [turn_count = 1, turn_count = 2]}, {any: [turn_count = 3, turn_count = 4]}]}": (
        "`turn_count = 3` never holds together with `turn_count = 1`"
    ),
}


@pytest.mark.parametrize("when", NEVER)
def test_a_rule_that_no_turn_can_meet_is_an_error_that_names_why(when: str) -> None:
    assert told(rule("r", when)) == [
        f"3: R133: the rule `r` never fires: {NEVER[when]} -> correct or remove one of the two"
    ]


def test_a_contradiction_that_was_told_already_is_not_told_again() -> None:
    assert told(rule("r", "{all: [confidence < $low, confidence > 0.5]}")) == [
        "3: R131: `confidence > 0.5` never holds together with `confidence < $low` -> correct one of the two"
    ]


ALWAYS = [
    "turn_count >= 1",
    "{any: [turn_count > 0, confidence < 0.5]}",
    "{any: [confidence < 0.5, confidence >= 0.5, confidence is unknown]}",
    "{any: [topics has fees, topics lacks fees, topics is unknown]}",
    "{not: {tool_call: status is unknown}}",
]


@pytest.mark.parametrize("when", ALWAYS)
def test_a_rule_that_every_turn_meets_is_told(when: str) -> None:
    assert "3: W220: the rule `r` fires on every turn -> correct the condition, or remove the rule" in told(
        rule("r", when)
    )


@pytest.mark.parametrize("when", ["{any: [confidence < 0.5, confidence >= 0.5]}"])
def test_a_rule_that_every_known_value_meets_is_told_as_that(when: str) -> None:
    expected = (
        "3: W220: the rule `r` fires on every turn on which what it looks at is known -> "
        "write `… is known` where that is meant, or correct the condition"
    )
    assert expected in told(rule("r", when))


@pytest.mark.parametrize(
    "when",
    [
        "confidence is known",
        "{any: [confidence is known, sentiment is known]}",
        "{any: [confidence < 0.5, confidence > 0.5]}",
        "turn_count >= 2",
        "{not: {tool_call: write = true}}",
        "{any: [amount_usd_max >= 1, amount_usd_max < 0.5]}",
    ],
)
def test_a_rule_that_some_turn_does_not_meet_is_left_alone(when: str) -> None:
    assert told(rule("r", when)) == []


COVERED = "`b` decides nothing: whenever it fires, `a` in line {line} fires too and comes first"


def test_a_narrower_rule_behind_a_stronger_one_decides_nothing() -> None:
    stronger = rule("a", "confidence < 0.5", "{escalate: desk}")
    weaker = rule("b", "{all: [confidence < 0.3, channel = chat]}")
    hint = "give `b` a stronger verdict or a higher priority, or remove it"
    assert told(stronger, weaker) == [f"4: W221: {COVERED.format(line=3)} -> {hint}"]
    # The order of precedence counts, not the order in the file.
    assert told(weaker, stronger) == [f"3: W221: {COVERED.format(line=4)} -> {hint}"]


def test_among_equals_the_one_that_is_written_first_decides() -> None:
    wide, narrow = rule("a", "confidence < 0.5"), rule("b", "confidence < 0.3")
    hint = "write `b` before `a`, give it a higher priority, or remove it"
    assert told(wide, narrow) == [f"4: W221: {COVERED.format(line=3)} -> {hint}"]
    assert told(narrow, wide) == []


def test_a_narrower_rule_that_is_stronger_or_more_urgent_decides() -> None:
    assert told(rule("a", "confidence < 0.5"), rule("b", "confidence < 0.3", "{hold: desk}")) == []
    assert told(rule("a", "confidence < 0.5"), rule("b", "confidence < 0.3", "{review: desk, priority: high}")) == []


LEFT_ALONE = {
    "a rule in shadow is there to be counted": [
        rule("a", "confidence < 0.5"),
        rule("b", "confidence < 0.3", mode="shadow"),
    ],
    "a rule in shadow covers none": [rule("a", "confidence < 0.5", mode="shadow"), rule("b", "confidence < 0.3")],
    "nor does one that a part of the conversations has": [
        rule("a", "confidence < 0.5", mode="{rollout: 90%}"),
        rule("b", "confidence < 0.3"),
    ],
    "a rule that goes on without a word is there to be counted": [
        rule("a", "confidence < 0.5"),
        rule("b", "confidence < 0.3", "continue"),
    ],
    "a rule on a regulated topic is not covered by one that is on none": [
        rule("a", "message_length > 0"),
        rule("b", "{all: [message_length > 0, topics has law]}"),
    ],
    "a rule that fires on other turns too": [
        rule("a", "confidence < 0.3"),
        rule("b", "{any: [confidence < 0.2, sentiment < 0]}"),
    ],
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_is_meant_is_left_alone(name: str) -> None:
    assert told(*LEFT_ALONE[name]) == []


def test_a_rule_in_a_part_of_the_conversations_is_told_when_it_is_covered() -> None:
    facts = told(rule("a", "confidence < 0.5"), rule("b", "confidence < 0.3", mode="{rollout: 10%}"))
    assert [fact.partition(" -> ")[0] for fact in facts] == [f"4: W221: {COVERED.format(line=3)}"]


def test_words_behind_a_stronger_rule_are_never_said() -> None:
    facts = told(rule("a", "confidence < 0.5"), rule("b", "confidence < 0.3", "{continue: true, say: {en: Sure?}}"))
    assert [fact.partition(" -> ")[0] for fact in facts] == [f"4: W221: {COVERED.format(line=3)}"]


def test_a_covering_rule_of_another_file_is_named_with_its_place() -> None:
    texts = {
        "a.yaml": f"handrail: 1\nrules:\n- {rule('a', 'confidence < 0.5')}\n",
        "b.yaml": f"handrail: 1\nrules:\n- {rule('b', 'confidence < 0.3')}\n",
        "names.yaml": NAMES,
    }
    assert [f"{problem.span.file}: {problem.message}" for problem in compile_files(texts)[1]] == [
        "b.yaml: `b` decides nothing: whenever it fires, `a` at a.yaml:3 fires too and comes first"
    ]


RULE_LISTS = st.lists(
    st.tuples(near, st.sampled_from([(v, p) for v in ("review", "hold", "escalate") for p in ("normal", "high")])),
    min_size=2,
    max_size=4,
).map(
    lambda parts: make.ordered(
        [
            Rule(f"r{number}", "x", when, make.Then(verdict, "tier1", priority), make.Mode(), make.Span("f", 1, 1, 2))  # type: ignore[arg-type, attr-defined]
            for number, (when, (verdict, priority)) in enumerate(parts)
        ]
    )
)


@settings(max_examples=150, deadline=None)
@given(RULE_LISTS, st.lists(st.tuples(turns, make.conversations), min_size=1, max_size=4))
def test_what_is_told_of_rules_is_true_on_every_turn(
    rules: tuple[Rule, ...], situations: list[tuple[Turn, Conversation]]
) -> None:
    source = Source("f", "")
    tell_of_rules(rules, Names(signals=dict(SPECS)), {"f": source})
    said = {code: {problem.message for problem in source.problems if problem.code == code} for code in ("R133", "W221")}
    always = {
        rule.id for rule in rules if any(f"`{rule.id}` fires on every turn" == p.message[9:] for p in source.problems)
    }
    ruleset = build(make.files_of(rules))
    for turn, conversation in situations:
        fired = evaluate(ruleset, turn, conversation, make.NOW_MS).rules
        ids = [rule.id for rule in fired]
        assert always <= set(ids)
        for rule_id in ids:
            assert not any(f"the rule `{rule_id}` never" in fact for fact in said["R133"])
        if fired:
            assert not any(fact.startswith(f"`{ids[0]}` decides nothing") for fact in said["W221"])


AGENT = """handrail: 1
queues:
  desk: {answer_within: 15m, on_timeout: {verdict: deny, say: {en: Later.}}, say: {en: Hi.}}
agents:
  bot:
    purpose: x
    owner: Dana
    autonomy: full
    may: {tools: [a]}
    hands_over: {to: desk, when: [WHEN]}
"""
HANDS_OVER = {
    "turn_count >= 1": ["10:35: W220: the agent `bot` hands over on every turn"],
    "{id: always, why: x, when: {any: [confidence < 1, turn_count > 0]}}": [
        "10:35: W220: the agent `bot` hands over on every turn"
    ],
    "{any: [sentiment < 0, sentiment >= 0]}": [
        "10:35: W220: the agent `bot` hands over on every turn on which what it looks at is known"
    ],
    "confidence >= 0": ["10:35: W205: `confidence >= 0` holds whatever the value is"],
    "{any: [confidence is known, confidence is unknown]}": ["10:35: W220: the agent `bot` hands over on every turn"],
    "confidence is known": [],
    "confidence < 0.5, turn_count > 1": [],
}


@pytest.mark.parametrize("when", HANDS_OVER)
def test_an_agent_that_hands_over_on_every_turn_is_told(when: str) -> None:
    problems = compile_files({"f.yaml": AGENT.replace("WHEN", when)})[1]
    assert [f"{each.span.line}:{each.span.column}: {each.code}: {each.message}" for each in problems] == HANDS_OVER[
        when
    ]


FED = """handrail: 1
topics: {TOPICS}
rules:
- {id: r, why: x, then: continue, when: {any: [WHEN, topics has a]}}
"""


@pytest.mark.parametrize("when", ["asks_for_person = true", "count(asks_for_person = false) >= 2"])
def test_a_signal_that_no_topic_means_is_told_once(when: str) -> None:
    text = FED.replace("WHEN", f"{when}, asks_for_person = true, turn_count > 3").replace(
        "{TOPICS}", "{a: {phrases: [b]}}"
    )
    assert [(each.code, each.message, each.next_step) for each in compile_files({"f.yaml": text})[1]] == [
        (
            "W216",
            "no topic means `asks_for_person`, so it is never true",
            "write `means: asks_for_person` at a topic with the words for it",
        )
    ]
    told = compile_files({"f.yaml": text.replace("[b]", "[b], means: asks_for_person")})
    assert told[1] == ()


@pytest.mark.parametrize(
    ("when", "topics"),
    [
        ("confirmed is known", "{a: {phrases: [b]}}"),
        ("confirmed = true", "{a: {means: confirmed}}"),
        # What is wrong with the topic may be what it means.
        ("confirmed = true", "{a: {phrases: [b], means: conformed}}"),
        ("confirmed = true", "{a: [b]}"),
    ],
)
def test_a_signal_that_a_topic_may_mean_is_left_alone(when: str, topics: str) -> None:
    problems = compile_files({"f.yaml": FED.replace("WHEN", when).replace("{TOPICS}", topics)})[1]
    assert "W216" not in [each.code for each in problems]
