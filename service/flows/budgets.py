"""How full queues are and what was shed for it: read in the background, never while a turn waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from rules.decision import Decision
from rules.model import Budget
from rules.routing.shedding import Load, load_of
from service.store import budgets
from service.store.store import Store

# A budget is of an hour or so: five seconds later is soon enough, and a look reads some kilobytes.
LOOK_EVERY_MS = 5_000
# A tenant that no turn came from in so long is looked at no more.
FOLLOWED_MS = 600_000
# Decisions looked through for those of one queue.
LISTED_MAX = 1_000


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


async def listed(store: Store, tenant: str, queue: str | None, since_ms: int, limit: int) -> tuple[Decision, ...]:
    """Return the latest decisions that shed something, of one queue or all."""
    found = await budgets.shed_since(store, tenant, since_ms, limit if queue is None else LISTED_MAX)
    return tuple(each for each in found if queue is None or any(shed.queue == queue for shed in each.shed))[:limit]
