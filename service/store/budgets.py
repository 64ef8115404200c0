"""What queues have taken of people's time, and what was shed, in Redis. Nothing is judged here.

How long a handoff was in hand is written after its end, not in its script: one that is lost with the process makes a
queue look a little freer, and no handoff depends on it. What was shed is written before the agent is answered.
"""

from __future__ import annotations

import asyncio

from rules.decision import Decision
from rules.handoff import Handoff
from rules.marks import DRILL_BEHIND_MS, is_drill
from rules.routing.shedding import Handled
from service.store import decisions
from service.store.keys import Place
from service.store.store import Store

# The latest ends of a queue that are kept in each partition, for how long one takes; what was spent is kept in sums.
HANDLED_MAX = 1_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
# A budget is over a day at most; what nobody adds to for longer is asked for by none.
SPENT_KEPT_MS = 26 * HOUR_MS
# What was in hand for longer was not worked on all the while: it was held overnight, or forgotten.
TOOK_MS_MAX = 3_600_000
# Shed decisions that are listed of each partition; the metrics count them all.
SHED_MAX = 10_000


async def note_handled(store: Store, handoff: Handoff) -> None:
    """Remember how long a handoff that has ended was in hand. Done twice it is the same.

    A fire drill is no work, and what it took says nothing of what a customer will.
    """
    if handoff.claimed_at_ms is None or handoff.ended_at_ms is None or is_drill(handoff.conversation_id):
        return
    took_ms = min(max(0, handoff.ended_at_ms - handoff.claimed_at_ms), TOOK_MS_MAX)
    place = store.place_of(handoff.tenant, handoff.conversation_id)
    key = place.handled(handoff.queue)
    added = await store.link.call("ZADD", key, handoff.ended_at_ms, f"{took_ms}:{handoff.handoff_id}")
    if added:
        spent = place.spent(handoff.queue, handoff.ended_at_ms // HOUR_MS)
        await asyncio.gather(
            store.link.call("ZREMRANGEBYRANK", key, 0, -HANDLED_MAX - 1),
            store.link.call("HINCRBY", spent, handoff.ended_at_ms // MINUTE_MS, took_ms),
            store.link.call("PEXPIRE", spent, SPENT_KEPT_MS),
        )


async def taken(store: Store, tenant: str, queue: str) -> tuple[tuple[Handled, ...], int]:
    """Return the latest handlings of a queue and how many of its handoffs are open: one round trip.

    Fire drills are not among them, nor what stands behind the first of a flood: that is answered together.
    """

    async def look(place: Place) -> tuple[list[Handled], int]:
        flat, opened = await asyncio.gather(
            store.link.call("ZRANGE", place.handled(queue), 0, -1, "WITHSCORES"),
            store.link.call("ZCOUNT", place.open(queue), "-inf", f"({DRILL_BEHIND_MS}"),
        )
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return [Handled(int(float(score)), int(member.partition(b":")[0])) for member, score in pairs], opened

    looked = await asyncio.gather(*(look(place) for place in store.places(tenant)))
    return tuple(each for handled, _ in looked for each in handled), sum(opened for _, opened in looked)


async def spent_ms(store: Store, tenant: str, queue: str, since_ms: int, until_ms: int) -> int:
    """Return how long handoffs of a queue were in hand that ended after `since_ms` and by `until_ms`: one round trip.

    It is kept by the minute. Of the minute in which the time begins as much counts as lies in it.
    """
    hours = range(since_ms // HOUR_MS, until_ms // HOUR_MS + 1)
    keys = [place.spent(queue, hour) for place in store.places(tenant) for hour in hours]
    found = 0
    for flat in await asyncio.gather(*(store.link.call("HGETALL", key) for key in keys)):
        for minute, took_ms in zip(flat[::2], flat[1::2], strict=True):
            begins_ms = int(minute) * MINUTE_MS
            if begins_ms <= until_ms:
                within_ms = min(MINUTE_MS, max(0, begins_ms + MINUTE_MS - since_ms))
                found += int(took_ms) * within_ms // MINUTE_MS
    return found


async def note_shed(store: Store, place: Place, decision: Decision) -> None:
    """Put a decision on the list of what was shed. Done twice it is the same."""
    since_ms = decision.decided_at_ms - store.kept_ms
    await asyncio.gather(
        store.link.call("ZADD", place.shed, decision.decided_at_ms, decision.decision_id, durable=True),
        store.link.call("ZREMRANGEBYSCORE", place.shed, "-inf", since_ms),
        store.link.call("ZREMRANGEBYRANK", place.shed, 0, -SHED_MAX - 1),
    )


async def shed_before(
    store: Store, tenant: str, since_ms: int, before: tuple[int, str] | None, limit: int
) -> list[tuple[int, str, Decision | None]]:
    """Return what was shed since a moment, latest first, of what comes after a given (moment, id); None: not kept."""
    latest = "+inf" if before is None else str(before[0])

    async def look(place: Place) -> list[tuple[int, str, Place]]:
        found: list[tuple[int, str, Place]] = []
        offset = 0
        while len(found) < limit:
            flat = await store.link.call(
                "ZREVRANGEBYSCORE", place.shed, latest, since_ms, "WITHSCORES", "LIMIT", offset, limit
            )
            rows = [(int(float(at)), name.decode()) for name, at in zip(flat[::2], flat[1::2], strict=True)]
            # Those of the very moment that the page before ended in are read again and dropped.
            found += [(*row, place) for row in rows if before is None or row < before]
            offset += limit
            if len(rows) < limit:
                break
        return found

    looked = await asyncio.gather(*(look(place) for place in store.places(tenant)))
    rows = sorted((row for part in looked for row in part), key=lambda row: row[:2], reverse=True)[:limit]
    read = await asyncio.gather(*(decisions.get(store, place, decision_id) for _, decision_id, place in rows))
    return [(at_ms, decision_id, decision) for (at_ms, decision_id, _), decision in zip(rows, read, strict=True)]
