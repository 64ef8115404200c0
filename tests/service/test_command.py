"""The table of subcommands: what it says is what the commands say, and listing them imports none of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from service.command import COMMANDS, Row
from service.command_line import load

ROWS = [row for rows in COMMANDS.values() for row in rows]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_list_says_of_a_command_what_its_own_help_begins_with(row: Row) -> None:
    said = " ".join(str(load(row).help).split("\n\n")[0].split())
    assert said == row.about


def test_the_list_of_commands_is_told_without_loading_any_of_them() -> None:
    code = "import sys, service.command_line\ntry: service.command_line.app(['--help'])\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "service.command" in loaded
    assert {"fastapi", "redis", "httpx", "service.main", "service.cli.check", "rules.compile.rule_files"} & set(
        loaded
    ) == set()


def test_a_mistyped_command_is_told_the_nearest_one() -> None:
    done = subprocess.run([sys.executable, "-m", "service", "chekc"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such command 'chekc'. Did you mean 'check'?" in done.stderr


def test_a_worker_is_not_started_with_words_that_nobody_reads() -> None:
    words = [sys.executable, "-m", "service", "work", "--lanes", "4"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such option: --lanes" in done.stderr
