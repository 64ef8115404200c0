"""API keys: made, listed, revoked, found. The secret is told once, when it is made, and only its hash is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from service.store.store import Store

Role: TypeAlias = Literal["agent", "operator", "manager", "admin"]
ROLES: tuple[Role, ...] = ("agent", "operator", "manager", "admin")


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


async def create(store: Store, tenant: str, name: str, role: Role, now_ms: int) -> Created:
    """Make a key; raises LimitReached."""
    raise NotImplementedError


async def list_all(store: Store, tenant: str) -> tuple[ApiKey, ...]:
    """Return the tenant's keys, oldest first, revoked ones too."""
    raise NotImplementedError


async def revoke(store: Store, tenant: str, key_id: str, now_ms: int) -> ApiKey:
    """End a key for ever; raises KeyUnknown. Revoking twice is revoking once."""
    raise NotImplementedError


async def find(store: Store, token: str, now_ms: int) -> ApiKey | None:
    """Return the key of a token, None when there is none or it was revoked."""
    raise NotImplementedError
