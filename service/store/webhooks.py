"""Webhooks in Redis: the endpoints of a tenant, what is owed to them, and what was given up. Nothing is sent here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import orjson

from service.store import keys
from service.store.codec import dumps
from service.store.keys import Place
from service.store.multiplexed import Reply, Word
from service.store.outbox import Event as Event
from service.store.store import Store

# A receiver that is down for the whole of the retries may be owed this much in one partition (700 bytes each, 70 MB);
# what comes after goes to the dead letters at once, so that nothing is forgotten in silence.
OWED_MAX = 100_000
DEAD_LETTERS_MAX = 10_000  # of one partition; the oldest go first

# Field heads in the tenant's HASH: the endpoint itself, why it is out of service, its failures in a row, its rest.
ENDPOINT, DISABLED, FAILURES, REST = "endpoint:", "disabled:", "failures:", "rest:"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go, which ones, and the secret that signs them. `disabled` says why it is out of service."""

    endpoint_id: str
    url: str
    events: tuple[str, ...]
    secret: str
    created_at_ms: int
    about: str | None = None
    old_secret: str | None = None
    old_secret_until_at_ms: int = 0
    disabled: str | None = None

    def out_of_service(self, fact: str) -> Endpoint:
        """Return the endpoint as it is after a receiver said that it is gone."""
        return replace(self, disabled=fact)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event owed to one endpoint. `fact` is what came of the last try."""

    delivery_id: str
    endpoint_id: str
    event: Event
    tries: int = 0
    tried_at_ms: int | None = None
    fact: str | None = None

    @classmethod
    def of(cls, event: Event, endpoint_id: str) -> Delivery:
        """Return what an endpoint is owed for an event, named after both: owed twice, it is the same one."""
        return cls(f"{event.event_id}.{endpoint_id}", endpoint_id, event)

    def tried(self, fact: str, now_ms: int) -> Delivery:
        """Return the delivery with one more try in it."""
        return replace(self, tries=self.tries + 1, tried_at_ms=now_ms, fact=fact)

    def failed(self, fact: str) -> Delivery:
        """Return the delivery with the fact that ended it."""
        return replace(self, fact=fact)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up, when, and in which partition it lies."""

    delivery: Delivery
    given_up_at_ms: int
    partition: int


async def keep(store: Store, tenant: str, endpoint: Endpoint) -> None:
    """Write an endpoint, over the one of the same id."""
    body = dumps(replace(endpoint, disabled=None))
    await store.know(tenant)
    await store.link.call("HSET", keys.webhooks(tenant), ENDPOINT + endpoint.endpoint_id, body, durable=True)


async def endpoints(store: Store, tenant: str) -> dict[str, Endpoint]:
    """Return every endpoint by its id."""
    found, _ = await endpoints_and_rests(store, tenant)
    return found


async def endpoints_and_rests(store: Store, tenant: str) -> tuple[dict[str, Endpoint], dict[str, int]]:
    """Return every endpoint by its id, and until when each that has failed is left alone."""
    flat: list[bytes] = await store.link.call("HGETALL", keys.webhooks(tenant))
    told = {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    found = {}
    for name, value in told.items():
        if name.startswith(ENDPOINT):
            body = orjson.loads(value)
            disabled = told.get(DISABLED + body["endpoint_id"])
            known = {field.name for field in fields(Endpoint)} & set(body)
            plain = {each: body[each] for each in known} | {"events": tuple(body["events"])}
            found[body["endpoint_id"]] = replace(Endpoint(**plain), disabled=disabled.decode() if disabled else None)
    rests = {name.removeprefix(REST): int(value) for name, value in told.items() if name.startswith(REST)}
    return found, rests


async def remove(store: Store, tenant: str, endpoint_id: str) -> bool:
    """Forget an endpoint and how it fared; return whether there was one."""
    names = [head + endpoint_id for head in (ENDPOINT, DISABLED, FAILURES, REST)]
    return bool(await store.link.call("HDEL", keys.webhooks(tenant), *names, durable=True))


async def disable(store: Store, tenant: str, endpoint_id: str, fact: str) -> None:
    """Take an endpoint out of service."""
    await store.link.call("HSET", keys.webhooks(tenant), DISABLED + endpoint_id, fact, durable=True)


async def enable(store: Store, tenant: str, endpoint_id: str) -> None:
    """Take an endpoint into service, rested."""
    names = [head + endpoint_id for head in (DISABLED, FAILURES, REST)]
    await store.link.call("HDEL", keys.webhooks(tenant), *names, durable=True)


async def count_failure(store: Store, tenant: str, endpoint_id: str) -> int:
    """Count one more failure in a row and return how many they are."""
    return int(await store.link.call("HINCRBY", keys.webhooks(tenant), FAILURES + endpoint_id, 1))


async def rest(store: Store, tenant: str, endpoint_id: str, until_ms: int) -> None:
    """Leave an endpoint alone until a moment."""
    await store.link.call("HSET", keys.webhooks(tenant), REST + endpoint_id, until_ms)


async def end_rest(store: Store, tenant: str, endpoint_id: str) -> None:
    """Forget an endpoint's failures: it has taken something."""
    names = [head + endpoint_id for head in (FAILURES, REST)]
    await store.link.call("HDEL", keys.webhooks(tenant), *names)


async def add(store: Store, tenant: str, partition: int, owed: Sequence[Delivery], now_ms: int) -> int:
    """Owe deliveries, due at once; return how many were not owed already. Those without room become dead letters."""
    place = keys.place(tenant, partition)
    words: list[Word] = []
    for delivery in owed:
        words += [delivery.delivery_id, dumps(asdict(delivery))]
    _, added = await store.scripts.run(
        "owe_deliveries",
        due=place.deliveries_due,
        deliveries=place.deliveries,
        dead=place.dead_letters_at,
        dead_letters=place.dead_letters,
        now_ms=now_ms,
        owed_max=OWED_MAX,
        dead_max=DEAD_LETTERS_MAX,
        owed=words,
    )
    return int(added)


async def take_due(store: Store, tenant: str, partition: int, now_ms: int, until_ms: int, limit: int) -> list[Delivery]:
    """Take deliveries that are due, longest ago first; nobody else gets them before `until_ms`."""
    place = keys.place(tenant, partition)
    _, taken = await store.scripts.run(
        "take_deliveries",
        due=place.deliveries_due,
        deliveries=place.deliveries,
        now_ms=now_ms,
        until_ms=until_ms,
        limit=limit,
    )
    return [_delivery(raw) for raw in taken]


async def done(store: Store, tenant: str, partition: int, delivery: Delivery) -> None:
    """Owe a delivery no more."""
    await _settle(store, keys.place(tenant, partition), "done", delivery, delivery, 0)


async def again(store: Store, tenant: str, partition: int, taken: Delivery, tried: Delivery, due_at_ms: int) -> None:
    """Try a delivery again at a moment, unless somebody else has tried it since it was taken."""
    await _settle(store, keys.place(tenant, partition), "again", taken, tried, due_at_ms)


async def bury(store: Store, tenant: str, partition: int, taken: Delivery, tried: Delivery, now_ms: int) -> None:
    """Make a dead letter of a delivery, unless somebody else has tried it since it was taken."""
    await _settle(store, keys.place(tenant, partition), "buried", taken, tried, now_ms)


async def dead_letters(store: Store, tenant: str, limit: int) -> list[DeadLetter]:
    """Return the latest dead letters of every partition, latest first."""
    found = await asyncio.gather(*(_dead_in(store, place, limit) for place in store.places(tenant)))
    every = sorted((each for some in found for each in some), key=lambda each: each.given_up_at_ms, reverse=True)
    return every[:limit]


async def redeliver(store: Store, tenant: str, delivery_id: str, now_ms: int) -> bool:
    """Owe a dead letter again; return False when there is no such one."""
    for place in store.places(tenant):
        raw = await store.link.call("HGET", place.dead_letters, delivery_id)
        if raw is None:
            continue
        fresh = replace(_delivery(raw), tries=0, tried_at_ms=None, fact=None)
        word, *_ = await store.scripts.run(
            "redeliver",
            dead=place.dead_letters_at,
            dead_letters=place.dead_letters,
            due=place.deliveries_due,
            deliveries=place.deliveries,
            delivery_id=delivery_id,
            now_ms=now_ms,
            delivery=dumps(asdict(fresh)),
        )
        return bool(word == b"owed")
    return False


async def owed(store: Store, tenant: str) -> int:
    """Return how many deliveries are owed in all partitions."""
    counts = await asyncio.gather(*(store.link.call("HLEN", place.deliveries) for place in store.places(tenant)))
    return sum(int(count) for count in counts)


async def _settle(store: Store, place: Place, step: str, taken: Delivery, tried: Delivery, at_ms: int) -> None:
    await store.scripts.run(
        "settle_delivery",
        due=place.deliveries_due,
        deliveries=place.deliveries,
        dead=place.dead_letters_at,
        dead_letters=place.dead_letters,
        delivery_id=taken.delivery_id,
        tries=taken.tries,
        step=step,
        at_ms=at_ms,
        delivery=dumps(asdict(tried)),
        dead_max=DEAD_LETTERS_MAX,
    )


async def _dead_in(store: Store, place: Place, limit: int) -> list[DeadLetter]:
    flat: list[Reply] = await store.link.call("ZRANGE", place.dead_letters_at, 0, limit - 1, "REV", "WITHSCORES")
    if not flat:
        return []
    bodies = await store.link.call("HMGET", place.dead_letters, *flat[::2])
    return [
        DeadLetter(_dead(_delivery(body)), int(float(moment)), place.partition)
        for body, moment in zip(bodies, flat[1::2], strict=True)
        if body is not None
    ]


def _dead(delivery: Delivery) -> Delivery:
    # Nothing else buries a delivery without a fact: the script found no room for it.
    return delivery if delivery.fact is not None else delivery.failed(f"more than {OWED_MAX} deliveries were owed")


def _delivery(raw: bytes) -> Delivery:
    body: dict[str, Any] = orjson.loads(raw)
    return Delivery(**{**body, "event": Event(**body["event"])})
