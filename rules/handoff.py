"""A handoff, its states and the legal moves between them. Which move to make is decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rules.marks import GROUPED_BEHIND_MS
from rules.model import STOPPING, OnTimeout, Priority, Verdict
from rules.routing.route import Likeness, Route, Wanted
from rules.routing.waits import Told

State: TypeAlias = Literal["waiting", "leased", "held", "resolved", "handed_back", "expired"]

OPEN: frozenset[State] = frozenset({"waiting", "leased", "held"})
ENDED: frozenset[State] = frozenset({"resolved", "handed_back", "expired"})

Kind: TypeAlias = Literal["review", "hold", "escalate"]
# Weakest first. A handoff only grows: a second reason may make a review a hold, and either an escalation.
KINDS: tuple[Kind, ...] = ("review", "hold", "escalate")

# verb -> the states it may start from and the state it ends in, None for the one it was in. The Lua scripts name the
# same verbs, and tests hold the two equal. `lapse` ends the claim of a silent operator, `expire` and `reroute` are what
# a missed deadline does.
MOVES: dict[str, tuple[frozenset[State], State | None]] = {
    "claim": (frozenset({"waiting"}), "leased"),
    "renew": (frozenset({"leased"}), "leased"),
    "resume": (frozenset({"held"}), "leased"),
    "hold": (frozenset({"leased", "held"}), "held"),
    "release": (frozenset({"leased", "held"}), "waiting"),
    "transfer": (frozenset({"leased", "held"}), "waiting"),
    "reply": (frozenset({"leased", "held"}), None),
    "resolve": (frozenset({"leased", "held"}), "resolved"),
    "hand_back": (frozenset({"leased", "held"}), "handed_back"),
    "lapse": (frozenset({"leased", "held"}), "waiting"),
    "expire": (frozenset({"waiting"}), "expired"),
    "reroute": (frozenset({"waiting"}), "waiting"),
}

MOVES_OF_TIME: frozenset[str] = frozenset({"lapse", "expire", "reroute"})

Action: TypeAlias = Literal["approve", "edit", "reject", "answer", "take_over", "hand_back", "timeout"]
# What an operator may answer to `resolve`; `hand_back` and `timeout` are the two other ways in which a handoff ends.
ACTIONS: tuple[Action, ...] = ("approve", "edit", "reject", "answer", "take_over")
# Answers after which the agent sends or runs what was held back.
LETTING_OUT: frozenset[Action] = frozenset({"approve", "edit"})
OutcomeWord: TypeAlias = Literal["needed", "not_needed", "too_late", "unclear"]
OUTCOMES: tuple[OutcomeWord, ...] = ("needed", "not_needed", "too_late", "unclear")
FLAGS: tuple[str, ...] = ("customer_had_to_repeat", "wrong_queue", "missing_context")


# The deadline of what waits until somebody takes it: a moment in the year 2286, so that it sorts behind every other.
# 14 digits, as many as Lua writes out in full.
NO_DEADLINE_AT_MS = 10_000_000_000_000


def moves_from(state: State) -> tuple[str, ...]:
    """Return what people may do to a handoff in this state, in the table's order; what time does is not theirs."""
    return tuple(verb for verb, (starts, _) in MOVES.items() if state in starts and verb not in MOVES_OF_TIME)


@dataclass(frozen=True, slots=True)
class Reason:
    """One decided turn that asked for this handoff; the first opened it, later ones joined.

    `version` is the one that the handoff got by it: whoever claimed an earlier one has not seen this turn.
    `regulated`: a law or rule asks for the person. `bare`: the agent had drafted nothing that could be let out.
    """

    decision_id: str
    turn_id: str
    verdict: Verdict
    rule_ids: tuple[str, ...]
    at_ms: int
    version: int = 1
    regulated: bool = False
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operator said to the customer; `number` counts from 1 within the handoff."""

    number: int
    text: str
    by: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Resolution:
    """How a handoff ended, typed for the waiting agent.

    `turn_id` is the turn whose draft the operator had before them: an approval speaks of that one and of no other.
    `edited` is what to send or run instead: `{"reply": text}` or `{"tool_call": {"name", "args"}}`; `facts` is what the
    operator learned and hands back; `may_retry` tells whether the agent may try the held action again. `verdict` and
    `say` are those of `on_timeout` when nobody came.
    """

    action: Action
    by: str
    at_ms: int
    outcome: OutcomeWord | None = None
    text: str | None = None
    edited: Mapping[str, object] | None = None
    root_cause: str | None = None
    flags: tuple[str, ...] = ()
    facts: Mapping[str, object] | None = None
    may_retry: bool | None = None
    verdict: str | None = None
    say: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class HumanStretch:
    """The time a person had the conversation, as the first turn after it is told: how it ended, and what of the
    operator's replies no earlier answer had carried."""

    handoff_id: str
    kind: Kind
    resolution: Resolution
    replies: tuple[Reply, ...] = ()


@dataclass(frozen=True, slots=True)
class Reroute:
    """Where a handoff moves when nobody came: fixed at its opening, so that a rule change never breaks a promise.

    The moments of `route` are counted from the one at which it comes there.
    """

    queue: str
    answer_within_ms: int
    on_timeout: OnTimeout
    route: Route = field(default_factory=Route)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was promised to the customer and that nobody has made yet: when, and in which words.

    `after` is the handoff that ended before it with the call still owed, None where a busy queue promised it. By
    `due_at_ms` it must have been made; None where nobody said so.
    """

    promised_at_ms: int
    say: str | None = None
    after: str | None = None
    due_at_ms: int | None = None


# Why a handoff was kept for somebody: the freest is offered it, they know the customer, a colleague sent it to them.
KeptAs: TypeAlias = Literal["", "offer", "customer", "sent"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Why this operator got the handoff, and why then: what held at that moment, whatever has changed since.

    `how`: they claimed the next one, or this very one. `classes`: among how many classes of waiting handoffs it was the
    most urgent that they may take. `load` and `capacity` are theirs before it, in weights; a capacity of None is
    unlimited. `priority`, `expires_at_ms` and `wanted`, the text of its class for everybody, are the handoff's then.
    `kept_as`: why it was kept for them; `sent_by` a colleague.
    """

    operator: str
    at_ms: int
    how: Literal["next", "named"]
    classes: int = 1
    load: int = 0
    capacity: int | None = None
    priority: Priority = "normal"
    expires_at_ms: int = 0
    wanted: str = ""
    kept_as: KeptAs = ""
    sent_by: str = ""


@dataclass(frozen=True, slots=True)
class Handoff:
    """One conversation's wait for, or time with, a person. At most one is open in a conversation.

    `score_ms` is the virtual deadline that orders the queue: lower goes first. `version` rises with every move, so a
    token issued for an earlier one is known to be stale. `on_timeout` is what the waiting agent was promised, `told`
    how long it was told to wait when it opened. Only `reserved_for` may claim it until `reserved_until_at_ms`; after
    that anyone may whom `route` lets. `replies_told` is the number of the last reply that an answer has carried.
    `lease_version` is the one with which the present lease began, and its token: an earlier token is stale.
    `lease_began_at_ms` is when it was last extended, or the hold begun.
    `acknowledged_by` has said that they know of it and come; `answered_version` is the one of the last claim or
    acknowledgement: what was to be told of an earlier one is told no more. `assignments` are the last, oldest first.
    `group` is the flood that it is part of; one that `leads` stands for it in the queue, the others are its members.
    `call` is what the customer was promised besides; `call_id`, once it has ended, the handoff in which that waits.
    """

    handoff_id: str
    tenant: str
    conversation_id: str
    kind: Kind
    state: State
    queue: str
    priority: Priority
    opened_at_ms: int
    expires_at_ms: int
    score_ms: int
    on_timeout: OnTimeout
    reasons: tuple[Reason, ...]
    route: Route = field(default_factory=Route)
    customer_id: str | None = None
    version: int = 1
    locale: str | None = None
    holder: str | None = None
    lease_began_at_ms: int | None = None
    lease_expires_at_ms: int | None = None
    lease_version: int | None = None
    claimed_at_ms: int | None = None
    reserved_for: str | None = None
    reserved_until_at_ms: int | None = None
    hold_reason: str | None = None
    reroute: Reroute | None = None
    rerouted: bool = False
    assignments: tuple[Assignment, ...] = ()
    told: Told | None = None
    acknowledged_by: str | None = None
    answered_version: int = 0
    replies: tuple[Reply, ...] = ()
    replies_told: int = 0
    resolution: Resolution | None = None
    ended_at_ms: int | None = None
    group: Likeness | None = None
    leads: bool = False
    call: Call | None = None
    call_id: str | None = None

    @property
    def assignment(self) -> Assignment | None:
        """Return why its last operator got it, None when nobody has had it."""
        return self.assignments[-1] if self.assignments else None


def is_member(handoff: Handoff) -> bool:
    """Return whether a flood's group holds the handoff behind the one that stands for it."""
    return handoff.group is not None and not handoff.leads


def stands_at_ms(handoff: Handoff) -> int:
    """Return where the handoff stands among all that wait: its urgency, a member of a group behind everybody."""
    return handoff.score_ms + (GROUPED_BEHIND_MS if is_member(handoff) else 0)


def deadline(expires_at_ms: int) -> int | None:
    """Return a handoff's deadline as it is told to others, None for what waits until somebody takes it."""
    return None if expires_at_ms >= NO_DEADLINE_AT_MS else expires_at_ms


def group_of(handoff: Handoff) -> Wanted | None:
    """Return the class in which the members of the handoff's group wait, None for one that is in none."""
    return None if handoff.group is None else Wanted((handoff.queue,), group=handoff.group)


def wanted(handoff: Handoff) -> Wanted:
    """Return the class in which the handoff waits. Whom it is kept for needs no skill: somebody chose that person."""
    route, group = handoff.route, group_of(handoff)
    if group is not None and not handoff.leads:
        return group
    queues = (handoff.queue, *route.also)
    if handoff.reserved_for is not None:
        return Wanted(queues, operator=handoff.reserved_for)
    return Wanted(queues, route.needs, route.languages)


def replies_untold(handoff: Handoff) -> tuple[Reply, ...]:
    """Return what the operator said since an answer to a turn last carried their words, in their order."""
    return tuple(reply for reply in handoff.replies if reply.number > handoff.replies_told)


def draft_reason(handoff: Handoff, version: int | None = None) -> Reason | None:
    """Return the newest stop behind the handoff as it was at a version, at the present one for None."""
    stopped = (
        reason
        for reason in reversed(handoff.reasons)
        if reason.verdict in STOPPING and (version is None or reason.version <= version)
    )
    return next(stopped, None)


def draft_turn_id(handoff: Handoff, version: int | None = None) -> str | None:
    """Return the newest turn that was stopped for the handoff as it was at a version; at the present one for None."""
    stopped = draft_reason(handoff, version)
    return None if stopped is None else stopped.turn_id
