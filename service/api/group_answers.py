"""What operators are answered about floods and their groups, and the schemas of it."""

from __future__ import annotations

from rules.handoff import Handoff
from rules.model import FloodBy
from service.api.decision_answers import Shape
from service.flows.floods import Dealt, GroupView


class GroupAnswer(Shape):
    """The flood that a handoff came in: whose it is and which rule asked. `who` is null where it is everybody's.

    One that `leads` stands for it in the queue. `leader`, `since_at_ms` and `members`, how many wait behind that one,
    are looked for where a handoff is read or claimed; elsewhere they are null.
    """

    by: FloodBy
    who: str | None
    rule_id: str
    leads: bool
    leader: str | None
    since_at_ms: int | None
    members: int | None


class FloodAnswer(Shape):
    """One group: `members` wait behind `leader`, which is null for a moment after it has gone. `grouped` counts all
    that ever came into it."""

    queue: str
    by: FloodBy
    who: str | None
    rule_id: str
    leader: str | None
    since_at_ms: int
    members: int
    grouped: int


class FloodsAnswer(Shape):
    """The groups that have members, those of most first."""

    floods: list[FloodAnswer]


class DealtAnswer(Shape):
    """How many members were dealt with, and how many are `left`: ask again while there are any.

    `calls` are members besides that no answer in writing ends, as the customer was promised a call; left out if none.
    """

    done: int
    left: int
    calls: int = 0


def group_answer(handoff: Handoff, view: GroupView | None) -> dict[str, object] | None:
    """Return the flood that a handoff came in, None for one that came in none."""
    alike = handoff.group
    if alike is None:
        return None
    return {
        "by": alike.by,
        "who": alike.who or None,
        "rule_id": alike.rule_id,
        "leads": handoff.leads,
        "leader": None if view is None else view.leader,
        "since_at_ms": None if view is None else view.since_ms,
        "members": None if view is None else view.members,
    }


def flood_answer(view: GroupView) -> dict[str, object]:
    """Return one group."""
    return {
        "queue": view.queue,
        "by": view.alike.by,
        "who": view.alike.who or None,
        "rule_id": view.alike.rule_id,
        "leader": view.leader,
        "since_at_ms": view.since_ms,
        "members": view.members,
        "grouped": view.grouped,
    }


def dealt_answer(dealt: Dealt) -> dict[str, object]:
    """Return what was done with members."""
    answer: dict[str, object] = {"done": dealt.done, "left": dealt.left}
    if dealt.calls:
        answer["calls"] = dealt.calls
    return answer
