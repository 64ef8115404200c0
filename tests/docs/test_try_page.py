"""docs/try.md shows what `handrail try` does, line for line, and every command there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.cli.try_commands import COMMANDS
from tests.service.cli_run import handrail

PAGE = (Path(__file__).parents[2] / "docs" / "try.md").read_text()


def test_the_conversation_of_the_page_is_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rules,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-rules").mkdir()
    (tmp_path / "my-rules" / "rules.yaml").write_text(rules)
    command, greeting, *rest = shown.splitlines(keepends=True)
    typed = "".join(line.removeprefix("> ") for line in rest if line.startswith("> "))
    result = handrail(*command.split()[2:], stdin=typed)
    assert result.exit_code == 0, result.output
    assert result.output == "".join(rest)
    assert greeting == "my-rules: 2 rules. Type what a customer writes; /help shows the rest.\n"
    assert handrail("test", "my-rules").exit_code == 0


def test_every_command_is_on_the_page_and_no_other() -> None:
    rows = re.findall(r"^\| `(/.*?)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(command.usage, command.about) for command in COMMANDS.values()]
