"""API keys: made, listed, revoked, found. The secret is told once, when it is made, and only its hash is kept."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, TypeAlias, cast

from service.errors import KeyUnknown, LimitReached
from service.store import api_keys, outbox
from service.store.store import Store

Role: TypeAlias = Literal["agent", "operator", "manager", "admin"]
ROLES: tuple[Role, ...] = ("agent", "operator", "manager", "admin")
NAME_CHARS_MAX = 64  # every record and log line shows the name
NAME_PATTERN = r"^[A-Za-z0-9][\w .@-]*$"
SECRET_BYTES = 32
TOKEN_CHARS_MAX = 128  # ours have 60; a longer one is not worth a hash
USED_STEP_MS = 60_000  # "last used" is told to the minute, so that a busy key is not written at every look


# Who made or ended a key at the machine itself, with the command: no key says their name.
LOCALLY = "command"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who may do what: `name` is the actor that records show. `revoked_at_ms` is None while the key works."""

    key_id: str
    tenant: str
    name: str
    role: Role
    created_at_ms: int
    last_used_at_ms: int | None = None
    revoked_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """A new key and its secret, which is not kept anywhere."""

    key: ApiKey
    token: str


async def create(store: Store, tenant: str, name: str, role: Role, now_ms: int, actor: str = LOCALLY) -> Created:
    """Make a key; raises LimitReached."""
    return await keep(store, tenant, name, role, new_token(role), now_ms, actor)


def new_token(role: Role) -> str:
    """Return a secret that nobody can guess; it opens nothing before it is kept."""
    return f"hr_{role}_{secrets.token_urlsafe(SECRET_BYTES)}"


async def keep(
    store: Store, tenant: str, name: str, role: Role, token: str, now_ms: int, actor: str = LOCALLY
) -> Created:
    """Let a new token open what the role may do; raises LimitReached. A token that is kept already stays as it is."""
    digest = _digest(token)
    key = ApiKey(_key_id(digest), tenant, name, role, now_ms)
    fields = {
        "key_id": key.key_id,
        "digest": digest,
        "tenant": tenant,
        "name": name,
        "role": role,
        "created_at_ms": str(now_ms),
    }
    await store.know(tenant)
    await outbox.tell(store, tenant, "key.created", actor, now_ms, f"{key.key_id} {role} {name}")
    if not await api_keys.create(store, tenant, key.key_id, now_ms, fields):
        raise LimitReached("API keys of one tenant", api_keys.KEYS_MAX)
    return Created(key, token)


async def list_all(store: Store, tenant: str) -> tuple[ApiKey, ...]:
    """Return the tenant's keys, oldest first, revoked ones too."""
    return tuple(_key(fields) for fields in await api_keys.of_tenant(store, tenant))


async def revoke(store: Store, tenant: str, key_id: str, now_ms: int, actor: str = LOCALLY) -> ApiKey:
    """End a key for ever; raises KeyUnknown. Revoking twice is revoking once."""
    if (await api_keys.get(store, key_id)).get("tenant") != tenant:
        raise KeyUnknown
    await outbox.tell(store, tenant, "key.revoked", actor, now_ms, key_id)
    fields = await api_keys.revoke(store, tenant, key_id, now_ms)
    if not fields:
        raise KeyUnknown
    return _key(fields)


async def find(store: Store, token: str, now_ms: int) -> ApiKey | None:
    """Return the key of a token, None when there is none or it was revoked."""
    if not token.startswith("hr_") or len(token) > TOKEN_CHARS_MAX:
        return None
    digest = _digest(token)
    fields = await api_keys.get(store, _key_id(digest))
    # The id is only the head of the digest; the whole must fit.
    if not fields or not hmac.compare_digest(fields["digest"], digest) or "revoked_at_ms" in fields:
        return None
    key = _key(fields)
    if now_ms - (key.last_used_at_ms or 0) >= USED_STEP_MS:
        await api_keys.touch(store, key.key_id, now_ms)
        key = replace(key, last_used_at_ms=now_ms)
    return key


async def owner(store: Store, token: str) -> str | None:
    """Return the tenant whose key a token is or was, None when nobody's. Nothing is noted of its use."""
    fields = await api_keys.get(store, key_id(token))
    return fields.get("tenant") if fields and hmac.compare_digest(fields["digest"], _digest(token)) else None


def key_id(token: str) -> str:
    """Return the id under which a token is listed."""
    return _key_id(_digest(token))


def _digest(token: str) -> str:
    # A secret of 256 random bits needs no slow hash: there is nothing to guess.
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _key_id(digest: str) -> str:
    return f"key_{digest[:24]}"


def _key(fields: dict[str, str]) -> ApiKey:
    used, revoked = fields.get("last_used_at_ms"), fields.get("revoked_at_ms")
    return ApiKey(
        key_id=fields["key_id"],
        tenant=fields["tenant"],
        name=fields["name"],
        role=cast(Role, fields["role"]),
        created_at_ms=int(fields["created_at_ms"]),
        last_used_at_ms=int(used) if used else None,
        revoked_at_ms=int(revoked) if revoked else None,
    )
