"""What people are owed, in Redis: added, taken when it is due, settled. Whether it still holds is asked elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from rules.telling.telling import Telling
from service.store import keys
from service.store.codec import dumps
from service.store.keys import Place
from service.store.multiplexed import Word
from service.store.route_codec import quiet_in
from service.store.store import Store

# 400 bytes each, 40 MB: ten thousand open handoffs in queues that tell five channels twice.
OWED_MAX = 100_000
REST = b"rest "  # before the moment until which a channel is left alone


@dataclass(frozen=True, slots=True)
class Taken:
    """What a channel is owed by now, held by this worker until `until_ms`."""

    tellings: tuple[Telling, ...]
    until_ms: int


@dataclass(frozen=True, slots=True)
class Settled:
    """A telling as it is owed from now on, and when; `due_at_ms` None: no more."""

    telling: Telling
    due_at_ms: int | None = None


def place_of(tenant: str) -> Place:
    """Return where all that a tenant's people are owed lies."""
    return keys.place(tenant, 0)


async def owe(
    store: Store, tenant: str, channel: str, owed: Iterable[tuple[Telling, int]], gather_ms: int
) -> tuple[int, int]:
    """Owe a channel tellings, each with its moment; return how many were added and how many found no room."""
    words: list[Word] = []
    for telling, due_at_ms in owed:
        words += [telling.telling_id, due_at_ms, dumps(telling)]
    place = place_of(tenant)
    _, added, refused = await store.scripts.run(
        "owe_tellings",
        **_keys(place, channel),
        channel=channel,
        gather_ms=gather_ms,
        owed_max=OWED_MAX,
        owed=words,
    )
    return int(added), int(refused)


async def due_channels(store: Store, tenant: str, now_ms: int, limit: int) -> list[str]:
    """Return the channels that are to be looked at, longest due first."""
    found = await store.link.call("ZRANGEBYSCORE", place_of(tenant).telling_channels, "-inf", now_ms, "LIMIT", 0, limit)
    return [name.decode() for name in found]


async def take(
    store: Store, tenant: str, channel: str, now_ms: int, until_ms: int, limit: int, gather_ms: int
) -> Taken | None:
    """Take what the channel is owed by now; None where somebody else has it, or it is early."""
    word, *rest = await store.scripts.run(
        "take_tellings",
        **_keys(place_of(tenant), channel),
        channel=channel,
        now_ms=now_ms,
        until_ms=until_ms,
        limit=limit,
        gather_ms=gather_ms,
    )
    if word != b"taken" or not rest[0]:
        return None
    return Taken(tuple(_telling(orjson.loads(raw)) for raw in rest[0]), until_ms)


async def settle(
    store: Store,
    tenant: str,
    channel: str,
    taken: Taken,
    settled: Sequence[Settled],
    *,
    rests_until_ms: int,
    gather_ms: int,
) -> bool:
    """Write down what became of them; False where somebody else has taken them since. What is not named stays."""
    words: list[Word] = []
    for each in settled:
        due: Word = "" if each.due_at_ms is None else each.due_at_ms
        words += [each.telling.telling_id, due, "" if each.due_at_ms is None else dumps(each.telling)]
    word, *_ = await store.scripts.run(
        "settle_tellings",
        **_keys(place_of(tenant), channel),
        channel=channel,
        until_ms=taken.until_ms,
        rests_until_ms=rests_until_ms,
        gather_ms=gather_ms,
        settled=words,
    )
    return bool(word == b"settled")


async def wake(store: Store, tenant: str, channel: str, gather_ms: int) -> None:
    """Leave a channel alone no longer; what a worker is sending now does not put it to rest either."""
    place = place_of(tenant)
    await store.scripts.run(
        "wake_channel",
        channels=place.telling_channels,
        due=place.tellings_due(channel),
        rests=place.telling_rests,
        channel=channel,
        gather_ms=gather_ms,
    )


async def rests(store: Store, tenant: str) -> dict[str, int]:
    """Return until when each channel that failed is left alone, by its name; a moment may be over."""
    flat: list[bytes] = await store.link.call("HGETALL", place_of(tenant).telling_rests)
    found = zip(flat[::2], flat[1::2], strict=True)
    return {name.decode(): int(until[len(REST) :]) for name, until in found if until.startswith(REST)}


async def owed_counts(store: Store, tenant: str) -> dict[str, int]:
    """Return how many tellings each channel is owed, by its name."""
    place = place_of(tenant)
    found = await store.link.call("ZRANGE", place.telling_channels, 0, -1)
    names = [name.decode() for name in found]
    counts = await asyncio.gather(*(store.link.call("ZCARD", place.tellings_due(name)) for name in names))
    return dict(zip(names, map(int, counts), strict=True))


def _keys(place: Place, channel: str) -> dict[str, str]:
    return {
        "tellings": place.tellings,
        "channels": place.telling_channels,
        "due": place.tellings_due(channel),
        "rests": place.telling_rests,
    }


def _telling(body: dict[str, Any]) -> Telling:
    return Telling(**{**body, "quiet": quiet_in(body["quiet"])})
