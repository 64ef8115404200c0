"""Fire drills: when one is due, what names it, and that it stands behind every customer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.compile.rule_files import files_or_raise
from rules.drills import DAY_MS, Schedule, first_at_ms, next_at_ms, rules_of, scheduled_id, slot_at_ms, turn_of
from rules.evaluation.evaluate import build
from rules.handoff import Handoff
from rules.marks import DRILL_BEHIND_MS, DRILL_MARK, is_drill
from rules.routing.routing import score_ms
from rules.thinking import Names, judge, think
from rules.turn import Conversation

RULES = """
handrail: 1
queues:
  tier1:
    needs: [fraud]
    answer_within: 15m
    on_timeout: {verdict: escalate, queue: tier2}
    ladder: [{after: 1m, priority: urgent, page: on-call}]
    say: {en: "One moment."}
  tier2:
    answer_within: 1h
    on_timeout: {verdict: callback, say: {en: "We will call you back."}}
    say: {en: "One moment."}
rules:
  - {id: unsure, why: unsure, when: confidence < 0.5, then: {escalate: tier1}}
"""
RULESET = build(files_or_raise({"r.yaml": RULES}))
WEEKLY = Schedule("tier1", 7 * DAY_MS, 10 * DAY_MS, 300_000)


def opened(now_ms: int) -> Handoff:
    names = Names("acme", "dec_0_1", "hof_0_1")
    rules = rules_of(RULESET, "tier1", 120_000)
    turn = turn_of(DRILL_MARK + "1")
    handoff = think(rules, names, turn, judge(rules, turn, Conversation("c"), now_ms), None, now_ms).handoff
    assert handoff is not None
    return handoff


def test_a_drill_waits_where_its_queue_says_and_ends_by_itself() -> None:
    handoff = opened(1_000)
    assert (handoff.queue, handoff.expires_at_ms) == ("tier1", 121_000)
    assert handoff.reroute is None
    assert [need.skill for need in handoff.route.needs] == ["fraud"]
    (step,) = handoff.route.steps
    assert (step.priority, step.page) == (None, "on-call")


@given(st.integers(0, 4_000_000_000_000), st.integers(0, DRILL_BEHIND_MS // 40))
def test_every_customer_stands_before_a_drill(drill_at_ms: int, later_ms: int) -> None:
    customer = score_ms(drill_at_ms + later_ms, "low", drill_at_ms + later_ms + DAY_MS)
    assert opened(drill_at_ms).score_ms > customer


def test_the_mark_is_what_the_id_begins_with() -> None:
    assert is_drill(DRILL_MARK + "0")
    assert not is_drill("c-" + DRILL_MARK)
    assert is_drill(scheduled_id("acme", WEEKLY, 0))


@pytest.mark.parametrize(
    ("now_ms", "slot", "following"),
    [
        (0, None, 10 * DAY_MS),
        (10 * DAY_MS, 10 * DAY_MS, 17 * DAY_MS),
        (17 * DAY_MS - 1, 10 * DAY_MS, 17 * DAY_MS),
        (40 * DAY_MS, 38 * DAY_MS, 45 * DAY_MS),
    ],
)
def test_only_the_latest_moment_is_due(now_ms: int, slot: int | None, following: int) -> None:
    assert (slot_at_ms(WEEKLY, now_ms), next_at_ms(WEEKLY, now_ms)) == (slot, following)


def test_a_moment_has_one_name_and_another_has_another() -> None:
    same = scheduled_id("acme", WEEKLY, 5)
    assert same == scheduled_id("acme", WEEKLY, 5)
    assert len({same, scheduled_id("acme", WEEKLY, 6), scheduled_id("other", WEEKLY, 5)}) == 3


def test_the_first_drill_is_still_to_come() -> None:
    assert first_at_ms(600, 3 * DAY_MS + 600 * 60_000) == 4 * DAY_MS + 600 * 60_000
    assert first_at_ms(600, 3 * DAY_MS) == 3 * DAY_MS + 600 * 60_000
