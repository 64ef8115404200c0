"""How every command speaks: tables on a terminal, plain columns in a pipe, one JSON object when asked."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, NoReturn, cast

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

# What a script can rely on: nothing wrong, something found, or the command could not be run as given.
EXIT_FINE, EXIT_FINDINGS, EXIT_USAGE = 0, 1, 2
# What draws tables takes 30 ms to load, a tenth of what a command that prints a few lines takes in all.
TABLES = "service.cli.tables"

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def terminal_columns() -> int | None:
    """Return how wide the terminal is to which results go; None for a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def plain(text: str) -> str:
    """Return the text with what would steer the terminal replaced: texts of callers and of rule files are printed."""
    return "".join(each if each.isprintable() or each == "\n" else "�" for each in text.replace("\t", " "))


def say_json(value: object) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def say(text: str = "", *, style: str | None = None) -> None:
    """Print a line of the result."""
    if style is None:
        typer.echo(plain(text))
    else:
        import_module(TABLES).say_styled(plain(text), style)


def say_all(text: str) -> None:
    """Print a whole result at once. A reader that has enough, as `head`, is no failure: the exit code stays."""
    try:
        # A file's name may hold bytes that are no text.
        sys.stdout.write(text.encode("utf-8", "replace").decode() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still held back for the pipe is written to nowhere when Python ends, instead of complaining again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Print a line that is not part of the result, to stderr."""
    typer.echo(plain(text), err=True)


def refuse(fact: str, hint: str = "") -> NoReturn:
    """End the command with a fact and what to do next, without a traceback."""
    note(f"error: {fact}" + (f"\n       {hint}" if hint else ""))
    raise typer.Exit(EXIT_USAGE)


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception that is no group: the one to tell of."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


def say_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[str] = ()
) -> None:
    """Print a table; the columns named in `numbers` are set to the right."""
    import_module(TABLES).say_table(title, columns, [[_cell(cell) for cell in row] for row in rows], numbers)


def progress(title: str, total: int | None) -> AbstractContextManager[Progress]:
    """Show a bar on stderr while work is done, on a terminal only; the first task is the given one."""
    return cast("AbstractContextManager[Progress]", import_module(TABLES).progress(title, total))


def _cell(value: object) -> str:
    return "" if value is None else plain(str(value))
