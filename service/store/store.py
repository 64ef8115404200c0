"""The open store: the link to the server, its scripts, and what it was opened with. Nouns have files of their own."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rules.routing.operators import Operator
from service.errors import PartitionsDiffer, ServerUnfit
from service.store import keys
from service.store.connection import Link, link_to
from service.store.lighter import Lighter
from service.store.moves import Moves
from service.store.multiplexed import DURABLE_MS_MAX, Barrier, ServerError
from service.store.pressures import PressureViews
from service.store.reach import Reach
from service.store.recent import Recent, Told
from service.store.scripts import Scripts, library
from service.store.wait_views import WaitViews
from service.store.work import Work

Durable: TypeAlias = Literal["default", "strict", "replicated"]

# How long answers, ended handoffs and quiet conversations are kept in Redis. A retry after a month is no retry, and
# Redis holds what is open, not history; who needs decisions for ever reads the archive.
KEPT_MS = 30 * 86_400_000
# How long the answer to a request is kept for a retry that lost it. A client that was away for a day starts anew.
ANSWER_KEPT_MS = 86_400_000
SERVER_VERSION_MIN = (7, 0)  # Valkey says 7.2.4 there; scripts that read before they write need effects replication


@dataclass(frozen=True, slots=True)
class Declared:
    """What an operator's claims go by, as it was read at a moment of this process; None where nobody is declared."""

    operator: Operator | None
    read_at_s: float


class Store:
    """A server opened for Handrail's keys."""

    def __init__(self, url: str, link: Link, partitions: int, kept_ms: int, strict: bool = False) -> None:
        self.url = url
        self.link = link
        self.scripts = Scripts(link, library())
        self.partitions = partitions
        self.kept_ms = kept_ms
        self.strict = strict
        self.moves = Moves(url)
        self.recent = Recent()
        self.told = Told()
        self.reach = Reach()
        self.waits = WaitViews()
        self.pressures = PressureViews()
        self.work = Work(self.scripts, self.reach)
        self.lighter = Lighter(link)
        self.seen_until_ms: dict[tuple[str, str, bool], int] = {}  # operators this process has said to be there
        self.declared: dict[tuple[str, str], Declared] = {}
        self._tenants: set[str] = set()

    def place_of(self, tenant: str, conversation_id: str) -> keys.Place:
        """Return the keys of the partition where a conversation lives."""
        return keys.place(tenant, keys.partition_of(conversation_id, self.partitions))

    def places(self, tenant: str) -> list[keys.Place]:
        """Return the keys of every partition of a tenant."""
        return [keys.place(tenant, partition) for partition in range(self.partitions)]

    def knows(self, tenant: str) -> bool:
        """Return whether this process has put the tenant on the list that workers sweep."""
        return tenant in self._tenants

    async def know(self, tenant: str) -> None:
        """Put the tenant on the list that workers sweep; free from the second time on."""
        if tenant not in self._tenants:
            await self.link.call("SADD", keys.TENANTS, tenant, durable=True)
            self._tenants.add(tenant)

    async def tenants(self) -> tuple[str, ...]:
        """Return every tenant that ever had a key or a turn."""
        return tuple(sorted(tenant.decode() for tenant in await self.link.call("SMEMBERS", keys.TENANTS)))

    async def confirm(self, place: keys.Place) -> None:
        """Return when what was just read is as durable as was asked: an answer that is found is an answer given."""
        if self.strict:
            await self.link.call("SET", place.mark, "", durable=True)

    async def ping(self) -> None:
        """Return when the server answers; raise StoreAway otherwise."""
        await self.link.call("PING")

    async def close(self) -> None:
        """Let go of every connection."""
        await asyncio.gather(self.moves.close(), self.link.close())


async def open_store(url: str, *, partitions: int = 1, durable: Durable = "default", kept_ms: int = KEPT_MS) -> Store:
    """Open the server at `url`; raises ServerUnfit, PartitionsDiffer, StoreAway."""
    link = link_to(url)
    try:
        await _check_version(link)
        barrier = await _barrier(link, durable) if durable != "default" else None
        if barrier is not None:
            await link.close()
            link = link_to(url, barrier)
        store = Store(url, link, partitions, kept_ms, strict=barrier is not None)
        await _check_made_with(store)
    except BaseException:
        await link.close()
        raise
    return store


async def _check_version(link: Link) -> None:
    try:
        told = await link.call("INFO", "server")
    except ServerError as error:
        raise ServerUnfit(
            f"the server says {error.word} to INFO", "allow its user the commands INFO and EVALSHA"
        ) from error
    found = re.search(rb"redis_version:(\d+)\.(\d+)", told) if isinstance(told, bytes) else None
    if found is None:
        raise ServerUnfit("the server does not tell its version", "use Redis >= 7 or Valkey >= 7.2")
    version = (int(found[1]), int(found[2]))
    if version < SERVER_VERSION_MIN:
        raise ServerUnfit(f"the server is version {version[0]}.{version[1]}", "use Redis >= 7 or Valkey >= 7.2")


async def _barrier(link: Link, durable: Durable) -> Barrier | None:
    """Return what a write waits for so that it survives a crash; None when the server syncs before it answers.

    `replicated` waits for a replica instead, which may take the server's place and then has what was answered.
    """
    if durable == "replicated":
        return Barrier(("WAIT", 1, DURABLE_MS_MAX), 1, ("SET", keys.MARK, ""))
    hint = "set `appendonly yes` on the server, with `appendfsync always` where it has no WAITAOF"
    try:
        _, appendonly = await link.call("CONFIG", "GET", "appendonly")
        _, appendfsync = await link.call("CONFIG", "GET", "appendfsync")
        if (appendonly, appendfsync) == (b"yes", b"always"):
            return None
    except (ServerError, ValueError):
        # A managed server keeps its configuration to itself; WAITAOF tells as much.
        appendonly = b"unknown"
    if appendonly == b"no":
        raise ServerUnfit("`durable: strict` needs an append-only file, and the server keeps none", hint)
    try:
        await link.call("WAITAOF", 1, 0, 1)
    except ServerError as error:
        raise ServerUnfit(f"`durable: strict` needs WAITAOF, and the server says {error.word} to it", hint) from error
    return Barrier(("WAITAOF", 1, 0, DURABLE_MS_MAX), 1, ("SET", keys.MARK, ""))


async def _check_made_with(store: Store) -> None:
    _, schema, partitions = await store.scripts.run(
        "open_store", store=keys.STORE, schema=keys.SCHEMA, partitions=store.partitions
    )
    if int(schema) != keys.SCHEMA:
        raise ServerUnfit(
            f"the store has schema {int(schema)}, and this Handrail knows {keys.SCHEMA}",
            "start the Handrail that wrote it, or a newer one",
        )
    if int(partitions) != store.partitions:
        raise PartitionsDiffer(int(partitions), store.partitions)
