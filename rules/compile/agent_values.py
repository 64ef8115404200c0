"""Nodes of an agent's description to lists, shares, stages and figures; a node of another kind is a problem."""

from __future__ import annotations

import re
from typing import cast

from rules.agents.descriptions import AUTONOMIES, Autonomy
from rules.compile.names import Names
from rules.compile.operands import Wanted, is_language_code, language_hint
from rules.compile.units import note_unit
from rules.compile.values import (
    is_empty,
    read_duration,
    read_keys,
    read_number,
    read_texts,
    read_word,
)
from rules.evaluation.signal_table import CALL_SIGNALS
from rules.files.grammar import number_of
from rules.files.keys import AUTONOMY_KEYS, TARGET_KEYS, KeySpec
from rules.files.nodes import MapNode, Node, TextNode
from rules.files.source import Source

# What an agent may use is written by a person, name by name.
LISTED_MAX = 1_000

_SHARE = re.compile(r"([+-]?\d{1,9}(?:\.\d{1,9})?)\s*%")


def read_words(source: Source, node: Node, what: str) -> list[tuple[TextNode, str]]:
    """Return the words of a list, each once, with their places."""
    words: dict[str, TextNode] = {}
    items = read_texts(source, node, what)
    if len(items) > LISTED_MAX:
        source.refuse("R113", items[LISTED_MAX][0], f"{what} lists {len(items)}, the limit is {LISTED_MAX}")
    for at, text in items[:LISTED_MAX]:
        if is_empty(at) or not text.strip():
            source.refuse("R116", at, f"an item of {what} is empty", "write a name or remove the item")
        else:
            words.setdefault(text, at)
    return [(at, text) for text, at in words.items()]


def read_topic_names(source: Source, node: Node, names: Names) -> list[tuple[TextNode, str]]:
    """Return the topics of a list that some file declares, with their places."""
    found = []
    for at, name in read_words(source, node, "`topics`"):
        names.use("topic", name)
        if name in names.topics:
            found.append((at, name))
        elif not names.is_declared("topic", name):
            names.refuse_unknown("topic", name, names.declared.get("topic", ()), source, at)
    return found


def read_languages(source: Source, node: Node) -> tuple[str, ...]:
    """Return the languages of a list, as the first part of a locale has them."""
    found = []
    words = read_words(source, node, "`languages`")
    for at, word in words:
        if is_language_code(word):
            found.append(word)
            continue
        source.refuse("R109", at, f"`{word}` is no language without a region", language_hint(word))
    if not words and not is_empty(node):
        source.refuse("R116", node, "`languages` is empty", "write at least one, or remove the key")
    return tuple(found)


def read_amount(source: Source, node: Node, names: Names) -> tuple[float | int | None, str | None]:
    """Return an amount in US dollars, and the name of the threshold that it came from."""
    if not isinstance(node, TextNode) or not node.value.startswith("$"):
        amount = read_number(source, node, "`amount_usd`")
        if amount is not None and amount < 0:
            source.refuse("R123", node, f"an amount of {amount:g} is below zero", "write a number of at least 0")
        return amount, None
    name = node.value.removeprefix("$")
    names.use("threshold", name)
    threshold = names.thresholds.get(name)
    if threshold is None:
        if number_of(name) is not None:
            source.refuse("R104", node, f"`{node.value}` is no threshold's name", f"write `{name}`")
        elif not names.is_declared("threshold", name):
            names.refuse_unknown("threshold", name, names.declared.get("threshold", ()), source, node)
        return None, name
    if threshold.is_span:
        message = f"the threshold `{name}` is the time {threshold.written} and `amount_usd` a plain number"
        source.refuse("R123", node, message, "use a threshold that is a number")
    elif threshold.value < 0:
        message = f"the threshold `{name}` is {threshold.written}, which is below zero"
        source.refuse("R123", node, message, "use a threshold of at least 0")
    else:
        note_unit(source, node, name, Wanted(CALL_SIGNALS["amount_usd"], "amount_usd", names))
    return threshold.value, name


def read_autonomy(source: Source, node: Node) -> tuple[Autonomy | None, dict[str, Autonomy]]:
    """Return the stage of an agent, and of the versions that are at another."""
    if isinstance(node, TextNode):
        return _stage(source, node, KeySpec("autonomy", "word", "", choices=tuple(AUTONOMIES))), {}
    values = read_keys(source, node, AUTONOMY_KEYS, "`autonomy`")
    if values is None:
        return None, {}
    default = _stage(source, values["default"], AUTONOMY_KEYS["default"]) if "default" in values else None
    versions: dict[str, Autonomy] = {}
    listed = values.get("versions")
    if listed is not None and (not isinstance(listed, MapNode) or not listed.pairs):
        source.refuse("R116", listed, "`versions` is not a map", 'write `versions: {"2.0": pilot}`')
    for key, value in listed.pairs if isinstance(listed, MapNode) else ():
        stage = _stage(source, value, KeySpec(f"stage of version {key.value}", "word", "", choices=tuple(AUTONOMIES)))
        if not key.value.strip():
            source.refuse("R116", key, "a version without a name", "write what the agent sends as `agent.version`")
        elif stage is not None:
            versions[key.value] = stage
    return default, versions


def _stage(source: Source, node: Node, spec: KeySpec) -> Autonomy | None:
    return cast("Autonomy | None", read_word(source, node, spec))


def read_share(source: Source, node: Node, what: str) -> float | None:
    """Return a percentage as a number from 0.0 to 1.0."""
    written = node.value.strip() if isinstance(node, TextNode) else ""
    found = _SHARE.fullmatch(written)
    if found is not None and 0 <= float(found[1]) <= 100:
        return float(found[1]) / 100
    number = number_of(written)
    if found is not None:
        fact, hint = f"`{what}` is {written}, outside of 0% to 100%", None
    elif number is not None and 0 <= number <= 1:
        fact, hint = f"`{what}` is {written} without `%`", f"write `{number * 100:g}%`"
    elif number is not None and 1 < number <= 100:
        fact, hint = f"`{what}` is {written} without `%`", f"write `{written}%`"
    else:
        fact, hint = f"`{what}` is no percentage", None
    source.refuse("R181", node, fact, hint)
    return None


def read_targets(source: Source, node: Node) -> dict[str, float]:
    """Return the figures that count as success: shares from 0.0 to 1.0, a score, and times in ms."""
    targets: dict[str, float] = {}
    for name, value in (read_keys(source, node, TARGET_KEYS, "`targets`") or {}).items():
        kind = TARGET_KEYS[name].kind
        read = read_share(source, value, name) if kind == "percent" else None
        if kind == "duration":
            read = read_duration(source, value, f"`{name}`")
        elif kind == "number":
            read = read_number(source, value, f"`{name}`")
        if read is not None:
            targets[name] = read
    return targets
