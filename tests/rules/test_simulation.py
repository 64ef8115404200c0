"""Simulated queues: nobody is lost or served early, nobody idles beside work, and theory is met where it answers."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.model import Need, OnTimeout, Priority, Queue, Step, Then
from rules.routing.operators import Absence, Operator, Shift
from rules.routing.shifts import shift_moments_ms
from rules.simulation.arrivals import Arrival
from rules.simulation.patience import Patience, patience_of
from rules.simulation.simulated import ArrivalsUnfit, draw, recording, simulate
from rules.simulation.simulation import Coming, Passed, Played, play, rule_for

START = 1_763_283_600_000  # a Sunday, 09:00 UTC
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
CALL_BACK = OnTimeout("callback", {"en": "We call back."})
LINE = Queue("line", DAY, CALL_BACK)
QUEUES = {"line": LINE}


def coming(at_ms: int, handling_ms: int = MINUTE, priority: Priority = "normal", **fields: object) -> Coming:
    rule = rule_for("line", "escalate", Then("escalate", "line", priority))
    return Coming(START + at_ms, "line", handling_ms, rule=rule, **fields)  # type: ignore[arg-type]  # for brevity


def anybody(count: int) -> list[Operator]:
    return [Operator(f"operator-{number}") for number in range(count)]


def waits(played: Played) -> list[int]:
    return [each.waited_ms for each in played.passed]


def endings(played: Played) -> list[str]:
    return [each.ending for each in played.passed]


def test_one_person_takes_one_after_another() -> None:
    played = play(QUEUES, anybody(1), [coming(0), coming(0), coming(30 * SECOND), coming(10 * MINUTE)])
    assert waits(played) == [0, MINUTE, 90 * SECOND, 0]
    assert played.at_work_ms == {"operator-0": 10 * MINUTE}
    assert played.busy_ms == {"operator-0": 3 * MINUTE}


def test_the_most_urgent_is_taken_first_and_of_equals_the_older() -> None:
    later = [coming(1, priority="low"), coming(2), coming(3), coming(4, priority="urgent")]
    played = play(QUEUES, anybody(1), [coming(0), *later])
    order = sorted(range(1, 5), key=lambda place: played.passed[place].coming.at_ms + played.passed[place].waited_ms)
    assert order == [4, 2, 3, 1]


def test_who_gives_up_is_answered_by_nobody_and_holds_up_nobody() -> None:
    played = play(QUEUES, anybody(1), [coming(0), coming(0, patience_ms=30 * SECOND), coming(1)])
    assert endings(played) == ["answered", "left", "answered"]
    assert waits(played) == [0, 30 * SECOND, MINUTE - 1]


def test_a_missed_deadline_ends_the_wait_or_moves_it_to_another_queue() -> None:
    night = Queue("night", 5 * MINUTE, OnTimeout("escalate", {}, "line"), needs=(Need("owl"),))
    queues = {"line": LINE, "night": night}
    rule = rule_for("night", "escalate")
    moved = play(queues, anybody(1), [Coming(START, "night", MINUTE, rule=rule)])
    assert (endings(moved), waits(moved), moved.passed[0].in_time) == (["answered"], [5 * MINUTE], False)
    short = {"line": Queue("line", 5 * MINUTE, CALL_BACK, needs=(Need("owl"),))}
    missed = play(short, anybody(1), [coming(0)])
    assert (endings(missed), waits(missed)) == (["missed"], [5 * MINUTE])


def test_the_ladder_lets_others_take_it() -> None:
    step = Step(2 * MINUTE, "handoff.widened", needs=())
    queues = {"line": Queue("line", HOUR, CALL_BACK, needs=(Need("owl"),), ladder=(step,))}
    assert waits(play(queues, anybody(1), [coming(0)])) == [2 * MINUTE]


def test_a_step_is_left_out_where_nobody_is_there_for_it() -> None:
    step = Step(2 * MINUTE, "handoff.widened", needs=(Need("cat"),), skip_if_nobody=True)
    queues = {"line": Queue("line", 5 * MINUTE, CALL_BACK, needs=(Need("owl"),), ladder=(step,))}
    assert endings(play(queues, anybody(1), [coming(0)])) == ["missed"]
    cat = Operator("cat", skills={"cat": 1})
    assert waits(play(queues, [cat], [coming(0)])) == [2 * MINUTE]


def test_only_who_speaks_the_language_takes_it() -> None:
    queues = {"line": Queue("line", HOUR, CALL_BACK, own_language=True)}
    german, spanish = Operator("g", languages=("de",)), Operator("s", languages=("es",))
    both = [coming(0, locale="es-MX"), coming(0, locale="es-ES"), coming(0, locale="de")]
    assert waits(play(queues, [german, spanish], both)) == [0, MINUTE, 0]


def test_shifts_let_people_come_and_go_and_what_is_begun_is_finished() -> None:
    ten_to_eleven = Operator("mia", hours=(Shift(frozenset({"sun"}), 600, 660),))
    played = play(QUEUES, [ten_to_eleven], [coming(0), coming(HOUR + 59 * MINUTE, 10 * MINUTE), coming(2 * HOUR)])
    assert waits(played)[:2] == [HOUR, 0]
    assert endings(played) == ["answered", "answered", "missed"]
    assert played.at_work_ms["mia"] == HOUR
    assert played.busy_ms["mia"] == 2 * MINUTE


def test_offers_are_taken_at_once_by_who_is_free() -> None:
    queues = {"line": Queue("line", HOUR, CALL_BACK, offer_ms=30 * SECOND)}
    assert waits(play(queues, anybody(1), [coming(0), coming(1)])) == [0, MINUTE - 1]


def test_capacity_counts_weights() -> None:
    two = Operator("two", capacity=2, weights={"hold": 2})
    hold = Coming(START, "line", MINUTE, rule=rule_for("line", "hold"))
    assert waits(play(QUEUES, [two], [coming(0), coming(0), coming(0)])) == [0, 0, MINUTE]
    assert waits(play(QUEUES, [two], [hold, coming(0)])) == [0, MINUTE]


SCENES = st.tuples(
    st.lists(
        st.tuples(
            st.integers(0, 600), st.integers(0, 300), st.sampled_from(["low", "normal", "high", "urgent"]),
            st.none() | st.integers(0, 300),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 4),
)  # fmt: skip  # one arrival stands on two lines


def _scene(drawn: Sequence[tuple[int, int, Priority, int | None]]) -> list[Coming]:
    rows = sorted(drawn, key=lambda row: row[0])
    return [
        coming(at_s * SECOND, span_s * SECOND, priority, patience_ms=None if stays is None else stays * SECOND)
        for at_s, span_s, priority, stays in rows
    ]


@given(SCENES)
def test_everybody_ends_once_nobody_early_and_nobody_is_busier_than_at_work(
    scene: tuple[list[tuple[int, int, Priority, int | None]], int],
) -> None:
    arrivals, count = _scene(scene[0]), scene[1]
    played = play(QUEUES, anybody(count), arrivals)
    assert [each.coming for each in played.passed] == arrivals
    assert all(each.waited_ms >= 0 for each in played.passed)
    assert all(each.waited_ms == each.coming.patience_ms for each in played.passed if each.ending == "left")
    for name, busy_ms in played.busy_ms.items():
        assert 0 <= busy_ms <= played.at_work_ms[name]
    for name in played.busy_ms:
        # One at a time: who was answered later by the same person was answered after the one before was done.
        mine = sorted(_stretch(each) for each in played.passed if each.operator == name)
        assert all(done <= began for (_, done), (began, _) in pairwise(mine))


@given(SCENES)
def test_nobody_waits_while_somebody_is_free(
    scene: tuple[list[tuple[int, int, Priority, int | None]], int],
) -> None:
    played = play(QUEUES, anybody(scene[1]), _scene(scene[0]))
    stretches = [_stretch(each) for each in played.passed if each.ending == "answered"]
    for each in played.passed:
        if each.waited_ms:
            began = each.coming.at_ms
            # All were busy from the coming on: whoever answered later took it the moment somebody was free.
            for at_ms in {began, *(done for _, done in stretches if began < done < began + each.waited_ms)}:
                assert sum(start <= at_ms < done for start, done in stretches) == scene[1]


@given(SCENES)
def test_of_those_who_wait_together_the_more_urgent_is_answered_first(
    scene: tuple[list[tuple[int, int, Priority, int | None]], int],
) -> None:
    arrivals = [coming(each.at_ms - START, each.handling_ms, _priority(each)) for each in _scene(scene[0])]
    played = play(QUEUES, anybody(scene[1]), arrivals)
    for one in played.passed:
        for other in played.passed:
            answered_ms = one.coming.at_ms + one.waited_ms
            together = one.coming.at_ms <= other.coming.at_ms < answered_ms
            if together and one.waited_ms and other.waited_ms and _urgency(other.coming) > _urgency(one.coming):
                assert other.coming.at_ms + other.waited_ms >= answered_ms


def _priority(each: Coming) -> Priority:
    assert each.rule is not None
    return each.rule.then.priority


def _urgency(each: Coming) -> int:
    minutes = {"low": 60, "normal": 15, "high": 5, "urgent": 0}[_priority(each)]
    return each.at_ms + minutes * MINUTE


def _stretch(each: Passed) -> tuple[int, int]:
    began = each.coming.at_ms + each.waited_ms
    return began, began + each.coming.handling_ms


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (3, 0.7), (8, 0.75)])
def test_the_mean_wait_of_many_servers_is_erlangs(servers: int, load: float) -> None:
    """M/M/c: P(wait) is Erlang C, the mean wait P / (c mu - lambda); Erlang, 1917. One server more is 30 % off."""
    chance = random.Random(3)
    mean_ms = 100_000
    at_ms, arrivals = 0.0, []
    for _ in range(40_000):
        at_ms += chance.expovariate(servers * load / mean_ms)
        arrivals.append(coming(round(at_ms), round(chance.expovariate(1 / mean_ms)), "urgent"))
    played = play(QUEUES, anybody(servers), arrivals)
    counted = waits(played)[2_000:]
    offered = servers * load
    last = offered**servers / math.factorial(servers) / (1 - load)
    waiting = last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)
    assert sum(wait > 0 for wait in counted) / len(counted) == pytest.approx(waiting, rel=0.08)
    assert sum(counted) / len(counted) == pytest.approx(waiting * mean_ms / (servers * (1 - load)), rel=0.15)
    assert sum(played.busy_ms.values()) / sum(played.at_work_ms.values()) == pytest.approx(load, rel=0.02)


def test_patience_counts_those_who_were_answered_until_then() -> None:
    found = patience_of([(10, True), (20, False), (30, True), (40, False)])
    assert found == Patience((10, 30), (0.25, 0.625))
    assert [found.left_by(at) for at in (9, 10, 29, 30, 1_000)] == [0.0, 0.25, 0.25, 0.625, 0.625]


def test_who_has_stayed_so_long_is_drawn_from_those_who_stay_longer() -> None:
    chance = random.Random(1)
    found = patience_of([(10, True), (20, True), (30, True), (40, False)])
    assert {found.drawn(chance.random(), 20) for _ in range(100)} == {30, None}
    assert {found.drawn(chance.random(), 30) for _ in range(100)} == {None}
    assert Patience().drawn(chance.random()) is None


def test_true_patience_is_found_again_where_half_are_answered_first() -> None:
    chance = random.Random(5)
    rows = [(chance.expovariate(1 / 60_000), chance.expovariate(1 / 60_000)) for _ in range(20_000)]
    found = patience_of((round(min(row)), row[0] <= row[1]) for row in rows)
    for at_ms in (20_000, 60_000, 120_000):
        assert found.left_by(at_ms) == pytest.approx(1 - math.exp(-at_ms / 60_000), abs=0.02)


def test_an_arrival_is_the_same_person_in_every_scenario_and_another_in_every_run() -> None:
    rows = [Arrival(START + at * MINUTE, handling_ms=at * SECOND, waited_ms=at) for at in range(10)]
    gone = [Arrival(START + at * HOUR, waited_ms=5_000, gave_up=True) for at in range(1, 10)]
    recorded = recording([*rows, *gone], QUEUES, "line")
    assert draw(recorded, 1) == draw(recorded, 1)
    assert draw(recorded, 1) != draw(recorded, 2)
    assert {each.patience_ms for each in draw(recorded, 1)} == {5_000}


def test_the_warm_up_is_not_counted_and_days_are_those_of_the_time_zone() -> None:
    recorded = recording([Arrival(START + at * HOUR, handling_ms=MINUTE) for at in range(16)], QUEUES, "line")
    found = simulate(recorded, QUEUES, anybody(1), 1, 2 * HOUR, "Asia/Tokyo")
    assert found.all.came == 14
    assert {day: figures.came for day, figures in found.weekdays.items()} == {"sun": 4, "mon": 10}


def test_arrivals_that_cannot_be_played_say_what_to_do() -> None:
    named = [Arrival(START, "cards", handling_ms=1)]
    with pytest.raises(ArrivalsUnfit) as queue:
        recording(named, QUEUES, None)
    assert str(queue.value) == (
        "the queue `cards` is none of the rule files; say with --queue where such go; there are line"
    )
    with pytest.raises(ArrivalsUnfit) as handling:
        recording([Arrival(START)], QUEUES, "line")
    assert str(handling.value) == "no handling time was recorded; say with --handling how long one takes, as 6m"
    with pytest.raises(ArrivalsUnfit, match="nobody came"):
        recording([], QUEUES, "line")


def test_every_moment_of_a_shift_is_known_in_its_own_time_zone() -> None:
    berlin = Operator("b", hours=(Shift(frozenset({"mon"}), 480, 24 * 60),), timezone="Europe/Berlin")
    away = Operator("a", absences=(Absence(date(2025, 11, 17), date(2025, 11, 17)),))
    moments = shift_moments_ms([berlin, away], START, START + DAY)
    found = {datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%d %H:%M") for at_ms in moments}
    assert {"17 00:00", "17 07:00", "16 23:00", "17 23:00", "18 00:00"} <= found
    assert moments == sorted(set(moments))
