"""The warning before a lease ends comes within the lease, and leaves time to do something; and an outage takes none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.routing.leases import (
    HOLD_WARN_MS,
    LEASE_WARN_MS,
    OUTAGE_MS,
    OUTAGES_MAX,
    SPARED_MS,
    Outage,
    ends_at_ms,
    noted,
    warn_at_ms,
)

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


@pytest.mark.parametrize(
    ("said_ms", "ends_ms"),
    [
        (-1, -1),  # whoever was silent before it has lost it
        (0, 30_000 + SPARED_MS),
        (29_999, 30_000 + SPARED_MS),
        (30_000 + SPARED_MS - 1, 30_000 + SPARED_MS),
        (30_000 + SPARED_MS, 30_000 + SPARED_MS),
        (30_000 + SPARED_MS + 1, 30_000 + SPARED_MS + 1),
    ],
)
def test_what_ended_in_an_outage_or_soon_after_ends_together(said_ms: int, ends_ms: int) -> None:
    assert ends_at_ms(BEGAN + said_ms, Outage(BEGAN, BEGAN + 30_000)) == BEGAN + ends_ms
    assert ends_at_ms(BEGAN + said_ms, None) == BEGAN + said_ms


@pytest.mark.parametrize(
    ("before", "beat_ms", "now_ms", "found"),
    [
        (None, 0, OUTAGE_MS, None),
        (None, 0, OUTAGE_MS + 1, (0, OUTAGE_MS + 1, 1)),
        ((-60_000, -50_000, 1), 0, OUTAGE_MS, (-60_000, -50_000, 1)),
        ((-60_000, -SPARED_MS - 1, OUTAGES_MAX), 0, 9_000, (0, 9_000, 1)),
        ((-60_000, -SPARED_MS, 1), 0, 9_000, (-60_000, 9_000, 2)),
        ((-60_000, 0, OUTAGES_MAX - 1), 0, 9_000, (-60_000, 9_000, OUTAGES_MAX)),
        ((-60_000, 0, OUTAGES_MAX), 0, 9_000, (-60_000, 0, OUTAGES_MAX)),
    ],
)
def test_a_gap_in_the_beats_is_an_outage_and_one_that_follows_at_once_goes_on_from_the_first(
    before: tuple[int, int, int] | None, beat_ms: int, now_ms: int, found: tuple[int, int, int] | None
) -> None:
    def outage(span: tuple[int, int, int] | None) -> Outage | None:
        return None if span is None else Outage(BEGAN + span[0], BEGAN + span[1], span[2])

    assert noted(outage(before), BEGAN + beat_ms, BEGAN + now_ms) == outage(found)


@given(spans=st.lists(st.integers(0, 100_000), min_size=3, max_size=3))
def test_an_outage_takes_no_lease_and_keeps_none_for_longer_than_after_it(spans: list[int]) -> None:
    said, began, lasted = spans
    ends = ends_at_ms(BEGAN + said, Outage(BEGAN + began, BEGAN + began + lasted))
    assert ends >= BEGAN + said
    assert ends in (BEGAN + said, BEGAN + began + lasted + SPARED_MS)
    # Looked at again, also once it says so, it ends at the same moment.
    assert ends_at_ms(ends, Outage(BEGAN + began, BEGAN + began + lasted)) == ends


@given(gaps=st.lists(st.integers(1, 20_000), min_size=20, max_size=60), lease_ms=st.integers(0, 60_000))
def test_a_worker_that_never_has_time_for_its_beats_spares_nobody_for_ever(gaps: list[int], lease_ms: int) -> None:
    """The store is well, and each look finds the last one long ago; a silent operator's lease ends all the same."""
    outage, beat_at_ms, said_at_ms = None, BEGAN, BEGAN + lease_ms
    most_ms = OUTAGES_MAX * (max(gaps) + SPARED_MS)
    for gap_ms in gaps:
        now_ms = beat_at_ms + gap_ms
        outage = noted(outage, beat_at_ms, now_ms)
        said_at_ms = ends_at_ms(said_at_ms, outage)
        beat_at_ms = now_ms
    assert said_at_ms <= BEGAN + lease_ms + most_ms
