"""What pydantic finds wrong, as sentences that name the field and the limit, and never what was sent."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from service.api.problems import Refused

# One answer names this many faults: enough to mend a body in one go, short enough to read.
FAULTS_MAX = 8
# A name longer than this, or with other characters, may be a customer's words and is not repeated.
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}\Z")
OF_LENGTH = frozenset({"too_long", "string_too_long", "string_too_short"})
UNKNOWN_FIELD = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
# Where any value may be one of several kinds, pydantic lists what each kind wanted; one sentence says it better.
MIXED: dict[tuple[int | str, ...], str] = {
    ("customer",): "must be a number, a text or true or false",
    ("signals",): "must be a number, a text, true or false, or a list of texts",
}
# What stands beside attributes, but is one kind of value alone.
OF_ONE_KIND = frozenset({("customer", "id"), ("customer", "tier")})

# pydantic's error type -> sentence; what stands in braces comes from the field's own limits.
SENTENCES: dict[str, str] = {
    "missing": "is required",
    "missing_argument": "is required",
    "string_type": "must be a text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "is longer than {max_length} characters",
    "string_pattern_mismatch": "has characters that are not allowed; the pattern is `{pattern}`",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be one of {expected}",
    "too_short": "must have at least {min_length} items",
    "too_long": "has more than {max_length} items",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be an object",
    "dataclass_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "none_required": "must be null",
}


def refusal(errors: Sequence[ErrorDetails | Mapping[str, Any]], model: object, code: str = "body_invalid") -> Refused:
    """Return the one problem that names every fault, up to FAULTS_MAX of them, each field once."""
    found: dict[tuple[int | str, ...], str] = {}
    for error in errors:
        place = _attribute(tuple(error["loc"]))
        found.setdefault(place, _fault(place, error["type"], error.get("ctx") or {}, model))
    lines = list(found.values())
    more = f"; and {len(lines) - FAULTS_MAX} more" if len(lines) > FAULTS_MAX else ""
    return Refused(code, "; ".join(lines[:FAULTS_MAX]) + more)


def _fault(place: tuple[int | str, ...], kind: str, limits: Mapping[str, Any], model: object) -> str:
    if kind == "value_error":
        # Raised by a body's own check of how its fields go together: the words are ours and complete.
        return str(limits["error"])
    if kind in UNKNOWN_FIELD:
        return f"{_field(place)} is not a field{_nearest(str(place[-1]), place[:-1], model)}"
    if place[:-1] in MIXED and place not in OF_ONE_KIND and kind not in OF_LENGTH:
        return f"{_field(place)} {MIXED[place[:-1]]}"
    sentence = SENTENCES.get(kind, "is not valid")
    return f"{_field(place)} {sentence.format_map({name: _plain(value) for name, value in limits.items()})}"


def _attribute(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return the place as the caller wrote it: attributes stand in `customer` itself, and no kind is part of a name."""
    if place[:2] == ("customer", "attributes"):
        return ("customer", *place[2:3])
    if place[:1] == ("signals",):
        return place[:2]
    return place


def _field(place: tuple[int | str, ...]) -> str:
    parts = [str(part) for part in place if part != "[key]"]
    if not parts:
        return "the body"
    return f"`{'.'.join(part if part.isdecimal() or FIELD_NAME.match(part) else '…' for part in parts)}`"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace("'", "`")


def _nearest(name: str, place: tuple[int | str, ...], model: object) -> str:
    near = difflib.get_close_matches(name, fields_at(place, model), n=1, cutoff=0.6)
    return f" (did you mean `{near[0]}`?)" if near else ""


def fields_at(place: Sequence[int | str], model: object) -> tuple[str, ...]:
    """Return the names of the fields that an object at this place of a model may have."""
    here = _object_type(model)
    for part in place:
        if here is None:
            return ()
        if isinstance(part, str):
            fields = _fields(here)
            here = _object_type(fields[part]) if part in fields else None
    return tuple(_fields(here)) if here is not None else ()


def _fields(model: type) -> dict[str, object]:
    found = getattr(model, "__pydantic_fields__", {})
    return {name: field.annotation for name, field in found.items()}


def _object_type(annotation: object) -> type | None:
    """Return the model or dataclass inside an annotation such as `tuple[TopicBody, ...] | None`."""
    if isinstance(annotation, type) and (
        dataclasses.is_dataclass(annotation) or (not isinstance(annotation, UnionType) and issubclass_safe(annotation))
    ):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := _object_type(part)) is not None), None)


def issubclass_safe(annotation: type) -> bool:
    """Return whether a type is a pydantic model; `list[int]` is a type of which one may not ask."""
    try:
        return issubclass(annotation, BaseModel)
    except TypeError:
        return False
