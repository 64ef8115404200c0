"""A page of headings, paragraphs, lists and tables, as Markdown or HTML. What it says is decided elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of lines."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under their columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block: TypeAlias = Paragraph | Bullets | Table


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A title, what stands right below it, and the sections."""

    title: str
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...]


def markdown(page: Page) -> str:
    """Return the page as Markdown; what a rule file says is shown as it is, never as markup."""
    parts = [f"# {_plain(page.title)}", *map(_markdown, page.blocks)]
    for section in page.sections:
        parts += [f"## {_plain(section.title)}", *map(_markdown, section.blocks)]
    return "\n\n".join(parts) + "\n"


def html(page: Page) -> str:
    """Return the page as one HTML file that prints well and asks for nothing from outside."""
    parts = [f"<h1>{escape(page.title)}</h1>", *map(_html, page.blocks)]
    for section in page.sections:
        parts += [f"<section><h2>{escape(section.title)}</h2>", *map(_html, section.blocks), "</section>"]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{_STYLE}</style>"
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


# In the reader's own colours, down to the width of a telephone; on paper black on white, in its whole width.
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1,h2{line-height:1.25}p,li{overflow-wrap:anywhere}section{overflow-x:auto}"
    "table{border-collapse:collapse;width:100%}td,th{border:1px solid #888;padding:.3rem .5rem;text-align:left;"
    "vertical-align:top}@media print{:root{color-scheme:light}section{break-inside:avoid;overflow:visible}"
    "body{margin:0;max-width:none}}"
)
# What Markdown would read as markup: marks anywhere, an underscore at the edge of a word, and what opens a block.
_MARKUP = re.compile(r"[\\`*\[\]<|~]|(?<![^\W_])_|_(?![^\W_])|^[#>+=-]|(?<=^\d)[.)]")


def _plain(text: str) -> str:
    """Return the text in one line, with a backslash before whatever Markdown would take for markup."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", " ".join(text.split()))


def _markdown(block: Block) -> str:
    match block:
        case Paragraph(text):
            return _plain(text)
        case Bullets(items):
            return "\n".join(f"- {_plain(item)}" for item in items)
        case Table(columns, rows):
            lines = [_row(columns), "|" + "---|" * len(columns), *map(_row, rows)]
            return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_plain, cells)) + " |"


def _html(block: Block) -> str:
    match block:
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"
        case Table(columns, rows):
            head = "".join(f"<th>{escape(column)}</th>" for column in columns)
            body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
