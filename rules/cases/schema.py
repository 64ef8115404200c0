"""JSON Schema of test files, made of the tables of keys that their reader reads. Nothing is checked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from rules.cases.keys import (
    CASE_KEYS,
    EXPECT_KEYS,
    FILE_KEYS,
    MOVE_EXPECT_KEYS,
    MOVE_KEYS,
    MOVES,
    STEP_KEYS,
    TABLES,
)
from rules.files.keys import KeySpec, KeyTable
from rules.files.schema_kinds import DIALECT, KINDS, Schema, defined, keys_of, one_or_many, ref, word

# What stands under the keys that have no table of their own; a test finds the key that lacks its row.
_STRUCTURES: Mapping[str, Callable[[], Schema]] = {
    "cases": lambda: {"type": "array", "minItems": 1, "items": _keys(CASE_KEYS)},
    "turns": lambda: {"type": ["array", "null"], "items": _step()},
    "expect": lambda: _expect(EXPECT_KEYS),
    "pressure": lambda: {"type": "object", "additionalProperties": KINDS["share"]},
    # Whatever the caller, a tool or an operator would send.
    **{name: lambda: {"type": "object"} for name in ("signals", "customer", "args", "facts", "edited")},
}


def tests_schema() -> Schema:
    """Return the schema of a test file. What it refuses the reader refuses too; the reader refuses more."""
    return {
        "$schema": DIALECT,
        "title": "Handrail test file",
        "description": "Conversations turn by turn, and what the rule files beside them must make of these.",
        **_keys(FILE_KEYS),
        "$defs": {
            **{defined(kind): schema for kind, schema in KINDS.items() if kind not in ("condition", "conditions")},
            # A customer may write nothing at all.
            "text": {"type": ["string", "number", "boolean", "null"]},
        },
    }


def _keys(table: KeyTable) -> Schema:
    return keys_of(table, _value)


def _value(spec: KeySpec) -> Schema:
    """Return the schema of the value of one key."""
    if spec.choices and spec.kind in ("word", "words of"):
        return one_or_many(word(spec)) if spec.kind == "words of" else word(spec)
    if spec.kind in ("map", "list", "true or map"):
        return _structure(spec)
    if spec.kind == "bool" and spec.name in MOVES:
        return {"const": True}
    if spec.kind == "texts":
        # One text may stand for a list of them.
        return {"anyOf": [ref("text"), ref("texts")]}
    return {"type": ["number", "null"]} if spec.kind == "number" else ref(defined(spec.kind))


def _structure(spec: KeySpec) -> Schema:
    if spec.name not in TABLES:
        return _STRUCTURES[spec.name]()
    inner = _keys(TABLES[spec.name])
    if spec.kind == "list":
        return {"type": ["array", "null"], "items": inner}
    if spec.name == "handoff":
        return {"anyOf": [{"const": "none"}, inner]}
    return {"anyOf": [{"const": True}, inner]} if spec.kind == "true or map" else inner


def _expect(table: KeyTable) -> Schema:
    """Return the schema of an expectation: one word is the verdict."""
    return {"anyOf": [word(table["verdict"]), {**_keys(table), "minProperties": 1}]}


def _step() -> Schema:
    """Return the schema of a step: a move of the handoff where it has a word for one, a turn or waiting otherwise."""
    move, turn = _keys(MOVE_KEYS), _keys(STEP_KEYS)
    expected = {"description": MOVE_KEYS["expect"].about, **_expect(MOVE_EXPECT_KEYS)}
    # A step that only waits expects what a move does.
    either = {"description": STEP_KEYS["expect"].about, "anyOf": [_expect(EXPECT_KEYS), _expect(MOVE_EXPECT_KEYS)]}
    return {
        "if": {"anyOf": [{"required": [name]} for name in MOVES]},
        "then": {**move, "properties": {**cast(Schema, move["properties"]), "expect": expected}},
        "else": {**turn, "properties": {**cast(Schema, turn["properties"]), "expect": either}},
    }
