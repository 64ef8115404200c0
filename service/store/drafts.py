"""What operators are writing, in Redis: saved as they type, read by whoever has the handoff next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from service.errors import HandoffUnknown, LimitReached
from service.store import codec
from service.store.keys import Place
from service.store.store import Store

# Drafts that one handoff keeps: what each operator is writing, and what was refused of theirs. More hands than these
# have other troubles.
DRAFTS_MAX = 40
APART = "\n"  # between an operator's name, which has none, and what tells a refused text apart
# After the last word: whoever was interrupted on a Friday finds it on Monday.
DRAFT_KEPT_MS = 4 * 86_400_000


@dataclass(frozen=True, slots=True)
class Draft:
    """What an operator was writing, as their console had it, and when it was saved.

    What they sent and was refused stands beside what they write, each text by itself: `refused` tells it apart.
    """

    by: str
    at_ms: int
    fields: Mapping[str, object]
    refused: str = ""


async def save(store: Store, place: Place, handoff_id: str, draft: Draft) -> None:
    """Keep a draft in the place of the operator's earlier one, or of the same refused text; what was refused before
    stays. Raises HandoffUnknown and LimitReached."""
    word, *_ = await store.scripts.run(
        "save_draft",
        handoff=place.handoff(handoff_id),
        drafts=place.drafts(handoff_id),
        operator=_field(draft.by, draft.refused),
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
    drafts = (
        Draft(by, each["at_ms"], each["fields"], refused)
        for name, each in found
        for by, _, refused in (name.decode().partition(APART),)
    )
    return tuple(sorted(drafts, key=lambda draft: -draft.at_ms))


async def drop(store: Store, place: Place, handoff_id: str, operator: str, refused: str = "") -> None:
    """Forget what an operator is writing, and the refused text that was sent now: both have been said."""
    await store.link.call("HDEL", place.drafts(handoff_id), operator, _field(operator, refused))


async def drop_all(store: Store, place: Place, handoff_id: str, operator: str) -> None:
    """Forget everything of an operator: they threw it away."""
    names = [name.decode() for name in await store.link.call("HKEYS", place.drafts(handoff_id))]
    theirs = [name for name in names if name.partition(APART)[0] == operator]
    if theirs:
        await store.link.call("HDEL", place.drafts(handoff_id), *theirs)


def _field(operator: str, refused: str) -> str:
    return operator + (APART + refused if refused else "")
