"""Who may take a handoff, and how that widens while it waits: values, and what time makes of them.

A handoff waits in a class: the queues whose people may take it, the skills and the language they need, and for whom it
is kept. All of one class wait in one order, so the most urgent that an operator may take is the first of the classes
open to them, however many wait. A queue's ladder changes the class with time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from rules.model import Calls, FloodBy, Need, Queue, Step, Words
from rules.routing.widening import Widening
from rules.telling.notices import Notice


@dataclass(frozen=True, slots=True)
class Route:
    """Whom a handoff needs while it waits, and the steps still to come, each counted from `since_at_ms`.

    `languages` empty: any. `also`: queues whose operators may take it besides those of its own. `passed_by`: who let
    an offer go by, the last of them at `let_go_at_ms`. `offer_ms`: how long whoever is offered it has to accept, None
    where people claim; `offer_at_ms`: when somebody is next looked for. `notices`: who is told, fixed when it came
    into the queue. `kept_as`: why it is kept for somebody, while it is; `sent_by` a colleague.
    `say`: what was promised to be said when it came here because nobody answered it elsewhere. `widened`: the ladder's
    steps that have acted, in their order. `calls`: what becomes of a call that is promised meanwhile.
    """

    since_at_ms: int = 0
    needs: tuple[Need, ...] = ()
    languages: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    resolve_by_ms: int | None = None
    offer_ms: int | None = None
    offer_at_ms: int | None = None
    passed_by: tuple[str, ...] = ()
    let_go_at_ms: int | None = None
    kept_as: str = ""
    sent_by: str = ""
    say: Words = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    widened: tuple[Widening, ...] = ()
    calls: CallPlan | None = None


@dataclass(frozen=True, slots=True)
class CallPlan:
    """Where a promised call waits, and within which time it is due: fixed when the handoff comes into its queue, so no
    change of the rules breaks the promise.

    `queue` and `route` None: where the handoff itself waits by then. `warn_ms`: how long before it is due those who are
    concerned hear of it.
    """

    within_ms: int
    queue: str | None = None
    route: Route | None = None
    warn_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Likeness:
    """In what the handoffs of a flood are alike: whose they are, and which rule asked. `who` is empty for a tenant."""

    by: FloodBy
    who: str
    rule_id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A class: whom a waiting handoff is for. The first of `queues` is its own, the others may take it too.

    `languages` empty: any language; `operator`: nobody but this one. `group`: it waits behind the one that stands for
    this flood, and nobody is given it.
    """

    queues: tuple[str, ...]
    needs: tuple[Need, ...] = ()
    languages: tuple[str, ...] = ()
    operator: str | None = None
    group: Likeness | None = None

    @property
    def text(self) -> str:
        """Return the class as one text, the same for equal classes: its name in the store."""
        needs = sorted((need.skill, need.level) for need in self.needs)
        own, *others = self.queues
        parts: list[object] = [[own, *sorted(others)], needs, sorted(self.languages), self.operator]
        if self.group is not None:
            parts.append([self.group.by, self.group.who, self.group.rule_id])
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=4_096)  # classes that are not empty at one time; some hundred in a large house, 300 bytes each
def wanted_in(text: str) -> Wanted:
    """Return the class that a text names; raises ValueError for a text that `Wanted.text` did not write."""
    queues, needs, languages, operator, *group = json.loads(text)
    if group and not isinstance(group[0], list):
        raise ValueError(text)
    return Wanted(
        tuple(queues),
        tuple(Need(skill, level) for skill, level in needs),
        tuple(languages),
        operator,
        Likeness(*group[0]) if group else None,
    )


def route_into(queue: Queue, answer_within_ms: int, locale: str | None, now_ms: int) -> Route:
    """Return the route of a handoff that comes into the queue now."""
    steps = list(queue.ladder)
    warn_ms = queue.warn_before_ms
    if warn_ms is not None and warn_ms < answer_within_ms:
        steps.append(Step(answer_within_ms - warn_ms, "handoff.deadline_near"))
    resolve_ms = queue.resolve_within_ms
    if resolve_ms is not None:
        if warn_ms is not None and warn_ms < resolve_ms:
            steps.append(Step(resolve_ms - warn_ms, "handoff.resolve_near", also_held=True))
        # Whoever waits for the end has waited longer than was promised: nothing else of the queue goes before it.
        steps.append(Step(resolve_ms, "handoff.resolve_missed", priority="urgent", also_held=True))
    return Route(
        since_at_ms=now_ms,
        needs=queue.needs,
        languages=(language_of(locale),) if queue.own_language and locale else (),
        steps=tuple(sorted(steps, key=lambda step: step.after_ms)),
        resolve_by_ms=None if resolve_ms is None else now_ms + resolve_ms,
        offer_ms=queue.offer_ms,
        offer_at_ms=None if queue.offer_ms is None else now_ms,
        notices=queue.notify,
    )


def moved_on(route: Route, before: Route, now_ms: int) -> Route:
    """Return the route of another queue, entered now, for a handoff that comes from one with the route `before`.

    When it must be resolved was promised by the first queue that said so, and moving on breaks no promise.
    """
    shift_ms = now_ms - route.since_at_ms
    route = replace(route, offer_at_ms=None if route.offer_ms is None else now_ms)
    if before.resolve_by_ms is None:
        resolve_by_ms = None if route.resolve_by_ms is None else route.resolve_by_ms + shift_ms
        return replace(route, since_at_ms=now_ms, resolve_by_ms=resolve_by_ms)
    kept = [
        replace(step, after_ms=max(0, before.since_at_ms + step.after_ms - now_ms))
        for step in before.steps
        if step.also_held
    ]
    steps = [step for step in route.steps if not step.also_held] + kept
    return replace(
        route,
        since_at_ms=now_ms,
        steps=tuple(sorted(steps, key=lambda step: step.after_ms)),
        resolve_by_ms=before.resolve_by_ms,
    )


def call_plan(calls: Calls | None, own: Queue, queues: Mapping[str, Queue], locale: str | None) -> CallPlan | None:
    """Return what becomes of a call that is promised in the queue `own`, None where it waits there and is never due."""
    if calls is None:
        return None
    queue = queues[calls.queue] if calls.queue is not None and calls.queue != own.name else None
    if queue is None:
        return CallPlan(calls.within_ms, warn_ms=own.warn_before_ms)
    route = open_ended(route_into(queue, queue.answer_within_ms, locale, 0))
    return CallPlan(calls.within_ms, queue.name, route, queue.warn_before_ms)


def call_route(route: Route, due_at_ms: int | None, now_ms: int) -> Route:
    """Return the route of a call that begins to wait now, after a handoff with this one: where its plan says."""
    plan = route.calls
    there = plan.route if plan is not None and plan.route is not None else route
    begun = replace(
        open_ended(there),
        since_at_ms=now_ms,
        offer_at_ms=None if there.offer_ms is None else now_ms,
        passed_by=(),
        let_go_at_ms=None,
        kept_as="",
        sent_by="",
        say={},
        widened=(),
        calls=plan,
    )
    return due_by(begun, due_at_ms, now_ms)


def due_by(route: Route, due_at_ms: int | None, now_ms: int) -> Route:
    """Return the route as it is with a call that must have been made by then: warned of before, told of when missed.

    What is due sooner stays so; what is over was told when it was missed.
    """
    if due_at_ms is None or (route.resolve_by_ms is not None and route.resolve_by_ms <= due_at_ms):
        return route
    steps = [step for step in route.steps if not step.also_held]
    due_ms = due_at_ms - route.since_at_ms
    warn_ms = None if route.calls is None else route.calls.warn_ms
    if due_at_ms > now_ms:
        if warn_ms is not None and due_at_ms - warn_ms > now_ms:
            steps.append(Step(due_ms - warn_ms, "handoff.resolve_near", also_held=True))
        steps.append(Step(due_ms, "handoff.resolve_missed", priority="urgent", also_held=True))
    return replace(route, steps=tuple(sorted(steps, key=lambda step: step.after_ms)), resolve_by_ms=due_at_ms)


def open_ended(route: Route) -> Route:
    """Return the route without what comes with time: whoever was promised a call waits until somebody has a moment.

    Channels are told of it once: a reminder every minute would go on for as long as it waits.
    """
    once = tuple(replace(notice, repeat_ms=None, then=None) for notice in route.notices)
    return replace(route, steps=(), resolve_by_ms=None, notices=once)


def language_of(locale: str) -> str:
    """Return the language of a locale: `es` of `es-MX`."""
    return locale.replace("_", "-").partition("-")[0].lower()


def step_at_ms(route: Route, *, held: bool) -> int | None:
    """Return when the next step comes that counts in this state, None when none does."""
    steps = (step for step in route.steps if step.also_held or not held)
    return next((route.since_at_ms + step.after_ms for step in steps), None)


def step_due(route: Route, now_ms: int, *, held: bool) -> Step | None:
    """Return the first step whose time has come, None when none has."""
    for step in route.steps:
        if route.since_at_ms + step.after_ms > now_ms:
            return None
        if step.also_held or not held:
            return step
    return None


def after_step(route: Route, step: Step, *, skipped: bool) -> Route:
    """Return the route once the step has been taken, or left out."""
    rest = tuple(each for each in route.steps if each is not step)
    if skipped:
        return replace(route, steps=rest)
    return replace(
        route,
        steps=rest,
        needs=route.needs if step.needs is None else step.needs,
        languages=() if step.any_language else route.languages,
        also=tuple(dict.fromkeys((*route.also, *step.queues))),
    )
