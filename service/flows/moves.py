"""What an operator does with a handoff in hand. Every verb reads where it stands, and writes once."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from rules.evaluation.evaluate import Ruleset
from rules.handoff import (
    LETTING_OUT,
    Action,
    Handoff,
    OutcomeWord,
    Resolution,
    State,
    draft_turn_id,
    moves_from,
    wanted,
)
from rules.moves import released, transferred
from rules.tasks import TASKS, task_of
from service.errors import (
    AnswerUnfit,
    ConversationBusy,
    DraftUnseen,
    HandoffUnknown,
    LeaseLost,
    LimitReached,
    MoveIllegal,
    QueueUnknown,
    RequestReused,
    StoreAway,
)
from service.store import budgets, calls, codec, floods, handoffs
from service.store.handoffs import REPLIES_MAX
from service.store.keys import Place
from service.store.multiplexed import Reply
from service.store.scripts import Argument
from service.store.store import ANSWER_KEPT_MS, Store

HOLD_MS_MAX = 86_400_000  # a day: what waits longer than that for a person's reply belongs in another system
# How long only the named operator may claim what was transferred to them; after that anyone may, as the customer waits.
RESERVED_MS = 120_000
TRIES_MAX = 8  # a handoff changes its queue between a read and a write about as often as lightning strikes

_Values = Callable[[Place, Handoff], Mapping[str, Argument]]


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
    edited: Mapping[str, object] | None = None
    root_cause: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HandingBack:
    """What the agent gets back with the conversation; see rules.handoff.Resolution for the fields."""

    facts: Mapping[str, object] | None = None
    may_retry: bool | None = None
    text: str | None = None
    outcome: OutcomeWord | None = None
    flags: tuple[str, ...] = ()
    edited: Mapping[str, object] | None = None


async def renew(store: Store, tenant: str, lease: Lease, lease_ms: int, now_ms: int) -> Handoff:
    """Extend the lease. All verbs here raise LeaseLost, MoveIllegal and HandoffUnknown."""
    place = handoffs.place_of(store, tenant, lease.handoff_id)
    word, rest = await handoffs.move(
        store,
        "renew",
        handoff=place.handoff(lease.handoff_id),
        leases=place.leases,
        beats=place.beats,
        token=lease.token,
        now_ms=now_ms,
        lease_expires_at_ms=now_ms + lease_ms,
    )
    return moved("renew", lease, word, rest, now_ms)


async def resume(store: Store, tenant: str, lease: Lease, lease_ms: int, now_ms: int) -> Handoff:
    """End a hold: the lease counts again, and its heartbeat with it."""

    def values(place: Place, _: Handoff) -> Mapping[str, Argument]:
        return {"leases": place.leases, "lease_expires_at_ms": now_ms + lease_ms}

    return await _move(store, tenant, "resume", lease, values, now_ms)


async def hold(store: Store, tenant: str, lease: Lease, until_at_ms: int, reason: str | None, now_ms: int) -> Handoff:
    """Keep the handoff without heartbeat until a moment, at most HOLD_MS_MAX away; raises LimitReached."""
    if not now_ms < until_at_ms <= now_ms + HOLD_MS_MAX:
        raise LimitReached("milliseconds until a hold ends", HOLD_MS_MAX, "name a moment between now and then")

    def values(place: Place, _: Handoff) -> Mapping[str, Argument]:
        return {"leases": place.leases, "until_at_ms": until_at_ms, "reason": reason or ""}

    return await _move(store, tenant, "hold", lease, values, now_ms)


async def release(store: Store, tenant: str, lease: Lease, now_ms: int) -> Handoff:
    """Put the handoff back where it waited, as urgent as it has become."""

    def values(place: Place, current: Handoff) -> Mapping[str, Argument]:
        there = released(current, now_ms)
        return {
            "waiting": place.waiting(current.queue),
            "in_class": place.waiting_in(wanted(there).text),
            "classes": place.classes,
            "leases": place.leases,
            "deadlines": place.deadlines,
            "loads": place.loads,
            "version": current.version,
            "fields": codec.place_out(there),
        }

    return await _move(store, tenant, "release", lease, values, now_ms)


async def transfer(
    store: Store, ruleset: Ruleset, tenant: str, lease: Lease, queue: str | None, operator: str | None, now_ms: int
) -> Handoff:
    """Move it to another queue, to a named operator, or both; raises QueueUnknown.

    Whom it goes to has at least the queue's time to answer; only the named operator may claim it for RESERVED_MS.
    """
    declared = ruleset.files.queues
    if queue is not None and queue not in declared:
        raise QueueUnknown(tuple(declared))

    def values(place: Place, current: Handoff) -> Mapping[str, Argument]:
        target = queue or current.queue
        within_ms = declared[target].answer_within_ms if target in declared else RESERVED_MS
        other = declared[target] if target != current.queue else None
        there = transferred(current, other, within_ms, operator, RESERVED_MS, now_ms)
        return {
            "waiting": place.waiting(target),
            "open": place.open(target),
            "open_before": place.open(current.queue),
            "in_class": place.waiting_in(wanted(there).text),
            "classes": place.classes,
            "queues": place.queues,
            "leases": place.leases,
            "deadlines": place.deadlines,
            "loads": place.loads,
            "group": floods.group_key(place, current),
            "version": current.version,
            "queue": target,
            "fields": codec.place_out(there),
        }

    return await _move(store, tenant, "transfer", lease, values, now_ms)


async def reply(store: Store, tenant: str, lease: Lease, text: str, lease_ms: int, now_ms: int) -> Handoff:
    """Say something to the customer through the agent; renews the lease, and leaves a hold as it is.

    Raises LimitReached, AnswerUnfit and RequestReused.
    """

    def values(place: Place, current: Handoff) -> Mapping[str, Argument]:
        return {
            "leases": place.leases,
            "lease_expires_at_ms": now_ms + lease_ms,
            "reply": codec.dumps({"text": text, "by": current.holder or "", "at_ms": now_ms}),
            "replies_max": REPLIES_MAX,
            "refused": "" if TASKS[task_of(current)].replies else "unfit",
            "digest": sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        }

    return await _move(store, tenant, "reply", lease, values, now_ms)


async def resolve(store: Store, tenant: str, lease: Lease, resolving: Resolving, now_ms: int) -> Handoff:
    """End the handoff with an answer to the agent and an Outcome; the fence falls, and history before it is cut.

    Raises DraftUnseen where a later draft was held since the claim and the answer lets one out: the operator who
    approves has the older one before them. Raises AnswerUnfit where it is no answer to what is asked there.
    """
    claimed_version = _claimed_version(lease.token)

    def resolution(current: Handoff) -> Resolution:
        return Resolution(
            action=resolving.action,
            by=current.holder or "",
            at_ms=now_ms,
            outcome=resolving.outcome,
            text=resolving.text,
            edited=resolving.edited,
            root_cause=resolving.root_cause,
            flags=resolving.flags,
            turn_id=draft_turn_id(current, claimed_version),
        )

    def refused(current: Handoff) -> Mapping[str, Argument]:
        later = draft_turn_id(current) != draft_turn_id(current, claimed_version)
        if later and resolving.action in LETTING_OUT:
            return {"refused": "unseen"}
        return {"refused": "" if TASKS[task_of(current, claimed_version)].takes(resolving.action) else "unfit"}

    return await _end(store, tenant, "resolve", lease, resolution, now_ms, refused)


def _claimed_version(token: str) -> int | None:
    """Return the handoff's version at the claim, as the script that makes tokens writes it; None in a token not its."""
    version = token.partition("-")[0]
    return int(version) if version.isascii() and version.isdecimal() else None


async def hand_back(store: Store, tenant: str, lease: Lease, back: HandingBack, now_ms: int) -> Handoff:
    """End the handoff and give the conversation back to the agent; the fence falls, and history before it is cut."""

    def resolution(current: Handoff) -> Resolution:
        return Resolution(
            action="hand_back",
            by=current.holder or "",
            at_ms=now_ms,
            outcome=back.outcome,
            text=back.text,
            flags=back.flags,
            edited=back.edited,
            facts=back.facts,
            may_retry=back.may_retry,
        )

    return await _end(store, tenant, "hand_back", lease, resolution, now_ms)


async def _end(  # the verbs' own five, and what only one of the two asks besides
    store: Store,
    tenant: str,
    verb: str,
    lease: Lease,
    resolution: Callable[[Handoff], Resolution],
    now_ms: int,
    further: Callable[[Handoff], Mapping[str, Argument]] = lambda _: {},
) -> Handoff:
    def values(place: Place, current: Handoff) -> Mapping[str, Argument]:
        ending = resolution(current)
        return {
            "conversation": place.conversation(current.conversation_id),
            "turns": place.turns(current.conversation_id),
            "open": place.open(current.queue),
            "leases": place.leases,
            "deadlines": place.deadlines,
            "loads": place.loads,
            "group": floods.group_key(place, current),
            "queue": current.queue,
            "handoff_id": current.handoff_id,
            "resolution": codec.dumps(ending),
            "kept_ms": store.kept_ms,
            "classes": place.classes,
            "version": current.version,
            **calls.owed_words(place, current, ending),
            **further(current),
        }

    moved = await _move(store, tenant, verb, lease, values, now_ms)
    # It has ended; what is counted of it must not make a failure of that.
    with contextlib.suppress(StoreAway):
        await budgets.note_handled(store, moved)
    return moved


async def _move(store: Store, tenant: str, verb: str, lease: Lease, values: _Values, now_ms: int) -> Handoff:
    request_id = lease.request_id or secrets.token_hex(8)
    for _ in range(TRIES_MAX):
        current = await handoffs.get(store, tenant, lease.handoff_id)
        place = handoffs.place_of(store, tenant, current.handoff_id)
        word, rest = await handoffs.move(
            store,
            verb,
            handoff=place.handoff(current.handoff_id),
            request=place.request(f"{verb}:{current.handoff_id}:{request_id}"),
            outbox=place.outbox,
            beats=place.beats,
            token=lease.token,
            now_ms=now_ms,
            answer_kept_ms=ANSWER_KEPT_MS,
            **values(place, current),
        )
        if word == "unfit":
            asks = TASKS[task_of(current, _claimed_version(lease.token))]
            raise AnswerUnfit(verb, asks.named, asks.actions)
        if word != "moved":
            return moved(verb, lease, word, rest, now_ms)
    raise ConversationBusy(TRIES_MAX)


def moved(verb: str, lease: Lease, word: str, rest: list[Reply], now_ms: int) -> Handoff:
    """Return the handoff after a move, or raise why it was not made."""
    if word == "illegal":
        state: State = rest[0].decode()
        raise MoveIllegal(verb, state, moves_from(state))
    if word == "lost":
        ended_at_ms = codec.number(rest[1])
        ago_ms = max(now_ms - ended_at_ms, 0) if ended_at_ms is not None else None
        raise LeaseLost(lease.handoff_id, codec.text(rest[0]), ago_ms)
    if word == "reused":
        raise RequestReused
    if word == "unseen":
        raise DraftUnseen
    if word == "full":
        raise LimitReached("replies in one handoff", REPLIES_MAX, "resolve it, or go on in the channel itself")
    handoff = codec.handoff_in(rest[0]) if word == "done" else None
    if handoff is None:
        raise HandoffUnknown
    return handoff
