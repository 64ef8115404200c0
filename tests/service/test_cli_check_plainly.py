"""A check that is asked for in plain words is run without the command line, and nobody can tell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.cli.checking import checked_plainly
from service.cli.plain_output import plain
from tests.service.cli_run import BROKEN, handrail, rules_in

RUN = "from service.command import run; run()"
# Of the words that follow, what stands for a directory in the tests' own; and whether they are read without typer.
PLAIN = [
    "good",
    "good broken",
    "warned --strict",
    "--strict warned",
    "--json good",
    "broken --format text",
    "--format=github broken",
    "--format sarif warned",
    "--json --format json broken",
    "--format github --format json good",
    "broken/rules.yaml",
    "odd",
]
LEFT = [
    "",
    "--strict",
    "--help",
    "good -h",
    "--format html good",
    "--format",
    "good --format",
    "--format= good",
    "--json --format text good",
    "--jsn good",
    "--strict=yes good",
    "-- good",
    "- good",
    "nowhere",
    "good nowhere",
    "empty",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory, and stand in it, with rules that are good, that have errors, and that are only warned of."""
    rules_in(tmp_path / "good")
    rules_in(tmp_path / "broken", BROKEN)
    rules_in(tmp_path / "warned", "handrail: 1\nthresholds: {low: 0.5}\n")
    rules_in(tmp_path / "odd", 'handrail: 1\nwhy: "a\\tb"\nx\x07: 1\n\u202erules: é\n')
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", PLAIN)
def test_plain_words_are_answered_as_the_command_line_answers_them(
    folder: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = checked_plainly(words.split())
    said = capsys.readouterr()
    told = handrail("check", *words.split())
    assert (code, said.out, said.err) == (told.exit_code, told.stdout, told.stderr)
    assert said.out


@pytest.mark.parametrize("words", LEFT)
def test_what_is_refused_or_asks_for_help_is_left_to_the_command_line(
    folder: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked_plainly(words.split()) is None
    assert capsys.readouterr() == ("", "")


def test_an_empty_word_is_left_to_the_command_line() -> None:
    assert checked_plainly([""]) is None


def ran(words: Sequence[str], code: str = RUN) -> subprocess.CompletedProcess[str]:
    # The commands of a terminal of any width say the same where they are read by a program.
    env = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-c", code, "check", *words], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "words", ["good broken", "warned --strict", "broken/rules.yaml", "nowhere", "--format html good"]
)
def test_the_whole_command_says_the_same_with_and_without_the_command_line(folder: Path, words: str) -> None:
    with_typer = ran(words.split(), "from service.command_line import app; app()")
    done = ran(words.split())
    assert (done.returncode, done.stdout) == (with_typer.returncode, with_typer.stdout)
    # Typer calls the command as it was called.
    assert done.stderr.replace("-c", "") == with_typer.stderr.replace("-c", "")


def test_neither_typer_nor_what_it_loads_is_loaded_for_plain_words(folder: Path) -> None:
    shown = f"import sys\ntry:\n  exec({RUN!r})\nfinally:\n  print(*sys.modules, file=sys.stderr)"
    loaded = ran(["good"], shown).stderr.split()
    assert "service.cli.checking" in loaded
    assert {"typer", "pydantic", "service.command_line", "service.cli.output", "json", "shutil"} & set(loaded) == set()


def test_a_key_that_stops_it_ends_it_as_any_command(folder: Path) -> None:
    stopped = (
        "import service.cli.checking as c\ndef stop(*a, **k): raise KeyboardInterrupt\nc.check_paths = stop\n" + RUN
    )
    assert (ran(["good"], stopped).returncode, ran(["good"], stopped).stderr) == (130, "")


def test_what_would_steer_a_terminal_is_replaced_line_by_line() -> None:
    assert plain("é\tb\nc\x1b[1m\u202ed\r\n\n") == "é b\nc�[1m�d�\n\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no `/dev/full`, which is a disk without room")
@pytest.mark.parametrize(
    "words", ["check {0}", "check --format json {0} --strict", "explain --help", "schema rules", "--version"]
)
def test_a_command_whose_output_finds_no_room_says_so_and_finds_nothing(tmp_path: Path, words: str) -> None:
    rules = rules_in(tmp_path / "rules")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", RUN, *words.format(rules).split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (
        2,
        "error: could not write: no space left on device\n"
        "       make room where the output goes, and run the command again\n",
    )
