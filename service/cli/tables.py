"""Tables, bars and colours for a terminal, drawn by rich. Loaded by `output` when something is drawn, never before."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

# A pipe has no width, and a line that is wrapped there cannot be grepped.
PIPE_COLUMNS = 240
# What rich puts around a cell of these tables: a space on both sides and one for the line that is not drawn.
CELL_GAP = 3


def console() -> Console:
    """Return the console for results: as wide as the terminal, or unwrapped in a pipe."""
    here = Console(highlight=False, markup=False)
    return here if here.is_terminal else Console(highlight=False, markup=False, width=PIPE_COLUMNS, no_color=True)


def say_styled(text: str, style: str) -> None:
    """Print a line in a style."""
    console().print(Text(text, style=style), soft_wrap=True)


def say_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str]) -> None:
    """Print a table; the columns named in `numbers` are set to the right."""
    where = console()
    cells = [list(row) for row in rows]
    widths = [_width_min(place, column, cells) for place, column in enumerate(columns)]
    # In less, words would be cut off, and a rule of which half the name stands there cannot be found.
    if not where.is_terminal or sum(widths) + CELL_GAP * len(columns) > where.width:
        _say_columns(title, columns, cells, numbers)
        return
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        header_style="bold",
    )
    for place, column in enumerate(columns):
        table.add_column(
            column,
            justify="right" if column in numbers else "left",
            min_width=widths[place],
            no_wrap=not _has_words(place, cells),
        )
    for row in cells:
        table.add_row(*map(Text, row))
    where.print(table)


def _has_words(place: int, rows: Sequence[Sequence[str]]) -> bool:
    return any(" " in row[place] for row in rows)


def _width_min(place: int, column: str, rows: Sequence[Sequence[str]]) -> int:
    """Return the characters that a column needs for nothing in it to be cut off: its longest word, if it has words."""
    texts = [column, *(row[place] for row in rows)]
    parts = [word for text in texts for word in text.split()] if _has_words(place, rows) else texts
    return max(map(cell_len, parts), default=0)


def _say_columns(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str]) -> None:
    """Print a table for a pipe or a narrow window: aligned columns, two spaces apart, nothing behind the last."""
    lines = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for text in [title] if title else []:
        typer.echo(text)
    for line in lines:
        cells = (
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        )
        typer.echo("  ".join(cells).rstrip())


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Progress]:
    """Show a bar on stderr while work is done, on a terminal only; the first task is the given one."""
    err = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not (err.is_terminal and sys.stderr.isatty())) as bar:
        bar.add_task(title, total=total)
        yield bar
