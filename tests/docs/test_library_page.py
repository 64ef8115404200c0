"""docs/library.md lists what the library holds, nothing more and nothing less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.wording import span_text
from rules.model import RuleFiles

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "library.md").read_text("utf-8")
OTHERS_PAGE = "airline-retail-agents.yaml"


@pytest.fixture(scope="module")
def files() -> RuleFiles:
    paths = [path for path in (ROOT / "rules" / "library").glob("*.yaml") if not path.name.endswith(".tests.yaml")]
    return files_or_raise({path.name: path.read_text("utf-8") for path in paths if path.name != OTHERS_PAGE})


def test_it_says_how_many_rules_there_are() -> None:
    paths = [path for path in (ROOT / "rules" / "library").glob("*.yaml") if not path.name.endswith(".tests.yaml")]
    library = files_or_raise({path.name: path.read_text("utf-8") for path in paths})
    assert f"\n{len(library.rules)} rules that most teams would write themselves" in PAGE


def rows(heading: str) -> list[list[str]]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_rule_stands_there_with_what_happens(files: RuleFiles) -> None:
    told = {row[0].strip("`"): row[1:] for row in rows("What is in it")}
    held = {}
    for rule in files.rules:
        priority = "" if rule.then.priority == "normal" else f", {rule.then.priority}"
        shadow = "" if rule.mode.percent else " (in shadow)"
        held[rule.id] = [f"{rule.then.verdict} → `{rule.then.queue}`{priority}{shadow}", rule.why]
    assert told == held


def test_every_regulated_topic_stands_there_with_its_source(files: RuleFiles) -> None:
    told = {row[0].strip("`"): row[1] for row in rows("Sources of the regulated topics")}
    assert told == {topic.name: topic.source for topic in files.topics.values() if topic.regulated}


def test_every_queue_stands_there_with_its_promise(files: RuleFiles) -> None:
    told = {row[0].strip("`"): row[1:] for row in rows("Queues")}
    held = {}
    for queue in files.queues.values():
        end = queue.on_timeout
        then = f"{end.verdict} → `{end.queue}`" if end.queue else end.verdict
        needs = ", ".join(need.skill for need in queue.needs)
        held[queue.name] = [span_text(queue.answer_within_ms), then, needs or "–"]
    assert told == held


def test_every_file_that_is_named_is_there() -> None:
    for name in re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE):
        assert (ROOT / "rules" / "library" / name).is_file()
