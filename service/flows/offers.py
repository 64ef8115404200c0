"""Who is offered what, while one look at the timers lasts: each offer counts, the most urgent goes first."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from rules.handoff import Handoff
from rules.routing.operators import Operator, People, may_take
from rules.routing.route import wanted_in
from service.flows import operators
from service.store import handoffs, queues
from service.store.queues import Heads
from service.store.store import Store

# Handoffs that are looked at for one that is more urgent; where those are all people's to claim, so are most others.
MORE_URGENT_READ_MAX = 8
# No claim has this name, so that no stored answer is found under it.
REQUEST_ID = "offer"


class Desk:
    """The people at work as one look sees them. Offers are made one after the other, in `turn`.

    Two looks at once may each offer somebody their last place: the second offer then moves on in its time.
    """

    def __init__(self, store: Store, tenant: str, now_ms: int) -> None:
        self.turn = asyncio.Lock()
        self._store, self._tenant, self._now_ms = store, tenant, now_ms
        self._people: People | None = None

    async def people(self) -> People:
        """Return who is at work, with what this look has offered them already."""
        if self._people is None:
            self._people = await operators.people(self._store, self._tenant, self._now_ms)
        return self._people

    def offered(self, name: str) -> None:
        """Count an offer that was made."""
        if self._people is not None:
            self._people = self._people.offered(name)

    async def more_urgent(self, handoff: Handoff, whom: str) -> Handoff | None:
        """Return the most urgent handoff that waits to be offered and goes before this one to `whom`, if there is one.

        Whatever is looked at first would be offered first otherwise, and a person who becomes free would get by chance
        what is due to them by urgency.
        """
        declared = next((each.operator for each in (await self.people()).persons if each.operator.name == whom), None)
        known = Operator(whom) if declared is None else declared

        def may(name: str) -> bool:
            wanted = wanted_in(name)
            return wanted.operator is None and may_take(known, whom, wanted)

        heads = await queues.heads(self._store, self._tenant, whom, REQUEST_ID, may)
        if not isinstance(heads, Heads):
            return None
        names = [(run.place, each.handoff_id) for run in heads.runs for each in run.candidates]
        for first in await handoffs.many(self._store, names[:MORE_URGENT_READ_MAX]):
            if first.score_ms >= handoff.score_ms:
                return None
            offered = first.route.offer_ms is not None and first.reserved_for is None and first.state == "waiting"
            if offered and whom not in first.route.passed_by:
                return replace(first, route=replace(first.route, offer_at_ms=self._now_ms))
        return None
