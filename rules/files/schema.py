"""JSON Schema of rule files, made of the tables of keys that the compiler reads. Nothing is checked here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache

from rules.cases.schema import tests_schema
from rules.compile.values import NAME_CHARACTERS_MAX
from rules.files.keys import (
    AGENT_KEYS,
    AUTONOMY_KEYS,
    BUDGET_KEYS,
    BUSY_KEYS,
    CALLS_KEYS,
    FILE_KEYS,
    FLOOD_KEYS,
    HAND_OVER_KEYS,
    HANDS_OVER_KEYS,
    MAY_KEYS,
    MODE_KEYS,
    MUST_NOT_KEYS,
    NOTICE_KEYS,
    ON_TIMEOUT_KEYS,
    QUEUE_KEYS,
    QUIET_KEYS,
    RULE_KEYS,
    SIGNAL_KEYS,
    STEP_KEYS,
    TARGET_KEYS,
    THEN_KEYS,
    THRESHOLD_KEYS,
    TIER_KEYS,
    TOPIC_KEYS,
    UNDESCRIBED_KEYS,
    KeySpec,
    KeyTable,
)
from rules.files.schema_kinds import (
    DIALECT,
    HOURS_PATTERN,
    KINDS,
    NAME_PATTERN,
    ONE_VERDICT,
    Schema,
    condition,
    defined,
    keys_of,
    one_or_many,
    ref,
    word,
)

# `id: true` is the name `true`, as any word is.
_NAME: Schema = {"type": ["string", "boolean"], "pattern": NAME_PATTERN, "maxLength": NAME_CHARACTERS_MAX}


def _named(definition: str) -> Schema:
    """Return the schema of a map whose keys are names that the author chose."""
    return {"type": ["object", "null"], "propertyNames": _NAME, "additionalProperties": ref(definition)}


def _items(table: KeyTable) -> Schema:
    return {"type": ["array", "null"], "items": _keys(table)}


def _keys(table: KeyTable) -> Schema:
    return keys_of(table, _value)


# What stands under the keys that hold a map or a list; a test finds the key that lacks its row.
_STRUCTURES: Mapping[str, Callable[[], Schema]] = {
    "thresholds": lambda: _named("threshold"),
    "signals": lambda: _named("signal"),
    "customer": lambda: _named("signal"),
    "topics": lambda: _named("topic"),
    "queues": lambda: _named("queue_declaration"),
    "agents": lambda: _named("agent"),
    "rules": lambda: _items(RULE_KEYS),
    "when_busy": lambda: _items(BUSY_KEYS),
    "budget": lambda: _keys(BUDGET_KEYS),
    "flood": lambda: _keys(FLOOD_KEYS),
    "calls": lambda: _keys(CALLS_KEYS),
    "ladder": lambda: _items(STEP_KEYS),
    "notify": lambda: _items(NOTICE_KEYS),
    "then": lambda: ref("then"),
    "may": lambda: _keys(MAY_KEYS),
    "must_not": lambda: _keys(MUST_NOT_KEYS),
    "hands_over": lambda: _keys(HANDS_OVER_KEYS),
    "targets": lambda: _keys(TARGET_KEYS),
    "versions": lambda: {"type": "object", "minProperties": 1, "additionalProperties": word(AGENT_KEYS["autonomy"])},
}


def rules_schema() -> Schema:
    """Return the schema of a rule file. What it refuses the compiler refuses too; the compiler refuses more."""
    return {
        "$schema": DIALECT,
        "title": "Handrail rule file",
        "description": "When a person should take over from an AI agent. `handrail check` tells what a schema cannot.",
        **_keys(FILE_KEYS),
        "$defs": {**{defined(kind): schema for kind, schema in KINDS.items()}, **_definitions()},
    }


def _definitions() -> dict[str, Schema]:
    undescribed = {**_keys(UNDESCRIBED_KEYS), "minProperties": 1, "maxProperties": 1}
    return {
        "call_condition": condition(in_call=True),
        "threshold": {"anyOf": [ref("number_or_duration"), _keys(THRESHOLD_KEYS)]},
        "signal": {"anyOf": [word(SIGNAL_KEYS["type"]), _keys(SIGNAL_KEYS)]},
        "topic": _topic(),
        "queue_declaration": {**_keys(QUEUE_KEYS), "required": ["answer_within", "on_timeout"]},
        "on_timeout": _on_timeout(),
        "then": {"anyOf": [{"const": "continue"}, {**_keys(THEN_KEYS), "oneOf": ONE_VERDICT}]},
        "tier": _keys(TIER_KEYS),
        "quiet": {"anyOf": [{"type": "string", "pattern": HOURS_PATTERN}, _keys(QUIET_KEYS)]},
        "mode": {"anyOf": [word(RULE_KEYS["mode"]), _keys(MODE_KEYS)]},
        "rollout": {"anyOf": [ref("percent"), {"type": "integer", "minimum": 0, "maximum": 100}]},
        "agent": _keys(AGENT_KEYS),
        "autonomy": {"anyOf": [word(AGENT_KEYS["autonomy"]), _keys(AUTONOMY_KEYS)]},
        "hand-overs": {"type": ["array", "null"], "items": _hand_over()},
        "undescribed": {"anyOf": [{"const": "allow"}, undescribed]},
    }


def _value(spec: KeySpec) -> Schema:
    """Return the schema of the value of one key."""
    if spec.choices and spec.kind in ("word", "words of", "count"):
        return one_or_many(word(spec)) if spec.kind == "words of" else word(spec)
    if spec.kind in ("map", "list"):
        return _STRUCTURES[spec.name]()
    if spec in (RULE_KEYS["id"], HAND_OVER_KEYS["id"], THEN_KEYS["reason_code"]):
        return dict(_NAME)
    return ref("mode" if spec.kind == "rollout" and spec.choices else defined(spec.kind))


def _topic() -> Schema:
    """Return the schema of a topic; one without keys is one that callers find."""
    regulated = {"required": ["regulated"], "properties": {"regulated": {"const": True}}}
    return {"anyOf": [{"type": "null"}, {**_keys(TOPIC_KEYS), "if": regulated, "then": {"required": ["source"]}}]}


def _on_timeout() -> Schema:
    moves_on = {"required": ["verdict"], "properties": {"verdict": {"const": "escalate"}}}
    return {**_keys(ON_TIMEOUT_KEYS), "if": moves_on, "then": {"required": ["queue"]}}


def _hand_over() -> Schema:
    """Return the schema of a reason to hand over: the id of a rule, a condition, or one with its words."""
    return {"anyOf": [{"type": "string", "pattern": r"^[A-Za-z][\w/-]*$"}, ref("condition"), _keys(HAND_OVER_KEYS)]}


# What `handrail schema` and `GET /schema/…` publish, by name.
SCHEMAS: Mapping[str, Callable[[], Schema]] = {"rules": rules_schema, "tests": tests_schema}


@cache
def schema_text(name: str) -> str:
    """Return a schema as the text that is published, always the same: it is committed beside the library too."""
    return json.dumps(SCHEMAS[name](), ensure_ascii=False, indent=2)
