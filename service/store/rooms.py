"""Room that is kept for what operators are about to get. How much somebody may carry is decided in the flows.

All of it lies in one partition that is the operator's own, so that one that is away takes only its operators with it.
What is noted there before a claim tells what somebody has in hand at most where that cannot be counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from service.store import codec, keys
from service.store.keys import Place
from service.store.store import ANSWER_KEPT_MS, Store

# What is kept ends by itself, or a process that was killed would keep it for ever. A claim takes milliseconds; between
# these spans nobody gives anything that was not counted: what was read later than LOOK_MS_MAX after the room was kept
# is read again, and the server itself refuses what comes to it later than GIVE_MS_MAX after that.
LOOK_MS_MAX, GIVE_MS_MAX = 2_000, 2_000
KEPT_MS = LOOK_MS_MAX + GIVE_MS_MAX
# Who keep room for one operator at once: people have a few tabs. Whoever comes later tries again in a moment.
KEEPERS_MAX = 64

What: TypeAlias = Literal["claims", "offers"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What whoever keeps room is told: `before` is the weight that those keep who came before, and `twins` are those
    of them that answer the same request.

    `noted` is what the operator has in hand at most, by partition, empty where nobody knows; `tried` the partition in
    which the same request was about to take something, None where it never was.
    """

    before: int
    twins: int
    turn: int
    noted: tuple[int, ...]
    tried: int | None


async def keep(
    store: Store, tenant: str, operator: str, what: What, keeper: str, weight: int, request_id: str
) -> Kept | None:
    """Keep room, and return what is known of others; None where too many do, and this one does not.

    The same keeper again keeps it for longer, in the turn that it had. `request_id` is empty for none.
    """
    home = _home(store, tenant, operator)
    word, *rest = await store.scripts.run(
        "keep_room",
        room=home.room(operator, what),
        noted=home.noted(operator),
        tried=home.tried(request_id),
        keeper=keeper,
        weight=weight,
        kept_ms=KEPT_MS,
        keepers_max=KEEPERS_MAX,
        request=request_id,
    )
    if word != b"kept":
        return None
    before, twins, turn, noted, tried = rest
    in_hand = tuple(int(each) for each in noted.split()[1:])
    return Kept(int(before), int(twins), int(turn), in_hand, codec.number(tried))


async def note(
    store: Store, tenant: str, operator: str, turn: int, in_hand: Sequence[int], partition: int, request_id: str
) -> None:
    """Note, before a claim takes anything, where it does and what the operator has in hand at most after that.

    `in_hand` empty for an operator without a limit.
    """
    home = _home(store, tenant, operator)
    await store.scripts.run(
        "note_claim",
        noted=home.noted(operator),
        tried=home.tried(request_id),
        turn=turn,
        in_hand=" ".join(map(str, in_hand)),
        partition=partition,
        noted_kept_ms=store.kept_ms,
        tried_kept_ms=ANSWER_KEPT_MS if request_id else 0,
    )


async def leave(store: Store, tenant: str, operator: str, what: What, keeper: str) -> None:
    """Keep it no longer: what was to be given is given, or will not be. Lost with the server, it ends by itself."""
    await store.link.call("HDEL", _home(store, tenant, operator).room(operator, what), keeper)


def _home(store: Store, tenant: str, operator: str) -> Place:
    return keys.place(tenant, keys.partition_of(operator, store.partitions))
