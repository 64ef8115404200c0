"""Quotes and escapes in rule files that make another text of it than its author meant: each is told, with a way out."""

from __future__ import annotations

import re

import pytest

from rules.cases.case_files import read_case_files
from rules.compile.rule_files import compile_files, files_or_raise
from rules.files.errors import Problem

FILE = """handrail: 1
topics:
  fees: {TOPIC}
queues:
  desk: {answer_within: 15m, on_timeout: {verdict: deny, say: {en: Later.}}, say: SAY}
rules:
- {id: r, why: WHY, when: topics has fees, then: {review: desk}}
"""


def file(topic: str = "phrases: [a fee]", say: str = "{en: Hi.}", why: str = "x") -> str:
    return FILE.replace("TOPIC", topic).replace("SAY", say).replace("WHY", why)


def problems(text: str) -> tuple[Problem, ...]:
    return compile_files({"f.yaml": text})[1]


def told(text: str) -> list[str]:
    return [
        f"{problem.span.line}:{problem.span.column}: {problem.code}: {problem.message} -> {problem.next_step}"
        for problem in problems(text)
    ]


SINGLE = "use single quotes, where a backslash is only a backslash"
FOUND = "so it is found only where a customer types them"
QUOTES = "the quotes of a word processor belong to"
TOLD = {
    file(r'patterns: ["\bfund\b"]'): [
        rf"3:22: R111: `\b` in double quotes stands for the control character U+0008 -> {SINGLE}"
    ],
    file(why=r'"\t ok \U0001F600 \"\\ \x07"'): [
        rf"7:39: R111: `\x07` in double quotes stands for the control character U+0007 -> {SINGLE}"
    ],
    file(why='"a\n  \\N"'): [rf"8:3: R111: `\N` in double quotes stands for the control character U+0085 -> {SINGLE}"],
    file("phrases: [“which fund”]"): [f'3:20: W228: {QUOTES} this phrase, {FOUND} -> write `"which fund"`'],
    file("phrases: [a fee], unless: [‘don’t know’]"): [
        f'3:37: W228: {QUOTES} this phrase, {FOUND} -> write `"don’t know"`'
    ],
    file(r"patterns: [“\bfees?\b”]"): [rf"3:21: W228: {QUOTES} this pattern, {FOUND} -> write `'\bfees?\b'`"],
    file("phrases: [“which fund, now”]"): [
        "3:20: W228: this phrase begins with the quote of a word processor, which ends nowhere,"
        f" {FOUND} -> put the whole text into straight quotes"
    ],
    file(say="{en: “A colleague joins.”}"): [
        f'5:88: W228: {QUOTES} these words, so the customer reads them too -> write `"A colleague joins."`'
    ],
    file(say="{en: “One moment, please, dear.”, es: Hola.}"): [
        "5:88: R116: the words end at the comma: for YAML the quotes of a word processor are letters"
        ' -> put all of them into straight quotes: `"One moment, please, dear."`'
    ],
}


@pytest.mark.parametrize("text", TOLD)
def test_a_text_that_is_not_what_it_looks_like_is_told(text: str) -> None:
    assert [fact for fact in told(text) if "W224" not in fact] == TOLD[text]


@pytest.mark.parametrize("text", [text for text in TOLD if "`" in TOLD[text][0].split(" -> ")[1]])
def test_what_is_mended_as_told_is_told_no_more(text: str) -> None:
    problem = problems(text)[0]
    (meant,) = re.findall(r"`(.*)`$", problem.next_step)
    written = re.search(r"“[^”]*”|‘.*’", text)
    assert written is not None
    assert [fact for fact in told(text.replace(written[0], meant)) if "W224" not in fact] == []


def test_a_pattern_in_single_quotes_is_a_pattern() -> None:
    assert told(file(r"patterns: ['\bfund\b']")) == []


@pytest.mark.parametrize(
    "text",
    [
        file("phrases: ['“which fund”']"),
        file("phrases: [“a” or “b”, my “fund”, ‘tis the season, o’clock]"),
        file(why='"a\\tb\\nc \\u00e9 \\_ \\L"'),
        file(say="{en: “Later” is not an answer.}"),
    ],
)
def test_what_is_meant_like_that_is_left_alone(text: str) -> None:
    assert told(text) == []


def test_a_test_may_send_what_no_rule_file_may_hold() -> None:
    case = 'handrail_tests: 1\ncases:\n- {name: a, message: "\\b \\0", expect: continue}\n'
    assert read_case_files({"a.tests.yaml": case}, files_or_raise({"f.yaml": file()}))[1] == ()
