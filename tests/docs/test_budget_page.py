"""docs/budget.md says what is true: its rule files load, its test file passes, its tables are the code's own."""

from __future__ import annotations

import re
from pathlib import Path

from rules.cases.runner import run_cases
from rules.compile.rule_files import compile_files, files_or_raise
from rules.evaluation.evaluate import build
from rules.files.errors import render
from rules.files.keys import BUDGET_KEYS, BUSY_KEYS, CALLS_KEYS, KeyTable
from rules.model import Calls

PAGE = (Path(__file__).parents[2] / "docs" / "budget.md").read_text("utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = [block for block in BLOCKS if block.startswith("handrail: 1")]


def table(head: str) -> list[tuple[str, bool, str]]:
    """Return the rows of the table with such a first column: the key, whether it must be there, what it is for."""
    (rows,) = re.findall(rf"^\| {head} \|.*\n\|(?:---\|)+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    cells = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines())
    return [(key.strip("`"), "(must be there)" in value, about) for key, value, about in cells]


def test_every_rule_file_of_the_page_loads_without_a_warning() -> None:
    assert len(FILES) == 2
    for text in FILES:
        _, problems = compile_files({"page.yaml": text})
        assert [render(problem) for problem in problems] == []


def test_the_calls_of_the_page_are_what_it_says() -> None:
    files = files_or_raise({"page.yaml": FILES[1]})
    assert files.queues["tier1"].calls == Calls(4 * 3_600_000, "callbacks")
    assert [rule.then.calls for rule in files.rules if rule.id == "cannot-pay"] == [Calls(3_600_000, "callbacks")]


def test_the_tables_of_keys_are_the_codes_own() -> None:
    tables: dict[str, KeyTable] = {
        "key of `budget`": BUDGET_KEYS,
        "key of a step of `when_busy`": BUSY_KEYS,
        "key of `calls`": CALLS_KEYS,
    }
    for head, keys in tables.items():
        assert table(head) == [(spec.name, spec.required, spec.about) for spec in keys.values()], head


def test_the_test_file_of_the_page_passes() -> None:
    (text,) = (block for block in BLOCKS if block.startswith("handrail_tests: 1"))
    (result,) = run_cases(build(files_or_raise({"page.yaml": FILES[0]})), {"page.tests.yaml": text})
    assert result.failures == ()
