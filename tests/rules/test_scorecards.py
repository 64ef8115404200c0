"""Rates with their intervals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.replay.scorecards import Rate, wilson


@pytest.mark.parametrize(
    ("n", "of", "low", "high"),
    [
        (2, 2, 0.3424, 1.0),
        (180, 200, 0.8506, 0.9343),
        (0, 10, 0.0, 0.2775),
        (81, 263, 0.2553, 0.3662),  # the example of Newcombe, Statistics in Medicine 17 (1998), table I
        (15, 148, 0.0624, 0.1605),  # the same table
        (0, 20, 0.0, 0.1611),  # the same table
        (1, 29, 0.0061, 0.1718),  # the same table
    ],
)
def test_the_interval_is_the_published_one(n: int, of: int, low: float, high: float) -> None:
    assert wilson(n, of) == pytest.approx((low, high), abs=6e-5)


def test_two_of_two_does_not_outrank_180_of_200() -> None:
    assert wilson(2, 2)[0] < wilson(180, 200)[0]


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_interval_holds_the_rate_and_stays_between_0_and_1(a: int, b: int) -> None:
    n, of = min(a, b), max(a, b)
    low, high = wilson(n, of)
    assert 0.0 <= low <= high <= 1.0
    if of:
        assert low <= n / of <= high


@pytest.mark.parametrize(("n", "of"), [(-1, 3), (4, 3), (1, 0)])
def test_more_than_all_or_less_than_none_is_no_rate(n: int, of: int) -> None:
    with pytest.raises(ValueError, match=f"{n} of {of} is no rate"):
        wilson(n, of)


def test_a_rate_of_nothing_is_unknown_and_not_0() -> None:
    assert Rate(0, 0).as_json() == {"n": 0, "of": 0, "rate": None, "interval": None}
    assert str(Rate(0, 0)) == "unknown (0 of 0)"


def test_a_rate_tells_its_count_and_its_interval() -> None:
    assert Rate(3, 4).as_json() == {"n": 3, "of": 4, "rate": 0.75, "interval": [0.3006, 0.9544]}
    assert str(Rate(3, 4)) == "0.75 (3 of 4, 95 % 0.30 to 0.95)"
