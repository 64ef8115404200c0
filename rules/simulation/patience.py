"""How long people wait before they leave, from those who left and from those who were answered first. Values only."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """By when which share has left: `left` is the share gone by each of `waited_ms`, below 1 when some never leave.

    Who was answered after a minute would have stayed at least a minute: they count until then and not as leaving
    (Kaplan and Meier, JASA 53 (1958), 457-481). Counting only those who left would make everybody look impatient.
    """

    waited_ms: tuple[int, ...] = ()
    left: tuple[float, ...] = ()

    def drawn(self, luck: float, beyond_ms: int = 0) -> int | None:
        """Return how long somebody waits who has waited `beyond_ms`, None for one who never leaves.

        `luck` is drawn evenly from 0 to 1.
        """
        gone = self.left_by(beyond_ms)
        if gone >= 1:
            return beyond_ms
        at = bisect_left(self.left, gone + luck * (1 - gone))
        at = max(at, bisect_right(self.waited_ms, beyond_ms))
        return self.waited_ms[at] if at < len(self.waited_ms) else None

    def left_by(self, waited_ms: int) -> float:
        """Return the share that has left by then."""
        at = bisect_right(self.waited_ms, waited_ms)
        return self.left[at - 1] if at else 0.0


def patience_of(waits: Iterable[tuple[int, bool]]) -> Patience:
    """Return the patience that waits tell of: how long each was, and whether the customer left at its end."""
    # Of two at the same moment the one who left is counted first, as is usual.
    ordered = sorted(waits, key=lambda wait: (wait[0], not wait[1]))
    staying = 1.0
    moments: list[int] = []
    gone: list[float] = []
    for at, (waited_ms, left) in enumerate(ordered):
        if not left:
            continue
        staying *= 1 - 1 / (len(ordered) - at)
        if moments and moments[-1] == waited_ms:
            gone[-1] = 1 - staying
        else:
            moments.append(waited_ms)
            gone.append(1 - staying)
    return Patience(tuple(moments), tuple(gone))
