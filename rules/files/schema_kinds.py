"""What each kind of value may be, as JSON Schema: one definition a kind. Which key stands where is not known here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from rules.evaluation.comparisons import COMPARISONS
from rules.evaluation.signal_table import CALL_SIGNALS, SIGNALS, SignalSpec
from rules.files.grammar import DURATION_UNITS_MS, FUNCTIONS
from rules.files.keys import RULE_VERDICTS, VERSION, KeySpec, KeyTable, ValueKind
from rules.model import LEVEL_MAX

Schema: TypeAlias = dict[str, object]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

# Longest unit first, as the grammar reads them.
_UNITS = "|".join(sorted(DURATION_UNITS_MS, key=len, reverse=True))
DURATION_PATTERN = rf"^\s*(\d+(\.\d+)?({_UNITS}))+\s*$"
RATE_PATTERN = rf"^\s*\d{{1,6}}\s+in\s+(\d+(\.\d+)?({_UNITS}))+\s*$"
NAME_PATTERN = "^[A-Za-z][A-Za-z0-9_-]*$"
HOURS_PATTERN = r"^\s*\d\d:\d\d-\d\d:\d\d\s*$"
LANGUAGE_PATTERN = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
# What an editor can tell of a comparison: a signal or an aggregate, and an operator after it.
_SYMBOLS = "|".join(sorted({re.escape(operator[0]) for operator in COMPARISONS if not operator[0].isalpha()}))
_WORDS = "|".join(sorted({operator.partition(" ")[0] for operator in COMPARISONS if operator[0].isalpha()}))
COMPARISON_PATTERN = rf"^\s*[^\s()\[\]<>=!,$]+(\s*(\(|{_SYMBOLS})|\s+({_WORDS})\s)"

# What follows a signal of the type in an example, by its unit where that decides.
_SAMPLES: Mapping[str, str] = {"number": "> 3", "text": "= word", "bool": "= true", "set": "has word"}
_UNIT_SAMPLES: Mapping[str | None, str] = {
    "ratio": "< 0.5",
    "score": "< -0.5",
    "ms": "> 10m",
    "minutes": ">= 18:00",
    "day": "= 2026-12-24",
    "usd": "> 200",
}


def ref(name: str) -> Schema:
    """Return the schema that stands in the definitions under that name."""
    return {"$ref": f"#/$defs/{name}"}


def one_or_many(schema: Schema) -> Schema:
    """Return the schema of a list of these, or of one that stands there alone."""
    return {"anyOf": [schema, {"type": "array", "items": schema}]}


def defined(kind: ValueKind) -> str:
    """Return the name of a kind among the definitions."""
    return kind.replace(" ", "_")


def word(spec: KeySpec) -> Schema:
    """Return the schema of a key that knows its words."""
    return {"enum": [*map(int, spec.choices), *spec.choices] if spec.kind == "count" else list(spec.choices)}


def keys_of(table: KeyTable, value: Callable[[KeySpec], Schema]) -> Schema:
    """Return the schema of a map with the keys of a table, `value` telling that of each key's value."""
    schema: Schema = {
        "type": "object",
        "properties": {name: {"description": spec.about, **value(spec)} for name, spec in table.items()},
        "additionalProperties": False,
    }
    required = [spec.name for spec in table.values() if spec.required]
    return {**schema, "required": required} if required else schema


def _example(spec: SignalSpec) -> str:
    sample = spec.values[0] if spec.values else None
    word = "has" if spec.type == "set" else "="
    return f"{spec.name} " + (f"{word} {sample}" if sample else _UNIT_SAMPLES.get(spec.unit, _SAMPLES[spec.type]))


def comparison_examples() -> list[str]:
    """Return one comparison of each signal, and of each way of looking back: what an editor offers."""
    aggregates = [
        f"{function}(confidence < 0.5) over 10 turns >= 2"
        if function in ("count", "streak")
        else f"{function}(sentiment) < -0.3"
        for function in FUNCTIONS
    ]
    return [*map(_example, SIGNALS.values()), "sentiment is unknown", "channel not in [chat, voice]", *aggregates]


def call_examples() -> list[str]:
    """Return one comparison of each signal of a tool call."""
    return [*map(_example, CALL_SIGNALS.values()), "args.amount > 100"]


def condition(in_call: bool) -> Schema:
    """Return what a `when` may be, or a condition inside of `tool_call`: a comparison, or one key of conditions."""
    inner = ref("call_condition" if in_call else "condition")
    keys: dict[str, object] = {
        "all": {"description": "every part holds", "type": "array", "minItems": 1, "items": inner},
        "any": {"description": "at least one part holds", "type": "array", "minItems": 1, "items": inner},
        "not": {"description": "the part is known not to hold", **inner},
    }
    if not in_call:
        keys["tool_call"] = {"description": "one tool call of the turn meets all of it", **ref("call_condition")}
    comparison = {
        "type": "string",
        "description": "`signal comparison operand`, as `confidence < 0.5`",
        "pattern": COMPARISON_PATTERN,
        "examples": call_examples() if in_call else comparison_examples(),
    }
    nested = {
        "type": "object",
        "properties": keys,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    return {"anyOf": [comparison, nested]}


_TEXT: Schema = {"type": ["string", "number", "boolean"]}
_NUMBER: Schema = {"type": "number"}
_DURATION: Schema = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["90s", "15m", "2h", "1d"]}
_LEVEL: Schema = {"type": "integer", "minimum": 1, "maximum": LEVEL_MAX}
_LANGUAGE: Schema = {"type": "string", "pattern": LANGUAGE_PATTERN, "examples": ["en", "es", "es-MX"]}

# kind -> what a value of that kind may be. Those that depend on the key itself (`map`, `list`, `word`) are not here.
KINDS: dict[ValueKind, Schema] = {
    "version": {"enum": [int(VERSION), VERSION]},
    "text": _TEXT,
    "texts": {"type": ["array", "null"], "items": _TEXT},
    "number": _NUMBER,
    "count": {"type": "integer", "minimum": 0},
    "duration": _DURATION,
    "number or duration": {"anyOf": [_NUMBER, _DURATION]},
    "bool": {"type": "boolean"},
    "needs": {
        "anyOf": [
            {"type": ["array", "null"], "items": _TEXT},
            {"type": "object", "additionalProperties": _LEVEL},
        ],
        "examples": [["spanish"], {"spanish": 3}],
    },
    "queue": _TEXT,
    "channel": {"type": "string", "pattern": NAME_PATTERN},
    "queues": {"type": ["array", "null"], "items": _TEXT},
    "say": {
        "type": "object",
        "description": "the words, by language",
        "minProperties": 1,
        "propertyNames": {"pattern": LANGUAGE_PATTERN},
        "additionalProperties": _TEXT,
        "examples": [{"en": "Let me bring in a colleague."}],
    },
    "condition": condition(in_call=False),
    "conditions": {"type": "array", "minItems": 1, "items": ref("condition")},
    "percent": {"type": "string", "pattern": r"^\s*\+?\d{1,3}(\.\d{1,9})?\s*%\s*$", "examples": ["10%"]},
    "share": {"type": "string", "pattern": r"^\s*\d{1,4}\s*%\s*$", "examples": ["150%"]},
    "rate": {"type": "string", "pattern": RATE_PATTERN, "examples": ["20 in 10m"]},
    "numbers": {"type": ["object", "null"], "additionalProperties": {"anyOf": [_NUMBER, _DURATION]}},
    "topics": {"type": ["array", "null"], "items": _TEXT},
    "languages": one_or_many(_LANGUAGE),
    "amount": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\$"}]},
}

# The verdicts of which exactly one stands in a `then:`.
ONE_VERDICT: list[Schema] = [{"required": [verdict]} for verdict in RULE_VERDICTS]
