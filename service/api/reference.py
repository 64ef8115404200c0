"""`/docs` as a page: every address and every field of the OpenAPI description, as HTML and nothing else.

No script and no other host: it is read where there is no internet too, and no stranger's code runs at an address where
people's keys are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

# Nothing is loaded, whatever a description says one day.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_STYLE = """:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}
code,pre{font:14px/1.5 ui-monospace,monospace}pre{white-space:pre-wrap;margin:.5rem 0}
h2{margin:3rem 0 0}h3{margin:2.5rem 0 0}p{margin:.3rem 0}ul{list-style:none;padding:0;margin:.3rem 0}
summary{cursor:pointer;padding:.3rem 0}table{border-collapse:collapse}
td{vertical-align:baseline;padding:.2rem 1rem .2rem 0;border-top:1px solid #8884}td p{margin:0}
@media(max-width:40rem){table,tbody,tr,td{display:block}tr{border-top:1px solid #8884;padding:.3rem 0}
td{border:0;padding:0}td:empty{display:none}}"""
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
_NAMED = re.compile("`([^`]+)`")

Described = Mapping[str, Any]


def page(described: Described) -> str:
    """Return the page of an OpenAPI description."""
    schemas = described["components"]["schemas"]
    return "\n".join(
        (
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
            f"<title>Handrail</title><style>{_STYLE}</style>",
            f"<h1>{escape(described['info']['title'])}</h1>{_prose(described['info']['description'])}",
            "<p>For programs: <a href=openapi.json>openapi.json</a>.</p>",
            *_contents(described),
            *_operations(described),
            "<h2 id=bodies>Bodies and answers</h2>",
            *(part for name, schema in schemas.items() for part in _schema(name, schema)),
            "</html>",
        )
    )


def _prose(text: str) -> str:
    """Return a description as paragraphs, with what stands in backticks as code."""
    paragraphs = (_NAMED.sub(r"<code>\1</code>", escape(each)) for each in text.split("\n\n") if each)
    return "".join(f"<p>{each}</p>" for each in paragraphs)


def _by_tag(described: Described) -> Iterator[tuple[Described, list[tuple[str, Described]]]]:
    """Yield each tag with its operations, each by its method and path."""
    asked = [
        (f"{method.upper()} {path}", operation)
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    ]
    for tag in described["tags"]:
        yield tag, [(name, operation) for name, operation in asked if tag["name"] in operation["tags"]]


def _contents(described: Described) -> Iterator[str]:
    for tag, operations in _by_tag(described):
        yield f"<details open><summary><b>{escape(tag['name'])}</b></summary><ul>"
        for asked, operation in operations:
            link = f"<a href=#{_anchor(asked)}><code>{escape(asked)}</code></a>"
            yield f"<li>{link} {escape(operation['summary'])}"
        yield "</ul></details>"
    yield "<p><a href=#bodies>Bodies and answers</a></p>"


def _anchor(asked: str) -> str:
    """Return the name of an operation in the page's own links: letters, digits and hyphens."""
    return re.sub("[^a-z0-9]+", "-", asked.lower()).strip("-")


def _operations(described: Described) -> Iterator[str]:
    for tag, operations in _by_tag(described):
        yield f"<h2>{escape(tag['name'])}</h2>{_prose(tag['description'])}"
        for asked, operation in operations:
            yield from _operation(asked, operation)


def _operation(asked: str, operation: Described) -> Iterator[str]:
    yield f"<h3 id={_anchor(asked)}><code>{escape(asked)}</code></h3><p><b>{escape(operation['summary'])}</b></p>"
    yield _prose(operation.get("description", ""))
    given = [(each["name"], each["schema"], each["required"]) for each in operation.get("parameters", ())]
    yield from _fields(given)
    for said, media in (("Body", operation.get("requestBody", {})), ("Answer", operation["responses"].get("200", {}))):
        content = media.get("content", {}).get("application/json", {})
        if "schema" in content:
            yield f"<p>{said}: {_kind(content['schema'])}</p>"
        examples = content.get("examples", {"": {"value": content["example"]}} if "example" in content else {})
        for each in examples.values():
            shown = escape(json.dumps(each["value"], indent=2, ensure_ascii=False))
            yield f"<details><summary>{_example(said, each)}</summary><pre>{shown}</pre></details>"
    told = sorted((status, row["description"]) for status, row in operation["responses"].items() if status >= "400")
    if told:
        yield "<details><summary>Problems</summary><table>"
        yield from (f"<tr><td>{escape(status)}<td>{_prose(description)}" for status, description in told)
        yield "</table></details>"


def _example(said: str, example: Described) -> str:
    summary = example.get("summary")
    return f"{said}, an example" if summary is None else f"{said}, an example: {escape(summary)}"


def _schema(name: str, schema: Described) -> Iterator[str]:
    yield f"<h3 id={escape(name)}>{escape(name)}</h3>{_prose(schema.get('description', ''))}"
    required = schema.get("required", ())
    yield from _fields([(field, each, field in required) for field, each in schema.get("properties", {}).items()])


def _fields(fields: list[tuple[str, Described, bool]]) -> Iterator[str]:
    if fields:
        yield "<table>"
        for name, schema, required in fields:
            need = "required" if required else ""
            told = _prose(schema.get("description", ""))
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
