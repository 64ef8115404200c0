"""Recorded arrivals as values: one's own history, calls of a call centre, incidents of a help desk. Rows in, no file.

Each says when somebody came, to which queue, how long a person was busy with it, and how long they waited until they
were answered or gave up. What a row does not say is None and never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from rules.handoff import KINDS, Kind
from rules.model import PRIORITIES, Priority

SECOND_MS, MINUTE_MS = 1_000, 60_000
# Nobody waits for longer than a year, or is busy so long with one matter; a larger number is one in another unit.
SPAN_MS_MAX = 366 * 86_400_000
# Before 1980 is no history of a service desk: a number is in seconds instead of milliseconds.
AT_MS_MIN = 315_532_800_000
COLUMNS: Mapping[str, str] = {
    "at": "when they came: `2026-11-16T09:00:12Z`, or milliseconds since 1970 (must be there)",
    "queue": "name of the queue",
    "priority": "low, normal, high or urgent; normal when it is not said",
    "kind": "review, hold or escalate; escalate when it is not said",
    "locale": "language of the customer, as es-MX",
    "handling_s": "seconds for which a person was busy with it",
    "waited_s": "seconds until a person answered, or until they gave up",
    "gave_up": "true when they left before anybody answered",
}


class ArrivalInvalid(Exception):
    """A row that is no arrival; the message says why."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who came to a queue. `queue` None: the row names none. `gave_up`: they left after `waited_ms`."""

    at_ms: int
    queue: str | None = None
    priority: Priority = "normal"
    kind: Kind = "escalate"
    locale: str | None = None
    handling_ms: int | None = None
    waited_ms: int | None = None
    gave_up: bool = False


def arrivals_in(row: object) -> Iterator[Arrival]:
    """Return the arrivals of a row: of a JSON object, or of a line of a CSV file. Raises ArrivalInvalid.

    A row with `calls` is a day of a call centre, one with `queue_waits` an incident of a help desk; see docs.
    """
    if not isinstance(row, dict):
        raise ArrivalInvalid("it is no object")
    fields = cast(dict[str, Any], row)
    reader: Callable[[dict[str, Any]], Iterator[Arrival]] = _own
    if "calls" in fields:
        reader = _call_centre_day
    elif "queue_waits" in fields:
        reader = _incident
    try:
        for arrival in reader(fields):
            spans = (arrival.handling_ms or 0, arrival.waited_ms or 0)
            if not (0 <= min(spans) <= max(spans) <= SPAN_MS_MAX):
                raise ArrivalInvalid(f"a time in it is not between 0 and {SPAN_MS_MAX // SECOND_MS} seconds")
            yield arrival
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise ArrivalInvalid("its fields are not of the kind that docs/simulate.md shows") from error


def row_of(arrival: Arrival) -> dict[str, str | float | bool | None]:
    """Return the row, a value for each of COLUMNS, that `arrivals_in` reads as this arrival."""
    at = datetime.fromtimestamp(arrival.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {
        "at": at.replace("+00:00", "Z"),
        "queue": arrival.queue,
        "priority": arrival.priority,
        "kind": arrival.kind,
        "locale": arrival.locale,
        "handling_s": _in_seconds(arrival.handling_ms),
        "waited_s": _in_seconds(arrival.waited_ms),
        "gave_up": arrival.gave_up,
    }


def _in_seconds(span_ms: int | None) -> float | None:
    if span_ms is None or span_ms % SECOND_MS:
        return None if span_ms is None else span_ms / SECOND_MS
    return span_ms // SECOND_MS


def _own(row: dict[str, Any]) -> Iterator[Arrival]:
    unknown = sorted(name for name in row if name not in COLUMNS)
    if unknown:
        raise ArrivalInvalid(f"the field `{str(unknown[0])[:60]}` is none of {', '.join(COLUMNS)}")
    given = {name: value for name, value in row.items() if value is not None and value != ""}
    if "at" not in given:
        raise ArrivalInvalid("it has no `at`, the moment at which they came")
    gave_up = given.get("gave_up", False)
    if isinstance(gave_up, str):
        gave_up = {"true": True, "1": True, "false": False, "0": False}.get(gave_up.lower())
    if not isinstance(gave_up, bool):
        raise ArrivalInvalid("`gave_up` is neither true nor false")
    waited_ms = _seconds(given, "waited_s")
    if gave_up and waited_ms is None:
        raise ArrivalInvalid("it gave up, and `waited_s` does not say after how long")
    yield Arrival(
        at_ms=_moment(given["at"]),
        queue=str(given["queue"]) if "queue" in given else None,
        priority=_word(given.get("priority", "normal"), PRIORITIES, "priority"),
        kind=_word(given.get("kind", "escalate"), KINDS, "kind"),
        locale=str(given["locale"]) if "locale" in given else None,
        handling_ms=None if gave_up else _seconds(given, "handling_s"),
        waited_ms=waited_ms,
        gave_up=gave_up,
    )


def _word(value: object, words: tuple[Any, ...], what: str) -> Any:
    if value not in words:
        raise ArrivalInvalid(f"`{what}` is none of {', '.join(words)}")
    return value


def _seconds(given: Mapping[str, Any], name: str) -> int | None:
    if name not in given:
        return None
    try:
        span_ms = round(float(given[name]) * SECOND_MS)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArrivalInvalid(f"`{name}` is no number of seconds") from error
    if not 0 <= span_ms <= SPAN_MS_MAX:
        raise ArrivalInvalid(f"`{name}` is not between 0 and {SPAN_MS_MAX // SECOND_MS} seconds")
    return span_ms


def _moment(value: object) -> int:
    text = str(value)
    try:
        at_ms = int(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise ArrivalInvalid("`at` is no moment such as 2026-11-16T09:00:12Z") from error
        # Without an offset a moment is read as UTC, as everywhere in Handrail.
        at_ms = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if not AT_MS_MIN <= at_ms <= AT_MS_MIN * 30:
        raise ArrivalInvalid("`at` lies before 1980 or far in the future; numbers are milliseconds since 1970")
    return at_ms


def _call_centre_day(row: dict[str, Any]) -> Iterator[Arrival]:
    """Return the callers of a day who asked for a person: rows of the Anonymous Bank's log, times in seconds.

    Whoever hung up while a machine spoke to them never came to a queue. Priority 2 of that log is its high one.
    """
    midnight_ms = _moment(row["date"])
    for came_s, kind, priority, _, queued_s, waited_s, outcome, began_s, service_s, _ in row["calls"]:
        answered = outcome == "AGENT"
        if queued_s is None and not answered:
            continue
        at_s = began_s if queued_s is None else queued_s
        yield Arrival(
            at_ms=midnight_ms + max(at_s, came_s) * SECOND_MS,
            queue=kind,
            priority="high" if priority == 2 else "normal",
            handling_ms=service_s * SECOND_MS if answered else None,
            waited_ms=waited_s * SECOND_MS,
            gave_up=not answered,
        )


def _incident(row: dict[str, Any]) -> Iterator[Arrival]:
    """Return each time that an incident came to a queue, named by its level: BPI Challenge 2013, times in minutes.

    How long people were busy with it stands nowhere: that it was in progress holds nights and other work too.
    """
    opened_ms = _moment(row["opened"])
    for at_min, waited_min, level, _ in row["queue_waits"]:
        at_ms = opened_ms + round(at_min * MINUTE_MS)
        yield Arrival(at_ms, level, waited_ms=round(waited_min * MINUTE_MS))
