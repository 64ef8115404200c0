"""What is written as YAML is read back as it was, by the reader of test files and by any other."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.cases.case_files import read_case_files
from rules.cases.values import TurnStep
from rules.compile.rule_files import files_or_raise
from rules.files.yaml_text import LINE_CHARS_MAX, flow, item_lines

FILES = files_or_raise({"rules.yaml": "handrail: 1\nrules: []"})
# Halves of characters are no text that a file could hold; callers' texts are cleaned of them before.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        "no",
        "null",
        "~",
        "1e3",
        "0x1f",
        "12:30",
        "2026-03-02",
        "- a",
        "a: b",
        "a #b",
        "'",
        '"',
        "&a",
        "*a",
        "!x",
        "%",
        "|",
        "\n",
    ]
)
numbers = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: abs(x) < 1e15
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def text_of(args: dict[str, Any], message: str) -> str:
    case = {"name": "n", "message": message, "tool_calls": [{"name": "t", "args": args}], "expect": "continue"}
    return "\n".join(["handrail_tests: 1", "cases:", *item_lines(case, ["a comment"])]) + "\n"


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(texts, values, max_size=4), texts)
def test_any_value_is_read_back(args: dict[str, Any], message: str) -> None:
    written = text_of(args, message)
    read = yaml.safe_load(written)["cases"][0]
    assert (read["tool_calls"][0]["args"], read["message"]) == (args, message)
    cases, problems = read_case_files({"a.tests.yaml": written}, FILES)
    assert [problem.code for problem in problems] == []
    step = cases[0].steps[0]
    assert isinstance(step, TurnStep)
    assert (step.turn.tool_calls[0].args, step.turn.message) == (args, message)


def test_what_is_short_stands_on_one_line_and_what_is_long_below_its_key() -> None:
    long = {f"key-{number}": "word " * 3 for number in range(8)}
    lines = item_lines({"name": "one", "turns": [{"message": "hi", "after": "5m"}], "long": long})
    assert lines[:4] == ["  - name: one", "    turns:", "      - {message: hi, after: 5m}", "    long:"]
    assert max(map(len, lines)) <= LINE_CHARS_MAX


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("let me talk to a human", "let me talk to a human"),
        ("yes", '"yes"'),
        ("3", '"3"'),
        ("a: b", '"a: b"'),
        ("\u202e\u0007", '"\\u202e\\x07"'),
        ("¿Qué?", '"¿Qué?"'),
        ("2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z"),
        ("5m", "5m"),
        (True, "true"),
        (0.5, "0.5"),
        ({"a": [1, "b"], "c": None}, "{a: [1, b], c: null}"),
    ],
)
def test_a_value_reads_as_a_person_would_write_it(value: object, written: str) -> None:
    assert flow(value) == written
