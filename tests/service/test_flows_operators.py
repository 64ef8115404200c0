"""Who gets a handoff: skills, languages and capacity, who knows the customer, offers, and a ladder that widens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rules.compile.operators import compile_operators
from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.handoff import Handoff
from rules.routing.assignment import why
from rules.routing.operators import Absence, Operator
from rules.turn import Customer
from service.errors import AlreadyClaimed, CapacityReached, LimitReached, MoveIllegal, NotOffered, OperatorUnknown
from service.flows import handoffs, operators
from service.flows.access import Store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, Lease, NothingWaiting, Resolving
from service.store import outbox
from tests.service.turns import turn

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
SECOND, MINUTE = 1_000, 60_000
RULES = """\
handrail: 1
queues:
  cards:
    answer_within: 20m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
    needs: {fraud: 3}
    language: customer
    ladder:
      - {after: 5m, needs: [fraud], language: any}
      - {after: 10m, queues: [calls], skip_if: nobody_available}
      - {after: 15m, page: on-call, priority: urgent}
  known:
    answer_within: 20m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
    same_operator_for: 2m
  calls:
    answer_within: 20m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
    offer_for: 30s
rules:
  - {id: cards, why: x, when: channel = cards, then: {escalate: cards}}
  - {id: known, why: x, when: channel = known, then: {escalate: known}}
  - {id: calls, why: x, when: channel = calls, then: {escalate: calls}}
"""
TEAM = """\
operators:
  - {name: mia, skills: {fraud: 3}, languages: [en, es], capacity: 2}
  - {name: ben, skills: {fraud: 1}, languages: [en]}
  - {name: kim, queues: [calls], languages: [en], capacity: 1}
"""


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    return build(files_or_raise({"rules.yaml": RULES}))


@pytest.fixture
async def team(store: Store, tenant: str) -> None:
    found, problems = compile_operators({"operators.yaml": TEAM})
    assert problems == ()
    assert await operators.declare(store, tenant, found, "boss", NOW, replacing=True) == 3


class Desk:
    """A store, its rules and its tenant, with the verbs that these tests use."""

    def __init__(self, store: Store, rules: Ruleset, tenant: str) -> None:
        self.store, self.rules, self.tenant = store, rules, tenant

    async def asks(self, channel: str, number: int = 1, at_ms: int = NOW, **fields: object) -> Handoff:
        asked = turn(f"{channel}-{number}", None, channel=channel, **fields)
        decided = await decide(self.store, self.rules, self.tenant, asked, at_ms)
        return await handoffs.get(self.store, self.tenant, decided.decision.handoff_id or "")

    async def claims(self, name: str, at_ms: int = NOW) -> Claimed | NothingWaiting:
        declared = await operators.declared(self.store, self.tenant, name)
        claiming = Claiming(name, MINUTE, declared=declared)
        return await handoffs.claim_next(self.store, self.rules, self.tenant, None, claiming, at_ms)

    async def here(self, *names: str, at_ms: int = NOW) -> None:
        for name in names:
            await operators.heartbeat(self.store, self.tenant, name, at_ms)

    async def works(self, at_ms: int) -> None:
        await handoffs.expire_due(self.store, self.tenant, 0, at_ms)

    async def kept(self, channel: str, count: int) -> list[str]:
        """Return for whom each of the first handoffs of a channel is kept, in their order."""
        open_now = (await handoffs.list_open(self.store, self.tenant, None, None, None, 100)).handoffs
        whose = {each.conversation_id: each.reserved_for or "" for each in open_now}
        return [whose[f"{channel}-{number}"] for number in range(count)]

    async def told(self) -> list[tuple[str, str]]:
        events = await outbox.read(self.store, self.store.places(self.tenant)[0], "test", 500)
        return [(event.type, event.detail) for event in events if event.type.startswith("handoff.")]


@pytest.fixture
def desk(store: Store, rules: Ruleset, tenant: str, team: None) -> Desk:
    return Desk(store, rules, tenant)


async def test_only_who_can_do_it_gets_it_until_the_ladder_widens(desk: Desk) -> None:
    opened = await desk.asks("cards", locale="es-MX")
    assert isinstance(await desk.claims("ben"), NothingWaiting)
    assert isinstance(await desk.claims("ben", NOW + 5 * MINUTE - 1), NothingWaiting)
    claimed = await desk.claims("ben", NOW + 5 * MINUTE)
    assert isinstance(claimed, Claimed)
    assert claimed.handoff.handoff_id == opened.handoff_id
    assert claimed.handoff.route.languages == ()
    assert await desk.told() == [("handoff.opened", ""), ("handoff.widened", ""), ("handoff.claimed", "")]


async def test_the_customers_language_counts_while_the_queue_asks_for_it(desk: Desk) -> None:
    await desk.asks("cards", locale="de")
    assert isinstance(await desk.claims("mia"), NothingWaiting)
    await desk.asks("cards", 2, locale="es")
    claimed = await desk.claims("mia")
    assert isinstance(claimed, Claimed)
    assert claimed.handoff.conversation_id == "cards-2"


async def test_a_step_is_left_out_while_nobody_is_there_for_it(desk: Desk) -> None:
    await desk.asks("cards", locale="en")
    await desk.works(NOW + 11 * MINUTE)
    assert isinstance(await desk.claims("kim", NOW + 11 * MINUTE), NothingWaiting)
    other = await desk.asks("cards", 2, locale="en")
    await desk.here("ben", at_ms=NOW + 10 * MINUTE)
    await desk.works(NOW + 10 * MINUTE)
    assert (await handoffs.get(desk.store, desk.tenant, other.handoff_id)).route.also == ("calls",)
    told = [event for event, _ in await desk.told()]
    assert told.count("handoff.step_skipped") == 1
    assert told.count("handoff.widened") == 3


async def test_at_its_end_the_ladder_pages_and_raises_and_a_claim_stops_it(desk: Desk) -> None:
    waiting, taken = await desk.asks("cards", locale="en"), await desk.asks("cards", 2, locale="en")
    declared = await operators.declared(desk.store, desk.tenant, "mia")
    claiming = Claiming("mia", 60 * MINUTE, declared=declared)
    await handoffs.claim_one(desk.store, desk.tenant, taken.handoff_id, claiming, NOW)
    for _ in range(2):  # a second run finds nothing to do
        await desk.works(NOW + 15 * MINUTE)
    late = await handoffs.get(desk.store, desk.tenant, waiting.handoff_id)
    assert (late.priority, late.score_ms) == ("urgent", NOW)
    assert (await handoffs.get(desk.store, desk.tenant, taken.handoff_id)).priority == "normal"
    assert [detail for event, detail in await desk.told() if event == "handoff.widened"] == ["", "on-call"]


async def test_whoever_knows_the_customer_is_asked_first_if_they_are_there(desk: Desk) -> None:
    first = await desk.asks("known", customer=Customer("cus_1"))
    assert first.reserved_for is None
    claimed = await desk.claims("ben")
    assert isinstance(claimed, Claimed)
    lease = Lease(first.handoff_id, claimed.token)
    await handoffs.resolve(desk.store, desk.tenant, lease, Resolving("answer", "needed"), NOW)
    # Away, so nobody waits for them.
    assert (await desk.asks("known", 2, customer=Customer("cus_1"))).reserved_for is None
    await desk.here("ben")
    again = await desk.asks("known", 3, customer=Customer("cus_1"))
    assert (again.reserved_for, again.reserved_until_at_ms) == ("ben", NOW + 2 * MINUTE)
    assert (await desk.asks("known", 4, customer=Customer("cus_2"))).reserved_for is None
    # Others get the two that are not kept, and after two minutes the third as well.
    assert [isinstance(await desk.claims("mia"), Claimed) for _ in range(2)] == [True, True]
    taken = [await desk.claims("sam", NOW + 2 * MINUTE) for _ in range(3)]
    assert again.handoff_id in {each.handoff.handoff_id for each in taken if isinstance(each, Claimed)}


async def test_an_offer_goes_to_the_freest_and_moves_on_when_they_let_it_go_by(desk: Desk) -> None:
    await desk.here("ben", "kim")
    opened = await desk.asks("calls")
    await desk.works(NOW)
    offered = await handoffs.get(desk.store, desk.tenant, opened.handoff_id)
    assert (offered.reserved_for, offered.reserved_until_at_ms) == ("ben", NOW + 30 * SECOND)
    assert isinstance(await desk.claims("kim"), NothingWaiting)
    await desk.works(NOW + 30 * SECOND)
    offered = await handoffs.get(desk.store, desk.tenant, opened.handoff_id)
    assert (offered.reserved_for, offered.route.passed_by) == ("kim", ("ben",))
    claimed = await desk.claims("kim", NOW + 31 * SECOND)
    assert isinstance(claimed, Claimed)
    assert await desk.told() == [
        ("handoff.opened", ""),
        ("handoff.offered", "ben"),
        ("handoff.let_go", "ben"),
        ("handoff.offered", "kim"),
        ("handoff.claimed", ""),
    ]


async def test_nobody_is_there_so_it_is_offered_to_whoever_comes(desk: Desk) -> None:
    opened = await desk.asks("calls")
    await desk.works(NOW)
    await desk.works(NOW + SECOND)
    assert (await handoffs.get(desk.store, desk.tenant, opened.handoff_id)).reserved_for is None
    await desk.here("kim", at_ms=NOW + SECOND)
    await desk.works(NOW + 2 * SECOND)
    assert (await handoffs.get(desk.store, desk.tenant, opened.handoff_id)).reserved_for == "kim"


async def test_looking_in_vain_is_no_change_for_anybody_who_waits_for_one(desk: Desk) -> None:
    opened = await desk.asks("calls")
    for second in range(5):
        await desk.works(NOW + second * SECOND)
    looked = await handoffs.get(desk.store, desk.tenant, opened.handoff_id)
    assert (looked.version, looked.route.offer_at_ms) == (opened.version, NOW + 5 * SECOND)


async def test_several_at_once_are_spread_and_nobody_is_offered_more_than_they_can_take(desk: Desk) -> None:
    await desk.here("ben", "kim")
    for number in range(4):
        await desk.asks("calls", number, NOW + number)
    await desk.works(NOW + 4)
    # Ben declares no capacity and is offered one at a time; kim has room for one.
    assert sorted(await desk.kept("calls", 4)) == ["", "", "ben", "kim"]
    # A process that looks anew knows what was offered before it.
    await desk.works(NOW + 2 * SECOND)
    assert sorted(await desk.kept("calls", 4)) == ["", "", "ben", "kim"]


async def test_whoever_becomes_free_is_offered_the_most_urgent_whichever_is_looked_at_first(desk: Desk) -> None:
    for number in range(3):
        await desk.asks("calls", number, NOW + number * MINUTE)
        await desk.works(NOW + number * MINUTE)
    # The youngest is looked at first, and the oldest is not due for seconds.
    await desk.here("kim", at_ms=NOW + 2 * MINUTE)
    await desk.works(NOW + 2 * MINUTE + SECOND)
    assert await desk.kept("calls", 3) == ["kim", "", ""]
    await desk.here("ben", at_ms=NOW + 2 * MINUTE)
    await desk.works(NOW + 2 * MINUTE + 5 * SECOND)
    assert await desk.kept("calls", 3) == ["kim", "ben", ""]


async def test_every_assignment_keeps_why_it_was_made_whatever_changes_afterwards(desk: Desk) -> None:
    opened = await desk.asks("cards", locale="es")
    first = await desk.claims("mia", NOW + 9 * SECOND)
    assert isinstance(first, Claimed)
    await handoffs.lapse_due(desk.store, desk.tenant, 0, NOW + 12 * MINUTE)
    await desk.works(NOW + 15 * MINUTE)
    second = await desk.claims("ben", NOW + 16 * MINUTE)
    assert isinstance(second, Claimed)
    lease = Lease(opened.handoff_id, second.token)
    await handoffs.transfer(desk.store, desk.rules, desk.tenant, lease, None, "kim", NOW + 16 * MINUTE)
    third = await desk.claims("kim", NOW + 17 * MINUTE)
    assert isinstance(third, Claimed)
    left = third.handoff.expires_at_ms - NOW - 17 * MINUTE
    assert [why(third.handoff, each) for each in third.handoff.assignments] == [
        "the most urgent of all that mia could take; it had waited 9s; 19m 51s before its deadline; priority normal; "
        "it needed fraud 3 and someone who speaks es; mia had 0 of 2 in hand",
        "the most urgent of all that ben could take; it had waited 16m; 4m before its deadline; priority urgent; "
        "it needed fraud",
        f"ben sent it to kim; it had waited 17m; {left // MINUTE}m before its deadline; priority urgent; "
        "it needed fraud; kim had 0 of 1 in hand",
    ]


async def test_only_the_last_assignments_are_kept(desk: Desk) -> None:
    opened = await desk.asks("known")
    for minute in range(22):
        taken = await desk.claims("mia", NOW + minute * SECOND)
        assert isinstance(taken, Claimed)
        await handoffs.release(desk.store, desk.tenant, Lease(opened.handoff_id, taken.token), NOW + minute * SECOND)
    kept = (await handoffs.get(desk.store, desk.tenant, opened.handoff_id)).assignments
    assert [each.at_ms for each in kept] == [NOW + second * SECOND for second in range(2, 22)]


async def test_whoever_declines_lets_it_go_on_at_once(desk: Desk) -> None:
    await desk.here("ben", "kim")
    opened = await desk.asks("calls")
    await desk.works(NOW)
    with pytest.raises(AlreadyClaimed) as other:
        await handoffs.decline(desk.store, desk.tenant, opened.handoff_id, "kim", NOW + SECOND)
    assert other.value.detail == f"{opened.handoff_id} is reserved for ben"
    unoffered = await desk.asks("known")
    with pytest.raises(NotOffered) as nobody:
        await handoffs.decline(desk.store, desk.tenant, unoffered.handoff_id, "kim", NOW + SECOND)
    assert (nobody.value.code, nobody.value.detail, nobody.value.hint) == (
        "move_illegal",
        f"{unoffered.handoff_id} is not offered to you",
        "there is nothing to decline; claim it if you want it",
    )
    for _ in range(2):
        after = await handoffs.decline(desk.store, desk.tenant, opened.handoff_id, "ben", NOW + SECOND)
        assert (after.reserved_for, after.route.passed_by) == ("kim", ("ben",))
    assert [each for each in await desk.told() if each[0] != "handoff.opened"] == [
        ("handoff.offered", "ben"),
        ("handoff.let_go", "ben"),
        ("handoff.offered", "kim"),
    ]


async def test_an_offer_that_went_by_is_nobodys_to_decline(desk: Desk) -> None:
    await desk.here("ben", "kim")
    opened = await desk.asks("calls", 0)
    await desk.works(NOW)
    # Ben's time is over, and it is offered to kim.
    await desk.works(NOW + 31 * SECOND)
    with pytest.raises(AlreadyClaimed) as late:
        await handoffs.decline(desk.store, desk.tenant, opened.handoff_id, "ben", NOW + 32 * SECOND)
    assert late.value.detail == f"{opened.handoff_id} is reserved for kim"
    # Kim lets it go by too; nobody is asked any more for a while.
    await desk.works(NOW + 62 * SECOND)
    with pytest.raises(NotOffered):
        await handoffs.decline(desk.store, desk.tenant, opened.handoff_id, "ben", NOW + 63 * SECOND)
    claimed = await desk.claims("kim", NOW + 64 * SECOND)
    assert isinstance(claimed, Claimed)
    with pytest.raises(MoveIllegal) as taken:
        await handoffs.decline(desk.store, desk.tenant, opened.handoff_id, "ben", NOW + 65 * SECOND)
    assert taken.value.detail == "cannot decline a handoff that is `leased`"


async def test_nobody_has_more_in_hand_than_was_declared_and_what_ends_makes_room(desk: Desk) -> None:
    for number in range(3):
        await desk.asks("known", number)
    held = [await desk.claims("mia") for _ in range(2)]
    with pytest.raises(CapacityReached) as full:
        await desk.claims("mia")
    assert full.value.detail == "you have 2 of 2 in hand"
    first = held[0]
    assert isinstance(first, Claimed)
    await handoffs.release(desk.store, desk.tenant, Lease(first.handoff.handoff_id, first.token), NOW)
    assert isinstance(await desk.claims("mia"), Claimed)
    # A lease that lapses makes room too.
    await handoffs.lapse_due(desk.store, desk.tenant, 0, NOW + 2 * MINUTE)
    views = {view.operator.name: view for view in await operators.every(desk.store, desk.tenant, NOW)}
    assert views["mia"].load == 0


async def test_whoever_is_not_declared_gets_what_needs_no_skill(desk: Desk) -> None:
    await desk.asks("cards")
    assert isinstance(await desk.claims("temp"), NothingWaiting)
    await desk.asks("known")
    assert isinstance(await desk.claims("temp"), Claimed)


async def test_while_nobody_is_declared_everybody_may_take_everything(
    store: Store, rules: Ruleset, tenant: str
) -> None:
    desk = Desk(store, rules, tenant)
    await desk.asks("cards", locale="fi")
    assert await operators.declared(store, tenant, "mia") is None
    assert isinstance(await desk.claims("mia"), Claimed)


async def test_everybody_is_seen_with_why_nothing_is_offered_to_them(desk: Desk) -> None:
    await desk.here("mia", "kim", "temp")
    await desk.asks("calls")
    await desk.claims("kim")
    seen = {view.operator.name: view.why_not for view in await operators.every(desk.store, desk.tenant, NOW)}
    assert seen == {"ben": "no heartbeat", "kim": "1 of 1 in hand", "mia": None, "temp": None}
    await operators.leave(desk.store, desk.tenant, "mia")
    later = NOW + operators.PRESENT_MS
    seen = {view.operator.name: view.why_not for view in await operators.every(desk.store, desk.tenant, later)}
    assert seen == {"ben": "no heartbeat", "kim": "no heartbeat", "mia": "no heartbeat"}


async def test_whoever_leaves_finishes_what_they_have_and_is_back_when_they_ask_for_more(desk: Desk) -> None:
    store, tenant = desk.store, desk.tenant

    async def is_there(at_ms: int) -> bool:
        views = {view.operator.name: view for view in await operators.every(store, tenant, at_ms)}
        return views["mia"].available

    await desk.here("mia")
    await operators.leave(store, tenant, "mia")
    assert not await is_there(NOW)
    # A renewed lease, in this process or another, late or soon.
    for at_ms in (NOW + 1, NOW + operators.SEEN_AGAIN_MS, NOW + 2 * operators.PRESENT_MS):
        await operators.seen(store, tenant, "mia", at_ms)
        assert not await is_there(at_ms)
    await operators.seen(store, tenant, "mia", NOW + 2 * operators.PRESENT_MS, asks=True)
    assert await is_there(NOW + 2 * operators.PRESENT_MS)
    await operators.leave(store, tenant, "mia")
    await operators.heartbeat(store, tenant, "mia", NOW + 2)
    assert await is_there(NOW + 2)


async def test_whoever_is_absent_or_no_longer_declared_is_told_with_what_they_have(desk: Desk) -> None:
    store, tenant = desk.store, desk.tenant
    await desk.here("mia", "kim")
    await desk.asks("calls")
    await desk.claims("kim")
    today = datetime.fromtimestamp(NOW / 1000, UTC).date()
    absences = (Absence(today, today), Absence(today, today + timedelta(1), "sick"))
    mia = replace(await operators.declared(store, tenant, "mia") or Operator("mia"), absences=absences)
    await operators.declare(store, tenant, [mia], "boss", NOW, replacing=False)
    await operators.remove(store, tenant, "kim", "boss", NOW)
    await operators.leave(store, tenant, "kim")
    views = {view.operator.name: view for view in await operators.every(store, tenant, NOW)}
    assert views["mia"].why_not == f"absent until {today + timedelta(1)}: sick"
    assert (views["kim"].load, views["kim"].available) == (1, False)


async def test_declaring_is_done_whole_or_not_at_all(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await operators.remove(desk.store, desk.tenant, "ben", "boss", NOW)
    with pytest.raises(OperatorUnknown):
        await operators.remove(desk.store, desk.tenant, "ben", "boss", NOW)
    monkeypatch.setattr("service.store.operators.OPERATORS_MAX", 3)
    with pytest.raises(LimitReached):
        await operators.declare(
            desk.store, desk.tenant, [Operator("ann"), Operator("bob")], "boss", NOW, replacing=False
        )
    names = [view.operator.name for view in await operators.every(desk.store, desk.tenant, NOW)]
    assert names == ["kim", "mia"]
    assert await operators.declare(desk.store, desk.tenant, [Operator("ann")], "boss", NOW, replacing=True) == 1
