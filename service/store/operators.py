"""Operators in Redis: what is declared of them, who is there, who had which customer. Who may do what: `rules`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

import orjson

from rules.compile.operators import OPERATORS_MAX
from rules.marks import GROUPED_BEHIND_MS
from rules.routing.operators import Absence, Operator, Shift
from rules.routing.route import wanted_in
from service.store import keys
from service.store.codec import dumps
from service.store.keys import Place
from service.store.store import Store
from service.store.work import CLASSES_MAX

# Who had a customer is remembered so long after the last time: people change their jobs, and customers their minds.
KEEPER_KEPT_MS = 90 * 86_400_000
# Stands in the place of a moment for who said that they leave: later than every moment, so that no work that they still
# do moves it.
LEFT_AT_MS = 1 << 52


def place_of(store: Store, tenant: str) -> Place:
    """Return the partition in which a tenant's operators stand: all in the first, so that they are read in one trip."""
    return store.places(tenant)[0]


async def declare(
    store: Store, tenant: str, operators: Iterable[Operator], actor: str, now_ms: int, *, replace: bool
) -> int | None:
    """Keep what is declared of operators; return how many there are now, None when that would be too many."""
    place = place_of(store, tenant)
    word, *rest = await store.scripts.run(
        "declare_operators",
        operators=place.operators,
        present=place.present,
        outbox=place.outbox,
        tenant=tenant,
        actor=actor,
        now_ms=now_ms,
        replace="replace" if replace else "",
        operators_max=OPERATORS_MAX,
        declared=[word for operator in operators for word in (operator.name, _out(operator))],
    )
    return int(rest[0]) if word == b"declared" else None


async def remove(store: Store, tenant: str, name: str, actor: str, now_ms: int) -> bool:
    """Forget what was declared of an operator; return whether there was anything."""
    place = place_of(store, tenant)
    word, *_ = await store.scripts.run(
        "remove_operator",
        operators=place.operators,
        present=place.present,
        outbox=place.outbox,
        tenant=tenant,
        actor=actor,
        now_ms=now_ms,
        name=name,
    )
    return bool(word == b"removed")


async def find(store: Store, tenant: str, name: str) -> tuple[Operator | None, bool]:
    """Return what is declared of one operator, and whether anybody is declared at all: one round trip."""
    place = place_of(store, tenant)
    raw, count = await asyncio.gather(
        store.link.call("HGET", place.operators, name), store.link.call("HLEN", place.operators)
    )
    return (None if raw is None else _in(raw)), bool(count)


async def every(store: Store, tenant: str) -> tuple[Operator, ...]:
    """Return everybody who is declared, by name."""
    flat = await store.link.call("HVALS", place_of(store, tenant).operators)
    return tuple(sorted((_in(raw) for raw in flat), key=lambda operator: operator.name))


async def present_until_ms(store: Store, tenant: str) -> Mapping[str, int]:
    """Return until when each operator who ever showed is believed to be there; nobody who has left."""
    present = place_of(store, tenant).present
    flat = await store.link.call("ZRANGEBYSCORE", present, "-inf", f"({LEFT_AT_MS}", "WITHSCORES")
    return {name.decode(): int(float(at)) for name, at in zip(flat[::2], flat[1::2], strict=True)}


async def be_present(store: Store, tenant: str, name: str, until_ms: int, *, back: bool) -> None:
    """Believe that the operator is there until then; who has left is only where they are `back`.

    Lost with the server, it is said again in half a minute.
    """
    only = () if back else ("GT",)
    await store.link.call("ZADD", place_of(store, tenant).present, *only, until_ms, name)


async def be_away(store: Store, tenant: str, name: str) -> None:
    """Believe that the operator is not there, until they are back."""
    await store.link.call("ZADD", place_of(store, tenant).present, LEFT_AT_MS, name)


async def loads(store: Store, tenant: str) -> Mapping[str, int]:
    """Return the weight of what each operator has in hand, over all partitions; none is 0."""
    total: dict[str, int] = {}
    for flat in await asyncio.gather(*(store.link.call("HGETALL", place.loads) for place in store.places(tenant))):
        for name, load in zip(flat[::2], flat[1::2], strict=True):
            total[name.decode()] = total.get(name.decode(), 0) + int(load)
    return total


async def kept(store: Store, tenant: str, only: str | None = None) -> Mapping[str, int]:
    """Return how many waiting handoffs are kept for each operator, offered or passed on to them; nobody without one.

    With `only` nobody else is counted.
    """

    async def look(place: Place) -> list[tuple[str, int]]:
        found = await store.link.call(
            "ZRANGEBYSCORE", place.classes, "-inf", f"({GROUPED_BEHIND_MS}", "LIMIT", 0, CLASSES_MAX
        )
        names = [name.decode() for name in found]
        whose = [(wanted_in(name).operator, name) for name in names]
        mine = [(operator, name) for operator, name in whose if operator is not None and only in (None, operator)]
        counts = await asyncio.gather(*(store.link.call("ZCARD", place.waiting_in(name)) for _, name in mine))
        return [(operator, int(count)) for (operator, _), count in zip(mine, counts, strict=True)]

    total: Counter[str] = Counter()
    for found in await asyncio.gather(*(look(place) for place in store.places(tenant))):
        for operator, count in found:
            total[operator] += count
    return total


async def last_claims_ms(store: Store, tenant: str) -> Mapping[str, int]:
    """Return when each operator last got a handoff, in whichever partition."""
    latest: dict[str, int] = {}
    for flat in await asyncio.gather(*(store.link.call("HGETALL", place.claimed_at) for place in store.places(tenant))):
        for name, at in zip(flat[::2], flat[1::2], strict=True):
            latest[name.decode()] = max(int(at), latest.get(name.decode(), 0))
    return latest


def keep_customer(store: Store, tenant: str, name: str, customer_id: str) -> Awaitable[object]:
    """Remember whose customer it is now. Losing it costs an offer its order, no handoff."""
    return store.link.call("SET", keys.keeper(tenant, customer_id), name, "PX", KEEPER_KEPT_MS)


async def keeper(store: Store, tenant: str, customer_id: str) -> str | None:
    """Return who had this customer last, None when nobody is remembered."""
    found = await store.link.call("GET", keys.keeper(tenant, customer_id))
    return found.decode() if found is not None else None


def _out(operator: Operator) -> bytes:
    fields = asdict(operator)
    fields["hours"] = [
        {"days": sorted(shift.days), "from_minutes": shift.from_minutes, "to_minutes": shift.to_minutes}
        for shift in operator.hours
    ]
    return dumps(fields)


def _in(raw: bytes) -> Operator:
    fields: dict[str, Any] = orjson.loads(raw)
    hours = (Shift(frozenset(each["days"]), each["from_minutes"], each["to_minutes"]) for each in fields["hours"])
    absences = (
        Absence(date.fromisoformat(each["first"]), date.fromisoformat(each["last"]), each["why"])
        for each in fields["absences"]
    )
    lists = {name: tuple(fields[name]) for name in ("languages", "queues", "customers")}
    return Operator(**{**fields, **lists, "hours": tuple(hours), "absences": tuple(absences)})
