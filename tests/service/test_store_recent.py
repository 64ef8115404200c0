"""What a process remembers of a conversation is what the store holds, or is refused: never another decision."""

from __future__ import annotations

import asyncio
import random

import pytest

from rules.evaluation.evaluate import Ruleset
from service.errors import TurnStale
from service.flows import handoffs
from service.flows.claims import Claimed, Claiming
from service.flows.decide import decide
from service.flows.moves import HandingBack, Lease
from service.store import conversations, recent
from service.store.conversations import Loaded
from service.store.store import Store, open_store
from tests.service.turns import angry, calm, refunding, unsure, wordy

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000


def left(store: Store, tenant: str, conversation_id: str) -> Loaded | None:
    """Return what is remembered, and let it be remembered on."""
    kept = store.recent._left.get((tenant, conversation_id))
    taken = store.recent.take(tenant, conversation_id)
    if kept is not None:
        store.recent._left[tenant, conversation_id] = kept
    return taken


async def held(store: Store, tenant: str, conversation_id: str) -> Loaded:
    found = await conversations.load(store, store.place_of(tenant, conversation_id), conversation_id, "")
    assert isinstance(found, Loaded)
    return found


@pytest.mark.parametrize("counted", [False, True], ids=["turns without a count", "turns that count themselves"])
async def test_what_is_remembered_is_what_the_store_holds(
    store: Store, ruleset: Ruleset, tenant: str, counted: bool
) -> None:
    chance = random.Random(7)
    remembered = 0
    for number in range(70):  # more than are read back, so the oldest fall out on both sides
        # A clock now and then runs backwards, and a count has gaps.
        now_ms = NOW + number * 1_000 - chance.choice([0, 0, 5_000])
        index = number * 2 if counted else None
        kind = unsure if number % 9 == 0 else calm
        await decide(store, ruleset, tenant, kind("c1", turn_index=index), now_ms)
        known = left(store, tenant, "c1")
        if known is not None:
            remembered += 1
            assert known == await held(store, tenant, "c1")
    assert remembered == 70


async def test_a_late_turn_is_read_back_rather_than_guessed(store: Store, ruleset: Ruleset, tenant: str) -> None:
    await decide(store, ruleset, tenant, calm("c1", turn_index=5), NOW)
    await decide(store, ruleset, tenant, calm("c1", turn_index=3), NOW + 1)
    assert left(store, tenant, "c1") is None


async def test_another_process_s_turn_counts_and_the_conversation_is_read_from_then_on(
    store: Store, server_url: str, ruleset: Ruleset, tenant: str
) -> None:
    other = await open_store(server_url)
    try:
        await decide(store, ruleset, tenant, calm("c1"), NOW)
        assert left(store, tenant, "c1") is not None
        first = await decide(other, ruleset, tenant, unsure("c1"), NOW + 1)
        second = await decide(store, ruleset, tenant, unsure("c1"), NOW + 2)
    finally:
        await other.close()
    # Two unsure turns in a row escalate: the second one saw the first, which it had not decided itself.
    assert (first.decision.verdict, second.decision.verdict) == ("continue", "escalate")
    assert left(store, tenant, "c1") is None
    assert (tenant, "c1") in store.recent._shared


async def test_a_fence_that_another_process_raised_stands(
    store: Store, server_url: str, ruleset: Ruleset, tenant: str
) -> None:
    other = await open_store(server_url)
    try:
        await decide(store, ruleset, tenant, calm("c1"), NOW)
        await decide(other, ruleset, tenant, angry("c1"), NOW + 1)
        fenced = await decide(store, ruleset, tenant, calm("c1"), NOW + 2)
    finally:
        await other.close()
    assert fenced.decision.verdict == "held_by_human"


async def test_a_remembered_turn_is_still_answered_the_same_when_it_is_asked_again(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    first = await decide(store, ruleset, tenant, calm("c1", "t1"), NOW)
    assert left(store, tenant, "c1") is not None
    again = await decide(store, ruleset, tenant, angry("c1", "t1"), NOW + 1)
    assert (again.decision, again.repeated) == (first.decision, True)


async def test_nothing_is_remembered_of_a_conversation_that_a_person_has_or_had_a_moment_ago(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    for asks in (wordy, refunding, angry):
        await decide(store, ruleset, tenant, calm(asks.__name__), NOW)
        await decide(store, ruleset, tenant, asks(asks.__name__), NOW + 1)
        await decide(store, ruleset, tenant, calm(asks.__name__), NOW + 2)
        assert left(store, tenant, asks.__name__) is None
    claimed = await handoffs.claim_next(store, ruleset, tenant, "tier1", Claiming("mia", 60_000), NOW + 3)
    assert isinstance(claimed, Claimed)
    await handoffs.hand_back(store, tenant, Lease(claimed.handoff.handoff_id, claimed.token), HandingBack(), NOW + 4)
    assert (await decide(store, ruleset, tenant, calm("angry"), NOW + 5)).decision.verdict == "continue"
    assert left(store, tenant, "angry") == await held(store, tenant, "angry")


async def test_turns_at_the_same_moment_are_each_counted_once(store: Store, ruleset: Ruleset, tenant: str) -> None:
    await decide(store, ruleset, tenant, calm("c1"), NOW)
    await asyncio.gather(*(decide(store, ruleset, tenant, calm("c1"), NOW + 1) for _ in range(3)))
    found = await held(store, tenant, "c1")
    assert (found.conversation.turns_count, len(found.conversation.past), found.version) == (4, 4, 4)


async def test_as_many_are_remembered_as_the_limit_says(
    store: Store, ruleset: Ruleset, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "CONVERSATIONS_MAX", 2)
    for number in range(4):
        await decide(store, ruleset, tenant, calm(f"c{number}"), NOW)
    assert [conversation_id for _, conversation_id in store.recent._left] == ["c2", "c3"]


async def test_an_old_turn_asked_again_after_a_hand_back_gets_its_answer_and_a_new_one_is_stale(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    first = await decide(store, ruleset, tenant, calm("c1", "t1", turn_index=1), NOW)
    await decide(store, ruleset, tenant, angry("c1", turn_index=2), NOW + 1)
    claimed = await handoffs.claim_next(store, ruleset, tenant, "tier1", Claiming("mia", 60_000), NOW + 2)
    assert isinstance(claimed, Claimed)
    await handoffs.hand_back(store, tenant, Lease(claimed.handoff.handoff_id, claimed.token), HandingBack(), NOW + 3)
    for later in range(2):
        # The conversation is remembered now, with the cut; what was answered before the cut only the store knows.
        await decide(store, ruleset, tenant, calm("c1", turn_index=3 + later), NOW + 4 + later)
        assert left(store, tenant, "c1") is not None
        again = await decide(store, ruleset, tenant, calm("c1", "t1", turn_index=1), NOW + 10)
        assert (again.decision, again.repeated) == (first.decision, True)
    await decide(store, ruleset, tenant, calm("c1", turn_index=6), NOW + 11)
    with pytest.raises(TurnStale):
        await decide(store, ruleset, tenant, calm("c1", "t0", turn_index=0), NOW + 12)
