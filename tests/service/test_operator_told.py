"""Webhooks say whom an event concerns, where that is not who did it: a push notice finds the person."""

from __future__ import annotations

import orjson
import pytest

from rules.compile.operators import compile_operators
from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from service.flows import handoffs, operators, webhook_events
from service.flows.access import Store
from service.flows.decide import decide
from service.flows.handoffs import Claiming, Lease
from service.store import outbox
from service.store.webhooks import Delivery
from tests.service.turns import turn

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
SECOND, MINUTE = 1_000, 60_000
RULES = """\
handrail: 1
queues:
  calls:
    answer_within: 20m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
    offer_for: 30s
  tier1:
    answer_within: 20m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
rules:
  - {id: calls, why: x, when: confidence < 0.5, then: {escalate: calls}}
"""
TEAM = "operators: [{name: mia, capacity: 2}, {name: ben, capacity: 2}]"


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return build(files_or_raise({"rules.yaml": RULES}))


async def concerned(store: Store, tenant: str) -> list[tuple[str, str, str | None]]:
    """Return of every event told so far who did it, and whom its webhook names besides: empty for no such word."""
    events = await outbox.read(store, store.places(tenant)[0], "tests", 500)
    bodies = [orjson.loads(webhook_events.body_of(Delivery.of(event, "hook"))) for event in events]
    told = [(body["type"].removeprefix("handrail."), body["data"]) for body in bodies]
    return [(name, data["actor"], data.get("operator", "")) for name, data in told if name.startswith("handoff.")]


async def test_whoever_is_offered_lets_go_falls_silent_or_is_sent_it_is_named(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    found, _ = compile_operators({"operators.yaml": TEAM})
    await operators.declare(store, tenant, found, "boss", NOW, replacing=True)
    await operators.heartbeat(store, tenant, "ben", NOW)
    decided = await decide(store, ruleset, tenant, turn("c1", None, confidence=0.3), NOW)
    handoff_id = decided.decision.handoff_id or ""
    await handoffs.expire_due(store, tenant, 0, NOW)
    await handoffs.expire_due(store, tenant, 0, NOW + 31 * SECOND)
    claimed = await handoffs.claim_one(store, tenant, handoff_id, Claiming("mia", MINUTE), NOW + 40 * SECOND)
    lease = Lease(handoff_id, claimed.token)
    await handoffs.transfer(store, ruleset, tenant, lease, "tier1", "ben", NOW + 50 * SECOND)
    again = await handoffs.claim_one(store, tenant, handoff_id, Claiming("ben", MINUTE), NOW + 60 * SECOND)
    await handoffs.lapse_due(store, tenant, 0, NOW + 3 * MINUTE)
    third = await handoffs.claim_one(store, tenant, handoff_id, Claiming("mia", MINUTE), NOW + 4 * MINUTE)
    assert again.token != third.token
    to_a_queue = Lease(handoff_id, third.token)
    await handoffs.transfer(store, ruleset, tenant, to_a_queue, "tier1", None, NOW + 4 * MINUTE)
    assert await concerned(store, tenant) == [
        ("handoff.opened", "agent", ""),
        ("handoff.offered", "handrail", "ben"),
        ("handoff.let_go", "handrail", "ben"),
        ("handoff.claimed", "mia", ""),
        ("handoff.transferred", "mia", "ben"),
        ("handoff.claimed", "ben", ""),
        ("handoff.lapsed", "handrail", "ben"),
        ("handoff.claimed", "mia", ""),
        ("handoff.transferred", "mia", None),
    ]
