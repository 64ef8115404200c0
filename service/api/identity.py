"""Who calls, and what they may do. One table of actions and roles; keys are found through the flows and remembered."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from service.api.problems import Refused
from service.errors import StoreAway
from service.flows import keys
from service.flows.access import Store
from service.flows.keys import Role

# How long a found key is believed: so long does a revoked key still work in processes other than the one it was
# revoked in.
KEY_BELIEVED_MS = 10_000
# While the store is away a key that worked before goes on working; a day is longer than any outage one sleeps through.
KEY_BELIEVED_AWAY_MS = 86_400_000
# How long an unknown key is refused without asking again: a broken client must not be a load on the store.
KEY_REFUSED_MS = 5_000
# Far more keys than one process meets; a flood of invented ones pushes out only each other and the oldest.
KEYS_REMEMBERED_MAX = 4_096
TOKEN_CHARS_MAX = 256

# action -> the roles that may take it
ACTIONS: dict[str, frozenset[Role]] = {
    "decide": frozenset({"agent", "admin"}),
    "read": frozenset({"agent", "operator", "manager", "admin"}),
    "report": frozenset({"agent", "operator", "manager", "admin"}),
    "list": frozenset({"operator", "manager", "admin"}),
    "work": frozenset({"operator", "admin"}),
    "oversee": frozenset({"manager", "admin"}),
    "acknowledge": frozenset({"operator", "manager", "admin"}),
    "channel": frozenset({"manager", "admin"}),
    "govern": frozenset({"manager", "admin"}),
    "administer": frozenset({"admin"}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of the key that came with a request; `name` is the actor in every record."""

    tenant: str
    role: Role
    name: str
    key_id: str


@dataclass(frozen=True, slots=True)
class _Remembered:
    caller: Caller | None
    at_ms: int


def token_of(authorization: bytes | None) -> str:
    """Return the key inside an `Authorization` header, or raise Refused."""
    if authorization is None:
        raise Refused("key_missing", "the request has no `Authorization` header")
    scheme, _, token = authorization.partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or len(token) > TOKEN_CHARS_MAX or not token.isascii():
        raise Refused("key_missing", "the `Authorization` header is not `Bearer` and a key")
    return token.decode("ascii")


def permit(caller: Caller, action: str) -> Caller:
    """Return the caller when its role may take this action, or raise Refused."""
    allowed = ACTIONS[action]
    if caller.role not in allowed:
        roles = " or ".join(f"`{role}`" for role in keys.ROLES if role in allowed)
        raise Refused("role_missing", f"this needs a key of role {roles}, and the key is of role `{caller.role}`")
    return caller


class Callers:
    """The keys this process has met, by the header they came in.

    A dict compares only what has the same hash, and Python's hash of bytes is keyed with a secret of the process: how
    long a look-up takes tells nothing of the keys that are in it.
    """

    def __init__(self) -> None:
        self._met: OrderedDict[bytes, _Remembered] = OrderedDict()

    def forget(self, key_id: str) -> None:
        """Ask again for this key the next time it is used."""
        for authorization, met in list(self._met.items()):
            if met.caller is not None and met.caller.key_id == key_id:
                del self._met[authorization]

    async def find(self, store: Store, authorization: bytes | None, now_ms: int) -> Caller:
        """Return whose key came in the header, or raise Refused; StoreAway only for a key never met before."""
        met = self._met.get(authorization) if authorization is not None else None
        if met is not None and met.caller is not None and now_ms - met.at_ms < KEY_BELIEVED_MS:
            return met.caller
        token = token_of(authorization)
        if met is not None and met.caller is None and now_ms - met.at_ms < KEY_REFUSED_MS:
            raise Refused("key_unknown", "no key like this was made, or it was revoked")
        try:
            found = await keys.find(store, token, now_ms)
        except StoreAway:
            if met is None or met.caller is None or now_ms - met.at_ms > KEY_BELIEVED_AWAY_MS:
                raise
            return met.caller
        caller = Caller(found.tenant, found.role, found.name, found.key_id) if found is not None else None
        self._remember(authorization or b"", _Remembered(caller, now_ms))
        if caller is None:
            raise Refused("key_unknown", "no key like this was made, or it was revoked")
        return caller

    def _remember(self, authorization: bytes, met: _Remembered) -> None:
        self._met[authorization] = met
        self._met.move_to_end(authorization)
        if len(self._met) > KEYS_REMEMBERED_MAX:
            self._met.popitem(last=False)
