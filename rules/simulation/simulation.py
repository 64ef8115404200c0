"""What would come of recorded arrivals with these queues and these people: events on a virtual clock, nothing else.

Handoffs open, wait, widen, expire and are taken by the very functions that the service uses; only the clock and the
people are imagined. Whoever is free takes the most urgent that they may take; while several are, the least busy of
them gets it, the longest idle first. People finish what they have begun when their shift ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from rules import moves
from rules.handoff import Handoff, Kind, Reason, deadline, wanted
from rules.model import All, Mode, Queue, Rule, Span, Then
from rules.routing.calls import as_call, call_owed
from rules.routing.operators import Operator, People, Person, is_on_shift, may_take, weight
from rules.routing.route import Wanted, wanted_in
from rules.routing.routing import open_handoff
from rules.routing.shifts import shift_moments_ms
from rules.turn import Customer, Turn

Ending: TypeAlias = Literal["answered", "left", "missed"]
# Somebody who declares no capacity is given one at a time: that is what talking to a person takes.
CAPACITY = 1
# At one moment: first work ends and shifts change, then whoever leaves or is due, and those who come are last.
_DONE, _SHIFT, _LEAVE, _DUE, _COME = range(5)
TENANT = "simulated"


@dataclass(frozen=True, slots=True)
class Coming:
    """One arrival as it is played: `patience_ms` None for one who never leaves."""

    at_ms: int
    queue: str
    handling_ms: int
    patience_ms: int | None = None
    rule: Rule | None = None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of an arrival. `waited_ms` counts to the answer, to leaving, or to the missed deadline.

    `in_time`: a person answered before the deadline of the queue to which they came. Where nobody came and a call was
    promised, `operator` made it, `called_after_ms` after the promise; None while nobody has.
    """

    coming: Coming
    ending: Ending
    waited_ms: int
    operator: str | None = None
    in_time: bool = False
    called_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """A run: everybody in the order of coming, and by operator the ms at work and those busy, times their capacity.

    Counted from `play`'s `from_ms` to the last arrival. At work is on shift, and beyond it while something begun is
    finished; so nobody is busier than at work.
    """

    passed: tuple[Passed, ...]
    at_work_ms: Mapping[str, int]
    busy_ms: Mapping[str, int]


@dataclass(slots=True)
class _Worker:
    operator: Operator
    capacity: int
    on_shift: bool = False
    load: int = 0
    idle_since_ms: int = 0
    counted_at_ms: int = 0
    at_work_ms: int = 0
    busy_ms: int = 0
    able: dict[str, bool] = field(default_factory=dict)

    def count(self, now_ms: int) -> None:
        """Add the time since the last change."""
        span_ms = max(0, now_ms - self.counted_at_ms)
        self.counted_at_ms += span_ms
        self.busy_ms += span_ms * min(self.load, self.capacity)
        if self.on_shift or self.load:
            self.at_work_ms += span_ms * self.capacity

    def may(self, in_class: str, waits_for: Callable[[str], Wanted]) -> bool:
        """Return whether this person may take what waits in a class; asked millions of times, so it is remembered."""
        known = self.able.get(in_class)
        if known is None:
            known = self.able[in_class] = may_take(self.operator, self.operator.name, waits_for(in_class))
        return known


def rule_for(queue: str, kind: Literal["review", "hold", "escalate"], then: Then | None = None) -> Rule:
    """Return a rule that opens a handoff in the queue, as a rule file would have it."""
    nowhere = Span("simulated", 1, 1, 2)
    return Rule(f"{kind}-{queue}", "it was recorded", All(()), then or Then(kind, queue), Mode(), nowhere)


def play(
    queues: Mapping[str, Queue],
    operators: Sequence[Operator],
    coming: Sequence[Coming],
    told: Callable[[int], None] = lambda _: None,
    from_ms: int = 0,
) -> Played:
    """Return what becomes of the arrivals, which stand in the order of coming; `told` hears how many have come.

    How busy people are is counted from `from_ms` on.
    """
    return _Run(queues, operators, coming, told, from_ms).play()


class _Run:
    def __init__(
        self,
        queues: Mapping[str, Queue],
        operators: Sequence[Operator],
        coming: Sequence[Coming],
        told: Callable[[int], None],
        from_ms: int,
    ) -> None:
        self.queues, self.coming, self.told = queues, coming, told
        self.first_ms, self.last_ms = (coming[0].at_ms, coming[-1].at_ms) if coming else (0, 0)
        self.from_ms = max(from_ms, self.first_ms)
        self.workers = [
            _Worker(operator, CAPACITY if operator.capacity is None else operator.capacity) for operator in operators
        ]
        self.by_name = {worker.operator.name: worker for worker in self.workers}
        self.events: list[tuple[int, int, int, int, str]] = []
        self.handoffs: dict[int, Handoff] = {}
        self.classes: dict[str, list[tuple[int, int]]] = {}
        self.passed: dict[int, Passed] = {}
        self.class_of: dict[int, str] = {}
        self.due_by_ms: dict[int, int] = {}
        self.kind_in_hand: dict[int, Kind] = {}
        self.number = 0

    def play(self) -> Played:
        if not self.coming:
            return Played((), {}, {})
        for worker in self.workers:
            worker.counted_at_ms, worker.idle_since_ms = self.from_ms, self.first_ms
        self.shifts(self.first_ms)
        for at_ms in shift_moments_ms((worker.operator for worker in self.workers), self.first_ms, self.last_ms):
            self.at(at_ms, _SHIFT)
        for place, each in enumerate(self.coming):
            self.at(each.at_ms, _COME, place)
        while self.events:
            now_ms, what, _, place, name = heapq.heappop(self.events)
            if what == _COME:
                self.come(place, now_ms)
            elif what == _DONE:
                self.done(place, name, now_ms)
            elif what == _SHIFT:
                self.shifts(now_ms)
            elif place in self.handoffs:
                self.leave(place, now_ms) if what == _LEAVE else self.due(place, now_ms)
        for worker in self.workers:
            self.count(worker, self.last_ms)
        return Played(
            tuple(self.passed[place] for place in range(len(self.coming))),
            {worker.operator.name: worker.at_work_ms for worker in self.workers},
            {worker.operator.name: worker.busy_ms for worker in self.workers},
        )

    def at(self, at_ms: int, what: int, place: int = -1, name: str = "") -> None:
        self.number += 1
        heapq.heappush(self.events, (at_ms, what, self.number, place, name))

    def count(self, worker: _Worker, now_ms: int) -> None:
        worker.count(min(now_ms, self.last_ms))

    def come(self, place: int, now_ms: int) -> None:
        self.told(place + 1)
        each = self.coming[place]
        handoff = _opened(self.queues, each, place)
        self.due_by_ms[place] = handoff.expires_at_ms
        if each.patience_ms is not None:
            self.at(now_ms + each.patience_ms, _LEAVE, place)
        self.wait(place, handoff)
        self.give(place, now_ms)

    def wait(self, place: int, handoff: Handoff) -> None:
        if handoff.route.offer_ms is not None:
            # Whoever is free takes it at once here, and nobody lets an offer go by.
            handoff = replace(handoff, route=replace(handoff.route, offer_ms=None, offer_at_ms=None))
        self.handoffs[place] = handoff
        in_class = self.class_of[place] = wanted(handoff).text
        heapq.heappush(self.classes.setdefault(in_class, []), (handoff.score_ms, place))
        step_ms = moves.advance_at_ms(handoff, held=False)
        if step_ms is None and deadline(handoff.expires_at_ms) is None:
            return  # it waits until somebody takes it
        self.at(handoff.expires_at_ms if step_ms is None else min(step_ms, handoff.expires_at_ms), _DUE, place)

    def give(self, place: int, now_ms: int) -> None:
        """Let the freest person for it take it, if anybody is free."""
        handoff = self.handoffs[place]
        in_class = self.class_of[place]
        free = [
            worker
            for worker in self.workers
            if worker.on_shift
            and worker.load + weight(worker.operator, handoff.kind) <= worker.capacity
            and worker.may(in_class, wanted_in)
        ]
        if free:
            best = min(free, key=lambda one: (one.load / one.capacity, one.idle_since_ms, one.operator.name))
            self.take(best, place, now_ms)

    def take(self, worker: _Worker, place: int, now_ms: int) -> None:
        handoff, each = self.handoffs.pop(place), self.coming[place]
        self.count(worker, now_ms)
        worker.load += weight(worker.operator, handoff.kind)
        self.kind_in_hand[place] = handoff.kind
        waited_ms = now_ms - handoff.opened_at_ms
        missed = self.passed.get(place)
        if missed is None:
            in_time = now_ms < self.due_by_ms[place]
            self.passed[place] = Passed(each, "answered", waited_ms, worker.operator.name, in_time)
        else:
            # What people do for a call is time that nobody else has of them.
            self.passed[place] = replace(missed, operator=worker.operator.name, called_after_ms=waited_ms)
        self.at(now_ms + each.handling_ms, _DONE, place, worker.operator.name)

    def done(self, place: int, name: str, now_ms: int) -> None:
        worker = self.by_name[name]
        self.count(worker, now_ms)
        worker.load -= weight(worker.operator, self.kind_in_hand.pop(place))
        worker.idle_since_ms = now_ms
        self.next_for(worker, now_ms)

    def next_for(self, worker: _Worker, now_ms: int) -> None:
        """Let a person take the most urgent that they may take, again and again while they have room."""
        while worker.on_shift and worker.load < worker.capacity:
            place = self.most_urgent(worker)
            if place is None:
                return
            self.take(worker, place, now_ms)

    def most_urgent(self, worker: _Worker) -> int | None:
        best: tuple[int, int] | None = None
        for in_class, heap in list(self.classes.items()):
            # Those that were taken, left or moved to another class are dropped when they come to the front.
            while heap and not self.stands(heap[0], in_class):
                heapq.heappop(heap)
            if not heap:
                del self.classes[in_class]
            elif (best is None or heap[0] < best) and worker.may(in_class, wanted_in):
                handoff = self.handoffs[heap[0][1]]
                if worker.load + weight(worker.operator, handoff.kind) <= worker.capacity:
                    best = heap[0]
        return None if best is None else best[1]

    def stands(self, head: tuple[int, int], in_class: str) -> bool:
        handoff = self.handoffs.get(head[1])
        return handoff is not None and handoff.score_ms == head[0] and self.class_of[head[1]] == in_class

    def leave(self, place: int, now_ms: int) -> None:
        if place in self.passed:
            return  # who was promised a call waits for it elsewhere
        handoff = self.handoffs.pop(place)
        self.passed[place] = Passed(self.coming[place], "left", now_ms - handoff.opened_at_ms)

    def due(self, place: int, now_ms: int) -> None:
        """Do what time does to one that waits: a step of the ladder, the move to another queue, the end."""
        handoff = self.handoffs[place]
        people = self.people() if moves.needs_people(handoff, now_ms) else People()
        advanced = moves.advanced(handoff, now_ms, people)
        if advanced is not None:
            after = advanced[0]
        elif not moves.is_due(handoff, now_ms):
            return
        else:
            moved = moves.rerouted(handoff, now_ms)
            if moved is None:
                del self.handoffs[place]
                self.passed[place] = Passed(self.coming[place], "missed", now_ms - handoff.opened_at_ms)
                call = call_owed(handoff, moves.missed(handoff, now_ms))
                if call is None:
                    return
                moved = as_call(handoff, call, handoff.handoff_id, now_ms)
            after = moved
        self.wait(place, after)
        self.give(place, now_ms)

    def people(self) -> People:
        return People(
            tuple(
                Person(
                    replace(worker.operator, capacity=worker.capacity),
                    present=worker.on_shift,
                    load=worker.load,
                    last_claim_at_ms=worker.idle_since_ms,
                )
                for worker in self.workers
            )
        )

    def shifts(self, now_ms: int) -> None:
        for worker in self.workers:
            self.count(worker, now_ms)
            came = not worker.on_shift
            worker.on_shift = is_on_shift(worker.operator, now_ms)
            if worker.on_shift and came:
                worker.idle_since_ms = now_ms
                self.next_for(worker, now_ms)


def _opened(queues: Mapping[str, Queue], each: Coming, place: int) -> Handoff:
    name = f"{place:08x}"
    turn = Turn(name, "1", locale=each.locale, customer=Customer())
    rule = each.rule or rule_for(each.queue, "escalate")
    reason = Reason(name, "1", rule.then.verdict, (rule.id,), each.at_ms)
    return open_handoff(name, TENANT, turn, reason, rule, queues)
