"""API keys in Redis: hashes only. Who may do what with them is decided at the edges."""

from __future__ import annotations

import asyncio

from service.store import keys
from service.store.store import Store

KEYS_MAX = 1_000  # of one tenant, revoked ones counted; a tenant that needs more makes keys by mistake


async def create(store: Store, tenant: str, key_id: str, created_at_ms: int, fields: dict[str, str]) -> bool:
    """Keep a new key; return False when the tenant has KEYS_MAX already."""
    word, *_ = await store.scripts.run(
        "create_key",
        key=keys.api_key(key_id),
        keys=keys.api_keys(tenant),
        tenants=keys.TENANTS,
        key_id=key_id,
        tenant=tenant,
        created_at_ms=created_at_ms,
        keys_max=KEYS_MAX,
        fields=[word for pair in fields.items() for word in pair],
    )
    return bool(word == b"created")


async def get(store: Store, key_id: str) -> dict[str, str]:
    """Return the fields of a key, none when there is no such key."""
    return _fields(await store.link.call("HGETALL", keys.api_key(key_id)))


async def of_tenant(store: Store, tenant: str) -> list[dict[str, str]]:
    """Return the fields of every key of the tenant, oldest first."""
    key_ids = await store.link.call("ZRANGE", keys.api_keys(tenant), 0, KEYS_MAX - 1)
    found = await asyncio.gather(*(get(store, key_id.decode()) for key_id in key_ids))
    return [fields for fields in found if fields]


async def revoke(store: Store, tenant: str, key_id: str, now_ms: int) -> dict[str, str]:
    """End a key; return its fields, none when the tenant has no such key."""
    word, *rest = await store.scripts.run("revoke_key", key=keys.api_key(key_id), tenant=tenant, now_ms=now_ms)
    return _fields(rest[0]) if word == b"done" else {}


async def touch(store: Store, key_id: str, now_ms: int) -> None:
    """Note that a key was used."""
    await store.link.call("HSET", keys.api_key(key_id), "last_used_at_ms", now_ms)


def _fields(flat: list[bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
