"""How full queues are and what was shed for it: read in the background, never while a turn waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rules.decision import Decision
from rules.model import Budget
from rules.routing.shedding import Load, load_of
from service.flows.cursors import cursor_of, read_cursor
from service.store import budgets
from service.store.store import Store

# A budget is of an hour or so: five seconds later is soon enough, and a look reads some kilobytes.
LOOK_EVERY_MS = 5_000
# A tenant that no turn came from in so long is looked at no more.
FOLLOWED_MS = 600_000
LISTED_MAX = 1_000
# Decisions that are looked through in one call for those of one queue: all that one partition keeps.
LOOKED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Page:
    """Some decisions that shed something, latest first; `cursor` asks for the next ones, None on the last page."""

    decisions: tuple[Decision, ...]
    cursor: str | None


async def loads(store: Store, tenant: str, of: Mapping[str, Budget], now_ms: int) -> Mapping[str, Load]:
    """Return what each queue with a budget asks of people now."""
    found = await asyncio.gather(*(_load(store, tenant, queue, budget, now_ms) for queue, budget in of.items()))
    return dict(zip(of, found, strict=True))


async def _load(store: Store, tenant: str, queue: str, budget: Budget, now_ms: int) -> Load:
    (handled, opened), spent_ms = await asyncio.gather(
        budgets.taken(store, tenant, queue),
        budgets.spent_ms(store, tenant, queue, now_ms - budget.over_ms, now_ms),
    )
    # How long one takes is of the latest, which are kept by number; what was spent is of all in the time.
    return replace(load_of(budget, handled, opened, now_ms), spent_ms=spent_ms)


async def look_again(store: Store, now_ms: int) -> int:
    """Read again how full the queues are of tenants that turns came from lately; return how many views were read."""
    views = store.pressures.views
    for key, view in tuple(views.items()):
        if now_ms - view.met_at_ms < FOLLOWED_MS:
            view.take(await loads(store, key[0], view.budgets, now_ms), now_ms)
        else:
            # What was last known of it is not what the next turn finds.
            views.pop(key, None)
    return len(views)


async def listed(
    store: Store, tenant: str, queue: str | None, since_ms: int, limit: int, cursor: str | None = None
) -> Page:
    """Return the latest decisions that shed something, of one queue or all; raises CursorInvalid.

    A page of one queue may be short, or empty, and still have a cursor.
    """
    before = read_cursor(cursor, "dec") if cursor else None
    read_max = limit + 1 if queue is None else LISTED_MAX
    found: list[Decision] = []
    for _ in range(LOOKED_MAX // LISTED_MAX):
        rows = await budgets.shed_before(store, tenant, since_ms, before, read_max)
        for number, (at_ms, decision_id, decision) in enumerate(rows, 1):
            before = at_ms, decision_id
            if decision is not None and (queue is None or any(shed.queue == queue for shed in decision.shed)):
                found.append(decision)
            if len(found) == limit:
                is_last = number == len(rows) and len(rows) < read_max
                return Page(tuple(found), None if is_last else cursor_of(*before))
        if len(rows) < read_max:
            return Page(tuple(found), None)
    return Page(tuple(found), cursor_of(*before) if before else None)
