"""What the author of a line that is no comparison most likely meant, as the line to write. No name is looked up."""

from __future__ import annotations

import re
from collections.abc import Callable

from rules.files.grammar import Unparsed, duration_ms, parse

# Keys of other languages, and the one that stands for each here.
MEANT_KEYS: dict[str, str] = {
    "and": "all",
    "both": "all",
    "or": "any",
    "either": "any",
    "none": "not",
    "unless": "not",
    "if": "when",
    "condition": "when",
    "conditions": "when",
    "do": "then",
    "action": "then",
    "actions": "then",
    "reason": "why",
    "description": "why",
    "name": "id",
}
# A line longer than this was not written as a sentence.
LINE_CHARACTERS_MAX = 200

_NUMBER = r"([+-]?\d+(?:\.\d+)?|\$[A-Za-z][\w-]*)"
_LEFT = r"([A-Za-z][\w.]*(?:\([^()]*\)(?:\s+over\s+\w+(?:\s+turns?)?)?)?)"
_SPANS = {"second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "hr": "h", "day": "d", "week": "w"}
_PHRASES = {
    "<": r"less\s+than|smaller\s+than|lower\s+than|below|under",
    ">": r"more\s+than|greater\s+than|higher\s+than|larger\s+than|above|over",
    ">=": r"at\s+least",
    "<=": r"at\s+most|up\s+to",
}
# What the name of a signal says already.
_UNITS = frozenset(
    {
        *("dollar", "dollars", "usd", "$", "euro", "euros", "eur", "€", "pound", "pounds", "gbp", "£"),
        *("turn", "turns", "time", "times", "call", "calls", "failure", "failures", "error", "errors"),
        *("character", "characters", "letter", "letters", "ms", "milliseconds", "point", "points"),
    }
)
_ALWAYS = frozenset({"true", "yes", "on", "always", "any", "all", "*"})

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s+([a-z]+?)s?\.?", re.IGNORECASE)
_RANGE = re.compile(rf"{_NUMBER}\s*(<=?)\s*{_LEFT}\s*(<=?)\s*{_NUMBER}")
_BETWEEN = re.compile(rf"{_LEFT}\s+(?:is\s+)?between\s+{_NUMBER}\s+and\s+{_NUMBER}")
_COUNTED = re.compile(
    r"(\w+\([^()]*\))\s*(<=?|>=?|!?=)\s*(\d+)\s+(?:in|within|over)\s+(?:the\s+)?(?:last\s+)?(\d+)\s+turns?"
)
_TOPIC = re.compile(r"(?:has\s+)?topics?(?:\s+is|\s*:)?\s+([\w-]+)")
_UNIT = re.compile(r"(.*\s[+-]?\d+(?:\.\d+)?)\s+([A-Za-z$€£]+)\.?")
_PERCENT = re.compile(r"(.*\s)(\d+(?:\.\d+)?)\s+(?:percent|per\s*cent)")


def line_meant(line: str) -> str | None:
    """Return what to write in place of a line that is no comparison, None where nothing is sure enough to be said."""
    written = line.strip()
    if len(written) > LINE_CHARACTERS_MAX:
        return None
    if written.lower() in _ALWAYS:
        return "write what the rule waits for, as `confidence < 0.5`; one for every turn would hand over all of them"
    for way in _WAYS:
        meant = way(written)
        if meant is not None:
            return f"write `{meant}`"
    return None


def span_meant(written: str) -> str | None:
    """Return `10m` for `10 minutes`, None for what is no time in words."""
    found = _SPAN.fullmatch(written.strip())
    unit = None if found is None else _SPANS.get(found[2].lower())
    span = None if found is None or unit is None else f"{found[1]}{unit}"
    return None if span is None or duration_ms(span) is None else span


def _range(line: str) -> str | None:
    found = _RANGE.fullmatch(line)
    if found is None:
        return None
    low, first, left, second, high = found.groups()
    return _both(f"{left} {first.replace('<', '>')} {low}", f"{left} {second} {high}")


def _between(line: str) -> str | None:
    found = _BETWEEN.fullmatch(line)
    return None if found is None else _both(f"{found[1]} >= {found[2]}", f"{found[1]} <= {found[3]}")


def _in_words(line: str) -> str | None:
    for operator, words in _PHRASES.items():
        found = re.fullmatch(rf"{_LEFT}\s+(?:is\s+)?(?:{words})\s+(\S.*)", line)
        if found is not None:
            return _whole(f"{found[1]} {operator} {found[2]}")
    return None


def _counted(line: str) -> str | None:
    found = _COUNTED.fullmatch(line)
    return None if found is None else _whole(f"{found[1]} over {found[4]} turns {found[2]} {found[3]}")


def _topic(line: str) -> str | None:
    found = _TOPIC.fullmatch(line)
    return None if found is None else _whole(f"topics has {found[1]}")


def _percent(line: str) -> str | None:
    found = _PERCENT.fullmatch(line)
    return None if found is None else _whole(f"{found[1]}{float(found[2]) / 100:g}")


def _unit(line: str) -> str | None:
    """A number with its unit in words: a time has a letter for it, all others are said by the signal."""
    found = _UNIT.fullmatch(line)
    if found is None:
        return None
    before, _, number = found[1].rpartition(" ")
    span = span_meant(f"{number} {found[2]}")
    if span is None and found[2].lower() not in _UNITS:
        return None
    return _whole(f"{before} {span or number}")


def _both(one: str, other: str) -> str | None:
    return f"all: [{one}, {other}]" if _whole(one) and _whole(other) else None


def _whole(line: str) -> str | None:
    """Return the line when it is a comparison: what is advised must not be refused in its turn."""
    try:
        parse(line)
    except Unparsed:
        return None
    return line


_WAYS: tuple[Callable[[str], str | None], ...] = (_range, _between, _counted, _in_words, _topic, _percent, _unit)
