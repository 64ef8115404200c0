"""What the author of a line that is no comparison most likely meant, as the line to write. No name is looked up."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

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

_NUMBER = r"(\d{1,2}:\d{2}|\d{4}-\d{2}-\d{2}|(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+|[+-]?\d+(?:\.\d+)?|\$[A-Za-z][\w-]*)"
_CURLY = str.maketrans(dict.fromkeys("“”„‟", '"') | dict.fromkeys("‘’‚‛", "'"))
# The quotes that word processors write: double ones, single ones, and those of French.
_CURLY_PAIRS = {"“": "”", "„": "“”", "‟": "”", "«": "»", "‘": "’", "‚": "‘’"}
CURLY_OPENING = "“„‟«"
CURLY_CLOSING = "”“»"
_LEFT = r"([A-Za-z][\w.]*(?:\([^()]*\)(?:\s+over\s+\w+(?:\s+turns?)?)?)?)"
_SPANS = {
    **{"ms": "ms", "millisecond": "ms", "second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "hr": "h"},
    **{"day": "d", "week": "w", "s": "s", "m": "m", "h": "h", "d": "d", "w": "w"},
}
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
_JOINS = {"and": "all", "&&": "all", "or": "any", "||": "any"}
# What is said of a value that is not there, or is.
_PRESENCE: dict[str, str] = {
    **dict.fromkeys(("null", "none", "missing", "absent", "not known", "not set", "not present"), "is unknown"),
    **dict.fromkeys(("not null", "not none", "not missing", "set", "present", "not unknown"), "is known"),
}
_ALWAYS = frozenset({"true", "yes", "on", "always", "any", "all", "*"})

_DATE = re.compile(r"(\d{4}|\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{1,2})")
_COMPARED = re.compile(rf"({_LEFT}\s*(?:<=?|>=?|!?=))\s*(\S+)")
_IS = re.compile(rf"{_LEFT}\s+is\s+(\S.*)")
_JOINING = re.compile(r"\s(and|or|&&|\|\|)\s", re.IGNORECASE)
_STARTS = re.compile(rf"{_LEFT}\s")
_WORDS = re.compile(rf"{_LEFT}\s*(!?=|has|lacks)\s*([\w-]+(?: [\w-]+)+)")
_SOME_WORDS = re.compile(r"[^\W\d][\w-]*(?: [\w-]+){1,5}")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\b\.?(?:\s*,)?(?:\s+and\b)?\s*", re.IGNORECASE)
_RANGE = re.compile(rf"{_NUMBER}\s*(<=?)\s*{_LEFT}\s*(<=?)\s*{_NUMBER}")
_BETWEEN = re.compile(rf"{_LEFT}\s+(?:is\s+)?between\s+{_NUMBER}\s+and\s+{_NUMBER}")
_COUNTED = re.compile(
    r"(\w+\([^()]*\))\s*(<=?|>=?|!?=)\s*(\d+)\s+(?:in|within|over)\s+(?:the\s+)?(?:last\s+)?(\d+)\s+turns?"
)
_TOPIC = re.compile(r"(?:has\s+)?topics?(?:\s+is|\s*:)?\s+([\w-]+)")
_UNIT = re.compile(r"(.*\s[+-]?\d+(?:\.\d+)?)\s+([A-Za-z$€£]+)\.?")
_IN_FULL = re.compile(r"(.*[<>=])\s*(\d.*)")
_PERCENT = re.compile(r"(.*\s)(\d+(?:\.\d+)?)\s+(?:percent|per\s*cent)")


def line_meant(line: str) -> str | None:
    """Return what to write in place of a line that is no comparison, None where nothing is sure enough to be said."""
    written = line.strip()
    if len(written) > LINE_CHARACTERS_MAX:
        return None
    if written.lower() in _ALWAYS:
        return "write what the rule waits for, as `confidence < 0.5`; one for every turn would hand over all of them"
    compared = _COMPARED.fullmatch(written)
    day = date_meant(compared[3]) if compared is not None else None
    if compared is not None and day is not None:
        return f"write {day.replace('`2', f'`{compared[1]} 2').replace('`1', f'`{compared[1]} 1')}"
    for way in _WAYS:
        meant = way(written)
        if meant is not None:
            return f"write `{meant}`"
    return None


def span_meant(written: str) -> str | None:
    """Return `10m` for `10 minutes`, None for what is no time in words, or none above zero."""
    span, at, line = "", 0, written.strip()
    if len(line) > LINE_CHARACTERS_MAX:
        return None
    while at < len(line):
        found = _SPAN.match(line, at)
        unit = None if found is None else _SPANS.get(found[2].lower()) or _SPANS.get(found[2].lower().removesuffix("s"))
        if found is None or unit is None:
            return None
        span, at = f"{span}{found[1]}{unit}", found.end()
    return span if span != line and duration_ms(span) else None


def uncurled(text: str) -> str | None:
    """Return what stands in the quotes of a word processor around a whole text, None where none stand around it."""
    opening, inner = text[:1], text[1:-1].strip()
    if not inner or text[-1] not in _CURLY_PAIRS.get(opening, ""):
        return None
    # An apostrophe is the same sign as a closing single quote.
    others = {opening} if opening in "‘‚" else {opening, *_CURLY_PAIRS[opening]}
    return None if others & set(inner) else inner


def quoted(text: str) -> str:
    """Return the text in the straight quotes that need no escape in it, and backticks around them."""
    if '"' not in text and "\\" not in text:
        return f'`"{text}"`'
    return "`'" + text.replace("'", "''") + "'`"


def _range(line: str) -> str | None:
    found = _RANGE.fullmatch(line)
    if found is None:
        return None
    low, first, left, second, high = found.groups()
    return _both(f"{left} {first.replace('<', '>')} {low}", f"{left} {second} {high}")


def _between(line: str) -> str | None:
    found = _BETWEEN.fullmatch(line)
    if found is None:
        return None
    both = _both(f"{found[1]} >= {found[2]}", f"{found[1]} <= {found[3]}")
    # From 22:00 to 6:00 is over midnight, where one of the two holds.
    over_midnight = ":" in found[2] and found[2].zfill(5) > found[3].zfill(5)
    return both.replace("all:", "any:") if both is not None and over_midnight else both


def date_meant(written: str) -> str | None:
    """Return a date as it is written here, in backticks, or both that may be meant; None for what is no date."""
    found = _DATE.fullmatch(written)
    if found is None:
        return None
    year, month, day = (found[number] for number in ((1, 2, 3) if len(found[1]) == 4 else (3, 1, 2)))
    ways = [(month, day)] if len(found[1]) == 4 else [(month, day), (day, month)]
    dates = [f"{year}-{first:0>2}-{second:0>2}" for first, second in ways]
    return " or ".join(f"`{each}`" for each in dict.fromkeys(dates) if _is_date(each)) or None


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _straight(line: str) -> str | None:
    """A line with the quotes of a word processor."""
    straight = line.translate(_CURLY)
    return whole(straight) if straight != line else None


def _in_words(line: str) -> str | None:
    for operator, words in _PHRASES.items():
        found = re.fullmatch(rf"{_LEFT}\s+(?:is\s+)?(?:{words})\s+(\S.*)", line)
        if found is not None:
            return whole(f"{found[1]} {operator} {found[2]}")
    return None


def _counted(line: str) -> str | None:
    found = _COUNTED.fullmatch(line)
    return None if found is None else whole(f"{found[1]} over {found[4]} turns {found[2]} {found[3]}")


def _is(line: str) -> str | None:
    """A line with `is` in the place of an operator."""
    found = _IS.fullmatch(line)
    if found is None:
        return None
    left, rest = found.groups()
    negated = f"!= {rest.removeprefix('not ').strip()}" if rest.startswith("not ") else ""
    # Quotes around words, and around nothing else.
    quoted = f'{negated[:2] or "="} "{negated[3:] or rest}"' if _SOME_WORDS.fullmatch(rest) else ""
    ways = (_PRESENCE.get(rest.lower(), ""), rest, negated, f"= {rest}", quoted)
    return next((meant for way in ways if (meant := whole(f"{left} {way}"))), None)


def _joined(line: str) -> str | None:
    """Comparisons with `and` between all of them, or with `or`."""
    words = [word.lower() for word in _JOINING.findall(line)]
    if not words or len({_JOINS[word] for word in words}) > 1 or len(line) > LINE_CHARACTERS_MAX:
        return None
    first, *others = (part.strip() for part in _JOINING.split(line)[::2])
    left = _STARTS.match(first)
    # `confidence > 0.2 and < 0.5` speaks of one signal twice.
    parts = [_part(first), *(_part(other) or (left and _part(f"{left[1]} {other}")) for other in others)]
    return f"{_JOINS[words[0]]}: [{', '.join(filter(None, parts))}]" if all(parts) else None


def _part(line: str) -> str | None:
    """Return one item of a list of comparisons."""
    words = _WORDS.fullmatch(line)
    return (
        whole(line)
        or next((meant for way in _ONE if (meant := way(line))), None)
        or (whole(f'{words[1]} {words[2]} "{words[3]}"') if words is not None else None)
    )


def _topic(line: str) -> str | None:
    found = _TOPIC.fullmatch(line)
    return None if found is None else whole(f"topics has {found[1]}")


def _percent(line: str) -> str | None:
    found = _PERCENT.fullmatch(line)
    return None if found is None else whole(f"{found[1]}{float(found[2]) / 100:g}")


def _unit(line: str) -> str | None:
    """A number with its unit in words: a time has a letter for it, all others are said by the signal."""
    in_full = _IN_FULL.fullmatch(line)
    if in_full is not None and (span := span_meant(in_full[2])) is not None:
        return whole(f"{in_full[1]} {span}")
    found = _UNIT.fullmatch(line)
    if found is None:
        return None
    before, _, number = found[1].rpartition(" ")
    span = span_meant(f"{number} {found[2]}")
    if span is None and found[2].lower() not in _UNITS:
        return None
    return whole(f"{before} {span or number}")


def _both(one: str, other: str) -> str | None:
    return f"all: [{one}, {other}]" if whole(one) and whole(other) else None


def whole(line: str) -> str | None:
    """Return the line when it is a comparison, None when not: what is advised must not be refused in its turn."""
    try:
        parse(line)
    except Unparsed:
        return None
    return line


_ONE: tuple[Callable[[str], str | None], ...] = (_straight, _counted, _in_words, _is, _topic, _percent, _unit)
_WAYS: tuple[Callable[[str], str | None], ...] = (_range, _between, *_ONE, _joined)
