"""An agent's job description to ordinary rules, each at the key of the description that asks for it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rules.agents.descriptions import ACTS, ID_SEPARATOR, UNDESCRIBED_ID, Act, AgentDescription, Autonomy
from rules.model import All, Any, CallMatch, Compare, Condition, Mode, Rule, Span, Then, Topic, Verdict
from rules.turn import Scalar

_BARE = re.compile(r"[^\W\d][\w.\-]*")
_PROPOSED = "status", "=", "proposed"
_DONE = "status", "in", ("ok", "error")


@dataclass(frozen=True, slots=True)
class _Part:
    """One rule in the making: the act, its condition without whose it is, and what follows the act in the rule's id."""

    act: Act
    when: Condition
    span: Span
    end: str = ""
    why: str | None = None


def rules_of(description: AgentDescription, topics: Mapping[str, Topic]) -> tuple[Rule, ...]:
    """Return the rules of one description, in the order of ACTS; `topics` are those that the files declare."""
    made: list[Rule] = []
    for part in _parts(description, topics):
        if part.act.differs:
            for autonomy in dict.fromkeys((description.autonomy, *description.versions.values())):
                made += _rule_of_stage(description, part, autonomy)
        else:
            who = _who(description, part.span)
            made.append(_rule(description, part, part.act.name + part.end, part.act.pilot, who))
    return tuple(made)


def rule_for_undescribed(described: Iterable[str], then: Then, span: Span) -> Rule:
    """Return the rule for agents that nobody describes; an agent that does not say who it is, is one of them."""
    known = tuple(sorted(described))
    unnamed = compare("agent.id", "is unknown", None, span)
    return Rule(
        UNDESCRIBED_ID,
        "no description says what this agent may do",
        Any((unnamed, compare("agent.id", "not in", known, span))),
        then,
        Mode(),
        span,
    )


def compare(
    left: str, operator: str, operand: Scalar | tuple[Scalar, ...] | None, span: Span, threshold: str | None = None
) -> Compare:
    """Return a comparison with the text that an author would have written for it."""
    right = "" if operand is None else _written(operand) if threshold is None else f"${threshold}"
    return Compare(left, operator, operand, f"{left} {operator} {right}".strip(), span, threshold)


def _written(operand: Scalar | tuple[Scalar, ...]) -> str:
    if isinstance(operand, tuple):
        return f"[{', '.join(map(_written, operand))}]"
    if isinstance(operand, bool):
        return "true" if operand else "false"
    if not isinstance(operand, str):
        return f"{operand:.15g}"
    plain = _BARE.fullmatch(operand) is not None and operand not in ("true", "false")
    return operand if plain else '"' + operand.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _rule_of_stage(description: AgentDescription, part: _Part, autonomy: Autonomy) -> Iterator[Rule]:
    """Yield the rule of an act at one stage, none where nothing comes of it there."""
    verdict = part.act.verdict(autonomy)
    if verdict == "continue":
        return
    who = _who(description, part.span, autonomy)
    when = part.when
    if part.act.name == "write" and autonomy == "pilot":
        when = _write(description, part.span, or_unknown=True)
    mode = description.mode
    if part.act.name == "reply" and autonomy == "limited":
        # Of a conversation that is in the sample one look is enough, however long it goes on.
        when = All((part.when, compare("handoffs_count", "=", 0, part.span)))
        mode = Mode(min(mode.percent, description.sample_percent))
    chosen = _Part(part.act, when, part.span)
    yield _rule(description, chosen, f"{autonomy}{ID_SEPARATOR}{part.act.name}", verdict, who, mode)


def _rule(
    description: AgentDescription,
    part: _Part,
    end: str,
    verdict: Verdict,
    who: tuple[Condition, ...],
    mode: Mode | None = None,
) -> Rule:
    handing_over = part.act.name == "hands-over"
    return Rule(
        id=f"{description.name}{ID_SEPARATOR}{end}",
        why=part.why or part.act.why,
        when=All((*who, *(part.when.parts if isinstance(part.when, All) else (part.when,)))),
        then=Then(
            verdict,
            description.queue(verdict),
            description.priority if handing_over else part.act.priority,
            say=description.say if verdict == "escalate" else {},
        ),
        mode=mode or description.mode,
        span=part.span,
    )


def _who(description: AgentDescription, span: Span, autonomy: Autonomy | None = None) -> tuple[Condition, ...]:
    """Return what asks for the agent, and for the versions that are at one stage."""
    agent = compare("agent.id", "=", description.agent_id, span)
    versions = description.versions
    named = tuple(version for version, stage in versions.items() if stage == autonomy)
    others = tuple(version for version, stage in versions.items() if stage != autonomy)
    if autonomy is None:
        return (agent,)
    if autonomy != description.autonomy:
        return (agent, compare("agent.version", "in", named, span))
    if not others:
        return (agent,)
    unnamed = compare("agent.version", "is unknown", None, span)
    return (agent, Any((unnamed, compare("agent.version", "not in", others, span))))


def _parts(description: AgentDescription, topics: Mapping[str, Topic]) -> Iterator[_Part]:
    """Yield what the description limits, in the order of ACTS."""
    found: dict[str, list[_Part]] = {}
    for name, when in (
        *_forbidden(description, topics),
        *_outside(description, topics),
        *_ordinary(description),
    ):
        found.setdefault(name, []).append(_Part(ACTS[name], when, _place(description, name)))
    for one in description.hands_over:
        part = _Part(ACTS["hands-over"], one.when, one.span, f"{ID_SEPARATOR}{one.name}", one.why)
        found.setdefault("hands-over", []).append(part)
    for name in ACTS:
        yield from found.get(name, ())


def _place(description: AgentDescription, name: str) -> Span:
    return description.places.get(name, description.span)


def _forbidden(description: AgentDescription, topics: Mapping[str, Topic]) -> Iterator[tuple[str, Condition]]:
    if description.must_not_tools:
        span = _place(description, "must-not/tool")
        yield "must-not/tool", CallMatch(compare("name", "in", description.must_not_tools, span), span)
    if description.must_not_topics:
        span = _place(description, "must-not/topic")
        asked = [compare("topics", "has", topic, span) for topic in description.must_not_topics]
        drafted = [topic for topic in description.must_not_topics if "reply" in topics[topic].inside]
        yield "must-not/topic", _any([*asked, *(compare("reply_topics", "has", topic, span) for topic in drafted)])


def _outside(description: AgentDescription, topics: Mapping[str, Topic]) -> Iterator[tuple[str, Condition]]:
    """Yield what is outside of the scope: the act and its condition."""
    may = description.may
    yield from _outside_conversation(description, topics)
    proposed: list[Condition] = []
    for name, part in _outside_calls(description):
        span = _place(description, name)
        yield name, CallMatch(All((compare(*_PROPOSED, span), *part)), span)
        proposed.append(All(part) if len(part) > 1 else part[0])
    if proposed:
        span = _place(description, "outside-scope/done")
        yield "outside-scope/done", CallMatch(All((compare(*_DONE, span), _any(proposed))), span)
    if may.sources is not None:
        span = _place(description, "outside-scope/source")
        yield "outside-scope/source", compare("sources", "not within", may.sources, span)
    if may.sources_required:
        span = _place(description, "outside-scope/no-source")
        none = _any([compare("sources_count", "=", 0, span), compare("sources_count", "is unknown", None, span)])
        yield "outside-scope/no-source", All((compare("draft_present", "=", True, span), none))


def _outside_conversation(
    description: AgentDescription, topics: Mapping[str, Topic]
) -> Iterator[tuple[str, Condition]]:
    may = description.may
    if may.topics is not None:
        span = _place(description, "outside-scope/topic")
        # A wish for a person, or a yes, is no matter that an agent could be for.
        meant = tuple(name for name, topic in topics.items() if topic.means is not None and name not in may.topics)
        outside = [compare("topics", "not within", (*may.topics, *meant), span)]
        if any("reply" in topic.inside for topic in topics.values()):
            outside.append(compare("reply_topics", "not within", (*may.topics, *meant), span))
        yield "outside-scope/topic", _any(outside)
    if may.languages is not None:
        span = _place(description, "outside-scope/language")
        yield "outside-scope/language", compare("language", "not in", may.languages, span)
    if may.channels is not None:
        span = _place(description, "outside-scope/channel")
        yield "outside-scope/channel", compare("channel", "not in", may.channels, span)


def _outside_calls(description: AgentDescription) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    """Yield what a call must meet to be outside of the scope, whether it is proposed or done."""
    may = description.may
    if may.all_tools is not None:
        yield "outside-scope/tool", (_other_than(may.all_tools, _place(description, "outside-scope/tool")),)
    if may.writes is not None:
        span = _place(description, "outside-scope/write")
        changes = compare("write", "=", True, span)
        yield "outside-scope/write", (changes, _other_than(may.writes, span)) if may.writes else (changes,)
    if may.amount_usd is not None:
        span = _place(description, "outside-scope/amount")
        yield "outside-scope/amount", (compare("amount_usd", ">", may.amount_usd, span, may.amount_threshold),)


def _ordinary(description: AgentDescription) -> Iterator[tuple[str, Condition]]:
    """Yield what an agent does all day, of which a person knows at some stages."""
    yield "write", _write(description, _place(description, "write"))
    yield "reply", compare("draft_present", "=", True, _place(description, "reply"))


def _write(description: AgentDescription, span: Span, *, or_unknown: bool = False) -> Condition:
    """Return what a proposed call meets that changes something: the caller says so, or the description.

    With `or_unknown` also one of which nobody says whether it does.
    """
    may = description.may
    changes: list[Condition] = [compare("write", "=", True, span)]
    if may.writes:
        changes.append(compare("name", "in", may.writes, span))
    if or_unknown:
        unknown = compare("write", "is unknown", None, span)
        reading = may.reading_tools
        changes.append(All((unknown, _other_than(reading, span))) if reading else unknown)
    return CallMatch(All((compare(*_PROPOSED, span), _any(changes))), span)


def _other_than(tools: tuple[str, ...], span: Span) -> Compare:
    """Return what a call meets whose tool is none of these; every call, where there are none."""
    return compare("name", "not in", tools, span) if tools else compare("name", "is known", None, span)


def _any(parts: Iterable[Condition]) -> Condition:
    several = tuple(parts)
    return several[0] if len(several) == 1 else Any(several)
