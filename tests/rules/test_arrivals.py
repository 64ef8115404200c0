"""Rows of arrivals, whoever wrote them: what they say, what they leave open, and why some are none."""

from __future__ import annotations

import pytest

from rules.simulation.arrivals import Arrival, ArrivalInvalid, arrivals_in

NINE = 1_763_283_600_000  # 2025-11-16T09:00:00Z


def test_a_row_of_ones_own_history_says_what_it_knows_and_no_more() -> None:
    assert list(arrivals_in({"at": "2025-11-16T09:00:00Z"})) == [Arrival(NINE)]
    full = {
        "at": NINE,
        "queue": "cards",
        "priority": "high",
        "kind": "hold",
        "locale": "es-MX",
        "handling_s": 90.5,
        "waited_s": 12,
    }
    assert list(arrivals_in(full)) == [Arrival(NINE, "cards", "high", "hold", "es-MX", 90_500, 12_000)]


def test_a_line_of_a_csv_file_holds_texts_and_empty_ones_say_nothing() -> None:
    row = {"at": "2025-11-16 10:00:00+01:00", "queue": "", "handling_s": "60", "waited_s": "", "gave_up": "false"}
    assert list(arrivals_in(row)) == [Arrival(NINE, handling_ms=60_000)]


def test_who_gave_up_was_handled_by_nobody() -> None:
    row = {"at": NINE, "waited_s": "30", "handling_s": "0", "gave_up": "TRUE"}
    assert list(arrivals_in(row)) == [Arrival(NINE, waited_ms=30_000, gave_up=True)]


def test_a_day_of_a_call_centre_has_those_who_asked_for_a_person() -> None:
    calls = [
        [100, "AB", 2, 5, 105, 20, "AGENT", 125, 60, "x"],
        [200, "CD", 0, 9, None, 0, "AGENT", 209, 30, "y"],
        [300, "AB", 1, 5, 305, 40, "HANG", None, 0, None],
        [400, "AB", 0, 30, None, 0, "HANG", None, 0, None],
    ]
    midnight = NINE - 9 * 3_600_000
    assert list(arrivals_in({"date": "2025-11-16", "calls": calls})) == [
        Arrival(midnight + 105_000, "AB", "high", handling_ms=60_000, waited_ms=20_000),
        Arrival(midnight + 209_000, "CD", handling_ms=30_000, waited_ms=0),
        Arrival(midnight + 305_000, "AB", waited_ms=40_000, gave_up=True),
    ]


def test_an_incident_comes_each_time_that_it_is_queued_and_nobody_says_how_long_it_took() -> None:
    row = {"opened": "2025-11-16T10:00:00+01:00", "queue_waits": [[0.5, 2.0, "L2", "team"], [90, 0.1, "L1", "team"]]}
    assert list(arrivals_in(row)) == [
        Arrival(NINE + 30_000, "L2", waited_ms=120_000),
        Arrival(NINE + 5_400_000, "L1", waited_ms=6_000),
    ]


@pytest.mark.parametrize(
    ("row", "fact"),
    [
        (None, "it is no object"),
        ([], "it is no object"),
        ({}, "it has no `at`, the moment at which they came"),
        ({"at": "yesterday"}, "`at` is no moment such as 2026-11-16T09:00:12Z"),
        ({"at": 12}, "`at` lies before 1980 or far in the future; numbers are milliseconds since 1970"),
        ({"at": 10**30}, "`at` lies before 1980 or far in the future; numbers are milliseconds since 1970"),
        ({"at": NINE, "priority": "very"}, "`priority` is none of low, normal, high, urgent"),
        ({"at": NINE, "kind": []}, "`kind` is none of review, hold, escalate"),
        ({"at": NINE, "handling_s": -1}, "`handling_s` is not between 0 and 31622400 seconds"),
        ({"at": NINE, "handling_s": "long"}, "`handling_s` is no number of seconds"),
        ({"at": NINE, "handling_s": float("nan")}, "`handling_s` is no number of seconds"),
        ({"at": NINE, "waited_s": float("inf")}, "`waited_s` is no number of seconds"),
        ({"at": NINE, "gave_up": True}, "it gave up, and `waited_s` does not say after how long"),
        ({"at": NINE, "gave_up": "perhaps"}, "`gave_up` is neither true nor false"),
        (
            {"at": NINE, "wait": 3},
            "the field `wait` is none of at, queue, priority, kind, locale, handling_s, waited_s, gave_up",
        ),
        ({"calls": [[1, 2]], "date": "2025-11-16"}, "its fields are not of the kind that docs/simulate.md shows"),
        ({"calls": 7, "date": "2025-11-16"}, "its fields are not of the kind that docs/simulate.md shows"),
        ({"calls": []}, "its fields are not of the kind that docs/simulate.md shows"),
        (
            {"opened": "2025-11-16", "queue_waits": [[0, -5, "L1", "team"]]},
            "a time in it is not between 0 and 31622400 seconds",
        ),
    ],
)
def test_what_is_no_arrival_is_refused_with_its_fact_and_never_its_content(row: object, fact: str) -> None:
    with pytest.raises(ArrivalInvalid) as refused:
        list(arrivals_in(row))
    assert str(refused.value) == fact
