"""Whom a waiting handoff is for, and what time makes of that: the ladder's steps, one by one and in their order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.handoff import NO_DEADLINE_AT_MS, Handoff, Reason, wanted
from rules.model import PRIORITIES, All, Mode, Need, OnTimeout, Priority, Queue, Rule, Span, Step, Then
from rules.moves import OFFER_AGAIN_MS, OFFER_AGAIN_MS_MAX, advance_at_ms, advanced, looked_for, rerouted
from rules.routing.operators import Operator, People, Person
from rules.routing.route import Route, Wanted, due_by, moved_on, open_ended, route_into, wanted_in
from rules.routing.routing import PRIORITY_ALLOWANCE_MS, open_handoff, score_ms
from rules.turn import Turn

NOW = 1_800_000_000_000
MINUTE = 60_000
CALLBACK = OnTimeout("callback", {"en": "We will call you."})
LADDER = (
    Step(5 * MINUTE, "handoff.widened", needs=(Need("fraud", 3),)),
    Step(10 * MINUTE, "handoff.widened", queues=("tier1",), any_language=True, skip_if_nobody=True),
    Step(15 * MINUTE, "handoff.widened", priority="urgent", page="on-call"),
)
CARDS = Queue(
    "cards",
    20 * MINUTE,
    OnTimeout("escalate", {}, "tier1"),
    (Need("fraud", 4),),
    own_language=True,
    resolve_within_ms=60 * MINUTE,
    warn_before_ms=3 * MINUTE,
    ladder=LADDER,
)
QUEUES = {"cards": CARDS, "tier1": Queue("tier1", 30 * MINUTE, CALLBACK, ladder=LADDER[:1])}


def opened(priority: Priority = "normal", at_ms: int = NOW, queue: str = "cards") -> Handoff:
    rule = Rule("r", "because", All(()), Then("escalate", queue, priority), Mode(), Span("f", 1, 1, 2))
    reason = Reason("dec", "t", "escalate", ("r",), at_ms)
    return open_handoff("hof", "acme", Turn("c1", "t", locale="es-MX"), reason, rule, QUEUES)


ANYBODY = People((Person(Operator("kim", skills={"fraud": 4}), present=True),))


def after(handoff: Handoff, now_ms: int) -> tuple[Handoff, list[tuple[str, str]]]:
    """Return the handoff once everything that is due has been done, and what was told."""
    told = []
    while (step := advanced(handoff, now_ms, ANYBODY)) is not None:
        handoff, event, detail = step
        told.append((event, detail))
    return handoff, told


def test_it_waits_for_what_its_queue_asks_and_for_the_customers_language() -> None:
    assert wanted(opened()) == Wanted(("cards",), (Need("fraud", 4),), ("es",))
    assert wanted(replace(opened(), locale=None, route=Route())) == Wanted(("cards",))


def test_what_is_kept_for_somebody_asks_for_no_skill() -> None:
    assert wanted(replace(opened(), reserved_for="mia")) == Wanted(("cards",), operator="mia")


def test_each_step_comes_in_its_time_and_only_once() -> None:
    handoff, told = after(opened(), NOW + 5 * MINUTE - 1)
    assert told == []
    handoff, told = after(handoff, NOW + 5 * MINUTE)
    assert (told, wanted(handoff)) == ([("handoff.widened", "")], Wanted(("cards",), (Need("fraud", 3),), ("es",)))
    assert after(handoff, NOW + 5 * MINUTE)[1] == []
    handoff, told = after(handoff, NOW + 10 * MINUTE)
    assert (told, wanted(handoff)) == ([("handoff.widened", "")], Wanted(("cards", "tier1"), (Need("fraud", 3),)))
    handoff, told = after(handoff, NOW + 15 * MINUTE)
    assert (told, handoff.priority, handoff.score_ms) == ([("handoff.widened", "on-call")], "urgent", NOW)


def test_after_a_stop_of_the_workers_all_steps_come_in_their_order() -> None:
    handoff, told = after(opened(), NOW + 19 * MINUTE)
    assert [event for event, _ in told] == ["handoff.widened"] * 3 + ["handoff.deadline_near"]
    assert handoff == replace(after(after(opened(), NOW + 11 * MINUTE)[0], NOW + 19 * MINUTE)[0])


def test_a_step_is_left_out_when_nobody_is_there_to_take_it() -> None:
    handoff, _ = after(opened(), NOW + 9 * MINUTE)
    away = Person(Operator("kim", skills={"fraud": 4}), present=False)
    unable = Person(Operator("ben", skills={"fraud": 2}, queues=("tier1",)), present=True)
    left_out = advanced(handoff, NOW + 10 * MINUTE, People((away, unable)))
    assert left_out is not None
    assert (wanted(left_out[0]), left_out[1]) == (wanted(handoff), "handoff.step_skipped")
    assert advanced(left_out[0], NOW + 10 * MINUTE, People()) is None
    # Whoever serves only the queue that the step adds counts.
    able = Person(Operator("ben", skills={"fraud": 3}, queues=("tier1",), languages=("de",)), present=True)
    taken = advanced(handoff, NOW + 10 * MINUTE, People((away, able)))
    assert taken is not None
    assert taken[1] == "handoff.widened"


def test_only_what_concerns_its_end_comes_to_one_that_a_person_has() -> None:
    taken = replace(opened(), state="leased", holder="mia")
    assert advance_at_ms(taken, held=True) == NOW + 57 * MINUTE
    taken, told = after(taken, NOW + 60 * MINUTE)
    assert told == [("handoff.resolve_near", ""), ("handoff.resolve_missed", "")]
    assert taken.priority == "urgent"
    assert advance_at_ms(taken, held=True) is None
    # Given back, it takes up its ladder where that is by now.
    waiting, told = after(replace(taken, state="waiting", holder=None), NOW + 60 * MINUTE)
    assert len(told) == 4
    assert waiting.route.steps == ()


def test_what_is_kept_for_somebody_is_everybodys_once_their_time_is_over() -> None:
    kept = replace(opened(), reserved_for="mia", reserved_until_at_ms=NOW + MINUTE)
    assert advance_at_ms(kept, held=False) == NOW + MINUTE
    assert advanced(kept, NOW + MINUTE - 1, ANYBODY) is None
    freed = advanced(kept, NOW + MINUTE, ANYBODY)
    assert freed is not None
    assert (wanted(freed[0]), freed[0].route.passed_by, freed[1:]) == (
        wanted(opened()),
        ("mia",),
        ("handoff.let_go", "mia"),
    )


def test_it_is_offered_to_one_after_the_other_the_freest_first_and_then_to_all() -> None:
    first = Person(Operator("mia", capacity=4), present=True, load=1, last_claim_at_ms=5)
    second = Person(Operator("ben", capacity=2), present=True, load=1)
    full = Person(Operator("kim", capacity=1), present=True, load=1)
    people = People((second, full, first, Person(Operator("sam"), present=False)))
    queue = Queue("calls", 20 * MINUTE, CALLBACK, offer_ms=30_000)
    handoff = replace(opened(queue="tier1"), queue="calls", route=route_into(queue, 20 * MINUTE, None, NOW))
    told, at_ms = [], NOW
    for _ in range(5):
        at_ms = max(at_ms, advance_at_ms(handoff, held=False) or at_ms)
        step = advanced(handoff, at_ms, people)
        assert step is not None
        handoff, event, detail = step
        told.append((event, detail, at_ms - NOW))
    assert told == [
        ("handoff.offered", "mia", 0),
        ("handoff.let_go", "mia", 30_000),
        ("handoff.offered", "ben", 30_000),
        ("handoff.let_go", "ben", 60_000),
        ("", "", 60_000),
    ]
    assert advance_at_ms(handoff, held=False) == NOW + 63_000
    assert wanted(handoff) == Wanted(("calls",))
    # Whoever comes later is offered it, and after a while everybody is once more.
    later = People((*people.persons, Person(Operator("zoe"), present=True, load=9)))
    assert (advanced(handoff, NOW + 63_000, later) or ("",) * 3)[2] == "zoe"
    assert (advanced(handoff, NOW + 119_000, people) or ("",) * 3)[2] == ""
    assert (advanced(handoff, NOW + 120_000, people) or ("",) * 3)[2] == "mia"


def test_a_call_is_offered_once_to_each_and_once_more_when_it_is_due() -> None:
    people = People((Person(Operator("ben"), present=True), Person(Operator("mia"), present=True)))
    queue = Queue("calls", 20 * MINUTE, CALLBACK, offer_ms=30_000)
    route = open_ended(route_into(queue, 20 * MINUTE, None, NOW))
    call = replace(opened(queue="tier1"), queue="calls", route=route, expires_at_ms=NO_DEADLINE_AT_MS)

    def offers(handoff: Handoff) -> list[tuple[str, str, int]]:
        """Return what is told of it in four hours, and how many seconds after it began to wait."""
        told: list[tuple[str, str, int]] = []
        at_ms = NOW
        while (at_ms := max(at_ms, advance_at_ms(handoff, held=False) or 0)) < NOW + 240 * MINUTE:
            step = advanced(handoff, at_ms, people)
            assert step is not None
            handoff, event, detail = step
            told += [(event, detail, (at_ms - NOW) // 1_000)] if event else []
        return told

    once = [
        ("handoff.offered", "ben", 0),
        ("handoff.let_go", "ben", 30),
        ("handoff.offered", "mia", 30),
        ("handoff.let_go", "mia", 60),
    ]
    assert offers(call) == once
    due_at_ms = NOW + 60 * MINUTE
    due = replace(call, route=due_by(route, due_at_ms, NOW))
    late_s = 3_600
    events = [(event, whom) for event, whom, _ in once]
    told = offers(due)
    assert told[:5] == [*once, ("handoff.resolve_missed", "", late_s)]
    assert [(event, whom) for event, whom, _ in told[5:]] == events
    # Somebody is looked for every ten seconds by then.
    assert told[5][2] - late_s <= OFFER_AGAIN_MS_MAX // 1_000


def test_what_is_offered_counts_and_whoever_has_no_capacity_is_offered_one_at_a_time() -> None:
    mia = Person(Operator("mia", capacity=2, weights={"escalate": 1}), present=True, load=1)
    ben = Person(Operator("ben"), present=True)
    calls = Wanted(("calls",))
    people, whom = People((mia, ben)), []
    for _ in range(3):
        name = people.freest_for(calls, "escalate")
        whom.append(name)
        people = people.offered(name or "")
    assert whom == ["ben", "mia", None]


@pytest.mark.parametrize(
    ("waited_ms", "pause_ms"), [(0, 1_000), (20_000, 1_000), (60_000, 3_000), (3_600_000, OFFER_AGAIN_MS_MAX)]
)
def test_who_has_waited_long_is_looked_for_less_often_and_wakes_nobody(waited_ms: int, pause_ms: int) -> None:
    looked = looked_for(opened(), NOW + waited_ms)
    assert looked.route.offer_at_ms == NOW + waited_ms + pause_ms
    assert looked.version == opened().version


def test_while_nobody_is_free_somebody_is_looked_for_again_and_again() -> None:
    queue = Queue("calls", 20 * MINUTE, CALLBACK, offer_ms=30_000)
    handoff = replace(opened(queue="tier1"), queue="calls", route=route_into(queue, 20 * MINUTE, None, NOW))
    again = advanced(handoff, NOW, People())
    assert again is not None
    assert (again[1], advance_at_ms(again[0], held=False)) == ("", NOW + OFFER_AGAIN_MS)
    assert advanced(again[0], NOW + 1, ANYBODY) is None


def test_another_queue_brings_its_own_ladder_and_keeps_the_promise_of_an_end() -> None:
    moved = rerouted(opened(), NOW + 20 * MINUTE)
    assert moved is not None
    route = moved.route
    assert (route.since_at_ms, route.resolve_by_ms) == (NOW + 20 * MINUTE, NOW + 60 * MINUTE)
    assert [(step.after_ms // MINUTE, step.event) for step in route.steps] == [
        (5, "handoff.widened"),
        (37, "handoff.resolve_near"),
        (40, "handoff.resolve_missed"),
    ]


def test_a_queue_that_promises_an_end_promises_it_from_the_moment_it_is_entered() -> None:
    there = moved_on(route_into(CARDS, CARDS.answer_within_ms, None, 0), Route(), NOW)
    assert there == route_into(CARDS, CARDS.answer_within_ms, None, NOW)


@pytest.mark.parametrize("text", ["", "[]", "[1", '[["a"],[],[],null,1]'])
def test_a_text_that_is_no_class_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        wanted_in(text)


names = st.text(min_size=1, max_size=8)
needs = st.lists(st.builds(Need, names, st.integers(1, 10)), max_size=3, unique_by=lambda need: need.skill)
classes = st.builds(
    Wanted,
    st.lists(names, min_size=1, max_size=3, unique=True).map(tuple),
    needs.map(tuple),
    st.just(()) | st.just(("es",)),
    st.none() | names,
)


@given(classes)
def test_a_class_is_the_same_read_back_whatever_the_order_of_its_parts(whom: Wanted) -> None:
    turned = Wanted((whom.queues[0], *whom.queues[:0:-1]), whom.needs[::-1], whom.languages, whom.operator)
    assert whom.text == turned.text == wanted_in(whom.text).text


moments = st.integers(0, 10**9)
priorities = st.sampled_from(PRIORITIES)


@given(moments, moments, priorities, st.integers(1, 10**8))
def test_of_two_equals_the_older_goes_first(first: int, second: int, priority: Priority, within_ms: int) -> None:
    older, younger = sorted((first, second))
    urgency = score_ms(older, priority, older + within_ms)
    assert urgency <= score_ms(younger, priority, younger + within_ms)


@given(moments, priorities, st.integers(1, 10**8), moments, priorities, st.integers(1, 10**8))
def test_nobody_starves(
    at_ms: int, priority: Priority, within_ms: int, later_ms: int, other: Priority, other_within_ms: int
) -> None:
    """Whoever is opened after another's allowance is over comes after them, however urgent: the wait has an end."""
    urgency = score_ms(at_ms, priority, at_ms + within_ms)
    assert urgency <= at_ms + min(PRIORITY_ALLOWANCE_MS[priority], within_ms)
    if later_ms > urgency:
        assert score_ms(later_ms, other, later_ms + other_within_ms) > urgency


@given(moments, priorities, st.integers(1, 10**8))
def test_less_time_and_a_higher_priority_never_make_it_less_urgent(
    at_ms: int, priority: Priority, within_ms: int
) -> None:
    urgency = score_ms(at_ms, priority, at_ms + within_ms)
    assert score_ms(at_ms, priority, at_ms + within_ms // 2) <= urgency
    for higher in PRIORITIES[PRIORITIES.index(priority) :]:
        assert score_ms(at_ms, higher, at_ms + within_ms) <= urgency
