"""docs/agents.md says what is true: its directory loads and its tests pass, its tables are the code's own."""

from __future__ import annotations

import re
from pathlib import Path

from rules.agents.descriptions import ACTS, AUTONOMIES
from rules.agents.rules import rules_of
from rules.cases.runner import coverage, render_failure, run_cases
from rules.compile.rule_files import compile_files
from rules.evaluation.evaluate import build
from rules.files.errors import render
from rules.files.keys import (
    AGENT_KEYS,
    AUTONOMY_KEYS,
    HAND_OVER_KEYS,
    HANDS_OVER_KEYS,
    MAY_KEYS,
    MUST_NOT_KEYS,
    TARGET_KEYS,
    UNDESCRIBED_KEYS,
    KeyTable,
)
from tests.docs.test_rules_page import tables

PAGE = (Path(__file__).parents[2] / "docs" / "agents.md").read_text("utf-8")
FILES = {name: text for name, text in re.findall(r"^```yaml\n# (\S+)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)}
RULES = {name: text for name, text in FILES.items() if not name.endswith(".tests.yaml")}
TESTS = {name: text for name, text in FILES.items() if name.endswith(".tests.yaml")}


def test_the_directory_of_the_page_loads_and_its_tests_pass_and_reach_everything() -> None:
    files, problems = compile_files(RULES)
    assert [render(problem) for problem in problems] == []
    assert files is not None
    ruleset = build(files)
    results = run_cases(ruleset, TESTS)
    assert [render_failure(result, failure) for result in results for failure in result.failures] == []
    assert len(results) >= 25
    assert [(each.rule_id, each.unseen) for each in coverage(ruleset, results) if not each.cases or each.unseen] == []


def test_the_tables_of_keys_are_the_codes_own() -> None:
    in_order: list[KeyTable] = [
        AGENT_KEYS,
        MAY_KEYS,
        MUST_NOT_KEYS,
        HANDS_OVER_KEYS,
        HAND_OVER_KEYS,
        TARGET_KEYS,
        AUTONOMY_KEYS,
        UNDESCRIBED_KEYS,
    ]
    on_page = tables(PAGE, "key")
    assert [[(row[0], row[2]) for row in table] for table in on_page] == [
        [(f"`{spec.name}`", spec.about) for spec in table.values()] for table in in_order
    ]
    for table, specs in zip(on_page, in_order, strict=True):
        assert ["(must be there)" in row[1] for row in table] == [spec.required for spec in specs.values()]
        for row, spec in zip(table, specs.values(), strict=True):
            assert all(f"`{choice}`" in row[1] for choice in spec.choices)


def test_the_tables_of_acts_and_stages_are_the_codes_own() -> None:
    (acts,) = tables(PAGE, "rule")
    assert [[*row[1:]] for row in acts] == [[act.why, act.pilot, act.limited, act.full] for act in ACTS.values()]
    shown = {name: f"`AGENT/{name}`" for name in ACTS}
    shown |= {"hands-over": "`AGENT/hands-over/…`", "write": "`AGENT/STAGE/write`", "reply": "`AGENT/STAGE/reply`"}
    assert [row[0] for row in acts] == list(shown.values())
    (stages,) = tables(PAGE, "stage")
    assert stages == [[f"`{stage}`", people] for stage, people in AUTONOMIES.items()]


def test_the_ids_of_the_page_are_those_that_the_compiler_gives() -> None:
    files, _ = compile_files(RULES)
    assert files is not None
    made = {rule.id.partition("/")[2] for agent in files.agents.values() for rule in rules_of(agent, files.topics)}
    ends = {"hands-over/1", "hands-over/unsure", "pilot/reply", "pilot/write", "limited/reply", "limited/write"}
    assert made == {name for name, act in ACTS.items() if not act.differs and name != "hands-over"} | ends
