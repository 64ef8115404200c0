"""What a turn is answered, once and for ever, and what it leaves behind."""

from __future__ import annotations

import asyncio

import pytest

from rules.evaluation.evaluate import Ruleset
from service.errors import DecisionUnknown, TurnStale
from service.flows import decide as flow
from service.flows import handoffs
from service.flows.access import Store
from service.flows.decide import Decided, decide
from service.flows.handoffs import Claimed, Claiming, HandingBack, Lease
from service.store import conversations
from service.store.conversations import Loaded
from service.store.store import KEPT_MS
from tests.service.turns import angry, calm, refunding, turn, unsure, wordy

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
MINUTE = 60_000


async def take(store: Store, ruleset: Ruleset, tenant: str, queue: str, now_ms: int, operator: str = "mia") -> Claimed:
    claimed = await handoffs.claim_next(store, ruleset, tenant, queue, Claiming(operator, 60_000), now_ms)
    assert isinstance(claimed, Claimed)
    return claimed


async def loaded(store: Store, tenant: str, conversation_id: str) -> Loaded:
    found = await conversations.load(store, store.place_of(tenant, conversation_id), conversation_id, "")
    assert isinstance(found, Loaded)
    return found


async def test_an_ordinary_turn_goes_on_and_is_remembered(store: Store, ruleset: Ruleset, tenant: str) -> None:
    decided = await decide(store, ruleset, tenant, calm("c1", "t1"), NOW)
    assert (decided.decision.verdict, decided.repeated, decided.waiting) == ("continue", False, None)
    assert decided.decision.must_stop is False
    assert decided.decision.ruleset == ruleset.hash
    found = await loaded(store, tenant, "c1")
    assert (found.conversation.turns_count, found.conversation.started_at_ms) == (1, NOW)
    assert [record.turn_id for record in found.conversation.past] == ["t1"]


async def test_the_same_turn_is_answered_the_same_whatever_its_body_says_now(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    first = await decide(store, ruleset, tenant, angry("c1", "t1"), NOW)
    again = await decide(store, ruleset, tenant, calm("c1", "t1"), NOW + MINUTE)
    assert again == Decided(first.decision, repeated=True, waiting=first.waiting)
    assert (await loaded(store, tenant, "c1")).conversation.turns_count == 1


async def test_a_decision_is_found_by_its_id_and_only_by_its_tenant(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    decided = await decide(store, ruleset, tenant, refunding("c1"), NOW)
    assert await flow.find(store, tenant, decided.decision.decision_id) == decided.decision
    for other, decision_id in (
        (f"{tenant}x", decided.decision.decision_id),
        (tenant, "dec_0_" + "0" * 20),
        (tenant, "?"),
    ):
        with pytest.raises(DecisionUnknown):
            await flow.find(store, other, decision_id)


async def test_an_escalation_names_queue_position_deadline_and_words(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    await decide(store, ruleset, tenant, angry("c1"), NOW)
    second = await decide(store, ruleset, tenant, angry("c2", locale="de-AT"), NOW + 1)
    assert second.decision.verdict == "escalate"
    assert second.decision.say == "I am getting someone."
    assert second.waiting is not None
    assert (second.waiting.queue, second.waiting.position) == ("tier1", 2)
    assert second.waiting.expires_at_ms == NOW + 1 + 15 * MINUTE
    assert second.waiting.on_timeout.verdict == "callback"
    assert [rule.rule_id for rule in second.decision.rules] == ["angry"]


async def test_where_the_rules_have_no_words_the_agent_has_some_in_the_customers_language(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    decided = await decide(store, ruleset, tenant, refunding("c1", locale="de-AT"), NOW)
    assert decided.decision.say == "Einen Moment bitte: Eine Kollegin oder ein Kollege sieht sich das an."


async def test_while_a_person_is_asked_for_every_turn_is_fenced_and_what_fires_joins(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    await decide(store, ruleset, tenant, unsure("c1"), NOW)
    opened = await decide(store, ruleset, tenant, unsure("c1"), NOW)
    assert opened.decision.queue == "tier2"
    quiet = await decide(store, ruleset, tenant, calm("c1"), NOW + 1)
    joined = await decide(store, ruleset, tenant, angry("c1"), NOW + 2)
    for decided in (quiet, joined):
        assert decided.decision.verdict == "held_by_human"
        assert decided.decision.must_stop
        assert decided.decision.handoff_id == opened.decision.handoff_id
    # Words of a new reason are said once; otherwise the agent only says that somebody comes.
    again = await decide(store, ruleset, tenant, angry("c1"), NOW + 3)
    meanwhile = "A colleague is taking care of this and will answer you here."
    assert [told.decision.say for told in (quiet, joined, again)] == [meanwhile, "I am getting someone.", meanwhile]
    handoff = await handoffs.get(store, tenant, opened.decision.handoff_id or "")
    assert [reason.rule_ids for reason in handoff.reasons] == [("unsure-twice",), ("angry",), ("angry",)]
    # It still waits and is more urgent now, so it moves to where the urgent one is asked for.
    assert (handoff.queue, handoff.priority, handoff.score_ms) == ("tier1", "high", NOW + 5 * MINUTE)
    views = {view.name: view.waiting for view in await handoffs.queues(store, ruleset, tenant)}
    assert views == {"tier1": 1, "tier2": 0, "approvals": 0, "readers": 0}


async def test_the_fence_stands_however_long_the_customer_is_silent(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    conversation = store.place_of(tenant, "c1").conversation("c1")

    async def forgotten() -> bool:
        return int(await store.link.call("PTTL", conversation)) > 0

    await decide(store, ruleset, tenant, calm("c1"), NOW)
    assert await forgotten()
    opened = await decide(store, ruleset, tenant, angry("c1"), NOW + 1)
    assert not await forgotten()
    await decide(store, ruleset, tenant, calm("c1"), NOW + 2)
    assert not await forgotten()
    one = await handoffs.claim_one(store, tenant, opened.decision.handoff_id or "", Claiming("mia", 60_000), NOW + 3)
    await handoffs.hand_back(store, tenant, Lease(one.handoff.handoff_id, one.token), HandingBack(), NOW + 4)
    assert await forgotten()


async def test_all_of_a_conversation_is_kept_a_month_from_its_last_turn_give_or_take_a_day(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    place, day_ms = store.place_of(tenant, "c1"), 86_400_000
    parts = (place.conversation("c1"), place.turns("c1"), place.transcript("c1"))

    async def left_ms() -> list[int]:
        return [int(await store.link.call("PTTL", key)) for key in parts]

    async def shortened() -> None:
        for key in parts:
            await store.link.call("PEXPIRE", key, KEPT_MS - day_ms)

    await decide(store, ruleset, tenant, calm("c1"), NOW)
    assert all(left > KEPT_MS - MINUTE for left in await left_ms())
    await shortened()
    await decide(store, ruleset, tenant, calm("c1"), NOW + day_ms - 1)
    assert all(KEPT_MS - day_ms - MINUTE < left <= KEPT_MS - day_ms for left in await left_ms())
    await decide(store, ruleset, tenant, calm("c1"), NOW + day_ms)
    assert all(left > KEPT_MS - MINUTE for left in await left_ms())
    # A hand-back forgets the turns, so those that come after it are another set that must not stay for ever.
    opened = await decide(store, ruleset, tenant, angry("c1"), NOW + day_ms + 1)
    later = NOW + day_ms + 2
    one = await handoffs.claim_one(store, tenant, opened.decision.handoff_id or "", Claiming("mia", 60_000), later)
    await handoffs.hand_back(store, tenant, Lease(one.handoff.handoff_id, one.token), HandingBack(), later + 1)
    await decide(store, ruleset, tenant, calm("c1"), later + 2)
    assert all(left > KEPT_MS - MINUTE for left in await left_ms())


async def test_what_is_kept_for_one_operator_is_anybodys_once_it_has_become_more_urgent(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    for _ in range(2):
        await decide(store, ruleset, tenant, unsure("c1"), NOW)
    claimed = await take(store, ruleset, tenant, "tier2", NOW + 1)
    lease = handoffs.Lease(claimed.handoff.handoff_id, claimed.token)
    await handoffs.transfer(store, ruleset, tenant, lease, None, "zoe", NOW + 2)
    await decide(store, ruleset, tenant, angry("c1"), NOW + 3)
    assert (await take(store, ruleset, tenant, "tier1", NOW + 4)).handoff.handoff_id == claimed.handoff.handoff_id


async def test_a_review_raises_no_fence_and_grows_into_whatever_is_stronger(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    review = await decide(store, ruleset, tenant, wordy("c1"), NOW)
    assert (review.decision.verdict, review.decision.must_stop) == ("review", False)
    assert (await decide(store, ruleset, tenant, calm("c1"), NOW)).decision.handoff_id is None
    hold = await decide(store, ruleset, tenant, refunding("c1"), NOW + 1)
    assert (hold.decision.verdict, hold.decision.queue) == ("hold", "approvals")
    again = await decide(store, ruleset, tenant, wordy("c1"), NOW + 2)
    assert (again.decision.verdict, again.decision.queue) == ("review", "approvals")
    escalated = await decide(store, ruleset, tenant, angry("c1"), NOW + 3)
    assert escalated.decision.verdict == "escalate"
    ids = {decided.decision.handoff_id for decided in (review, hold, again, escalated)}
    assert len(ids) == 1
    handoff = await handoffs.get(store, tenant, ids.pop() or "")
    assert (handoff.kind, handoff.queue, handoff.priority) == ("escalate", "tier1", "high")
    assert handoff.expires_at_ms == NOW + 3 + 15 * MINUTE
    views = {view.name: view.waiting for view in await handoffs.queues(store, ruleset, tenant)}
    assert views == {"tier1": 1, "tier2": 0, "approvals": 0, "readers": 0}


async def test_history_before_a_hand_back_never_fires_again(store: Store, ruleset: Ruleset, tenant: str) -> None:
    for _ in range(2):
        await decide(store, ruleset, tenant, unsure("c1"), NOW)
    claimed = await take(store, ruleset, tenant, "tier2", NOW + 1)
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    await handoffs.hand_back(store, tenant, lease, HandingBack(facts={"refund": "allowed"}, may_retry=True), NOW + 2)
    # Two unsure turns came before; one more is the first of a new streak.
    assert (await decide(store, ruleset, tenant, unsure("c1"), NOW + 3)).decision.verdict == "continue"
    assert (await decide(store, ruleset, tenant, unsure("c1"), NOW + 4)).decision.verdict == "escalate"
    found = await loaded(store, tenant, "c1")
    assert (found.conversation.handoffs_count, found.conversation.last_handoff_at_ms) == (1, NOW + 2)
    assert found.conversation.turns_count == 4


async def test_a_turn_that_comes_late_is_judged_by_what_came_before_it(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    await decide(store, ruleset, tenant, unsure("c1", "t3", turn_index=3), NOW)
    late = await decide(store, ruleset, tenant, unsure("c1", "t2", turn_index=2), NOW + 1)
    assert late.decision.verdict == "continue"
    past = (await loaded(store, tenant, "c1")).conversation.past
    assert [record.turn_id for record in past] == ["t2", "t3"]


async def test_a_turn_from_before_a_persons_stretch_is_stale(store: Store, ruleset: Ruleset, tenant: str) -> None:
    await decide(store, ruleset, tenant, angry("c1", turn_index=5), NOW)
    claimed = await take(store, ruleset, tenant, "tier1", NOW + 1)
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    await handoffs.hand_back(store, tenant, lease, HandingBack(), NOW + 2)
    with pytest.raises(TurnStale) as stale:
        await decide(store, ruleset, tenant, calm("c1", turn_index=4), NOW + 3)
    assert (str(stale.value), stale.value.hint) == (
        "turn_index 4 lies before a handoff that ended at turn_index 5",
        "drop its reply",
    )
    # The held action may be tried again under the same place.
    assert (await decide(store, ruleset, tenant, calm("c1", turn_index=5), NOW + 3)).decision.verdict == "continue"


async def test_a_missed_deadline_drops_the_fence_also_while_no_worker_runs(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    opened = await decide(store, ruleset, tenant, angry("c1", locale="de"), NOW)
    after = await decide(store, ruleset, tenant, calm("c1"), NOW + 15 * MINUTE)
    assert after.decision.verdict == "continue"
    handoff = await handoffs.get(store, tenant, opened.decision.handoff_id or "")
    assert handoff.state == "expired"
    assert handoff.resolution is not None
    assert (handoff.resolution.action, handoff.resolution.verdict) == ("timeout", "callback")
    assert handoff.resolution.say == "Wir rufen zurück."


async def test_many_turns_of_one_conversation_at_once_open_one_handoff(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    turns = [angry("c1") for _ in range(6)]
    answers = await asyncio.gather(*(decide(store, ruleset, tenant, one, NOW) for one in turns))
    assert len({decided.decision.handoff_id for decided in answers}) == 1
    assert sorted(decided.decision.verdict for decided in answers) == ["escalate"] + ["held_by_human"] * 5
    handoff = await handoffs.get(store, tenant, answers[0].decision.handoff_id or "")
    assert len(handoff.reasons) == 6


async def test_one_turn_sent_many_times_at_once_is_decided_once(store: Store, ruleset: Ruleset, tenant: str) -> None:
    answers = await asyncio.gather(*(decide(store, ruleset, tenant, angry("c1", "t1"), NOW + n) for n in range(20)))
    assert len({decided.decision.decided_at_ms for decided in answers}) == 1
    assert [decided.repeated for decided in answers].count(False) == 1


async def test_position_counts_those_ahead_in_every_partition(spread: Store, ruleset: Ruleset, tenant: str) -> None:
    positions = []
    for number in range(12):
        decided = await decide(spread, ruleset, tenant, angry(f"c{number}"), NOW + number)
        assert decided.waiting is not None
        positions.append(decided.waiting.position)
    assert positions == list(range(1, 13))


async def test_only_the_last_turns_are_kept(store: Store, ruleset: Ruleset, tenant: str) -> None:
    for number in range(70):
        await decide(store, ruleset, tenant, turn("c1", f"t{number}"), NOW + number)
    found = await loaded(store, tenant, "c1")
    assert (len(found.conversation.past), found.conversation.turns_count) == (50, 70)
    said = await conversations.transcript(store, store.place_of(tenant, "c1"), "c1")
    assert [one.turn_id for one in said] == [f"t{number}" for number in range(10, 70)]
