"""Later facts in Redis: one list a conversation. What they mean for the rules is worked out elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import orjson

from service.store import codec
from service.store.keys import Place
from service.store.store import ANSWER_KEPT_MS, Store

OUTCOMES_MAX = 100  # of one conversation; a system that sends more is sending one fact again and again


async def record(
    store: Store, place: Place, outcome: Mapping[str, object], request_id: str, digest: str
) -> tuple[str, bool] | Literal["reused", "full"]:
    """Keep an outcome once a request; return its id and whether it was there before, or why nothing was kept.

    `digest` tells what is reported: a request that was another report's is `reused`. `outcome` has at least
    outcome_id, tenant, conversation_id, handoff_id, actor and recorded_at_ms.
    """
    word, *rest = await store.scripts.run(
        "record_outcome",
        outcomes=place.outcomes(str(outcome["conversation_id"])),
        request=place.request(request_id),
        outbox=place.outbox,
        outcome=codec.dumps(outcome),
        outcome_id=str(outcome["outcome_id"]),
        outcomes_max=OUTCOMES_MAX,
        kept_ms=store.kept_ms,
        answer_kept_ms=ANSWER_KEPT_MS,
        tenant=place.tenant,
        handoff_id=str(outcome["handoff_id"] or ""),
        conversation_id=str(outcome["conversation_id"]),
        actor=str(outcome["actor"]),
        now_ms=str(outcome["recorded_at_ms"]),
        digest=digest,
    )
    if word == b"full":
        return "full"
    return "reused" if word == b"reused" else (rest[0].decode(), word == b"repeated")


async def of_conversation(store: Store, place: Place, conversation_id: str) -> tuple[dict[str, object], ...]:
    """Return what was recorded of a conversation, oldest first."""
    kept = await store.link.call("LRANGE", place.outcomes(conversation_id), 0, -1)
    return tuple(orjson.loads(raw) for raw in kept)
