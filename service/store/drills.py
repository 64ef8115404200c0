"""Fire drills in Redis: how far each got, its result, and when a queue is drilled. Nothing is opened here."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from rules.drills import Schedule
from service.store import codec
from service.store.store import Store

# Some years of weekly drills; past it the oldest go first. The last that ended of each queue is kept beside them.
HISTORY_MAX = 500
# The longest time between two drills of a schedule, three times: a drill that was forgotten would be done again.
KEPT_MS = 276 * 86_400_000
STEP = "step:"


@dataclass(frozen=True, slots=True)
class Drill:
    """One fire drill. `steps` holds when each step of its path was reached, by name; `result` None: it goes on.

    `handoff_id` empty: the queue was not declared, so nobody could have come. `waiting` counts the customers who waited
    in the queue when it ended.
    """

    drill_id: str
    queue: str
    handoff_id: str
    within_ms: int
    opened_at_ms: int
    by: str
    due_at_ms: int | None = None
    steps: Mapping[str, int] = field(default_factory=dict)
    result: str | None = None
    ended_at_ms: int | None = None
    waiting: int = 0


async def keep(store: Store, tenant: str, drill: Drill) -> None:
    """Write down that a drill was opened; safe to repeat."""
    place = store.places(tenant)[0]
    key = place.drill(drill.drill_id)
    about: dict[str, str | int] = {
        "queue": drill.queue,
        "handoff_id": drill.handoff_id,
        "within_ms": drill.within_ms,
        "opened_at_ms": drill.opened_at_ms,
        "by": drill.by,
        "due_at_ms": "" if drill.due_at_ms is None else drill.due_at_ms,
    }
    await store.link.call("ZADD", place.drills, drill.opened_at_ms, drill.drill_id)
    await store.link.call("HSET", key, *itertools.chain(*about.items()), durable=True)
    await asyncio.gather(
        store.link.call("PEXPIRE", key, KEPT_MS),
        store.link.call("ZREMRANGEBYRANK", place.drills, 0, -HISTORY_MAX - 1),
    )


async def step(store: Store, tenant: str, drill_id: str, name: str, at_ms: int) -> None:
    """Note when a drill first reached a step, also before it is known to have been opened."""
    key = store.places(tenant)[0].drill(drill_id)
    await store.link.call("HSETNX", key, STEP + name, at_ms)
    await store.link.call("PEXPIRE", key, KEPT_MS)


async def end(store: Store, tenant: str, drill: Drill, result: str, at_ms: int, waiting: int) -> bool:
    """Give a drill its result and tell it, once; return whether it was this call that did."""
    place = store.places(tenant)[0]
    word, *_ = await store.scripts.run(
        "end_drill",
        drill=place.drill(drill.drill_id),
        outbox=place.outbox,
        last=place.drills_last,
        result=result,
        ended_at_ms=at_ms,
        waiting=waiting,
        tenant=tenant,
        handoff_id=drill.handoff_id,
        drill_id=drill.drill_id,
        queue=drill.queue,
        opened_at_ms=drill.opened_at_ms,
    )
    return bool(word == b"done")


async def get(store: Store, tenant: str, drill_id: str) -> Drill | None:
    """Return a drill, None when none of that id was opened."""
    flat = await store.link.call("HGETALL", store.places(tenant)[0].drill(drill_id))
    told = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
    if "handoff_id" not in told:
        return None
    return Drill(
        drill_id=drill_id,
        queue=told["queue"],
        handoff_id=told["handoff_id"],
        within_ms=int(told["within_ms"]),
        opened_at_ms=int(told["opened_at_ms"]),
        by=told["by"],
        due_at_ms=int(told["due_at_ms"]) if told["due_at_ms"] else None,
        steps={name.removeprefix(STEP): int(at) for name, at in told.items() if name.startswith(STEP)},
        result=told.get("result"),
        ended_at_ms=int(told["ended_at_ms"]) if "ended_at_ms" in told else None,
        waiting=int(told.get("waiting", 0)),
    )


async def latest(store: Store, tenant: str, limit: int) -> list[Drill]:
    """Return the latest drills, latest first."""
    ids = await store.link.call("ZREVRANGE", store.places(tenant)[0].drills, 0, limit - 1)
    found = await asyncio.gather(*(get(store, tenant, drill_id.decode()) for drill_id in ids))
    return [drill for drill in found if drill is not None]


async def last(store: Store, tenant: str) -> list[Drill]:
    """Return of each queue the last drill that has ended, however many other queues had since."""
    flat = await store.link.call("HGETALL", store.places(tenant)[0].drills_last)
    ids = [raw.decode().partition(" ")[2] for raw in flat[1::2]]
    found = await asyncio.gather(*(get(store, tenant, drill_id) for drill_id in ids))
    return [drill for drill in found if drill is not None]


async def schedules(store: Store, tenant: str) -> list[Schedule]:
    """Return when queues are drilled, by queue."""
    flat = await store.link.call("HGETALL", store.places(tenant)[0].drill_schedules)
    return sorted((Schedule(**orjson.loads(raw)) for raw in flat[1::2]), key=lambda schedule: schedule.queue)


async def schedule(store: Store, tenant: str, wanted: Schedule) -> None:
    """Keep when a queue is drilled, over what was said of it before."""
    await store.know(tenant)
    key = store.places(tenant)[0].drill_schedules
    await store.link.call("HSET", key, wanted.queue, codec.dumps(wanted), durable=True)


async def unschedule(store: Store, tenant: str, queue: str) -> bool:
    """Drill a queue no more by itself; return whether it was."""
    return bool(await store.link.call("HDEL", store.places(tenant)[0].drill_schedules, queue, durable=True))
