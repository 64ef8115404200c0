"""Queues in Redis: who waits, who is held, in what order. Nothing is moved here."""

from __future__ import annotations

import asyncio

from rules.handoff import deadline
from rules.marks import DRILL_BEHIND_MS, GROUPED_BEHIND_MS
from service.store.keys import Place
from service.store.store import Store

HEAD_READ_MAX = 20  # the oldest that waits is looked for among the most urgent: with four priorities it is there
# Promised calls may stand before all who wait for an answer. Past so many of those nothing is said of the oldest.
HEADS_READ_MAX = 10
QUEUES_MAX = 1_000  # names kept in one partition; rule files hold dozens


async def ahead(store: Store, elsewhere: list[Place], queue: str, score_ms: int) -> int:
    """Return how many more urgent ones wait in the given partitions."""
    counts = await asyncio.gather(
        *(store.link.call("ZCOUNT", place.waiting(queue), "-inf", f"({score_ms}") for place in elsewhere)
    )
    return sum(counts)


async def counts(store: Store, tenant: str, queue: str) -> tuple[int, int, int | None, int]:
    """Return how many wait, how many are held, when the oldest of the most urgent ones was opened, and how many wait in
    the groups of floods.

    Nobody waits for an answer in a promised call, so it is not the oldest however long it was promised. Neither members
    of groups nor fire drills are counted among those who wait: all of them stand behind everybody else.
    """
    customers = f"({DRILL_BEHIND_MS}"

    async def look(place: Place) -> tuple[int, int, list[int], int]:
        waiting, opened, moments, grouped = await asyncio.gather(
            store.link.call("ZCOUNT", place.waiting(queue), "-inf", customers),
            store.link.call("ZCOUNT", place.open(queue), "-inf", customers),
            _answers_opened_at_ms(store, place, queue, customers),
            store.link.call("ZCOUNT", place.waiting(queue), GROUPED_BEHIND_MS, "+inf"),
        )
        return waiting, opened, moments, grouped

    looked = await asyncio.gather(*(look(place) for place in store.places(tenant)))
    waiting = sum(part[0] for part in looked)
    opened = sum(part[1] for part in looked)
    moments = [at_ms for part in looked for at_ms in part[2]]
    # The two are counted a moment apart, so the difference may dip below zero.
    grouped = sum(part[3] for part in looked)
    return waiting, max(opened - waiting, 0), min(moments, default=None), grouped


async def _answers_opened_at_ms(store: Store, place: Place, queue: str, before: str) -> list[int]:
    """Return when those were opened that wait for an answer, of the first HEAD_READ_MAX among which there are any."""
    for page in range(HEADS_READ_MAX):
        limits = ("LIMIT", page * HEAD_READ_MAX, HEAD_READ_MAX)
        head = await store.link.call("ZRANGEBYSCORE", place.waiting(queue), "-inf", before, *limits)
        known = await asyncio.gather(
            *(
                store.link.call("HMGET", place.handoff(handoff_id.decode()), "opened_at_ms", "expires_at_ms")
                for handoff_id in head
            )
        )
        moments = [int(at_ms) for at_ms, expires in known if at_ms and deadline(int(expires)) is not None]
        if moments or len(head) < HEAD_READ_MAX:
            return moments
    return []


async def names(store: Store, tenant: str) -> tuple[str, ...]:
    """Return every queue that ever held a handoff."""
    found = await asyncio.gather(*(store.link.call("SMEMBERS", place.queues) for place in store.places(tenant)))
    return tuple(sorted({name.decode() for part in found for name in part}))[:QUEUES_MAX]


async def open_after(
    store: Store, tenant: str, queues: tuple[str, ...], after: tuple[int, str] | None, limit: int
) -> list[tuple[int, str, Place]]:
    """Return open handoffs of these queues by urgency, those after a given (score, id), at most `limit`."""
    least = str(after[0]) if after else "-inf"

    async def look(place: Place, queue: str) -> list[tuple[int, str, Place]]:
        found: list[tuple[int, str, Place]] = []
        offset = 0
        # Those with the very score of the cursor are read again and dropped; a page of equal scores needs more reads.
        while len(found) < limit and offset <= limit * 8:
            raw = await store.link.call(
                "ZRANGEBYSCORE", place.open(queue), least, "+inf", "WITHSCORES", "LIMIT", offset, limit
            )
            scored = _scored(raw)
            found += [
                (score, handoff_id, place)
                for handoff_id, score in scored
                if after is None or (score, handoff_id) > after
            ]
            offset += limit
            if len(scored) < limit:
                break
        return found

    looked = await asyncio.gather(*(look(place, queue) for place in store.places(tenant) for queue in queues))
    return sorted((row for part in looked for row in part), key=lambda row: row[:2])[:limit]


def _scored(flat: list[bytes]) -> tuple[tuple[str, int], ...]:
    return tuple((member.decode(), int(float(score))) for member, score in zip(flat[::2], flat[1::2], strict=True))
