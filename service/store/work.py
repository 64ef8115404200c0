"""What waits for the operators who ask for work: one look for all who ask in the same moment. Nothing is taken here.

A look finds the most urgent of the classes that those who ask may take. Each of them gets what is theirs of it, most
urgent first, and not what another of them is about to take.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from rules.marks import GROUPED_BEHIND_MS
from service.errors import StoreAway
from service.store.keys import Place
from service.store.reach import Reach
from service.store.scripts import Scripts

# Of a class, besides one for each who asks: those before them may have been taken meanwhile, or weigh more than an
# operator can carry.
SPARE = 16
SURE_MAX = 3  # of those who are sure; they look again when all of these were taken meanwhile
# Of a class in all, however many ask at once: the others look again.
FIRST_MAX = 128
# Classes of which the first ones are looked at for one operator, those with the most urgent.
CLASSES_READ_MAX = 8
# Classes that are not empty, read in one look; groups of floods are none of them. A house with fifty skills in four
# languages and ten queues has some hundred; past this many the least urgent wait until the others are fewer.
CLASSES_MAX = 2_000
# Partitions of tenants of which a process remembers the classes; past that it looks twice once more for each.
PARTITIONS_SEEN_MAX = 1_024
# Operators whom one look is for; a round trip further are those who come after.
ASKING_MAX = 256
# Whoever was promised a handoff, and was cancelled before they could try it, keeps nobody from it for longer.
PROMISED_MS_MAX = 2_000
# Handoffs of which it is known when they were taken: far more than are taken while one look is on its way.
TAKEN_MAX = 4_096
# Past every score and behind every id.
NEVER_MS = 1 << 62
LAST_ID = "~"

Class: TypeAlias = tuple[int, str]  # partition, name
Row: TypeAlias = tuple[int, str, int, str]  # score_ms, handoff_id, partition, name of the class


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, and what they may take, by the name of the class.

    `sure`: they take the first that is still there, so nobody else who asks at the same time need try it.
    """

    operator: str
    may_take: Callable[[str], bool]
    sure: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What an operator may take: `rows` most urgent first, `classes` how many are open to them.

    `in_hand` is the weight that they hold, by partition, and `clocks_ms` what its server's clock said; `due_at_ms` is
    when time next does something to any handoff. No rows, but classes: not all was seen, look again. `more`: less
    urgent classes were not seen, which the next look reads. Of the partitions that are `away` nothing is known: no row
    is theirs, and their weights and clocks are 0. `classes_of_theirs` and `look` tell `hidden` what was not given.
    """

    rows: list[Row]
    classes: int
    in_hand: tuple[int, ...]
    clocks_ms: tuple[int, ...]
    due_at_ms: int | None = None
    more: bool = False
    promised: str | None = None
    away: frozenset[int] = frozenset()
    classes_of_theirs: tuple[Class, ...] = ()
    look: _Look | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """One partition as it was found."""

    classes: list[tuple[int, int, str]]  # score_ms, partition, name: by urgency
    firsts: dict[Class, list[Row]]
    full: frozenset[Class]  # classes of which more may wait than were read
    loads: list[int]  # by who asks
    due_at_ms: int | None
    clock_ms: int


@dataclass(frozen=True, slots=True)
class _Look:
    """All partitions as one look found them, and what of them is still to be given, by what somebody may take.

    `number` counts the looks of this process by when they began.
    """

    number: int
    classes: list[tuple[int, int, str]]
    firsts: dict[Class, list[Row]]
    full: frozenset[Class]
    loads: list[tuple[int, ...]]
    due_at_ms: int | None
    clocks_ms: tuple[int, ...]
    away: frozenset[int]
    left: dict[tuple[Class, ...], list[Row]]


class Work:
    """What the operators of all tenants who ask in this process at one moment are looked up together."""

    def __init__(self, scripts: Scripts, reach: Reach) -> None:
        self._scripts = scripts
        self._reach = reach
        self._asking: dict[str, list[tuple[Asking, asyncio.Future[Found]]]] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self._seen: dict[str, list[str]] = {}
        self._promised: dict[str, float] = {}
        self._begun = 0
        self._taken: OrderedDict[str, int] = OrderedDict()

    async def find(self, tenant: str, places: Sequence[Place], asking: Asking) -> Found:
        """Return what the operator may take. Say `done` with it once that is taken."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Found] = loop.create_future()
        together = self._asking.get(tenant)
        if together is None or len(together) >= ASKING_MAX:
            together = self._asking[tenant] = []
            loop.call_soon(self._begin, tenant, places, together)
        together.append((asking, found))
        return await found

    def done(self, found: Found, taken: str | None = None) -> None:
        """Say that who got this has taken of it what they take, and what that was."""
        if found.promised is not None:
            self._promised.pop(found.promised, None)
        if taken is not None:
            self._taken[taken] = self._begun
            self._taken.move_to_end(taken)
            if len(self._taken) > TAKEN_MAX:
                self._taken.popitem(last=False)

    async def in_hand(self, places: Sequence[Place], operator: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the weight that an operator has in hand, and what the server's clock says, by partition.

        Raises StoreAway while one is away.
        """
        found = await self.hands(places, operator)
        if found.away:
            raise StoreAway("a shard is away")
        return found.in_hand, found.clocks_ms

    async def hands(self, places: Sequence[Place], operator: str) -> Found:
        """Return what an operator has in hand, as what is found for one who asks by name.

        Raises StoreAway where no partition answers.
        """

        async def look(place: Place) -> tuple[int, int]:
            _, _, _, loads, _, _, clock_ms = await self._scripts.read(
                "look_for_work",
                classes=place.classes,
                loads=place.loads,
                leases=place.leases,
                deadlines=place.deadlines,
                looked_at=(),
                classes_max=0,
                candidates_max=0,
                before=0,
                operators=(operator,),
            )
            return int(loads[0] or 0), clock_ms

        found = await self._reach.each(places, look)
        away = _away(places, found)
        known = [(0, 0) if each is None else each for each in found]
        return Found([], 1, tuple(load for load, _ in known), tuple(clock_ms for _, clock_ms in known), away=away)

    def _begin(
        self, tenant: str, places: Sequence[Place], together: list[tuple[Asking, asyncio.Future[Found]]]
    ) -> None:
        if self._asking.get(tenant) is together:
            del self._asking[tenant]
        task = asyncio.get_running_loop().create_task(self._answer(places, together))
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def _answer(self, places: Sequence[Place], together: list[tuple[Asking, asyncio.Future[Found]]]) -> None:
        try:
            look = await self._look(places, [asking for asking, _ in together])
            for number, (asking, found) in enumerate(together):
                if not found.done():
                    found.set_result(self._given(look, number, asking))
        except Exception as error:  # whatever it is, it is for those who asked
            for _, found in together:
                if not found.done():
                    found.set_exception(error)

    async def _look(self, places: Sequence[Place], asking: Sequence[Asking]) -> _Look:
        self._begun += 1
        number = self._begun
        found = await self._reach.each(places, lambda place: self._look_at(place, asking))
        away = _away(places, found)
        nothing = _Part([], {}, frozenset(), [0] * len(asking), None, 0)
        parts = [nothing if part is None else part for part in found]
        return _Look(
            number=number,
            classes=sorted(row for part in parts for row in part.classes),
            firsts={key: rows for part in parts for key, rows in part.firsts.items()},
            full=frozenset().union(*(part.full for part in parts)),
            loads=list(zip(*(part.loads for part in parts), strict=True)),
            due_at_ms=min((part.due_at_ms for part in parts if part.due_at_ms is not None), default=None),
            clocks_ms=tuple(part.clock_ms for part in parts),
            away=away,
            left={},
        )

    async def _look_at(self, place: Place, asking: Sequence[Asking]) -> _Part:
        read = _to_read(self._seen.get(place.tag, ()), asking)
        first_max = min(SPARE + len(asking), FIRST_MAX)
        _, lapses, ends, loads, classes, found, clock_ms = await self._scripts.read(
            "look_for_work",
            classes=place.classes,
            loads=place.loads,
            leases=place.leases,
            deadlines=place.deadlines,
            looked_at=[place.waiting_in(name) for name in read],
            classes_max=CLASSES_MAX,
            candidates_max=first_max,
            before=f"({GROUPED_BEHIND_MS}",
            operators=[each.operator for each in asking],
        )
        at = place.partition
        open_now = [(score, at, name) for score, name in scored(classes)]
        if len(self._seen) >= PARTITIONS_SEEN_MAX:
            self._seen.clear()
        self._seen[place.tag] = [name for *_, name in open_now]
        firsts = {
            (at, name): [(score, handoff_id, at, name) for score, handoff_id in scored(rows)]
            for name, rows in zip(read, found, strict=True)
        }
        return _Part(
            classes=open_now,
            firsts=firsts,
            full=frozenset(key for key, rows in firsts.items() if len(rows) == first_max),
            loads=[int(load or 0) for load in loads],
            due_at_ms=min((score for first in (lapses, ends) for score, _ in scored(first)), default=None),
            clock_ms=clock_ms,
        )

    def _given(self, look: _Look, number: int, asking: Asking) -> Found:
        """Return what one who asks gets of a look; the first row of who is sure is nobody else's."""
        may = asking.may_take
        mine = tuple((at, name) for _, at, name in look.classes if may(name))
        rows = look.left.get(mine)
        if rows is None:
            # What was taken while the look was on its way may stand in it still: given again, it would be in vain, and
            # to the same ones each time where looks and claims keep step.
            rows = [row for row in _in_order(look, mine) if self._taken.get(row[1], 0) < look.number]
            look.left[mine] = rows
        given = len(mine), look.loads[number], look.clocks_ms, look.due_at_ms
        # Another who asked, at the same time or a moment before, may be about to take it.
        now_s = time.monotonic()
        while rows and self._promised.get(rows[0][1], 0.0) > now_s:
            rows.pop(0)
        if not asking.sure or not rows:
            more = any(key not in look.firsts for key in mine[:CLASSES_READ_MAX])
            return Found(rows.copy(), *given, more=more, away=look.away, classes_of_theirs=mine, look=look)
        promised = rows[0][1]
        self._promised[promised] = now_s + PROMISED_MS_MAX / 1000
        # Behind the first only what is tried when another process was quicker: they weigh nothing for who is sure.
        return Found(rows[:SURE_MAX], *given, promised=promised, away=look.away)


def _away(places: Sequence[Place], found: Sequence[object]) -> frozenset[int]:
    """Return which partitions told nothing; raises StoreAway where none told anything."""
    away = frozenset(place.partition for place, each in zip(places, found, strict=True) if each is None)
    if len(away) == len(places):
        raise StoreAway("no shard answers")
    return away


def hidden(found: Found) -> tuple[list[Row], tuple[Class, ...]]:
    """Return what a look has read and not given, as something more urgent may stand before it that was not read; and
    the classes in which that would stand, most urgent first."""
    look = found.look
    if look is None:
        return [], ()
    given, mine = set(found.rows), found.classes_of_theirs
    rows = [row for key in mine for row in look.firsts.get(key, ()) if row not in given]
    return rows, tuple(key for key in mine if key in look.full or key not in look.firsts)


def _to_read(seen: Sequence[str], asking: Sequence[Asking]) -> list[str]:
    """Return the classes to look at: of those that were not empty a moment ago the first that anybody may take."""
    read: dict[str, None] = {}
    for each in {id(each.may_take): each for each in asking}.values():
        open_to = (name for name in seen if each.may_take(name))
        read.update(dict.fromkeys(islice(open_to, CLASSES_READ_MAX)))
    return list(read)


def _in_order(look: _Look, mine: tuple[Class, ...]) -> list[Row]:
    """Return the rows of some classes by urgency, as far as nobody more urgent can stand between them."""
    rows = sorted(row for key in mine for row in look.firsts.get(key, ()))
    known_to = (NEVER_MS, "")
    for key in mine:
        if key in look.full:
            known_to = min(known_to, look.firsts[key][-1][:2])
    # Those of a class that was not looked at stand behind its first, whoever that is. Of classes beyond the limit the
    # order among equals is left open, or a ninth that is as urgent as eight others would stop everybody.
    unread = next((place for place, key in enumerate(mine) if key not in look.firsts), None)
    if unread is not None:
        heads = {(at, name): score for score, at, name in look.classes}
        known_to = min(known_to, (heads[mine[unread]], LAST_ID if unread >= CLASSES_READ_MAX else ""))
    return [row for row in rows if row[:2] <= known_to]


def scored(flat: Sequence[bytes]) -> list[tuple[int, str]]:
    """Return members with their scores as a server tells them, each with its score first."""
    return [(int(float(score)), name.decode()) for name, score in zip(flat[::2], flat[1::2], strict=True)]
