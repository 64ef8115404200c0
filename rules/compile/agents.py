"""The `agents:` of one file to descriptions and the rules they come to; each mistake is told at its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from rules.agents.descriptions import ID_SEPARATOR, LIVE, SAMPLE_PERCENT, SHADOW, AgentDescription, HandOver, Scope
from rules.agents.rules import rule_for_undescribed, rules_of
from rules.compile.agent_values import (
    read_amount,
    read_autonomy,
    read_languages,
    read_share,
    read_targets,
    read_topic_names,
    read_words,
)
from rules.compile.conditions import read_condition
from rules.compile.names import Names
from rules.compile.rules import is_regulated, read_queue_name, refuse_silence, refuse_unanswered
from rules.compile.say import read_say
from rules.compile.values import (
    did_you_mean,
    is_empty,
    is_name,
    read_bool,
    read_declared,
    read_keys,
    read_list,
    read_text,
    read_word,
)
from rules.files.keys import AGENT_KEYS, HAND_OVER_KEYS, HANDS_OVER_KEYS, MAY_KEYS, MUST_NOT_KEYS, UNDESCRIBED_KEYS
from rules.files.nodes import MapNode, Node, TextNode
from rules.files.source import Source
from rules.model import STOPPING, Priority, Rule, Span, Then, Verdict

# A description comes to about ten rules, and a page that somebody signs.
AGENTS_MAX = 1_000

_ALLOW = "allow"
_ONE_WORD = re.compile(r"[A-Za-z][\w/-]*")
# Which key of `may` says where the limit of an act is written.
_LIMITS = {
    "tools": "outside-scope/tool",
    "writes": "outside-scope/write",
    "amount_usd": "outside-scope/amount",
    "topics": "outside-scope/topic",
    "sources": "outside-scope/source",
    "sources_required": "outside-scope/no-source",
    "languages": "outside-scope/language",
    "channels": "outside-scope/channel",
}


@dataclass(slots=True)
class Described:
    """What all files together say of agents, as far as it was read; `rules` are those that the files write out."""

    rules: Mapping[str, Rule]
    agents: dict[str, AgentDescription] = field(default_factory=dict)
    made: list[Rule] = field(default_factory=list)
    # The ids that agents send -> the name that describes them.
    ids: dict[str, str] = field(default_factory=dict)
    undescribed: tuple[Source, Node] | None = None


@dataclass(slots=True)
class _Reading:
    """One description being read: where, what is known around it, and where its limits are written."""

    source: Source
    names: Names
    described: Described
    places: dict[str, Span] = field(default_factory=dict)


def read_agents(source: Source, node: Node, names: Names, described: Described) -> None:
    """Add the agents of one file, and the rules that their descriptions come to."""
    entries = read_declared(source, node, "`agents`")
    if len(entries) > AGENTS_MAX:
        source.refuse("R113", entries[AGENTS_MAX][0], f"{len(entries)} agents in one file, the limit is {AGENTS_MAX}")
    for key, value in entries[:AGENTS_MAX]:
        if not names.declare("agent", key.value, source, key):
            continue
        reading = _Reading(source, names, described)
        description = _description(reading, key, value)
        if description is not None:
            described.agents[key.value] = description
            described.made += _rules(reading, key, value, description)


def read_undescribed(source: Source, node: Node, names: Names, described: Described) -> None:
    """Add what comes of agents that no file describes; all agents have been read."""
    if described.undescribed is not None:
        first, at = described.undescribed
        source.refuse_again(node, "`undescribed_agents` is written twice", first, at)
        return
    described.undescribed = (source, node)
    if isinstance(node, TextNode) and node.value == _ALLOW:
        return
    values = read_keys(source, node, UNDESCRIBED_KEYS, "`undescribed_agents`") if isinstance(node, MapNode) else None
    if values is None or len(values) != 1:
        hint = f"write `{_ALLOW}`, or `{{hold: QUEUE}}` with `review`, `hold` or `escalate`"
        source.refuse("R116", node, "`undescribed_agents` does not say what comes of them", hint)
        return
    verdict, at = cast("tuple[Verdict, Node]", next(iter(values.items())))
    queue = read_queue_name(source, at, names)
    if not names.declared.get("agent"):
        source.refuse("R183", at, "no agent is described, so every turn of every agent would be meant")
    elif queue is not None:
        then = Then(verdict, queue)
        if verdict in STOPPING:
            refuse_silence(source, at, then, names, "`undescribed_agents`")
        described.made.append(rule_for_undescribed(described.ids, then, source.span(at)))


def _rules(reading: _Reading, key: TextNode, node: Node, description: AgentDescription) -> list[Rule]:
    """Return the rules of a description, and note the queues that keep silent when they stop a turn."""
    source, names = reading.source, reading.names
    rules = [replace(rule, regulated=is_regulated(rule.when, names)) for rule in rules_of(description, names.topics)]
    told: set[str | None] = set()
    for rule in rules:
        at = _queue_node(node, rule.then.verdict) or key
        if rule.regulated:
            refuse_unanswered(source, at, rule.then, names)
        if rule.then.verdict in STOPPING and not rule.then.say and rule.then.queue not in told:
            told.add(rule.then.queue)
            refuse_silence(source, at, rule.then, names, f"the agent `{key.value}`")
    if not rules:
        source.refuse("W230", key, f"the description of `{key.value}` limits nothing, so no rule comes of it")
    return rules


def _queue_node(node: Node, verdict: Verdict) -> Node | None:
    """Return where the queue of such handoffs is named."""
    if not isinstance(node, MapNode):
        return None
    hands_over = node.get("hands_over")
    to = hands_over.get("to") if isinstance(hands_over, MapNode) else None
    return to if verdict == "escalate" else node.get("approved_by") or to


def _description(reading: _Reading, key: TextNode, node: Node) -> AgentDescription | None:
    """Return the description, None when anything that its rules rest on is wrong."""
    source, names = reading.source, reading.names
    errors = len(source.problems)
    values = read_keys(source, node, AGENT_KEYS, f"the agent `{key.value}`")
    if values is None:
        return None
    texts = {name: read_text(source, values[name], f"`{name}`") for name in _TEXTS if name in values}
    agent_id = texts.get("id") or key.value
    _declare_id(reading, values.get("id", key), agent_id, key.value)
    autonomy, versions = read_autonomy(source, values["autonomy"]) if "autonomy" in values else (None, {})
    for stage in ("reply", "write"):
        reading.places[stage] = source.span(values["autonomy"]) if "autonomy" in values else source.span(key)
    may = _may(reading, values["may"]) if "may" in values else Scope()
    tools, topics = _must_not(reading, values["must_not"], may) if "must_not" in values else ((), ())
    over = _hands_over(reading, values["hands_over"]) if "hands_over" in values else None
    queues = {name: read_queue_name(source, values[name], names) for name in _QUEUES if name in values}
    sample = read_share(source, values["sample"], "sample") if "sample" in values else SAMPLE_PERCENT / 100
    targets = read_targets(source, values["targets"]) if "targets" in values else {}
    mode = read_word(source, values["mode"], AGENT_KEYS["mode"]) if "mode" in values else "live"
    if any(problem.severity == "error" for problem in source.problems[errors:]):
        return None
    if autonomy is None or over is None or over.to is None or mode is None or sample is None:
        return None
    return AgentDescription(
        name=key.value,
        agent_id=agent_id,
        purpose=texts.get("purpose") or "",
        owner=texts.get("owner") or "",
        autonomy=autonomy,
        to=over.to,
        span=source.span(key),
        title=texts.get("title"),
        versions=versions,
        may=may,
        must_not_tools=tools,
        must_not_topics=topics,
        hands_over=tuple(over.when),
        priority=over.priority,
        say=over.say,
        approved_by=queues.get("approved_by"),
        reviewed_by=queues.get("reviewed_by"),
        sample_percent=round(sample * 100),
        targets=targets,
        mode=LIVE if mode == "live" else SHADOW,
        places=reading.places,
    )


_TEXTS = ("id", "title", "purpose", "owner")
_QUEUES = ("approved_by", "reviewed_by")


def _declare_id(reading: _Reading, node: Node, agent_id: str, name: str) -> None:
    first = reading.described.ids.setdefault(agent_id, name)
    if first != name:
        message = f"the agent `{agent_id}` is described by `{first}` already"
        reading.source.refuse("R107", node, message, "describe an agent once, or correct one of the two ids")


def _may(reading: _Reading, node: Node) -> Scope:
    source, names = reading.source, reading.names
    values = read_keys(source, node, MAY_KEYS, "`may`") or {}
    for name, value in values.items():
        reading.places[_LIMITS[name]] = source.span(value)
        # What is done already is outside of whatever limits calls, so it stands where the first of these does.
        if name in ("tools", "writes", "amount_usd"):
            reading.places.setdefault("outside-scope/done", source.span(value))
    amount, threshold = read_amount(source, values["amount_usd"], names) if "amount_usd" in values else (None, None)
    required = values.get("sources_required")
    return Scope(
        tools=_listed(source, values, "tools"),
        writes=_listed(source, values, "writes"),
        amount_usd=amount,
        amount_threshold=threshold,
        topics=_texts(read_topic_names(source, values["topics"], names)) if "topics" in values else None,
        sources=_listed(source, values, "sources"),
        sources_required=required is not None and bool(read_bool(source, required, "`sources_required`")),
        languages=read_languages(source, values["languages"]) if "languages" in values else None,
        channels=_listed(source, values, "channels"),
    )


def _listed(source: Source, values: Mapping[str, Node], name: str) -> tuple[str, ...] | None:
    return _texts(read_words(source, values[name], f"`{name}`")) if name in values else None


def _texts(words: Iterable[tuple[TextNode, str]]) -> tuple[str, ...]:
    return tuple(text for _, text in words)


def _must_not(reading: _Reading, node: Node, may: Scope) -> tuple[tuple[str, ...], tuple[str, ...]]:
    source, names = reading.source, reading.names
    values = read_keys(source, node, MUST_NOT_KEYS, "`must_not`") or {}
    for name, value in values.items():
        reading.places[f"must-not/{name.removesuffix('s')}"] = source.span(value)
    tools = read_words(source, values["tools"], "`tools`") if "tools" in values else []
    topics = read_topic_names(source, values["topics"], names) if "topics" in values else []
    allowed = {*(may.tools or ()), *(may.writes or ())}
    for at, tool in tools:
        if tool in allowed:
            source.refuse("R180", at, f"the agent may call `{tool}`, and must never call it")
    for at, topic in topics:
        if topic in (may.topics or ()):
            source.refuse("R180", at, f"the agent may speak of `{topic}`, and must not")
    return _texts(tools), _texts(topics)


@dataclass(slots=True)
class _HandsOver:
    """What `hands_over` says."""

    to: str | None = None
    when: list[HandOver] = field(default_factory=list)
    priority: Priority = "normal"
    say: dict[str, str] = field(default_factory=dict)


def _hands_over(reading: _Reading, node: Node) -> _HandsOver | None:
    source, names = reading.source, reading.names
    values = read_keys(source, node, HANDS_OVER_KEYS, "`hands_over`")
    if values is None:
        return None
    over = _HandsOver(to=read_queue_name(source, values["to"], names) if "to" in values else None)
    if "priority" in values:
        over.priority = cast(Priority, read_word(source, values["priority"], HANDS_OVER_KEYS["priority"]) or "normal")
    if "say" in values:
        over.say = read_say(source, values["say"])
    taken: dict[str, int] = {}
    for number, item in enumerate(read_list(source, values["when"], "`when`") if "when" in values else [], start=1):
        one = _hand_over(reading, item, number)
        if one is not None and one.name in taken:
            message = f"two reasons to hand over are called `{one.name}`, first in line {taken[one.name]}"
            source.refuse("R107", item, message, "give one of the two another `id:`")
        elif one is not None:
            taken[one.name] = item.line
            over.when.append(one)
    return over


def _hand_over(reading: _Reading, item: Node, number: int) -> HandOver | None:
    """Return one reason to hand over: a condition, one with its why, or that of a rule."""
    source, names = reading.source, reading.names
    span = source.span(item)
    if isinstance(item, TextNode) and not is_empty(item) and _ONE_WORD.fullmatch(item.value):
        return _of_rule(reading, item, span)
    name, why, node = str(number), "", item
    if isinstance(item, MapNode) and any(key.value in HAND_OVER_KEYS for key, _ in item.pairs):
        values = read_keys(source, item, HAND_OVER_KEYS, "a reason to hand over") or {}
        if "when" not in values:
            return None
        why = read_text(source, values["why"], "`why`") or "" if "why" in values else ""
        at = values.get("id")
        if isinstance(at, TextNode) and is_name(source, at):
            name = at.value
        elif at is not None and not isinstance(at, TextNode):
            source.refuse("R116", at, "`id` is not a text", "write one name here")
        node = values["when"]
    told_before = len(source.problems)
    condition = read_condition(source, node, names)
    if any(problem.code in ("R131", "W205") for problem in source.problems[told_before:]):
        names.told_of.add(span)
    return None if condition is None else HandOver(name, why, condition, span)


def _of_rule(reading: _Reading, item: TextNode, span: Span) -> HandOver | None:
    """Return the condition of a rule that a file writes out, by its id."""
    rule = reading.described.rules.get(item.value)
    if rule is not None:
        return HandOver(rule.id, rule.why, rule.when, span, rule.id)
    # A rule with a mistake in it was told where it stands, and one in a torn file may well be there.
    if not reading.names.is_declared("rule", item.value) and not reading.names.torn:
        known = [name for name in reading.described.rules if ID_SEPARATOR not in name]
        near = did_you_mean(reading.source, item.value, known)
        hint = near or "write the id of a rule, or a comparison such as `confidence < 0.4`"
        reading.source.refuse("R182", item, f"unknown rule `{item.value}`", hint)
    return None
