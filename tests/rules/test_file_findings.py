"""What is told of phrases, regulated topics, languages and queues: of files as a whole, and of people beside them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import compile_files
from rules.model import Topic
from rules.text.topics import Matcher

QUEUE = "  {name}: {{answer_within: 15m, {more}on_timeout: {{verdict: deny, say: {{en: Later.}}}}, say: {{en: Hi.}}}}\n"


def queue(name: str = "desk", more: str = "") -> str:
    return QUEUE.format(name=name, more=more)


def told(text: str, operators: str | None = None) -> list[str]:
    beside = None if operators is None else {"operators.yaml": operators}
    return [
        f"{problem.span.file}:{problem.span.line}:{problem.span.column}: {problem.code}: {problem.message}"
        for problem in compile_files({"f.yaml": text}, beside)[1]
    ]


def topic(keys: str) -> str:
    return (
        f"handrail: 1\ntopics:\n  fees: {{{keys}}}\nqueues:\n{queue()}"
        "rules:\n- {id: r, why: x, when: topics has fees, then: {review: desk}}\n"
    )


PHRASES = {
    "phrases: [a fee, pay a fee now]": ["f.yaml:3:27: W222: the phrase `pay a fee now` is found with `a fee` already"],
    "phrases: [A  Fee, 'pay, a fee?']": ["f.yaml:3:29: W222: the phrase `pay, a fee?` is found with `A  Fee` already"],
    "phrases: [fee, fees, coffee, the fee2]": [],
    "phrases: [fee, the fee 2]": ["f.yaml:3:25: W222: the phrase `the fee 2` is found with `fee` already"],
    "phrases: [a fee, no fee at all], unless: [no fee]": [
        "f.yaml:3:27: W223: the phrase `no fee at all` holds the `unless` phrase `no fee`, so it never counts"
    ],
    "phrases: [a fee], unless: [not a fee, is not a fee]": [],
    "phrases: [una comisión, comisión]": [
        "f.yaml:3:20: W222: the phrase `una comisión` is found with `comisión` already"
    ],
}


@pytest.mark.parametrize("keys", PHRASES)
def test_a_phrase_that_changes_nothing_is_told(keys: str) -> None:
    assert told(topic(keys)) == PHRASES[keys]


def test_a_phrase_of_another_line_is_named_with_its_line() -> None:
    text = topic("phrases: [a]").replace("{phrases: [a]}", "\n    phrases:\n    - a fee\n    - pay a fee")
    assert told(text) == ["f.yaml:6:7: W222: the phrase `pay a fee` is found with `a fee` of line 5 already"]


WORDS = st.lists(st.sampled_from(["a", "fee", "no", "pay", "é", "fees"]), min_size=1, max_size=3).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(WORDS, min_size=1, max_size=4, unique=True),
    st.lists(WORDS, max_size=2, unique=True),
    st.lists(WORDS, min_size=1, max_size=4),
)
def test_without_the_phrases_that_were_told_the_topic_is_found_in_the_same_texts(
    phrases: list[str], unless: list[str], texts: list[str]
) -> None:
    keys = (
        f"phrases: [{', '.join(phrases)}], unless: [{', '.join(unless)}]"
        if unless
        else f"phrases: [{', '.join(phrases)}]"
    )
    problems = compile_files({"f.yaml": topic(keys)})[1]
    lost = {problem.message.split("`")[1] for problem in problems if problem.code in ("W222", "W223")}
    whole = Matcher({"fees": Topic("fees", phrases=tuple(phrases), unless=tuple(unless))})
    rest = tuple(phrase for phrase in phrases if phrase not in lost)
    thin = Matcher({"fees": Topic("fees", phrases=rest, unless=tuple(unless))})
    text = " ".join(texts)
    assert bool(whole.find(text, "message")) is bool(thin.find(text, "message"))


REGULATED = (
    "handrail: 1\ntopics:\n"
    "  law: {regulated: true, source: Act 1, phrases: [a law], inside: [message, reply]}\nqueues:\n" + queue()
)
UNASKED = "f.yaml:3:3: W225: the topic `law` is regulated, and no rule hands it to a person"


@pytest.mark.parametrize(
    ("when", "then", "facts"),
    [
        ("topics has law", "{review: desk}", []),
        ("reply_topics has law", "{hold: desk}", []),
        ("count(topics has law) over 5 turns >= 2", "{review: desk}", []),
        ("{not: topics lacks law}", "{review: desk}", []),
        ("topics not within [other]", "{review: desk}", []),
        ("topics lacks law", "{review: desk}", [UNASKED]),
        ("{not: {any: [topics has law, turn_count > 3]}}", "{review: desk}", [UNASKED]),
        ("{any: [topics has law, turn_count > 3]}", "continue", [UNASKED]),
        ("{any: [topics has law, turn_count > 3]}", "{review: desk}, mode: shadow", [UNASKED]),
        ("turn_count > 3", "{review: desk}", [UNASKED.replace("hands it to a person", "asks for it")]),
    ],
)
def test_a_regulated_topic_must_bring_a_person(when: str, then: str, facts: list[str]) -> None:
    more = "  other: {phrases: [b]}\n" if "other" in when else ""
    text = REGULATED.replace("queues:\n", more + "queues:\n")
    found = told(f"{text}rules:\n- {{id: r, why: x, when: {when}, then: {then}}}\n")
    assert [fact for fact in found if "W203" not in fact] == facts


def test_a_regulated_topic_of_a_rule_with_a_mistake_is_left_alone() -> None:
    rule = "{id: r, why: x, when: {all: [topics has law, sentimant < 0]}, then: {review: desk}}"
    text = f"{REGULATED}rules:\n- {rule}\n"
    assert told(text) == ["f.yaml:7:48: R101: unknown signal `sentimant`"]


def spoken(*says: str, top: str = "") -> str:
    queues = "".join(
        f"  q{number}: {{answer_within: 15m, on_timeout: {{verdict: continue}}, say: {{{say}}}}}\n"
        for number, say in enumerate(says)
    )
    rules = "".join(
        f"- {{id: r{number}, why: x, when: turn_count = {number + 2}, then: {{hold: q{number}}}}}\n"
        for number in range(len(says))
    )
    return f"handrail: 1\n{top}queues:\n{queues}rules:\n{rules}"


LANGUAGES: dict[str, tuple[str, list[str]]] = {
    "all in the same": (spoken("en: A, es: B", "es: B, en: A"), []),
    "one of two lacks one": (
        spoken("en: A, es: B", "en: A"),
        ["f.yaml:4:66: W224: these words are in `en` and not in `es`, which others of these files have"],
    ),
    "capitals in a tag say nothing": (spoken("en: A, es-mx: B", "EN: A, es-MX: B", top="languages: [EN, es-MX]\n"), []),
    "nor where nothing is declared": (spoken("en: A", "EN: A", "En: A"), []),
    "one language of the customer serves its regions": (
        spoken("en: A, es-MX: B", "en: A, es: B, es-MX: C"),
        ["f.yaml:3:66: W224: these words are in `en`, `es-MX` and not in `es`, which others of these files have"],
    ),
    "a rare one is told once": (
        spoken("en: A", "en: A", "en: A, de: B", "en: A", "en: A, de: B", "en: A"),
        ["f.yaml:5:66: W224: `de` stands in 2 texts to say, and 4 others lack it"],
    ),
    "a rare one is told in the singular": (
        spoken("en: A", "en: A, de: B", "en: A"),
        ["f.yaml:4:66: W224: `de` stands in 1 text to say, and 2 others lack it"],
    ),
    "what is declared is asked for everywhere, and nothing else": (
        spoken("en: A, de: C", "en: A, es: B", "es: B", top="languages: [en, es]\n"),
        [
            "f.yaml:4:66: W224: these words are in `en`, `de` and not in `es`, which `languages` asks for",
            "f.yaml:6:66: W224: these words are in `es` and not in `en`, which `languages` asks for",
        ],
    ),
    "one word may stand for the list": (spoken("en: A, de: C", "en: A", top="languages: en\n"), []),
    "no language at all": (
        spoken("en: A", top="languages: []\n"),
        ["f.yaml:2:12: R116: `languages` is empty"],
    ),
    "no language": (
        spoken("en: A", top="languages: [en, english!]\n"),
        ["f.yaml:2:17: R109: `english!` is no language"],
    ),
}


@pytest.mark.parametrize("name", LANGUAGES)
def test_words_that_lack_a_language_are_told(name: str) -> None:
    text, facts = LANGUAGES[name]
    assert told(text) == facts


def test_words_behind_an_anchor_are_told_once() -> None:
    text = spoken("en: A, es: B", "en: A").replace("say: {en: A}", "say: &w {en: A}, meanwhile: *w")
    assert told(text) == [
        "f.yaml:4:66: W224: these words are in `en` and not in `es`, which others of these files have"
    ]


SERVED = f"handrail: 1\nqueues:\n{queue('a', 'needs: {spanish: 2}, ')}{queue('b')}rules:\n" + (
    "- {id: r, why: x, when: turn_count = 3, then: {review: a}}\n"
    "- {id: s, why: x, when: turn_count = 4, then: {review: b}}\n"
)
NOBODY = "f.yaml:3:3: W226: no operator can take what waits in the queue `a`"
OPERATORS: dict[str, tuple[str, list[str]]] = {
    "somebody has the skill": ("operators: [{name: mia, skills: {spanish: 3}}]", []),
    "nobody has it": ("operators: [{name: mia, skills: [french]}]", [f"{NOBODY}: nobody has the skill `spanish`"]),
    "nobody has enough of it": (
        "operators: [{name: mia, skills: [spanish]}, {name: leo, skills: {spanish: 1}}]",
        [f"{NOBODY}: nobody has the skill `spanish` at level 2"],
    ),
    "who has it does not serve the queue": (
        "operators: [{name: mia, skills: {spanish: 3}, queues: [b]}]",
        [f"{NOBODY}: nobody serves it"],
    ),
    "who serves it has other skills": (
        "operators: [{name: mia, skills: {spanish: 3}, queues: [b]}, {name: leo, queues: [a]}]",
        [f"{NOBODY}: nobody has all that it needs"],
    ),
    "who may take it has no room for any of it": (
        "operators: [{name: mia, skills: {spanish: 3}, capacity: 2, weights: {review: 3, hold: 3, escalate: 4}},"
        " {name: leo, queues: [b], capacity: 1}]",
        [f"{NOBODY}: whoever may take it has less `capacity` than any of it weighs"],
    ),
    "no customer's language is ever a word": (
        "operators: [{name: mia, skills: {spanish: 3}, languages: [es-MX, english]}]",
        ["operators.yaml:1:66: R109: `english` is no language, so no customer's is ever it"],
    ),
    "what is wrong with the file is told, and then nobody is missed": (
        "operators: [{name: mia, skils: {spanish: 3}}]",
        ["operators.yaml:1:25: R105: unknown key `skils` in an operator"],
    ),
    "a queue that is not there": (
        "operators: [{name: mia, skills: {spanish: 3}, queues: [a, b, zz]}]",
        ["operators.yaml:1:62: R103: unknown queue `zz`"],
    ),
    "an operator without a name": (
        "operators: [{skills: [x]}]",
        ["operators.yaml:1:13: R106: an operator has no `name`"],
    ),
    "no operators": ("people: []", ["operators.yaml:1:1: R105", "operators.yaml:1:1: R106: an operators file has no"]),
    "no YAML": ("operators: [", ["operators.yaml:1:12: R110: not YAML: did not find expected node content"]),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_a_queue_that_nobody_can_serve_is_told(name: str) -> None:
    text, facts = OPERATORS[name]
    found = told(SERVED, text + "\n")
    assert len(found) == len(facts)
    assert all(fact.startswith(expected) for fact, expected in zip(found, facts, strict=True))


def test_a_step_of_the_ladder_may_bring_somebody() -> None:
    nobody = "operators: [{name: mia, skills: [french]}]\n"
    widened = SERVED.replace("needs: {spanish: 2},", "needs: {spanish: 2}, ladder: [{after: 5m, needs: [french]}],")
    assert told(widened, nobody) == []
    elsewhere = SERVED.replace("needs: {spanish: 2},", "needs: {spanish: 2}, ladder: [{after: 5m, queues: [b]}],")
    assert told(elsewhere, nobody) == [f"{NOBODY}: nobody has the skill `spanish`"]


@pytest.mark.parametrize(
    ("wrong", "step", "right"),
    [
        (
            "operators: [{name: mia, skills: {spanish: 3}, queues: [b]}]",
            "add `a` to the `queues` of an operator",
            "operators: [{name: mia, skills: {spanish: 3}, queues: [b, a]}]",
        ),
        (
            "operators: [{name: mia, skills: {spanish: 3}, capacity: 2, weights: {review: 3, hold: 3, escalate: 4}},"
            " {name: leo, queues: [b]}]",
            "give one of them more `capacity`, or smaller `weights`",
            "operators: [{name: mia, skills: {spanish: 3}, capacity: 3, weights: {review: 3, hold: 3, escalate: 4}},"
            " {name: leo, queues: [b]}]",
        ),
    ],
)
def test_whoever_mends_the_operators_as_told_serves_the_queue(wrong: str, step: str, right: str) -> None:
    problems = compile_files({"f.yaml": SERVED}, {"operators.yaml": f"{wrong}\n"})[1]
    assert [problem.next_step for problem in problems] == [step]
    assert told(SERVED, f"{right}\n") == []


def test_without_a_file_of_operators_nothing_is_told_of_them() -> None:
    assert told(SERVED) == []


@pytest.mark.parametrize("other", ["", "- a", "handrail: 1\nrules: [\n", "handrail: 1\nrules:\n\t- id: r\n", "\0"])
def test_nothing_is_said_of_rules_that_a_file_may_hold_which_cannot_be_read(other: str) -> None:
    problems = compile_files({"a.yaml": "handrail: 1\ntimezone: UTC\n", "b.yaml": other})[1]
    assert {problem.span.file for problem in problems} == {"b.yaml"}
    alone = compile_files({"a.yaml": "handrail: 1\ntimezone: UTC\n", "b.yaml": "handrail: 1\n"})[1]
    assert [problem.code for problem in alone] == ["W209"]
