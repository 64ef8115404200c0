"""The sentence that says why somebody got a handoff."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.handoff import Assignment, Handoff, Reason
from rules.model import Need, OnTimeout
from rules.routing.assignment import why
from rules.routing.route import Wanted

NOW = 1_800_000_000_000
MINUTE = 60_000
HANDOFF = Handoff(
    handoff_id="hof_0_1",
    tenant="acme",
    conversation_id="c1",
    kind="escalate",
    state="leased",
    queue="cards",
    priority="high",
    opened_at_ms=NOW,
    expires_at_ms=NOW + 20 * MINUTE,
    score_ms=NOW,
    on_timeout=OnTimeout("callback", {}),
    reasons=(Reason("dec", "t", "escalate", ("r",), NOW),),
)


def wanting(*needs: Need, languages: tuple[str, ...] = ()) -> str:
    return Wanted(("cards",), needs, languages).text


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        (
            Assignment(
                *("mia", NOW + 4 * MINUTE + 239, "next", 3, 1, 4, "high", NOW + 20 * MINUTE),
                wanted=wanting(Need("fraud", 3), Need("law"), languages=("es",)),
            ),
            "the most urgent of all that mia could take in 3 kinds of handoffs; it had waited 4m; "
            "15m 59s before its deadline; priority high; "
            "it needed fraud 3 and law and someone who speaks es; mia had 1 of 4 in hand",
        ),
        (
            Assignment("ben", NOW + 21 * MINUTE, "named", expires_at_ms=NOW + 20 * MINUTE, wanted=wanting()),
            "ben chose it by name; it had waited 21m; past its deadline; priority normal; it needed no special skill",
        ),
        (
            Assignment("kim", NOW, "next", capacity=2, expires_at_ms=NOW + MINUTE, kept_as="offer"),
            "it was offered to kim, the freest who could take it; it had waited 0s; 1m before its deadline; "
            "priority normal; kim had 0 of 2 in hand",
        ),
        (
            Assignment("kim", NOW, "named", expires_at_ms=NOW + MINUTE, kept_as="customer"),
            "it was kept for kim, who knows the customer; it had waited 0s; 1m before its deadline; priority normal",
        ),
        (
            Assignment("kim", NOW, "named", expires_at_ms=NOW + MINUTE, kept_as="sent", sent_by="mia"),
            "mia sent it to kim; it had waited 0s; 1m before its deadline; priority normal",
        ),
    ],
)
def test_it_says_who_why_and_when(assignment: Assignment, said: str) -> None:
    assert why(HANDOFF, assignment) == said


def test_what_has_changed_since_changes_no_assignment() -> None:
    first = Assignment("mia", NOW, "next", priority="normal", expires_at_ms=NOW + MINUTE, wanted=wanting(Need("law")))
    since = replace(HANDOFF, priority="urgent", expires_at_ms=NOW + 9 * MINUTE, assignments=(first,))
    assert since.assignment is first
    assert why(since, first) == why(HANDOFF, first)
    assert HANDOFF.assignment is None
