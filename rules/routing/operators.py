"""What an operator can do and when: skills, languages, capacity, hours, as values. Who is there is asked elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from rules.files.keys import DAYS
from rules.handoff import KINDS, Kind
from rules.routing.route import Wanted, language_of


@dataclass(frozen=True, slots=True)
class Shift:
    """Hours of some days of the week, in minutes since midnight; one that ends before it starts ends the next day."""

    days: frozenset[str]
    from_minutes: int
    to_minutes: int


@dataclass(frozen=True, slots=True)
class Absence:
    """Days off, both included."""

    first: date
    last: date
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """One person who takes handoffs; `name` is that of their API key.

    `queues` and `languages` empty: all of them. `capacity` is how much weight they can carry at once, None for any, and
    `weights` what a kind of handoff weighs, 1 unless told. `hours` empty: always. `customers` are the ones they know.
    """

    name: str
    title: str | None = None
    skills: Mapping[str, int] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    capacity: int | None = None
    weights: Mapping[Kind, int] = field(default_factory=dict)
    hours: tuple[Shift, ...] = ()
    timezone: str = "UTC"
    absences: tuple[Absence, ...] = ()
    customers: tuple[str, ...] = ()


def may_take(operator: Operator | None, name: str, wanted: Wanted) -> bool:
    """Return whether the person called `name` may take what waits in this class.

    `operator` is what was declared of them, None where no operators are declared at all: then everybody may take
    everything that is not kept for somebody else. Nobody is given a member of a group: a person lets it go first.
    """
    if wanted.group is not None or (wanted.operator is not None and wanted.operator != name):
        return False
    if operator is None or wanted.operator == name:
        return True
    return (
        (not operator.queues or not set(operator.queues).isdisjoint(wanted.queues))
        and all(operator.skills.get(need.skill, 0) >= need.level for need in wanted.needs)
        and (not wanted.languages or _speaks(operator, wanted.languages))
    )


def _speaks(operator: Operator, languages: tuple[str, ...]) -> bool:
    spoken = {language_of(tag) for tag in operator.languages}
    return not spoken or not spoken.isdisjoint(languages)


@dataclass(frozen=True, slots=True)
class Person:
    """An operator at this moment. `load` is the weight in their hands, `last_claim_at_ms` when they last got work.

    `offered` handoffs are kept for them, which they have not taken yet.
    """

    operator: Operator
    present: bool = False
    load: int = 0
    last_claim_at_ms: int = 0
    offered: int = 0

    def may_be_offered(self, kind: Kind) -> bool:
        """Return whether a handoff of this kind may be offered: there is room for it beside what was offered already.

        Whoever declares no capacity is offered one at a time: they could not accept a hundred within the same minute.
        """
        capacity = self.operator.capacity
        if capacity is None:
            return self.offered == 0
        # What is kept for them is taken to be escalations: mostly it is, and the most that it can weigh.
        kept = self.offered * weight(self.operator, "escalate")
        return self.load + kept + weight(self.operator, kind) <= capacity


@dataclass(frozen=True, slots=True)
class People:
    """Everybody who was declared, as they are at a moment; nobody is when no operators are declared.

    `assumed`: somebody of every skill is at work, and takes what they like: so the tests beside rules see it.
    """

    persons: tuple[Person, ...] = ()
    assumed: bool = False

    def anybody_for(self, wanted: Wanted) -> bool:
        """Return whether somebody who may take the class is at work, busy or not."""
        return self.assumed or any(
            person.present and may_take(person.operator, person.operator.name, wanted) for person in self.persons
        )

    def freest_for(self, wanted: Wanted, kind: Kind, not_these: Collection[str] = ()) -> str | None:
        """Return who is offered the handoff: at work, able, with room; of these the least busy, then the longest idle.

        None when there is nobody.
        """
        able = [
            person
            for person in self.persons
            if person.present
            and person.operator.name not in not_these
            and person.may_be_offered(kind)
            and may_take(person.operator, person.operator.name, wanted)
        ]
        best = min(able, key=_busyness, default=None)
        return None if best is None else best.operator.name

    def free_but_for_one(self, wanted: Wanted, kind: Kind, not_these: Collection[str] = ()) -> tuple[str, ...]:
        """Return who at work could be offered the handoff if they had been offered one less."""
        return tuple(
            person.operator.name
            for person in self.persons
            if person.present
            and person.offered
            and person.operator.name not in not_these
            and not person.may_be_offered(kind)
            and replace(person, offered=person.offered - 1).may_be_offered(kind)
            and may_take(person.operator, person.operator.name, wanted)
        )

    def offered(self, name: str, count: int = 1) -> People:
        """Return the same people once this one has been offered a handoff more, or so many; one less for -1."""
        persons = (replace(one, offered=one.offered + count * (one.operator.name == name)) for one in self.persons)
        return replace(self, persons=tuple(persons))

    def met(self, name: str, load: int, offered: int) -> People:
        """Return the same people with this one as they are now: with so much in hand, and so many kept for them."""
        persons = (
            replace(one, load=load, offered=offered) if one.operator.name == name else one for one in self.persons
        )
        return replace(self, persons=tuple(persons))

    def keeper_of(self, customer_id: str, known: str | None, wanted: Wanted) -> str | None:
        """Return the operator at work who knows this customer and may take the class, None when there is none.

        `known` is who had the customer before; whoever declares the customer as theirs goes before that.
        """
        declared = [person.operator.name for person in self.persons if customer_id in person.operator.customers]
        able = {
            person.operator.name
            for person in self.persons
            if person.present and may_take(person.operator, person.operator.name, wanted)
        }
        return next((name for name in (*declared, known) if name in able), None)


def _busyness(person: Person) -> tuple[float, int, str]:
    capacity, load = person.operator.capacity, person.load + person.offered
    share = load / capacity if capacity else float(load)
    return share, person.last_claim_at_ms, person.operator.name


def weight(operator: Operator | None, kind: Kind) -> int:
    """Return how much of the operator's capacity a handoff of this kind takes."""
    return 1 if operator is None else operator.weights.get(kind, 1)


def can_ever_take(operator: Operator, wanted: Wanted) -> bool:
    """Return whether the operator may take what waits in the class, and has room for some kind of it when idle."""
    lightest = min(weight(operator, kind) for kind in KINDS)
    return may_take(operator, operator.name, wanted) and (operator.capacity is None or lightest <= operator.capacity)


def absence_at(operator: Operator, now_ms: int) -> Absence | None:
    """Return the absence that this moment lies in, the longest of several; None where there is none."""
    today = _moment(operator, now_ms).date()
    there = (absence for absence in operator.absences if absence.first <= today <= absence.last)
    return max(there, key=lambda absence: absence.last, default=None)


def is_on_shift(operator: Operator, now_ms: int) -> bool:
    """Return whether the operator's hours say that they work at this moment."""
    if absence_at(operator, now_ms) is not None:
        return False
    moment = _moment(operator, now_ms)
    if not operator.hours:
        return True
    today, minutes = moment.weekday(), moment.hour * 60 + moment.minute
    return any(_covers(shift, DAYS[today], DAYS[today - 1], minutes) for shift in operator.hours)


def _moment(operator: Operator, now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(_zone(operator.timezone))


def _covers(shift: Shift, today: str, yesterday: str, minutes: int) -> bool:
    if shift.from_minutes < shift.to_minutes:
        return today in shift.days and shift.from_minutes <= minutes < shift.to_minutes
    # Over midnight: the part before it belongs to the day that is named, the part after it to the next one.
    begun = today in shift.days and minutes >= shift.from_minutes
    return begun or (yesterday in shift.days and minutes < shift.to_minutes)


@lru_cache(maxsize=64)  # an operators file names a handful of zones, and reading one takes half a millisecond
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
