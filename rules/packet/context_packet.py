"""The values of a ContextPacket, version 1: what an operator sees of a handoff. They are built and cut elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.decision import Inside
from rules.handoff import Kind
from rules.model import Priority, Verdict
from rules.text.fences import Author
from rules.text.mask import Mask
from rules.text.promises import PromiseKind
from rules.turn import CallStatus, ToolCall

PACKET_VERSION = 1
# Turns whose texts are kept: what a packet shows, and as much again for an operator who scrolls back.
TRANSCRIPT_TURNS_MAX = 60


@dataclass(frozen=True, slots=True)
class TranscriptTurn:
    """One decided turn as it is kept for the operator: its texts, its tool calls and what was decided.

    `reply` is the draft; it went out only when `verdict` did not stop the turn. `beside` is what the caller sent beside
    the texts, under the names that it sent it by; None when that was not kept. No packet shows it.
    """

    turn_id: str
    at_ms: int
    message: str | None
    reply: str | None
    tool_calls: tuple[ToolCall, ...]
    verdict: Verdict
    beside: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Untrusted:
    """Text that somebody else wrote: masked, neutralised and fenced. `masks` are offsets into `text` as it stands."""

    author: Author
    text: str
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True, slots=True)
class WhyCheck:
    """One comparison behind a rule: as the rule file has it, and as a sentence with the value it met."""

    text: str
    sentence: str


@dataclass(frozen=True, slots=True)
class WhyRule:
    """A live rule that fired."""

    rule_id: str
    why: str
    verdict: Verdict
    checks: tuple[WhyCheck, ...]


@dataclass(frozen=True, slots=True)
class Why:
    """One turn that asked for this handoff."""

    decision_id: str
    turn_id: str
    verdict: Verdict
    rules: tuple[WhyRule, ...]


@dataclass(frozen=True, slots=True)
class DraftCall:
    """A tool call that waits for the operator's word; `args` is JSON text."""

    name: str
    args: Untrusted | None
    write: bool | None
    amount_usd: float | None


@dataclass(frozen=True, slots=True)
class Draft:
    """What the agent wanted to send and run in the turn that was stopped, in full unless the packet says it was cut."""

    turn_id: str
    reply: Untrusted | None
    tool_calls: tuple[DraftCall, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """What the operator is asked to do, by when (None for any time), and what the agent was told happens otherwise."""

    kind: Kind
    sentence: str
    actions: tuple[str, ...]
    answer_by_ms: int | None
    on_timeout: str
    draft: Draft | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the customer wanted: their first words and their last."""

    first: Untrusted | None
    last: Untrusted | None


@dataclass(frozen=True, slots=True)
class PacketTurn:
    """One turn of the window. `sent` tells whether the reply reached the customer, `calls` reads `name: status`."""

    turn_id: str
    at_ms: int
    verdict: Verdict
    message: Untrusted | None
    reply: Untrusted | None
    sent: bool
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """A tool call that was done, and how it ended."""

    turn_id: str
    name: str
    args: Untrusted | None
    status: CallStatus
    error: Untrusted | None
    write: bool | None
    amount_usd: float | None


@dataclass(frozen=True, slots=True)
class Promised:
    """A sentence in which the agent committed itself. Not `sent`: it stood in a draft that was held back."""

    turn_id: str
    kind: PromiseKind
    sentence: Untrusted
    sent: bool
    conditional: bool


@dataclass(frozen=True, slots=True)
class NamedId:
    """An id that occurs in the turns, and the turn in which it came up last."""

    kind: str
    value: Untrusted
    last_turn_id: str


@dataclass(frozen=True, slots=True)
class Found:
    """A topic that was found in a text of the conversation; `excerpt` is the words it was found in.

    They are the writer's own words, None where the text is no longer kept: a pattern of a rule file tells an operator
    nothing. `start` and `end` are offsets into that text as this packet shows it, None where it does not show it.
    """

    topic: str
    turn_id: str
    inside: Inside
    excerpt: Untrusted | None
    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class ChainStation:
    """One agent's time with the work; `under` is the place of the station that handed it over.

    `place` counts from 0 in the whole chain. Without turns the agent is only known because another named it, or works
    in another conversation. `verdicts` and `tool_errors` read `name: count`. `returned`: it had the work before.
    """

    place: int
    agent: str | None
    under: int | None
    depth: int
    turns: int
    first_turn_id: str | None
    last_turn_id: str | None
    verdicts: tuple[str, ...]
    tool_errors: tuple[str, ...]
    returned: bool
    conversation_id: str | None


@dataclass(frozen=True, slots=True)
class Broke:
    """Where the chain broke: the agent whose turn first asked for a person, by which rules, and the way to it."""

    station: int
    agent: str | None
    turn_id: str
    verdict: Verdict
    rule_ids: tuple[str, ...]
    path: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class PacketChain:
    """Which agents had the work, in the order in which they got it, and where it broke; None when that is gone.

    `disagreements` are sentences, and so are `odd`: parents that could not be followed.
    """

    handovers: int
    returns: int
    stations: tuple[ChainStation, ...]
    broke: Broke | None
    disagreements: tuple[str, ...]
    odd: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextPacket:
    """All that an operator needs of a handoff, within PACKET_BYTES_MAX. `cut` says what was left out to fit, in words.

    `notice` explains the fences to whoever, or whatever, reads the packet. `drill`: nobody waits, it is a fire drill.
    `chain`: the agents that had the work, None where it was one.
    """

    version: int
    notice: str
    handoff_id: str
    conversation_id: str
    queue: str
    priority: Priority
    locale: str | None
    opened_at_ms: int
    built_at_ms: int
    task: Task
    why: tuple[Why, ...]
    asked: Asked
    transcript: tuple[PacketTurn, ...]
    tried: tuple[Tried, ...]
    promises: tuple[Promised, ...]
    entities: tuple[NamedId, ...]
    found: tuple[Found, ...]
    cut: tuple[str, ...] = ()
    drill: bool = False
    chain: PacketChain | None = None
