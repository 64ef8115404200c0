"""How long handoffs waited, in Redis: the latest of each queue. Nothing is estimated here, and nothing waits on it.

A row is written with a claim, in its script. That of a missed deadline is written after it: one that is lost with the
process costs an estimate a six-hundredth, and no handoff anything.
"""

from __future__ import annotations

import asyncio

import orjson

from rules.handoff import Handoff
from rules.routing.operators import Operator
from rules.routing.waits import HISTORY_MAX, Waited, so_far
from service.store import codec, operators
from service.store.keys import Place
from service.store.store import Store
from service.store.wait_views import AtWork, WaitView

# Of those that still wait, as many as the history is long say how long they have; the most urgent ones.
OPEN_READ_MAX = HISTORY_MAX
# Urgencies read of a queue: whoever stands behind ten thousand is told that so many are ahead.
AHEAD_READ_MAX = 10_000


async def missed(store: Store, handoff: Handoff, at_ms: int) -> None:
    """Remember that nobody came in so long, if the handoff was told anything of a wait and is still where it was told.

    How long one waited that was answered stands in the script of the claim.
    """
    told = handoff.told
    if told is None or told.queue != handoff.queue:
        return
    key = store.place_of(handoff.tenant, handoff.conversation_id).waits(told.queue)
    row = [handoff.handoff_id, handoff.opened_at_ms, max(0, at_ms - handoff.opened_at_ms), False, told]
    await asyncio.gather(
        store.link.call("LPUSH", key, codec.dumps(row)), store.link.call("LTRIM", key, 0, HISTORY_MAX - 1)
    )


async def view(store: Store, tenant: str, queue: str, now_ms: int) -> WaitView:
    """Return the waits of a queue as they are: two round trips."""
    places = store.places(tenant)
    open_max = max(1, OPEN_READ_MAX // len(places))
    looked = await asyncio.gather(*(_look(store, place, queue, now_ms, open_max) for place in places))
    ended = sorted(
        (each for rows, _, _ in looked for each in rows), key=lambda each: each.opened_at_ms + each.waited_ms
    )
    still = [each for _, going_on, _ in looked for each in going_on]
    scores_ms = sorted(score for *_, scores in looked for score in scores)
    return WaitView(now_ms, (*ended[-HISTORY_MAX:], *still), scores_ms)


async def at_work(store: Store, tenant: str, now_ms: int) -> AtWork:
    """Return who is there or has something in hand: one round trip."""
    known, present, loads = await asyncio.gather(
        operators.every(store, tenant), operators.present_until_ms(store, tenant), operators.loads(store, tenant)
    )
    names = {name for name, until_ms in present.items() if until_ms > now_ms} | loads.keys()
    declared = {operator.name: operator for operator in known}
    return AtWork(
        now_ms, tuple((name, declared.get(name) or (Operator(name) if known else None)) for name in sorted(names))
    )


async def _look(
    store: Store, place: Place, queue: str, now_ms: int, open_max: int
) -> tuple[list[Waited], list[Waited], list[int]]:
    rows, flat = await asyncio.gather(
        store.link.call("LRANGE", place.waits(queue), 0, HISTORY_MAX - 1),
        store.link.call("ZRANGE", place.waiting(queue), 0, AHEAD_READ_MAX - 1, "WITHSCORES"),
    )
    fields = await asyncio.gather(
        *(
            store.link.call("HMGET", place.handoff(handoff_id.decode()), "opened_at_ms", "told")
            for handoff_id in flat[: 2 * open_max : 2]
        )
    )
    still = [
        so_far(int(opened_at_ms), codec.told_in(orjson.loads(told)), now_ms) for opened_at_ms, told in fields if told
    ]
    return _ended(rows), [each for each in still if each.told.queue == queue], [int(float(s)) for s in flat[1::2]]


def _ended(rows: list[bytes]) -> list[Waited]:
    """Return the kept waits. One that was given back and answered again is told twice: its first answer counts."""
    found: dict[str, Waited] = {}
    for handoff_id, opened_at_ms, waited_ms, answered, told in map(orjson.loads, rows):
        found[handoff_id] = Waited(opened_at_ms, waited_ms, answered, codec.told_in(told))
    return list(found.values())
