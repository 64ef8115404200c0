"""What a wait is believed to be: the queue's own past says, censored ones count, and what cannot be known is None."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.routing.waits import (
    ANSWERED_MIN,
    HISTORY_MS_MAX,
    PACE_WINDOW_MS,
    Circumstances,
    Kept,
    Told,
    Wait,
    Waited,
    circumstances,
    estimate,
    kept,
    so_far,
)

NOW = 1_800_000_000_000
QUIET = Circumstances(ahead=0, at_work=3, pace_ms=60_000)


def waited(waited_ms: int, *, answered: bool = True, opened_at_ms: int = NOW - 3_600_000, ahead: int = 0) -> Waited:
    return Waited(opened_at_ms, waited_ms, answered, Told("tier1", replace(QUIET, ahead=ahead)))


def test_half_are_answered_before_p50_and_four_of_five_between_the_ends() -> None:
    history = [waited(second * 1_000) for second in range(1, 101)]
    assert estimate(history, QUIET, NOW) == Wait(10_000, 50_000, 90_000)


def test_too_few_answers_are_unknown_however_many_wait() -> None:
    answers = [waited(1_000)] * (ANSWERED_MIN - 1)
    waiting = [waited(500, answered=False)] * 100
    assert estimate([*answers, *waiting], QUIET, NOW) is None
    assert estimate([*answers, waited(1_000)], QUIET, NOW) == Wait(1_000, 1_000, 1_000)


def test_nobody_at_work_is_unknown() -> None:
    history = [waited(1_000)] * 100
    assert estimate(history, replace(QUIET, at_work=0), NOW) is None


def test_what_is_older_than_a_week_says_nothing() -> None:
    history = [waited(1_000, opened_at_ms=NOW - HISTORY_MS_MAX - 1)] * 100
    assert estimate(history, QUIET, NOW) is None


def test_those_who_still_wait_lengthen_the_wait_and_open_its_far_end() -> None:
    answers = [waited(second * 1_000) for second in range(1, 101)]
    still = [waited(80_000, answered=False)] * 40
    lengthened = estimate([*answers, *still], QUIET, NOW)
    assert lengthened is not None
    assert (lengthened.p10_ms, lengthened.p50_ms) == (14_000, 70_000)
    assert lengthened.p90_ms is not None
    assert lengthened.p90_ms > 90_000
    stuck = [waited(600_000, answered=False)] * 40
    assert estimate([*answers, *stuck], QUIET, NOW) == Wait(14_000, 70_000, None)


def test_a_queue_in_which_most_are_never_answered_is_unknown() -> None:
    history = [waited(1_000)] * 30 + [waited(2_000, answered=False)] * 100
    assert estimate(history, QUIET, NOW) is None


def test_like_circumstances_count_more() -> None:
    near = [waited(10_000)] * 50
    far = [waited(1_000_000, ahead=40)] * 50
    assert estimate([*near, *far], QUIET, NOW) == Wait(10_000, 10_000, 10_000)


def test_in_a_flood_the_wait_grows_with_those_ahead() -> None:
    history = [waited(10_000)] * 50 + [waited(20_000, ahead=1)] * 50
    flood = estimate(history, Circumstances(ahead=499, at_work=3, pace_ms=30_000_000), NOW)
    assert flood is not None
    assert flood.p50_ms == 5_000_000


def test_the_pace_is_that_of_the_last_minutes() -> None:
    lately = [waited(1_000, opened_at_ms=NOW - 10_000)] * 9
    before = [waited(1_000, opened_at_ms=NOW - PACE_WINDOW_MS - 2_000)] * 50
    left = [waited(1_000, opened_at_ms=NOW - 10_000, answered=False)] * 50
    assert circumstances([*before, *lately, *left], 4, 2, NOW) == Circumstances(4, 2, 5 * PACE_WINDOW_MS // 10)


def test_what_was_told_is_held_against_what_came() -> None:
    told = Told("tier1", QUIET, Wait(1_000, 2_000, 3_000))
    history = [replace(waited(ms), told=told) for ms in (999, 1_000, 3_000, 3_001)]
    never = replace(waited(2_000, answered=False), told=told)
    untold = [waited(2_000), replace(waited(2_000), told=replace(told, wait=Wait(1_000, 2_000, None)))]
    assert kept([*history, never, *untold]) == Kept(told=4, held=2)


def test_somebody_who_waits_has_not_been_answered_so_far() -> None:
    told = Told("tier1", QUIET)
    assert so_far(NOW - 5_000, told, NOW) == Waited(NOW - 5_000, 5_000, False, told)
    assert so_far(NOW + 5_000, told, NOW).waited_ms == 0


ROWS = st.lists(
    st.builds(
        waited,
        st.integers(0, 10_000_000),
        answered=st.booleans(),
        opened_at_ms=st.integers(NOW - 2 * HISTORY_MS_MAX, NOW),
        ahead=st.integers(0, 2_000),
    ),
    max_size=120,
)
STANDING = st.builds(Circumstances, st.integers(0, 10_000), st.integers(0, 500), st.integers(0, 10**12))


@given(ROWS, STANDING)
def test_the_ends_are_in_order_and_never_negative(history: list[Waited], now: Circumstances) -> None:
    found = estimate(history, now, NOW)
    if found is not None:
        assert 0 <= found.p10_ms <= found.p50_ms
        assert found.p90_ms is None or found.p50_ms <= found.p90_ms


@given(ROWS, STANDING, st.integers(0, 2**32))
def test_the_order_of_the_past_changes_nothing(history: list[Waited], now: Circumstances, seed: int) -> None:
    shuffled = list(history)
    random.Random(seed).shuffle(shuffled)
    one, other = estimate(history, now, NOW), estimate(shuffled, now, NOW)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert other.p50_ms == pytest.approx(one.p50_ms, abs=1)


@given(ROWS, STANDING, st.integers(1, 60))
def test_more_who_wait_longest_never_shorten_it(history: list[Waited], now: Circumstances, more: int) -> None:
    longest = max((each.waited_ms for each in history), default=0) + 1
    # As alike as can be, so that nothing but the censoring acts.
    alike = [replace(each, told=Told("tier1", now), opened_at_ms=NOW - 1) for each in history]
    stuck = [Waited(NOW - 1, longest, False, Told("tier1", now))] * more
    before, after = estimate(alike, now, NOW), estimate([*alike, *stuck], now, NOW)
    if after is not None:
        assert before is not None
        assert after.p50_ms >= before.p50_ms


def test_intervals_cover_what_they_claim_where_patience_cuts_a_third_short() -> None:
    chance = random.Random(7)
    history: list[Waited] = []
    inside = answered = 0
    for number in range(2_000):
        wait_ms, patience_ms = round(chance.expovariate(1 / 60_000)), round(chance.expovariate(1 / 120_000))
        found = estimate(history, QUIET, NOW)
        if found is not None and found.p90_ms is not None and number >= 200:
            # Of those who would have left, too: the interval speaks of whoever stays.
            inside += found.p10_ms <= wait_ms <= found.p90_ms
            answered += 1
        history.append(waited(min(wait_ms, patience_ms), answered=wait_ms <= patience_ms))
    assert answered > 1_700
    assert inside / answered == pytest.approx(0.8, abs=0.05)
