"""What people do with a flood: look through a group, answer its members together, or let them go.

Members are answered before the one that stands for them, each in its own step: whoever dies in between leaves the rest
in the group, and the same request again goes on where it ended. So nobody is answered twice and nobody forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rules.handoff import Handoff, OutcomeWord, Resolution, draft_turn_id, group_of, is_member, wanted
from rules.routing.floods import grouped, ungrouped
from rules.routing.route import Likeness
from rules.tasks import task_of
from rules.thinking import Change
from service.errors import NoGroup
from service.flows import deadlines, moves
from service.flows.moves import Lease
from service.store import floods, handoffs
from service.store.floods import Group
from service.store.keys import Place
from service.store.store import Store

# Members dealt with in one request: some seconds of the store's time. Whoever asks is told how many are left.
DEALT_MAX = 1_000
DEALT_AT_ONCE = 50  # scripts on the wire together: enough for one sync of the disk to serve many
CALLS_PASSED_MAX = 10_000  # promised calls that one answer goes past: a group of nothing else costs 200 looks
MEMBERS_LISTED_MAX = 200


AnswerToAll: TypeAlias = Literal["answer", "reject"]
ANSWERS_TO_ALL: tuple[AnswerToAll, ...] = ("answer", "reject")


@dataclass(frozen=True, slots=True)
class GroupView:
    """A flood's group: in which queue, in what its handoffs are alike, since when, and how many wait in it.

    `leader` is the handoff that stands for it, None for a moment after it has gone. `grouped` counts all that ever
    came into it.
    """

    queue: str
    alike: Likeness
    leader: str | None
    since_ms: int
    members: int
    grouped: int


@dataclass(frozen=True, slots=True)
class Answering:
    """What whoever has the one that stands for a group answers all members with.

    No draft is let out by it and no tool run: those who answer have not seen them.
    """

    action: AnswerToAll
    outcome: OutcomeWord
    text: str | None = None
    root_cause: str | None = None


@dataclass(frozen=True, slots=True)
class Dealt:
    """How many members were dealt with, and how many are left in the group to deal with so.

    `calls` wait in it besides: calls that were promised, which no answer in writing makes.
    """

    done: int
    left: int
    calls: int = 0


async def counted(store: Store, elsewhere: Sequence[Place], change: Change, now_ms: int) -> tuple[int, ...]:
    """Return how many like an opening handoff have lately opened in other partitions, one number a limit."""
    handoff = change.handoff
    if handoff is None or not change.guards:
        return ()
    names = [(guard, wanted(grouped(handoff, guard.group)).text) for guard in change.guards]
    counts = (floods.counted(store, elsewhere, name, now_ms - guard.limit.over_ms) for guard, name in names)
    return tuple(await asyncio.gather(*counts))


async def listed(store: Store, tenant: str, queue: str | None = None) -> list[GroupView]:
    """Return the groups that have members, of one queue or all, those of most first."""
    found = (_view(each) for each in await floods.groups(store, tenant))
    return sorted(
        (view for view in found if queue is None or view.queue == queue),
        key=lambda view: (-view.members, view.since_ms, view.queue, view.alike.rule_id),
    )


async def seen(store: Store, of: Iterable[Handoff]) -> Mapping[str, GroupView]:
    """Return the groups that handoffs are part of, by the handoff's id; no trip where none is in any."""
    named = [(each, handoffs.place_of(store, each.tenant, each.handoff_id), each.group) for each in of]
    asked = {(place, each.queue, alike) for each, place, alike in named if alike is not None}
    looked = await asyncio.gather(*(floods.group(store, *each) for each in asked))
    views = dict(zip(asked, map(_view, looked), strict=True))
    return {each.handoff_id: views[place, each.queue, alike] for each, place, alike in named if alike is not None}


async def members(store: Store, tenant: str, handoff_id: str, limit: int) -> list[Handoff]:
    """Return members of the group that a handoff stands for or is part of, most urgent first; raises NoGroup."""
    handoff = await handoffs.get(store, tenant, handoff_id)
    place, group = _group(store, handoff)
    return await floods.members(store, place, group, min(limit, MEMBERS_LISTED_MAX))


async def answer_members(store: Store, tenant: str, lease: Lease, answering: Answering, now_ms: int) -> Dealt:
    """Answer up to DEALT_MAX members of the group that the leased handoff stands for; a promised call stays in it.

    Raises NoGroup, and LeaseLost, MoveIllegal or HandoffUnknown as for any move with the lease.
    """
    leader = await handoffs.get(store, tenant, lease.handoff_id)
    place, group = _group(store, leader)

    async def answer(member: Handoff) -> bool:
        resolution = Resolution(
            action=answering.action,
            by=leader.holder or "",
            at_ms=now_ms,
            outcome=answering.outcome,
            text=answering.text,
            root_cause=answering.root_cause,
            turn_id=draft_turn_id(member),
        )
        word, rest = await floods.answer(store, place, member, leader.handoff_id, lease.token, resolution, now_ms)
        if word in ("illegal", "lost", "unknown"):
            moves.moved("resolve", lease, word, rest, now_ms)
        return word == "done"

    # One past its deadline is ended by that, and by nobody's answer.
    await deadlines.sweep(store, tenant, now_ms)
    done, calls = 0, set[str]()
    while done < DEALT_MAX and len(calls) < CALLS_PASSED_MAX:
        several = await floods.members(store, place, group, DEALT_AT_ONCE, len(calls))
        asking = [member for member in several if task_of(member) != "call"]
        if not asking and not done:
            # Whoever has lost the lease hears so of an empty group too: the script that ends a member looks at the
            # lease first, and ends nothing that is leased.
            await answer(leader)
        moved = sum(await asyncio.gather(*(answer(member) for member in asking)))
        done += moved
        passed = {member.handoff_id for member in several} - {member.handoff_id for member in asking} - calls
        calls |= passed
        if not moved and not passed:
            break
    return Dealt(done, max(await floods.size(store, place, group) - len(calls), 0), len(calls))


async def let_go_members(
    store: Store, tenant: str, handoff_id: str, only: Sequence[str], operator: str, now_ms: int
) -> Dealt:
    """Let up to DEALT_MAX members of a handoff's group wait as ones of their own, or `only` those; raises NoGroup."""
    handoff = await handoffs.get(store, tenant, handoff_id)
    place, group = _group(store, handoff)
    done = 0
    if only:
        found = await asyncio.gather(*(handoffs.get(store, tenant, each) for each in only[:DEALT_MAX]))
        those = [each for each in found if is_member(each) and group_of(each) == group_of(handoff)]
        done = sum(await asyncio.gather(*(let_go(store, each, operator, now_ms) for each in those)))
        return Dealt(done, await floods.size(store, place, group))
    while done < DEALT_MAX:
        several = await floods.members(store, place, group, DEALT_AT_ONCE)
        moved = sum(await asyncio.gather(*(let_go(store, each, operator, now_ms) for each in several)))
        done += moved
        if not moved:
            break
    return Dealt(done, await floods.size(store, place, group))


async def let_go(store: Store, member: Handoff, operator: str, now_ms: int) -> bool:
    """Let a member wait as one of its own; return False where it has changed meanwhile."""
    place = handoffs.place_of(store, member.tenant, member.handoff_id)
    return await floods.ungroup(store, place, member, ungrouped(member), operator, now_ms)


def _group(store: Store, handoff: Handoff) -> tuple[Place, str]:
    group = group_of(handoff)
    if group is None:
        raise NoGroup
    return handoffs.place_of(store, handoff.tenant, handoff.handoff_id), group.text


def _view(group: Group) -> GroupView:
    return GroupView(group.queue, group.alike, group.leader, group.since_ms, group.members, group.grouped)
