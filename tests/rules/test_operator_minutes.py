from __future__ import annotations

import random

import pytest

from rules.replay.operator_minutes import Handlings, Minutes, extra_minutes

MINUTE_MS = 60_000


def handlings(*minutes: float) -> Handlings:
    made = Handlings()
    for each in minutes:
        made.add(round(each * MINUTE_MS))
    return made


def test_ten_more_handoffs_of_six_minutes_are_an_hour() -> None:
    found = extra_minutes({"tier1": 10}, {}, {"tier1": handlings(6, 6, 6, 6, 6)})
    assert found.value == pytest.approx(60)
    assert found.interval == pytest.approx((60 - 1.959964 * 360**0.5, 60 + 1.959964 * 360**0.5), rel=1e-5)


def test_what_moves_to_a_quicker_queue_saves_time() -> None:
    times = {"slow": handlings(*[20] * 5), "quick": handlings(*[5] * 5)}
    assert extra_minutes({"quick": 4}, {"slow": 4}, times).value == pytest.approx(-60)


def test_without_handling_times_the_minutes_are_unknown_and_not_nothing() -> None:
    found = extra_minutes({"tier1": 3}, {}, {})
    assert (found.value, found.interval) == (None, None)
    assert str(found) == "unknown (no handling times were recorded)"
    assert found.as_json() == {"minutes": None, "interval": None, "handlings": 0, "from_all_queues": []}


def test_a_queue_with_too_few_times_takes_those_of_all_and_is_named() -> None:
    found = extra_minutes({"new": 2}, {}, {"tier1": handlings(8, 8, 8, 8), "new": handlings(8)})
    assert found.value == pytest.approx(16)
    assert (found.from_all, found.handlings) == (("new",), 5)


def test_nothing_more_and_nothing_fewer_is_nothing_where_times_are_known() -> None:
    assert extra_minutes({"tier1": 0}, {}, {"tier1": handlings(3, 4, 5, 6, 7)}).value == 0


def test_a_day_of_many_is_told_as_that_part() -> None:
    assert Minutes(70.0, (14.0, 140.0), 9).over(7) == Minutes(10.0, (2.0, 20.0), 9)
    assert str(Minutes(70.0, (14.0, 140.0), 9).over(7)) == "+10.0 (95 % +2.0 to +20.0, from 9 handling times)"


def test_the_interval_holds_the_truth_about_nineteen_times_of_twenty() -> None:
    rng = random.Random(5)
    handoffs, minutes = 40, 8.0
    held = 0
    for _ in range(600):
        known = handlings(*(rng.expovariate(1 / minutes) for _ in range(60)))
        found = extra_minutes({"tier1": _poisson(rng, handoffs)}, {}, {"tier1": known})
        assert found.interval is not None
        held += found.interval[0] <= handoffs * minutes <= found.interval[1]
    assert 0.92 <= held / 600 <= 0.99


def _poisson(rng: random.Random, mean: float) -> int:
    """Return how many events fall into one unit of time."""
    at, count = rng.expovariate(mean), 0
    while at < 1:
        at, count = at + rng.expovariate(mean), count + 1
    return count
