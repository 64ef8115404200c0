"""The shipped rule files: they load without a warning, their tests pass and reach every comparison, and they speak."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rules.cases.runner import coverage, render_failure, run_cases
from rules.compile.rule_files import compile_files, files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.files.errors import render
from rules.model import STOPPING, RuleFiles
from rules.say import words

LIBRARY = Path(__file__).parents[2] / "rules" / "library"
TESTS = {path.name: path.read_text("utf-8") for path in sorted(LIBRARY.glob("*.tests.yaml"))}
TEXTS = {path.name: path.read_text("utf-8") for path in sorted(LIBRARY.glob("*.yaml")) if path.name not in TESTS}
# A source can be looked up: a law or rule with its number, or guidance of a body that is named.
SOURCE = re.compile(
    r"\d+ CFR|U\.S\.C\.|Pub\. L\.|FINRA Rule \d|GDPR|Model #\d+|Cal\. |American Heart Association"
    r"|NICE guideline NG\d+"
)


@pytest.fixture(scope="module")
def files() -> RuleFiles:
    return files_or_raise(TEXTS)


@pytest.fixture(scope="module")
def ruleset(files: RuleFiles) -> Ruleset:
    return build(files)


def test_all_files_load_together_without_a_warning() -> None:
    _, problems = compile_files(TEXTS)
    assert [render(problem) for problem in problems] == []


def test_every_file_with_rules_has_its_tests_beside_it() -> None:
    with_rules = {name for name, text in TEXTS.items() if "\nrules:" in text}
    assert {name.replace(".yaml", ".tests.yaml") for name in with_rules} == set(TESTS)


def test_every_case_passes_and_every_rule_and_comparison_is_reached(ruleset: Ruleset) -> None:
    results = run_cases(ruleset, TESTS)
    assert [render_failure(result, failure) for result in results for failure in result.failures] == []
    assert len(results) >= 160
    reached = coverage(ruleset, results)
    assert [each.rule_id for each in reached if each.cases == 0] == []
    assert {each.rule_id: each.unseen for each in reached if each.unseen} == {}


def test_every_regulated_topic_names_a_source_with_its_number(files: RuleFiles) -> None:
    regulated = [topic for topic in files.topics.values() if topic.regulated]
    assert len(regulated) >= 25
    assert [topic.name for topic in regulated if not SOURCE.search(topic.source or "")] == []


@pytest.mark.parametrize("locale", ["en-US", "es-MX"])
def test_every_rule_that_stops_the_agent_has_words(files: RuleFiles, locale: str) -> None:
    for rule in files.rules:
        if rule.then.verdict in STOPPING:
            queue = files.queues[rule.then.queue or ""]
            spoken = [*rule.then.say, *queue.say]
            assert locale[:2] in spoken, rule.id
            assert words(rule.then.say, queue.say, locale=locale), rule.id


def test_every_deadline_says_what_happens_then_in_both_languages(files: RuleFiles) -> None:
    for queue in files.queues.values():
        assert {"en", "es"} <= set(queue.on_timeout.say), queue.name


def test_a_regulated_matter_is_never_left_to_the_agent_when_nobody_comes(files: RuleFiles) -> None:
    for rule in files.rules:
        ends = rule.then.on_timeout or files.queues[rule.then.queue or ""].on_timeout
        assert not (rule.regulated and ends.verdict == "continue"), rule.id


def test_a_queue_with_a_flood_guard_gets_nothing_urgent_or_regulated(
    files: RuleFiles,
) -> None:
    guarded = {queue.name: {limit.by for limit in queue.flood} for queue in files.queues.values() if queue.flood}
    assert set(guarded) == {"tier1", "supervisors", "approvals", "travel_changes", "order_changes"}
    assert all(by == {"customer", "agent", "tenant"} for by in guarded.values())
    for rule in files.rules:
        assert not (rule.then.queue in guarded and (rule.regulated or rule.then.priority == "urgent")), rule.id
