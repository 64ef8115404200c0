"""Whether a server that somebody else runs keeps what it is given: asked, since nothing else would tell in time."""

from __future__ import annotations

import re

from service.store.store import Durable, Store

_FACT = re.compile(rb"^(aof_enabled|maxmemory|maxmemory_policy):(\S+)", re.MULTILINE)


async def lacks(store: Store, durable: Durable) -> tuple[str, ...]:
    """Return in a sentence each why the server may lose what was answered, none where it keeps all or does not say.

    With `replicated` a replica has it, whatever stands on a disk. Raises StoreAway.
    """
    found: dict[bytes, bytes] = {}
    for section in ("persistence", "memory"):
        told = await store.link.call("INFO", section)
        found.update(_FACT.findall(told) if isinstance(told, bytes) else ())
    facts = []
    if found.get(b"aof_enabled") == b"0" and durable != "replicated":
        facts.append("no append-only file: a restart loses handoffs, decisions and keys; set `appendonly yes`")
    policy = found.get(b"maxmemory_policy", b"noeviction").decode()
    if found.get(b"maxmemory", b"0") != b"0" and policy != "noeviction":
        facts.append(f"it drops keys when its memory is full (`{policy}`); set `maxmemory-policy noeviction`")
    return tuple(facts)
