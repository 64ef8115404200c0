"""One bank's whole hand-over policy is sayable: its rules hold, and docs/rho-bank.md says where each statement is."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path

import pytest

from rules.cases.runner import CaseResult, coverage, render_failure, run_cases
from rules.compile.rule_files import compile_files, files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.files.errors import render

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "rho-bank"
RULES = {path.name: path.read_text("utf-8") for path in [EXAMPLE / "rho-bank.yaml"]}
CASES = {path.name: path.read_text("utf-8") for path in [EXAMPLE / "rho-bank.tests.yaml"]}
PAGE = (ROOT / "docs" / "rho-bank.md").read_text("utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
POLICY = Path(os.environ.get("HANDRAIL_SHARED_DATA", ROOT.parent / "shared" / "data")) / "tau2_banking_policy.jsonl.gz"


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return build(files_or_raise(RULES))


@pytest.fixture(scope="module")
def results(ruleset: Ruleset) -> tuple[CaseResult, ...]:
    return run_cases(ruleset, CASES)


def test_the_policy_loads_without_a_warning() -> None:
    _, problems = compile_files(RULES)
    assert [render(problem) for problem in problems] == []


def test_every_case_passes_and_every_rule_and_comparison_is_reached(
    ruleset: Ruleset, results: tuple[CaseResult, ...]
) -> None:
    assert [render_failure(result, failure) for result in results for failure in result.failures] == []
    reached = coverage(ruleset, results)
    assert {each.rule_id: each.unseen for each in reached if each.unseen or not each.cases} == {}
    assert f"{len(reached)} rules, {len(results)} cases" in PAGE


def test_no_rule_of_a_lower_tier_goes_before_one_of_a_higher(ruleset: Ruleset) -> None:
    rows = [re.search(r"tier (\d), `(\w+)`", row[1]) for row in ROWS]
    tiers = {row[2]: int(row[1]) for row in rows if row}
    assert len(tiers) == 19
    coded = [rule.then for rule in ruleset.files.rules if rule.then.verdict == "escalate" and rule.then.reason_code]
    in_order = [tiers[str(then.reason_code)] for then in coded]
    assert in_order == sorted(in_order)
    assert set(in_order) == {1, 2, 3, 4}


def test_every_statement_of_the_page_names_rules_and_a_case_that_exist(
    ruleset: Ruleset, results: tuple[CaseResult, ...]
) -> None:
    ids, names = {rule.id for rule in ruleset.files.rules}, {result.name for result in results}
    told = {name for row in ROWS for name in re.findall(r"`([a-z-]+)`", row[2])} - {"due-"}
    assert told == ids
    assert [row[3] for row in ROWS if row[3] not in names | {"–"}] == []


def test_every_document_and_every_reason_code_of_the_bank_is_on_the_page() -> None:
    if not POLICY.exists():
        pytest.skip(f"{POLICY.name} is not on this machine")
    with gzip.open(POLICY, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    documents = {row["id"]: row["text"] for row in rows if row["kind"] == "kb_document"}
    assert len(documents) == 25
    named = tuple(name for row in ROWS for name in re.findall(r"`(\w+)`", row[0]))
    assert [name for name in documents if not name.replace("(general)_", "").endswith(named)] == []
    (codes,) = [text for name, text in documents.items() if name.endswith("042")]
    stated = set(re.findall(r"^\| ([a-z_]+) \|", codes, re.MULTILINE))
    assert len(stated) == 19
    assert {code for code in stated if f"`{code}`" not in PAGE} == set()
