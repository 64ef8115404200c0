"""`/docs` as a page: every address and every field of the OpenAPI description, as HTML and nothing else.

No script and no other host: it is read where there is no internet too, and no stranger's code runs at an address where
people's keys are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

# Nothing is loaded, whatever a description says one day.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code{font:14px ui-monospace,monospace}td,th{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0}
h3{margin:2rem 0 0}p{margin:.3rem 0}:root{color-scheme:light dark}"""
# What a field's limits are called in JSON Schema, and here.
_LIMITS = {
    "minLength": "length from {}",
    "maxLength": "length up to {}",
    "minItems": "items from {}",
    "maxItems": "items up to {}",
    "minimum": "from {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "up to {}",
    "exclusiveMaximum": "less than {}",
}

Described = Mapping[str, Any]


def page(described: Described) -> str:
    """Return the page of an OpenAPI description."""
    return "\n".join(
        (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>Handrail</title><style>{_STYLE}</style>",
            f"<h1>{escape(described['info']['title'])}</h1><p>{escape(described['info']['description'])}</p>",
            "<p>For programs: <a href=openapi.json>openapi.json</a>.</p>",
            *_operations(described),
            "<h2>Bodies and answers</h2>",
            *(part for name, schema in described["components"]["schemas"].items() for part in _schema(name, schema)),
            "</html>",
        )
    )


def _operations(described: Described) -> Iterator[str]:
    for tag in described["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>"
        for path, operations in described["paths"].items():
            for method, operation in operations.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(f"{method.upper()} {path}", operation)


def _operation(asked: str, operation: Described) -> Iterator[str]:
    yield f"<h3><code>{escape(asked)}</code></h3><p><b>{escape(operation['summary'])}</b></p>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    given = [(each["name"], each["schema"], each["required"]) for each in operation.get("parameters", ())]
    yield from _fields(given)
    for said, media in (("Body", operation.get("requestBody", {})), ("Answer", operation["responses"].get("200", {}))):
        schema = media.get("content", {}).get("application/json", {}).get("schema")
        if schema:
            yield f"<p>{said}: {_kind(schema)}</p>"
    told = [row["description"] for status, row in operation["responses"].items() if status >= "400"]
    yield f"<p>Problems: {escape(' '.join(told)) or 'none of its own'}</p>"


def _schema(name: str, schema: Described) -> Iterator[str]:
    yield f"<h3 id={escape(name)}>{escape(name)}</h3><p>{escape(schema.get('description', ''))}</p>"
    required = schema.get("required", ())
    yield from _fields([(field, each, field in required) for field, each in schema.get("properties", {}).items()])


def _fields(fields: list[tuple[str, Described, bool]]) -> Iterator[str]:
    if fields:
        yield "<table>"
        for name, schema, required in fields:
            need = "required" if required else ""
            told = escape(schema.get("description", ""))
            yield f"<tr><td><code>{escape(name)}</code><td>{need}<td>{_kind(schema)}<td>{told}"
        yield "</table>"


def _kind(schema: Described) -> str:
    """Return in words what a value may be; a name leads to its fields."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href=#{name}>{name}</a>"
    kinds = schema.get("anyOf") or schema.get("oneOf")
    if kinds:
        return " or ".join(_kind(each) for each in kinds)
    if "enum" in schema or "const" in schema:
        return ", ".join(f"<code>{escape(str(each))}</code>" for each in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "any value")
    if kind == "array":
        kind = f"list of {_kind(schema.get('items', {}))}"
    elif isinstance(schema.get("additionalProperties"), Mapping):
        kind = f"object of {_kind(schema['additionalProperties'])}"
    return ", ".join((kind, *(words.format(schema[limit]) for limit, words in _LIMITS.items() if limit in schema)))
