"""What agents and operators are answered about handoffs, queues and leases, and the schemas of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import Field

from rules.handoff import Assignment, Handoff, Kind, Reason, Reply, Resolution, State, deadline
from rules.marks import is_drill
from rules.model import Priority, Verdict
from rules.routing.assignment import why
from rules.routing.leases import warn_at_ms
from rules.routing.route import step_at_ms
from rules.routing.shedding import Load
from rules.say import words
from service.api.call_answers import CallAnswer, call_answer
from service.api.decision_answers import (
    OnTimeoutAnswer,
    ReplyAnswer,
    ResolutionAnswer,
    Shape,
    WaitAnswer,
    on_timeout_answer,
    wait_answer,
)
from service.api.group_answers import GroupAnswer, group_answer
from service.api.widened_answers import WidenedAnswer, widened_answer
from service.flows.drafts import Draft
from service.flows.floods import GroupView
from service.flows.handoffs import Claimed, Page, QueueView
from service.flows.waits import QueueWait, WaitTold

NO_GROUPS: Mapping[str, GroupView] = {}


class ReasonAnswer(Shape):
    """One decided turn that asked for the handoff; the first opened it, later ones joined."""

    decision_id: str
    turn_id: str
    verdict: Verdict
    rule_ids: list[str]
    at_ms: int


class NeedAnswer(Shape):
    """A skill that an operator must have, at this level or higher."""

    skill: str
    level: int


class WantedAnswer(Shape):
    """Whom the handoff waits for as things stand: a step of its queue's ladder widens it at `changes_at_ms`.

    `languages` empty: any. `also_queues`: queues whose operators may take it too.
    """

    needs: list[NeedAnswer]
    languages: list[str]
    also_queues: list[str]
    changes_at_ms: int | None


class AssignmentAnswer(Shape):
    """Who got the handoff when, and why: what held at that moment, whatever has changed since."""

    operator: str
    at_ms: int
    why: str


class HandoffAnswer(Shape):
    """One conversation's wait for, or time with, a person. `version` rises with every move.

    `expires_at_ms` is when it must have been answered, `resolve_by_ms` when it must have ended, null for no promise.
    `urgency_at_ms` orders those who wait: the lowest goes first.
    `position` and `wait_ms` are told of a waiting handoff that is asked for by itself, else they are null.
    `reserved_for` may be the only one to claim it until `reserved_until_at_ms`. `say`: what the customer is told while
    it waits in another queue, as nobody came in time. `assigned_why` says why its last operator got it, and why then;
    `assignments` say it of the last twenty, oldest first. `drill`: nobody waits, it is a fire drill. `group`: it came
    in a flood of the same. `call`: what the customer was promised; `call_id`: where that waits once this one has ended.
    """

    id: str
    conversation_id: str
    drill: bool
    kind: Kind
    state: State
    queue: str
    priority: Priority
    urgency_at_ms: int
    position: int | None
    wait_ms: WaitAnswer | None
    locale: str | None
    opened_at_ms: int
    expires_at_ms: int | None
    on_timeout: OnTimeoutAnswer
    reasons: list[ReasonAnswer]
    version: int
    holder: str | None
    acknowledged_by: str | None
    claimed_at_ms: int | None
    lease_expires_at_ms: int | None
    lease_warn_at_ms: int | None
    lease_version: int | None
    reserved_for: str | None
    reserved_until_at_ms: int | None
    hold_reason: str | None
    rerouted: bool
    say: str | None
    wanted: WantedAnswer
    widened: list[WidenedAnswer]
    resolve_by_ms: int | None
    assigned_why: str | None
    assignments: list[AssignmentAnswer]
    replies: list[ReplyAnswer]
    resolution: ResolutionAnswer | None
    ended_at_ms: int | None
    group: GroupAnswer | None
    call: CallAnswer | None
    call_id: str | None


class HandoffPageAnswer(Shape):
    """Open handoffs, most urgent first; ask again with `cursor` for the next ones, null when these were the last."""

    handoffs: list[HandoffAnswer]
    cursor: str | None


class ToldAnswer(Shape):
    """How what was told of waits has held: of `told` intervals lately, `held` had the answer between their ends."""

    told: int
    held: int


class BudgetAnswer(Shape):
    """A queue's budget of operator minutes over `over_ms`, and what its pressure is made of.

    `spent_minutes` went into handoffs that ended in that time, `open` are there now and take `minutes_each`, as
    `observed` handlings say; 0 where the rule file says it. `pressure_percent` is null while it cannot be known.
    """

    minutes: float
    over_ms: int
    spent_minutes: float
    open: int
    minutes_each: float | None
    observed: int
    pressure_percent: int | None


class QueueAnswer(Shape):
    """A queue. `declared` is false when the active rule files no longer name it. `grouped` wait behind the ones that
    stand for their floods, and are not among the `waiting`. Promised calls are, but `oldest_opened_at_ms` is of those
    who wait for an answer.

    `wait_ms` is what somebody of normal priority would be told who came now, null for unknown.
    """

    name: str
    title: str | None
    waiting: int
    leased: int
    grouped: int
    oldest_opened_at_ms: int | None
    declared: bool
    wait_ms: WaitAnswer | None
    wait_told: ToldAnswer
    budget: BudgetAnswer | None


class QueuesAnswer(Shape):
    """Every queue that is declared or still holds a handoff."""

    queues: list[QueueAnswer]


class LeaseAnswer(Shape):
    """The right to work on the handoff until `expires_at_ms`; `token` goes with every move.

    At `warn_at_ms` a console that has not renewed says so: a quarter of the lease before its end, at most 15 seconds.
    """

    token: str
    expires_at_ms: int
    warn_at_ms: int


class DraftAnswer(Shape):
    """What an operator was writing when they last saved it, as their console had it; or what they sent and was
    `refused`, with its `verb`."""

    by: str
    at_ms: int
    refused: bool
    fields: dict[str, Any]


class ClaimedAnswer(Shape):
    """A handoff that is now the caller's, and all that is needed to take it on."""

    handoff: HandoffAnswer
    packet: dict[str, Any] = Field(description="the ContextPacket: see docs/packet.md")
    lease: LeaseAnswer
    drafts: list[DraftAnswer]


class PacketAnswer(Shape):
    """A handoff and what it is about at this moment."""

    handoff: HandoffAnswer
    packet: dict[str, Any] = Field(description="the ContextPacket: see docs/packet.md")
    drafts: list[DraftAnswer]


def handoff_answer(
    handoff: Handoff, waits: WaitTold | None = None, groups: Mapping[str, GroupView] = NO_GROUPS
) -> dict[str, object]:
    """Return a handoff as agents and operators see it; `waits` is where it stands, if that was looked for, and `groups`
    are the floods that handoffs came in, by the handoff's id."""
    return {
        "id": handoff.handoff_id,
        "conversation_id": handoff.conversation_id,
        "drill": is_drill(handoff.conversation_id),
        "kind": handoff.kind,
        "state": handoff.state,
        "queue": handoff.queue,
        "priority": handoff.priority,
        "urgency_at_ms": handoff.score_ms,
        "position": None if waits is None else waits.position,
        "wait_ms": None if waits is None else wait_answer(waits.wait),
        "locale": handoff.locale,
        "opened_at_ms": handoff.opened_at_ms,
        "expires_at_ms": deadline(handoff.expires_at_ms),
        "on_timeout": on_timeout_answer(handoff.on_timeout, handoff.locale),
        "reasons": [_reason(reason) for reason in handoff.reasons],
        "version": handoff.version,
        "holder": handoff.holder,
        "acknowledged_by": handoff.acknowledged_by,
        "claimed_at_ms": handoff.claimed_at_ms,
        "lease_expires_at_ms": handoff.lease_expires_at_ms,
        "lease_version": handoff.lease_version,
        "lease_warn_at_ms": _warn_at_ms(handoff),
        "reserved_for": handoff.reserved_for,
        "reserved_until_at_ms": handoff.reserved_until_at_ms,
        "hold_reason": handoff.hold_reason,
        "rerouted": handoff.rerouted,
        "say": words(handoff.route.say, locale=handoff.locale) if handoff.state == "waiting" else None,
        "wanted": _wanted(handoff),
        "widened": widened_answer(handoff),
        "resolve_by_ms": handoff.route.resolve_by_ms,
        "assigned_why": None if handoff.assignment is None else why(handoff, handoff.assignment),
        "assignments": [_assignment(handoff, each) for each in handoff.assignments],
        "replies": [_reply(reply) for reply in handoff.replies],
        "resolution": None if handoff.resolution is None else _resolution(handoff.resolution),
        "ended_at_ms": handoff.ended_at_ms,
        "group": group_answer(handoff, groups.get(handoff.handoff_id)),
        "call": call_answer(handoff),
        "call_id": handoff.call_id,
    }


def _assignment(handoff: Handoff, assignment: Assignment) -> dict[str, object]:
    return {"operator": assignment.operator, "at_ms": assignment.at_ms, "why": why(handoff, assignment)}


def _warn_at_ms(handoff: Handoff) -> int | None:
    ends_at_ms, held = handoff.lease_expires_at_ms, handoff.state == "held"
    return None if ends_at_ms is None else warn_at_ms(handoff.lease_began_at_ms, ends_at_ms, held=held)


def _wanted(handoff: Handoff) -> dict[str, object]:
    route = handoff.route
    return {
        "needs": route.needs,
        "languages": route.languages,
        "also_queues": route.also,
        "changes_at_ms": step_at_ms(route, held=False) if handoff.state == "waiting" else None,
    }


def page_answer(page: Page, groups: Mapping[str, GroupView] = NO_GROUPS) -> dict[str, object]:
    """Return one page of handoffs."""
    return {
        "handoffs": [handoff_answer(handoff, groups=groups) for handoff in page.handoffs],
        "cursor": page.cursor,
    }


def queues_answer(
    queues: list[QueueView], waits: Mapping[str, QueueWait], loads: Mapping[str, Load]
) -> dict[str, object]:
    """Return the queues with their depths, waits and budgets."""
    return {"queues": [_queue(queue, waits[queue.name], loads.get(queue.name)) for queue in queues]}


def _budget(load: Load) -> dict[str, object]:
    return {
        "minutes": load.budget.minutes_ms / 60_000,
        "over_ms": load.budget.over_ms,
        "spent_minutes": round(load.spent_ms / 60_000, 1),
        "open": load.open,
        "minutes_each": None if load.each_ms is None else round(load.each_ms / 60_000, 1),
        "observed": load.observed,
        "pressure_percent": load.percent,
    }


def _queue(queue: QueueView, wait: QueueWait, load: Load | None) -> dict[str, object]:
    return {
        "name": queue.name,
        "title": queue.title,
        "waiting": queue.waiting,
        "leased": queue.leased,
        "grouped": queue.grouped,
        "oldest_opened_at_ms": queue.oldest_opened_at_ms,
        "declared": queue.declared,
        "wait_ms": wait_answer(wait.wait),
        "wait_told": {"told": wait.kept.told, "held": wait.kept.held},
        "budget": None if load is None else _budget(load),
    }


def _draft(draft: Draft) -> dict[str, object]:
    return {"by": draft.by, "at_ms": draft.at_ms, "refused": bool(draft.refused), "fields": draft.fields}


def packet_answer(
    handoff: Handoff, packet_json: bytes, drafts: Sequence[Draft], groups: Mapping[str, GroupView] = NO_GROUPS
) -> dict[str, object]:
    """Return a handoff, what it is about at this moment, and what operators were writing."""
    return {
        "handoff": handoff_answer(handoff, groups=groups),
        "packet": orjson.Fragment(packet_json),
        "drafts": [_draft(draft) for draft in drafts],
    }


def claimed_answer(
    claimed: Claimed, drafts: Sequence[Draft], groups: Mapping[str, GroupView] = NO_GROUPS
) -> dict[str, object]:
    """Return what the operator who claimed gets."""
    handoff, is_held = claimed.handoff, claimed.handoff.state == "held"
    return {
        "handoff": handoff_answer(handoff, groups=groups),
        "packet": orjson.Fragment(claimed.packet_json),
        "lease": {
            "token": claimed.token,
            "expires_at_ms": claimed.lease_expires_at_ms,
            "warn_at_ms": warn_at_ms(handoff.lease_began_at_ms, claimed.lease_expires_at_ms, held=is_held),
        },
        "drafts": [_draft(draft) for draft in drafts],
    }


def _reason(reason: Reason) -> dict[str, object]:
    return {
        "decision_id": reason.decision_id,
        "turn_id": reason.turn_id,
        "verdict": reason.verdict,
        "rule_ids": reason.rule_ids,
        "at_ms": reason.at_ms,
    }


def _reply(reply: Reply) -> dict[str, object]:
    return {"number": reply.number, "text": reply.text, "by": reply.by, "at_ms": reply.at_ms}


def _resolution(resolution: Resolution) -> dict[str, object]:
    return {
        "action": resolution.action,
        "by": resolution.by,
        "at_ms": resolution.at_ms,
        "outcome": resolution.outcome,
        "text": resolution.text,
        "edited": resolution.edited,
        "root_cause": resolution.root_cause,
        "flags": resolution.flags,
        "facts": resolution.facts,
        "may_retry": resolution.may_retry,
        "verdict": resolution.verdict,
        "say": resolution.say,
        "turn_id": resolution.turn_id,
    }
