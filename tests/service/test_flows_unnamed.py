"""Turns without a name: one that is sent again has its answer, one that says the same once more has a person."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rules.evaluation.evaluate import Ruleset
from rules.turn import Turn
from service.flows import handoffs
from service.flows.access import Store
from service.flows.decide import Decided
from service.flows.handoffs import Claimed, Claiming, HandingBack, Lease
from service.flows.spool import Spool
from service.flows.unnamed import AGAIN_MS_MAX, decide_unnamed
from tests.service.turns import angry, calm

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
ASKS = "t_0123456789abcdef"


async def ask(store: Store, ruleset: Ruleset, tenant: str, turn: Turn, now_ms: int) -> Decided:
    return await decide_unnamed(store, ruleset, tenant, turn, now_ms)


async def handed_back(store: Store, ruleset: Ruleset, tenant: str, now_ms: int) -> None:
    claimed = await handoffs.claim_next(store, ruleset, tenant, None, Claiming("mia", 60_000), now_ms)
    assert isinstance(claimed, Claimed)
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    await handoffs.hand_back(store, tenant, lease, HandingBack(), now_ms)


async def test_sent_again_at_once_it_has_its_answer_also_many_times_together(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    found = await asyncio.gather(*(ask(store, ruleset, tenant, angry("c1", ASKS), NOW) for _ in range(20)))
    assert len({each.decision.decision_id for each in found}) == 1
    assert sum(not each.repeated for each in found) == 1
    later = await ask(store, ruleset, tenant, angry("c1", ASKS), NOW + AGAIN_MS_MAX)
    assert (later.decision, later.repeated) == (found[0].decision, True)


async def test_a_person_asked_for_in_the_same_words_comes_again(store: Store, ruleset: Ruleset, tenant: str) -> None:
    first = await ask(store, ruleset, tenant, angry("c1", ASKS), NOW)
    await handed_back(store, ruleset, tenant, NOW + 1)
    again = await ask(store, ruleset, tenant, angry("c1", ASKS), NOW + 2)
    assert (again.decision.verdict, again.repeated) == ("escalate", False)
    assert again.decision.handoff_id not in (None, first.decision.handoff_id)
    assert (await handoffs.get(store, tenant, again.decision.handoff_id or "")).state == "waiting"
    # That one has retries of its own.
    once_more = await ask(store, ruleset, tenant, angry("c1", ASKS), NOW + 3)
    assert (once_more.decision, once_more.repeated) == (again.decision, True)
    await handed_back(store, ruleset, tenant, NOW + 4)
    third = await ask(store, ruleset, tenant, angry("c1", ASKS), NOW + 5)
    assert len({each.decision.turn_id for each in (first, again, third)}) == 3


async def test_two_that_say_it_once_more_at_the_same_time_are_one(store: Store, ruleset: Ruleset, tenant: str) -> None:
    await ask(store, ruleset, tenant, angry("c1", ASKS), NOW)
    await handed_back(store, ruleset, tenant, NOW + 1)
    found = await asyncio.gather(*(ask(store, ruleset, tenant, angry("c1", ASKS), NOW + 2) for _ in range(20)))
    assert len({each.decision.decision_id for each in found}) == 1
    assert sum(not each.repeated for each in found) == 1


async def test_what_is_said_again_later_or_after_something_else_counts_as_said_again(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    first = await ask(store, ruleset, tenant, calm("c1", ASKS), NOW)
    later = await ask(store, ruleset, tenant, calm("c1", ASKS), NOW + AGAIN_MS_MAX + 1)
    assert (later.repeated, later.decision.turn_id) == (False, f"{ASKS}.1")
    await ask(store, ruleset, tenant, calm("c1", "t_other"), NOW + AGAIN_MS_MAX + 2)
    third = await ask(store, ruleset, tenant, calm("c1", ASKS), NOW + AGAIN_MS_MAX + 3)
    assert (third.repeated, third.decision.turn_id) == (False, f"{ASKS}.3")
    assert first.decision.turn_id == ASKS


async def test_who_waits_and_writes_the_same_again_is_heard(store: Store, ruleset: Ruleset, tenant: str) -> None:
    await ask(store, ruleset, tenant, angry("c1", ASKS), NOW)
    again = await ask(store, ruleset, tenant, angry("c1", ASKS), NOW + AGAIN_MS_MAX + 1)
    assert (again.decision.verdict, again.repeated) == ("held_by_human", False)


async def test_a_turn_that_is_counted_is_known_by_its_number(store: Store, ruleset: Ruleset, tenant: str) -> None:
    turn = angry("c1", ASKS, turn_index=1)
    first = await ask(store, ruleset, tenant, turn, NOW)
    await handed_back(store, ruleset, tenant, NOW + 1)
    again = await ask(store, ruleset, tenant, turn, NOW + AGAIN_MS_MAX + 2)
    assert (again.decision, again.repeated) == (first.decision, True)


async def test_while_the_store_is_away_what_was_told_stands(
    store: Store, ruleset: Ruleset, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "spool")
    first = await decide_unnamed(store, ruleset, tenant, angry("c1", ASKS), NOW, spool=spool)
    await store.close()
    again = await decide_unnamed(store, ruleset, tenant, angry("c1", ASKS), NOW + 1, spool=spool)
    assert (again.decision, again.repeated) == (first.decision, True)
