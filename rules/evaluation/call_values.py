"""What a caller sent as values that can be compared: by their type, and the arguments of a tool call by their names."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Literal, TypeAlias

from rules.turn import ToolCall, Value

SignalType: TypeAlias = Literal["number", "text", "bool", "set"]

# Deeper or further than any tool's arguments that were seen; what lies beyond reads as unknown.
ARGS_DEPTH_MAX = 4
ARGS_READ_MAX = 200

ARGS_PREFIX = "args."


def read_as(given: object, kind: SignalType) -> Value:
    """Return the value when it is of that type, else None: a wrong type is unknown, never an error or a guess."""
    if kind == "number":
        # A bool is a Python int, and NaN is no number that a rule could mean.
        number = type(given) is int or (type(given) is float and isfinite(given))
        return given if number else None  # type: ignore[return-value]  # `number` has narrowed it
    if kind == "text":
        return given if isinstance(given, str) else None
    if kind == "bool":
        return given if isinstance(given, bool) else None
    if isinstance(given, (frozenset, set, list, tuple)) and all(isinstance(item, str) for item in given):
        return frozenset(given)
    return None


def call_values(call: ToolCall) -> dict[str, Value]:
    """Return CALL_SIGNALS of one call by name, and its arguments as `args.NAME`, nested ones as `args.NAME.NAME`.

    A name that is not there is unknown, and so is an argument that is neither number, text, bool nor list of texts.
    """
    values: dict[str, Value] = {
        "name": call.name,
        "write": call.write,
        "amount_usd": read_as(call.amount, "number"),
        "status": call.status,
        "error": call.error,
        "has_error": call.status == "error" or call.error is not None,
        "args_items_max": 0,
    }
    if call.args:
        lists = [len(given) for given in call.args.values() if isinstance(given, (list, tuple))]
        values["args_items_max"] = max(lists, default=0)
        _flatten(call.args, ARGS_PREFIX, values, ARGS_DEPTH_MAX)
    return values


def _flatten(args: Mapping[str, object], prefix: str, values: dict[str, Value], depth: int) -> None:
    for name, given in args.items():
        if len(values) >= ARGS_READ_MAX:
            return
        if isinstance(given, Mapping):
            if depth > 1:
                _flatten(given, f"{prefix}{name}.", values, depth - 1)
        elif isinstance(given, (str, bool)):
            values[f"{prefix}{name}"] = given
        elif isinstance(given, (int, float)):
            values[f"{prefix}{name}"] = read_as(given, "number")
        elif isinstance(given, (list, tuple)):
            values[f"{prefix}{name}"] = read_as(given, "set")
