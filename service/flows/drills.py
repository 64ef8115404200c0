"""Fire drills: a marked handoff goes the way of every other, and whether a person comes in time is written down.

A drill is opened by the flow that decides turns, waits in the queue's own lists behind every customer, and is told,
claimed and resolved as any handoff. Its id names it once: opened twice, after a kill or by two processes, it is one.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from rules.drills import DRILL_MARK, Schedule, is_drill, rules_of, scheduled_id, slot_at_ms, turn_of
from rules.evaluation.evaluate import Ruleset
from rules.handoff import ENDED, Handoff
from service.errors import HandoffUnknown, LimitReached, QueueUnknown, Refusal
from service.flows import deadlines
from service.flows.decide import decide
from service.store import drills, queues
from service.store.drills import HISTORY_MAX as HISTORY_MAX
from service.store.drills import Drill as Drill
from service.store.outbox import Event
from service.store.store import Store

# A drill may come so much later than its schedule says; nobody notices five seconds of ten o'clock.
LOOK_EVERY_MS = 5_000
SCHEDULES_MAX = 200  # queues that one tenant drills; rule files hold dozens
# The latest drills that are looked at in every scrape, so that those whose time is up end where no worker runs.
LAST_LOOKED_MAX = SCHEDULES_MAX
SCHEDULER = "schedule"
# What is told of a drill's handoff -> the step of its path that it reached.
STEPS = {
    "handoff.opened": "queued",
    "handoff.offered": "offered",
    "handoff.widened": "widened",
    "handoff.acknowledged": "acknowledged",
    "handoff.claimed": "claimed",
    "handoff.resolved": "resolved",
    "handoff.handed_back": "resolved",
    "handoff.expired": "expired",
}
# A worker has taken it from the outbox, so webhooks and channels are told of it.
PASSED_ON = "passed_on"


class DrillUnknown(Refusal):
    """The tenant has no drill of that id."""

    code = "drill_unknown"
    hint = "`handrail drill history` shows those there were"

    def __init__(self) -> None:
        super().__init__("no such drill")


@dataclass(frozen=True, slots=True)
class Due:
    """A drill that its schedule asks for now."""

    schedule: Schedule
    drill_id: str
    at_ms: int


async def begin(store: Store, ruleset: Ruleset, tenant: str, queue: str, within_ms: int, by: str, now_ms: int) -> Drill:
    """Open a drill now. Raises QueueUnknown."""
    if queue not in ruleset.files.queues:
        raise QueueUnknown(tuple(ruleset.files.queues))
    drill_id = DRILL_MARK + secrets.token_hex(8)
    return await _open(store, ruleset, tenant, Drill(drill_id, queue, "", within_ms, now_ms, by), now_ms)


async def due(store: Store, tenant: str, now_ms: int) -> list[Due]:
    """Return the drills that are due by their schedule and have not been opened: of each the latest, never more."""
    found = []
    for schedule in await drills.schedules(store, tenant):
        at_ms = slot_at_ms(schedule, now_ms)
        if at_ms is not None:
            wanted = Due(schedule, scheduled_id(tenant, schedule, at_ms), at_ms)
            if await drills.get(store, tenant, wanted.drill_id) is None:
                found.append(wanted)
    return found


async def run_due(store: Store, ruleset: Ruleset, tenant: str, wanted: Iterable[Due], now_ms: int) -> None:
    """Open what is due. Safe to repeat, to race and to kill: an id is opened once."""
    for each in wanted:
        schedule = each.schedule
        drill = Drill(each.drill_id, schedule.queue, "", schedule.within_ms, now_ms, SCHEDULER, each.at_ms)
        if schedule.queue in ruleset.files.queues:
            await _open(store, ruleset, tenant, drill, now_ms)
        else:
            # Nobody can come to a queue that is gone, and whoever relies on the schedule must hear of it.
            await drills.keep(store, tenant, drill)
            await drills.end(store, tenant, drill, "failed", now_ms, 0)


async def look(store: Store, tenant: str, drill_id: str, now_ms: int) -> Drill:
    """Return a drill as it stands now. Raises DrillUnknown."""
    found = await drills.get(store, tenant, drill_id) if is_drill(drill_id) else None
    if found is None:
        raise DrillUnknown
    return await _settle(store, tenant, found, now_ms)


async def history(store: Store, tenant: str, limit: int, now_ms: int) -> list[Drill]:
    """Return the latest drills as they stand now, latest first."""
    return [await _settle(store, tenant, drill, now_ms) for drill in await drills.latest(store, tenant, limit)]


async def last_ended(store: Store, tenant: str, now_ms: int) -> list[Drill]:
    """Return of each queue the last drill that has ended, by queue."""
    await history(store, tenant, LAST_LOOKED_MAX, now_ms)
    return sorted(await drills.last(store, tenant), key=lambda drill: drill.queue)


async def schedules(store: Store, tenant: str) -> list[Schedule]:
    """Return when queues are drilled."""
    return await drills.schedules(store, tenant)


async def schedule(store: Store, ruleset: Ruleset, tenant: str, wanted: Schedule) -> None:
    """Drill a queue from now on. Raises QueueUnknown and LimitReached."""
    if wanted.queue not in ruleset.files.queues:
        raise QueueUnknown(tuple(ruleset.files.queues))
    known = await drills.schedules(store, tenant)
    if len(known) >= SCHEDULES_MAX and wanted.queue not in {each.queue for each in known}:
        raise LimitReached("schedules of drills", SCHEDULES_MAX, "remove one that is not needed")
    await drills.schedule(store, tenant, wanted)


async def unschedule(store: Store, tenant: str, queue: str) -> None:
    """Drill a queue no more by itself. Raises DrillUnknown."""
    if not await drills.unschedule(store, tenant, queue):
        raise DrillUnknown


async def follow(store: Store, tenant: str, events: Iterable[Event], now_ms: int) -> None:
    """Write down how far drills have come, by what a worker is about to tell of them. Safe to repeat."""
    for event in events:
        if event.handoff_id is None or not is_drill(event.conversation_id):
            continue
        if event.type == "handoff.opened":
            await drills.step(store, tenant, event.conversation_id, PASSED_ON, now_ms)
        if event.type in STEPS:
            await drills.step(store, tenant, event.conversation_id, STEPS[event.type], event.at_ms)
        found = await drills.get(store, tenant, event.conversation_id)
        if found is not None:
            await _settle(store, tenant, found, now_ms)


async def _open(store: Store, ruleset: Ruleset, tenant: str, drill: Drill, now_ms: int) -> Drill:
    rules = rules_of(ruleset, drill.queue, drill.within_ms)
    decision = (await decide(store, rules, tenant, turn_of(drill.drill_id), now_ms)).decision
    # Written down after it was opened: killed in between, it is asked for again and answered with the same handoff.
    opened = Drill(
        drill.drill_id,
        drill.queue,
        decision.handoff_id or "",
        drill.within_ms,
        decision.decided_at_ms,
        drill.by,
        drill.due_at_ms,
    )
    await drills.keep(store, tenant, opened)
    return opened


async def _settle(store: Store, tenant: str, drill: Drill, now_ms: int) -> Drill:
    """Return the drill with its result, if it has come to one by now."""
    if drill.result is not None:
        return drill
    try:
        handoff = await deadlines.current(store, tenant, drill.handoff_id, now_ms)
    except HandoffUnknown:
        handoff = None
    came_at_ms = _came_at_ms(drill, handoff, now_ms)
    if came_at_ms is not None and came_at_ms <= drill.opened_at_ms + drill.within_ms:
        result, at_ms = "passed", came_at_ms
    elif handoff is None or handoff.state in ENDED or came_at_ms is not None:
        result, at_ms = "failed", drill.opened_at_ms + drill.within_ms
    else:
        return drill
    waiting, *_ = await queues.counts(store, tenant, drill.queue)
    await drills.end(store, tenant, drill, result, at_ms, waiting)
    return await drills.get(store, tenant, drill.drill_id) or drill


def _came_at_ms(drill: Drill, handoff: Handoff | None, now_ms: int) -> int | None:
    """Return when a person first took the drill's handoff or said that they come, None when nobody did."""
    told = [at_ms for name, at_ms in drill.steps.items() if name in ("claimed", "acknowledged", "resolved")]
    if handoff is not None:
        if handoff.assignment is not None:
            told.append(handoff.assignment.at_ms)
        if handoff.claimed_at_ms is not None:
            told.append(handoff.claimed_at_ms)
        if handoff.acknowledged_by is not None:
            told.append(now_ms)
    return min(told, default=None)
