"""Whatever people do and whenever: nobody is told after the answer, everybody before it, in order, and not at night."""

from __future__ import annotations

import heapq
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.handoff import Handoff, Reason
from rules.model import OnTimeout
from rules.moves import claimed, released
from rules.routing.route import Likeness, Route
from rules.telling.notices import Notice, Quiet, Tier, hours_of, quiet_until_ms
from rules.telling.tell_text import Item, gathered, message, plain
from rules.telling.telling import Happened, Held, Over, Tell, Telling, begun, is_owed, next_of

MINUTE = 60_000
START = 1_795_262_400_000  # Saturday, 21 November 2026, 12:00 UTC
DAY = 24 * 60 * MINUTE


def waiting(*notices: Notice, regulated: bool = False) -> Handoff:
    return Handoff(
        handoff_id="hof_0_0000000000000001",
        tenant="acme",
        conversation_id="chat",
        kind="escalate",
        state="waiting",
        queue="tier1",
        priority="normal",
        opened_at_ms=START,
        expires_at_ms=START + 3 * DAY,
        score_ms=START,
        on_timeout=OnTimeout("callback", {}),
        reasons=(Reason("dec", "t1", "escalate", ("unsure",), START, regulated=regulated),),
        route=Route(since_at_ms=START, notices=notices),
    )


def opened(handoff: Handoff) -> Happened:
    return Happened("evt_1", "handoff.opened", handoff.version, START)


def play(
    handoff: Handoff, answered_at_ms: int | None, until_ms: int, channel_quiet: Quiet | None = None
) -> list[tuple[int, str]]:
    """Return who is told when, as a store that keeps every telling until its moment would see it."""
    due = [(at_ms, telling.telling_id, telling) for telling, at_ms in begun(handoff, opened(handoff))]
    heapq.heapify(due)
    told = []
    while due:
        at_ms, name, telling = heapq.heappop(due)
        if at_ms > until_ms:
            break
        now = handoff if answered_at_ms is None or at_ms < answered_at_ms else claimed(handoff, "mia", answered_at_ms)
        step = next_of(telling, now, channel_quiet, at_ms)
        if isinstance(step, Over):
            continue
        if isinstance(step, Held):
            assert step.due_at_ms > at_ms
            heapq.heappush(due, (step.due_at_ms, name, step.telling))
            continue
        told.append((at_ms, telling.channel))
        if step.after is not None:
            assert step.after[1] > at_ms
            heapq.heappush(due, (step.after[1], name, step.after[0]))
    return told


spans = st.integers(1, 600).map(lambda minutes: minutes * MINUTE)
quiets = st.none() | st.tuples(st.integers(0, 1439), st.integers(0, 1440), st.booleans()).filter(
    lambda hours: hours[0] != hours[1]
).map(lambda hours: Quiet(hours[0], hours[1], timezone="UTC", urgent_too=hours[2]))
notices = st.builds(
    Notice,
    st.just("first"),
    st.just(("opened",)),
    st.just(0) | spans,
    st.none() | spans,
    st.none() | st.builds(Tier, st.just("second"), spans),
    quiets,
)


@settings(deadline=None)  # hours that never end are looked at a few thousand times
@given(notices, st.none() | st.integers(0, DAY), quiets, st.booleans())
def test_the_schedule_holds_whatever_is_declared(
    notice: Notice, answered_ms: int | None, channel_quiet: Quiet | None, regulated: bool
) -> None:
    handoff = waiting(notice, regulated=regulated)
    answered_at_ms = None if answered_ms is None else START + answered_ms
    told = play(handoff, answered_at_ms, START + 2 * DAY, channel_quiet)
    # Never after the answer.
    assert all(answered_at_ms is None or at_ms < answered_at_ms for at_ms, _ in told)
    # Never in hours that hold it.
    for at_ms, _ in told:
        for quiet in (notice.quiet, channel_quiet):
            if quiet is not None and (not regulated or quiet.urgent_too):
                assert quiet_until_ms(quiet, at_ms) is None
    first = [at_ms for at_ms, channel in told if channel == "first"]
    second = [at_ms for at_ms, channel in told if channel == "second"]
    # Never sooner than declared, the second tier never before its time, and repetitions at their distance.
    assert all(at_ms >= START + notice.after_ms for at_ms in first)
    if second and notice.then is not None:
        assert second[0] >= START + notice.after_ms + notice.then.after_ms
    for times in (first, second):
        gaps = [later - sooner for sooner, later in pairwise(times)]
        assert all(gap >= (notice.repeat_ms or 0) for gap in gaps)
        assert notice.repeat_ms is not None or len(times) <= 1
    free = all(quiet is None or (regulated and not quiet.urgent_too) for quiet in (notice.quiet, channel_quiet))
    if free and answered_at_ms is None:
        # Nothing holds it: to the very moment.
        assert first[0] == START + notice.after_ms
        assert notice.then is None or second[0] == START + notice.after_ms + notice.then.after_ms
        assert notice.repeat_ms is None or len(first) == 1 + (2 * DAY - notice.after_ms) // notice.repeat_ms


@given(notices, st.lists(st.sampled_from(["claim", "release", "acknowledge", "more"]), max_size=12))
def test_every_answer_ends_what_was_owed_before_it_and_nothing_after_it(notice: Notice, steps: list[str]) -> None:
    handoff = waiting(replace(notice, on=("opened", "returned")))
    owed: list[tuple[int, Telling]] = [(0, telling) for telling, _ in begun(handoff, opened(handoff))]
    answers, at_ms = 0, START
    for number, step in enumerate(steps):
        at_ms += 1
        if step == "claim" and handoff.state == "waiting":
            handoff, answers = claimed(handoff, "mia", at_ms), answers + 1
        elif step == "release" and handoff.state == "leased":
            handoff = released(handoff, at_ms)
            happened = Happened(f"evt_r{number}", "handoff.released", handoff.version, at_ms)
            owed += [(answers, telling) for telling, _ in begun(handoff, happened)]
        elif step == "acknowledge" and handoff.state == "waiting":
            version, answers = handoff.version + 1, answers + 1
            handoff = replace(handoff, version=version, answered_version=version, acknowledged_by="ana")
        elif step == "more":
            handoff = replace(handoff, version=handoff.version + 1)
        for of, telling in owed:
            assert is_owed(telling, handoff) == (of == answers and handoff.state == "waiting")


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("22:00-07:00", (1320, 420)),
        (" 00:00-24:00 ", (0, 1440)),
        ("07:00-07:00", None),
        ("24:00-07:00", None),
        ("7:00-9:00", None),
        ("22:00-07:60", None),
        ("always", None),
    ],
)
def test_hours_are_read_or_refused(written: str, minutes: tuple[int, int] | None) -> None:
    assert hours_of(written) == minutes


def local(text: str, zone: str = "Europe/Madrid") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "until", "why"),
    [
        ("2026-11-20T23:00", "2026-11-21T07:00", "a night goes on into the next day"),
        ("2026-11-21T06:59", "2026-11-21T07:00", "to the last minute"),
        ("2026-11-21T07:00", None, "and not beyond"),
        ("2026-11-21T22:00", "2026-11-22T07:00", "from the first minute"),
        ("2026-10-25T01:00", "2026-10-25T07:00", "when the clock is put back"),
        ("2026-03-29T01:00", "2026-03-29T07:00", "when the clock is put forward"),
    ],
)
def test_quiet_hours_are_those_of_the_wall(now: str, until: str | None, why: str) -> None:
    quiet = Quiet(22 * 60, 7 * 60, timezone="Europe/Madrid")
    assert quiet_until_ms(quiet, local(now)) == (None if until is None else local(until)), why


def test_a_quiet_weekend_is_one_stretch() -> None:
    quiet = Quiet(0, 1440, ("sat", "sun"), "Europe/Madrid")
    assert quiet_until_ms(quiet, local("2026-11-21T10:00")) == local("2026-11-23T00:00")
    assert quiet_until_ms(quiet, local("2026-11-23T00:00")) is None


def test_always_quiet_ends_nevertheless() -> None:
    until_ms = quiet_until_ms(Quiet(0, 1440, timezone="UTC"), START)
    assert until_ms is not None
    assert datetime.fromtimestamp(until_ms / 1000, UTC).hour == 0


def test_one_handoff_of_which_two_things_are_told_is_named_once() -> None:
    handoff = waiting()
    first = Telling("a", "c", handoff.handoff_id, "opened", START, 1, START)
    items = gathered([(first, handoff), (replace(first, telling_id="b", occasion="deadline_near"), handoff)])
    assert [(item.occasion, len(item.tellings)) for item in items] == [("deadline_near", 2)]


def test_a_reason_cannot_call_everybody_in_a_room_or_break_a_line() -> None:
    assert plain("<!channel> @here\nlook\x07 & read") == "‹!channel› (at)here look & read"


@pytest.mark.parametrize(
    ("group", "says"),
    [
        (Likeness("agent", "refund-bot <!channel>", "unsure"), "46 more like it from agent refund-bot ‹!channel›"),
        (Likeness("customer", "u1", "unsure"), "46 more like it from one customer"),
        (Likeness("tenant", "", "unsure"), "46 more like it from everywhere"),
    ],
)
def test_of_a_flood_people_are_told_once_with_the_count(group: Likeness, says: str) -> None:
    leader = replace(waiting(Notice("desk", ("opened", "deadline_near", "expired"))), group=group, leads=True)
    kinds = ("handoff.opened", "handoff.leads", "handoff.deadline_near", "handoff.expired")
    happened = [Happened(kind, kind, 1, START) for kind in kinds]
    assert [bool(begun(leader, each)) for each in happened[:2]] == [False, True]
    assert [begun(replace(leader, leads=False), each) for each in happened] == [()] * 4
    ((telling, _), *_) = begun(leader, happened[1])
    made = message((Item(leader, (telling,), "the agent is unsure", members=46),), "en", START)
    assert f"it stands for a flood: {says}" in made.text.splitlines()
    assert "u1" not in made.text


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_word_is_there_in_every_language(language: str) -> None:
    handoff = replace(waiting(), locale="es-MX", expires_at_ms=START)
    for occasion in ("opened", "returned", "deadline_near", "resolve_near", "resolve_missed", "expired", "page"):
        telling = Telling("a", "c", handoff.handoff_id, occasion, START, 1, START, times=2, held=True)
        flooded = replace(handoff, group=Likeness("agent", "bot", "unsure"), leads=True)
        made = message((Item(flooded, (telling,), "x", members=2),), language, START + MINUTE)
        assert "{" not in made.subject + made.text


def test_a_tell_is_all_that_is_left() -> None:
    telling = Telling("a", "c", "hof", "expired", START, 1, START)
    assert next_of(telling, waiting(), None, START) == Tell(None)
