"""docs/operators.md says what is true: its file loads, its table is the code's own, and so are its numbers."""

from __future__ import annotations

import re
from pathlib import Path

from rules.compile.operators import compile_operators
from rules.files.errors import render
from rules.files.keys import OPERATOR_KEYS
from rules.model import PRIORITIES, Priority
from rules.routing.routing import PRIORITY_ALLOWANCE_MS, score_ms
from service.flows.operators import PRESENT_MS
from service.store.operators import KEEPER_KEPT_MS

PAGE = (Path(__file__).parents[2] / "docs" / "operators.md").read_text()


def test_the_file_of_the_page_loads() -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found, problems = compile_operators({"operators.yaml": text})
    assert [render(problem) for problem in problems] == []
    assert [operator.name for operator in found] == ["mia", "ben"]


def test_the_table_of_keys_is_the_codes_own() -> None:
    rows = re.findall(r"^\| (`\w+`) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
    assert [(name, about) for name, _, about in rows] == [
        (f"`{spec.name}`", spec.about) for spec in OPERATOR_KEYS.values()
    ]
    assert ["(must be there)" in value for _, value, _ in rows] == [spec.required for spec in OPERATOR_KEYS.values()]


def test_the_numbers_of_the_page_are_the_codes_own() -> None:
    told = re.findall(r"`(urgent|high|normal|low)` (\d+)", PAGE)
    assert {name: int(minutes) * 60_000 for name, minutes in told} == PRIORITY_ALLOWANCE_MS
    same: tuple[tuple[int, tuple[Priority, ...]], ...] = ((5, ("low", "normal", "high")), (15, ("low", "normal")))
    for minutes, alike in same:
        assert f"{minutes} minutes or less `low`" in PAGE
        within_ms = minutes * 60_000
        assert {score_ms(0, priority, within_ms) for priority in alike} == {within_ms}
        assert all(score_ms(0, priority, within_ms) < within_ms for priority in PRIORITIES if priority not in alike)
    assert f"for {PRESENT_MS // 1000} seconds after each sign" in PAGE
    assert f"remembered for {KEEPER_KEPT_MS // 86_400_000} days" in PAGE
