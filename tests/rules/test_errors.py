"""A problem reads as a person needs it, whatever stands in its line."""

from __future__ import annotations

import pytest

from rules.files.errors import PROBLEMS, SOURCE_WIDTH_MAX, Problem, RuleFileInvalid, render
from rules.model import Span


def problem(line: str, column: int, hint: str | None = None, message: str = "unknown signal `sentimant`") -> Problem:
    return Problem("R101", Span("rules/library/retention.yaml", 14, column, column + 9), message, line, hint)


def test_a_problem_shows_place_code_fact_source_caret_and_next_step() -> None:
    assert render(problem("        - sentimant < -0.6", 11, "did you mean `sentiment`?")) == (
        "rules/library/retention.yaml:14:11: R101: unknown signal `sentimant`\n"
        "      - sentimant < -0.6\n"
        "        ^ did you mean `sentiment`?"
    )


def test_without_a_hint_the_table_says_what_to_do() -> None:
    assert render(problem("- sentimant < -0.6", 3)).endswith("^ write a signal of docs/rules.md or declare it")
    assert problem("- sentimant < -0.6", 3).next_step == PROBLEMS["R101"].next_step


def test_a_place_without_a_line_shows_only_the_caret() -> None:
    assert render(problem("", 1, "add one")) == (
        "rules/library/retention.yaml:14:1: R101: unknown signal `sentimant`\n      ^ add one"
    )


def test_the_caret_stands_under_its_character_behind_wide_and_combining_ones() -> None:
    shown = render(problem("  why: 返金 e\u0301 sentimant", 14, "here")).splitlines()
    assert shown[1:] == ["      why: 返金 e\u0301 sentimant", "      " + " " * 12 + "^ here"]


def test_characters_that_would_move_or_hide_text_are_shown_as_replaced() -> None:
    shown = render(problem("a\tb\x1b[31m\u202e sentimant", 11, "here", "bad `\x1b`\n"))
    assert shown == (
        "rules/library/retention.yaml:14:11: R101: bad `�`�\n      a b�[31m� sentimant\n                ^ here"
    )


@pytest.mark.parametrize("column", [1, 5, 150, 299, 300, 301, 4000])
def test_a_long_line_is_cut_around_the_caret(column: int) -> None:
    line = "".join(chr(ord("a") + number % 26) for number in range(300))
    _, shown, caret = render(problem(line, column, "here")).splitlines()
    assert len(shown) <= 6 + SOURCE_WIDTH_MAX + 2
    if column <= 300:
        assert shown[caret.index("^")] == line[column - 1]


def test_the_exception_says_every_problem() -> None:
    problems = (problem("- sentimant < -0.6", 3), problem("- sentimant < -0.7", 3))
    invalid = RuleFileInvalid(problems)
    assert invalid.problems == problems
    assert str(invalid) == f"{render(problems[0])}\n{render(problems[1])}"


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_row_of_the_table_is_a_fragment_with_a_next_step(code: str) -> None:
    spec = PROBLEMS[code]
    assert spec.code == code
    assert spec.severity == {"R": "error", "W": "warning"}[code[0]]
    for text in (spec.title, spec.next_step):
        assert text
        assert not text.endswith(".")
        assert text[0] in "`" or text[0].islower() or text.startswith("YAML")
