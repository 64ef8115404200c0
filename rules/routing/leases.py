"""When whoever has a handoff is warned that they will lose it, and what an outage of the store makes of that, from
values alone. How long a lease is, others say."""

from __future__ import annotations

from dataclasses import dataclass

# A quarter of a minute's lease: time to finish a sentence and press a key.
LEASE_WARN_MS = 15_000
# Who holds a handoff is doing something else, and must come back to it.
HOLD_WARN_MS = 120_000
# A short lease, or a short hold, is warned of when this part of it is left: a warning that comes with the claim says
# nothing, and one that lies before it is none.
WARN_PARTS = 4
# Workers note each second that the store can be asked; where more than three of these beats are missing it was away. A
# busy machine seldom misses as many, and no console is that near the end of a lease: it renews with a good half left.
OUTAGE_MS = 3_000
# How long after an outage nobody loses what they had in hand: a page that lost its service asks again within seconds,
# and somebody who sees that it is back has time to press a key. Whoever stays silent keeps customers waiting no longer.
SPARED_MS = 15_000
# So many outages, each while leases are still spared for the one before, spare the same lease. A worker without time
# for its beats makes gaps without end, and a silent operator must not keep a handoff for as long as that lasts.
OUTAGES_MAX = 4


def warn_at_ms(began_at_ms: int | None, ends_at_ms: int, *, held: bool) -> int:
    """Return when to warn of the end of a lease, or of a hold: LEASE_WARN_MS or HOLD_WARN_MS before it, or later.

    Never before the last quarter begins, so always within the lease. `began_at_ms` is None for one that an earlier
    version of Handrail wrote down.
    """
    full_ms = HOLD_WARN_MS if held else LEASE_WARN_MS
    if began_at_ms is None:
        return ends_at_ms - full_ms
    return ends_at_ms - min(full_ms, max(0, ends_at_ms - began_at_ms) // WARN_PARTS)


@dataclass(frozen=True, slots=True)
class Outage:
    """From when until when the store could not be asked, as far as its beats tell; `outages` in a row, taken as one."""

    from_at_ms: int
    until_at_ms: int
    outages: int = 1


def noted(before: Outage | None, beat_at_ms: int, now_ms: int) -> Outage | None:
    """Return the last outage, once somebody looks at `now_ms` who finds the last beat at `beat_at_ms`.

    One that begins while leases are still spared for another goes on from where that one began: who was silent between
    the two may have had no time to speak.
    """
    if now_ms - beat_at_ms <= OUTAGE_MS:
        return before
    if before is None or beat_at_ms > before.until_at_ms + SPARED_MS:
        return Outage(beat_at_ms, now_ms)
    if before.outages == OUTAGES_MAX:
        return before
    return Outage(before.from_at_ms, now_ms, before.outages + 1)


def ends_at_ms(said_at_ms: int, outage: Outage | None) -> int:
    """Return when a lease ends that says `said_at_ms`: later where nobody could renew it, or only for a moment."""
    if outage is None or said_at_ms < outage.from_at_ms:
        return said_at_ms
    return max(said_at_ms, outage.until_at_ms + SPARED_MS)
