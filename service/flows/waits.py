"""What a customer may be told of their wait: from what this process knows of the queue, read again every few seconds.

What is told never holds up a turn: only the first handoff of a queue in a while waits for a look at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from rules.evaluation.evaluate import Ruleset
from rules.handoff import Handoff, is_member, wanted
from rules.marks import is_drill
from rules.routing.operators import may_take
from rules.routing.route import Wanted
from rules.routing.routing import score_ms
from rules.routing.waits import Kept, Told, Wait, circumstances, estimate, kept
from rules.thinking import Change
from service.store import waits
from service.store.queues import ahead
from service.store.store import Store
from service.store.wait_views import AtWork, WaitView

K = TypeVar("K", str, tuple[str, str])
T = TypeVar("T")

# How often a serving process looks at the queues that it tells waits of: a customer's patience changes in less than a
# minute, and a look costs the store a tenth of a millisecond.
LOOK_EVERY_MS = 2_000
# A view that nobody has renewed for so long is read again before it is used.
VIEW_MS_MAX = 10_000
# A queue that nobody has asked for in so long is looked at no more.
FOLLOWED_MS = 600_000


@dataclass(frozen=True, slots=True)
class WaitTold:
    """A waiting handoff's place in its queue, counted from 1, and how much longer it will probably take."""

    position: int
    wait: Wait | None


@dataclass(frozen=True, slots=True)
class QueueWait:
    """What somebody who came into a queue now would be told, and how what was told lately has held."""

    wait: Wait | None
    kept: Kept


async def told(store: Store, change: Change, now_ms: int) -> Change:
    """Return the change with how long its waiting handoff will probably take."""
    handoff = change.handoff
    if handoff is None or is_drill(handoff.conversation_id):
        return change
    if handoff.call is not None and handoff.kind == "review":
        # The customer has hung up, so to say: when a call is made says nothing of how long people wait.
        return change
    view, there = await _view(store, handoff.tenant, handoff.queue, now_ms), store.waits.at_work[handoff.tenant]
    now = circumstances(view.history, view.ahead_of(handoff.score_ms), _able(there, wanted(handoff)), now_ms)
    wait = estimate(view.history, now, now_ms)
    change = replace(change, decision=replace(change.decision, wait=wait))
    if change.event != "handoff.opened":
        return change
    view.opened(handoff.score_ms)
    return replace(change, handoff=replace(handoff, told=Told(handoff.queue, now, wait)))


async def of(store: Store, handoff: Handoff, now_ms: int) -> WaitTold | None:
    """Return where a handoff stands and how much longer it will take.

    None when it does not wait in the line, and while a shard is away: who waits there is unknown.
    """
    if handoff.state != "waiting" or is_member(handoff):
        return None
    found = await store.reach.each(
        store.places(handoff.tenant), lambda place: ahead(store, [place], handoff.queue, handoff.score_ms)
    )
    there_before = [count for count in found if count is not None]
    if len(there_before) < len(found):
        return None
    before = sum(there_before)
    view, there = await _view(store, handoff.tenant, handoff.queue, now_ms), store.waits.at_work[handoff.tenant]
    now = circumstances(view.history, before, _able(there, wanted(handoff)), now_ms)
    return WaitTold(before + 1, estimate(view.history, now, now_ms))


async def of_queues(
    store: Store, ruleset: Ruleset, tenant: str, names: Iterable[str], now_ms: int
) -> Mapping[str, QueueWait]:
    """Return what somebody of normal priority, who asks for no language of their own, would be told of each queue."""
    found = {}
    for name in names:
        queue = ruleset.files.queues.get(name)
        view, there = await _view(store, tenant, name, now_ms), store.waits.at_work[tenant]
        score = score_ms(now_ms, "normal", now_ms + queue.answer_within_ms if queue else None)
        able = _able(there, Wanted((name,), queue.needs if queue else ()))
        now = circumstances(view.history, view.ahead_of(score), able, now_ms)
        found[name] = QueueWait(estimate(view.history, now, now_ms), kept(view.history))
    return found


async def look_again(store: Store, now_ms: int) -> int:
    """Read the queues again that were asked for in the last minutes; return how many."""
    followed = [key for key, view in store.waits.views.items() if now_ms - view.asked_at_ms < FOLLOWED_MS]
    for tenant in {tenant for tenant, _ in followed}:
        store.waits.at_work[tenant] = await waits.at_work(store, tenant, now_ms)
    for tenant, queue in followed:
        await _read(store, tenant, queue, store.waits.views[tenant, queue].asked_at_ms, now_ms)
    return len(followed)


async def _view(store: Store, tenant: str, queue: str, now_ms: int) -> WaitView:
    views = store.waits
    known, there = views.views.get((tenant, queue)), views.at_work.get(tenant)
    if there is None or abs(now_ms - there.read_at_ms) > VIEW_MS_MAX:
        looked = _shared(views.looking_who, tenant, lambda: waits.at_work(store, tenant, now_ms))
        views.at_work[tenant] = await looked
    if known is None or abs(now_ms - known.read_at_ms) > VIEW_MS_MAX:
        return await _read(store, tenant, queue, now_ms, now_ms)
    known.asked_at_ms = now_ms
    return known


async def _read(store: Store, tenant: str, queue: str, asked_at_ms: int, now_ms: int) -> WaitView:
    looked = _shared(store.waits.looking, (tenant, queue), lambda: waits.view(store, tenant, queue, now_ms))
    view = await looked
    view.asked_at_ms = max(view.asked_at_ms, asked_at_ms)
    store.waits.keep(tenant, queue, view)
    return view


async def _shared(looking: dict[K, asyncio.Task[T]], key: K, look: Callable[[], Coroutine[Any, Any, T]]) -> T:
    # One look for all who ask at once: after a quiet time, the first hundred of a rush would each read the whole queue,
    # and that is more than may be under way to the store.
    if key not in looking:
        looking[key] = asyncio.create_task(look())
        looking[key].add_done_callback(lambda done: _end(looking, key, done))
    return await asyncio.shield(looking[key])


def _end(looking: dict[K, asyncio.Task[T]], key: K, done: asyncio.Task[T]) -> None:
    del looking[key]
    if not done.cancelled():
        done.exception()  # it is for those who asked, and they may all have gone


def _able(there: AtWork, wanted_there: Wanted) -> int:
    return sum(may_take(operator, name, wanted_there) for name, operator in there.operators)
