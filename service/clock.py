"""The one place where the time of day is read; only edges and jobs may call it, everything below takes `now_ms`."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Return the present moment in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000
