"""A tenant's channels in Redis: where people are told, and how each fares. Nothing is sent here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import orjson

from rules.telling.notices import Quiet
from service.store import keys
from service.store.codec import dumps
from service.store.route_codec import quiet_in
from service.store.store import Store

Kind: TypeAlias = Literal["slack", "email", "webhook"]
Security: TypeAlias = Literal["starttls", "tls", "none"]

# Field heads in the tenant's HASH: the channel itself, its counts, its failures in a row, the last fact, the last test.
CHANNEL, COUNT, FAILURES, FACT, TEST = "channel:", "count:", "failures:", "fact:", "test:"
# What is counted of a channel: messages taken, handoffs in them, kept back by quiet hours, tries that failed, given up.
COUNTS: tuple[str, ...] = ("messages", "told", "held", "failed", "given_up")


@dataclass(frozen=True, slots=True)
class Mail:
    """How mail goes out: the server, who logs in there, and whom it is from and for."""

    host: str
    port: int
    security: Security
    sender: str
    to: tuple[str, ...]
    user: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """Where people are told. One of `url` (slack), `mail` and `endpoint_id` (webhook) says how, by `kind`.

    `gather_ms`: how long what comes up is gathered for one message.
    """

    name: str
    kind: Kind
    created_at_ms: int
    language: str = "en"
    gather_ms: int = 10_000
    quiet: Quiet | None = None
    url: str | None = None
    mail: Mail | None = None
    endpoint_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fares:
    """How a channel fares: its counts, its failures in a row, and what came of the last try."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    fact: str | None = None
    fact_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """Every channel by its name, and how those fare of which anything is known, removed or missing ones too."""

    channels: dict[str, Channel]
    fares: dict[str, Fares]


async def keep(store: Store, tenant: str, channel: Channel) -> None:
    """Write a channel, over the one of the same name."""
    await store.know(tenant)
    await store.link.call("HSET", keys.channels(tenant), CHANNEL + channel.name, dumps(channel), durable=True)


async def remove(store: Store, tenant: str, name: str) -> bool:
    """Forget a channel and how it fared; return whether there was one."""
    fared = [COUNT + f"{count}:{name}" for count in COUNTS] + [FAILURES + name, FACT + name, TEST + name]
    _, gone = (
        await store.link.call("HDEL", keys.channels(tenant), *fared, durable=True),
        await store.link.call("HDEL", keys.channels(tenant), CHANNEL + name, durable=True),
    )
    return bool(gone)


async def known(store: Store, tenant: str) -> Known:
    """Return every channel and how each fares, in one trip."""
    flat: list[bytes] = await store.link.call("HGETALL", keys.channels(tenant))
    told = {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    found = {
        name.removeprefix(CHANNEL): _channel(orjson.loads(value))
        for name, value in told.items()
        if name.startswith(CHANNEL)
    }
    names = set(found) | {name.removeprefix(FACT) for name in told if name.startswith(FACT)}
    return Known(found, {name: _fares(told, name) for name in names})


async def get(store: Store, tenant: str, name: str) -> Channel | None:
    """Return one channel, None when there is none of the name."""
    raw = await store.link.call("HGET", keys.channels(tenant), CHANNEL + name)
    return None if raw is None else _channel(orjson.loads(raw))


async def count(store: Store, tenant: str, name: str, what: str, number: int) -> None:
    """Count something of a channel."""
    if number:
        await store.link.call("HINCRBY", keys.channels(tenant), f"{COUNT}{what}:{name}", number)


async def failed(store: Store, tenant: str, name: str, fact: str, now_ms: int) -> int:
    """Note a try that failed and return how many have in a row."""
    await _note(store, tenant, name, fact, now_ms)
    await count(store, tenant, name, "failed", 1)
    return int(await store.link.call("HINCRBY", keys.channels(tenant), FAILURES + name, 1))


async def taken(store: Store, tenant: str, name: str, fact: str, now_ms: int) -> None:
    """Note a message that was taken."""
    await _note(store, tenant, name, fact, now_ms)
    await store.link.call("HDEL", keys.channels(tenant), FAILURES + name)


async def note_test(store: Store, tenant: str, name: str, test_id: str, ok: bool, fact: str) -> None:
    """Write down what came of a test message."""
    body = orjson.dumps({"test_id": test_id, "ok": ok, "fact": fact})
    await store.link.call("HSET", keys.channels(tenant), TEST + name, body)
    if ok:
        await forgive(store, tenant, name)


async def forgive(store: Store, tenant: str, name: str) -> None:
    """Forget the failures in a row and the last fact; what is counted stays."""
    await store.link.call("HDEL", keys.channels(tenant), FAILURES + name, FACT + name)


async def test_result(store: Store, tenant: str, name: str, test_id: str) -> tuple[bool, str] | None:
    """Return whether the test message was taken and what was answered, None while nothing is known of it."""
    raw = await store.link.call("HGET", keys.channels(tenant), TEST + name)
    body = {} if raw is None else orjson.loads(raw)
    return (bool(body["ok"]), str(body["fact"])) if body.get("test_id") == test_id else None


async def link_secret(store: Store, fresh: bytes) -> bytes:
    """Return the secret that signs links; `fresh` becomes it where there is none yet."""
    await store.link.call("SET", keys.LINK_KEY, fresh.hex(), "NX", durable=True)
    kept: bytes = await store.link.call("GET", keys.LINK_KEY)
    return bytes.fromhex(kept.decode())


async def _note(store: Store, tenant: str, name: str, fact: str, now_ms: int) -> None:
    await store.link.call("HSET", keys.channels(tenant), FACT + name, f"{now_ms} {fact}")


def _channel(body: dict[str, Any]) -> Channel:
    mail = body["mail"]
    return Channel(
        **{
            **body,
            "quiet": quiet_in(body["quiet"]),
            "mail": None if mail is None else Mail(**{**mail, "to": tuple(mail["to"])}),
        }
    )


def _fares(told: dict[str, bytes], name: str) -> Fares:
    at_ms, _, fact = told.get(FACT + name, b"").decode().partition(" ")
    return Fares(
        {each: int(told.get(f"{COUNT}{each}:{name}", 0)) for each in COUNTS},
        int(told.get(FAILURES + name, 0)),
        fact or None,
        int(at_ms) if at_ms else None,
    )
