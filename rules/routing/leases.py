"""When whoever has a handoff is warned that they will lose it, from values alone. How long a lease is, others say."""

from __future__ import annotations

# A quarter of a minute's lease: time to finish a sentence and press a key.
LEASE_WARN_MS = 15_000
# Who holds a handoff is doing something else, and must come back to it.
HOLD_WARN_MS = 120_000
# A short lease, or a short hold, is warned of when this part of it is left: a warning that comes with the claim says
# nothing, and one that lies before it is none.
WARN_PARTS = 4


def warn_at_ms(began_at_ms: int | None, ends_at_ms: int, *, held: bool) -> int:
    """Return when to warn of the end of a lease, or of a hold: LEASE_WARN_MS or HOLD_WARN_MS before it, or later.

    Never before the last quarter begins, so always within the lease. `began_at_ms` is None for one that an earlier
    version of Handrail wrote down.
    """
    full_ms = HOLD_WARN_MS if held else LEASE_WARN_MS
    if began_at_ms is None:
        return ends_at_ms - full_ms
    return ends_at_ms - min(full_ms, max(0, ends_at_ms - began_at_ms) // WARN_PARTS)
