"""How long a handoff will probably wait, from what those before it in its queue waited. Values in, an interval out.

Nothing is assumed of arrivals or handling times. Those of the queue's recent handoffs that opened in circumstances like
the present ones (as many ahead, as many people at work, the same pace) say by their own waits how long it takes.
Whoever still waits, or was never answered, counts as "longer than so far" and not as nothing: leaving them out would
promise most just when the queue has come to a halt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Handoffs of a queue that are looked back at: some hours of a busy queue, so that a shift is learned within one. Half
# as many cost the interval two points of its coverage on recorded calls, twice as many changed nothing.
HISTORY_MAX = 600
# Answered ones below which nothing is said: nine of ten cannot be told from fewer than twice ten.
ANSWERED_MIN = 20
# What is older says how things were, not how they are; a week keeps last Monday for this one.
HISTORY_MS_MAX = 7 * 86_400_000
# The pace is what was answered in this time: long enough for a count, short enough to notice a break.
PACE_WINDOW_MS = 300_000
# How unlike circumstances may be, in the logarithm: at 0.5 twice as many ahead counts 0.38, four times as many 0.02.
LIKENESS = 0.5
# Worth of like ones that must come together before the look is widened, and how often it is widened to twice as unlike.
LIKE_ENOUGH = 8.0
WIDENED_MAX = 3
# Every handoff of the history counts a little, so that there is always an answer.
LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a queue stood when a handoff opened.

    `ahead` are those who were more urgent, `at_work` the people who might take it, and `pace_ms` how long it would take
    until its turn if people went on answering as in the last minutes.
    """

    ahead: int
    at_work: int
    pace_ms: int


@dataclass(frozen=True, slots=True)
class Wait:
    """An interval for a wait: one of ten is answered before `p10_ms`, half before `p50_ms`, nine of ten by `p90_ms`.

    `p90_ms` is None where the queue has seen too few ends of long waits to say.
    """

    p10_ms: int
    p50_ms: int
    p90_ms: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """What was known of a handoff's wait when it opened in `queue`, and what was said of it; None for nothing."""

    queue: str
    circumstances: Circumstances
    wait: Wait | None = None


@dataclass(frozen=True, slots=True)
class Waited:
    """An earlier wait of the queue. `answered` False: that long nobody had come, and then it ended or still goes on."""

    opened_at_ms: int
    waited_ms: int
    answered: bool
    told: Told


@dataclass(frozen=True, slots=True)
class Kept:
    """How what was told has held: of `told` intervals with both ends, `held` had the answer inside."""

    told: int
    held: int


def circumstances(history: Iterable[Waited], ahead: int, at_work: int, now_ms: int) -> Circumstances:
    """Return how the queue stands now. One more than were answered: an hour without an answer is no endless pace."""
    since_ms = now_ms - PACE_WINDOW_MS
    answered = sum(1 for each in history if each.answered and each.opened_at_ms + each.waited_ms > since_ms)
    return Circumstances(ahead, at_work, (ahead + 1) * PACE_WINDOW_MS // (answered + 1))


def estimate(history: Sequence[Waited], now: Circumstances, now_ms: int) -> Wait | None:
    """Return the interval in which the answer will come, None when it cannot be known.

    Unknown: nobody is at work, too few answers in the last week, or so many of those like it still unanswered that not
    even half can be told. Weighted Kaplan-Meier (JASA 53 (1958), 457-481; weights: Beran 1981).
    """
    recent = [each for each in history if now_ms - each.opened_at_ms <= HISTORY_MS_MAX][-HISTORY_MAX:]
    if now.at_work < 1 or sum(each.answered for each in recent) < ANSWERED_MIN:
        return None
    waits = _quantiles(_scaled(recent, now), (0.1, 0.5, 0.9))
    p10_ms, p50_ms, p90_ms = waits
    return None if p10_ms is None or p50_ms is None else Wait(p10_ms, p50_ms, p90_ms)


def kept(history: Iterable[Waited]) -> Kept:
    """Return how the intervals that were told have held, over those that were answered."""
    told = held = 0
    for each in history:
        wait = each.told.wait
        if each.answered and wait is not None and wait.p90_ms is not None:
            told += 1
            held += wait.p10_ms <= each.waited_ms <= wait.p90_ms
    return Kept(told, held)


def so_far(opened_at_ms: int, told: Told, now_ms: int) -> Waited:
    """Return what a handoff that still waits says: longer than so far."""
    return Waited(opened_at_ms, max(0, now_ms - opened_at_ms), False, told)


def _point(of: Circumstances) -> tuple[float, float, float]:
    return math.log1p(of.ahead), math.log1p(of.at_work), math.log1p(of.pace_ms / 1_000)


def _scaled(history: Sequence[Waited], now: Circumstances) -> list[tuple[float, bool, float]]:
    """Return waits, whether each was answered, and its weight: the more alike the circumstances, the heavier."""
    ahead, at_work, pace = _point(now)
    unlike = []
    for each in history:
        point = _point(each.told.circumstances)
        unlike.append((point[0] - ahead) ** 2 + (point[1] - at_work) ** 2 + (point[2] - pace) ** 2)
    wide = LIKENESS
    for _ in range(WIDENED_MAX):
        if sum(math.exp(-far / (2 * wide * wide)) for far in unlike) >= LIKE_ENOUGH:
            break
        wide *= 2
    rows = []
    for each, far in zip(history, unlike, strict=True):
        before = each.told.circumstances
        # Of alike ones this is nearly 1. Where there are none, as in a flood, the wait grows with those ahead.
        scale = (now.ahead + 1) / (before.ahead + 1)
        rows.append((each.waited_ms * scale, each.answered, math.exp(-far / (2 * wide * wide)) + LEAST))
    return rows


def _quantiles(rows: list[tuple[float, bool, float]], shares: Sequence[float]) -> list[int | None]:
    """Return by when each share has been answered, None where that lies beyond what was seen."""
    # Of two that end at the same moment the answered one is counted first, as is usual.
    rows.sort(key=lambda row: (row[0], not row[1]))
    left = sum(weight for *_, weight in rows)
    waiting, found = 1.0, []
    asked = list(shares)
    for waited_ms, answered, weight in rows:
        if answered:
            waiting *= 1 - weight / left
            while asked and waiting <= 1 - asked[0] + 1e-12:
                found.append(round(waited_ms))
                asked.pop(0)
            if not asked:
                break
        left = max(left - weight, LEAST)
    return [*found, *(None for _ in asked)]
