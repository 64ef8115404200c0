"""Room that is kept for what operators are about to get. How much somebody may carry is decided in the flows."""

from __future__ import annotations

from typing import Literal, TypeAlias

from service.store import keys
from service.store.store import Store

# What is kept ends by itself, or a process that was killed would keep it for ever. A claim takes milliseconds; between
# these spans nobody gives anything that was not counted: what was read later than LOOK_MS_MAX after the room was kept
# is read again, and the server itself refuses what comes to it later than GIVE_MS_MAX after that.
LOOK_MS_MAX, GIVE_MS_MAX = 2_000, 2_000
KEPT_MS = LOOK_MS_MAX + GIVE_MS_MAX
# Who keep room for one operator at once: people have a few tabs. Whoever comes later tries again in a moment.
KEEPERS_MAX = 64

What: TypeAlias = Literal["claims", "offers"]


async def keep(store: Store, tenant: str, operator: str, what: What, keeper: str, weight: int) -> int | None:
    """Keep room, and return the weight that those keep who came before; None where too many do, and this one does not.

    The same keeper again keeps it for longer, in the turn that it had.
    """
    word, *rest = await store.scripts.run(
        "keep_room",
        room=_key(store, tenant, operator, what),
        keeper=keeper,
        weight=weight,
        kept_ms=KEPT_MS,
        keepers_max=KEEPERS_MAX,
    )
    return int(rest[0]) if word == b"kept" else None


async def leave(store: Store, tenant: str, operator: str, what: What, keeper: str) -> None:
    """Keep it no longer: what was to be given is given, or will not be. Lost with the server, it ends by itself."""
    await store.link.call("HDEL", _key(store, tenant, operator, what), keeper)


def _key(store: Store, tenant: str, operator: str, what: What) -> str:
    # A partition for each operator, so that one that is away takes only its own with it.
    return keys.place(tenant, keys.partition_of(operator, store.partitions)).room(operator, what)
