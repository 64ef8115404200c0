"""A call that `on_timeout` promised: it waits in the queue from the moment of the promise until a person ends it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.handoff import NO_DEADLINE_AT_MS, Call, Handoff, Resolution, wanted
from rules.marks import DRILL_MARK
from rules.packet.packet import build as build_packet
from rules.routing.calls import call_owed
from service.flows import deadlines, handoffs
from service.flows.access import Store
from service.flows.decide import Decided, decide
from service.flows.handoffs import Claimed, Claiming, HandingBack, Lease, Resolving
from service.store import codec
from service.store.calls import owed_words
from service.store.scripts import Argument
from tests.service.conftest import RULES
from tests.service.turns import angry, calm, refunding, turn, wordy

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
MINUTE = 60_000
MISSED = NOW + 15 * MINUTE
DAY = 24 * 60 * MINUTE
RULESET = build(files_or_raise({"rules.yaml": RULES}))
WORDS = "We will call you back."


async def asked(store: Store, tenant: str, one: str = "c1", at_ms: int = NOW) -> Decided:
    return await decide(store, RULESET, tenant, replace(angry(one), locale="en"), at_ms)


async def missed(store: Store, tenant: str, one: str = "c1") -> tuple[Handoff, Handoff]:
    """Return a handoff that nobody took in time, and the one in which the call waits that was promised then."""
    decided = await asked(store, tenant, one)
    assert decided.waiting is not None
    assert await handoffs.expire_due(store, tenant, 0, MISSED) == 1
    ended = await handoffs.get(store, tenant, decided.waiting.handoff_id)
    assert ended.call_id is not None
    return ended, await handoffs.get(store, tenant, ended.call_id)


async def claim(store: Store, tenant: str, at_ms: int = MISSED + 1) -> Claimed:
    claimed = await handoffs.claim_next(store, RULESET, tenant, None, Claiming("mia", 60_000), at_ms)
    assert isinstance(claimed, Claimed)
    return claimed


async def events(store: Store, tenant: str) -> list[str]:
    entries = await store.link.call("XRANGE", store.places(tenant)[0].outbox, "-", "+")
    return [fields[fields.index(b"type") + 1].decode() for _, fields in entries]


async def owed(store: Store, tenant: str) -> list[str]:
    found = await store.link.call("ZRANGE", store.places(tenant)[0].calls, 0, -1)
    return [each.decode() for each in found]


async def test_a_promised_call_waits_in_the_queue_while_the_agent_goes_on(store: Store, tenant: str) -> None:
    ended, call = await missed(store, tenant)
    assert (ended.state, ended.call) == ("expired", None)
    assert ended.resolution == Resolution("timeout", "handrail", MISSED, verdict="callback", say=WORDS)
    assert call.call == Call(MISSED, WORDS, ended.handoff_id)
    assert (call.state, call.kind, call.queue, call.priority) == ("waiting", "review", "tier1", "high")
    assert (call.opened_at_ms, call.expires_at_ms) == (MISSED, NO_DEADLINE_AT_MS)
    assert call.score_ms == MISSED + 5 * MINUTE, "the place of somebody who comes at the moment of the promise"
    assert [each.rule_ids for each in call.reasons] == [each.rule_ids for each in ended.reasons]
    assert await events(store, tenant) == ["handoff.opened", "handoff.expired", "handoff.call_owed"]
    assert await owed(store, tenant) == [call.handoff_id]
    # The fence has fallen: the agent is told how it ended, and goes on.
    told = (await decide(store, RULESET, tenant, calm("c1"), MISSED + 1)).decision
    assert (told.verdict, told.handoff_id) == ("continue", None)
    assert told.after_human is not None
    assert (told.after_human.handoff_id, told.after_human.resolution.verdict) == (ended.handoff_id, "callback")
    for long_after_ms in (MISSED + DAY, MISSED + 300 * DAY):
        await deadlines.sweep(store, tenant, long_after_ms)
    assert (await handoffs.get(store, tenant, call.handoff_id)).state == "waiting"
    assert await owed(store, tenant) == [call.handoff_id]


async def test_whoever_takes_the_call_reads_what_was_promised_and_ends_it(store: Store, tenant: str) -> None:
    ended, call = await missed(store, tenant)
    claimed = await claim(store, tenant)
    assert claimed.handoff.handoff_id == call.handoff_id
    task = claimed.packet.task
    assert task.sentence == (
        'call the customer back: promised at 2027-01-15 08:15 UTC with the words "We will call you back."; '
        "then resolve it with how it went"
    )
    assert (task.kind, task.actions, task.answer_by_ms) == ("review", ("take_over", "reject", "hand_back"), None)
    assert [why.rules[0].rule_id for why in claimed.packet.why] == ["angry"]
    lease = Lease(call.handoff_id, claimed.token)
    done = await handoffs.resolve(store, tenant, lease, Resolving("take_over", "needed"), MISSED + 2)
    assert (done.state, done.call_id, done.resolution and done.resolution.outcome) == ("resolved", None, "needed")
    assert await owed(store, tenant) == []
    assert (await handoffs.list_open(store, tenant, None, None, None, 10)).handoffs == ()
    # The conversation is free for another one.
    again = (await asked(store, tenant, at_ms=MISSED + 3)).decision
    assert (again.verdict, again.handoff_id in (ended.handoff_id, call.handoff_id)) == ("escalate", False)


async def test_however_many_settle_a_deadline_at_once_one_call_waits(store: Store, tenant: str) -> None:
    for number in range(10):
        await asked(store, tenant, f"c{number}")
    looks = [deadlines.sweep(store, tenant, MISSED + step) for step in range(8)]
    looks += [deadlines.sweep(store, tenant, MISSED) for _ in range(4)]
    await asyncio.gather(*looks)
    told = await events(store, tenant)
    assert (told.count("handoff.expired"), told.count("handoff.call_owed")) == (10, 10)
    waiting = (await handoffs.list_open(store, tenant, "tier1", "waiting", None, 100)).handoffs
    assert len({each.conversation_id for each in waiting}) == len(waiting) == 10
    assert sorted(await owed(store, tenant)) == sorted(each.handoff_id for each in waiting)


async def test_a_script_that_is_sent_twice_opens_one_call(store: Store, tenant: str) -> None:
    decided = await asked(store, tenant)
    assert decided.waiting is not None
    before = await handoffs.get(store, tenant, decided.waiting.handoff_id)
    assert await deadlines.settle(store, before, MISSED)
    # Another process read it before the end, and settles it by what it knows.
    assert not await deadlines.settle(store, before, MISSED + 1)
    assert (await events(store, tenant)).count("handoff.call_owed") == 1
    assert len(await owed(store, tenant)) == 1


async def test_an_escalation_takes_the_place_of_the_call_and_owes_it_until_somebody_spoke(
    store: Store, tenant: str
) -> None:
    _, call = await missed(store, tenant)
    again = (await asked(store, tenant, at_ms=MISSED + MINUTE)).decision
    assert (again.verdict, again.handoff_id) == ("escalate", call.handoff_id)
    taken = await handoffs.get(store, tenant, call.handoff_id)
    assert (taken.kind, taken.expires_at_ms, taken.call) == ("escalate", MISSED + 16 * MINUTE, call.call)
    # Nobody comes again: one call is owed, since the first promise.
    assert await handoffs.expire_due(store, tenant, 0, MISSED + 16 * MINUTE) == 1
    ended = await handoffs.get(store, tenant, call.handoff_id)
    assert ended.call_id is not None
    second = await handoffs.get(store, tenant, ended.call_id)
    assert second.call == Call(MISSED, WORDS, call.handoff_id)
    assert await owed(store, tenant) == [second.handoff_id]
    # Somebody comes at last, and speaks to the customer.
    await asked(store, tenant, at_ms=MISSED + 17 * MINUTE)
    claimed = await claim(store, tenant, MISSED + 18 * MINUTE)
    assert claimed.packet.task.sentence.endswith(
        '; besides, the customer was promised a call at 2027-01-15 08:15 UTC with the words "We will call you back."'
    )
    lease = Lease(second.handoff_id, claimed.token)
    done = await handoffs.hand_back(store, tenant, lease, HandingBack(), MISSED + 18 * MINUTE + 1)
    assert (done.call_id, await owed(store, tenant)) == (None, [])


@pytest.mark.parametrize("ending", ["resolve", "hand_back", "timeout", "take_over"])
async def test_a_draft_that_is_looked_at_leaves_the_call_owed(store: Store, tenant: str, ending: str) -> None:
    _, call = await missed(store, tenant)
    held = (await decide(store, RULESET, tenant, refunding("c1"), MISSED + 1)).decision
    assert (held.verdict, held.handoff_id) == ("hold", call.handoff_id)
    if ending == "timeout":
        assert await handoffs.expire_due(store, tenant, 0, MISSED + 1 + 5 * MINUTE) == 1
    else:
        claimed = await claim(store, tenant, MISSED + 2)
        lease = Lease(call.handoff_id, claimed.token)
        if ending == "hand_back":
            await handoffs.hand_back(store, tenant, lease, HandingBack(may_retry=True), MISSED + 3)
        else:
            resolving = Resolving("take_over" if ending == "take_over" else "approve", "needed")
            first = await handoffs.resolve(store, tenant, replace(lease, request_id="r"), resolving, MISSED + 3)
            # The reply got lost, and the same request again opens no second call.
            assert await handoffs.resolve(store, tenant, replace(lease, request_id="r"), resolving, MISSED + 4) == first
    ended = await handoffs.get(store, tenant, call.handoff_id)
    if ending == "take_over":
        assert (ended.call_id, await owed(store, tenant)) == (None, [])
        return
    assert ended.call_id is not None
    still = await handoffs.get(store, tenant, ended.call_id)
    assert still.call == Call(MISSED, WORDS, call.handoff_id)
    assert (still.kind, still.state, still.queue) == ("review", "waiting", "approvals")
    assert await owed(store, tenant) == [still.handoff_id]


@pytest.mark.parametrize("verb", ["resolve", "hand_back", "expire"])
async def test_an_end_that_was_thought_before_the_promise_is_thought_again(
    store: Store, tenant: str, verb: str
) -> None:
    _, call = await missed(store, tenant)
    await decide(store, RULESET, tenant, refunding("c1"), MISSED + 1)
    before = await handoffs.get(store, tenant, call.handoff_id)
    at_ms = MISSED + 1 + 5 * MINUTE
    token = ""
    if verb != "expire":
        at_ms = MISSED + 3
        token = (await claim(store, tenant, MISSED + 2)).token
    # As if the promise had joined it in the moment between the look at it and the end.
    place, unaware = store.places(tenant)[0], replace(before, call=None)
    resolution = Resolution("timeout" if verb == "expire" else "approve", "mia", at_ms, verdict="deny")
    shared = {
        "handoff": place.handoff(call.handoff_id),
        "conversation": place.conversation("c1"),
        "turns": place.turns("c1"),
        "open": place.open("approvals"),
        "deadlines": place.deadlines,
        "outbox": place.outbox,
        "loads": place.loads,
        "classes": place.classes,
        "group": place.group(""),
        "now_ms": at_ms,
        "queue": "approvals",
        "handoff_id": call.handoff_id,
        "resolution": codec.dumps(resolution),
        "kept_ms": store.kept_ms,
        "version": before.version - 1,
        **owed_words(place, unaware, resolution),
    }
    if verb == "expire":
        in_class = wanted(before).text
        own: dict[str, Argument] = {"waiting": place.waiting("approvals"), "actor": "handrail"}
        own |= {"in_class": place.waiting_in(in_class), "class_name": in_class}
    else:
        own = {"leases": place.leases, "request": place.request("r"), "token": token, "answer_kept_ms": 1_000}
        own |= {"beats": place.beats}
        own |= {"refused": ""} if verb == "resolve" else {}
    assert (await store.scripts.run(verb, **shared, **own))[0] == b"moved"
    assert await owed(store, tenant) == [call.handoff_id]


async def test_a_review_that_nobody_read_promised_nobody_anything(store: Store, tenant: str) -> None:
    rules = RULES.replace("on_timeout: {verdict: continue, say:", "on_timeout: {verdict: callback, say:")
    ruleset = build(files_or_raise({"rules.yaml": rules}))
    decided = await decide(store, ruleset, tenant, wordy("c1"), NOW)
    assert decided.waiting is not None
    assert await handoffs.expire_due(store, tenant, 0, NOW + DAY) == 1
    ended = await handoffs.get(store, tenant, decided.waiting.handoff_id)
    assert (ended.state, ended.call_id, await owed(store, tenant)) == ("expired", None, [])


async def test_who_waits_in_vain_twice_is_owed_a_call_in_the_queue_that_they_came_to(store: Store, tenant: str) -> None:
    turns = [turn("c1", confidence=0.1), turn("c1", confidence=0.1)]
    decided = [await decide(store, RULESET, tenant, each, NOW) for each in turns][-1]
    assert decided.waiting is not None
    assert decided.waiting.queue == "tier2"
    assert await handoffs.expire_due(store, tenant, 0, NOW + 10 * MINUTE) == 1
    assert await owed(store, tenant) == [], "it moved on, and nothing was promised but that"
    assert await handoffs.expire_due(store, tenant, 0, NOW + 25 * MINUTE) == 1
    (call_id,) = await owed(store, tenant)
    assert (await handoffs.get(store, tenant, call_id)).queue == "tier1"


async def test_a_call_is_no_wait_that_others_are_told_by(store: Store, tenant: str) -> None:
    _, call = await missed(store, tenant)
    rows = store.places(tenant)[0].waits("tier1")
    before = await store.link.call("LLEN", rows)
    assert before == 1, "that nobody came in 15 minutes is told"
    claimed = await claim(store, tenant, MISSED + DAY)
    assert claimed.handoff.handoff_id == call.handoff_id
    assert await store.link.call("LLEN", rows) == before


async def test_a_call_that_an_earlier_version_kept_reads_as_one(store: Store, tenant: str) -> None:
    _, call = await missed(store, tenant)
    key = store.places(tenant)[0].handoff(call.handoff_id)
    await store.link.call("HDEL", key, "call")
    read = await handoffs.get(store, tenant, call.handoff_id)
    assert read.call == Call(MISSED)
    task = build_packet(read, (), (), MISSED).task
    assert task.sentence == (
        "call the customer back: promised at 2027-01-15 08:15 UTC; then resolve it with how it went"
    )
    assert codec.handoff_of(orjson.loads(codec.dumps(read))) == read


def test_nobody_is_called_after_a_drill() -> None:
    waiting = Handoff(
        "hof_0_1",
        "t",
        "drill:1",
        "escalate",
        "waiting",
        "q",
        "normal",
        0,
        1,
        1,
        RULESET.files.queues["tier1"].on_timeout,
        (),
    )
    ending = Resolution("timeout", "handrail", 1, verdict="callback", say=WORDS)
    assert call_owed(replace(waiting, conversation_id="c"), ending) == Call(1, WORDS, "hof_0_1")
    assert call_owed(replace(waiting, conversation_id=f"{DRILL_MARK}1"), ending) is None
