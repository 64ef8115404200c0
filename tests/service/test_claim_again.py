"""Whoever has a handoff claims it again where its token is gone: the old one is stale, and nobody else is let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from rules.evaluation.evaluate import Ruleset
from rules.handoff import Handoff
from service.clock import now_ms
from service.errors import AlreadyClaimed, LeaseLost
from service.flows import handoffs
from service.flows.access import Store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, Lease, Resolving
from service.store import handoffs as stored
from service.store.handoffs import ClaimAgain
from tests.service.api_service import Api, Server, embedded, served
from tests.service.turns import angry, refunding

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
LEASE_MS = 60_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("again") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


async def taken(store: Store, ruleset: Ruleset, tenant: str) -> Claimed:
    decided = await decide(store, ruleset, tenant, angry("c1"), NOW)
    return await handoffs.claim_one(store, tenant, decided.decision.handoff_id or "", Claiming("mia", LEASE_MS), NOW)


async def again(store: Store, tenant: str, of: Handoff, at_ms: int, operator: str = "mia", rid: str = "") -> Claimed:
    claiming = Claiming(operator, LEASE_MS, rid or None, again=True)
    return await handoffs.claim_one(store, tenant, of.handoff_id, claiming, at_ms)


async def test_the_token_is_new_the_one_before_is_stale_and_the_rest_is_as_it_was(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    first = await taken(store, ruleset, tenant)
    second = await again(store, tenant, first.handoff, NOW + 10_000)
    assert second.token != first.token
    assert second.token.startswith(f"{second.handoff.version}-")
    assert second.lease_expires_at_ms == second.handoff.lease_expires_at_ms == NOW + 10_000 + LEASE_MS
    assert (second.handoff.claimed_at_ms, second.handoff.assignments) == (NOW, first.handoff.assignments)
    assert (first.handoff.lease_version, second.handoff.lease_version) == (2, 3)
    with pytest.raises(LeaseLost) as lost:
        await handoffs.reply(store, tenant, Lease(first.handoff.handoff_id, first.token), "Hi.", LEASE_MS, NOW + 12_000)
    assert (lost.value.holder, lost.value.ended_ms_ago) == ("mia", 2_000)
    lease = Lease(second.handoff.handoff_id, second.token)
    ended = await handoffs.resolve(store, tenant, lease, Resolving("answer", "needed", "Hello."), NOW + 13_000)
    assert (ended.state, ended.lease_version) == ("resolved", None)


async def test_a_hold_stays_one_until_the_moment_it_was_meant_for(store: Store, ruleset: Ruleset, tenant: str) -> None:
    first = await taken(store, ruleset, tenant)
    until = NOW + 3_600_000
    await handoffs.hold(store, tenant, Lease(first.handoff.handoff_id, first.token), until, "the bank", NOW)
    second = await again(store, tenant, first.handoff, NOW + LEASE_MS * 2)
    assert (second.handoff.state, second.handoff.hold_reason, second.lease_expires_at_ms) == ("held", "the bank", until)
    lease = Lease(second.handoff.handoff_id, second.token)
    assert (await handoffs.resume(store, tenant, lease, LEASE_MS, NOW + LEASE_MS * 2)).state == "leased"


async def test_somebody_else_is_refused_and_changes_nothing(store: Store, ruleset: Ruleset, tenant: str) -> None:
    first = await taken(store, ruleset, tenant)
    with pytest.raises(AlreadyClaimed) as refused:
        await again(store, tenant, first.handoff, NOW + 1, operator="ben")
    assert (refused.value.holder, refused.value.hint) == ("mia", "ask mia, or claim another")
    assert await handoffs.get(store, tenant, first.handoff.handoff_id) == first.handoff
    lease = Lease(first.handoff.handoff_id, first.token)
    assert (await handoffs.renew(store, tenant, lease, LEASE_MS, NOW + 2)).holder == "mia"


async def test_the_step_itself_looks_whose_it_is_by_then(store: Store, ruleset: Ruleset, tenant: str) -> None:
    first = await taken(store, ruleset, tenant)
    handoff_id = first.handoff.handoff_id
    place = stored.place_of(store, tenant, handoff_id)
    for operator, at_ms in (("ben", NOW + 1), ("mia", NOW + LEASE_MS)):
        asked = ClaimAgain(handoff_id, operator, "abc", at_ms + LEASE_MS, f"r-{operator}")
        assert await stored.claim_again(store, place, asked, at_ms) is None
    unknown = ClaimAgain("hof_0_0", "mia", "abc", NOW + LEASE_MS, "r")
    assert await stored.claim_again(store, place, unknown, NOW) is None
    assert await handoffs.get(store, tenant, handoff_id) == first.handoff


async def test_who_does_not_say_again_is_refused_and_told_how(store: Store, ruleset: Ruleset, tenant: str) -> None:
    first = await taken(store, ruleset, tenant)
    with pytest.raises(AlreadyClaimed) as refused:
        await handoffs.claim_one(store, tenant, first.handoff.handoff_id, Claiming("mia", LEASE_MS), NOW + 1)
    assert refused.value.hint == "it is yours: claim it with `again` to go on here"


async def test_a_lease_that_ran_out_is_claimed_anew_by_whoever_comes_first(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    first = await taken(store, ruleset, tenant)
    second = await again(store, tenant, first.handoff, NOW + LEASE_MS)
    assert (second.handoff.claimed_at_ms, len(second.handoff.assignments)) == (NOW + LEASE_MS, 2)
    other = await again(store, tenant, first.handoff, NOW + LEASE_MS * 2, operator="ben")
    assert (other.handoff.holder, len(other.handoff.assignments)) == ("ben", 3)


async def test_the_same_request_again_gets_the_same_token_and_two_at_once_leave_one_that_holds(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    first = await taken(store, ruleset, tenant)
    once = await again(store, tenant, first.handoff, NOW + 1, rid="r1")
    twice = await again(store, tenant, first.handoff, NOW + 2, rid="r1")
    assert (twice.token, twice.lease_expires_at_ms) == (once.token, once.lease_expires_at_ms)
    several = await asyncio.gather(*(again(store, tenant, first.handoff, NOW + 3) for _ in range(5)))
    good = 0
    for each in several:
        try:
            await handoffs.renew(store, tenant, Lease(each.handoff.handoff_id, each.token), LEASE_MS, NOW + 4)
            good += 1
        except LeaseLost:
            pass
    assert (good, len({each.token for each in several})) == (1, 5)


async def test_who_claims_again_has_read_the_draft_that_came_meanwhile(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    decided = await decide(store, ruleset, tenant, refunding("c1"), NOW)
    claiming = Claiming("mia", LEASE_MS)
    first = await handoffs.claim_one(store, tenant, decided.decision.handoff_id or "", claiming, NOW)
    later = await decide(store, ruleset, tenant, refunding("c1"), NOW + 1)
    second = await again(store, tenant, first.handoff, NOW + 2)
    lease = Lease(second.handoff.handoff_id, second.token)
    ended = await handoffs.resolve(store, tenant, lease, Resolving("approve", "needed"), NOW + 3)
    assert ended.resolution is not None
    assert ended.resolution.turn_id == later.decision.turn_id


async def test_over_http_the_holder_goes_on_in_another_window_and_a_colleague_does_not(api: Api) -> None:
    handoff, stale = await api.claimed()
    path = f"/handoffs/{handoff['id']}"
    for body in ({}, {"again": False}):
        refused = await api.post(f"{path}/claim", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "already_claimed")
    for wrong in ({"again": "yes"}, {"again": 1}, {"more": True}):
        assert (await api.post(f"{path}/claim", wrong)).status_code == 422
    other = await api.post(f"{path}/claim", {"again": True}, role="admin")
    assert (other.status_code, other.json()["code"]) == (409, "already_claimed")
    got = await api.post(f"{path}/claim", {"again": True})
    assert got.status_code == 200
    told = got.json()
    assert told["handoff"]["lease_version"] > handoff["lease_version"]
    assert (told["handoff"]["holder"], told["lease"]["token"] != stale) == (handoff["holder"], True)
    assert now_ms() < told["lease"]["expires_at_ms"] <= now_ms() + 60_000
    lost = await api.post(f"{path}/reply", {"token": stale, "text": "from the old window"})
    assert (lost.status_code, lost.json()["code"], lost.json()["draft_saved"]) == (409, "lease_lost", True)
    read = (await api.get(f"{path}/packet", "operator")).json()
    assert [(each["refused"], each["fields"]["text"]) for each in read["drafts"]] == [(True, "from the old window")]
    assert (await api.post(f"{path}/reply", {"token": told["lease"]["token"], "text": "Hello."})).status_code == 200
    assert (await api.post("/claim", {"again": True})).status_code == 422


async def test_what_waits_is_claimed_as_ever(api: Api) -> None:
    waiting = (await api.escalated())["handoff"]["id"]
    got = await api.post(f"/handoffs/{waiting}/claim", {"again": True})
    assert (got.status_code, got.json()["handoff"]["state"]) == (200, "leased")
