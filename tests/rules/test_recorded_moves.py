"""The moves of a stored handoff as steps: when one that waits again was put back, told by the deadline that it has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rules.cases.recorded_moves import steps_of
from rules.handoff import Assignment, Handoff, Resolution
from rules.model import OnTimeout
from rules.moves import RETURNED_MS, claimed, ended, released
from rules.replay.neutral import Neutral
from rules.routing.route import Wanted

MINUTE = 60_000
DESK = Wanted(("desk",)).text
OPENED = Handoff(
    "h", "t", "c", "escalate", "waiting", "desk", "normal", 0, 5 * MINUTE, 0, OnTimeout("callback", {}), reasons=()
)


def taken(handoff: Handoff, at_ms: int) -> Handoff:
    given = Assignment("ann", at_ms, "named", expires_at_ms=handoff.expires_at_ms, wanted=DESK)
    return replace(claimed(handoff, "ann", at_ms), assignments=(*handoff.assignments, given))


def steps(handoff: Handoff, until_ms: int = 60 * MINUTE) -> list[tuple[int, dict[str, Any]]]:
    return list(steps_of(handoff, (), {}, Neutral(), until_ms))


@pytest.mark.parametrize("at_ms", [4 * MINUTE, 9 * MINUTE])
def test_a_release_that_moved_the_deadline_is_told_at_its_moment(at_ms: int) -> None:
    back = released(taken(OPENED, MINUTE), at_ms)
    assert steps(back) == [(MINUTE, {"claim": True}), (at_ms, {"release": True})]
    again = taken(back, at_ms + MINUTE)
    assert steps(again) == [*steps(back), (at_ms + MINUTE, {"claim": True})]
    missed = Resolution("timeout", "handrail", at_ms + RETURNED_MS, verdict="callback")
    expired = ended(back, "expire", missed)
    assert steps(expired) == [*steps(back), (at_ms + RETURNED_MS, {"timeout": True})]
    assert steps(expired, until_ms=at_ms - 1) == [(MINUTE, {"claim": True})]


def test_a_release_that_moved_nothing_comes_soon_after_its_claim() -> None:
    back = released(taken(OPENED, MINUTE), 2 * MINUTE)
    assert steps(back) == [(MINUTE, {"claim": True}), (MINUTE + 1_000, {"release": True})]


def test_what_nobody_took_has_no_claim() -> None:
    assert steps(OPENED) == []
