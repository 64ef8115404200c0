"""Arrivals out of what a running service still has of its handoffs. No text that anybody wrote is taken over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from rules.handoff import Kind
from rules.model import Priority
from rules.simulation.arrivals import SPAN_MS_MAX, Arrival
from service.cli.service_client import Service, ServiceRefused
from service.flows.listings import ENDED_KEPT_MS, ENDED_LISTED_MAX

PAGE_MAX = 100
# While pages are read handoffs end and push others out; so a list that was full shows a little less.
FULL_FROM = ENDED_LISTED_MAX * 99 // 100
# A handoff tells of its last twenty operators; of one with so many the first is not known.
ASSIGNMENTS_TOLD_MAX = 20
ENDED_BY_A_PERSON = ("resolved", "handed_back")
# An agent may send any text as the language of its customer.
LOCALE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,34}")


@dataclass(frozen=True, slots=True)
class Kept:
    """The arrivals in the order of coming, and the moment since which none is missing."""

    arrivals: tuple[Arrival, ...]
    whole_from_ms: int


@dataclass(slots=True)
class _Listed:
    """What was read of one partition's list of the ended: how many, and when the first of them did."""

    count: int
    first_ended_at_ms: int


def kept_arrivals(
    service: Service, from_ms: int, to_ms: int, now_ms: int, told: Callable[[int], None] = lambda _: None
) -> Kept:
    """Return who came from `from_ms` until before `to_ms`; `told` hears how many handoffs were read.

    The service forgets what has ended after a time, and the oldest of a full list before that. Of those who came
    earlier it has only the slow ones left, which would tell of a slower house than it was: they are left out.
    """
    found: dict[str, Arrival | None] = {}

    def take(handoff: Mapping[str, Any]) -> None:
        if handoff["id"] not in found:
            came = from_ms <= handoff["opened_at_ms"] < to_ms
            found[handoff["id"]] = arrival_of(service, handoff) if came else None
            told(len(found))

    # The open ones first: what ends meanwhile is met once more among the ended.
    for handoff in _handoffs(service, None):
        take(handoff)
    listed: dict[str, _Listed] = {}
    for state in (*ENDED_BY_A_PERSON, "expired"):
        for handoff in _handoffs(service, state):
            if handoff["ended_at_ms"] < from_ms:
                break
            take(handoff)
            of = listed.setdefault(handoff["id"].split("_")[1], _Listed(0, handoff["ended_at_ms"]))
            of.count += 1
            of.first_ended_at_ms = min(of.first_ended_at_ms, handoff["ended_at_ms"])
    full = (of.first_ended_at_ms for of in listed.values() if of.count >= FULL_FROM)
    whole_from_ms = max((from_ms, now_ms - ENDED_KEPT_MS, *full))
    whole = (each for each in found.values() if each is not None and each.at_ms >= whole_from_ms)
    return Kept(tuple(sorted(whole, key=lambda each: each.at_ms)), whole_from_ms)


def arrival_of(service: Service, handoff: Mapping[str, Any]) -> Arrival | None:
    """Return the arrival that a handoff was, None for one that nobody came with.

    A drill is none, and neither is the call that is owed after a handoff: `simulate` makes that of the handoff itself.
    """
    call = handoff["call"]
    if handoff["drill"] or (call is not None and call["after"] is not None):
        return None
    opened_at_ms, ended_at_ms = handoff["opened_at_ms"], handoff["ended_at_ms"]
    taken = [each["at_ms"] for each in handoff["assignments"]]
    handling_ms: int | None = None
    answered_at_ms: int | None = ended_at_ms
    if taken:
        answered_at_ms = taken[0] if len(taken) < ASSIGNMENTS_TOLD_MAX else None
    if handoff["state"] in ENDED_BY_A_PERSON:
        # Nobody takes the member of a flood for itself: it is answered with the one that stands for it.
        handling_ms = ended_at_ms - taken[-1] if taken else 0
    # Who was promised a call does not wait in the line, so how long they stayed says nothing.
    waited_ms = None if answered_at_ms is None or call is not None else answered_at_ms - opened_at_ms
    locale = handoff["locale"] or ""
    return Arrival(
        at_ms=opened_at_ms,
        queue=_came_to(service, handoff, len(taken)),
        priority=cast(Priority, handoff["priority"]),
        kind=cast(Kind, handoff["kind"]),
        locale=locale if LOCALE.fullmatch(locale) else None,
        handling_ms=_span(handling_ms),
        waited_ms=_span(waited_ms),
    )


def _span(span_ms: int | None) -> int | None:
    """Return a span as `simulate` reads it: of two machines the one that ends it may have the slower clock."""
    return None if span_ms is None else min(max(span_ms, 0), SPAN_MS_MAX)


def _came_to(service: Service, handoff: Mapping[str, Any], taken: int) -> str:
    """Return the queue to which they came: a handoff that may have moved since is looked up in its first decision."""
    queue = str(handoff["queue"])
    # Whoever has it, or ended it, took it where it stands; who had it before may have handed it on to there.
    had_before = taken if handoff["state"] in ("waiting", "expired") else taken - 1
    if not handoff["reasons"] or not (handoff["rerouted"] or had_before > 0):
        return queue
    try:
        return str(service.get(f"/decisions/{handoff['reasons'][0]['decision_id']}")["queue"] or queue)
    except ServiceRefused as refused:
        if refused.problem_code != "decision_unknown":
            raise
        return queue


def _handoffs(service: Service, state: str | None) -> Iterator[dict[str, Any]]:
    for page in service.each_page("/handoffs", "handoffs", {"state": state}, PAGE_MAX):
        yield from page["handoffs"]
