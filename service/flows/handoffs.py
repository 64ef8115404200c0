"""Handoffs as everybody sees them, and the door to what can be done with them. Each move has its own file.

Reading is here; `claims`, `moves`, `waiting` and `deadlines` hold the verbs, and are offered here under one name.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from rules.evaluation.evaluate import Ruleset
from rules.handoff import Handoff, State, stands_at_ms
from service.errors import QueueUnknown
from service.flows.acknowledging import acknowledge as acknowledge
from service.flows.claims import Claimed as Claimed
from service.flows.claims import Claiming as Claiming
from service.flows.claims import NothingWaiting as NothingWaiting
from service.flows.claims import claim_next as claim_next
from service.flows.claims import claim_one as claim_one
from service.flows.cursors import cursor_of, read_cursor
from service.flows.deadlines import current as current
from service.flows.deadlines import expire_due as expire_due
from service.flows.deadlines import lapse_due as lapse_due
from service.flows.deadlines import next_due_at_ms as next_due_at_ms
from service.flows.declining import decline as decline
from service.flows.moves import HOLD_MS_MAX as HOLD_MS_MAX
from service.flows.moves import RESERVED_MS as RESERVED_MS
from service.flows.moves import HandingBack as HandingBack
from service.flows.moves import Lease as Lease
from service.flows.moves import Resolving as Resolving
from service.flows.moves import hand_back as hand_back
from service.flows.moves import hold as hold
from service.flows.moves import release as release
from service.flows.moves import renew as renew
from service.flows.moves import reply as reply
from service.flows.moves import resolve as resolve
from service.flows.moves import resume as resume
from service.flows.moves import transfer as transfer
from service.flows.packets import enrich as enrich
from service.flows.packets import packet_json as packet_json
from service.flows.waiting import wait as wait
from service.store import conversations, handoffs
from service.store import queues as store_queues
from service.store.store import Store

PAGE_MAX = 200  # of handoffs in one answer: 400 kB
PAGE_READS_MAX = 10  # a filter by state may leave little of each read; the cursor goes on from there


@dataclass(frozen=True, slots=True)
class Page:
    """One page of open handoffs, most urgent first; `cursor` asks for the next one, None on the last."""

    handoffs: tuple[Handoff, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue as operators see it. `declared` is false when the active rule files no longer name it.

    `oldest_opened_at_ms` is looked for among the twenty most urgent that wait for an answer, None when none does: a
    promised call is not one of them.
    `grouped` wait behind the ones that stand for their floods, and are not among the `waiting`.
    """

    name: str
    title: str | None
    waiting: int
    leased: int
    oldest_opened_at_ms: int | None
    grouped: int
    declared: bool


async def get(store: Store, tenant: str, handoff_id: str) -> Handoff:
    """Return a handoff as it was left, or the one that it has joined; raises HandoffUnknown."""
    return await handoffs.get(store, tenant, handoff_id)


async def turns_count(store: Store, handoff: Handoff) -> int:
    """Return how many turns the handoff's conversation has had: it rises when the customer writes."""
    place = handoffs.place_of(store, handoff.tenant, handoff.handoff_id)
    return await conversations.turns_count(store, place, handoff.conversation_id)


async def list_open(
    store: Store, tenant: str, queue: str | None, state: State | None, cursor: str | None, limit: int
) -> Page:
    """Return a page of open handoffs, of one queue or all, at most PAGE_MAX; raises CursorInvalid.

    A page filtered by state may be short, or empty, and still have a cursor.
    """
    limit = max(1, min(limit, PAGE_MAX))
    after = read_cursor(cursor, "hof") if cursor else None
    names = (queue,) if queue is not None else await store_queues.names(store, tenant)
    page: list[Handoff] = []
    for _ in range(PAGE_READS_MAX):
        rows = await store_queues.open_after(store, tenant, names, after, limit)
        found = await handoffs.many(store, [(place, handoff_id) for _, handoff_id, place in rows])
        page += [handoff for handoff in found if state is None or handoff.state == state]
        if len(page) > limit:
            last = page[limit - 1]
            return Page(tuple(page[:limit]), cursor_of(stands_at_ms(last), last.handoff_id))
        if len(rows) < limit:
            return Page(tuple(page), None)
        after = rows[-1][:2]
    return Page(tuple(page), cursor_of(*after) if after else None)


async def check_queue(store: Store, ruleset: Ruleset, tenant: str, queue: str) -> None:
    """Raise QueueUnknown where a queue is neither declared nor holds a handoff: misspelt, it would look like an empty
    one. A queue that the rule files dropped is known as long as somebody waits in it or is taken from it."""
    declared = ruleset.files.queues
    if queue not in declared and all(each.name != queue for each in await queues(store, ruleset, tenant)):
        raise QueueUnknown(tuple(declared))


async def queues(store: Store, ruleset: Ruleset, tenant: str) -> list[QueueView]:
    """Return every declared queue, and every other that still holds a handoff."""
    declared = ruleset.files.queues
    names = (*declared, *(name for name in await store_queues.names(store, tenant) if name not in declared))
    counted = await asyncio.gather(*(store_queues.counts(store, tenant, name) for name in names))
    return [
        QueueView(name, declared[name].title if name in declared else None, *counts, name in declared)
        for name, counts in zip(names, counted, strict=True)
        if name in declared or any((*counts[:2], counts[3]))
    ]
