"""What every command says in plain text: lines of a result, notes beside it, and how the exit codes are meant.

Nothing of typer is loaded here: `handrail check` speaks without it.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

# What a script can rely on: nothing wrong, something found, or the command could not be run as given.
EXIT_FINE, EXIT_FINDINGS, EXIT_USAGE = 0, 1, 2


def terminal_columns() -> int | None:
    """Return how wide the terminal is to which results go; None for a pipe or a file."""
    if not sys.stdout.isatty():
        return None
    # What knows it loads three ways of packing files, too, for which no pipe need wait.
    columns: int = import_module("shutil").get_terminal_size().columns
    return columns


def plain(text: str) -> str:
    """Return the text with what would steer the terminal replaced: texts of callers and of rule files are printed."""
    lines = text.replace("\t", " ").split("\n")
    # Nearly every line is plain, and one look at all of it costs less than one at each character.
    return "\n".join(line if line.isprintable() else "".join(map(_plain_character, line)) for line in lines)


def _plain_character(character: str) -> str:
    return character if character.isprintable() else "�"


def say_all(text: str) -> None:
    """Print a whole result at once. A reader that has enough, as `head`, is no failure: the exit code stays."""
    try:
        # A file's name may hold bytes that are no text.
        sys.stdout.write(text.encode("utf-8", "replace").decode() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        print_nowhere()


def flush() -> None:
    """Print what is still held back: when Python does it, at its very end, nobody can be told of a full disk."""
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except BrokenPipeError:
        print_nowhere()


def print_nowhere() -> None:
    """Drop what is still held back and whatever else is printed, instead of complaining again when Python ends."""
    if sys.stdout is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def note(text: str) -> None:
    """Print a line that is not part of the result, to stderr."""
    sys.stderr.write(plain(text) + "\n")
    sys.stderr.flush()
