"""An agent's job description as values, and the one table of which verdict each of its acts gets at which stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rules.model import Condition, Mode, Priority, Span, Verdict, Words

Autonomy: TypeAlias = Literal["pilot", "limited", "full"]

# stage -> what people do meanwhile, from the closest watch to none
AUTONOMIES: dict[Autonomy, str] = {
    "pilot": "in the loop: a person approves every reply and every change",
    "limited": "on the loop: it acts, a person looks at every change and at a share of the conversations",
    "full": "alone: a person comes when it leaves its scope or hands over",
}
# Of one conversation in ten people learn what a limited agent is like, for a tenth of what looking at all would cost.
SAMPLE_PERCENT = 10
# Stands between an agent's name and the rest of a generated rule's id; no rule of a file can have it in its own.
ID_SEPARATOR = "/"
UNDESCRIBED_ID = "agents/undescribed"
# No rollout: each rule would be live in other conversations, and a description is whole or it is none.
LIVE, SHADOW = Mode(100), Mode(0)


@dataclass(frozen=True, slots=True)
class Act:
    """A row of ACTS: something an agent does, why a person should know, and what comes of it at each stage."""

    name: str
    why: str
    pilot: Verdict
    limited: Verdict
    full: Verdict
    priority: Priority = "normal"

    def verdict(self, autonomy: Autonomy) -> Verdict:
        """Return what comes of it at that stage."""
        by_stage: dict[Autonomy, Verdict] = {"pilot": self.pilot, "limited": self.limited, "full": self.full}
        return by_stage[autonomy]

    @property
    def differs(self) -> bool:
        """Return whether the stages differ, so that each has a rule of its own."""
        return not self.pilot == self.limited == self.full


def _always(name: str, why: str, verdict: Verdict, priority: Priority = "normal") -> Act:
    return Act(name, why, verdict, verdict, verdict, priority)


# A matter outside the scope goes to a person, an act outside it waits for one. What was done already can only be looked
# at: were it held, a call that a person has approved, and that is then reported as done, would wait a second time.
ACTS: dict[str, Act] = {
    act.name: act
    for act in (
        _always("must-not/tool", "the agent calls a tool that it must never call", "escalate", "high"),
        _always("must-not/topic", "the conversation is about what this agent must not touch", "escalate", "high"),
        _always("hands-over", "here a person takes over, as the agent's description says", "escalate"),
        _always("outside-scope/topic", "the conversation is about something that is not this agent's", "escalate"),
        _always("outside-scope/language", "the customer's language is none that this agent speaks", "escalate"),
        _always("outside-scope/channel", "the conversation takes place where this agent may not speak", "escalate"),
        _always("outside-scope/tool", "the agent wants to call a tool that is not among its own", "hold"),
        _always("outside-scope/write", "the agent wants to change something with a tool that is not for it", "hold"),
        _always("outside-scope/amount", "the agent wants to move more than it may", "hold"),
        _always("outside-scope/source", "the draft rests on a source that is not among this agent's", "hold"),
        _always("outside-scope/no-source", "the draft rests on no source, and this agent must have one", "hold"),
        _always("outside-scope/done", "the agent has done outside its scope what nothing can stop any more", "review"),
        Act("write", "the agent wants to change something", "hold", "review", "continue"),
        Act("reply", "the agent has drafted a reply", "hold", "review", "continue"),
    )
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What an agent may do. None is no limit, an empty list allows nothing.

    A tool of `writes` may be called to change something, one of `tools` to read; `amount_threshold` names the
    threshold that `amount_usd` came from.
    """

    tools: tuple[str, ...] | None = None
    writes: tuple[str, ...] | None = None
    amount_usd: float | int | None = None
    amount_threshold: str | None = None
    topics: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    sources_required: bool = False
    languages: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None

    @property
    def all_tools(self) -> tuple[str, ...] | None:
        """Return every tool that may be called, None where any may."""
        return None if self.tools is None else tuple(dict.fromkeys((*self.tools, *(self.writes or ()))))

    @property
    def reading_tools(self) -> tuple[str, ...]:
        """Return the tools that the description knows to change nothing."""
        if self.tools is None or self.writes is None:
            return ()
        return tuple(tool for tool in self.tools if tool not in self.writes)


@dataclass(frozen=True, slots=True)
class HandOver:
    """A reason to hand over: `name` is the end of its rule's id, `rule_id` the rule that it was taken from."""

    name: str
    why: str
    when: Condition
    span: Span
    rule_id: str | None = None


@dataclass(frozen=True, slots=True)
class AgentDescription:
    """One agent's job description.

    `versions` holds the stage of versions that are not at `autonomy`. `targets` has shares from 0.0 to 1.0, a score
    and `handling_time` in ms, by the names of TARGET_KEYS. `places` tells where each act's limit is written.
    """

    name: str
    agent_id: str
    purpose: str
    owner: str
    autonomy: Autonomy
    to: str
    span: Span
    title: str | None = None
    versions: Mapping[str, Autonomy] = field(default_factory=dict)
    may: Scope = Scope()
    must_not_tools: tuple[str, ...] = ()
    must_not_topics: tuple[str, ...] = ()
    hands_over: tuple[HandOver, ...] = ()
    priority: Priority = "normal"
    say: Words = field(default_factory=dict)
    approved_by: str | None = None
    reviewed_by: str | None = None
    sample_percent: int = SAMPLE_PERCENT
    targets: Mapping[str, float] = field(default_factory=dict)
    mode: Mode = LIVE
    places: Mapping[str, Span] = field(default_factory=dict)

    def queue(self, verdict: Verdict) -> str:
        """Return where such a handoff waits."""
        if verdict == "escalate":
            return self.to
        held = self.approved_by or self.to
        return held if verdict == "hold" else self.reviewed_by or held

    def stage(self, version: str | None) -> Autonomy:
        """Return the stage of a version; one that nobody names is at the stage of the whole description."""
        return self.autonomy if version is None else self.versions.get(version, self.autonomy)
