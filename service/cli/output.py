"""How every command speaks: tables on a terminal, plain columns in a pipe, one JSON object when asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, NoReturn, cast

import typer

from service.cli.plain_output import (
    EXIT_FINDINGS,
    EXIT_FINE,
    EXIT_USAGE,
    note,
    plain,
    say_all,
    terminal_columns,
)

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = [
    "EXIT_FINDINGS",
    "EXIT_FINE",
    "EXIT_USAGE",
    "JsonFlag",
    "first_of",
    "note",
    "plain",
    "progress",
    "refuse",
    "say",
    "say_all",
    "say_json",
    "say_table",
    "terminal_columns",
]

# What draws tables takes 30 ms to load, a tenth of what a command that prints a few lines takes in all.
TABLES = "service.cli.tables"

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def say_json(value: object) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def say(text: str = "", *, style: str | None = None) -> None:
    """Print a line of the result."""
    if style is None:
        typer.echo(plain(text))
    else:
        import_module(TABLES).say_styled(plain(text), style)


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
