"""Rates that say how much they rest on: a count, its denominator and an interval. Unknown is never shown as 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054  # the two-sided 95 % point of the normal distribution


def wilson(n: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of the rate n / of; (0.0, 1.0) where nothing was counted.

    Not n / of with a normal error: a rule right 2 times of 2 (from 0.34) must not look surer than one right 180 of 200
    (from 0.85). Source: Wilson, JASA 22 (1927), 209-212.
    """
    if not 0 <= n <= of:
        raise ValueError(f"{n} of {of} is no rate")
    if of == 0:
        return 0.0, 1.0
    share = n / of
    square = Z_95 * Z_95
    middle = share + square / (2 * of)
    spread = Z_95 * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    scale = 1 + square / of
    # At 0 and at 1 the formula is exact but the floats are not: a bound past the rate itself would be a lie.
    low = 0.0 if n == 0 else max(0.0, (middle - spread) / scale)
    high = 1.0 if n == of else min(1.0, (middle + spread) / scale)
    return low, high


@dataclass(frozen=True, slots=True)
class Rate:
    """`n` of `of`. `rate` and `interval` are None, not 0, where `of` is 0: nothing was seen, so nothing is known."""

    n: int
    of: int

    @property
    def rate(self) -> float | None:
        """Return n / of, None where nothing was counted."""
        return self.n / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % Wilson interval, None where nothing was counted."""
        return wilson(self.n, self.of) if self.of else None

    def as_json(self) -> dict[str, object]:
        """Return `{n, of, rate, interval}`, rounded to what the interval can carry."""
        interval = self.interval
        return {
            "n": self.n,
            "of": self.of,
            "rate": None if self.rate is None else round(self.rate, 4),
            "interval": None if interval is None else [round(interval[0], 4), round(interval[1], 4)],
        }

    def __str__(self) -> str:
        interval = self.interval
        if self.rate is None or interval is None:
            return f"unknown (0 of {self.of})"
        return f"{self.rate:.2f} ({self.n} of {self.of}, 95 % {interval[0]:.2f} to {interval[1]:.2f})"
