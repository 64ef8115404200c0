"""What an outage of the store takes from whoever is at work, as docs/operations.md says it: the lease, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.evaluation.evaluate import Ruleset
from rules.handoff import Handoff
from rules.moves import ACTOR, RETURNED_MS
from service.errors import LeaseLost, StoreAway
from service.flows import deadlines, drafts, handoffs
from service.flows.access import Store, open_store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, Lease
from service.settings import Settings
from service.store import keys, outbox
from tests.service.conftest import Server
from tests.service.test_store_killed import again
from tests.service.turns import angry

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
LEASE_MS = 60_000
TENANT = "acme"


async def at_work(store: Store, ruleset: Ruleset) -> tuple[Handoff, Lease]:
    """Return a handoff as it waited, and the lease of mia who renews hers and writes."""
    decided = await decide(store, ruleset, TENANT, angry("c1"), NOW)
    assert decided.decision.handoff_id is not None
    waited = await handoffs.get(store, TENANT, decided.decision.handoff_id)
    claimed = await handoffs.claim_next(store, ruleset, TENANT, None, Claiming("mia", LEASE_MS), NOW)
    assert isinstance(claimed, Claimed)
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    await handoffs.renew(store, TENANT, lease, LEASE_MS, NOW + 10_000)
    await drafts.save(store, TENANT, lease.handoff_id, "mia", {"text": "half a sen"}, NOW + 11_000)
    return waited, lease


async def lost(server: Server, store: Store, lease: Lease) -> None:
    """Kill the server, and see that a renewal fails without losing anything."""
    server.kill()
    with pytest.raises(StoreAway):
        await handoffs.renew(store, TENANT, lease, LEASE_MS, NOW + 12_000)


async def test_a_short_outage_takes_no_work_from_anybody(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    _, lease = await at_work(store, ruleset)
    await lost(own_server, store, lease)
    await again(own_server, store)
    assert await deadlines.sweep(store, TENANT, NOW + 69_999) == 0
    renewed = await handoffs.renew(store, TENANT, lease, LEASE_MS, NOW + 69_999)
    assert (renewed.state, renewed.holder) == ("leased", "mia")
    await store.close()


@pytest.mark.parametrize("outage_ms", [LEASE_MS, 7_200_000])
async def test_an_outage_longer_than_a_lease_takes_the_lease_and_no_more(
    own_server: Server, ruleset: Ruleset, outage_ms: int
) -> None:
    store = await open_store(own_server.url)
    waited, lease = await at_work(store, ruleset)
    await lost(own_server, store, lease)
    await again(own_server, store)
    back_ms = NOW + 10_000 + outage_ms
    with pytest.raises(LeaseLost):
        await handoffs.renew(store, TENANT, lease, LEASE_MS, back_ms)
    assert await deadlines.sweep(store, TENANT, back_ms) == 1, "its lease ends, and no deadline with it"
    found = await handoffs.get(store, TENANT, lease.handoff_id)
    assert (found.state, found.holder, found.score_ms) == ("waiting", None, waited.score_ms)
    assert found.expires_at_ms == max(waited.expires_at_ms, back_ms + RETURNED_MS)
    told = await outbox.read(store, keys.place(TENANT, 0), "test", 100)
    assert [(each.type, each.actor, each.detail) for each in told][-1] == ("handoff.lapsed", ACTOR, "mia")

    mine = await handoffs.claim_one(store, TENANT, lease.handoff_id, Claiming("mia", LEASE_MS), back_ms + 1)
    assert (mine.handoff.state, mine.handoff.holder) == ("leased", "mia")
    assert [each.fields for each in await drafts.of_handoff(store, mine.handoff)] == [{"text": "half a sen"}]
    await store.close()


async def test_a_hold_outlives_an_outage_that_ends_before_it(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    _, lease = await at_work(store, ruleset)
    await handoffs.hold(store, TENANT, lease, NOW + 3_600_000, "asks the bank", NOW + 11_000)
    own_server.kill()
    await again(own_server, store)
    assert await deadlines.sweep(store, TENANT, NOW + 3_599_999) == 0
    resumed = await handoffs.resume(store, TENANT, lease, LEASE_MS, NOW + 3_599_999)
    assert (resumed.state, resumed.holder) == ("leased", "mia")
    await store.close()


def test_the_page_has_the_spans_that_the_code_has() -> None:
    words = " ".join((Path(__file__).parents[2] / "docs" / "operations.md").read_text().split())
    assert f"(`HANDRAIL_LEASE_MS`, {Settings.model_fields['lease_ms'].default // 1_000} seconds)" in words
    assert RETURNED_MS == 2 * 60_000
    assert "A deadline that passed meanwhile becomes two minutes from then" in words
