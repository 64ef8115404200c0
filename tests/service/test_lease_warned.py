"""Every way in which a lease or a hold begins says when it did, so that the warning lies within it."""

from __future__ import annotations

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.handoff import Handoff
from service.api.handoff_answers import claimed_answer, handoff_answer
from service.flows import deadlines, handoffs
from service.flows.access import Store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, Lease
from tests.service.conftest import RULES
from tests.service.turns import angry

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
LEASE_MS = 5_000  # the shortest that the settings allow
RULESET = build(files_or_raise({"rules.yaml": RULES}))


def warned(handoff: Handoff) -> tuple[object, object]:
    answer = handoff_answer(handoff)
    return answer["lease_warn_at_ms"], answer["lease_expires_at_ms"]


async def test_the_warning_lies_in_each_lease_however_it_began(store: Store, tenant: str) -> None:
    await decide(store, RULESET, tenant, angry("c1"), NOW)
    asked = Claiming("mia", LEASE_MS)
    claimed = await handoffs.claim_next(store, RULESET, tenant, None, asked, NOW)
    assert isinstance(claimed, Claimed)
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    assert warned(claimed.handoff) == (NOW + 3_750, NOW + 5_000)
    assert claimed_answer(claimed, ())["lease"] == {
        "token": claimed.token,
        "expires_at_ms": NOW + 5_000,
        "warn_at_ms": NOW + 3_750,
    }
    renewed = await handoffs.renew(store, tenant, lease, LEASE_MS, NOW + 4_000)
    assert warned(renewed) == (NOW + 7_750, NOW + 9_000)
    said = await handoffs.reply(store, tenant, lease, "Hello", LEASE_MS, NOW + 5_000)
    assert warned(said) == (NOW + 8_750, NOW + 10_000)
    held = await handoffs.hold(store, tenant, lease, NOW + 46_000, None, NOW + 6_000)
    assert warned(held) == (NOW + 36_000, NOW + 46_000)
    resumed = await handoffs.resume(store, tenant, lease, LEASE_MS, NOW + 7_000)
    assert warned(resumed) == (NOW + 10_750, NOW + 12_000)
    again = Claiming("mia", LEASE_MS, again=True)
    second = await handoffs.claim_one(store, tenant, lease.handoff_id, again, NOW + 8_000)
    assert warned(second.handoff) == (NOW + 11_750, NOW + 13_000)
    # Nobody has it any more, and whoever takes it next begins anew.
    assert await deadlines.lapse_due(store, tenant, 0, NOW + 13_000) == 1
    waits = await handoffs.get(store, tenant, lease.handoff_id)
    assert (waits.lease_began_at_ms, warned(waits)) == (None, (None, None))


async def test_a_hold_that_is_claimed_in_another_window_is_warned_of_when_it_was(store: Store, tenant: str) -> None:
    await decide(store, RULESET, tenant, angry("c1"), NOW)
    claimed = await handoffs.claim_next(store, RULESET, tenant, None, Claiming("mia", LEASE_MS), NOW)
    assert isinstance(claimed, Claimed)
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    held = await handoffs.hold(store, tenant, lease, NOW + 41_000, None, NOW + 1_000)
    again = Claiming("mia", LEASE_MS, again=True)
    second = await handoffs.claim_one(store, tenant, lease.handoff_id, again, NOW + 30_000)
    assert warned(second.handoff) == warned(held) == (NOW + 31_000, NOW + 41_000)
    told = claimed_answer(second, ())["lease"]
    assert isinstance(told, dict)
    assert (told["warn_at_ms"], told["expires_at_ms"]) == (NOW + 31_000, NOW + 41_000)
