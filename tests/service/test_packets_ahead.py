"""Packets that workers build ahead: the claim brings them, and never one that does not know the last turn."""

from __future__ import annotations

import threading
import zlib

import pytest

from rules.evaluation.evaluate import Ruleset
from rules.handoff import Handoff
from rules.packet.packet import ContextPacket, build
from rules.turn import Turn
from service.flows import handoffs
from service.flows import packets as building
from service.flows.access import Store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming
from service.store import packets
from service.store.handoffs import place_of
from service.store.keys import Place
from tests.service.turns import angry, calm, wordy

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000


async def opened(store: Store, ruleset: Ruleset, tenant: str, turn: Turn) -> str:
    decided = await decide(store, ruleset, tenant, turn, NOW)
    assert decided.decision.handoff_id is not None
    return decided.decision.handoff_id


async def next_of(store: Store, ruleset: Ruleset, tenant: str, now_ms: int) -> Claimed:
    claimed = await handoffs.claim_next(store, ruleset, tenant, None, Claiming("mia", 60_000), now_ms)
    assert isinstance(claimed, Claimed)
    return claimed


async def test_a_claim_brings_the_packet_that_was_built_ahead_without_a_trip_for_it(
    store: Store, ruleset: Ruleset, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handoff_id = await opened(store, ruleset, tenant, angry("c1"))
    assert await handoffs.enrich(store, tenant, handoff_id, NOW + 1) is True
    monkeypatch.delattr(packets, "find")
    claimed = await next_of(store, ruleset, tenant, NOW + 2)
    assert (claimed.packet.handoff_id, claimed.packet.built_at_ms) == (handoff_id, NOW + 1)


async def test_a_packet_built_ahead_is_used_until_the_handoff_changes(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    handoff_id = await opened(store, ruleset, tenant, angry("c1"))
    assert await handoffs.enrich(store, tenant, handoff_id, NOW + 1) is True
    assert await handoffs.enrich(store, tenant, handoff_id, NOW + 2) is False
    await decide(store, ruleset, tenant, angry("c1"), NOW + 3)
    assert await handoffs.enrich(store, tenant, handoff_id, NOW + 4) is True
    claimed = await next_of(store, ruleset, tenant, NOW + 5)
    assert (claimed.packet.built_at_ms, len(claimed.packet.why)) == (NOW + 4, 2)
    assert await handoffs.enrich(store, tenant, "hof_0_" + "0" * 16, NOW) is False


async def test_what_a_customer_says_while_waiting_is_in_the_packet_that_is_claimed(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    handoff_id = await opened(store, ruleset, tenant, angry("c1"))
    assert await handoffs.enrich(store, tenant, handoff_id, NOW + 1) is True
    waited = await decide(store, ruleset, tenant, calm("c1"), NOW + 2)
    assert waited.decision.verdict == "held_by_human"
    claimed = await next_of(store, ruleset, tenant, NOW + 3)
    assert claimed.packet.transcript[-1].turn_id == waited.decision.turn_id


async def test_a_packet_that_another_version_built_ahead_is_built_again(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    handoff_id = await opened(store, ruleset, tenant, angry("c1"))
    assert await handoffs.enrich(store, tenant, handoff_id, NOW + 1) is True
    kept = place_of(store, tenant, handoff_id).packet(handoff_id)
    stamp = (await store.link.call("GET", kept)).partition(b"\n")[0]
    # What every packet says is left out of it, and other versions say other things.
    packing = zlib.compressobj(zdict=b'"begged":')
    await store.link.call("SET", kept, stamp + b"\n" + packing.compress(b'{"begged":1}') + packing.flush())
    claimed = await next_of(store, ruleset, tenant, NOW + 2)
    assert claimed.packet.built_at_ms == NOW + 2


async def test_what_is_said_while_a_review_waits_is_in_its_packet_though_the_answer_does_not_name_it(
    store: Store, ruleset: Ruleset, tenant: str
) -> None:
    handoff_id = await opened(store, ruleset, tenant, wordy("c1"))
    assert await handoffs.enrich(store, tenant, handoff_id, NOW + 1) is True
    went_on = await decide(store, ruleset, tenant, calm("c1"), NOW + 2)
    assert (went_on.decision.verdict, went_on.decision.handoff_id) == ("continue", None)
    claimed = await next_of(store, ruleset, tenant, NOW + 3)
    assert claimed.packet.transcript[-1].turn_id == went_on.decision.turn_id


async def test_a_packet_that_was_built_before_the_last_turn_and_comes_after_it_is_not_kept(
    store: Store, ruleset: Ruleset, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handoff_id = await opened(store, ruleset, tenant, angry("c1"))
    built = building._build

    async def slow(store: Store, place: Place, handoff: Handoff, now_ms: int) -> ContextPacket:
        packet = await built(store, place, handoff, now_ms)
        await decide(store, ruleset, tenant, calm("c1", "late"), NOW + 1)
        return packet

    with monkeypatch.context() as patched:
        patched.setattr(building, "_build", slow)
        assert await handoffs.enrich(store, tenant, handoff_id, NOW + 1) is False
    claimed = await next_of(store, ruleset, tenant, NOW + 2)
    assert [shown.turn_id for shown in claimed.packet.transcript][-1] == "late"


@pytest.mark.parametrize(("chars", "beside"), [(100, False), (20_000, True)])
async def test_the_packet_of_long_texts_is_built_beside_the_loop_that_answers_turns(
    store: Store, ruleset: Ruleset, tenant: str, monkeypatch: pytest.MonkeyPatch, chars: int, beside: bool
) -> None:
    threads: list[int] = []

    def noted(*words: object) -> ContextPacket:
        threads.append(threading.get_ident())
        return build(*words)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(building, "build", noted)
    await decide(store, ruleset, tenant, Turn("c1", "t0", message="a@b.co " * (chars // 7)), NOW)
    await opened(store, ruleset, tenant, angry("c1"))
    claimed = await next_of(store, ruleset, tenant, NOW + 1)
    assert [(thread != threading.get_ident()) for thread in threads] == [beside]
    message = claimed.packet.transcript[0].message
    assert message is not None
    assert message.text.startswith("⟦customer⟧[email] [email]")
