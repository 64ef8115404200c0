"""What is alike, what is never grouped, and what becomes of a member: pure values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.compile.rule_files import compile_files, files_or_raise
from rules.evaluation.evaluate import build
from rules.handoff import Handoff, group_of, is_member, stands_at_ms, wanted
from rules.marks import DRILL_BEHIND_MS, DRILL_MARK
from rules.model import FLOOD_BY, FloodLimit
from rules.moves import advance_at_ms, advanced, claimed, ended, missed, needs_people, rerouted, transferred
from rules.routing.floods import Guard, grouped, leading, promoted, ungrouped
from rules.routing.operators import Operator, People, Person, may_take
from rules.routing.route import Likeness, wanted_in
from rules.routing.routing import join
from rules.thinking import Change, Names, judge, think
from rules.turn import AgentRef, Conversation, Customer, TopicScore, Turn

MINUTE = 60_000
NOW = 1_800_000_000_000
RULES = """\
handrail: 1
topics:
  advice:
    regulated: true
    source: FINRA Rule 2111
    phrases: [which fund]
queues:
  tier1:
    answer_within: 15m
    on_timeout: {verdict: escalate, queue: tier2}
    say: {en: "One moment."}
    offer_for: 30s
    ladder:
      - {after: 5m, priority: high, skip_if: nobody_available}
    flood: {tenant: 200 in 10m, agent: 20 in 10m, customer: 5 in 1h}
  tier2:
    answer_within: 10m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "One moment."}
rules:
  - id: unsure
    why: the agent is unsure
    when: confidence < 0.5
    then: {escalate: tier1}
  - id: danger
    why: somebody is in danger
    when: channel = crisis
    then: {escalate: tier1, priority: urgent}
  - id: later
    why: somebody else should see it
    when: channel = second
    then: {escalate: tier2, priority: high}
  - id: advised
    why: an advisor must answer
    when: topics has advice
    then: {escalate: tier1}
"""
RULESET = build(files_or_raise({"a.yaml": RULES}))
ALIKE = Likeness("agent", "bot", "unsure")


def change(conversation_id: str = "c1", handoff: Handoff | None = None, **fields: Any) -> Change:
    given = {"confidence": 0.1, "agent": AgentRef("bot"), "customer": Customer("u1"), **fields}
    turn = Turn(conversation_id=conversation_id, turn_id="t", **given)
    judged = judge(RULESET, turn, Conversation(conversation_id), NOW)
    return think(RULESET, Names("acme", "dec", "hof"), turn, judged, handoff, NOW)


def opened(**fields: Any) -> Handoff:
    handoff = change(**fields).handoff
    assert handoff is not None
    return handoff


def test_what_opens_is_counted_towards_every_limit_that_knows_whose_it_is() -> None:
    limits = (FloodLimit("customer", 5, 60 * MINUTE), *(FloodLimit(*each, 10 * MINUTE) for each in _rest()))
    assert RULESET.files.queues["tier1"].flood == limits, "the narrowest first, however they are written"
    whose = {"customer": "u1", "agent": "bot", "tenant": ""}
    every = tuple(Guard(limit, Likeness(limit.by, whose[limit.by], "unsure")) for limit in limits)
    assert change().guards == every
    assert change(agent=AgentRef(None), customer=Customer(None)).guards == every[2:]
    assert change(channel="second", confidence=0.9).guards == (), "its queue has no limit"
    assert change(handoff=opened()).guards == (), "what only joins opens nothing"


def _rest() -> tuple[tuple[Any, int], ...]:
    return ("agent", 20), ("tenant", 200)


@pytest.mark.parametrize(
    "fields",
    [
        {"channel": "crisis"},
        {"message": "which fund should I buy?"},
        {"topics": (TopicScore("advice", 0.9),)},
        {"conversation_id": f"{DRILL_MARK}1"},
    ],
)
def test_urgent_regulated_and_drilled_matters_are_never_counted(fields: dict[str, Any]) -> None:
    assert change(**fields).handoff is not None
    assert change(**fields).guards == ()


@given(st.sampled_from(FLOOD_BY), st.text(), st.text(), st.text(min_size=1))
def test_a_group_is_named_by_what_is_alike(by: Any, who: str, rule_id: str, queue: str) -> None:
    group = group_of(replace(opened(), queue=queue, group=Likeness(by, who, rule_id)))
    assert group is not None
    assert wanted_in(group.text) == group
    assert not may_take(None, "mia", group)
    assert not may_take(Operator("mia"), "mia", group)


def test_a_member_waits_behind_everybody_and_is_offered_to_nobody() -> None:
    kept = replace(opened(), reserved_for="mia", reserved_until_at_ms=NOW + MINUTE)
    member = grouped(kept, ALIKE)
    assert (is_member(member), member.reserved_for, wanted(member)) == (True, None, group_of(member))
    assert stands_at_ms(member) > DRILL_BEHIND_MS + NOW
    assert advance_at_ms(member, held=False) == NOW + 5 * MINUTE
    assert advance_at_ms(ungrouped(member), held=False) == NOW
    there = People((Person(Operator("mia"), present=True),))
    assert (needs_people(member, NOW), advanced(member, NOW, there)) == (False, None)
    step = advanced(member, NOW + 5 * MINUTE, there)
    assert step is not None
    assert (step[0].priority, step[1], is_member(step[0])) == ("high", "handoff.widened", True), "somebody is there"
    assert stands_at_ms(ungrouped(member)) == kept.score_ms


def test_whoever_stands_for_the_rest_waits_like_one_that_has_just_come() -> None:
    member = grouped(opened(), ALIKE)
    leader = promoted(member, NOW + 8 * MINUTE)
    assert (leader.leads, is_member(leader), wanted(leader)) == (True, False, wanted(opened()))
    assert leader.score_ms == opened().opened_at_ms + 23 * MINUTE
    assert leader.expires_at_ms == member.expires_at_ms, "what was promised stays"
    assert promoted(member, NOW - MINUTE).score_ms == member.score_ms, "never before its own place"


def test_a_flood_moves_on_as_a_flood_and_what_a_person_moves_is_one_of_its_own() -> None:
    for handoff in (grouped(opened(), ALIKE), leading(opened(), ALIKE)):
        there = rerouted(handoff, NOW + 15 * MINUTE)
        assert there is not None
        assert (there.queue, there.group, is_member(there)) == ("tier2", ALIKE, True)
    taken = claimed(leading(opened(), ALIKE), "mia", NOW)
    stays = transferred(taken, None, MINUTE, "ben", MINUTE, NOW)
    goes = transferred(taken, RULESET.files.queues["tier2"], MINUTE, None, MINUTE, NOW)
    assert [(each.group, each.leads) for each in (stays, goes)] == [(ALIKE, True), (None, False)]
    assert ended(taken, "resolve", missed(taken, NOW)).group == ALIKE, "the record says that it came in a flood"


@pytest.mark.parametrize(
    ("fields", "stays"),
    [({}, True), ({"channel": "second"}, False), ({"channel": "crisis"}, False), ({"message": "which fund?"}, False)],
)
def test_a_member_leaves_when_it_becomes_another_matter(fields: dict[str, Any], stays: bool) -> None:
    asked = opened(**fields)
    if "message" in fields:
        asked = replace(asked, reasons=(replace(asked.reasons[0], regulated=True),))
    joined = join(grouped(opened(), ALIKE), asked)
    assert is_member(joined) == stays
    assert joined.score_ms < DRILL_BEHIND_MS or joined.score_ms <= opened().score_ms


@pytest.mark.parametrize(
    ("written", "fact"),
    [
        ("{}", "R149: `flood` names no limit"),
        ("{agent: 20}", "R149: `agent` is no number in a time"),
        ("{agent: 20 in a while}", "R149: `agent` is no number in a time"),
        ("{agent: 0 in 10m}", "R149: `agent` is 0, the limit is 1 to 1000"),
        ("{agent: 1001 in 10m}", "R149: `agent` is 1001, the limit is 1 to 1000"),
        ("{agent: 20 in 2h}", "R149: `agent` looks further back than an hour"),
        ("{agent: [20]}", "R149: `agent` is no number in a time"),
        ("{agnet: 20 in 10m}", "R10"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_where_it_stands(written: str, fact: str) -> None:
    text = RULES.replace("{tenant: 200 in 10m, agent: 20 in 10m, customer: 5 in 1h}", written)
    _, problems = compile_files({"a.yaml": text})
    assert [f"{each.code}: {each.message}"[: len(fact)] for each in problems if each.severity == "error"][:1] == [fact]
