"""Later facts are recorded once a request, keys are told once, and every change is told in the outbox."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rules.evaluation.evaluate import Ruleset
from service.errors import HandoffUnknown, KeyUnknown, LimitReached, RequestReused
from service.flows import handoffs, keys, outcomes
from service.flows.access import Store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, HandingBack, Lease
from service.flows.outcomes import OutcomeReport
from service.store import api_keys, outbox
from service.store.outcomes import OUTCOMES_MAX
from tests.service.turns import angry

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000


async def test_an_outcome_is_recorded_once_a_request(store: Store, ruleset: Ruleset, tenant: str) -> None:
    decided = await decide(store, ruleset, tenant, angry("c1"), NOW)
    report = OutcomeReport("csat", handoff_id=decided.decision.handoff_id, score=2.0)
    first = await outcomes.record(store, tenant, report, "crm", NOW + 1, request_id="r1")
    again = await outcomes.record(store, tenant, report, "crm", NOW + 2, request_id="r1")
    assert again == replace(first, repeated=True)
    await outcomes.record(store, tenant, OutcomeReport("reopened", "c1", at_ms=NOW - 5), "crm", NOW + 3)
    kept = await outcomes.of_conversation(store, tenant, "c1")
    assert [(one["kind"], one["score"], one["at_ms"]) for one in kept] == [
        ("csat", 2.0, NOW + 1),
        ("reopened", None, NOW - 5),
    ]


async def test_a_request_of_another_report_is_refused_and_keeps_what_stands(store: Store, tenant: str) -> None:
    await outcomes.record(store, tenant, OutcomeReport("complaint", "c1"), "crm", NOW, request_id="k1")
    for other in (
        OutcomeReport("reopened", "c1"),
        OutcomeReport("complaint", "c1", at_ms=NOW),
        OutcomeReport("complaint", "c2"),
    ):
        with pytest.raises(RequestReused):
            await outcomes.record(store, tenant, other, "crm", NOW + 1, request_id="k1")
    assert (
        await outcomes.record(store, tenant, OutcomeReport("complaint", "c1"), "crm", NOW, request_id="k1")
    ).repeated
    kept = [await outcomes.of_conversation(store, tenant, conversation_id) for conversation_id in ("c1", "c2")]
    assert [len(each) for each in kept] == [1, 0]


async def test_an_outcome_of_an_unknown_handoff_is_refused_and_of_an_unknown_conversation_taken(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    decided = await decide(store, ruleset, tenant, angry("c1"), NOW)
    for report in (
        OutcomeReport("reopened", handoff_id="hof_0_" + "0" * 16),
        OutcomeReport("reopened", "other", decided.decision.handoff_id),
    ):
        with pytest.raises(HandoffUnknown):
            await outcomes.record(store, tenant, report, "crm", NOW)
    assert not (await outcomes.record(store, tenant, OutcomeReport("complaint", "c9"), "crm", NOW)).repeated


async def test_the_outcomes_of_a_conversation_have_a_limit(store: Store, tenant: str) -> None:
    report = OutcomeReport("reopened", "c1")
    for _ in range(OUTCOMES_MAX):
        await outcomes.record(store, tenant, report, "crm", NOW)
    with pytest.raises(LimitReached) as full:
        await outcomes.record(store, tenant, report, "crm", NOW)
    assert str(full.value) == "outcomes of one conversation: the limit is 100"


async def test_every_change_is_told_in_order_and_until_it_is_acknowledged(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    decided = await decide(store, ruleset, tenant, angry("c1"), NOW)
    await decide(store, ruleset, tenant, angry("c1"), NOW + 1)
    claimed = await handoffs.claim_next(store, ruleset, tenant, "tier1", Claiming("mia", 60_000), NOW + 2)
    assert isinstance(claimed, Claimed)
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    await handoffs.renew(store, tenant, lease, 60_000, NOW + 3)
    await handoffs.hand_back(store, tenant, lease, HandingBack(), NOW + 4)
    await outcomes.record(store, tenant, OutcomeReport("reopened", "c1"), "crm", NOW + 5)
    (place,) = store.places(tenant)
    told = await outbox.read(store, place, "one", 10)
    assert [(event.type, event.actor, event.at_ms) for event in told] == [
        ("handoff.opened", "agent", NOW),
        ("handoff.joined", "agent", NOW + 1),
        ("handoff.claimed", "mia", NOW + 2),
        ("handoff.handed_back", "mia", NOW + 4),
        ("outcome.recorded", "crm", NOW + 5),
    ]
    assert {event.handoff_id for event in told[:-1]} == {decided.decision.handoff_id}
    assert {(event.tenant, event.conversation_id) for event in told} == {(tenant, "c1")}
    assert len({event.event_id for event in told}) == 5
    # Another reader gets none of them while the first is at it.
    assert await outbox.read(store, place, "two", 10) == []
    await outbox.ack(store, place, [event.entry_id for event in told])
    await outbox.ack(store, place, [event.entry_id for event in told])
    assert await outbox.length(store, place) == 0


async def test_what_a_dead_worker_took_is_given_to_the_next(
    store: Store, ruleset: Ruleset, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await decide(store, ruleset, tenant, angry("c1"), NOW)
    (place,) = store.places(tenant)
    (lost,) = await outbox.read(store, place, "dead", 10)
    monkeypatch.setattr(outbox, "RECLAIM_MS", 0)
    assert await outbox.read(store, place, "next", 10) == [lost]


async def test_a_key_is_found_by_its_secret_until_it_is_revoked(store: Store, tenant: str) -> None:
    made = await keys.create(store, tenant, "mia", "operator", NOW)
    assert made.token.startswith("hr_operator_")
    found = await keys.find(store, made.token, NOW + 1)
    assert found is not None
    assert (found.key_id, found.name, found.role, found.tenant) == (made.key.key_id, "mia", "operator", tenant)
    assert await keys.list_all(store, tenant) == (replace(made.key, last_used_at_ms=NOW + 1),)
    for wrong in (made.token + "x", made.token[:-1], "hr_operator_", "", "Bearer", "hr_" + "x" * 500, "hr_\ud800"):
        assert await keys.find(store, wrong, NOW) is None
    revoked = await keys.revoke(store, tenant, made.key.key_id, NOW + 2)
    assert revoked.revoked_at_ms == NOW + 2
    assert (await keys.revoke(store, tenant, made.key.key_id, NOW + 9)).revoked_at_ms == NOW + 2
    assert await keys.find(store, made.token, NOW + 3) is None


async def test_the_secret_is_nowhere_in_the_store(store: Store, tenant: str) -> None:
    made = await keys.create(store, tenant, "mia", "admin", NOW)
    secret = made.token.encode()
    for key in await store.link.call("KEYS", "hr:{control}:*"):
        if await store.link.call("TYPE", key) == b"hash":
            assert secret not in b" ".join(await store.link.call("HGETALL", key))


async def test_a_key_is_revoked_by_its_own_tenant_only(store: Store, tenant: str) -> None:
    made = await keys.create(store, tenant, "mia", "agent", NOW)
    for other, key_id in ((f"{tenant}x", made.key.key_id), (tenant, "key_none")):
        with pytest.raises(KeyUnknown):
            await keys.revoke(store, other, key_id, NOW)
    assert await keys.find(store, made.token, NOW) is not None


async def test_a_tenant_has_so_many_keys_and_no_more(
    store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "KEYS_MAX", 3)
    await asyncio.gather(*(keys.create(store, tenant, f"k{number}", "agent", NOW) for number in range(3)))
    with pytest.raises(LimitReached):
        await keys.create(store, tenant, "one more", "agent", NOW)
    assert len(await keys.list_all(store, tenant)) == 3
    assert tenant in await store.tenants()
