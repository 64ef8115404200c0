"""Values to YAML as a person would write it in a test file: block style, short things on one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from rules.files.grammar import duration_ms, number_of

LINE_CHARS_MAX = 110
# Letters and digits with single signs between them: whatever else a text holds, quotes make it safe.
_PLAIN = re.compile(r"[A-Za-z][\w-]*(?:[ ./][\w-]+)*", re.ASCII)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def item_lines(value: Mapping[str, object], comments: Iterable[str] = ()) -> list[str]:
    """Return a map as an item of a list that stands below a key of the file, with comments above it."""
    return [*(f"  # {comment}".rstrip() for comment in comments), *_item(value, 2)]


def _item(value: Mapping[str, object], indent: int) -> list[str]:
    lines = [line for key, inner in value.items() for line in _entry(key, inner, indent + 2)]
    return [" " * indent + "- " + lines[0].lstrip(), *lines[1:]] if lines else [" " * indent + "- {}"]


def _entry(key: str, value: object, indent: int) -> list[str]:
    """Return a key with its value: on one line where it fits, else below it."""
    start = f"{' ' * indent}{_scalar(key)}:"
    # Turns read as a list, however short they are.
    if key != "turns" or not value:
        line = f"{start} {flow(value)}"
        if len(line) <= LINE_CHARS_MAX or not value or not isinstance(value, Mapping | list | tuple):
            return [line]
    if isinstance(value, Mapping):
        return [start, *(line for name, inner in value.items() for line in _entry(str(name), inner, indent + 2))]
    lines = [start]
    for each in value if isinstance(value, list | tuple) else ():
        one = f"{' ' * (indent + 2)}- {flow(each)}"
        short = len(one) <= LINE_CHARS_MAX or not isinstance(each, Mapping)
        lines += [one] if short else _item(each, indent + 2)
    return lines


def flow(value: object) -> str:
    """Return a value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(str(key))}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(flow, value)) + "]"
    return _scalar(value)


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        written = json.dumps(value)
        # Without a point many readers of YAML take `1e-05` for a text.
        return written if "e" not in written or "." in written else written.replace("e", ".0e")
    text = str(value)
    return text if _is_plain(text) else '"' + "".join(map(_escaped, text)) + '"'


def _is_plain(text: str) -> bool:
    if _TIME.fullmatch(text) or duration_ms(text) is not None:
        return True
    return bool(_PLAIN.fullmatch(text)) and text.lower() not in _WORDS and number_of(text) is None


_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def _escaped(letter: str) -> str:
    """Return a letter as double quotes hold it; what no screen shows stands as its number."""
    if letter in _SHORT:
        return _SHORT[letter]
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
