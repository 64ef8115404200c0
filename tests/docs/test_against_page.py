"""docs/against.md shows what the command really prints, and names what there really is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rules.replay.delta import EXAMPLES_MAX
from rules.replay.operator_minutes import HANDLINGS_MIN
from rules.replay.turn_log import PART_TURNS_MAX
from service.cli.delta_output import PER_CONVERSATIONS
from tests.service.cli_run import handrail

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "against.md").read_text()


def test_the_output_on_the_page_is_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = re.search(r"```\n\$ handrail (.+?)\n(.+?)```", PAGE, re.DOTALL)
    assert shown
    monkeypatch.chdir(ROOT / "docs" / "examples" / "against")
    result = handrail(*shown.group(1).split())
    assert result.exit_code == 0
    assert result.stdout == shown.group(2)


def test_the_key_on_the_page_is_one_of_the_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "docs" / "examples" / "against")
    told = json.loads(handrail("replay", "tried", "conversations.yaml", "--against", "now", "--json").stdout)
    assert "jq .new.stretches" in PAGE
    assert told["new"]["stretches"]["n"] == 3


def test_the_numbers_on_the_page_are_those_of_the_code() -> None:
    words = {5: "five"}
    assert f"up to {words[EXAMPLES_MAX]} of each" in PAGE
    assert f"With fewer than {HANDLINGS_MIN} times" in PAGE
    assert f"one part of {PART_TURNS_MAX:,} turns" in PAGE
    assert f"else for {PER_CONVERSATIONS:,} conversations" in PAGE
