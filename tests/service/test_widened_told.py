"""A step of a ladder on the real server: the event, its webhook, the audit log and the handoff say what it changed."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from handrail_client.answers import Handoff as ClientHandoff
from rules import moves
from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.model import Need
from rules.routing.widening import Widening
from service.api.handoff_answers import handoff_answer
from service.api.widened_answers import WidenedAnswer
from service.flows import deadlines, handoffs, webhook_events
from service.flows.access import Store
from service.flows.audit import AuditLog, read, verify
from service.flows.decide import decide
from service.store import outbox
from service.store.webhooks import Delivery
from tests.service.cli_run import handrail
from tests.service.turns import turn

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
MINUTE = 60_000
RULES = """\
handrail: 1
queues:
  cards:
    answer_within: 20m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
    needs: {fraud: 5}
    language: customer
    ladder:
      - {after: 10m, needs: {fraud: 3}, queues: [tier1], language: any, priority: high, page: on-call}
      - {after: 15m, page: managers}
  tier1:
    answer_within: 20m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
rules:
  - {id: cards, why: x, when: channel = cards, then: {escalate: cards}}
  - {id: first, why: x, when: channel = tier1, then: {escalate: tier1}}
"""
RULESET = build(files_or_raise({"rules.yaml": RULES}))
WIDENED = {
    "at_ms": NOW + 10 * MINUTE,
    "after_ms": 10 * MINUTE,
    "needs": {"before": {"fraud": 5}, "now": {"fraud": 3}},
    "queues_added": ["tier1"],
    "languages_dropped": ["es"],
    "priority": {"before": "normal", "now": "high"},
    "paged": "on-call",
}


async def test_everybody_is_told_which_step_acted_and_what_it_changed(
    store: Store, tenant: str, tmp_path: Path
) -> None:
    decided = await decide(store, RULESET, tenant, turn("c1", None, channel="cards", locale="es-MX"), NOW)
    # Ten seconds late: the step says when it was due, the event when it was taken.
    assert await deadlines.expire_due(store, tenant, 0, NOW + 10 * MINUTE + 10_000) == 1
    events = await outbox.read(store, store.places(tenant)[0], "test", 100)
    assert [(each.type, each.detail, each.widened) for each in events] == [
        ("handoff.opened", "", None),
        ("handoff.widened", "on-call", WIDENED),
    ]
    widened = events[1]
    body = orjson.loads(webhook_events.body_of(Delivery.of(widened, "hook")))
    assert body["data"] == {
        "tenant": tenant,
        "handoff_id": decided.decision.handoff_id,
        "conversation_id": "c1",
        "version": 2,
        "widened": WIDENED,
        "actor": "handrail",
        "at_ms": NOW + 10 * MINUTE + 10_000,
    }
    assert "widened" not in orjson.loads(webhook_events.body_of(Delivery.of(events[0], "hook")))["data"]

    AuditLog(tmp_path / "audit").append(0, events)
    assert [line.get("widened") for line in read(tmp_path / "audit")] == [None, WIDENED]
    assert verify(tmp_path / "audit").broken is None
    printed = handrail("audit", "list", "--data-dir", str(tmp_path)).stdout
    assert (
        "ladder, after 10m: needs fraud 3 instead of fraud 5 · operators of tier1 may take it too"
        " · an operator need not speak es any more · priority high instead of normal · pages on-call"
    ) in printed

    handoff = await handoffs.get(store, tenant, decided.decision.handoff_id or "")
    assert handoff.route.widened == (
        Widening(
            NOW + 10 * MINUTE,
            10 * MINUTE,
            (Need("fraud", 5),),
            (Need("fraud", 3),),
            ("tier1",),
            ("es",),
            "normal",
            "high",
            "on-call",
        ),
    )
    answer = handoff_answer(handoff)
    assert answer["widened"] == [WIDENED]
    WidenedAnswer.model_validate(WIDENED)
    (read_back,) = ClientHandoff.model_validate(orjson.loads(orjson.dumps(answer, default=vars))).widened
    assert (read_back.after_ms, read_back.needs and read_back.needs.now) == (10 * MINUTE, {"fraud": 3})


async def test_steps_are_listed_in_their_order_until_it_goes_to_another_queue(store: Store, tenant: str) -> None:
    decided = await decide(store, RULESET, tenant, turn("c1", None, channel="cards"), NOW)
    await deadlines.expire_due(store, tenant, 0, NOW + 16 * MINUTE)
    handoff = await handoffs.get(store, tenant, decided.decision.handoff_id or "")
    assert [each.paged for each in handoff.route.widened] == ["on-call", "managers"]
    there = moves.transferred(handoff, RULESET.files.queues["tier1"], MINUTE, None, 0, NOW + 17 * MINUTE)
    assert there.route.widened == ()
