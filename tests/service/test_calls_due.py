"""`calls` of the rule files on the real server: a promised call waits for whom they name, and is due when they say."""

from __future__ import annotations

from typing import Any

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.handoff import NO_DEADLINE_AT_MS, Call, Handoff
from rules.model import Need
from rules.turn import AgentRef, ToolCall
from service.api.call_answers import call_answer
from service.flows import budgets, deadlines, handoffs
from service.flows.access import Store
from service.flows.decide import Decided, decide
from service.flows.handoffs import Claimed, Claiming, HandingBack, Lease, NothingWaiting, Resolving
from service.store import outbox, queues
from tests.service.turns import turn

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
MISSED = NOW + 15 * MINUTE
DUE = MISSED + 4 * HOUR
RULES = """
handrail: 1
queues:
  tier1:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: "We will call you back."}}
    say: {en: "One moment."}
    needs: [chat]
    ladder: [{after: 10m, needs: []}]
    budget: {minutes: 6, over: 1h, minutes_each: 6}
    calls: {queue: callbacks, within: 4h}
  night:
    answer_within: 5m
    on_timeout: {verdict: escalate, queue: tier1, say: {en: "Still looking."}}
    say: {en: "One moment."}
  own:
    answer_within: 15m
    warn_before: 5m
    on_timeout: {verdict: callback, say: {en: "We will call you back."}}
    say: {en: "One moment."}
    calls: {within: 1h}
  approvals:
    answer_within: 5m
    on_timeout: {verdict: deny, say: {en: "That cannot be done now."}}
    say: {en: "One moment."}
  flooded:
    answer_within: 15m
    flood: {agent: 2 in 10m}
    on_timeout: {verdict: callback, say: {en: "We will call you back."}}
    say: {en: "One moment."}
    calls: {queue: callbacks, within: 4h}
  callbacks:
    answer_within: 8h
    warn_before: 30m
    needs: {telephone: 2}
    resolve_within: 9h
    on_timeout: {verdict: deny, say: {en: "Nobody can be reached."}}
    say: {en: "A colleague will call you."}
rules:
  - {id: angry, why: x, when: sentiment < -0.8, then: {escalate: tier1}}
  - {id: sooner, why: x, when: channel = sooner, then: {escalate: tier1, calls: {within: 1h}}}
  - {id: night, why: x, when: channel = night, then: {escalate: night}}
  - {id: own, why: x, when: channel = own, then: {escalate: own}}
  - {id: flooded, why: x, when: channel = flooded, then: {escalate: flooded}}
  - {id: held, why: x, when: {tool_call: {all: [name = pay, status = proposed]}}, then: {hold: approvals}}
  - id: busy
    why: x
    when: confidence < 0.3
    then: {escalate: tier1}
    when_busy: [{over: 100%, then: callback, say: {en: "We will call you today."}}]
"""


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    return build(files_or_raise({"rules.yaml": RULES}))


class Desk:
    """A store, its rules and its tenant, with the verbs that these tests use."""

    def __init__(self, store: Store, rules: Ruleset, tenant: str) -> None:
        self.store, self.rules, self.tenant = store, rules, tenant

    async def asks(self, one: str = "c1", at_ms: int = NOW, **fields: object) -> Decided:
        return await decide(self.store, self.rules, self.tenant, turn(one, None, locale="en", **fields), at_ms)

    async def works(self, at_ms: int) -> None:
        await deadlines.sweep(self.store, self.tenant, at_ms)

    async def get(self, handoff_id: str | None) -> Handoff:
        return await handoffs.get(self.store, self.tenant, handoff_id or "")

    async def missed(self) -> Handoff:
        """Return the call that waits after a handoff that nobody took in time."""
        decided = await self.asks(sentiment=-0.9)
        await self.works(MISSED)
        return await self.get((await self.get(decided.decision.handoff_id)).call_id)

    async def claims(self, queue: str | None, at_ms: int) -> Claimed | NothingWaiting:
        claiming = Claiming("mia", HOUR)
        return await handoffs.claim_next(self.store, self.rules, self.tenant, queue, claiming, at_ms)

    async def told(self) -> list[tuple[str, str]]:
        events = await outbox.read(self.store, self.store.places(self.tenant)[0], "test", 500)
        return [(event.type, event.handoff_id or "") for event in events]


@pytest.fixture
def desk(store: Store, rules: Ruleset, tenant: str) -> Desk:
    return Desk(store, rules, tenant)


async def test_a_promised_call_waits_for_the_people_who_make_calls_and_is_due(desk: Desk) -> None:
    call = await desk.missed()
    assert (call.queue, call.expires_at_ms, call.route.resolve_by_ms) == ("callbacks", NO_DEADLINE_AT_MS, DUE)
    assert call.call is not None
    assert (call.call.promised_at_ms, call.call.due_at_ms) == (MISSED, DUE)
    assert call.route.needs == (Need("telephone", 2),), "as its own queue asks, not the one in which it was promised"
    assert (call.route.since_at_ms, call.route.widened) == (MISSED, ())
    assert isinstance(await desk.claims("tier1", MISSED + 1), NothingWaiting)
    claimed = await desk.claims("callbacks", MISSED + 1)
    assert isinstance(claimed, Claimed)
    assert claimed.packet.task.sentence == (
        'call the customer back: promised at 2027-01-15 08:15 UTC with the words "We will call you back.", '
        "due by 2027-01-15 12:15 UTC; then resolve it with how it went"
    )
    assert claimed.packet.task.answer_by_ms is None
    answer = call_answer(claimed.handoff)
    assert answer is not None
    assert answer["due_at_ms"] == DUE
    lease = Lease(call.handoff_id, claimed.token)
    await handoffs.resolve(desk.store, desk.tenant, lease, Resolving("take_over", "needed"), MISSED + 2)
    await desk.works(DUE + HOUR)
    assert [kind for kind, of in await desk.told() if of == call.handoff_id] == [
        "handoff.call_owed",
        "handoff.claimed",
        "handoff.resolved",
    ]


async def test_who_makes_calls_is_warned_and_a_missed_one_becomes_urgent_and_never_ends_by_itself(desk: Desk) -> None:
    call = await desk.missed()
    await desk.works(DUE - 30 * MINUTE - 1)
    assert (await desk.get(call.handoff_id)).version == call.version
    for at_ms in (DUE - 30 * MINUTE, DUE, DUE + HOUR, DUE + 300 * 24 * HOUR):
        await desk.works(at_ms)
    late = await desk.get(call.handoff_id)
    assert (late.state, late.priority, late.score_ms) == ("waiting", "urgent", MISSED)
    assert [kind for kind, of in await desk.told() if of == call.handoff_id] == [
        "handoff.call_owed",
        "handoff.resolve_near",
        "handoff.resolve_missed",
    ]


async def test_a_missed_call_is_told_of_also_while_somebody_has_it(desk: Desk) -> None:
    call = await desk.missed()
    claimed = await desk.claims("callbacks", MISSED + 1)
    assert isinstance(claimed, Claimed)
    until_ms = MISSED + 5 * HOUR
    await handoffs.hold(desk.store, desk.tenant, Lease(call.handoff_id, claimed.token), until_ms, None, MISSED + 2)
    await desk.works(DUE)
    assert [kind for kind, of in await desk.told() if of == call.handoff_id][-2:] == [
        "handoff.resolve_near",
        "handoff.resolve_missed",
    ]
    # Who has it keeps it, and what they put back is due no second time.
    held = await desk.get(call.handoff_id)
    assert (held.state, held.holder, held.priority, held.route.steps) == ("held", "mia", "urgent", ())


@pytest.mark.parametrize(
    ("channel", "missed_at_ms", "queue", "due_ms", "needs"),
    [
        pytest.param("sooner", MISSED, "tier1", HOUR, (), id="a rule's own go before its queue's, and stay there"),
        pytest.param("night", NOW + 20 * MINUTE, "callbacks", 4 * HOUR, (Need("telephone", 2),), id="who moved on"),
        pytest.param("own", MISSED, "own", HOUR, (), id="a queue whose own people call"),
    ],
)
async def test_whose_work_it_is_and_when_it_is_due(  # what is asked, and three of the answer
    desk: Desk, channel: str, missed_at_ms: int, queue: str, due_ms: int, needs: tuple[Need, ...]
) -> None:
    decided = await desk.asks(channel=channel)
    # A worker that comes each minute.
    for minute in range(1, 25):
        await desk.works(NOW + minute * MINUTE)
    call = await desk.get((await desk.get(decided.decision.handoff_id)).call_id)
    assert call.call is not None
    assert (call.queue, call.call.promised_at_ms, call.call.due_at_ms) == (queue, missed_at_ms, missed_at_ms + due_ms)
    assert (call.route.resolve_by_ms, call.route.needs) == (missed_at_ms + due_ms, needs)


async def test_what_takes_the_place_of_a_call_keeps_its_people_and_its_time(desk: Desk) -> None:
    call = await desk.missed()
    pay: Any = {"tool_calls": (ToolCall("pay", {"to": "W1"}, write=True, amount=20.0),), "reply": "I pay it."}
    held = await desk.get((await desk.asks("c1", MISSED + MINUTE, **pay)).decision.handoff_id)
    assert (held.handoff_id, held.kind, held.queue) == (call.handoff_id, "hold", "approvals")
    assert held.route.resolve_by_ms == DUE, "the customer was promised to be called by then"
    # Nobody looks at the draft: the hold is denied, and the call waits on where it did.
    await desk.works(MISSED + 7 * MINUTE)
    second = await desk.get((await desk.get(call.handoff_id)).call_id)
    assert second.call == Call(MISSED, "We will call you back.", call.handoff_id, DUE)
    assert (second.queue, second.route.resolve_by_ms) == ("callbacks", DUE)
    # Handed to colleagues, it is due all the same.
    claimed = await desk.claims("callbacks", MISSED + 8 * MINUTE)
    assert isinstance(claimed, Claimed)
    lease = Lease(second.handoff_id, claimed.token)
    sent = await handoffs.transfer(desk.store, desk.rules, desk.tenant, lease, "own", None, MISSED + 9 * MINUTE)
    assert (sent.queue, sent.expires_at_ms, sent.route.resolve_by_ms) == ("own", NO_DEADLINE_AT_MS, DUE)
    await desk.works(DUE)
    assert [kind for kind, of in await desk.told() if of == second.handoff_id][-1] == "handoff.resolve_missed"
    again = await desk.claims("own", DUE + 1)
    assert isinstance(again, Claimed)
    done = await handoffs.hand_back(
        desk.store, desk.tenant, Lease(second.handoff_id, again.token), HandingBack(), DUE + 2
    )
    assert done.call_id is None, "whoever ended the call has made it"


async def test_a_call_that_a_busy_queue_promises_waits_there_too(desk: Desk) -> None:
    await desk.asks("c1", confidence=0.2)
    assert await budgets.look_again(desk.store, NOW) == 1
    promised = await desk.asks("c2", NOW + 1, confidence=0.2)
    assert (promised.decision.verdict, promised.decision.say) == ("review", "We will call you today.")
    assert promised.decision.queue == "callbacks"
    call = await desk.get(promised.decision.handoff_id)
    due_at_ms = NOW + 1 + 4 * HOUR
    assert call.call == Call(NOW + 1, "We will call you today.", None, due_at_ms)
    assert (call.queue, call.route.resolve_by_ms, call.expires_at_ms) == ("callbacks", due_at_ms, NO_DEADLINE_AT_MS)
    assert call.route.needs == (Need("telephone", 2),)


async def test_the_calls_of_a_flood_are_a_flood_where_they_wait(desk: Desk) -> None:
    for number in range(5):
        await desk.asks(f"f{number}", channel="flooded", agent=AgentRef("bot"))
    await desk.works(MISSED)
    await desk.works(MISSED + 1)
    waiting = (await handoffs.list_open(desk.store, desk.tenant, "callbacks", "waiting", None, 100)).handoffs
    assert [each.call is not None and each.call.due_at_ms for each in waiting] == [DUE] * 5
    alone = [each for each in waiting if each.group is None or each.leads]
    grouped = [each for each in waiting if each not in alone]
    # The first two came before it was a flood; of the others one stands for all, here as there.
    assert [(each.group is not None, each.leads) for each in alone].count((True, True)) == 1
    assert (len(alone), len(grouped)) == (3, 2)
    for each in waiting:
        await desk.works(DUE)
        assert (await desk.get(each.handoff_id)).priority == "urgent", "each is due, also behind another one"


async def test_the_oldest_of_a_queue_is_who_waits_for_an_answer(desk: Desk) -> None:
    # Twenty-five calls that were promised long ago stand before the one who waits.
    for number in range(25):
        await desk.asks(f"c{number}", channel="own")
    await desk.works(MISSED)
    waiting, _, oldest_at_ms, _ = await queues.counts(desk.store, desk.tenant, "own")
    assert (waiting, oldest_at_ms) == (25, None), "calls are work that waits, and nobody waits for an answer"
    later_ms = MISSED + 50 * MINUTE
    await desk.asks("late", later_ms, channel="own")
    waiting, _, oldest_at_ms, _ = await queues.counts(desk.store, desk.tenant, "own")
    assert (waiting, oldest_at_ms) == (26, later_ms)
