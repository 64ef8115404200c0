"""What Handrail answers, typed. New fields and new words of a newer service are kept, never refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

# A newer service may say a word that is not listed here; `must_stop` still tells an agent what to do.
Verdict: TypeAlias = Literal["continue", "review", "hold", "escalate", "held_by_human"] | str
State: TypeAlias = Literal["waiting", "leased", "held", "resolved", "handed_back", "expired"] | str
Action: TypeAlias = Literal["approve", "edit", "reject", "answer", "take_over", "hand_back", "timeout"] | str
Words: TypeAlias = str | Mapping[str, str]


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _timeout(value: object) -> object:
    return {"verdict": value} if isinstance(value, str) else value


class _Answered(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, populate_by_name=True)


class OnTimeout(_Answered):
    """What is promised when nobody comes by the deadline: `continue`, `deny`, `callback` or `escalate`."""

    verdict: str
    say: Words | None = None
    queue: str | None = None


Timeout = Annotated[OnTimeout, BeforeValidator(_timeout)]


class Wait(_Answered):
    """How long the wait will probably be, in ms: four of five answers come between p10 and p90, half before p50."""

    p10: float | None = None
    p50: float | None = None
    p90: float | None = None


class FiredRule(_Answered):
    """A rule that fired, and the checks behind it as sentences; `reason_code` is the reason's name in your systems."""

    id: str
    why: str = ""
    because: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    reason_code: str | None = None


class Waiting(_Answered):
    """The handoff a decision opened or joined: where it waits, until when, and what happens then."""

    id: str = Field(validation_alias=AliasChoices("id", "handoff_id"))
    queue: str | None = None
    position: int | None = None
    wait_ms: Wait | None = None
    expires_at_ms: int | None = None
    on_timeout: Timeout | None = None


class Reply(_Answered):
    """What an operator said to the customer; `number` counts from 1 within the handoff."""

    number: int | None = None
    text: str
    by: str | None = None
    at_ms: int | None = None


class Resolution(_Answered):
    """How a handoff ended.

    `approve`: send the draft, run the tools. `edit`: use `edited` instead. `reject`: drop them. `answer`: send `text`.
    `take_over`: a person ended the matter with the customer. `hand_back`: go on, with `facts`; `may_retry` tells
    whether the held action may be tried again. `timeout`: nobody came; `verdict` and `say` are the promised ones.
    `turn_id` is the turn whose draft the operator read: send and run only what was held in that one.
    """

    action: Action
    by: str | None = None
    at_ms: int | None = None
    outcome: str | None = None
    text: str | None = None
    edited: Mapping[str, Any] | None = None
    root_cause: str | None = None
    flags: tuple[str, ...] = ()
    facts: Mapping[str, Any] | None = None
    may_retry: bool | None = None
    verdict: str | None = None
    say: Words | None = None
    turn_id: str | None = None


class HumanStretch(_Answered):
    """The end of a person's time with the conversation, and what of their words no earlier answer had carried."""

    handoff_id: str
    kind: str | None = None
    resolution: Resolution
    replies: tuple[Reply, ...] = ()


class Decision(_Answered):
    """The answer to one turn.

    `must_stop`: keep the reply back and do not run the proposed tool calls. `say`: what to tell the customer meanwhile.
    `replies`: what the operator who has the conversation said since the last answer; `after_human`: how that ended.
    `reachable` is false when the service gave no usable answer and this is the answer you declared with
    `on_unreachable`; `because` then says what went wrong. `tries` counts the requests it took.
    """

    verdict: Verdict
    must_stop: StrictBool
    conversation_id: str
    turn_id: str
    decision_id: str | None = None
    rules: tuple[FiredRule, ...] = ()
    say: str | None = None
    ruleset: str | None = None
    degraded: bool = False
    handoff: Waiting | None = None
    replies: tuple[Reply, ...] = ()
    after_human: HumanStretch | None = None
    reachable: bool = True
    because: str | None = None
    tries: int = 1


class Group(_Answered):
    """The flood of the same that a handoff came in. One that `leads` stands for `members` more in the queue."""

    by: str
    who: str | None = None
    rule_id: str | None = None
    leads: bool = False
    leader: str | None = None
    since_at_ms: int | None = None
    members: int | None = None


class Flood(_Answered):
    """A flood: `members` handoffs wait behind `leader`, which stands for them in the queue."""

    queue: str
    by: str
    who: str | None = None
    rule_id: str | None = None
    leader: str | None = None
    since_at_ms: int | None = None
    members: int = 0


class Dealt(_Answered):
    """How many members of a flood were dealt with, and how many are left: ask again while there are any.

    `calls` wait in it besides, which were promised to customers and no answer in writing makes.
    """

    done: int
    left: int
    calls: int = 0


class Call(_Answered):
    """A call that the customer was promised and that nobody has made yet: when, and in which words.

    `after` is the handoff that ended before with the call still owed, None where a busy queue promised it. By
    `due_at_ms` it must have been made, None where the rule files do not say.
    """

    promised_at_ms: int
    say: str | None = None
    after: str | None = None
    due_at_ms: int | None = None


class NeedsChange(_Answered):
    """The skills that an operator had to have before a step of the ladder, and since, each with its level."""

    before: dict[str, int] = Field(default_factory=dict)
    now: dict[str, int] = Field(default_factory=dict)


class PriorityChange(_Answered):
    """The priority before a step of the ladder, and since."""

    before: str
    now: str


class Widened(_Answered):
    """A step of the queue's ladder that acted, named by its `after`; what it left as it was is None or empty."""

    at_ms: int
    after_ms: int
    needs: NeedsChange | None = None
    queues_added: tuple[str, ...] = ()
    languages_dropped: tuple[str, ...] = ()
    priority: PriorityChange | None = None
    paged: str | None = None


class Handoff(_Answered):
    """One conversation's wait for, or time with, a person. `resolution` is there once it has ended.

    `call` is what the customer was promised besides; `call_id` the handoff in which that waits once this one has ended.
    """

    id: str = Field(validation_alias=AliasChoices("id", "handoff_id"))
    state: State
    conversation_id: str | None = None
    kind: str | None = None
    queue: str | None = None
    priority: str | None = None
    opened_at_ms: int | None = None
    expires_at_ms: int | None = None
    resolve_by_ms: int | None = None
    position: int | None = None
    wait_ms: Wait | None = None
    holder: str | None = None
    acknowledged_by: str | None = None
    lease_expires_at_ms: int | None = None
    lease_warn_at_ms: int | None = None
    hold_reason: str | None = None
    say: str | None = None
    reserved_for: str | None = None
    reserved_until_at_ms: int | None = None
    assigned_why: str | None = None
    widened: tuple[Widened, ...] = ()
    version: int | None = None
    on_timeout: Timeout | None = None
    replies: tuple[Reply, ...] = ()
    resolution: Resolution | None = None
    group: Group | None = None
    call: Call | None = None
    call_id: str | None = None

    @property
    def ended(self) -> bool:
        """Return whether nobody is waited for any more."""
        return self.resolution is not None or self.state in ("resolved", "handed_back", "expired")


class ChainTurn(_Answered):
    """One turn of an agent in a chain: what was decided, and the tools whose calls had failed."""

    turn_id: str
    at_ms: int | None = None
    verdict: Verdict | None = None
    tool_errors: tuple[str, ...] = ()


class Station(_Answered):
    """One agent's time with the work of a conversation; `under` is the place of the one that handed it over."""

    agent: str | None = None
    under: int | None = None
    depth: int = 0
    returned: bool = False
    conversation_id: str | None = None
    turns: tuple[ChainTurn, ...] = ()


class Broke(_Answered):
    """Where a chain broke: the turn that asked for a person, its agent, the agents that led to it, and the rules."""

    station: int
    agent: str | None = None
    turn_id: str
    verdict: Verdict
    path: tuple[str | None, ...] = ()
    handoff_id: str | None = None
    rules: tuple[FiredRule, ...] | None = None


class Disagreement(_Answered):
    """Two agents that named one thing differently: `argument`, `amount` or `answer`."""

    kind: str
    name: str
    sentence: str = ""


class Chain(_Answered):
    """Which agents had the work of a conversation, in the order in which they got it, and where it broke."""

    conversation_id: str
    agents: tuple[str, ...] = ()
    handovers: int = 0
    returns: int = 0
    stations: tuple[Station, ...] = ()
    broke: Broke | None = None
    disagreements: tuple[Disagreement, ...] = ()
    calls_not_compared: int = 0
    came_from: tuple[str, ...] = ()


class HandoffPage(_Answered):
    """Some handoffs; ask again with `cursor` for the next ones, None when these were the last."""

    handoffs: tuple[Handoff, ...] = Field(validation_alias=AliasChoices("handoffs", "items"))
    cursor: str | None = Field(default=None, validation_alias=AliasChoices("cursor", "next_cursor", "next"))


class QueueView(_Answered):
    """A queue: how many handoffs wait in it, how many are with an operator, and since when the oldest waits.

    `grouped` more came in floods, and wait behind the ones that stand for those.
    """

    name: str = Field(validation_alias=AliasChoices("name", "queue"))
    title: str | None = None
    waiting: int = 0
    leased: int = 0
    grouped: int = 0
    oldest_opened_at_ms: int | None = None


class Lease(_Answered):
    """The right to work on a handoff, until `expires_at_ms`. `token` goes with every move; it is left out of repr."""

    token: str = Field(repr=False)
    expires_at_ms: int | None = None
    warn_at_ms: int | None = None


class Draft(_Answered):
    """What an operator was writing, or sent too late (`refused`, with its `verb`): kept, and said to nobody yet."""

    by: str
    at_ms: int | None = None
    refused: bool = False
    fields: Mapping[str, Any] = Field(default_factory=dict)


class Packet(_Answered):
    """What a handoff is about at this moment, with what the customer has written since the claim."""

    handoff: Handoff
    packet: Mapping[str, Any] = Field(default_factory=dict)
    drafts: tuple[Draft, ...] = ()


class Claimed(_Answered):
    """A handoff that is now yours, with all that is needed to take it on (`packet`), and what was written before."""

    handoff: Handoff
    lease: Lease
    packet: Mapping[str, Any] = Field(default_factory=dict)
    drafts: tuple[Draft, ...] = ()
