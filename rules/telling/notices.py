"""Who is told of a handoff, when and how often, as values, and when quiet hours end. Nothing is sent here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo

DAYS: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 1_440
# Quiet days may follow one another; a channel that is quiet for more than a week on end is better removed.
STRETCHES_MAX = 8

_HOURS = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which nobody is told, in minutes since midnight; they end on the next day when `to` is not after `from`.

    `days`: on which they begin. `timezone` empty: that of the rule files. `urgent_too`: what is urgent or regulated
    waits as well.
    """

    from_minutes: int
    to_minutes: int
    days: tuple[str, ...] = DAYS
    timezone: str = ""
    urgent_too: bool = False


@dataclass(frozen=True, slots=True)
class Tier:
    """Who is told when the first were told for so long and nobody has come."""

    channel: str
    after_ms: int


@dataclass(frozen=True, slots=True)
class Notice:
    """One line of a queue's `notify`: `channel` is told of `on`, `after_ms` later, and again every `repeat_ms`."""

    channel: str
    on: tuple[str, ...]
    after_ms: int = 0
    repeat_ms: int | None = None
    then: Tier | None = None
    quiet: Quiet | None = None


@dataclass(frozen=True, slots=True)
class Occasion:
    """What somebody may be told of. `waits`: only while the handoff still waits for a person."""

    events: tuple[str, ...]
    waits: bool
    about: str


# The words of `on`; a ladder's `page` is told by itself, on the step that says it.
OCCASIONS: Mapping[str, Occasion] = MappingProxyType(
    {
        "opened": Occasion(
            (
                *("handoff.opened", "handoff.joined", "handoff.rerouted", "handoff.transferred"),
                *("handoff.leads", "handoff.ungrouped", "handoff.call_owed"),
            ),
            True,
            "it came into the queue",
        ),
        "returned": Occasion(
            ("handoff.released", "handoff.lapsed"), True, "whoever had it put it back or went silent; it waits again"
        ),
        "deadline_near": Occasion(("handoff.deadline_near",), True, "it still waits, and its deadline is near"),
        "resolve_near": Occasion(("handoff.resolve_near",), False, "the time to resolve it is nearly over"),
        "resolve_missed": Occasion(("handoff.resolve_missed",), False, "the time to resolve it is over"),
        "expired": Occasion(("handoff.expired",), False, "nobody came in time; told once"),
    }
)
PAGE = "page"
ON_UNLESS_TOLD: tuple[str, ...] = ("opened", "returned")


def hours_of(text: str) -> tuple[int, int] | None:
    """Return `22:00-07:00` as minutes since midnight, None for what is no such span."""
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        return None
    first, last = (int(found[place]) * 60 + int(found[place + 1]) for place in (1, 3))
    fits = int(found[2]) < 60 and int(found[4]) < 60 and first < DAY_MINUTES and last <= DAY_MINUTES
    return (first, last) if fits and first != last else None


def is_timezone(name: str) -> bool:
    """Return whether there is a time zone of the name."""
    try:
        _zone(name)
    except (LookupError, OSError, ValueError):
        return False
    return True


def quiet_until_ms(quiet: Quiet | None, now_ms: int) -> int | None:
    """Return when the quiet hours end in which a moment lies, None when it lies in none."""
    if quiet is None:
        return None
    until_ms = None
    moment_ms = now_ms
    for _ in range(STRETCHES_MAX):
        end_ms = _end_ms(quiet, moment_ms)
        if end_ms is None:
            break
        until_ms = moment_ms = end_ms
    return until_ms


def _end_ms(quiet: Quiet, now_ms: int) -> int | None:
    zone = _zone(quiet.timezone or "UTC")
    local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    minutes = quiet.to_minutes - quiet.from_minutes
    lasts = minutes if minutes > 0 else minutes + DAY_MINUTES
    for days_back in (0, 1):
        day = local.date() - timedelta(days=days_back)
        if DAYS[day.weekday()] not in quiet.days:
            continue
        # By the clock on the wall: a night in which the clock is moved is an hour shorter or longer.
        midnight = datetime(day.year, day.month, day.day)
        begins, ends = (
            int((midnight + timedelta(minutes=each)).replace(tzinfo=zone).timestamp() * 1000)
            for each in (quiet.from_minutes, quiet.from_minutes + lasts)
        )
        if begins <= now_ms < ends:
            return ends
    return None


@lru_cache(maxsize=64)  # time zones that one house has people in
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
