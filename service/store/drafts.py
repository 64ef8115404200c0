"""What operators are writing, in Redis: saved as they type, read by whoever has the handoff next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from service.errors import HandoffUnknown, LimitReached
from service.store import codec
from service.store.keys import Place
from service.store.store import Store

# Operators whose drafts one handoff keeps. More hands than these have other troubles.
DRAFTS_MAX = 20
# After the last word: whoever was interrupted on a Friday finds it on Monday.
DRAFT_KEPT_MS = 4 * 86_400_000


@dataclass(frozen=True, slots=True)
class Draft:
    """What an operator was writing, as their console had it, and when it was saved."""

    by: str
    at_ms: int
    fields: Mapping[str, object]


async def save(store: Store, place: Place, handoff_id: str, draft: Draft) -> None:
    """Keep a draft in the place of the operator's earlier one; raises HandoffUnknown and LimitReached."""
    word, *_ = await store.scripts.run(
        "save_draft",
        handoff=place.handoff(handoff_id),
        drafts=place.drafts(handoff_id),
        operator=draft.by,
        draft=codec.dumps({"at_ms": draft.at_ms, "fields": draft.fields}),
        drafts_max=DRAFTS_MAX,
        kept_ms=DRAFT_KEPT_MS,
    )
    if word == b"unknown":
        raise HandoffUnknown
    if word == b"full":
        raise LimitReached("drafts of one handoff", DRAFTS_MAX, "resolve it, or let those who wrote them finish")


async def of_handoff(store: Store, place: Place, handoff_id: str) -> tuple[Draft, ...]:
    """Return every draft, the latest first."""
    flat = await store.link.call("HGETALL", place.drafts(handoff_id))
    found = ((name, orjson.loads(raw)) for name, raw in zip(flat[::2], flat[1::2], strict=True))
    drafts = (Draft(name.decode(), each["at_ms"], each["fields"]) for name, each in found)
    return tuple(sorted(drafts, key=lambda draft: -draft.at_ms))


async def drop(store: Store, place: Place, handoff_id: str, operator: str) -> None:
    """Forget an operator's draft: it was sent, or they threw it away."""
    await store.link.call("HDEL", place.drafts(handoff_id), operator)
