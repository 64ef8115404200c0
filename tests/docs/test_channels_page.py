"""docs/channels.md says what is true: its rules load, its tables and numbers are the code's own."""

from __future__ import annotations

import re
from pathlib import Path

from rules.compile.notify import NOTICES_MAX, REPEAT_MS_MIN
from rules.compile.rule_files import compile_files
from rules.files.errors import render
from rules.files.keys import NOTICE_KEYS, QUIET_KEYS, KeyTable
from rules.telling.notices import OCCASIONS
from rules.telling.tell_text import SHOWN_MAX
from rules.telling.telling import HELD_LOOK_MS, ONCE_KEPT_MS
from service.flows.channels import GATHER_MS_DEFAULT
from service.flows.links import LINK_MS
from service.flows.tellings import LEASE_MS
from service.flows.tries import REST_MS_MAX, REST_MS_MIN
from service.metrics import CHANNEL_COUNTS

PAGE = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()


def rows(heading: str) -> list[list[str]]:
    (table,) = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)[:1]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()]


def test_the_rules_of_the_page_load_without_a_warning() -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    files, problems = compile_files({"page.yaml": text})
    assert [render(problem) for problem in problems] == []
    assert files is not None
    assert [notice.channel for notice in files.queues["fraud"].notify] == ["on-call", "managers"]


def test_the_tables_are_the_codes_own() -> None:
    tables = re.findall(r"^\| key \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    specs: list[KeyTable] = [NOTICE_KEYS, QUIET_KEYS]
    for table, keys in zip(tables, specs, strict=True):
        found = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()]
        assert [(row[0], row[2]) for row in found] == [(f"`{spec.name}`", spec.about) for spec in keys.values()]
        for row, spec in zip(found, keys.values(), strict=True):
            assert ("(must be there)" in row[1]) == spec.required
            assert all(f"`{choice}`" in row[1] for choice in spec.choices)
    assert rows("`on`") == [[f"`{name}`", each.about] for name, each in OCCASIONS.items()]


def test_the_numbers_of_the_page_are_the_codes_own() -> None:
    numbers = {NOTICES_MAX: 10, SHOWN_MAX: 10, GATHER_MS_DEFAULT: 10_000, LEASE_MS: 40_000, REPEAT_MS_MIN: 30_000}
    assert all(value == told for value, told in numbers.items())
    assert (HELD_LOOK_MS, ONCE_KEPT_MS, LINK_MS) == (60_000, 86_400_000, 7 * 86_400_000)
    assert (REST_MS_MIN, REST_MS_MAX) == (1_000, 60_000)
    for words in (
        "ten lines at most",
        "within 10 seconds",
        "the ten most urgent",
        "holds for seven days",
        "30 s at least",
    ):
        assert words in PAGE
    assert "1 s, 2 s, 4 s … 60 s" in PAGE
    assert "within a minute" in " ".join(PAGE.split())
    assert "40 seconds later at most" in PAGE


def test_every_count_of_a_channel_is_on_the_page() -> None:
    for name in CHANNEL_COUNTS:
        assert f"`handrail_channel_{name}_total`" in PAGE
