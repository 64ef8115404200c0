"""docs/versions.md says what the code does: its states, its limits, and commands that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from rules.compile.rule_files import files_or_raise
from rules.diff.differences import EFFECTS
from rules.diff.words import OVERALL, TITLES
from service.command import COMMANDS
from service.flows import ruleset_texts, rulesets, shadow
from service.store import rulesets as kept
from service.store import shadows
from service.store.store import KEPT_MS
from tests.service.conftest import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "versions.md").read_text()


def test_the_states_are_those_of_a_version() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| ", PAGE, re.MULTILINE)
    assert rows == list(get_args(rulesets.State))


@pytest.mark.parametrize(
    "limit",
    [
        f"| files of a version | {rulesets.FILES_MAX:,}, with {rulesets.TEXTS_BYTES_MAX:,} bytes together |",
        f"| tests of a version | {ruleset_texts.CASES_MAX:,} |",
        f"| a message | {rulesets.MESSAGE_CHARS_MAX} characters |",
        f"| versions kept | {kept.VERSIONS_MAX:,}; ",
        f"| rollbacks in a row | {kept.TRAIL_MAX} |",
        f"kept of a version in shadow | {shadows.DIFFERENCES_MAX:,}, for {KEPT_MS // 86_400_000} days after the last |",
        f"| turns that wait to be judged in shadow | {shadow.WAITING_MAX} in a process |",
    ],
)
def test_a_limit_is_the_one_that_is_held(limit: str) -> None:
    assert limit in PAGE


def test_every_command_it_shows_is_one() -> None:
    known = {row.name for rows in COMMANDS.values() for row in rows}
    shown = set(re.findall(r"(?:`|\$ )handrail ([a-z]+)", PAGE))
    assert {"push", "diff", "stage", "shadow", "approve", "activate", "rollback"} <= shown <= known


def test_the_words_of_a_difference_are_explained() -> None:
    explained = re.findall(r"^- \*\*(\w+)\*\*: ", PAGE, re.MULTILINE)
    assert explained == list(EFFECTS)
    assert TITLES["stricter"] in PAGE
    assert f"{OVERALL['stricter']}: 1 stricter" in PAGE


def test_the_key_it_shows_is_one_of_a_rule_file() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert files_or_raise({"rules.yaml": RULES + block}).approvals == 2
