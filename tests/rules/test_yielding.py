"""Which offers end early for what is far more urgent, and whom that makes free: a table, and what holds for any two."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.handoff import NO_DEADLINE_AT_MS, Handoff, KeptAs
from rules.model import PRIORITIES, Need, OnTimeout, Priority
from rules.routing.operators import Operator, People, Person
from rules.routing.route import Route, Wanted
from rules.routing.routing import score_ms
from rules.routing.yielding import gives_way, withdrawn

NOW = 1_800_000_000_000
MINUTE = 60_000


def waiting(priority: Priority, at_ms: int = NOW, *, call: bool = False, kept_as: KeptAs = "offer") -> Handoff:
    """Return a handoff that is kept for mia."""
    return Handoff(
        handoff_id="hof",
        tenant="acme",
        conversation_id="c1",
        kind="review" if call else "escalate",
        state="waiting",
        queue="tier1",
        priority=priority,
        opened_at_ms=at_ms,
        expires_at_ms=NO_DEADLINE_AT_MS if call else at_ms + 240 * MINUTE,
        score_ms=score_ms(at_ms, priority),
        on_timeout=OnTimeout("callback", {}),
        reasons=(),
        reserved_for="mia",
        reserved_until_at_ms=at_ms + MINUTE,
        route=Route(offer_ms=MINUTE, offer_at_ms=at_ms, passed_by=("ben",), kept_as=kept_as),
    )


@pytest.mark.parametrize(
    ("offered", "to", "gives"),
    [
        pytest.param(waiting("low"), waiting("urgent"), True, id="a low one to an urgent one"),
        pytest.param(waiting("low"), waiting("high"), True, id="a low one to a high one"),
        pytest.param(waiting("low"), waiting("normal"), False, id="a low one not to a normal one"),
        pytest.param(waiting("normal"), waiting("urgent"), True, id="a normal one to an urgent one"),
        pytest.param(waiting("high"), waiting("urgent"), False, id="a high one not to an urgent one"),
        pytest.param(waiting("low", call=True), waiting("normal"), True, id="a call to any that is more urgent"),
        pytest.param(waiting("low", call=True), waiting("low"), False, id="a call to none of its own urgency"),
        pytest.param(waiting("urgent", call=True), waiting("urgent"), False, id="a call that is due to nothing"),
        pytest.param(
            waiting("low", NOW - 61 * MINUTE), waiting("urgent"), False, id="what has waited so long goes before it"
        ),
        pytest.param(waiting("low", kept_as="sent"), waiting("urgent"), False, id="what a colleague sent is no offer"),
        pytest.param(
            waiting("low", kept_as="customer"), waiting("urgent"), False, id="nor what a customer is known by"
        ),
        pytest.param(replace(waiting("low"), state="leased"), waiting("urgent"), False, id="nor what was taken"),
        pytest.param(
            replace(waiting("low"), reserved_for=None), waiting("urgent"), False, id="nor what is everybody's"
        ),
    ],
)
def test_an_offer_gives_way_to_what_is_far_more_urgent_and_goes_before_it(
    offered: Handoff, to: Handoff, gives: bool
) -> None:
    assert gives_way(offered, to) is gives


handoffs = st.builds(waiting, st.sampled_from(PRIORITIES), st.integers(NOW, NOW + 90 * MINUTE), call=st.booleans())


@given(st.tuples(handoffs, handoffs, handoffs))
def test_no_offers_give_way_to_each_other_in_a_circle(three: tuple[Handoff, Handoff, Handoff]) -> None:
    first, second, third = three
    assert not (gives_way(first, second) and gives_way(second, first))
    assert not (gives_way(first, second) and gives_way(second, third) and gives_way(third, first))


def test_what_is_withdrawn_keeps_its_place_and_is_let_go_by_nobody() -> None:
    offered = waiting("low")
    freed, event, whom = withdrawn(offered)
    assert (event, whom) == ("handoff.let_go", "mia")
    assert freed == replace(offered, reserved_for=None, reserved_until_at_ms=None, version=offered.version + 1)
    assert freed.route == offered.route


def test_only_who_would_have_room_with_one_offer_less_is_asked_to_give_one_back() -> None:
    people = People(
        (
            Person(Operator("away"), offered=1),
            Person(Operator("busy", capacity=1), present=True, load=1),
            Person(Operator("unskilled"), present=True, offered=1),
            Person(Operator("free", skills={"fraud": 1}), present=True),
            Person(Operator("let it go by", skills={"fraud": 1}), present=True, offered=1),
            Person(Operator("full", skills={"fraud": 1}, capacity=2), present=True, load=2, offered=1),
            Person(Operator("asked", skills={"fraud": 1}), present=True, offered=1),
            Person(Operator("asked for two", skills={"fraud": 1}, capacity=2), present=True, offered=2),
        )
    )
    wanted = Wanted(("tier1",), (Need("fraud", 1),))
    assert people.free_but_for_one(wanted, "escalate", ("let it go by",)) == ("asked", "asked for two")
    assert people.offered("asked", -1).freest_for(wanted, "escalate", ("free", "let it go by")) == "asked"
