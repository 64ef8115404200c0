"""What broke the YAML of a file, read off the line where it broke and those above. What keys mean is not known here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

# How far above the line where YAML gives up the line is looked for that it gave up over.
LINES_ABOVE = 3

# What libyaml says, what it mostly comes from, and what to do then.
_HINTS = (
    ("mapping values are not allowed", "put the whole text into quotes, it holds `: `"),
    ("cannot start any token", "put the text into quotes, it begins with a character that YAML keeps for itself"),
    ("found unexpected end of stream", "close the quote that is opened here"),
    ("unexpected end of stream", "close the quote that is opened here"),
    ("expected ',' or ']'", "close the list with `]`, or put the text before this place into quotes"),
    ("expected ',' or '}'", "close the map with `}`, or put the text before this place into quotes"),
    ("could not find expected ':'", "write `key: value`, or put the text into quotes"),
    ("did not find expected key", "indent the line as its neighbours, or close the quote or bracket above it"),
    ("did not find expected '-' indicator", "indent the line as the items above it"),
    ("unknown escape character", "use single quotes, where a backslash is only a backslash"),
    ("did not find expected alphabetic or numeric character", "put the text into quotes"),
)
# Spaces that look like one and are none for YAML, which web pages and word processors put into a line.
_ODD_INDENT = re.compile(r"[ \t]*([\xa0\u2000-\u200a\u202f\u3000])[\s]*[^\s#]")
_NO_SPACE = re.compile(r"[ ]*-([A-Za-z_][\w-]*:)(?:\s|$)")
# A key, its value, a comma and another key, all on one line.
_KEYS_IN_LINE = re.compile(r"[ ]*(?:- +)?[A-Za-z_][\w-]*: +[^\s{\[\"'].*, *[A-Za-z_][\w-]*")


class Mistake(NamedTuple):
    """Where the mistake most likely is, line and column from 1, what it is, and the next step."""

    line: int
    column: int
    fact: str
    hint: str


def mistake_near(line_text: Callable[[int], str], line: int, column: int) -> Mistake | None:
    """Return the mistake at or above the place where YAML gave up, None when none of these is there."""
    for at in range(line, max(0, line - 1 - LINES_ABOVE), -1):
        text = line_text(at)
        odd = _ODD_INDENT.match(text)
        if odd is not None:
            fact = f"the indentation holds the character U+{ord(odd[1]):04X}, which is no space for YAML"
            return Mistake(at, odd.start(1) + 1, fact, "indent with ordinary spaces")
        dash = _NO_SPACE.match(text)
        if dash is not None:
            column = text.index("-") + 1
            return Mistake(at, column, "a `-` with no space behind it begins no item", f"write `- {dash[1]}`")
    if _KEYS_IN_LINE.fullmatch(line_text(line)[: column - 1]):
        hint = "write each key on a line of its own, or put the whole text into quotes"
        return Mistake(line, column, "a second key stands in the line", hint)
    return None


def hint_for(problem: str) -> str | None:
    """Return the next step for what libyaml says, None for what it seldom says."""
    return next((hint for said, hint in _HINTS if said in problem), None)
