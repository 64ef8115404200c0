"""What operators do with handoffs, who is refused, and with which words."""

from __future__ import annotations

import asyncio

import pytest

from rules.evaluation.evaluate import Ruleset
from rules.handoff import Handoff
from service.errors import (
    AlreadyClaimed,
    CursorInvalid,
    DraftUnseen,
    HandoffUnknown,
    LeaseLost,
    LimitReached,
    MoveIllegal,
    QueueUnknown,
    Refusal,
    RequestReused,
)
from service.flows import handoffs
from service.flows.access import Store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, HandingBack, Lease, NothingWaiting, Resolving
from tests.service.listening import WAIT_S
from tests.service.turns import angry, calm, refunding, unsure, wordy

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
MINUTE = 60_000
LEASE_MS = 60_000


async def opened(store: Store, ruleset: Ruleset, tenant: str, conversation_id: str, now_ms: int = NOW) -> str:
    decided = await decide(store, ruleset, tenant, angry(conversation_id), now_ms)
    assert decided.decision.handoff_id is not None
    return decided.decision.handoff_id


async def next_of(
    store: Store, ruleset: Ruleset, tenant: str, now_ms: int, operator: str = "mia", queue: str = "tier1"
) -> Claimed | None:
    claimed = await handoffs.claim_next(store, ruleset, tenant, queue, Claiming(operator, LEASE_MS), now_ms)
    return claimed if isinstance(claimed, Claimed) else None


async def held(store: Store, ruleset: Ruleset, tenant: str, now_ms: int = NOW) -> tuple[Handoff, Lease]:
    claimed = await next_of(store, ruleset, tenant, now_ms)
    assert claimed is not None
    return claimed.handoff, Lease(claimed.handoff.handoff_id, claimed.token)


def told(refused: Refusal) -> tuple[str, str, str]:
    return refused.code, str(refused), refused.hint


async def test_the_most_urgent_goes_first_and_age_outweighs_priority(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    # Normal ones wait 15 minutes longer than urgent ones and 10 longer than high ones, whoever came first.
    old = await decide(store, ruleset, tenant, refunding("old"), NOW)
    young = await decide(store, ruleset, tenant, refunding("young"), NOW + 1)
    for decided in (old, young):
        claimed = await next_of(store, ruleset, tenant, NOW + 2, queue="approvals")
        assert claimed is not None
        assert claimed.handoff.handoff_id == decided.decision.handoff_id
    assert await next_of(store, ruleset, tenant, NOW + 2, queue="approvals") is None


async def test_a_claim_brings_the_packet_and_a_token_that_names_the_version(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    handoff_id = await opened(store, ruleset, tenant, "c1")
    claimed = await next_of(store, ruleset, tenant, NOW + 5)
    assert claimed is not None
    assert (claimed.handoff.state, claimed.handoff.holder, claimed.handoff.claimed_at_ms) == ("leased", "mia", NOW + 5)
    assert claimed.lease_expires_at_ms == claimed.handoff.lease_expires_at_ms == NOW + 5 + LEASE_MS
    assert claimed.token.startswith(f"{claimed.handoff.version}-")
    assert claimed.packet.handoff_id == handoff_id
    assert [why.rules[0].rule_id for why in claimed.packet.why] == ["angry"]
    assert [shown.turn_id for shown in claimed.packet.transcript] == [claimed.handoff.reasons[0].turn_id]


async def test_a_claim_sent_again_gets_the_same_handoff_and_the_token_issued_then(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    for number in range(2):
        await opened(store, ruleset, tenant, f"c{number}")
    claiming = Claiming("mia", LEASE_MS, "request-1")
    first = await handoffs.claim_next(store, ruleset, tenant, "tier1", claiming, NOW)
    again = await handoffs.claim_next(store, ruleset, tenant, "tier1", claiming, NOW + 9)
    assert isinstance(first, Claimed)
    assert isinstance(again, Claimed)
    assert (first.token, first.lease_expires_at_ms) == (again.token, again.lease_expires_at_ms)
    assert first.handoff.handoff_id == again.handoff.handoff_id
    views = {view.name: (view.waiting, view.leased) for view in await handoffs.queues(store, ruleset, tenant)}
    assert views["tier1"] == (1, 1)


async def test_one_that_is_held_or_ended_cannot_be_claimed(store: Store, ruleset: Ruleset, tenant: str) -> None:
    handoff_id = await opened(store, ruleset, tenant, "c1")
    one = await handoffs.claim_one(store, tenant, handoff_id, Claiming("mia", LEASE_MS), NOW)
    with pytest.raises(AlreadyClaimed) as claimed:
        await handoffs.claim_one(store, tenant, handoff_id, Claiming("ben", LEASE_MS), NOW + 1)
    assert told(claimed.value) == ("already_claimed", f"{handoff_id} is held by mia", "ask mia, or claim another")
    await handoffs.resolve(store, tenant, Lease(handoff_id, one.token), Resolving("answer", "needed"), NOW + 2)
    with pytest.raises(MoveIllegal) as ended:
        await handoffs.claim_one(store, tenant, handoff_id, Claiming("ben", LEASE_MS), NOW + 3)
    assert told(ended.value) == (
        "move_illegal",
        "cannot claim a handoff that is `resolved`",
        "a handoff that ended stays ended",
    )


async def test_a_move_that_may_not_be_is_told_in_the_words_of_people(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    handoff_id = await opened(store, ruleset, tenant, "c1")
    claimed = await handoffs.claim_one(store, tenant, handoff_id, Claiming("mia", LEASE_MS), NOW)
    lease = Lease(handoff_id, claimed.token)
    await handoffs.hold(store, tenant, lease, NOW + MINUTE, "a call", NOW)
    with pytest.raises(MoveIllegal) as held:
        await handoffs.renew(store, tenant, lease, LEASE_MS, NOW)
    assert "hand back" in held.value.hint
    assert "_" not in held.value.hint
    await handoffs.resolve(store, tenant, lease, Resolving("answer", "needed"), NOW + 1)
    with pytest.raises(MoveIllegal) as resolved:
        await handoffs.hand_back(store, tenant, lease, HandingBack(), NOW + 2)
    assert told(resolved.value)[1] == "cannot hand back a handoff that is `resolved`"


async def test_a_queue_nobody_declared_is_refused(store: Store, ruleset: Ruleset, tenant: str) -> None:
    with pytest.raises(QueueUnknown) as unknown:
        await handoffs.claim_next(store, ruleset, tenant, "tier9", Claiming("mia", LEASE_MS), NOW)
    assert told(unknown.value) == (
        "queue_unknown",
        "no such queue",
        "the active rule files declare tier1, tier2, approvals, readers",
    )
    found = await handoffs.claim_next(store, ruleset, tenant, "tier1", Claiming("mia", LEASE_MS), NOW)
    assert found == NothingWaiting("tier1")


async def test_a_lease_is_renewed_and_lost_when_it_is_not(store: Store, ruleset: Ruleset, tenant: str) -> None:
    await opened(store, ruleset, tenant, "c1")
    handoff, lease = await held(store, ruleset, tenant)
    renewed = await handoffs.renew(store, tenant, lease, LEASE_MS, NOW + 30_000)
    assert (renewed.lease_expires_at_ms, renewed.version) == (NOW + 30_000 + LEASE_MS, handoff.version)
    with pytest.raises(LeaseLost) as lost:
        await handoffs.renew(store, tenant, lease, LEASE_MS, NOW + 94_200)
    assert told(lost.value) == (
        "lease_lost",
        f"lease on {handoff.handoff_id} ended 4200 ms ago",
        "claim it again; nobody holds it now",
    )
    # The next claim finds it, although no worker has looked.
    ben = await next_of(store, ruleset, tenant, NOW + 95_000, "ben")
    assert ben is not None
    with pytest.raises(LeaseLost) as stale:
        await handoffs.release(store, tenant, lease, NOW + 96_000)
    assert told(stale.value) == (
        "lease_lost",
        f"lease on {handoff.handoff_id} ended 6000 ms ago",
        "claim it again or ask ben, who holds it now",
    )


async def test_a_held_one_needs_no_heartbeat_until_its_moment(store: Store, ruleset: Ruleset, tenant: str) -> None:
    await opened(store, ruleset, tenant, "c1")
    _, lease = await held(store, ruleset, tenant)
    until = NOW + 60 * MINUTE
    kept = await handoffs.hold(store, tenant, lease, until, "waiting for the bank", NOW)
    assert (kept.state, kept.lease_expires_at_ms, kept.hold_reason) == ("held", until, "waiting for the bank")
    assert await next_of(store, ruleset, tenant, until - 1) is None
    back = await handoffs.resume(store, tenant, lease, LEASE_MS, until - 1)
    assert (back.state, back.hold_reason) == ("leased", None)
    for wrong in (NOW, NOW + 86_400_001):
        with pytest.raises(LimitReached):
            await handoffs.hold(store, tenant, lease, wrong, None, NOW)


async def test_whoever_falls_silent_after_the_deadline_leaves_others_two_minutes(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    handoff_id = await opened(store, ruleset, tenant, "c1")
    await held(store, ruleset, tenant, NOW + 15 * MINUTE - 1)
    late = NOW + 15 * MINUTE + LEASE_MS
    # Held past its deadline it is not ended; only when the operator falls silent.
    assert await handoffs.expire_due(store, tenant, 0, late - 2) == 0
    assert await handoffs.lapse_due(store, tenant, 0, late) == 1
    # Somebody came in time, so nobody is told that nobody did: it is the first that others are given.
    assert await handoffs.expire_due(store, tenant, 0, late + 2 * MINUTE - 1) == 0
    back = await handoffs.get(store, tenant, handoff_id)
    assert (back.state, back.expires_at_ms) == ("waiting", late + 2 * MINUTE)
    claimed = await next_of(store, ruleset, tenant, late + MINUTE, "ben")
    assert claimed is not None
    lease = Lease(handoff_id, claimed.token)
    released = await handoffs.release(store, tenant, lease, late + MINUTE)
    assert released.expires_at_ms == late + 3 * MINUTE
    assert await handoffs.expire_due(store, tenant, 0, late + 3 * MINUTE) == 1
    assert (await handoffs.get(store, tenant, handoff_id)).state == "expired"
    assert await handoffs.expire_due(store, tenant, 0, late + 3 * MINUTE) == 0


async def test_what_comes_back_long_before_its_deadline_keeps_it(store: Store, ruleset: Ruleset, tenant: str) -> None:
    await opened(store, ruleset, tenant, "c1")
    _, lease = await held(store, ruleset, tenant)
    assert (await handoffs.release(store, tenant, lease, NOW + 1)).expires_at_ms == NOW + 15 * MINUTE


async def test_a_missed_deadline_reroutes_once_with_the_promise_of_that_queue(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    for _ in range(2):
        decided = await decide(store, ruleset, tenant, unsure("c1"), NOW)
    handoff_id = decided.decision.handoff_id or ""
    missed = NOW + 10 * MINUTE
    assert await handoffs.expire_due(store, tenant, 0, missed - 1) == 0
    assert await handoffs.expire_due(store, tenant, 0, missed) == 1
    moved = await handoffs.get(store, tenant, handoff_id)
    assert (moved.state, moved.queue, moved.rerouted) == ("waiting", "tier1", True)
    assert (moved.expires_at_ms, moved.on_timeout.verdict) == (missed + 15 * MINUTE, "callback")
    assert await handoffs.expire_due(store, tenant, 0, missed + 15 * MINUTE) == 1
    ended = await handoffs.get(store, tenant, handoff_id)
    assert ended.resolution is not None
    assert (ended.state, ended.resolution.say) == ("expired", "We will call you back.")


async def test_whoever_is_passed_on_to_another_queue_is_told_what_was_promised_for_it(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    for _ in range(2):
        await decide(store, ruleset, tenant, unsure("c1"), NOW)
    before = await decide(store, ruleset, tenant, calm("c1"), NOW + MINUTE)
    missed = NOW + 10 * MINUTE
    await handoffs.expire_due(store, tenant, 0, missed)
    moved = await decide(store, ruleset, tenant, calm("c1"), missed + MINUTE)
    await held(store, ruleset, tenant, missed + 2 * MINUTE)
    taken = await decide(store, ruleset, tenant, calm("c1"), missed + 2 * MINUTE + 1)
    assert before.decision.say == taken.decision.say != "Someone else will take it."
    assert moved.decision.say == "Someone else will take it."


async def test_a_release_keeps_the_place_in_the_queue(store: Store, ruleset: Ruleset, tenant: str) -> None:
    first = await opened(store, ruleset, tenant, "c1")
    await opened(store, ruleset, tenant, "c2", NOW + 1)
    _, lease = await held(store, ruleset, tenant, NOW + 2)
    released = await handoffs.release(store, tenant, lease, NOW + 3)
    assert (released.state, released.holder, released.lease_expires_at_ms) == ("waiting", None, None)
    claimed = await next_of(store, ruleset, tenant, NOW + 4)
    assert claimed is not None
    assert claimed.handoff.handoff_id == first


async def test_what_is_transferred_to_a_person_is_theirs_for_two_minutes(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    handoff_id = await opened(store, ruleset, tenant, "c1")
    _, lease = await held(store, ruleset, tenant)
    moved = await handoffs.transfer(store, ruleset, tenant, lease, "approvals", "ben", NOW + 1)
    assert (moved.state, moved.queue, moved.reserved_for) == ("waiting", "approvals", "ben")
    assert await next_of(store, ruleset, tenant, NOW + 2, "mia", "approvals") is None
    with pytest.raises(AlreadyClaimed) as reserved:
        await handoffs.claim_one(store, tenant, handoff_id, Claiming("mia", LEASE_MS), NOW + 2)
    assert str(reserved.value) == f"{handoff_id} is reserved for ben"
    theirs = await next_of(store, ruleset, tenant, NOW + 2, "ben", "approvals")
    assert theirs is not None
    assert theirs.handoff.reserved_for is None
    await handoffs.transfer(store, ruleset, tenant, Lease(handoff_id, theirs.token), None, "kim", NOW + 3)
    anyones = await next_of(store, ruleset, tenant, NOW + 3 + 120_000, "mia", "approvals")
    assert anyones is not None
    with pytest.raises(QueueUnknown):
        await handoffs.transfer(store, ruleset, tenant, Lease(handoff_id, anyones.token), "tier9", None, NOW)


async def test_those_reserved_for_others_do_not_hide_the_ones_behind_them(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    for number in range(20):
        await opened(store, ruleset, tenant, f"c{number}", NOW + number)
    for _ in range(18):
        _, lease = await held(store, ruleset, tenant, NOW + 30)
        await handoffs.transfer(store, ruleset, tenant, lease, None, "ben", NOW + 31)
    free = [await next_of(store, ruleset, tenant, NOW + 32) for _ in range(3)]
    assert [one is not None for one in free] == [True, True, False]


async def test_whoever_gets_a_transfer_after_the_deadline_has_time_to_answer(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    await opened(store, ruleset, tenant, "c1")
    _, lease = await held(store, ruleset, tenant)
    late = NOW + 30 * MINUTE
    await handoffs.hold(store, tenant, lease, late + MINUTE, None, NOW)
    moved = await handoffs.transfer(store, ruleset, tenant, lease, "approvals", None, late)
    assert moved.expires_at_ms == late + 5 * MINUTE
    assert await handoffs.expire_due(store, tenant, 0, late) == 0


async def test_replies_are_kept_in_order_once_each_and_extend_the_lease(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    await opened(store, ruleset, tenant, "c1")
    handoff, lease = await held(store, ruleset, tenant)
    await handoffs.reply(store, tenant, lease, "One moment.", LEASE_MS, NOW + 1)
    once = Lease(lease.handoff_id, lease.token, "request-1")
    for _ in range(3):
        said = await handoffs.reply(store, tenant, once, 'Here is "it": 5 €', LEASE_MS, NOW + 2)
    assert [(one.number, one.text, one.by, one.at_ms) for one in said.replies] == [
        (1, "One moment.", "mia", NOW + 1),
        (2, 'Here is "it": 5 €', "mia", NOW + 2),
    ]
    assert said.lease_expires_at_ms == NOW + 2 + LEASE_MS
    assert said.version == handoff.version + 2
    with pytest.raises(RequestReused):
        await handoffs.reply(store, tenant, once, "Something else.", LEASE_MS, NOW + 3)
    assert len((await handoffs.get(store, tenant, lease.handoff_id)).replies) == 2


async def test_a_resolution_is_typed_and_stays_with_its_outcome(store: Store, ruleset: Ruleset, tenant: str) -> None:
    await decide(store, ruleset, tenant, angry("c1", reply="We give 200."), NOW)
    _, lease = await held(store, ruleset, tenant)
    once = Lease(lease.handoff_id, lease.token, "request-1")
    resolving = Resolving(
        "edit",
        "needed",
        text="Sent less.",
        edited={"reply": "We give 20."},
        root_cause="policy",
        flags=("wrong_queue",),
    )
    ended = await handoffs.resolve(store, tenant, once, resolving, NOW + 1)
    again = await handoffs.resolve(store, tenant, once, resolving, NOW + 2)
    assert again == ended
    assert (ended.state, ended.ended_at_ms, ended.holder) == ("resolved", NOW + 1, None)
    resolution = ended.resolution
    assert resolution is not None
    assert (resolution.action, resolution.by, resolution.outcome) == ("edit", "mia", "needed")
    assert (resolution.edited, resolution.flags) == ({"reply": "We give 20."}, ("wrong_queue",))
    with pytest.raises(MoveIllegal):
        await handoffs.reply(store, tenant, lease, "too late", LEASE_MS, NOW + 3)


async def test_a_draft_that_the_operator_has_not_read_is_not_let_out(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    read = await decide(store, ruleset, tenant, refunding("c1"), NOW)
    claimed = await next_of(store, ruleset, tenant, NOW, queue="approvals")
    assert claimed is not None
    assert claimed.packet.task.draft is not None
    assert claimed.packet.task.draft.turn_id == read.decision.turn_id
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    later = await decide(store, ruleset, tenant, refunding("c1"), NOW)
    assert later.decision.handoff_id == lease.handoff_id
    for letting_out in (Resolving("approve", "needed"), Resolving("edit", "needed", edited={"reply": "Less."})):
        with pytest.raises(DraftUnseen) as unseen:
            await handoffs.resolve(store, tenant, lease, letting_out, NOW + 1)
    assert told(unseen.value) == (
        "draft_unseen",
        "another draft was held since the claim",
        "release the handoff and claim it again: the packet then shows the later draft",
    )
    stale = Lease(lease.handoff_id, "1-x")
    with pytest.raises(LeaseLost):
        await handoffs.resolve(store, tenant, stale, Resolving("approve", "needed"), NOW + 1)
    await handoffs.release(store, tenant, lease, NOW + 2)
    again = await next_of(store, ruleset, tenant, NOW + 3, queue="approvals")
    assert again is not None
    fresh = Lease(again.handoff.handoff_id, again.token)
    ended = await handoffs.resolve(store, tenant, fresh, Resolving("approve", "needed"), NOW + 4)
    assert ended.resolution is not None
    assert ended.resolution.turn_id == later.decision.turn_id


async def test_what_keeps_a_draft_back_needs_no_look_at_the_latest_one(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    read = await decide(store, ruleset, tenant, refunding("c1"), NOW)
    claimed = await next_of(store, ruleset, tenant, NOW, queue="approvals")
    assert claimed is not None
    await decide(store, ruleset, tenant, refunding("c1"), NOW)
    lease = Lease(claimed.handoff.handoff_id, claimed.token)
    ended = await handoffs.resolve(store, tenant, lease, Resolving("reject", "needed"), NOW + 1)
    assert ended.resolution is not None
    assert (ended.resolution.action, ended.resolution.turn_id) == ("reject", read.decision.turn_id)


async def test_an_unknown_handoff_is_refused_by_every_verb(store: Store, ruleset: Ruleset, tenant: str) -> None:
    for handoff_id in ("hof_0_" + "0" * 16, "hof_7_" + "0" * 16, "hof_x", "", "dec_0_" + "0" * 20):
        lease = Lease(handoff_id, "1-x")
        for verb in (
            handoffs.get(store, tenant, handoff_id),
            handoffs.renew(store, tenant, lease, LEASE_MS, NOW),
            handoffs.release(store, tenant, lease, NOW),
            handoffs.resolve(store, tenant, lease, Resolving("answer", "needed"), NOW),
            handoffs.claim_one(store, tenant, handoff_id, Claiming("mia", LEASE_MS), NOW),
            handoffs.wait(store, tenant, handoff_id, 10, None, NOW),
        ):
            with pytest.raises(HandoffUnknown):
                await verb


async def test_open_handoffs_are_listed_page_by_page_by_urgency(spread: Store, ruleset: Ruleset, tenant: str) -> None:
    wanted = [await opened(spread, ruleset, tenant, f"c{number}", NOW + number // 3) for number in range(11)]
    await decide(spread, ruleset, tenant, wordy("reader"), NOW)
    seen: list[Handoff] = []
    cursor: str | None = None
    for _ in range(6):
        page = await handoffs.list_open(spread, tenant, "tier1", None, cursor, 3)
        seen += page.handoffs
        cursor = page.cursor
        if cursor is None:
            break
    assert cursor is None
    assert sorted(one.handoff_id for one in seen) == sorted(wanted)
    assert [one.score_ms for one in seen] == sorted(one.score_ms for one in seen)
    assert len((await handoffs.list_open(spread, tenant, None, None, None, 50)).handoffs) == 12
    await held(spread, ruleset, tenant)
    leased = await handoffs.list_open(spread, tenant, None, "leased", None, 50)
    assert [one.state for one in leased.handoffs] == ["leased"]
    for wrong in ("nonsense", "!!", "MTIz"):
        with pytest.raises(CursorInvalid):
            await handoffs.list_open(spread, tenant, None, None, wrong, 3)


async def test_a_waiting_agent_is_woken_by_the_reply_and_by_the_end(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    handoff_id = await opened(store, ruleset, tenant, "c1")
    _, lease = await held(store, ruleset, tenant)
    waiting = asyncio.create_task(handoffs.wait(store, tenant, handoff_id, 30_000, None, NOW))
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    assert not done
    # A heartbeat is no news.
    await handoffs.renew(store, tenant, lease, LEASE_MS, NOW + 1)
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    said = await handoffs.reply(store, tenant, lease, "Hello.", LEASE_MS, NOW + 2)
    assert await asyncio.wait_for(waiting, WAIT_S) == said
    known = asyncio.create_task(handoffs.wait(store, tenant, handoff_id, 30_000, said.version, NOW))
    ended = await handoffs.hand_back(store, tenant, lease, HandingBack(), NOW + 3)
    assert await asyncio.wait_for(known, WAIT_S) == ended
    assert await handoffs.wait(store, tenant, handoff_id, 30_000, ended.version, NOW) == ended


async def test_a_wait_ends_at_its_time(store: Store, ruleset: Ruleset, tenant: str) -> None:
    handoff_id = await opened(store, ruleset, tenant, "c1")
    handoff = await handoffs.wait(store, tenant, handoff_id, 50, None, NOW)
    assert handoff.state == "waiting"


async def test_a_waiting_agent_is_told_of_a_missed_deadline_also_while_no_worker_runs(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    handoff_id = await opened(store, ruleset, tenant, "c1")
    waiting = handoffs.wait(store, tenant, handoff_id, 30_000, None, NOW + 15 * MINUTE - 50)
    ended = await asyncio.wait_for(waiting, WAIT_S)
    assert ended.resolution is not None
    assert (ended.state, ended.resolution.action, ended.resolution.verdict) == ("expired", "timeout", "callback")


async def test_reading_a_handoff_settles_what_is_overdue(store: Store, ruleset: Ruleset, tenant: str) -> None:
    handoff_id = await opened(store, ruleset, tenant, "c1")
    await held(store, ruleset, tenant)
    assert (await handoffs.current(store, tenant, handoff_id, NOW + LEASE_MS - 1)).state == "leased"
    assert (await handoffs.current(store, tenant, handoff_id, NOW + LEASE_MS)).state == "waiting"
    assert (await handoffs.current(store, tenant, handoff_id, NOW + 15 * MINUTE - 1)).state == "waiting"
    assert (await handoffs.current(store, tenant, handoff_id, NOW + 15 * MINUTE)).state == "expired"


async def test_two_hundred_claimers_at_once_get_each_handoff_once(spread: Store, ruleset: Ruleset, tenant: str) -> None:
    wanted = await asyncio.gather(
        *(opened(spread, ruleset, tenant, f"c{number}", NOW + number) for number in range(120))
    )
    claims = await asyncio.gather(
        *(next_of(spread, ruleset, tenant, NOW + 200, f"op{number}") for number in range(200))
    )
    got = [claimed.handoff.handoff_id for claimed in claims if claimed is not None]
    assert sorted(got) == sorted(wanted)
    assert len({claimed.token for claimed in claims if claimed is not None}) == 120
