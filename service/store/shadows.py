"""What a version in shadow would have decided, in Redis: counts, and the latest differences. Nothing is judged here."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import orjson

from service.store.codec import dumps
from service.store.keys import Place
from service.store.store import Store

DIFFERENCES_MAX = 1_000  # of one version, 300 bytes each: a manager reads the first page
# How long is known that a write was done: whoever lost its answer sends it again within seconds.
WRITTEN_KEPT_MS = 600_000
COUNTS_MAX = 50_000  # names of one version: two a rule, and the most rules that a directory may have


@dataclass(frozen=True, slots=True)
class Difference:
    """A turn on which a version in shadow differs: ids and rules, nothing of what anybody said."""

    decision_id: str
    conversation_id: str
    at_ms: int
    word: str
    verdict: str
    would_be: str
    queue: str | None
    more: tuple[str, ...]
    fewer: tuple[str, ...]


async def record(
    store: Store, place: Place, version: int, counts: Mapping[str, int], differences: Iterable[Difference], now_ms: int
) -> None:
    """Add to what is known of a version in shadow, once however often it is sent: differences in their order."""
    words: list[str | int | bytes] = [word for pair in counts.items() for word in pair]
    words += [dumps(asdict(difference)) for difference in differences]
    await store.scripts.run(
        "record_shadow",
        shadow=place.ruleset_shadow(version),
        differences=place.ruleset_differences(version),
        written=place.ruleset_written(version, secrets.token_hex(8)),
        now_ms=now_ms,
        kept_ms=store.kept_ms,
        differences_max=DIFFERENCES_MAX,
        fields_max=COUNTS_MAX,
        counts=len(counts),
        written_kept_ms=WRITTEN_KEPT_MS,
        rest=words,
    )


async def read(store: Store, place: Place, version: int, limit: int) -> tuple[dict[str, int], tuple[Difference, ...]]:
    """Return the counts of a version, and its latest differences, latest first."""
    flat, latest = await asyncio.gather(
        store.link.call("HGETALL", place.ruleset_shadow(version)),
        store.link.call("LRANGE", place.ruleset_differences(version), 0, min(limit, DIFFERENCES_MAX) - 1),
    )
    counts = {name.decode(): int(number) for name, number in zip(flat[::2], flat[1::2], strict=True)}
    return counts, tuple(_difference(orjson.loads(raw)) for raw in latest)


def _difference(told: dict[str, Any]) -> Difference:
    known = {field.name: told[field.name] for field in fields(Difference)}
    return Difference(**{**known, "more": tuple(told["more"]), "fewer": tuple(told["fewer"])})
