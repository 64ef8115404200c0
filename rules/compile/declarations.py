"""What rule files declare besides rules and queues: thresholds, signals, topics; each mistake is told at its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, cast
from zoneinfo import ZoneInfo

from rules.compile.names import Names, Threshold
from rules.compile.say import tell_of_quotes
from rules.compile.values import (
    is_empty,
    read_bool,
    read_declared,
    read_keys,
    read_number,
    read_text,
    read_texts,
    read_word,
)
from rules.evaluation.call_values import SignalType
from rules.evaluation.signal_table import CUSTOMER_PREFIX, MEANINGS, SIGNALS, SignalSpec
from rules.files.grammar import duration_ms
from rules.files.keys import (
    FILE_KEYS,
    SIGNAL_KEYS,
    THRESHOLD_KEYS,
    TOPIC_KEYS,
)
from rules.files.meant import span_meant
from rules.files.nodes import ListNode, MapNode, Node, TextNode
from rules.files.source import Source
from rules.findings.topics import tell_of_patterns, tell_of_phrases
from rules.model import SignalDeclaration, Topic
from rules.text.normalise import normalise
from rules.text.patterns import pattern_problem
from rules.text.phrases import phrase_problem


def read_thresholds(source: Source, node: Node, names: Names) -> None:
    """Add the thresholds of one file to the names."""
    for key, value in read_declared(source, node, "`thresholds`"):
        if names.declare("threshold", key.value, source, key):
            threshold = _threshold(source, key, value)
            if threshold is not None:
                names.thresholds[key.value] = threshold


def read_signals(source: Source, node: Node, names: Names) -> None:
    """Add the signals that one file declares to the names."""
    for key, value in read_declared(source, node, "`signals`"):
        _declare_signal(source, key, value, key.value, names)


def read_customer(source: Source, node: Node, names: Names) -> None:
    """Add the customer's attributes that one file declares to the names."""
    for key, value in read_declared(source, node, "`customer`"):
        _declare_signal(source, key, value, f"{CUSTOMER_PREFIX}{key.value}", names)


def read_topics(source: Source, node: Node, names: Names) -> None:
    """Add the topics of one file to the names."""
    for key, value in read_declared(source, node, "`topics`"):
        if names.declare("topic", key.value, source, key):
            names.topics[key.value] = _topic(source, key, value, names)


def read_timezone(source: Source, node: Node) -> str | None:
    """Return the name of a time zone that exists."""
    name = read_text(source, node, "`timezone`")
    if name is None or name == "UTC":
        return name
    try:
        ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        source.refuse("R109", node, f"`{name}` is no time zone", "write a name such as `Europe/Madrid` or `UTC`")
        return None
    return name


def read_approvals(source: Source, node: Node) -> int | None:
    """Return how many persons must stand behind a version that is to decide."""
    word = read_word(source, node, FILE_KEYS["approvals"])
    return None if word is None else int(word)


def _threshold(source: Source, key: TextNode, node: Node) -> Threshold | None:
    """Return a threshold within its own limits."""
    what = f"the threshold `{key.value}`"
    if not isinstance(node, MapNode):
        return _amount(source, node, what)
    values = read_keys(source, node, THRESHOLD_KEYS, what)
    if values is None or "value" not in values:
        return None
    if "why" in values:
        read_text(source, values["why"], "`why`")
    threshold = _amount(source, values["value"], what)
    low = _amount(source, values["min"], "`min`") if "min" in values else None
    high = _amount(source, values["max"], "`max`") if "max" in values else None
    if threshold is None:
        return None
    for limit, name in ((low, "min"), (high, "max")):
        if limit is not None and limit.is_span != threshold.is_span:
            message = f"{what} is {threshold.written} and its `{name}` {limit.written}: one is a time, one is not"
            source.refuse("R161", values[name], message, "write both as times or both as numbers")
            return None
    if low is not None and high is not None and low.value > high.value:
        source.refuse("R161", values["min"], f"`min` {low.written} is above `max` {high.written}", "swap the two")
    elif low is not None and threshold.value < low.value:
        source.refuse("R161", values["value"], f"{what} is {threshold.written}, below its `min` {low.written}")
    elif high is not None and threshold.value > high.value:
        source.refuse("R161", values["value"], f"{what} is {threshold.written}, above its `max` {high.written}")
    return replace(threshold, limits=(low.value if low else None, high.value if high else None))


def _amount(source: Source, node: Node, what: str) -> Threshold | None:
    """Return a number, or the milliseconds of a time."""
    if isinstance(node, TextNode):
        span_ms, meant = duration_ms(node.value), span_meant(node.value)
        if span_ms is not None and node.style is None:
            return Threshold(span_ms, node.value, True, at=node)
        if span_ms is not None or meant is not None:
            quoted = " without quotes" if node.style is not None else ""
            source.refuse("R116", node, f"{what} is `{node.value}`", f"write `{meant or node.value}`{quoted}")
            return None
    number = read_number(source, node, what)
    return None if number is None or not isinstance(node, TextNode) else Threshold(number, node.value, False, at=node)


def _declare_signal(source: Source, key: TextNode, node: Node, name: str, names: Names) -> None:
    if name in SIGNALS:
        source.refuse("R107", key, f"`{name}` is a signal of Handrail already", "use it as it is, or rename yours")
        return
    if not names.declare("signal", name, source, key):
        return
    type_node, why = node, None
    if isinstance(node, MapNode):
        values = read_keys(source, node, SIGNAL_KEYS, f"the signal `{key.value}`")
        if values is None or "type" not in values:
            return
        type_node = values["type"]
        why = read_text(source, values["why"], "`why`") if "why" in values else None
    kind = cast("SignalType | None", read_word(source, type_node, SIGNAL_KEYS["type"]))
    if kind is None:
        return
    names.declarations[name] = SignalDeclaration(name, kind, why)
    unit: Literal["ms"] | None = "ms" if kind == "number" and name.endswith("_ms") else None
    names.signals[name] = SignalSpec(name, kind, unit, "declared", why or "declared by a rule file", recorded=True)


def _topic(source: Source, key: TextNode, node: Node, names: Names) -> Topic:
    """Return the topic as far as it can be read, so that rules that ask for it are not told that it is unknown."""
    name = key.value
    # A topic without words of its own is one that the caller finds.
    values = {} if is_empty(node) else read_keys(source, node, TOPIC_KEYS, f"the topic `{name}`")
    if not values:
        # What is wrong with the topic may be what it means.
        names.meanings.update(() if is_empty(node) else MEANINGS)
        return Topic(name)
    regulated = bool(read_bool(source, values["regulated"], "`regulated`")) if "regulated" in values else False
    law = read_text(source, values["source"], "`source`") if "source" in values else None
    if "why" in values:
        read_text(source, values["why"], "`why`")
    if regulated and "source" not in values:
        source.refuse("R150", values["regulated"], f"the regulated topic `{name}` names no `source`")
    means = read_word(source, values["means"], TOPIC_KEYS["means"]) if "means" in values else None
    if "means" in values:
        names.meanings.update(MEANINGS if means is None else (means,))
    if means is not None:
        names.use("topic", name)
    phrases = _phrases(source, values.get("phrases"), "`phrases`")
    unless = _phrases(source, values.get("unless"), "`unless`")
    tell_of_phrases(source, phrases, unless)
    patterns = _patterns(source, values.get("patterns"))
    tell_of_patterns(source, patterns)
    for kind, nodes in (("phrase", (*phrases, *unless)), ("pattern", patterns)):
        for at in nodes:
            tell_of_quotes(source, at, f"this {kind}", "so it is found only where a customer types them")
    return Topic(
        name,
        regulated,
        law,
        phrases=tuple(node.value for node in phrases),
        patterns=tuple(node.value for node in patterns),
        unless=tuple(node.value for node in unless),
        means=means,
        inside=_inside(source, values.get("inside")),
    )


def _phrases(source: Source, node: Node | None, what: str) -> list[TextNode]:
    return _distinct(source, node, what, "phrase", phrase_problem, "R152")


def _patterns(source: Source, node: Node | None) -> list[TextNode]:
    return _distinct(source, node, "`patterns`", "pattern", pattern_problem, "R151")


def _distinct(
    source: Source, node: Node | None, what: str, kind: str, refused: Callable[[str], str | None], code: str
) -> list[TextNode]:
    """Return the texts of a list that can be used, each once."""
    first: dict[str, TextNode] = {}
    for at, text in read_texts(source, node, what) if node is not None else []:
        problem = refused(text)
        same = normalise(text) if kind == "phrase" else text
        if problem is not None:
            fact, _, advice = problem.partition("; ")
            source.refuse(code, at, f"this {kind} is refused: {fact}", advice or None)
        elif same in first:
            source.refuse("W208", at, f"this {kind} stands in line {first[same].line} already")
        else:
            first[same] = at
    return list(first.values())


def _inside(source: Source, node: Node | None) -> frozenset[str]:
    spec = TOPIC_KEYS["inside"]
    if node is None:
        return frozenset({"message"})
    if isinstance(node, ListNode) and not node.items:
        source.refuse("R116", node, "`inside` is empty", "write `inside: [message]`, or remove the key")
    items = node.items if isinstance(node, ListNode) else [node]
    words = [read_word(source, item, spec) for item in items]
    return frozenset(word for word in words if word is not None) or frozenset({"message"})
