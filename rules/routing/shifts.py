"""The moments at which somebody's shift begins or ends, in a stretch of time. Who works at a moment: `operators`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from rules.routing.operators import Operator

DAY_MINUTES = 24 * 60


def shift_moments_ms(operators: Iterable[Operator], from_ms: int, to_ms: int) -> list[int]:
    """Return every moment at which somebody may come or go, between the two, in order and once."""
    minutes: dict[str, set[int]] = {}
    for operator in operators:
        marks = minutes.setdefault(operator.timezone, set())
        # An absence begins and ends with the day.
        marks.add(0)
        for shift in operator.hours:
            marks.update((shift.from_minutes % DAY_MINUTES, shift.to_minutes % DAY_MINUTES))
    found = set()
    for zone, marks in minutes.items():
        for day in _days(from_ms, to_ms):
            for minute in marks:
                local = datetime.combine(day, time(minute // 60, minute % 60), ZoneInfo(zone))
                found.add(round(local.timestamp() * 1000))
    return sorted(at_ms for at_ms in found if from_ms < at_ms <= to_ms + DAY_MINUTES * 60_000)


def _days(from_ms: int, to_ms: int) -> Iterator[date]:
    day = datetime.fromtimestamp(from_ms / 1000, UTC).date() - timedelta(days=1)
    last = datetime.fromtimestamp(to_ms / 1000, UTC).date() + timedelta(days=2)
    while day <= last:
        yield day
        day += timedelta(days=1)
