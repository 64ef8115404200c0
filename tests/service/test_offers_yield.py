"""Offers that give way, on the real server: a call is offered once to each, and a lesser offer for a greater need."""

from __future__ import annotations

from collections import Counter

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.handoff import Handoff
from rules.routing.operators import Operator
from service.flows import deadlines, handoffs, operators
from service.flows.access import Store
from service.flows.decide import decide
from service.store import outbox
from tests.service.turns import turn

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
SECOND, MINUTE = 1_000, 60_000
RULES = """
handrail: 1
queues:
  tier1:
    answer_within: 4h
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "One moment."}
    offer_for: 30s
  brief:
    answer_within: 1s
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "One moment."}
    offer_for: 30s
  due:
    answer_within: 1s
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "One moment."}
    calls: {queue: tier1, within: 1h}
rules:
  - {id: urgent, why: x, when: channel = urgent, then: {escalate: tier1, priority: urgent}}
  - {id: high, why: x, when: channel = high, then: {escalate: tier1, priority: high}}
  - {id: normal, why: x, when: channel = normal, then: {escalate: tier1}}
  - {id: low, why: x, when: channel = low, then: {escalate: tier1, priority: low}}
  - {id: brief, why: x, when: channel = brief, then: {escalate: brief}}
  - {id: due, why: x, when: channel = due, then: {escalate: due}}
"""


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    return build(files_or_raise({"rules.yaml": RULES}))


class Desk:
    """A store, its rules and its tenant, with the verbs that these tests use."""

    def __init__(self, store: Store, rules: Ruleset, tenant: str) -> None:
        self.store, self.rules, self.tenant = store, rules, tenant

    async def asks(self, channel: str, at_ms: int = NOW, number: int = 1) -> Handoff:
        asked = turn(f"{channel}-{number}", None, channel=channel)
        decided = await decide(self.store, self.rules, self.tenant, asked, at_ms)
        return await self.now(decided.decision.handoff_id or "")

    async def now(self, handoff_id: str) -> Handoff:
        return await handoffs.get(self.store, self.tenant, handoff_id)

    async def works(self, *names: str, at_ms: int = NOW) -> None:
        """Let these people say that they are there, and a worker do what is due."""
        for name in names:
            await operators.heartbeat(self.store, self.tenant, name, at_ms)
        await deadlines.sweep(self.store, self.tenant, at_ms)

    async def owed(self) -> list[Handoff]:
        """Return the promised calls that wait."""
        page = await handoffs.list_open(self.store, self.tenant, None, None, None, 100)
        return [each for each in page.handoffs if each.call is not None]

    async def told(self) -> list[tuple[str, str, str]]:
        """Return what was told of offers since the last time: of which handoff, what, and of whom."""
        found = []
        for place in self.store.places(self.tenant):
            events = await outbox.read(self.store, place, "test", 500)
            await outbox.ack(self.store, place, [event.entry_id for event in events])
            found += [event for event in events if event.type in ("handoff.offered", "handoff.let_go")]
        return [(event.handoff_id or "", event.type, event.detail) for event in found]


@pytest.fixture
async def desk(store: Store, rules: Ruleset, tenant: str) -> Desk:
    team = (Operator("ben"), Operator("mia"))
    assert await operators.declare(store, tenant, team, "boss", NOW, replacing=True) == 2
    return Desk(store, rules, tenant)


async def test_a_call_is_offered_once_to_each_and_then_left_to_whoever_claims_it(desk: Desk) -> None:
    for number in range(3):
        await desk.asks("brief", number=number)
    for second in range(0, 600, 5):
        await desk.works("ben", "mia", at_ms=NOW + second * SECOND)
    calls = {each.handoff_id for each in await desk.owed()}
    assert len(calls) == 3
    # In their one second the handoffs before them were offered as well.
    assert Counter(each for each in await desk.told() if each[0] in calls) == {
        (call, event, name): 1
        for call in calls
        for event in ("handoff.offered", "handoff.let_go")
        for name in ("ben", "mia")
    }
    # Whoever comes later has not been asked for any of them.
    await operators.declare(desk.store, desk.tenant, [Operator("zoe")], "boss", NOW, replacing=False)
    await desk.works("zoe", at_ms=NOW + 610 * SECOND)
    assert [each.reserved_for for each in await desk.owed()].count("zoe") == 1


async def test_a_call_that_is_due_is_offered_to_everybody_once_more(desk: Desk) -> None:
    await desk.asks("due")
    for second in range(0, 3_600, 10):
        await desk.works("ben", "mia", at_ms=NOW + second * SECOND)
    once = Counter(await desk.told())
    assert (len(once), set(once.values())) == (4, {1})
    for second in range(3_600, 7_200, 10):
        await desk.works("ben", "mia", at_ms=NOW + second * SECOND)
    assert Counter(await desk.told()) == once
