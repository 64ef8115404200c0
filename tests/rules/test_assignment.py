"""The sentence that says why somebody got a handoff."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.handoff import Assignment, Handoff, Reason
from rules.model import Need, OnTimeout
from rules.routing.assignment import why
from rules.routing.route import Route

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


def taken(assignment: Assignment, **fields: object) -> str | None:
    return why(replace(HANDOFF, assignment=assignment, **fields))  # type: ignore[arg-type]  # as the tests say


def test_nobody_has_had_it() -> None:
    assert why(HANDOFF) is None


@pytest.mark.parametrize(
    ("assignment", "fields", "said"),
    [
        (
            Assignment("mia", NOW + 4 * MINUTE, "next", 3, 1, 4),
            {"route": Route(needs=(Need("fraud", 3), Need("law")), languages=("es",))},
            "the most urgent of all that mia could take in 3 kinds of handoffs; it had waited 4m; "
            "16m before its deadline; priority high; "
            "it needed fraud 3 and law and someone who speaks es; mia had 1 of 4 in hand",
        ),
        (
            Assignment("ben", NOW + 21 * MINUTE, "named"),
            {},
            "ben chose it by name; it had waited 21m; past its deadline; priority high; it needed no special skill",
        ),
        (
            Assignment("kim", NOW, "offered", capacity=2),
            {},
            "it was kept for kim, who took it; it had waited 0s; 20m before its deadline; priority high; "
            "it needed no special skill; kim had 0 of 2 in hand",
        ),
    ],
)
def test_it_says_who_why_and_when(assignment: Assignment, fields: dict[str, object], said: str) -> None:
    assert taken(assignment, **fields) == said
