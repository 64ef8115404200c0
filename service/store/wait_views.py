"""What this process knows of the waits of some queues, read a moment ago. Never the truth, and nothing is read here."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import OrderedDict
from dataclasses import dataclass

from rules.routing.operators import Operator
from rules.routing.waits import Waited

# Queues that one process tells waits of; the one that was asked least lately gives way. 600 waits are 150 kB.
VIEWS_MAX = 256


@dataclass(slots=True)
class WaitView:
    """One queue of a tenant as it was at `read_at_ms`.

    `history` are its latest waits, oldest first, and those that still went on. `scores_ms` are the urgencies of all
    that waited, lowest first, to which this process adds what it opens itself.
    """

    read_at_ms: int
    history: tuple[Waited, ...]
    scores_ms: list[int]
    asked_at_ms: int = 0

    def ahead_of(self, score_ms: int) -> int:
        """Return how many more urgent ones wait."""
        return bisect_left(self.scores_ms, score_ms)

    def opened(self, score_ms: int) -> None:
        """Count one more that waits."""
        insort(self.scores_ms, score_ms)


@dataclass(frozen=True, slots=True)
class AtWork:
    """Who of a tenant is there, or has something in hand, by what is declared of them; None where nobody is declared.

    `operators` are those at work. Somebody who is not declared among others may take what needs no skill.
    """

    read_at_ms: int
    operators: tuple[tuple[str, Operator | None], ...] = ()


class WaitViews:
    """The views of a process by (tenant, queue), and who is at work by tenant."""

    def __init__(self) -> None:
        self.views: OrderedDict[tuple[str, str], WaitView] = OrderedDict()
        self.at_work: dict[str, AtWork] = {}
        # Looks that are under way, which all who ask meanwhile share.
        self.looking: dict[tuple[str, str], asyncio.Task[WaitView]] = {}
        self.looking_who: dict[str, asyncio.Task[AtWork]] = {}

    def keep(self, tenant: str, queue: str, view: WaitView) -> None:
        """Keep a view in the place of the one before."""
        self.views[tenant, queue] = view
        self.views.move_to_end((tenant, queue))
        while len(self.views) > VIEWS_MAX:
            self.views.popitem(last=False)
