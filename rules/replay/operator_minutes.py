"""How much more work a change makes for operators: from handling times that were really recorded, with an interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rules.replay.scorecards import Z_95

_MINUTE_MS = 60_000
# Fewer handling times of a queue say nothing of how they spread; then those of all queues stand in.
HANDLINGS_MIN = 5


@dataclass(slots=True)
class Handlings:
    """The recorded handling times of one queue: their number, sum and sum of squares, in minutes."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, handling_ms: int) -> None:
        """Count one handling."""
        minutes = handling_ms / _MINUTE_MS
        self.n += 1
        self.total += minutes
        self.squares += minutes * minutes

    def join(self, other: Handlings) -> None:
        """Count all of another queue's too."""
        self.n += other.n
        self.total += other.total
        self.squares += other.squares

    @property
    def mean(self) -> float:
        """Return the mean in minutes; only asked where there is one."""
        return self.total / self.n

    @property
    def variance(self) -> float:
        """Return the sample variance in square minutes; only asked where there are two."""
        return max(0.0, (self.squares - self.total * self.total / self.n) / (self.n - 1))


@dataclass(frozen=True, slots=True)
class Minutes:
    """Operators' minutes: `value` and its 95 % interval are None, not 0, where no handling time is known.

    `from_all` names the queues that had too few times of their own.
    """

    value: float | None
    interval: tuple[float, float] | None
    handlings: int
    from_all: tuple[str, ...] = ()

    def over(self, parts: float) -> Minutes:
        """Return the same for one of `parts` equal parts, as a day of many."""
        if self.value is None or self.interval is None:
            return self
        low, high = self.interval
        return Minutes(self.value / parts, (low / parts, high / parts), self.handlings, self.from_all)

    def as_json(self) -> dict[str, object]:
        """Return `{minutes, interval, handlings, from_all_queues}`."""
        interval = None if self.interval is None else [round(end, 2) for end in self.interval]
        value = None if self.value is None else round(self.value, 2)
        return {
            "minutes": value,
            "interval": interval,
            "handlings": self.handlings,
            "from_all_queues": list(self.from_all),
        }

    def __str__(self) -> str:
        if self.value is None or self.interval is None:
            if not self.handlings:
                return "unknown (no handling times were recorded)"
            were = "handling time was" if self.handlings == 1 else "handling times were"
            return f"unknown ({self.handlings} {were} recorded, {HANDLINGS_MIN} are needed)"
        low, high = self.interval
        return f"{self.value:+,.1f} (95 % {low:+,.1f} to {high:+,.1f}, from {self.handlings:,} handling times)"


def extra_minutes(more: Mapping[str, int], fewer: Mapping[str, int], handlings: Mapping[str, Handlings]) -> Minutes:
    """Return the minutes that `more` handoffs of each queue cost, less those that `fewer` save.

    Handoffs come as a Poisson process and each takes its own time, so n of them vary by n * (mean² + variance), the
    variance of a compound Poisson sum; to that comes what the mean itself is unsure by, (difference)² * variance / k.
    """
    everywhere = _joined(handlings.values())
    value, variance = 0.0, 0.0
    used: dict[str, int] = {}
    from_all: list[str] = []
    for queue in sorted(more.keys() | fewer.keys()):
        plus, minus = more.get(queue, 0), fewer.get(queue, 0)
        if not plus and not minus:
            continue
        times = handlings.get(queue, Handlings())
        if times.n < HANDLINGS_MIN:
            times = everywhere
            from_all.append(queue)
        if times.n < HANDLINGS_MIN:
            return Minutes(None, None, everywhere.n)
        used[queue] = times.n
        value += (plus - minus) * times.mean
        variance += (plus + minus) * (times.mean**2 + times.variance)
        variance += (plus - minus) ** 2 * times.variance / times.n
    if not used and everywhere.n < HANDLINGS_MIN:
        return Minutes(None, None, everywhere.n)
    spread = Z_95 * math.sqrt(variance)
    # Where those of all queues stand in, every time counts, and none twice.
    times_used = everywhere.n if from_all or not used else sum(used.values())
    return Minutes(value, (value - spread, value + spread), times_used, tuple(from_all))


def _joined(all_queues: Iterable[Handlings]) -> Handlings:
    joined = Handlings()
    for each in all_queues:
        joined.join(each)
    return joined
