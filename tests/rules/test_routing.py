"""Where a handoff waits, how urgent it is, and what a second reason changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.handoff import NO_DEADLINE_AT_MS, Handoff, Reason, Reroute
from rules.marks import DRILL_BEHIND_MS, DRILL_MARK
from rules.model import All, Mode, OnTimeout, Priority, Queue, Rule, Span, Step, Then, Verdict
from rules.moves import advance_at_ms, advanced, claimed, is_due, kept_until_ms, released, transferred
from rules.routing.operators import Operator, People, Person
from rules.routing.routing import REASONS_MAX, join, kind_of, open_handoff, score_ms
from rules.telling.notices import Notice, Tier
from rules.turn import Turn

NOW = 1_800_000_000_000
MINUTE = 60_000
CALLBACK = OnTimeout("callback", {"en": "We will call you."})
QUEUES = {
    "first": Queue("first", 15 * MINUTE, OnTimeout("escalate", {}, "second")),
    "second": Queue("second", 10 * MINUTE, OnTimeout("escalate", {"en": "Passed on."}, "first")),
    "last": Queue("last", 5 * MINUTE, CALLBACK),
}


def rule(verdict: Verdict, queue: str, priority: Priority = "normal", **then: object) -> Rule:
    asked = Then(verdict, queue, priority, **then)  # type: ignore[arg-type]  # as the tests say
    return Rule("r", "because", All(()), asked, Mode(), Span("f", 1, 1, 2))


def opened(top: Rule, number: int = 1, at_ms: int = NOW) -> Handoff:
    reason = Reason(f"dec{number}", f"t{number}", top.then.verdict, ("r",), at_ms)
    return open_handoff(f"hof{number}", "acme", Turn("c1", f"t{number}", locale="de"), reason, top, QUEUES)


def test_a_rule_without_its_own_promise_has_its_queues() -> None:
    handoff = opened(rule("escalate", "last"))
    assert (handoff.queue, handoff.expires_at_ms, handoff.on_timeout) == ("last", NOW + 5 * MINUTE, CALLBACK)
    own = opened(rule("hold", "last", answer_within_ms=1_000, on_timeout=OnTimeout("deny", {})))
    assert (own.kind, own.expires_at_ms, own.on_timeout.verdict) == ("hold", NOW + 1_000, "deny")


@pytest.mark.parametrize(
    ("priority", "later"), [("urgent", 0), ("high", 5 * MINUTE), ("normal", 15 * MINUTE), ("low", 60 * MINUTE)]
)
def test_each_priority_may_be_passed_over_for_so_long(priority: Priority, later: int) -> None:
    assert score_ms(NOW, priority) == NOW + later


def test_age_outweighs_priority_in_the_end() -> None:
    assert score_ms(NOW, "low") < score_ms(NOW + 61 * MINUTE, "urgent")


def test_where_a_missed_deadline_leads_is_fixed_at_the_opening_and_leads_no_further() -> None:
    handoff = opened(rule("escalate", "first"))
    assert handoff.reroute == Reroute("second", 10 * MINUTE, OnTimeout("callback", {"en": "Passed on."}))


def test_a_second_reason_of_the_same_kind_changes_nothing_but_priority() -> None:
    handoff = opened(rule("hold", "last"))
    joined = join(handoff, opened(rule("hold", "first", "urgent"), 2, NOW + 5))
    assert joined == replace(
        handoff,
        priority="urgent",
        score_ms=NOW,
        reasons=(*handoff.reasons, Reason("dec2", "t2", "hold", ("r",), NOW + 5, version=2)),
    )
    assert join(joined, opened(rule("review", "first", "low"), 3)).priority == "urgent"


def test_a_stronger_kind_brings_its_own_promise() -> None:
    handoff = opened(rule("review", "last", "high"))
    joined = join(handoff, opened(rule("escalate", "first", "low"), 2, NOW + MINUTE))
    assert (joined.kind, joined.queue, joined.priority) == ("escalate", "first", "high")
    assert joined.expires_at_ms == NOW + 16 * MINUTE
    assert joined.reroute is not None
    # Once passed on, never again.
    again = join(replace(handoff, rerouted=True), opened(rule("escalate", "first"), 2))
    assert again.reroute is None


def test_a_more_urgent_escalation_moves_one_that_waits_and_only_to_an_earlier_deadline() -> None:
    handoff = replace(opened(rule("escalate", "first")), reserved_for="mia", reserved_until_at_ms=NOW + 1)
    joined = join(handoff, opened(rule("escalate", "last", "urgent"), 2, NOW + MINUTE))
    assert (joined.queue, joined.priority, joined.expires_at_ms) == ("last", "urgent", NOW + 6 * MINUTE)
    assert (joined.on_timeout, joined.reroute, joined.reserved_for) == (CALLBACK, None, None)
    late = join(handoff, opened(rule("escalate", "last", "urgent"), 2, NOW + 14 * MINUTE))
    assert late.expires_at_ms == handoff.expires_at_ms
    # Who has it keeps it where it is, and equal urgency moves nothing.
    leased = join(replace(handoff, state="leased"), opened(rule("escalate", "last", "urgent"), 2))
    assert (leased.queue, leased.priority) == ("first", "urgent")
    assert join(handoff, opened(rule("escalate", "last"), 2)).queue == "first"


def test_an_urgency_that_was_reached_is_never_taken_back() -> None:
    handoff = replace(opened(rule("hold", "last")), score_ms=NOW - 1)
    assert join(handoff, opened(rule("hold", "last", "high"), 2)).score_ms == NOW - 1


def test_reasons_have_a_limit() -> None:
    handoff = opened(rule("hold", "last"))
    for number in range(2, REASONS_MAX + 10):
        handoff = join(handoff, opened(rule("hold", "last"), number))
    assert len(handoff.reasons) == REASONS_MAX


LADDER = (Step(4 * MINUTE, "handoff.widened", page="on-call"),)
NOTIFY = (Notice("calls", ("opened",), MINUTE, MINUTE, Tier("managers", MINUTE)),)
PAGED = Queue(
    "paged", 5 * MINUTE, CALLBACK, ladder=LADDER, resolve_within_ms=20 * MINUTE, warn_before_ms=MINUTE, notify=NOTIFY
)
CALL = rule("review", "paged", "low", open_ended=True)
YEAR_MS = 365 * 24 * 60 * MINUTE


def called(top: Rule, number: int = 1, at_ms: int = NOW) -> Handoff:
    reason = Reason(f"dec{number}", f"t{number}", top.then.verdict, ("r",), at_ms)
    queues = QUEUES | {"paged": PAGED}
    return open_handoff(f"hof{number}", "acme", Turn("c1", f"t{number}", locale="de"), reason, top, queues)


def test_a_promised_call_waits_until_somebody_takes_it_and_nobody_is_paged_for_it() -> None:
    call = called(CALL)
    assert (call.expires_at_ms, call.route.steps, call.route.resolve_by_ms) == (NO_DEADLINE_AT_MS, (), None)
    assert call.route.notices == (Notice("calls", ("opened",), MINUTE),), "told, and not again and again"
    assert call.score_ms == NOW + 60 * MINUTE, "it gets older like every low one"
    assert (advance_at_ms(call, held=False), is_due(call, NOW + 50 * YEAR_MS)) == (None, False)
    taken = claimed(call, "mia", NOW + YEAR_MS)
    back = released(taken, NOW + YEAR_MS)
    assert (back.expires_at_ms, is_due(back, NOW + 2 * YEAR_MS)) == (NO_DEADLINE_AT_MS, False)
    sent = transferred(taken, PAGED, PAGED.answer_within_ms, None, 0, NOW + YEAR_MS)
    assert (sent.expires_at_ms, sent.route.steps, sent.route.resolve_by_ms) == (NO_DEADLINE_AT_MS, (), None)


PEOPLE = People((Person(Operator("ben"), present=True),))
WARNED = Queue("warned", MINUTE, CALLBACK, warn_before_ms=20_000)


def sent_on(within_ms: int, operator: str | None = None) -> Handoff:
    """Return a handoff of the queue `first`, taken after a minute and sent to a queue with so long to answer."""
    there = replace(WARNED, answer_within_ms=within_ms)
    taken = claimed(opened(rule("escalate", "first")), "mia", NOW + MINUTE)
    return transferred(taken, there, within_ms, operator, 2 * MINUTE, NOW + MINUTE)


def test_what_is_sent_to_a_tighter_queue_is_as_urgent_as_what_comes_in_there_and_warned_of_before_its_own_end() -> None:
    sent = sent_on(MINUTE)
    assert (sent.expires_at_ms, sent.score_ms) == (NOW + 15 * MINUTE, NOW + 2 * MINUTE)
    warned_at_ms = sent.route.since_at_ms + sent.route.steps[0].after_ms
    assert (sent.route.steps[0].event, warned_at_ms) == ("handoff.deadline_near", sent.expires_at_ms - 20_000)
    slower = sent_on(60 * MINUTE)
    assert (slower.expires_at_ms, slower.score_ms) == (NOW + 61 * MINUTE, NOW + 15 * MINUTE), "never less urgent"


def test_a_drill_that_is_sent_on_stays_behind_everybody() -> None:
    drilled = replace(
        opened(rule("escalate", "first")), conversation_id=f"{DRILL_MARK}1", score_ms=NOW + DRILL_BEHIND_MS
    )
    sent = transferred(claimed(drilled, "mia", NOW), WARNED, 1_000, None, 0, NOW)
    assert sent.score_ms == NOW + DRILL_BEHIND_MS


@pytest.mark.parametrize(("within_ms", "kept_ms"), [(60 * MINUTE, 2 * MINUTE), (MINUTE, 2 * MINUTE)])
def test_what_is_sent_to_somebody_is_kept_for_them(within_ms: int, kept_ms: int) -> None:
    assert sent_on(within_ms, "zoe").reserved_until_at_ms == NOW + MINUTE + kept_ms


def test_what_is_kept_for_one_leaves_the_others_as_long_before_it_ends() -> None:
    taken = claimed(opened(rule("escalate", "last")), "mia", NOW + 4 * MINUTE)
    sent = transferred(taken, None, 0, "zoe", 2 * MINUTE, NOW + 4 * MINUTE)
    assert (sent.expires_at_ms, sent.reserved_until_at_ms) == (NOW + 5 * MINUTE, NOW + 4 * MINUTE + 30_000)
    assert kept_until_ms(NOW, 20_000, NOW + 1) == NOW + 1
    assert kept_until_ms(NO_DEADLINE_AT_MS, 20_000, NOW) == NOW + 20_000


@pytest.mark.parametrize(
    ("left_ms", "offered_ms"), [(60_000, 20_000), (40_000, 20_000), (30_000, 15_000), (2_000, 1_000), (1_999, None)]
)
def test_an_offer_ends_half_way_to_the_deadline_and_none_is_made_shortly_before_it(
    left_ms: int, offered_ms: int | None
) -> None:
    handoff = opened(rule("escalate", "last"))
    offering = replace(handoff, route=replace(handoff.route, offer_ms=20_000, offer_at_ms=NOW))
    now_ms = handoff.expires_at_ms - left_ms
    found = advanced(offering, now_ms, PEOPLE)
    assert found is not None
    kept_ms = None if found[0].reserved_until_at_ms is None else found[0].reserved_until_at_ms - now_ms
    assert kept_ms == offered_ms
    assert found[1:] == (("", "") if offered_ms is None else ("handoff.offered", "ben"))


def test_a_call_that_is_joined_by_another_review_is_paged_for_as_that_one_and_still_never_ends_by_itself() -> None:
    joined = join(called(CALL), called(rule("review", "paged"), 2, NOW + MINUTE))
    assert (joined.expires_at_ms, joined.priority) == (NO_DEADLINE_AT_MS, "normal")
    assert [step.event for step in joined.route.steps] == [
        "handoff.widened",
        "handoff.resolve_near",
        "handoff.resolve_missed",
    ]
    assert joined.score_ms == NOW + 6 * MINUTE
    moved = join(called(CALL), called(rule("review", "last"), 2))
    assert (moved.queue, moved.expires_at_ms) == ("last", NO_DEADLINE_AT_MS)
    in_hand = join(claimed(called(CALL), "mia", NOW), called(rule("review", "last"), 2))
    assert (in_hand.queue, in_hand.expires_at_ms) == ("paged", NO_DEADLINE_AT_MS), "who has it keeps it"


def test_a_review_for_which_a_call_is_promised_later_loses_its_deadline_and_keeps_its_pages() -> None:
    joined = join(called(rule("review", "paged")), called(CALL, 2, NOW + MINUTE))
    assert (joined.expires_at_ms, joined.priority) == (NO_DEADLINE_AT_MS, "normal")
    assert "handoff.deadline_near" not in [step.event for step in joined.route.steps]
    assert joined.route.steps[0].page == "on-call"
    assert join(called(CALL), called(CALL, 2)).expires_at_ms == NO_DEADLINE_AT_MS


def test_a_call_that_becomes_an_escalation_has_the_deadline_of_that() -> None:
    joined = join(called(CALL), called(rule("escalate", "paged"), 2, NOW + MINUTE))
    assert (joined.kind, joined.expires_at_ms) == ("escalate", NOW + 6 * MINUTE)
    assert joined.score_ms == NOW + 6 * MINUTE
    assert joined.route.resolve_by_ms == NOW + 21 * MINUTE


def test_a_rule_that_goes_on_opens_nothing() -> None:
    with pytest.raises(ValueError, match="rule `r` opens no handoff"):
        kind_of(rule("continue", "last"))
