"""docs/rules.md and docs/problems.md say what is true: their examples run, and their tables are the code's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import pytest

from rules.cases.case_files import read_case_files
from rules.compile.comparisons import OPERATORS
from rules.compile.conditions import CONDITION_DEPTH_MAX
from rules.compile.rule_files import compile_files, files_or_raise
from rules.compile.rules import RULES_MAX
from rules.compile.unknown_signals import PRESENCE
from rules.compile.values import NAME_CHARACTERS_MAX, SAY_CHARACTERS_MAX
from rules.evaluation.signal_table import CALL_SIGNALS, SIGNALS, SignalSpec
from rules.files.errors import PROBLEMS, Problem, render
from rules.files.grammar import COMPARISON_CHARACTERS_MAX, DURATION_MS_MAX, FUNCTIONS
from rules.files.keys import (
    CONDITION_KEYS,
    FILE_KEYS,
    ON_TIMEOUT_KEYS,
    QUEUE_KEYS,
    RULE_KEYS,
    RULE_VERDICTS,
    SIGNAL_KEYS,
    STEP_KEYS,
    THEN_KEYS,
    THRESHOLD_KEYS,
    TIMEOUT_VERDICTS,
    TOPIC_KEYS,
    KeyTable,
)
from rules.files.nodes import DEPTH_MAX, NODES_MAX
from rules.files.source import FILE_CHARACTERS_MAX
from rules.history import TURNS_READ_MAX

DOCS = Path(__file__).parents[2] / "docs"
RULES = (DOCS / "rules.md").read_text()
PAGE = (DOCS / "problems.md").read_text()

UNITS = {
    None: "",
    "count": "",
    "ratio": "0 to 1",
    "score": "-1 to 1",
    "characters": "characters",
    "usd": "US dollars",
    "ms": "a time",
    "hour": "0 to 23",
    "minutes": "a time of day",
    "day": "a date",
}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def tables(text: str, heading: str) -> list[list[list[str]]]:
    """Return the rows, as cells, of every table whose first column has that heading."""
    found = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()] for table in found]


def page_files() -> dict[str, str]:
    """Return the blocks of docs/rules.md as the files of one directory."""
    return {
        f"{number}.yaml": block if block.startswith("handrail: 1") else f"handrail: 1\n{block}"
        for number, block in enumerate(blocks(RULES, "yaml"))
    }


def test_all_blocks_of_the_page_are_one_directory_without_a_warning() -> None:
    files, problems = compile_files(page_files())
    assert [render(problem) for problem in problems] == []
    assert files is not None
    assert len(files.rules) >= 10


def comparisons_of_the_page() -> list[str]:
    return [re.sub("^`|`$", "", row[0]) for table in tables(RULES, "comparison") for row in table]


@pytest.mark.parametrize("comparison", comparisons_of_the_page())
def test_every_comparison_of_the_page_compiles(comparison: str) -> None:
    text = f"handrail: 1\nrules:\n- id: example\n  why: x\n  when: {comparison}\n  then: continue\n"
    assert [render(problem) for problem in compile_files({**page_files(), "example.yaml": text})[1]] == []


def test_there_are_comparisons_on_the_page() -> None:
    assert len(comparisons_of_the_page()) >= 15


def signal_rows(specs: Mapping[str, SignalSpec]) -> list[list[str]]:
    return [
        [f"`{spec.name}`", spec.type, UNITS[spec.unit], "yes" if spec.recorded else "", spec.about]
        for spec in specs.values()
    ]


def test_the_tables_of_signals_are_the_codes_own() -> None:
    call, *turn = tables(RULES, "signal")
    assert call == signal_rows(CALL_SIGNALS)
    assert list(chain(*turn)) == signal_rows(SIGNALS)


def test_the_tables_of_keys_are_the_codes_own() -> None:
    in_order: list[KeyTable] = [
        FILE_KEYS,
        CONDITION_KEYS,
        SIGNAL_KEYS,
        THRESHOLD_KEYS,
        TOPIC_KEYS,
        QUEUE_KEYS,
        STEP_KEYS,
        ON_TIMEOUT_KEYS,
        RULE_KEYS,
        THEN_KEYS,
    ]
    on_page = tables(RULES, "key")
    assert [[(row[0], row[2]) for row in table] for table in on_page] == [
        [(f"`{spec.name}`", spec.about) for spec in table.values()] for table in in_order
    ]
    for table, specs in zip(on_page, in_order, strict=True):
        assert ["(must be there)" in row[1] for row in table] == [spec.required for spec in specs.values()]
        for row, spec in zip(table, specs.values(), strict=True):
            assert all(f"`{choice}`" in row[1] for choice in spec.choices)


def test_the_tables_of_operators_aggregates_and_verdicts_are_the_codes_own() -> None:
    (operators,) = tables(RULES, "type")
    written = {row[0]: tuple(re.findall("`([^`]+)`", row[1])) for row in operators}
    assert written.pop("every type") == PRESENCE
    assert written == dict(OPERATORS)
    (aggregates,) = tables(RULES, "aggregate")
    assert tuple(re.findall(r"`(\w+)\(…\)`", " ".join(row[0] for row in aggregates))) == FUNCTIONS
    at_deadline, of_rules = tables(RULES, "verdict")
    assert tuple(row[0].strip("`") for row in at_deadline) == TIMEOUT_VERDICTS
    assert tuple(row[0].strip("`") for row in of_rules) == RULE_VERDICTS


def test_the_limits_are_the_codes_own() -> None:
    (limits,) = tables(RULES, "limit")
    assert {row[0]: row[1] for row in limits} == {
        "characters of a file": f"{FILE_CHARACTERS_MAX:,}",
        "levels of nesting in the YAML": str(DEPTH_MAX),
        "values in a file, aliases written out": f"{NODES_MAX:,}",
        "rules of a file": f"{RULES_MAX:,}",
        "levels of nesting in a condition": str(CONDITION_DEPTH_MAX),
        "characters of a comparison": f"{COMPARISON_CHARACTERS_MAX:,}",
        "characters of a name": str(NAME_CHARACTERS_MAX),
        "characters to say in one language": f"{SAY_CHARACTERS_MAX:,}",
        "turns looked back at": str(TURNS_READ_MAX),
        "longest time": f"{DURATION_MS_MAX // 86_400_000} days",
    }


SECTIONS = {
    heading.partition(":")[0]: (heading, body)
    for heading, body in re.findall(r"^### (\w\d{3}: .*)\n((?:.*\n)*?)(?=^##|\Z)", PAGE, re.MULTILINE)
}


GOOD = {"rules.yaml": "handrail: 1\nrules: [{id: a, why: x, when: confidence < 0.5, then: continue}]"}


def problems_of_tests(text: str) -> tuple[Problem, ...]:
    """Return what is wrong with a test file beside the only rule, and the only topic, that the page speaks of."""
    rule = "{id: unsure-twice, why: unsure, when: confidence < 0.5, then: continue}"
    files = files_or_raise({"rules.yaml": f"handrail: 1\ntopics: {{refunds: {{phrases: [x]}}}}\nrules: [{rule}]"})
    return read_case_files({"example.tests.yaml": text}, files)[1]


def test_every_problem_has_its_section_in_order() -> None:
    assert list(SECTIONS) == list(PROBLEMS)
    warnings = PAGE.index("\n## Warnings")
    for code, spec in PROBLEMS.items():
        heading, body = SECTIONS[code]
        assert heading == f"{code}: {spec.title}"
        assert f"\nNext step: {spec.next_step}.\n" in f"\n{body}"
        assert (PAGE.index(f"### {heading}") > warnings) is (spec.severity == "warning")


@pytest.mark.parametrize("code", PROBLEMS)
def test_the_example_of_a_problem_says_exactly_what_its_page_shows(code: str) -> None:
    _, body = SECTIONS[code]
    (said,) = blocks(body, "text")
    # A second file is the one that says who works.
    example, operators = [*blocks(body, "yaml"), "", ""][:2]
    texts = {"example.yaml": example} if example else {}
    files, problems = compile_files(texts, {"operators.yaml": operators} if operators else None)
    if example.startswith("handrail_tests:"):
        problems = problems_of_tests(texts["example.yaml"])
        files = None if any(problem.severity == "error" for problem in problems) else files_or_raise(GOOD)
    assert "".join(f"{render(problem)}\n" for problem in problems) == said
    assert {problem.code for problem in problems} == {code}
    assert (files is None) is (PROBLEMS[code].severity == "error")
