"""A month of a bank's recorded calls as values: when each began to wait, was answered or given up, and was done."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

DATA = Path("../shared/data/callcenter.dev.jsonl.gz")


@dataclass(frozen=True, slots=True)
class Call:
    """One call that had to wait. `answered_at_ms` None: the caller gave up at `ended_at_ms`."""

    day: str
    opened_at_ms: int
    answered_at_ms: int | None
    ended_at_ms: int
    operator: str

    @property
    def waited_ms(self) -> int:
        """Return how long the caller waited, to the answer or to giving up."""
        return (self.ended_at_ms if self.answered_at_ms is None else self.answered_at_ms) - self.opened_at_ms


def half_of(day: str) -> int:
    """Return 0 for a day to choose with and 1 for one to report: by a hash, so that nobody has chosen the days."""
    return hashlib.blake2b(day.encode(), digest_size=8).digest()[-1] % 2


def waiting_calls(path: Path) -> list[Call]:
    """Return the calls that waited, by the moment they began to.

    The log's own wait is taken: a few rows have an answer from before the call.
    """
    calls = []
    for day, midnight_s, (_, _, _, _, queued_s, waited_s, outcome, _, service_s, server) in _rows(path):
        if queued_s is None:
            continue
        opened_ms, then_ms = (midnight_s + queued_s) * 1000, (midnight_s + queued_s + waited_s) * 1000
        if outcome == "AGENT":
            calls.append(Call(day, opened_ms, then_ms, then_ms + service_s * 1000, server or "unnamed"))
        else:
            calls.append(Call(day, opened_ms, None, then_ms, "nobody"))
    return sorted(calls, key=lambda call: call.opened_at_ms)


def signs_of_life(path: Path, every_ms: int) -> list[tuple[int, str]]:
    """Return when somebody who talks to a customer is seen to be there, also to one who never waited."""
    found = []
    for _, midnight_s, (_, _, _, _, _, _, outcome, began_s, service_s, server) in _rows(path):
        if outcome == "AGENT":
            began_ms = (midnight_s + began_s) * 1000
            ends_ms = began_ms + service_s * 1000
            found += [(at_ms, server or "unnamed") for at_ms in (*range(began_ms, ends_ms, every_ms), ends_ms)]
    return sorted(found)


def _rows(path: Path) -> Iterator[tuple[str, int, list[Any]]]:
    with gzip.open(path) as lines:
        for line in lines:
            day = orjson.loads(line)
            midnight_s = int(datetime.fromisoformat(day["date"]).replace(tzinfo=UTC).timestamp())
            for row in day["calls"]:
                yield day["date"], midnight_s, row
