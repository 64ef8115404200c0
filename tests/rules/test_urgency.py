"""Urgency keeps its word for every stream of handoffs: equals in their order, nobody passed over for ever."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rules.handoff import Handoff, Reason
from rules.model import PRIORITIES, All, Mode, OnTimeout, Priority, Queue, Rule, Span, Step, Then
from rules.moves import advanced
from rules.routing.operators import People
from rules.routing.routing import PRIORITY_ALLOWANCE_MS, join, open_handoff, score_ms
from rules.turn import Turn

NOW = 1_800_000_000_000
MINUTE = 60_000
RISING: tuple[tuple[int, Priority], ...] = ((3, "normal"), (9, "high"), (20, "urgent"))
LADDER = tuple(Step(minutes * MINUTE, "handoff.widened", priority=priority) for minutes, priority in RISING)
QUEUE = Queue("desk", 30 * MINUTE, OnTimeout("callback", {"en": "We will call you."}), ladder=LADDER)

priorities = st.sampled_from(PRIORITIES)
moments = st.integers(NOW, NOW + 180 * MINUTE)
promises = st.one_of(st.none(), st.integers(1_000, 24 * 60 * MINUTE))
# When it opened, how urgent, and within what it must be answered; None for nothing promised.
arrivals = st.tuples(moments, priorities, promises)


def urgency(arrival: tuple[int, Priority, int | None]) -> int:
    at_ms, priority, within_ms = arrival
    return score_ms(at_ms, priority, None if within_ms is None else at_ms + within_ms)


def asked(priority: Priority, at_ms: int, number: int = 1) -> Handoff:
    top = Rule("r", "because", All(()), Then("escalate", "desk", priority), Mode(), Span("f", 1, 1, 2))
    reason = Reason(f"dec{number}", f"t{number}", "escalate", ("r",), at_ms)
    return open_handoff(f"hof{number}", "acme", Turn("c1", f"t{number}"), reason, top, {"desk": QUEUE})


@given(moments, st.integers(1, 90 * MINUTE), priorities, promises)
def test_an_older_one_is_never_overtaken_by_an_equal(
    at_ms: int, later_ms: int, priority: Priority, within_ms: int | None
) -> None:
    assert urgency((at_ms, priority, within_ms)) < urgency((at_ms + later_ms, priority, within_ms))


@given(arrivals)
def test_nobody_is_passed_over_past_their_deadline_or_longer_than_their_priority_says(
    arrival: tuple[int, Priority, int | None],
) -> None:
    at_ms, priority, within_ms = arrival
    score = urgency(arrival)
    assert at_ms <= score <= at_ms + PRIORITY_ALLOWANCE_MS[priority]
    assert within_ms is None or score <= at_ms + within_ms


@given(moments, st.permutations(PRIORITIES), st.lists(st.integers(1_000, 600 * MINUTE), min_size=2, max_size=2))
def test_more_priority_and_a_shorter_promise_never_make_it_wait_longer(
    at_ms: int, two: Sequence[Priority], within_ms: Sequence[int]
) -> None:
    less, more = sorted(two[:2], key=PRIORITIES.index)
    short, long = sorted(within_ms)
    assert urgency((at_ms, more, short)) <= urgency((at_ms, less, short)) <= urgency((at_ms, less, long))


@given(st.lists(arrivals, min_size=2, max_size=60), st.integers(1_000, 10 * MINUTE))
def test_whatever_comes_only_those_go_first_who_came_before_its_urgency(
    stream: list[tuple[int, Priority, int | None]], service_ms: int
) -> None:
    """One operator, a flood of others: what is taken while one waits was opened before that one's own score."""
    coming = sorted(enumerate(stream), key=lambda each: each[1][0])
    waiting: list[tuple[int, int]] = []
    now_ms, taken_at_ms, overtaken_by = NOW, dict[int, int](), dict[int, list[int]]()
    while coming or waiting:
        while coming and coming[0][1][0] <= now_ms:
            number, arrival = coming.pop(0)
            heapq.heappush(waiting, (urgency(arrival), number))
            overtaken_by[number] = []
        if not waiting:
            now_ms = coming[0][1][0]
            continue
        _, first = heapq.heappop(waiting)
        taken_at_ms[first] = now_ms
        for _, number in waiting:
            overtaken_by[number].append(first)
        now_ms += service_ms
    assert set(taken_at_ms) == set(range(len(stream)))
    for number, others in overtaken_by.items():
        at_ms, priority, within_ms = stream[number]
        for other in others:
            assert stream[other][0] <= urgency(stream[number])
            equal = stream[other][1:] == (priority, within_ms)
            assert not equal or stream[other][0] <= at_ms


@given(priorities, st.lists(st.tuples(st.integers(0, 40 * MINUTE), st.one_of(st.none(), priorities)), max_size=12))
def test_an_urgency_that_was_reached_is_never_lost(
    priority: Priority, later: list[tuple[int, Priority | None]]
) -> None:
    """Second reasons and steps of the ladder only ever bring it forward, and never past what its priority allows."""
    handoff = asked(priority, NOW)
    for number, (after_ms, second) in enumerate(sorted(later, key=lambda each: each[0]), 2):
        before, now_ms = handoff, NOW + after_ms
        if second is None:
            moved = advanced(handoff, now_ms, People())
            handoff = handoff if moved is None else moved[0]
        else:
            handoff = join(handoff, asked(second, now_ms, number))
        assert handoff.score_ms <= before.score_ms
        assert PRIORITIES.index(handoff.priority) >= PRIORITIES.index(before.priority)
        assert handoff.score_ms <= score_ms(NOW, handoff.priority)


@given(priorities, st.integers(0, 29 * MINUTE))
def test_the_ladder_taken_late_leads_where_the_ladder_in_time_does(priority: Priority, late_ms: int) -> None:
    def climbed(moments_ms: Sequence[int]) -> Handoff:
        handoff = asked(priority, NOW)
        for now_ms in moments_ms:
            while (moved := advanced(handoff, now_ms, People())) is not None:
                handoff = moved[0]
        return handoff

    in_time = climbed([NOW + step.after_ms for step in LADDER if step.after_ms <= late_ms])
    assert replace(climbed([NOW + late_ms]), version=0) == replace(in_time, version=0)
