"""A comparison's operand held against the signal it is compared with: to a plain value, or to what does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rules.compile.names import Names, Threshold
from rules.evaluation.signal_table import SignalSpec
from rules.files.grammar import Operand
from rules.files.meant import date_meant
from rules.turn import Scalar

# A time this short between turns or handoffs was most likely meant in seconds or minutes.
SHORT_MS = 1_000
# A share above 1 that was most likely meant in percent: 5 may be a slip of the finger.
PERCENT_MIN = 10
# The operators that compare with a list.
LISTING: frozenset[str] = frozenset({"in", "not in", "within", "not within"})

_MEANT_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)(?:ec|econd|in|inute|our|r|ay|eek)s?")
_MEANT_BOOLS = {"yes": "true", "no": "false", "on": "true", "off": "false", "True": "true", "False": "false"}
_LONG_WEEKDAYS = {
    "monday": "mon",
    "tuesday": "tue",
    "wednesday": "wed",
    "thursday": "thu",
    "friday": "fri",
    "saturday": "sat",
    "sunday": "sun",
}
# What stands for a value that is not there, or is, in other languages and here.
_ABSENT = {"unknown": "unknown", "null": "unknown", "none": "unknown", "None": "unknown", "known": "known"}
_OPPOSITES = {"unknown": "known", "known": "unknown"}
# A word that is no language is repeated up to here.
SHOWN_MAX = 40
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_MEANT_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]+)*")
_LANGUAGES = {
    **{"english": "en", "spanish": "es", "español": "es", "german": "de", "deutsch": "de", "french": "fr"},
    **{"italian": "it", "portuguese": "pt", "dutch": "nl", "polish": "pl", "chinese": "zh", "japanese": "ja"},
}
# unit -> how its operand is written
_UNIT_FORMS = {
    "ms": "a time such as `90s` or `10m`",
    "minutes": "a time of day such as `18:00`",
    "day": "a date such as `2026-12-24`",
}


# kind of operand -> what exists of it
_EXISTING = {
    "number": "write a smaller number",
    "duration": "write a year at most, `365d`",
    "time": "write a time from `0:00` to `23:59`",
    "date": "write a day of the calendar",
}


class Misfit(Exception):
    """A part of a comparison that does not fit: the problem's code, the characters, the fact, the next step."""

    def __init__(self, code: str, start: int, end: int, message: str, hint: str | None = None) -> None:
        self.code, self.start, self.end, self.message, self.hint = code, start, end, message, hint
        # Items of the same list that do not fit either.
        self.others: list[Misfit] = []
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What stands on the left: its row of the table, its text as written, and the names around it."""

    spec: SignalSpec
    left: str
    names: Names


def read_operand(operand: Operand, operator: str, wanted: Wanted) -> tuple[Scalar | tuple[Scalar, ...], str | None]:
    """Return the operand's value, a tuple for `in`, and the threshold it came from. Raises Misfit."""
    absent = _ABSENT.get(operand.text) if operand.kind == "word" and wanted.spec.type in ("number", "bool") else None
    if absent is not None and operator in ("=", "!="):
        meant = f"{wanted.left} is {absent if operator == '=' else _OPPOSITES[absent]}"
        message = f"`{operand.text}` is no value that `{operator}` compares"
        raise Misfit("R122", operand.start, operand.end, message, f"write `{meant}`")
    if operator in LISTING:
        if operand.kind != "list":
            hint = f"write `{operator} [{operand.text}]`"
            raise Misfit("R122", operand.start, operand.end, f"`{operator}` needs a list", hint)
        if not operand.items:
            raise Misfit("R122", operand.start, operand.end, "the list is empty", "write at least one word or number")
        return _scalars(operand.items, wanted), None
    if operand.kind == "list":
        raise Misfit("R122", operand.start, operand.end, f"`{operator}` takes one operand", _instead_of_list(operator))
    return _scalar(operand, wanted), str(operand.value) if operand.kind == "threshold" else None


def short_time(operand: Operand, value: object, wanted: Wanted) -> bool:
    """Return whether a bare number was written where a time is counted in ms, and means less than a second."""
    bare = operand.kind == "number" and wanted.spec.unit == "ms"
    return bare and isinstance(value, (int, float)) and 0 < value < SHORT_MS


def _instead_of_list(operator: str) -> str:
    if operator == "has":
        return "write `any: [… has a, … has b]`"
    if operator == "lacks":
        return "write `all: [… lacks a, … lacks b]`"
    if operator in ("=", "!="):
        return "write `in [...]`" if operator == "=" else "write `not in [...]`"
    return "write one operand"


def _scalars(items: Iterable[Operand], wanted: Wanted) -> tuple[Scalar, ...]:
    """Return the values of a list. Raises a Misfit that holds those of all items."""
    values: list[Scalar] = []
    misfits: list[Misfit] = []
    for item in items:
        try:
            values.append(_scalar(item, wanted))
        except Misfit as misfit:
            misfits.append(misfit)
    if misfits:
        misfits[0].others += misfits[1:]
        raise misfits[0]
    return tuple(values)


def _scalar(operand: Operand, wanted: Wanted) -> Scalar:
    return _READERS[wanted.spec.type](operand, wanted)


def _number(operand: Operand, wanted: Wanted) -> float | int:
    kind, spec = operand.kind, wanted.spec
    if kind == "threshold":
        return _threshold(operand, wanted)
    if kind in ("word", "text", "bool", "list"):
        _refuse_words(operand, wanted)
    if kind == "percent":
        share = f"write `{float(operand.value or 0) / 100:g}`" if spec.unit == "ratio" else "write a plain number"
        raise Misfit("R123", operand.start, operand.end, f"`{operand.text}` is a percentage", share)
    if operand.value is None:
        raise Misfit("R122", operand.start, operand.end, f"`{operand.text}` does not exist", _EXISTING[kind])
    form = _UNIT_FORMS.get(spec.unit or "")
    expected = {"ms": "duration", "minutes": "time", "day": "date"}.get(spec.unit or "", "number")
    fits = kind == expected or (kind == "number" and expected == "duration")
    if not fits and form is not None:
        message = f"`{wanted.left}` is not compared with `{operand.text}`"
        full_hour = expected == "time" and kind == "number" and operand.text.isdecimal() and int(operand.text) < 24
        hint = f"write `{operand.text}:00`" if full_hour else f"write {form}"
        raise Misfit("R123", operand.start, operand.end, message, hint)
    if not fits:
        message = f"`{operand.text}` is a {_KIND_NAMES[kind]} and `{wanted.left}` a plain number"
        raise Misfit("R123", operand.start, operand.end, message, "write a number without a unit")
    assert isinstance(operand.value, (int, float))  # noqa: S101 - every other kind was refused
    _check_range(operand, operand.value, f"{operand.text}", wanted)
    return operand.value


_KIND_NAMES = {"duration": "duration", "time": "time of day", "date": "date"}


def _refuse_words(operand: Operand, wanted: Wanted) -> None:
    meant = _MEANT_DURATION.fullmatch(operand.text)
    form = _UNIT_FORMS.get(wanted.spec.unit or "", "a number")
    hint = f"write {form}"
    if meant and wanted.spec.unit == "ms":
        hint = f"write `{meant[1]}{meant[2]}`"
    elif wanted.spec.unit == "day" and (day := date_meant(operand.text)) is not None:
        hint = f"write {day}"
    elif operand.kind == "text":
        hint += " without quotes" if form == "a number" else ""
    elif operand.kind == "word" and wanted.names.is_declared("threshold", operand.text):
        hint = f"write `${operand.text}` for the threshold"
    message = f"`{wanted.left}` is a number and `{operand.text}` is not"
    raise Misfit("R122", operand.start, operand.end, message, hint)


def _threshold(operand: Operand, wanted: Wanted) -> float | int:
    threshold: Threshold = wanted.names.thresholds[str(operand.value)]
    unit = wanted.spec.unit
    if threshold.is_span and unit != "ms":
        message = f"the threshold `{operand.value}` is the time {threshold.written} and `{wanted.left}` a plain number"
        raise Misfit("R123", operand.start, operand.end, message, "use a threshold that is a number")
    if unit in ("minutes", "day"):
        message = f"`{wanted.left}` is not compared with a threshold"
        raise Misfit("R123", operand.start, operand.end, message, f"write {_UNIT_FORMS[unit]}")
    _check_range(operand, threshold.value, f"the threshold `{operand.value}` is {threshold.written}, which", wanted)
    return threshold.value


def _check_range(operand: Operand, value: float, subject: str, wanted: Wanted) -> None:
    spec = wanted.spec
    low, high = spec.low, spec.high
    if (low is None or value >= low) and (high is None or value <= high):
        return
    bounds = f"from {low:g} to {high:g}" if low is not None and high is not None else f"never below {low or 0:g}"
    verb = "lies outside" if subject.endswith("which") else "is out of reach"
    hint = f"write a number {bounds}" if high is not None else f"write a number of at least {low or 0:g}"
    # 55 was meant in percent; nobody knows what 2 was meant to be.
    if spec.unit == "ratio" and PERCENT_MIN <= value <= 100:
        hint = f"write `{value / 100:g}`"
        hint = hint if operand.kind != "threshold" else f"declare the threshold as `{value / 100:g}`"
    if spec.group == "aggregate":
        message = f"{subject} {verb}: `{wanted.left}` goes {bounds}"
        raise Misfit("R131", operand.start, operand.end, message, hint)
    goes = f"goes {bounds}" if high is not None else f"is {bounds}"
    raise Misfit("R123", operand.start, operand.end, f"{subject} {verb}: `{wanted.left}` {goes}", hint)


def _text(operand: Operand, wanted: Wanted) -> str:
    if operand.kind not in ("word", "text"):
        what = "a threshold, a number" if operand.kind == "threshold" else "not a text"
        hint = None if operand.kind == "threshold" else f'put it into quotes: `"{operand.text}"`'
        # An argument's type follows the first operand of a list, so a text beside it may be the one that is right.
        message = f"`{wanted.left}` is a text and `{operand.text}` is {what}"
        raise Misfit("R122", operand.start, operand.end, message, hint)
    value = str(operand.value)
    if wanted.spec.name == "language" and not is_language_code(value):
        message = f"`{value[:SHOWN_MAX]}` is no language without a region"
        raise Misfit("R109", operand.start, operand.end, message, language_hint(value))
    known = wanted.spec.values
    if known and value not in known:
        near = _LONG_WEEKDAYS.get(value.lower())
        listed = ", ".join(f"`{word}`" for word in known)
        hint = f"did you mean `{near}`?" if near else f"write one of {listed}"
        raise Misfit("R109", operand.start, operand.end, f"`{wanted.left}` is never `{value}`", hint)
    return value


def is_language_code(word: str) -> bool:
    """Return whether the word is a language as the first part of a locale has it: `es` of `es-MX`."""
    return _LANGUAGE.fullmatch(word) is not None


def language_hint(word: str) -> str:
    """Return how a language is written that was written with its region, in capitals or as a word."""
    meant = _MEANT_LANGUAGE.fullmatch(word)
    code = meant[1].lower() if meant else _LANGUAGES.get(word.lower())
    return f"write `{code}`" if code else "write languages as `en` or `es`"


def _bool(operand: Operand, wanted: Wanted) -> bool:
    if isinstance(operand.value, bool):
        return operand.value
    meant = _MEANT_BOOLS.get(operand.text)
    hint = f"write `{meant}`" if meant else "write `true` or `false`"
    message = f"`{wanted.left}` is true or false, not `{operand.text}`"
    raise Misfit("R122", operand.start, operand.end, message, hint)


def _member(operand: Operand, wanted: Wanted) -> str:
    if operand.kind not in ("word", "text"):
        hint = f'put it into quotes: `"{operand.text}"`' if operand.kind != "threshold" else None
        message = f"`{wanted.left}` holds words and `{operand.text}` is none"
        raise Misfit("R122", operand.start, operand.end, message, hint)
    value, known = str(operand.value), wanted.spec.values
    if known and value not in known:
        listed = ", ".join(f"`{word}`" for word in known)
        raise Misfit(
            "R109", operand.start, operand.end, f"`{wanted.left}` never holds `{value}`", f"write one of {listed}"
        )
    return value


_READERS: dict[str, Callable[[Operand, Wanted], Scalar]] = {
    "number": _number,
    "text": _text,
    "bool": _bool,
    "set": _member,
}
