"""What is to be told, in the order it happened: read by workers, kept until it was told. Nothing is sent here."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from service.store import keys
from service.store.keys import Place
from service.store.multiplexed import Reply, ServerError
from service.store.store import Store

# An entry that a worker took and did not acknowledge is given to the next one after this. A worker only turns entries
# into deliveries, which takes milliseconds and may be done twice, so a killed one need not be waited for long.
RECLAIM_MS = 3_000
OUTBOX_MAX = 100_000  # as in the part `tell` of the scripts: some days without a worker


@dataclass(frozen=True, slots=True)
class Event:
    """One change that is to be told. `event_id` is the same every time it is read, so a receiver can tell repeats.

    `detail` is the channel of a page, the queue of a reroute, the number of a reply, who was offered something, let it
    go by, fell silent or is sent it; else empty.
    `version` is the handoff's after the change, 0 where it is not of one. `widened`: what a step of a ladder changed.
    """

    entry_id: str
    event_id: str
    type: str
    tenant: str
    handoff_id: str | None
    conversation_id: str
    actor: str
    at_ms: int
    ruleset_version: int | None = None
    detail: str = ""
    version: int = 0
    widened: dict[str, Any] | None = None


async def read(store: Store, place: Place, consumer: str, limit: int) -> list[Event]:
    """Return events that nobody else is telling: those that were left lying first, then new ones."""
    try:
        return await _read(store, place, consumer, limit)
    except ServerError as error:
        if error.word != "NOGROUP":
            raise
    try:
        await store.link.call("XGROUP", "CREATE", place.outbox, keys.CONSUMERS, "0", "MKSTREAM", durable=True)
    except ServerError as error:
        if error.word != "BUSYGROUP":
            raise
    return await _read(store, place, consumer, limit)


async def _read(store: Store, place: Place, consumer: str, limit: int) -> list[Event]:
    reclaimed = await store.link.call(
        "XAUTOCLAIM", place.outbox, keys.CONSUMERS, consumer, RECLAIM_MS, "0-0", "COUNT", limit
    )
    entries: list[Reply] = [entry for entry in reclaimed[1] if entry and entry[1]]
    if len(entries) < limit:
        fresh = await store.link.call(
            "XREADGROUP", "GROUP", keys.CONSUMERS, consumer, "COUNT", limit - len(entries), "STREAMS", place.outbox, ">"
        )
        entries += fresh[0][1] if fresh else []
    return [_event(place, entry_id.decode(), fields) for entry_id, fields in entries]


async def ack(store: Store, place: Place, entry_ids: list[str]) -> None:
    """Forget events that were told. Safe to repeat, and to be killed in: XAUTOCLAIM drops what was deleted only."""
    if entry_ids:
        await store.link.call("XDEL", place.outbox, *entry_ids, durable=True)
        await store.link.call("XACK", place.outbox, keys.CONSUMERS, *entry_ids, durable=True)


async def tell(store: Store, tenant: str, kind: str, actor: str, at_ms: int, detail: str) -> None:
    """Put a change into the outbox that no script of the tenant makes, as what it changes has its keys elsewhere.

    Called before the change is made, so that nothing is done and not told.
    """
    place = store.places(tenant)[0]
    fields = ("type", kind, "tenant", tenant, "handoff_id", "", "conversation_id", "", "actor", actor)
    await store.link.call(
        "XADD", place.outbox, "MAXLEN", "~", OUTBOX_MAX, "*", *fields, "at_ms", at_ms, "detail", detail, durable=True
    )


async def length(store: Store, place: Place) -> int:
    """Return how many events wait to be told."""
    return int(await store.link.call("XLEN", place.outbox))


def _event(place: Place, entry_id: str, flat: list[bytes]) -> Event:
    fields = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
    digest = blake2b(f"{place.tag}\0{entry_id}".encode(), digest_size=12).hexdigest()
    return Event(
        entry_id=entry_id,
        event_id=f"evt_{digest}",
        type=fields["type"],
        tenant=fields["tenant"],
        handoff_id=fields["handoff_id"] or None,
        conversation_id=fields["conversation_id"],
        actor=fields["actor"],
        at_ms=int(fields["at_ms"]),
        ruleset_version=int(fields["ruleset_version"]) if "ruleset_version" in fields else None,
        detail=fields.get("detail", ""),
        version=int(fields.get("version", 0)),
        widened=orjson.loads(fields["widened"]) if "widened" in fields else None,
    )
