"""What an outage of the store takes from whoever is at work, as docs/operations.md says it: nothing, if they go on."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rules.evaluation.evaluate import Ruleset
from rules.handoff import Handoff
from rules.moves import ACTOR, RETURNED_MS
from rules.routing.leases import OUTAGE_MS, OUTAGES_MAX, SPARED_MS, Outage, noted
from service.clock import now_ms
from service.errors import AlreadyClaimed, LeaseLost, StoreAway
from service.flows import deadlines, drafts, handoffs, machine_work
from service.flows.access import Store, open_store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, HandingBack, Lease, NothingWaiting, Resolving
from service.settings import Settings
from service.store import keys, outbox
from service.store.handoffs import ClaimAgain, claim_again
from service.store.scripts import LUA
from tests.service.conftest import Server
from tests.service.test_store_killed import again
from tests.service.turns import angry

pytestmark = pytest.mark.server

LEASE_MS = 60_000
BEAT_MS = 1_000
TENANT = "acme"


async def at_work(store: Store, ruleset: Ruleset, at_ms: int, conversation_id: str = "c1") -> tuple[Handoff, Lease]:
    """Return a handoff as it waited, and the lease of mia who renews hers and writes."""
    decided = await decide(store, ruleset, TENANT, angry(conversation_id), at_ms)
    assert decided.decision.handoff_id is not None
    waited = await handoffs.get(store, TENANT, decided.decision.handoff_id)
    claimed = await handoffs.claim_one(store, TENANT, waited.handoff_id, Claiming("mia", LEASE_MS), at_ms)
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    await handoffs.renew(store, TENANT, lease, LEASE_MS, at_ms + 10_000)
    await drafts.save(store, TENANT, lease.handoff_id, "mia", {"text": "half a sen"}, at_ms + 11_000)
    return waited, lease


async def looked(store: Store) -> int:
    """Let a worker look what is due, as it does five times a second; return how many timers are."""
    return (await machine_work.work_due(store, TENANT, 0, now_ms())).timers


async def beats(store: Store) -> dict[str, int]:
    flat = await store.link.call("HGETALL", keys.place(TENANT, 0).beats)
    return {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


async def last_beat(store: Store, at_ms: int) -> None:
    """Let the store have been asked for the last time then: what a test need not wait for."""
    await looked(store)
    await store.link.call("HSET", keys.place(TENANT, 0).beats, "beat_at_ms", at_ms)


async def been_away(store: Store, ruleset: Ruleset, outage_ms: int = 120_000) -> tuple[Handoff, Lease]:
    """Return a handoff and its lease: the store was asked for the last time `outage_ms` ago, 11 s after the claim."""
    began_ms = now_ms() - outage_ms
    waited, lease = await at_work(store, ruleset, began_ms - 11_000)
    await last_beat(store, began_ms)
    return waited, lease


async def back_since(store: Store) -> int:
    """Return until when the store was away, as it noted itself."""
    return (await beats(store))["until_ms"]


async def test_a_short_outage_takes_no_work_from_anybody(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    began_ms = now_ms()
    _, lease = await at_work(store, ruleset, began_ms)
    own_server.kill()
    with pytest.raises(StoreAway):
        await handoffs.renew(store, TENANT, lease, LEASE_MS, began_ms + 12_000)
    await again(own_server, store)
    assert await deadlines.sweep(store, TENANT, began_ms + 69_999) == 0
    renewed = await handoffs.renew(store, TENANT, lease, LEASE_MS, began_ms + 69_999)
    assert (renewed.state, renewed.holder) == ("leased", "mia")
    await store.close()


@pytest.mark.parametrize("outage_ms", [LEASE_MS, 7_200_000])
@pytest.mark.parametrize("worker_first", [True, False])
async def test_whoever_renews_when_it_is_back_goes_on(
    own_server: Server, ruleset: Ruleset, outage_ms: int, worker_first: bool
) -> None:
    store = await open_store(own_server.url)
    _, lease = await been_away(store, ruleset, outage_ms)
    own_server.kill()
    await again(own_server, store)
    if worker_first:
        assert await looked(store) == 1
        assert await deadlines.sweep(store, TENANT, now_ms()) == 0
    at_ms = now_ms()
    renewed = await handoffs.renew(store, TENANT, lease, LEASE_MS, at_ms)
    assert (renewed.state, renewed.holder, renewed.lease_expires_at_ms) == ("leased", "mia", at_ms + LEASE_MS)
    assert await deadlines.sweep(store, TENANT, at_ms + LEASE_MS - 1) == 0
    resolved = await handoffs.resolve(store, TENANT, lease, Resolving("answer", "needed"), at_ms + 1)
    assert (resolved.state, resolved.resolution and resolved.resolution.by) == ("resolved", "mia")
    told = await outbox.read(store, keys.place(TENANT, 0), "test", 100)
    assert [each.type for each in told] == ["handoff.opened", "handoff.claimed", "handoff.resolved"]
    await store.close()


Verb = Callable[[Store, Ruleset, Lease], Awaitable[Handoff]]
VERBS: dict[str, tuple[Verb, str]] = {
    "renew": (lambda s, r, lease: handoffs.renew(s, TENANT, lease, LEASE_MS, now_ms()), "leased"),
    "reply": (lambda s, r, lease: handoffs.reply(s, TENANT, lease, "Back.", LEASE_MS, now_ms()), "leased"),
    "hold": (lambda s, r, lease: handoffs.hold(s, TENANT, lease, now_ms() + 60_000, "bank", now_ms()), "held"),
    "release": (lambda s, r, lease: handoffs.release(s, TENANT, lease, now_ms()), "waiting"),
    "transfer": (lambda s, r, lease: handoffs.transfer(s, r, TENANT, lease, "tier2", None, now_ms()), "waiting"),
    "resolve": (
        lambda s, r, lease: handoffs.resolve(s, TENANT, lease, Resolving("answer", "needed"), now_ms()),
        "resolved",
    ),
    "hand_back": (lambda s, r, lease: handoffs.hand_back(s, TENANT, lease, HandingBack(), now_ms()), "handed_back"),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_each_move_of_whoever_was_kept_from_it_is_made(own_server: Server, ruleset: Ruleset, verb: str) -> None:
    store = await open_store(own_server.url)
    _, lease = await been_away(store, ruleset)
    move, state = VERBS[verb]
    assert (await move(store, ruleset, lease)).state == state
    await store.close()


async def test_the_window_beside_may_take_it_over_too(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    _, lease = await been_away(store, ruleset)
    mine = await handoffs.claim_one(store, TENANT, lease.handoff_id, Claiming("mia", LEASE_MS, again=True), now_ms())
    assert (mine.handoff.state, mine.handoff.holder) == ("leased", "mia")
    with pytest.raises(LeaseLost):
        await handoffs.renew(store, TENANT, lease, LEASE_MS, now_ms())
    await store.close()


async def test_nobody_else_gets_it_meanwhile_and_is_told_when_it_ends(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    _, lease = await been_away(store, ruleset)
    ben = Claiming("ben", LEASE_MS)
    assert isinstance(await handoffs.claim_next(store, ruleset, TENANT, None, ben, now_ms()), NothingWaiting)
    with pytest.raises(AlreadyClaimed) as refused:
        await handoffs.claim_one(store, TENANT, lease.handoff_id, ben, now_ms())
    ends_at_ms = await back_since(store) + SPARED_MS
    assert (refused.value.holder, refused.value.until_at_ms) == ("mia", ends_at_ms)
    assert (await handoffs.current(store, TENANT, lease.handoff_id, now_ms())).lease_expires_at_ms == ends_at_ms
    (listed,) = (await handoffs.list_open(store, TENANT, None, None, None, 10)).handoffs
    assert listed.lease_expires_at_ms == ends_at_ms
    assert await looked(store) == 0, "it says when it ends, and nobody need look at it before"
    await store.close()


async def test_a_turn_that_comes_first_when_it_is_back_finds_the_person_still_there(
    own_server: Server, ruleset: Ruleset
) -> None:
    store = await open_store(own_server.url)
    _, lease = await been_away(store, ruleset)
    decided = await decide(store, ruleset, TENANT, angry("c1"), now_ms())
    assert (decided.decision.verdict, decided.decision.handoff_id) == ("held_by_human", lease.handoff_id)
    assert (await handoffs.get(store, TENANT, lease.handoff_id)).holder == "mia"
    await store.close()


async def test_whoever_stays_silent_loses_the_lease_and_no_more(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    waited, lease = await been_away(store, ruleset)
    assert await looked(store) == 1
    ends_at_ms = await back_since(store) + SPARED_MS
    assert await deadlines.sweep(store, TENANT, ends_at_ms - 1) == 0
    with pytest.raises(LeaseLost) as lost:
        await handoffs.renew(store, TENANT, lease, LEASE_MS, ends_at_ms)
    assert lost.value.ended_ms_ago == 0
    assert await deadlines.sweep(store, TENANT, ends_at_ms) == 1, "its lease ends, and no deadline with it"
    found = await handoffs.get(store, TENANT, lease.handoff_id)
    assert (found.state, found.holder, found.score_ms) == ("waiting", None, waited.score_ms)
    assert found.expires_at_ms == max(waited.expires_at_ms, ends_at_ms + RETURNED_MS)
    told = await outbox.read(store, keys.place(TENANT, 0), "test", 100)
    assert [(each.type, each.actor, each.detail) for each in told][-1] == ("handoff.lapsed", ACTOR, "mia")

    mine = await handoffs.claim_one(store, TENANT, lease.handoff_id, Claiming("mia", LEASE_MS), ends_at_ms + 1)
    assert (mine.handoff.state, mine.handoff.holder) == ("leased", "mia")
    assert [each.fields for each in await drafts.of_handoff(store, mine.handoff)] == [{"text": "half a sen"}]
    await store.close()


async def test_only_what_ended_while_nobody_could_renew_is_spared(own_server: Server, ruleset: Ruleset) -> None:
    """Mia fell silent before the outage, ben's lease ended in it, kim's ends five seconds later, zoe's much later."""
    store = await open_store(own_server.url)
    began_ms = now_ms() - 30_000
    ends = {"mia": began_ms - 1, "ben": began_ms + 1, "kim": now_ms() + 5_000, "zoe": now_ms() + 50_000}
    leases: dict[str, Lease] = {}
    for name, ends_at_ms in ends.items():
        decided = await decide(store, ruleset, TENANT, angry(name), began_ms - LEASE_MS)
        assert decided.decision.handoff_id is not None
        claiming = Claiming(name, LEASE_MS)
        claimed = await handoffs.claim_one(store, TENANT, decided.decision.handoff_id, claiming, ends_at_ms - LEASE_MS)
        leases[name] = Lease(claimed.handoff.handoff_id, claimed.token)
    await last_beat(store, began_ms)
    assert await looked(store) == 3
    assert await deadlines.lapse_due(store, TENANT, 0, now_ms()) == 1
    spared_ms = await back_since(store) + SPARED_MS
    found = {name: await handoffs.get(store, TENANT, lease.handoff_id) for name, lease in leases.items()}
    assert {name: (each.holder, each.lease_expires_at_ms) for name, each in found.items()} == {
        "mia": (None, None),
        "ben": ("ben", spared_ms),
        "kim": ("kim", spared_ms),
        "zoe": ("zoe", ends["zoe"]),
    }
    with pytest.raises(LeaseLost):
        await handoffs.renew(store, TENANT, leases["mia"], LEASE_MS, now_ms())
    assert await looked(store) == 0
    await store.close()


async def test_a_renewal_that_comes_between_a_look_and_its_lapse_stands(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    _, lease = await been_away(store, ruleset)
    await handoffs.renew(store, TENANT, lease, LEASE_MS, now_ms())
    after_ms = await back_since(store) + SPARED_MS + 1
    # As the look saw it, before the renewal.
    await store.link.call("ZADD", keys.place(TENANT, 0).leases, after_ms - LEASE_MS, lease.handoff_id)
    assert await deadlines.lapse_due(store, TENANT, 0, after_ms) == 0
    assert (await handoffs.get(store, TENANT, lease.handoff_id)).holder == "mia"
    await store.close()


async def test_more_leases_than_one_look_reads_are_spared_at_once(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    began_ms = now_ms() - 120_000
    for number in range(230):
        await at_work(store, ruleset, began_ms - 11_000, f"c{number}")
    await last_beat(store, began_ms)
    assert await deadlines.lapse_due(store, TENANT, 0, now_ms()) == 0
    assert await looked(store) == 0
    assert await deadlines.lapse_due(store, TENANT, 0, await back_since(store) + SPARED_MS) == 230
    await store.close()


async def test_a_hold_that_ended_meanwhile_is_spared_too(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    began_ms = now_ms() - 120_000
    _, lease = await at_work(store, ruleset, began_ms - 11_000)
    held = await handoffs.hold(store, TENANT, lease, began_ms + 60_000, "asks the bank", began_ms - 500)
    await last_beat(store, began_ms)
    assert await deadlines.lapse_due(store, TENANT, 0, now_ms()) == 0
    found = await handoffs.get(store, TENANT, lease.handoff_id)
    assert (found.state, found.hold_reason) == ("held", "asks the bank")
    assert (found.lease_expires_at_ms, found.version) == (await back_since(store) + SPARED_MS, held.version)
    resumed = await handoffs.resume(store, TENANT, lease, LEASE_MS, now_ms())
    assert (resumed.state, resumed.holder) == ("leased", "mia")
    await store.close()


async def test_a_hold_that_a_second_window_takes_over_ends_when_the_spared_one_does(
    own_server: Server, ruleset: Ruleset
) -> None:
    store = await open_store(own_server.url)
    began_ms = now_ms() - 120_000
    _, lease = await at_work(store, ruleset, began_ms - 11_000)
    await handoffs.hold(store, TENANT, lease, began_ms + 60_000, None, began_ms - 500)
    await last_beat(store, began_ms)
    # Right at the script: the flow has looked at what is over a moment before.
    asked = ClaimAgain(lease.handoff_id, "mia", "00", now_ms() + LEASE_MS, "r1")
    mine = await claim_again(store, keys.place(TENANT, 0), asked, now_ms())
    assert mine is not None
    assert mine.handoff is not None
    assert (mine.handoff.state, mine.lease_expires_at_ms) == ("held", await back_since(store) + SPARED_MS)
    ben = ClaimAgain(lease.handoff_id, "ben", "01", now_ms() + LEASE_MS, "r2")
    assert await claim_again(store, keys.place(TENANT, 0), ben, now_ms()) is None
    await store.close()


async def test_a_hold_outlives_an_outage_that_ends_before_it(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    began_ms = now_ms()
    _, lease = await at_work(store, ruleset, began_ms)
    await handoffs.hold(store, TENANT, lease, began_ms + 3_600_000, "asks the bank", began_ms + 11_000)
    own_server.kill()
    await again(own_server, store)
    assert await deadlines.sweep(store, TENANT, began_ms + 3_599_999) == 0
    resumed = await handoffs.resume(store, TENANT, lease, LEASE_MS, began_ms + 3_599_999)
    assert (resumed.state, resumed.holder) == ("leased", "mia")
    await store.close()


async def test_without_a_worker_a_silent_operator_is_spared_once(own_server: Server, ruleset: Ruleset) -> None:
    """The store is well, and no beat is noted as no worker lives: that looks like an outage, but only once."""
    store = await open_store(own_server.url)
    await been_away(store, ruleset)
    assert await deadlines.sweep(store, TENANT, now_ms()) == 0
    ends_at_ms = await back_since(store) + SPARED_MS
    noted = await beats(store)
    assert await deadlines.sweep(store, TENANT, ends_at_ms) == 1
    # Whoever is silent next is as late as ever: nobody has told since then that a worker lives.
    ben = await handoffs.claim_next(store, ruleset, TENANT, None, Claiming("ben", LEASE_MS), ends_at_ms)
    assert isinstance(ben, Claimed)
    assert await deadlines.sweep(store, TENANT, ends_at_ms + LEASE_MS) == 1
    assert await beats(store) == noted
    # A worker that comes back finds that it was noted, and nothing that it would have to make up for.
    await at_work(store, ruleset, now_ms(), "c2")
    await looked(store)
    after = await beats(store)
    assert {name: after[name] for name in ("from_ms", "until_ms")} == {
        name: noted[name] for name in ("from_ms", "until_ms")
    }
    assert after["beat_at_ms"] > noted["beat_at_ms"]
    await store.close()


async def test_a_second_outage_before_anybody_could_speak_again_takes_nothing_either(
    own_server: Server, ruleset: Ruleset
) -> None:
    store = await open_store(own_server.url)
    _, lease = await been_away(store, ruleset, 120_000)
    first_ms = now_ms() - 30_000
    place = keys.place(TENANT, 0)
    await store.link.call("HSET", place.beats, "from_ms", first_ms - 90_000, "until_ms", first_ms, "outages", 1)
    await store.link.call("HSET", place.beats, "beat_at_ms", first_ms + SPARED_MS)
    renewed = await handoffs.renew(store, TENANT, lease, LEASE_MS, now_ms())
    assert renewed.holder == "mia"
    assert (await beats(store))["from_ms"] == first_ms - 90_000
    await store.close()


async def test_an_outage_of_yesterday_spares_nobody_today(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    _, lease = await been_away(store, ruleset, 120_000)
    first_ms = now_ms() - 30_000
    place = keys.place(TENANT, 0)
    await store.link.call("HSET", place.beats, "from_ms", first_ms - 90_000, "until_ms", first_ms, "outages", 1)
    await store.link.call("HSET", place.beats, "beat_at_ms", first_ms + SPARED_MS + 1)
    with pytest.raises(LeaseLost):
        await handoffs.renew(store, TENANT, lease, LEASE_MS, now_ms())
    assert (await beats(store))["from_ms"] == first_ms + SPARED_MS + 1
    await store.close()


async def test_the_store_notes_outages_in_a_row_as_the_rules_say(own_server: Server, ruleset: Ruleset) -> None:
    """Each look comes four seconds after the last; what is noted is moved back, so that the test waits for no clock."""
    store = await open_store(own_server.url)
    await at_work(store, ruleset, now_ms())
    place, gap_ms = keys.place(TENANT, 0), OUTAGE_MS + 1_000
    await looked(store)
    before, met = None, set[int]()
    for _ in range(3 * OUTAGES_MAX):
        for name in await beats(store):
            if name != "outages":
                await store.link.call("HINCRBY", place.beats, name, -gap_ms)
        if before is not None:
            before = Outage(before.from_at_ms - gap_ms, before.until_at_ms - gap_ms, before.outages)
        beat_at_ms = (await beats(store))["beat_at_ms"]
        await looked(store)
        found = await beats(store)
        before = noted(before, beat_at_ms, found["beat_at_ms"])
        assert before is not None
        assert (found["from_ms"], found["outages"]) == (before.from_at_ms, before.outages)
        assert before.until_at_ms - 1_000 <= found["until_ms"] <= before.until_at_ms
        before = Outage(found["from_ms"], found["until_ms"], found["outages"])
        met.add(before.outages)
    assert met == set(range(1, OUTAGES_MAX + 1))
    await store.close()


async def test_a_calm_store_notes_a_beat_a_second_and_nothing_else(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    assert await looked(store) == 0
    assert await beats(store) == {}, "nobody has anything in hand"
    await at_work(store, ruleset, now_ms())
    await looked(store)
    first = await beats(store)
    assert list(first) == ["beat_at_ms"]
    place = keys.place(TENANT, 0)
    # What was noted is moved, so that the test waits for no clock; the last is what a clock that was set back finds.
    for ago_ms in (0, 1_001, -60_000):
        before_ms = now_ms() - ago_ms
        await store.link.call("HSET", place.beats, "beat_at_ms", before_ms)
        await looked(store)
        found = await beats(store)
        assert list(found) == ["beat_at_ms"], "no outage"
        a_second_ago = not 0 <= now_ms() - before_ms < BEAT_MS
        assert (found["beat_at_ms"] != before_ms) == a_second_ago, f"{ago_ms} ms ago"
    assert await deadlines.sweep(store, TENANT, now_ms() + LEASE_MS + 10_000) == 1, "who is silent loses it at once"
    await looked(store)
    assert await beats(store) == {}
    await store.close()


async def test_a_beat_takes_no_part_in_what_a_token_is_judged_by(own_server: Server, ruleset: Ruleset) -> None:
    store = await open_store(own_server.url)
    _, lease = await been_away(store, ruleset)
    with pytest.raises(LeaseLost):
        await handoffs.renew(store, TENANT, Lease(lease.handoff_id, "1-made-up"), LEASE_MS, now_ms())
    await store.close()


def test_both_languages_have_the_same_numbers() -> None:
    text = (LUA / "parts" / "outage.lua").read_text()
    found = re.search(r"local OUTAGE_MS, SPARED_MS, OUTAGES_MAX = (\d+), (\d+), (\d+)\n", text)
    assert found is not None
    assert tuple(map(int, found.groups())) == (OUTAGE_MS, SPARED_MS, OUTAGES_MAX)


def test_the_page_has_the_spans_that_the_code_has() -> None:
    words = " ".join((Path(__file__).parents[2] / "docs" / "operations.md").read_text().split())
    assert f"(`HANDRAIL_LEASE_MS`, {Settings.model_fields['lease_ms'].default // 1_000} seconds)" in words
    assert f"ends {SPARED_MS // 1_000} seconds after it is back" in words
    assert f"longer than {OUTAGE_MS // 1_000} seconds" in words
    assert RETURNED_MS == 2 * 60_000
    assert "A deadline that passed meanwhile becomes two minutes from then" in words
