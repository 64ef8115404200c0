"""A problem as JSON has every field a console needs, in a size and in characters that JSON can carry."""

from __future__ import annotations

import orjson

from rules.compile.rule_files import compile_files
from rules.files.problem_json import SOURCE_LINE_CHARS_MAX, problem_json


def problems_of(text: str, name: str = "a.yaml") -> list[dict[str, object]]:
    _, problems = compile_files({name: text})
    return [problem_json(problem) for problem in problems]


def test_a_problem_has_its_place_its_fact_its_line_and_what_to_do() -> None:
    (_, found) = problems_of("handrail: 1\nrulez: []\n")
    assert found == {
        "code": "R105",
        "severity": "error",
        "file": "a.yaml",
        "line": 2,
        "column": 1,
        "end_column": 6,
        "message": "unknown key `rulez` in a rule file",
        "hint": "did you mean `rules`?",
        "source_line": "rulez: []",
    }


def test_bytes_that_are_no_text_can_be_sent_all_the_same() -> None:
    found = problems_of(b"handrail: 1\nwhy: caf\xe9\n".decode("utf-8", "surrogateescape"))
    assert any("caf\ufffd" in str(each["source_line"]) for each in found)
    orjson.dumps(found)


def test_a_line_of_a_megabyte_is_cut() -> None:
    found = problems_of("handrail: 1\nrulez: [" + "x, " * 300_000 + "]\n")
    assert max(len(str(each["source_line"])) for each in found) == SOURCE_LINE_CHARS_MAX
