"""What operators and waiting agents do with handoffs: every verb reads, thinks, and writes once."""

from __future__ import annotations

from dataclasses import dataclass

from rules.evaluate import Ruleset
from rules.handoff import Action, Handoff, OutcomeWord, State
from rules.packet import ContextPacket
from service.store.store import Store


@dataclass(frozen=True, slots=True)
class Page:
    """One page of open handoffs, most urgent first; `cursor` asks for the next one, None on the last."""

    handoffs: tuple[Handoff, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue as operators see it. `declared` is false when the active rule files no longer name it."""

    name: str
    title: str | None
    waiting: int
    leased: int
    oldest_opened_at_ms: int | None
    declared: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """A handoff that this operator now holds, what it is about, and the token that proves the hold."""

    handoff: Handoff
    packet: ContextPacket
    token: str
    lease_expires_at_ms: int


@dataclass(frozen=True, slots=True)
class NothingWaiting:
    """Nothing in the queue that this operator may claim."""

    queue: str


@dataclass(frozen=True, slots=True)
class Lease:
    """What an operator shows to move a handoff. A retry with the same `request_id` is done once."""

    handoff_id: str
    token: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Resolving:
    """What the operator decided; see rules.handoff.Resolution for the fields."""

    action: Action
    outcome: OutcomeWord
    text: str | None = None
    edited: dict[str, object] | None = None
    root_cause: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HandingBack:
    """What the agent gets back with the conversation; see rules.handoff.Resolution for the fields."""

    facts: dict[str, object] | None = None
    may_retry: bool | None = None
    text: str | None = None
    outcome: OutcomeWord | None = None


async def get(store: Store, tenant: str, handoff_id: str) -> Handoff:
    """Return a handoff, or raise HandoffUnknown."""
    raise NotImplementedError


async def list_open(
    store: Store, tenant: str, queue: str | None, state: State | None, cursor: str | None, limit: int
) -> Page:
    """Return a page of open handoffs; raises CursorInvalid."""
    raise NotImplementedError


async def queues(store: Store, ruleset: Ruleset, tenant: str) -> list[QueueView]:
    """Return every declared queue, and every other that still holds a handoff."""
    raise NotImplementedError


async def claim_next(
    store: Store,
    ruleset: Ruleset,
    tenant: str,
    queue: str,
    operator: str,
    lease_ms: int,
    now_ms: int,
    *,
    request_id: str | None = None,
) -> Claimed | NothingWaiting:
    """Give the most urgent waiting handoff of the queue to the operator; raises QueueUnknown."""
    raise NotImplementedError


async def claim_one(
    store: Store,
    tenant: str,
    handoff_id: str,
    operator: str,
    lease_ms: int,
    now_ms: int,
    *,
    request_id: str | None = None,
) -> Claimed:
    """Give this handoff to the operator; raises AlreadyClaimed, MoveIllegal, HandoffUnknown."""
    raise NotImplementedError


async def renew(store: Store, tenant: str, lease: Lease, lease_ms: int, now_ms: int) -> Handoff:
    """Extend the lease. All verbs from here on raise LeaseLost, MoveIllegal, HandoffUnknown."""
    raise NotImplementedError


async def hold(store: Store, tenant: str, lease: Lease, until_at_ms: int, reason: str | None, now_ms: int) -> Handoff:
    """Keep the handoff without heartbeat until a moment, at most HOLD_MS_MAX away."""
    raise NotImplementedError


async def release(store: Store, tenant: str, lease: Lease, now_ms: int) -> Handoff:
    """Put the handoff back where it waited."""
    raise NotImplementedError


async def transfer(
    store: Store, ruleset: Ruleset, tenant: str, lease: Lease, queue: str | None, operator: str | None, now_ms: int
) -> Handoff:
    """Move it to another queue, to a named operator, or both; raises QueueUnknown."""
    raise NotImplementedError


async def reply(store: Store, tenant: str, lease: Lease, text: str, lease_ms: int, now_ms: int) -> Handoff:
    """Say something to the customer through the waiting agent; renews the lease."""
    raise NotImplementedError


async def resolve(store: Store, tenant: str, lease: Lease, resolving: Resolving, now_ms: int) -> Handoff:
    """End the handoff with an answer to the agent and an Outcome."""
    raise NotImplementedError


async def hand_back(store: Store, tenant: str, lease: Lease, back: HandingBack, now_ms: int) -> Handoff:
    """End the handoff and give the conversation back to the agent."""
    raise NotImplementedError


async def wait(store: Store, tenant: str, handoff_id: str, timeout_ms: int, known_version: int | None) -> Handoff:
    """Return the handoff as soon as its version is not `known_version`, at the latest after `timeout_ms`."""
    raise NotImplementedError


async def lapse_due(store: Store, tenant: str, partition: int, now_ms: int) -> int:
    """Put handoffs whose lease has ended back to waiting; return how many. Safe to repeat, and to race."""
    raise NotImplementedError


async def expire_due(store: Store, tenant: str, partition: int, now_ms: int) -> int:
    """Reroute or end handoffs that nobody took in time; return how many. Safe to repeat, and to race."""
    raise NotImplementedError


async def enrich(store: Store, tenant: str, handoff_id: str) -> bool:
    """Build the packet ahead of a claim; return whether one was written."""
    raise NotImplementedError
