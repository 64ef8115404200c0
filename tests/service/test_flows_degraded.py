"""While the store is away turns are answered all the same, regulated ones closed, and nobody who waits is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.thinking import Names, judge
from rules.turn import AgentRef, Conversation, Parent
from service.errors import StoreAway
from service.flows import chains, degraded, handoffs
from service.flows import spool as spool_file
from service.flows.access import Store, open_store
from service.flows.decide import Decided, decide
from service.flows.handoffs import Claimed, Claiming, Lease, Resolving
from service.flows.spool import Spool
from service.store import conversations, outbox
from service.store.conversations import Loaded
from tests.service.conftest import RULES, Server
from tests.service.turns import angry, calm, turn, unsure, wordy

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
ASKING = "which fund should I buy?"


@pytest.fixture
async def store(own_server: Server) -> AsyncIterator[Store]:
    opened = await open_store(own_server.url)
    yield opened
    await opened.close()


@pytest.fixture
def spool(place: Path) -> Spool:
    return Spool(place / "spool")


async def back(store: Store, server: Server) -> None:
    """Start the server again, and wait until the store has found it."""
    server.start()
    for _ in range(200):
        try:
            return await store.ping()
        except StoreAway:
            await asyncio.sleep(0.02)
    pytest.fail("the store never came back")


async def ask(store: Store, ruleset: Ruleset, spool: Spool, one: object, now_ms: int = NOW) -> Decided:
    return await decide(store, ruleset, "acme", one, now_ms, spool=spool)  # type: ignore[arg-type]  # a Turn


async def test_rules_that_look_at_the_turn_alone_answer_and_the_handoff_arrives_once(
    store: Store, ruleset: Ruleset, spool: Spool, own_server: Server
) -> None:
    await ask(store, ruleset, spool, calm("c1", "t0"))
    own_server.kill()
    told = await ask(store, ruleset, spool, angry("c1", "t1"), NOW + 1)
    assert (told.decision.verdict, told.decision.degraded, told.decision.queue) == ("escalate", True, "tier1")
    assert told.waiting is not None
    assert told.waiting.position is None
    # A retry, and even another body under the same turn_id, is answered the same.
    again = await ask(store, ruleset, spool, calm("c1", "t1"), NOW + 2)
    assert (again.decision, again.repeated) == (told.decision, True)
    await back(store, own_server)
    # The store is back, but the spool not yet delivered.
    assert (await ask(store, ruleset, spool, calm("c1", "t1"), NOW + 3)).decision == told.decision
    assert await degraded.drain(store, spool) == 1
    assert await degraded.drain(store, spool) == 0
    after = await ask(store, ruleset, spool, calm("c1", "t1"), NOW + 4)
    # Whole: a place in the queue that nobody knew when it was told is not known later either.
    assert (after.repeated, after.decision) == (True, told.decision)
    claimed = await handoffs.claim_next(store, ruleset, "acme", "tier1", Claiming("mia", 1_000), NOW + 5)
    assert isinstance(claimed, Claimed)
    assert claimed.handoff.handoff_id == told.decision.handoff_id
    assert [shown.turn_id for shown in claimed.packet.transcript] == ["t0", "t1"]
    assert (await ask(store, ruleset, spool, calm("c1"), NOW + 6)).decision.verdict == "held_by_human"


async def test_a_turn_that_was_answered_alone_stands_in_the_chain_of_its_conversation(
    store: Store, ruleset: Ruleset, spool: Spool, own_server: Server
) -> None:
    await ask(store, ruleset, spool, calm("c1", "t0", agent=AgentRef("front")))
    own_server.kill()
    told = await ask(store, ruleset, spool, calm("c1", "t1", agent=AgentRef("back"), parent=Parent("front")), NOW + 1)
    assert told.decision.degraded
    await back(store, own_server)
    assert await degraded.drain(store, spool) == 1
    found = (await chains.find(store, "acme", "c1")).chain
    assert [(station.agent, station.under) for station in found.stations] == [("front", None), ("back", 0)]


async def test_two_processes_that_drain_at_once_deliver_once(
    store: Store, ruleset: Ruleset, spool: Spool, own_server: Server
) -> None:
    own_server.kill()
    for number in range(20):
        await ask(store, ruleset, spool, angry(f"c{number}"))
    await back(store, own_server)
    other = await open_store(own_server.url)
    await asyncio.gather(*(degraded.drain(one, spool) for one in (store, other)))
    await other.close()
    assert spool.held() == []
    views = {view.name: view.waiting for view in await handoffs.queues(store, ruleset, "acme")}
    assert views["tier1"] == 20
    told = await outbox.read(store, store.places("acme")[0], "test", 100)
    assert [event.type for event in told] == ["handoff.opened"] * 20


async def test_a_spooled_handoff_joins_one_that_was_open_and_its_id_leads_there(
    store: Store, ruleset: Ruleset, spool: Spool, own_server: Server
) -> None:
    for _ in range(2):
        first = await ask(store, ruleset, spool, unsure("c1"))
    own_server.kill()
    told = await ask(store, ruleset, spool, angry("c1"), NOW + 1)
    await back(store, own_server)
    assert await degraded.drain(store, spool) == 1
    assert told.decision.handoff_id != first.decision.handoff_id
    found = await handoffs.get(store, "acme", told.decision.handoff_id or "")
    assert found.handoff_id == first.decision.handoff_id
    assert [reason.rule_ids for reason in found.reasons] == [("unsure-twice",), ("angry",)]
    assert (found.queue, found.priority) == ("tier1", "high")


async def test_a_regulated_topic_that_cannot_be_judged_without_history_escalates(
    store: Store, ruleset: Ruleset, spool: Spool, own_server: Server
) -> None:
    one = turn("c1", "t1", message=ASKING)
    assert (await ask(store, ruleset, spool, one)).decision.verdict == "continue"
    own_server.kill()
    closed = await ask(store, ruleset, spool, turn("c2", message=ASKING))
    assert (closed.decision.verdict, closed.decision.queue) == ("escalate", "tier1")
    assert [rule.rule_id for rule in closed.decision.rules] == ["asks-twice-about-funds"]
    # What is not regulated goes on, however much history its rules would have wanted.
    assert (await ask(store, ruleset, spool, unsure("c3"))).decision.verdict == "continue"
    assert (await ask(store, ruleset, spool, turn("c4", message="where is my parcel"))).decision.verdict == "continue"


def test_a_rule_in_shadow_closes_nothing() -> None:
    text = RULES.replace("then: {escalate: tier1, priority: urgent}", "then: {escalate: tier1}\n    mode: shadow")
    quiet = build(files_or_raise({"rules.yaml": text}))
    change = degraded.think_alone(quiet, Names("acme", "d", "h"), turn("c1", message=ASKING), NOW)
    assert (change.decision.verdict, change.handoff) == ("continue", None)


def test_a_rule_in_shadow_that_raises_fails_no_turn_while_the_store_is_away() -> None:
    text = RULES + "  - {id: tried, why: x, when: turn_count >= 0, then: {escalate: tier1}, mode: shadow}\n"
    ruleset = build(files_or_raise({"rules.yaml": text}))

    def planted(_: object) -> Any:
        raise ZeroDivisionError

    measures = [
        (("planted", planted),) if rule.id == "tried" else measures
        for rule, measures in zip(ruleset.files.rules, ruleset.measures, strict=True)
    ]
    broken = replace(ruleset, measures=tuple(measures))
    with pytest.raises(ZeroDivisionError):
        judge(broken, angry("c1", "t1"), Conversation("c1"), NOW)
    change = degraded.think_alone(broken, Names("acme", "d", "h"), angry("c1", "t1"), NOW)
    assert (change.decision.verdict, change.decision.queue, change.decision.degraded) == ("escalate", "tier1", True)


async def test_an_answer_that_was_written_but_never_told_gives_way_to_the_one_that_was(
    store: Store, ruleset: Ruleset, spool: Spool, place: Path
) -> None:
    # The store had written `continue` when it went away; the agent was then told to escalate.
    calm_turn = calm("c1", "t1")
    written = await ask(store, ruleset, Spool(place / "other"), calm_turn)
    names = Names("acme", written.decision.decision_id, "hof_0_00000000000000aa")
    told = await degraded.answer_alone(spool, ruleset, names, angry("c1", "t1"), NOW + 1)
    assert await degraded.drain(store, spool) == 1
    again = await ask(store, ruleset, spool, calm_turn, NOW + 2)
    assert (again.decision.verdict, again.decision.handoff_id) == ("escalate", told[0].decision.handoff_id)
    assert (await handoffs.get(store, "acme", names.handoff_id)).state == "waiting"
    # The turn itself is remembered once.
    found = await conversations.load(store, store.place_of("acme", "c1"), "c1", "")
    assert isinstance(found, Loaded)
    assert found.conversation.turns_count == 1


async def test_a_turn_whose_handoff_was_resolved_before_its_told_answer_arrived_asks_nobody_twice(
    store: Store, ruleset: Ruleset, spool: Spool, place: Path
) -> None:
    # The server hung: the agent was told without it, and it wrote its own answer to the same turn all the same.
    one = angry("c1", "t1")
    lost = await ask(store, ruleset, Spool(place / "other"), one)
    claimed = await handoffs.claim_next(store, ruleset, "acme", "tier1", Claiming("mia", 1_000), NOW)
    assert isinstance(claimed, Claimed)
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    await handoffs.resolve(store, "acme", lease, Resolving("take_over", "needed"), NOW)
    names = Names("acme", lost.decision.decision_id, "hof_0_00000000000000aa")
    told, _ = await degraded.answer_alone(spool, ruleset, names, one, NOW + 1)
    for _ in range(2):
        assert await degraded.drain(store, spool) == 1
        found = await handoffs.get(store, "acme", names.handoff_id)
        assert (found.handoff_id, found.state) == (lost.decision.handoff_id, "resolved")
        assert [view.waiting for view in await handoffs.queues(store, ruleset, "acme") if view.waiting] == []
        assert (await ask(store, ruleset, spool, one, NOW + 2)).decision == told.decision
        # The process that delivered it died before it could take it out of the spool.
        await degraded.answer_alone(spool, ruleset, names, one, NOW + 1)


async def test_a_told_turn_that_was_written_all_the_same_is_told_to_nobody_as_joining_its_own_handoff(
    store: Store, ruleset: Ruleset, spool: Spool, place: Path
) -> None:
    # It was on disk, and its answer lost with the server.
    one = angry("c1", "t1")
    lost = await ask(store, ruleset, Spool(place / "other"), one)
    names = Names("acme", lost.decision.decision_id, lost.decision.handoff_id or "")
    await degraded.answer_alone(spool, ruleset, names, one, NOW + 1)
    assert await degraded.drain(store, spool) == 1
    found = await handoffs.get(store, "acme", names.handoff_id)
    assert (found.state, len(found.reasons)) == ("waiting", 1)
    told = await outbox.read(store, store.places("acme")[0], "test", 100)
    assert [event.type for event in told] == ["handoff.opened"]
    # What is more urgent than what was written still moves it.
    more = angry("c2", "t1")
    lost = await ask(store, ruleset, Spool(place / "other"), unsure("c2", "t1"))
    lost = await ask(store, ruleset, Spool(place / "other"), unsure("c2", "t2"))
    names = Names("acme", lost.decision.decision_id, "hof_0_00000000000000ab")
    await degraded.answer_alone(spool, ruleset, names, replace(more, turn_id="t2"), NOW + 2)
    assert await degraded.drain(store, spool) == 1
    assert (await handoffs.get(store, "acme", names.handoff_id)).kind == "escalate"


async def test_a_review_that_nobody_was_told_of_is_no_person_for_a_customer_who_was_promised_one(
    store: Store, ruleset: Ruleset, spool: Spool, place: Path
) -> None:
    lost = await ask(store, ruleset, Spool(place / "other"), wordy("c1", "t1"))
    assert lost.decision.verdict == "review"
    claimed = await handoffs.claim_one(store, "acme", lost.decision.handoff_id or "", Claiming("mia", 1_000), NOW)
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    await handoffs.resolve(store, "acme", lease, Resolving("approve", "not_needed"), NOW)
    names = Names("acme", lost.decision.decision_id, "hof_0_00000000000000aa")
    await degraded.answer_alone(spool, ruleset, names, angry("c1", "t1"), NOW + 1)
    assert await degraded.drain(store, spool) == 1
    found = await handoffs.get(store, "acme", names.handoff_id)
    assert (found.handoff_id, found.kind, found.state) == (names.handoff_id, "escalate", "waiting")


async def test_without_a_spool_the_caller_is_told(store: Store, ruleset: Ruleset, own_server: Server) -> None:
    own_server.kill()
    with pytest.raises(StoreAway):
        await decide(store, ruleset, "acme", calm("c1"), NOW)


async def test_a_full_spool_keeps_people_before_anything_else_and_then_refuses(
    store: Store, ruleset: Ruleset, spool: Spool, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_file, "SPOOL_CONTINUES_MAX", 2)
    monkeypatch.setattr(spool_file, "SPOOL_FILES_MAX", 4)
    own_server.kill()
    for number in range(5):
        await ask(store, ruleset, spool, calm(f"calm{number}"))
    assert len(spool.held()) == 2
    for number in range(2):
        await ask(store, ruleset, spool, angry(f"angry{number}"))
    with pytest.raises(StoreAway) as full:
        await ask(store, ruleset, spool, angry("angry3"))
    assert str(full.value) == "the store is away: and the spool holds 4 decisions already"


async def test_files_are_private_and_a_damaged_one_is_set_aside(
    store: Store, ruleset: Ruleset, spool: Spool, own_server: Server, place: Path
) -> None:
    own_server.kill()
    await ask(store, ruleset, spool, angry("c1"))
    (path,) = spool.held()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.write_bytes(path.read_bytes()[:40])
    await back(store, own_server)
    assert await degraded.drain(store, spool) == 0
    assert [one.suffix for one in (place / "spool").iterdir()] == [".unreadable"]


async def test_what_was_answered_before_the_store_went_away_stands_while_it_is_and_afterwards(
    store: Store, ruleset: Ruleset, spool: Spool, own_server: Server
) -> None:
    one, other = angry("c1", "t1"), calm("c2", "t1")
    first, quiet = await ask(store, ruleset, spool, one), await ask(store, ruleset, spool, other)
    own_server.kill()
    for _ in range(2):
        again = await ask(store, ruleset, spool, one, NOW + 5)
        assert (again.decision, again.repeated) == (first.decision, True)
    assert (await ask(store, ruleset, spool, other)).decision == quiet.decision
    # A turn that nobody has been answered is judged by the rules alone.
    assert (await ask(store, ruleset, spool, angry("c3", "t1"))).decision.degraded
    await back(store, own_server)
    await degraded.drain(store, spool)
    assert (await ask(store, ruleset, spool, one)).decision == first.decision
    assert (await ask(store, ruleset, spool, other)).decision == quiet.decision
