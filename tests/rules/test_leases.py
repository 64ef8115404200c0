"""The warning before a lease ends comes within the lease, and leaves time to do something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.routing.leases import HOLD_WARN_MS, LEASE_WARN_MS, warn_at_ms

BEGAN = 1_800_000_000_000
DAY = 86_400_000


@pytest.mark.parametrize(
    ("span_ms", "held", "left_ms"),
    [
        (60_000, False, 15_000),
        (3_600_000, False, 15_000),
        (20_000, False, 5_000),
        (5_000, False, 1_250),
        (3_600_000, True, 120_000),
        (480_000, True, 120_000),
        (40_000, True, 10_000),
        (1, True, 0),
        (0, False, 0),
    ],
)
def test_so_much_is_left_when_the_warning_comes(span_ms: int, held: bool, left_ms: int) -> None:
    assert BEGAN + span_ms - warn_at_ms(BEGAN, BEGAN + span_ms, held=held) == left_ms


@given(span_ms=st.integers(1, DAY), held=st.booleans())
def test_the_warning_comes_within_the_lease_and_in_its_last_quarter(span_ms: int, held: bool) -> None:
    ends_at_ms = BEGAN + span_ms
    warned_at_ms = warn_at_ms(BEGAN, ends_at_ms, held=held)
    assert BEGAN < warned_at_ms <= ends_at_ms
    assert warned_at_ms - BEGAN >= (ends_at_ms - BEGAN) * 3 // 4
    assert ends_at_ms - warned_at_ms <= (HOLD_WARN_MS if held else LEASE_WARN_MS)


@given(spans=st.lists(st.integers(1, DAY), min_size=2, max_size=2).map(sorted), held=st.booleans())
def test_a_longer_lease_is_never_warned_of_later_before_its_end(spans: list[int], held: bool) -> None:
    shorter, longer = (span_ms + BEGAN - warn_at_ms(BEGAN, BEGAN + span_ms, held=held) for span_ms in spans)
    assert shorter <= longer


def test_a_lease_of_an_earlier_version_is_warned_of_as_it_was() -> None:
    assert warn_at_ms(None, BEGAN, held=False) == BEGAN - LEASE_WARN_MS
    # A claim that is answered again after its lease was renewed.
    assert warn_at_ms(BEGAN + 1, BEGAN, held=False) == BEGAN
