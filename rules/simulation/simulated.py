"""Arrivals made ready to be played, and what playing them comes to: waits, deadlines, leaving, how busy people were.

What a recording does not hold is drawn: handling times from those recorded for the same queue, patience from all who
left. So the same recording is played several times with other draws, and every figure has the span over these runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import TypeVar
from zoneinfo import ZoneInfo

from rules.files.keys import DAYS
from rules.model import Queue, Then
from rules.routing.operators import Operator
from rules.simulation.arrivals import Arrival
from rules.simulation.patience import Patience, patience_of
from rules.simulation.simulation import Coming, Passed, Played, play, rule_for

Key = TypeVar("Key", int, str)

RUNS_MAX = 100
# Handling times of a queue below which those of all queues are drawn from.
HANDLINGS_MIN = 5


class ArrivalsUnfit(Exception):
    """Arrivals that cannot be played with these queues: `fact` says why, `hint` what to do."""

    def __init__(self, fact: str, hint: str) -> None:
        super().__init__(f"{fact}; {hint}")
        self.fact, self.hint = fact, hint


@dataclass(frozen=True, slots=True)
class Recording:
    """Arrivals in their order, each with its queue, and what is drawn from."""

    arrivals: tuple[Arrival, ...]
    queue_names: tuple[str, ...]
    handlings_ms: Mapping[str, tuple[int, ...]]
    patience: Patience


@dataclass(frozen=True, slots=True)
class Figures:
    """What some arrivals came to in one run. Waits are of those who were answered, None where nobody was."""

    came: int
    answered: int
    left: int
    missed: int
    in_time: int
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None

    def share(self, part: str) -> float | None:
        """Return what part of those who came `answered`, `left`, `missed`, or were answered `in_time`."""
        return getattr(self, part) / self.came if self.came else None


@dataclass(frozen=True, slots=True)
class Simulated:
    """One run: all together, by queue, by day of the week, by hour of the week (0 to 167), and how busy people were."""

    all: Figures
    queues: Mapping[str, Figures]
    weekdays: Mapping[str, Figures]
    hours: Mapping[int, Figures]
    busy: float | None
    busy_by_operator: Mapping[str, float] = field(default_factory=dict)


def recording(
    arrivals: Iterable[Arrival], queues: Mapping[str, Queue], otherwise: str | None, handling_ms: int | None = None
) -> Recording:
    """Return the arrivals with the queues that these rule files have. Raises ArrivalsUnfit.

    Whoever names another queue, or none, comes to `otherwise`. `handling_ms` stands for every handling that is missing
    when none was recorded at all.
    """
    ordered = sorted(arrivals, key=lambda each: each.at_ms)
    if not ordered:
        raise ArrivalsUnfit("nobody came", "docs/simulate.md shows what a row of arrivals looks like")
    names = []
    for each in ordered:
        name = each.queue if each.queue in queues else otherwise
        if name is None:
            told = f"the queue `{each.queue}` is none of the rule files" if each.queue else "an arrival names no queue"
            raise ArrivalsUnfit(told, f"say with --queue where such go; there are {', '.join(queues)}")
        names.append(name)
    handlings: dict[str, list[int]] = {}
    for each, name in zip(ordered, names, strict=True):
        if each.handling_ms is not None:
            handlings.setdefault(name, []).append(each.handling_ms)
    everywhere = [span_ms for spans in handlings.values() for span_ms in spans]
    if not everywhere:
        if handling_ms is None:
            raise ArrivalsUnfit("no handling time was recorded", "say with --handling how long one takes, as 6m")
        everywhere = [handling_ms]
    by_queue = {
        name: tuple(handlings.get(name, ())) if len(handlings.get(name, ())) >= HANDLINGS_MIN else tuple(everywhere)
        for name in set(names)
    }
    waits = [(each.waited_ms, each.gave_up) for each in ordered if each.waited_ms is not None]
    return Recording(tuple(ordered), tuple(names), by_queue, patience_of(waits))


def draw(recorded: Recording, seed: int) -> list[Coming]:
    """Return the arrivals as one run plays them: what was recorded as it was, the rest drawn with this seed.

    Each arrival draws from a source of its own, so that it is the same person whatever the queues and the people are.
    """
    comings = []
    for place, (each, name) in enumerate(zip(recorded.arrivals, recorded.queue_names, strict=True)):
        handling_ms = each.handling_ms
        if handling_ms is None:
            spans_ms = recorded.handlings_ms[name]
            handling_ms = spans_ms[int(_luck(seed, place, "handling") * len(spans_ms))]
        stayed_ms = each.waited_ms or 0
        patience_ms = stayed_ms if each.gave_up else recorded.patience.drawn(_luck(seed, place, "patience"), stayed_ms)
        rule = rule_for(name, each.kind, Then(each.kind, name, each.priority))
        comings.append(Coming(each.at_ms, name, handling_ms, patience_ms, rule, each.locale))
    return comings


def _luck(seed: int, place: int, what: str) -> float:
    """Return a number from 0 to 1 that looks drawn, always the same one for the same arrival of a run."""
    digest = blake2b(f"{seed} {place} {what}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def simulate(
    recorded: Recording,
    queues: Mapping[str, Queue],
    operators: Sequence[Operator],
    seed: int,
    warm_up_ms: int,
    timezone: str = "UTC",
    told: Callable[[int], None] = lambda _: None,
) -> Simulated:
    """Return what one run comes to, without those who came in the first `warm_up_ms`: the house was still empty.

    Days and hours are those of `timezone`.
    """
    zone = ZoneInfo(timezone)
    from_ms = recorded.arrivals[0].at_ms + warm_up_ms
    played = play(queues, operators, draw(recorded, seed), told, from_ms)
    counted = [each for each in played.passed if each.coming.at_ms >= from_ms]
    at_work = sum(played.at_work_ms.values())
    return Simulated(
        all=figures(counted),
        queues=_by(counted, lambda each: each.coming.queue),
        weekdays=_by(counted, lambda each: DAYS[_hour_of_week(each.coming.at_ms, zone) // 24]),
        hours=_by(counted, lambda each: _hour_of_week(each.coming.at_ms, zone)),
        busy=sum(played.busy_ms.values()) / at_work if at_work else None,
        busy_by_operator=_busy(played),
    )


def figures(passed: Sequence[Passed]) -> Figures:
    """Return what these arrivals came to."""
    waits = sorted(each.waited_ms for each in passed if each.ending == "answered")
    return Figures(
        came=len(passed),
        answered=len(waits),
        left=sum(each.ending == "left" for each in passed),
        missed=sum(each.ending == "missed" for each in passed),
        in_time=sum(each.in_time for each in passed),
        mean_ms=sum(waits) / len(waits) if waits else None,
        p50_ms=_quantile(waits, 0.5),
        p90_ms=_quantile(waits, 0.9),
    )


def _quantile(ordered: Sequence[int], share: float) -> float | None:
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))]) if ordered else None


def _busy(played: Played) -> Mapping[str, float]:
    return {name: played.busy_ms[name] / at_work for name, at_work in played.at_work_ms.items() if at_work}


def _hour_of_week(at_ms: int, zone: ZoneInfo) -> int:
    moment = datetime.fromtimestamp(at_ms / 1000, zone)
    return moment.weekday() * 24 + moment.hour


def _by(passed: Sequence[Passed], key: Callable[[Passed], Key]) -> dict[Key, Figures]:
    groups: dict[Key, list[Passed]] = {}
    for each in passed:
        groups.setdefault(key(each), []).append(each)
    return {name: figures(group) for name, group in groups.items()}
