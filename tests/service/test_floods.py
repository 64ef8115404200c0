"""A flood on the real store: what is alike is grouped past its limit, and nobody in it is lost or answered twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.handoff import Handoff, is_member
from rules.routing.route import Wanted, wanted_in
from rules.turn import AgentRef, Customer, Turn
from service.errors import LeaseLost, NoGroup
from service.flows import deadlines, floods, handoffs
from service.flows.access import open_store
from service.flows.decide import Decided, decide
from service.flows.floods import Answering, Dealt
from service.flows.handoffs import Claimed, Claiming, Lease, NothingWaiting, Resolving
from service.store import floods as kept_floods
from service.store import queues
from service.store.store import Store
from service.store.work import Asking

MINUTE = 60_000
LIBRARY = [
    path
    for path in (Path(__file__).parents[2] / "rules" / "library").glob("*.yaml")
    if not path.name.endswith(".tests.yaml")
]
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
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "One moment."}
    flood: {agent: 3 in 10m}
  safety:
    answer_within: 5m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "One moment."}
    flood: {agent: 1 in 10m}
rules:
  - id: unsure
    why: the agent is unsure
    when: confidence < 0.5
    then: {escalate: tier1}
  - id: asks
    why: the customer is angry
    when: sentiment < -0.5
    then: {escalate: tier1}
  - id: danger
    why: somebody is in danger
    when: channel = crisis
    then: {escalate: safety, priority: urgent}
  - id: advised
    why: an advisor must answer
    when: topics has advice
    then: {escalate: safety}
"""
RULESET = build(files_or_raise({"a.yaml": RULES}))


def broken(number: int, agent: str = "refund-bot", **fields: object) -> Turn:
    given: dict[str, object] = {"conversation_id": f"c{number}", "confidence": 0.1, **fields}
    return Turn(
        turn_id="t",
        agent=AgentRef(agent),
        customer=Customer(f"u{number}"),
        **given,  # type: ignore[arg-type]  # as the tests say
    )


async def sent(store: Store, tenant: str, turn: Turn, at_ms: int = NOW) -> Decided:
    return await decide(store, RULESET, tenant, turn, at_ms)


async def opened(store: Store, tenant: str, turn: Turn, at_ms: int = NOW) -> Handoff:
    decided = await sent(store, tenant, turn, at_ms)
    return await handoffs.get(store, tenant, decided.decision.handoff_id or "")


async def claimed(store: Store, tenant: str, at_ms: int = NOW, operator: str = "mia") -> Claimed | NothingWaiting:
    return await handoffs.claim_next(store, RULESET, tenant, None, Claiming(operator, MINUTE), at_ms)


async def test_what_is_alike_is_grouped_past_its_limit(store: Store, tenant: str) -> None:
    ordinary = [await opened(store, tenant, broken(number), NOW + number) for number in range(3)]
    assert {each.group for each in ordinary} == {None}
    leader = await opened(store, tenant, broken(3), NOW + 3)
    assert leader.leads
    members = [await opened(store, tenant, broken(number), NOW + number) for number in range(4, 9)]
    assert all(is_member(each) and each.state == "waiting" for each in members)
    (view,) = await floods.listed(store, tenant)
    assert (view.leader, view.members, view.since_ms, view.alike.who) == (leader.handoff_id, 5, NOW + 3, "refund-bot")
    other = await opened(store, tenant, broken(20, agent="other-bot"), NOW + 20)
    same_agent = await opened(store, tenant, broken(21, confidence=0.9, sentiment=-0.9), NOW + 21)
    assert (other.group, same_agent.group) == (None, None), "another agent, and another reason, are not alike"
    order = []
    for _ in range(10):
        found = await claimed(store, tenant, NOW + 30)
        if isinstance(found, NothingWaiting):
            break
        order.append(found.handoff.handoff_id)
    assert order == [*(each.handoff_id for each in [*ordinary, leader]), other.handoff_id, same_agent.handoff_id]


async def test_the_one_that_leads_goes_and_the_next_stands_for_the_rest(store: Store, tenant: str) -> None:
    for number in range(8):
        await opened(store, tenant, broken(number), NOW + number)
    for number in range(4):
        found = await claimed(store, tenant, NOW + 10)
        assert isinstance(found, Claimed)
        assert found.handoff.leads == (number == 3)
        lease = Lease(found.handoff.handoff_id, found.token)
        await handoffs.resolve(store, tenant, lease, Resolving("answer", "needed"), NOW + 10)
    (view,) = await floods.listed(store, tenant)
    assert (view.leader, view.members) == (None, 4)
    late = await opened(store, tenant, broken(40, agent="other-bot"), NOW + 11)
    found = await claimed(store, tenant, NOW + 12)
    assert isinstance(found, Claimed)
    assert found.handoff.handoff_id == late.handoff_id, "who waited by then goes before a second one of the flood"
    found = await claimed(store, tenant, NOW + 12)
    assert isinstance(found, Claimed)
    assert found.handoff.leads
    assert (await floods.listed(store, tenant))[0].members == 3
    lease = Lease(found.handoff.handoff_id, found.token)
    answering = Answering("answer", "not_needed", "The refunds are through.")
    assert await floods.answer_members(store, tenant, lease, answering, NOW + 13) == Dealt(3, 0)
    await handoffs.resolve(store, tenant, lease, Resolving("answer", "not_needed"), NOW + 14)
    assert isinstance(await claimed(store, tenant, NOW + 15), NothingWaiting)
    assert await floods.listed(store, tenant) == []
    for number in range(4, 8):
        decided = await sent(store, tenant, broken(number))
        ended = await handoffs.get(store, tenant, decided.decision.handoff_id or "")
        assert (ended.state, ended.resolution and ended.resolution.by) == ("resolved", "mia")


async def test_members_are_let_go_and_wait_as_ever(store: Store, tenant: str) -> None:
    every = [await opened(store, tenant, broken(number), NOW + number) for number in range(8)]
    assert await floods.let_go_members(store, tenant, every[3].handoff_id, [every[6].handoff_id], "mia", NOW) == Dealt(
        1, 3
    )
    assert (await handoffs.get(store, tenant, every[6].handoff_id)).group is None
    taken = await handoffs.claim_one(store, tenant, every[5].handoff_id, Claiming("ben", MINUTE), NOW + 9)
    assert (taken.handoff.handoff_id, taken.handoff.group) == (every[5].handoff_id, None)
    assert await floods.let_go_members(store, tenant, every[3].handoff_id, [], "mia", NOW) == Dealt(2, 0)
    order = []
    while isinstance(found := await claimed(store, tenant, NOW + 10), Claimed):
        order.append(found.handoff.handoff_id)
    assert order == [every[number].handoff_id for number in (0, 1, 2, 3, 4, 6, 7)]


async def test_urgent_and_regulated_matters_are_never_grouped(store: Store, tenant: str) -> None:
    for number in range(5):
        assert (await opened(store, tenant, broken(number, channel="crisis"))).group is None
        assert (await opened(store, tenant, broken(10 + number, message="which fund?"))).group is None


async def test_a_member_ends_as_it_was_promised(store: Store, tenant: str) -> None:
    every = [await opened(store, tenant, broken(number), NOW + number) for number in range(6)]
    await handoffs.expire_due(store, tenant, 0, NOW + 15 * MINUTE + 4)
    states = [(await handoffs.get(store, tenant, each.handoff_id)).state for each in every]
    assert states == ["expired"] * 5 + ["waiting"]
    assert (await handoffs.get(store, tenant, every[5].handoff_id)).leads


async def test_who_asks_for_work_is_shown_no_group_however_many_there_are(store: Store, tenant: str) -> None:
    for agent in ("a-bot", "b-bot", "c-bot"):
        for number in range(6):
            await opened(store, tenant, broken(number, agent, conversation_id=f"{agent}{number}"), NOW + number)
    assert len(await floods.listed(store, tenant)) == 3
    shown: list[str] = []

    def may_take(name: str) -> bool:
        shown.append(name)
        return True

    found = await store.work.find(tenant, store.places(tenant), Asking("mia", may_take, sure=False))
    assert found.classes == 1
    assert {wanted_in(name) for name in shown} == {Wanted(("tier1",))}


async def test_as_many_groups_are_listed_as_are_allowed_whatever_else_waits(
    store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for agent in ("a-bot", "b-bot", "c-bot"):
        for number in range(6):
            await opened(store, tenant, broken(number, agent, conversation_id=f"{agent}{number}"), NOW + number)
    monkeypatch.setattr(kept_floods, "GROUPS_LISTED_MAX", 3)
    assert {view.alike.who for view in await floods.listed(store, tenant)} == {"a-bot", "b-bot", "c-bot"}
    monkeypatch.setattr(kept_floods, "GROUPS_LISTED_MAX", 2)
    assert len(await floods.listed(store, tenant)) == 2


async def test_one_broken_agent_does_not_bury_the_queue_of_the_library(store: Store, tenant: str) -> None:
    shipped = build(files_or_raise({path.name: path.read_text("utf-8") for path in LIBRARY}))
    asks = [broken(number, confidence=0.9, message="I want to talk to a human") for number in range(500)]
    for start in range(0, 500, 50):
        await asyncio.gather(*(decide(store, shipped, tenant, each, NOW + start) for each in asks[start : start + 50]))
    await decide(store, shipped, tenant, broken(500, "good-bot", message="I want to talk to a human"), NOW + MINUTE)
    (view,) = await floods.listed(store, tenant)
    assert (view.queue, view.alike.who, view.members) == ("tier1", "refund-bot", 500 - 60 - 1)
    waiting, _, _, kept = await queues.counts(store, tenant, "tier1")
    assert (waiting, kept) == (60 + 1 + 1, 500 - 60 - 1)


async def test_a_flood_that_is_over_groups_no_more(store: Store, tenant: str) -> None:
    for number in range(5):
        await opened(store, tenant, broken(number), NOW)
    assert (await opened(store, tenant, broken(10), NOW + 10 * MINUTE)).group is None


async def test_what_came_in_other_partitions_is_counted_too(server_url: str, tenant: str) -> None:
    store = await open_store(f"{server_url}?db=4", partitions=4)
    try:
        every = [await opened(store, tenant, broken(number), NOW + number) for number in range(40)]
        assert [each.group for each in every[:3]] == [None] * 3
        assert all(each.group is not None for each in every[3:])
        groups = await floods.listed(store, tenant)
        leaders = [each for each in every if each.leads]
        assert len(groups) == len(leaders) <= 4, "one place in the queue for each partition"
        assert sum(group.members for group in groups) == 40 - 3 - len(leaders)
    finally:
        await store.close()


async def test_many_at_once_are_grouped_as_exactly_as_one_by_one(store: Store, tenant: str) -> None:
    decided = await asyncio.gather(*(sent(store, tenant, broken(number)) for number in range(100)))
    handed = [await handoffs.get(store, tenant, each.decision.handoff_id or "") for each in decided]
    kinds = Counter("leads" if each.leads else "member" if is_member(each) else "ordinary" for each in handed)
    assert kinds == {"ordinary": 3, "leads": 1, "member": 96}
    again = await asyncio.gather(*(sent(store, tenant, broken(number)) for number in range(100)))
    assert [each.decision for each in again] == [each.decision for each in decided], "the same answer for ever"
    (view,) = await floods.listed(store, tenant)
    assert (view.members, view.grouped) == (96, 97)
    placed = [each.decision for each in decided if each.decision.position is not None]
    assert len(placed) == 4, "a member is told no place"


async def test_one_answer_for_all_makes_no_promised_call(store: Store, tenant: str) -> None:
    for number in range(8):
        await opened(store, tenant, broken(number), NOW + number)
    missed = NOW + 16 * MINUTE
    await deadlines.sweep(store, tenant, missed)
    for number in range(8, 16):
        await opened(store, tenant, broken(number), missed + number)
    (view,) = await floods.listed(store, tenant)
    every = await floods.members(store, tenant, view.leader or "", 50)
    promised = {each.handoff_id for each in every if each.call is not None}
    written = {each.handoff_id for each in every} - promised
    assert len(promised) > 1
    assert len(written) > 1
    taken = await handoffs.claim_one(store, tenant, view.leader or "", Claiming("mia", 9 * MINUTE), missed + 20)
    lease = Lease(taken.handoff.handoff_id, taken.token)
    answering = Answering("answer", "not_needed", "All is mended.")
    dealt = await floods.answer_members(store, tenant, lease, answering, missed + 21)
    assert dealt == Dealt(len(written), 0, len(promised))
    again = await floods.answer_members(store, tenant, lease, answering, missed + 22)
    assert again == Dealt(0, 0, len(promised))
    states = {(each, (await handoffs.get(store, tenant, each)).state) for each in promised | written}
    assert states == {(each, "waiting") for each in promised} | {(each, "resolved") for each in written}
    with pytest.raises(LeaseLost):
        await floods.answer_members(store, tenant, lease, answering, missed + 10 * MINUTE)
    assert await floods.let_go_members(store, tenant, lease.handoff_id, [], "mia", missed + 23) == Dealt(
        len(promised), 0
    )


async def test_nobody_answers_all_with_a_lease_that_is_lost(store: Store, tenant: str) -> None:
    every = [await opened(store, tenant, broken(number), NOW) for number in range(8)]
    leader = next(each for each in every if each.leads)
    taken = await handoffs.claim_one(store, tenant, leader.handoff_id, Claiming("mia", MINUTE), NOW)
    lease = Lease(leader.handoff_id, taken.token)
    answering = Answering("answer", "not_needed", "Solved.")
    with pytest.raises(LeaseLost):
        await floods.answer_members(store, tenant, lease, answering, NOW + 2 * MINUTE)
    states = {(await handoffs.get(store, tenant, each.handoff_id)).state for each in every}
    assert states == {"waiting"}
    with pytest.raises(NoGroup):
        await floods.members(store, tenant, every[0].handoff_id, 5)


async def test_a_member_whose_customer_is_in_danger_leaves_the_group_at_once(store: Store, tenant: str) -> None:
    every = [await opened(store, tenant, broken(number), NOW + number) for number in range(6)]
    turn = Turn(conversation_id="c5", turn_id="t2", agent=AgentRef("refund-bot"), channel="crisis")
    await decide(store, RULESET, tenant, turn, NOW + 10)
    member = await handoffs.get(store, tenant, every[5].handoff_id)
    assert (member.group, member.queue, member.priority) == (None, "safety", "urgent")
    found = await claimed(store, tenant, NOW + 11)
    assert isinstance(found, Claimed)
    assert found.handoff.handoff_id == member.handoff_id
    assert (await floods.listed(store, tenant))[0].members == 1
