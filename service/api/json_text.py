"""A body's bytes to a JSON value, or Refused: strict UTF-8, no NaN, no lone surrogate, no key twice, bounded depth."""

from __future__ import annotations

import json
from typing import Any

import orjson

from service.api.problems import Refused

# A turn needs 4 levels and the arguments of a tool call a few more; whatever is deeper is an attack or a mistake.
DEPTH_MAX = 16
# Keys and items together: a turn at the limit of each of its lists has fewer.
VALUES_MAX = 20_000


def parse(raw: bytes) -> object:
    """Return the JSON value of a body. Raises Refused and never says what the body held."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as broken:
        raise Refused("body_not_json", _why(raw, broken)) from None
    # Every key and every text is written between two quotes. Fewer of them in the value than in the bytes means that
    # an escaped quote was there, or that a key came twice and one was dropped; only then is it worth finding out.
    if (
        isinstance(value, (dict, list))
        and not _is_plain(raw, value)
        and _quotes(value, DEPTH_MAX, [VALUES_MAX]) != raw.count(b'"')
    ):
        _refuse_duplicates(raw)
    return value


def _is_plain(raw: bytes, value: dict[str, Any] | list[Any]) -> bool:
    """Return whether the bytes are just what the value is written as, and too few for any limit: nearly every body.

    No key comes twice then, and a value of so few bytes and brackets is neither too full nor too deep.
    """
    return len(raw) <= VALUES_MAX and raw.count(b"{") + raw.count(b"[") <= DEPTH_MAX and orjson.dumps(value) == raw


def _why(raw: bytes, broken: json.JSONDecodeError) -> str:
    if not raw:
        return "the body is empty"
    try:
        raw.decode()
    except UnicodeDecodeError as wrong:
        return f"byte {wrong.start + 1} is not UTF-8"
    return f"reading stopped at line {broken.lineno}, column {broken.colno}"


def _quotes(value: dict[str, Any] | list[Any], depth_left: int, values_left: list[int]) -> int:
    """Return how many quotes the keys and texts of a value are written with; raises Refused past the limits."""
    if not depth_left:
        raise Refused("body_invalid", f"the body is nested deeper than {DEPTH_MAX} levels")
    values_left[0] -= len(value)
    if values_left[0] < 0:
        raise Refused("body_invalid", f"the body has more than {VALUES_MAX} values")
    count = 2 * len(value) if isinstance(value, dict) else 0
    for item in value.values() if isinstance(value, dict) else value:
        kind = type(item)
        if kind is str:
            count += 2
        elif kind is dict or kind is list:
            count += _quotes(item, depth_left - 1, values_left)
    return count


class _Twice(Exception):
    pass


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_once)


def _refuse_duplicates(raw: bytes) -> None:
    try:
        _DECODER.decode(raw.decode())
    except _Twice:
        raise Refused("body_not_json", "an object has the same key twice", "send each key once") from None
