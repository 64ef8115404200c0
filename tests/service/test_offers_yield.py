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
from service.flows.handoffs import Claiming, Lease
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


@pytest.mark.parametrize("channel", ["high", "urgent"])
async def test_what_is_far_more_urgent_is_offered_at_once_while_all_are_asked_for_less(
    desk: Desk, channel: str
) -> None:
    low = [await desk.asks("low", NOW + number, number) for number in range(2)]
    await desk.works("ben", "mia", at_ms=NOW + SECOND)
    assert {(await desk.now(each.handoff_id)).reserved_for for each in low} == {"ben", "mia"}
    last = await desk.now(low[1].handoff_id)
    urgent = await desk.asks(channel, NOW + 2 * SECOND)
    await desk.works(at_ms=NOW + 2 * SECOND)
    # The least urgent goes, with its place, and nobody has let it go by.
    gone = await desk.now(low[1].handoff_id)
    assert (gone.reserved_for, gone.score_ms, gone.route.passed_by) == (None, last.score_ms, ())
    assert (await desk.now(low[0].handoff_id)).reserved_for is not None
    assert (await desk.now(urgent.handoff_id)).reserved_for == last.reserved_for
    whom = last.reserved_for or ""
    assert (await desk.told())[-2:] == [
        (last.handoff_id, "handoff.let_go", whom),
        (urgent.handoff_id, "handoff.offered", whom),
    ]
    # It is theirs again once they are free, and nobody is asked anything else meanwhile.
    await desk.works(at_ms=NOW + 20 * SECOND)
    assert await desk.told() == []
    await handoffs.decline(desk.store, desk.tenant, urgent.handoff_id, whom, NOW + 21 * SECOND)
    await desk.works(at_ms=NOW + 31 * SECOND)
    assert whom in {(await desk.now(each.handoff_id)).reserved_for for each in low}


async def test_a_little_more_urgent_is_no_reason_to_take_from_somebody_what_they_are_reading(desk: Desk) -> None:
    asked = [await desk.asks("normal", NOW, number) for number in range(2)]
    await desk.works("ben", "mia")
    await desk.told()
    high = await desk.asks("high", NOW + SECOND)
    await desk.works(at_ms=NOW + SECOND)
    assert (await desk.now(high.handoff_id)).reserved_for is None
    assert await desk.told() == []
    urgent = await desk.asks("urgent", NOW + 2 * SECOND)
    await desk.works(at_ms=NOW + 2 * SECOND)
    assert (await desk.now(urgent.handoff_id)).reserved_for is not None
    assert None in [(await desk.now(each.handoff_id)).reserved_for for each in asked]


async def test_the_offer_of_a_call_goes_for_whatever_is_more_urgent(desk: Desk) -> None:
    for number in range(2):
        await desk.asks("brief", NOW, number)
    await desk.works("ben", "mia", at_ms=NOW + SECOND)
    await desk.works(at_ms=NOW + SECOND)
    assert {each.reserved_for for each in await desk.owed()} == {"ben", "mia"}
    high = await desk.asks("high", NOW + 2 * SECOND)
    normal = await desk.asks("normal", NOW + 2 * SECOND)
    await desk.works(at_ms=NOW + 2 * SECOND)
    assert (await desk.now(high.handoff_id)).reserved_for is not None
    assert (await desk.now(normal.handoff_id)).reserved_for is None
    assert [each.reserved_for is None for each in await desk.owed()].count(True) == 1


async def test_nothing_is_withdrawn_while_somebody_else_is_free_or_where_they_let_it_go_by(desk: Desk) -> None:
    low = await desk.asks("low")
    await desk.works("ben")
    urgent = await desk.asks("urgent", NOW + SECOND)
    await desk.works("mia", at_ms=NOW + SECOND)
    assert (await desk.now(urgent.handoff_id)).reserved_for == "mia"
    await handoffs.decline(desk.store, desk.tenant, urgent.handoff_id, "mia", NOW + 2 * SECOND)
    # Ben is asked for it instead of the lesser one, which is mia's now; she let the urgent one go by and keeps hers.
    for second in range(2, 6):
        await desk.works(at_ms=NOW + second * SECOND)
    assert (await desk.now(urgent.handoff_id)).reserved_for == "ben"
    assert (await desk.now(low.handoff_id)).reserved_for == "mia"
    await handoffs.decline(desk.store, desk.tenant, urgent.handoff_id, "ben", NOW + 6 * SECOND)
    for second in range(6, 20):
        await desk.works(at_ms=NOW + second * SECOND)
    assert (await desk.now(urgent.handoff_id)).reserved_for is None
    assert (await desk.now(low.handoff_id)).reserved_for == "mia"


async def test_what_was_taken_or_sent_by_a_colleague_is_never_withdrawn(desk: Desk) -> None:
    low = [await desk.asks("low", NOW, number) for number in range(2)]
    await desk.works("ben", "mia")
    held = await desk.now(low[0].handoff_id)
    whom = held.reserved_for or ""
    other = {"ben": "mia", "mia": "ben"}[whom]
    claiming = Claiming(whom, MINUTE, declared=Operator(whom))
    mine = await handoffs.claim_one(desk.store, desk.tenant, held.handoff_id, claiming, NOW + SECOND)
    lease = Lease(held.handoff_id, mine.token)
    await handoffs.decline(desk.store, desk.tenant, low[1].handoff_id, other, NOW + SECOND)
    await handoffs.transfer(desk.store, desk.rules, desk.tenant, lease, None, other, NOW + SECOND)
    sent = await desk.now(held.handoff_id)
    assert (sent.reserved_for, sent.route.kept_as) == (other, "sent")
    await operators.leave(desk.store, desk.tenant, whom)
    urgent = await desk.asks("urgent", NOW + 2 * SECOND)
    await desk.works(at_ms=NOW + 2 * SECOND)
    assert (await desk.now(held.handoff_id)).reserved_for == other
    assert (await desk.now(urgent.handoff_id)).reserved_for is None
