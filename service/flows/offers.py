"""Who is offered what, while one look at the timers lasts: each offer counts, the most urgent goes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from rules import moves
from rules.handoff import Handoff, Kind, wanted
from rules.model import PRIORITIES
from rules.routing.operators import Operator, People, may_take
from rules.routing.route import wanted_in
from rules.routing.yielding import gives_way
from service.errors import StoreAway
from service.flows import operators
from service.flows.rooms import Room, until_ms
from service.store import handoffs
from service.store.keys import Place
from service.store.store import Store
from service.store.work import Asking

# Handoffs that are looked at for one that is more urgent; where those are all people's to claim, so are most others.
MORE_URGENT_READ_MAX = 8
# Of what one person has been offered, the least urgent: hardly anybody has room for more beside what they do.
OFFERS_READ_MAX = 8
# Somebody whom another look is offering something is waited for so long; after that they are found at the next look.
OTHERS_WAIT_MS = 200
LOOKS_MAX = 4  # the first may not know which classes matter; another sees others only where they have changed since


@dataclass(frozen=True, slots=True)
class Offering:
    """Leave to offer somebody something: nobody else makes them an offer until it is `done`, or ends by itself."""

    room: Room
    clocks_ms: tuple[int, ...]

    def until_ms(self, partition: int) -> int:
        """Return until when a handoff of that partition may be offered, by its server's clock."""
        return until_ms(self.clocks_ms[partition])

    async def done(self) -> None:
        """Say that the offer was made, or will not be."""
        await self.room.leave()


class Desk:
    """The people at work as one look sees them. Offers are made one after the other, in `turn`.

    Other looks go on at the same time, in other processes and partitions: whoever is to be offered something is met
    first, with what the others have offered them meanwhile.
    """

    def __init__(self, store: Store, tenant: str, now_ms: int) -> None:
        self.turn = asyncio.Lock()
        self._store, self._tenant, self._now_ms = store, tenant, now_ms
        self._people: People | None = None
        self._offers: dict[str, list[Handoff]] = {}

    async def people(self) -> People:
        """Return who is at work, with what this look has offered them already.

        Raises StoreAway while a shard is away: what somebody has in hand lies on all of them.
        """
        if self._people is None:
            if not await self._store.reach.all_there(self._store.places(self._tenant), self._store.link):
                raise StoreAway("a shard is away")
            self._people = await operators.people(self._store, self._tenant, self._now_ms)
        return self._people

    async def meet(self, name: str, kind: Kind) -> Offering | None:
        """Return leave to offer somebody a handoff of this kind; None where they have no room for it after all."""
        room = Room(self._store, self._tenant, name, "offers", 1)
        while True:
            await room.keep()
            (in_hand, clocks_ms), kept = await asyncio.gather(
                self._store.work.in_hand(self._store.places(self._tenant), name),
                operators.kept(self._store, self._tenant, name),
            )
            if not room.before and room.in_time:
                break
            if not await room.pause(OTHERS_WAIT_MS):
                # Somebody whom another look is offering something is busy, as far as this one goes.
                self.offered(name)
                await room.leave()
                return None
        self._people = (await self.people()).met(name, sum(in_hand), kept)
        if not any(one.operator.name == name and one.may_be_offered(kind) for one in self._people.persons):
            await room.leave()
            return None
        return Offering(room, clocks_ms)

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
            there = wanted_in(name)
            return there.operator is None and may_take(known, whom, there)

        rows = (await self._by_urgency(whom, may))[:MORE_URGENT_READ_MAX]
        for first in await handoffs.many(self._store, rows):
            if first.score_ms >= handoff.score_ms:
                return None
            offered = first.route.offer_ms is not None and first.reserved_for is None and first.state == "waiting"
            if offered and whom not in first.route.passed_by:
                return replace(first, route=replace(first.route, offer_at_ms=self._now_ms))
        return None

    async def lesser(self, handoff: Handoff) -> Handoff | None:
        """Return the least urgent of the offers that give way to this handoff, None when there is none.

        Whoever has it would be free for this one then; nobody is free for it as it is.
        """
        if handoff.priority == PRIORITIES[0]:
            return None  # nothing is less urgent, and most of what waits long is of these
        there, passed_by = await self.people(), moves.not_asked(handoff, self._now_ms)
        names = there.free_but_for_one(wanted(handoff), handoff.kind, passed_by)
        await asyncio.gather(*(self._read_offers(name) for name in names if name not in self._offers))
        those = [each for name in names for each in self._offers[name] if gives_way(each, handoff)]
        return max(those, key=lambda each: (each.score_ms, each.handoff_id), default=None)

    def withdrawn(self, offered: Handoff, *, done: bool) -> None:
        """Count an offer that was withdrawn, or is none any more as somebody was quicker."""
        whom = offered.reserved_for or ""
        self._offers[whom] = [each for each in self._offers[whom] if each.handoff_id != offered.handoff_id]
        if done and self._people is not None:
            self._people = self._people.offered(whom, -1)

    async def _read_offers(self, whom: str) -> None:
        """Read what is kept for somebody, once in a look: what has changed since is not withdrawn."""
        rows = await self._by_urgency(whom, lambda name: wanted_in(name).operator == whom, whole=True)
        self._offers[whom] = await handoffs.many(self._store, rows[-OFFERS_READ_MAX:])

    async def _by_urgency(
        self, whom: str, may: Callable[[str], bool], *, whole: bool = False
    ) -> list[tuple[Place, str]]:
        """Return the first of what waits in some classes, by urgency; nobody takes it by that.

        With `whole` none of the classes is left out because it was empty a moment ago.
        """
        places = self._store.places(self._tenant)
        for _ in range(LOOKS_MAX):
            found = await self._store.work.find(self._tenant, places, Asking(whom, may, sure=False))
            if (found.rows and not (whole and found.more)) or not found.classes:
                break
        return [(places[at], handoff_id) for _, handoff_id, at, _ in found.rows]
