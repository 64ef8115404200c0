"""Whose customer it is now is noted while the packet of a claim is read, and nothing of it is left behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from rules.evaluation.evaluate import Ruleset
from rules.turn import Customer
from service.errors import StoreAway
from service.flows import claims, handoffs, packets
from service.flows.access import Store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming
from service.store import operators
from service.store.pooled import pooled
from service.store.store import KEPT_MS
from tests.service.conftest import Server
from tests.service.turns import angry

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
TENANT = "acme"
WAIT_S = 20


@pytest.fixture
async def store(own_server: Server) -> AsyncIterator[Store]:
    """Return a store over redis-py, as with a Sentinel or a cluster: a call begins when it is waited for."""
    opened = Store(own_server.url, pooled(own_server.url), 1, KEPT_MS)
    yield opened
    await opened.close()


async def claim(store: Store, ruleset: Ruleset) -> Claimed:
    await decide(store, ruleset, TENANT, angry("c1", customer=Customer(id="cus_1")), NOW)
    claimed = await handoffs.claim_next(store, ruleset, TENANT, None, Claiming("mia", 60_000), NOW + 1)
    assert isinstance(claimed, Claimed)
    return claimed


async def test_it_is_under_way_while_the_packet_is_read(
    store: Store, ruleset: Ruleset, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_customer, packet_json, begun = operators.keep_customer, packets.packet_json, asyncio.Event()

    async def noting(*given: Any) -> object:
        begun.set()
        return await keep_customer(*given)

    async def reading(*given: Any) -> bytes:
        async with asyncio.timeout(WAIT_S):
            await begun.wait()
        return await packet_json(*given)

    monkeypatch.setattr(operators, "keep_customer", noting)
    monkeypatch.setattr(claims, "packet_json", reading)
    await claim(store, ruleset)
    assert await operators.keeper(store, TENANT, "cus_1") == "mia"


@pytest.mark.parametrize("noted", ["never ends", "fails"])
async def test_nothing_is_left_of_it_where_the_packet_cannot_be_read(
    store: Store, ruleset: Ruleset, monkeypatch: pytest.MonkeyPatch, noted: str
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def noting(*_: object) -> object:
        begun.set()
        try:
            if noted == "fails":
                raise StoreAway("the note")
            return await asyncio.Event().wait()
        finally:
            ended.set()

    async def failing(*_: object) -> bytes:
        await begun.wait()
        raise StoreAway("the packet")

    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    monkeypatch.setattr(operators, "keep_customer", noting)
    monkeypatch.setattr(claims, "packet_json", failing)
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(StoreAway) as away:
            await claim(store, ruleset)
        assert away.value.reason == "the packet"
        await ended.wait()
    del away
    gc.collect()
    assert told == []


async def test_what_has_not_begun_when_the_packet_fails_is_ended_too(
    store: Store, ruleset: Ruleset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Awaitable[bytes]:
        raise StoreAway("the packet")

    monkeypatch.setattr(claims, "packet_json", failing)
    with pytest.raises(StoreAway):
        await claim(store, ruleset)
    gc.collect()
    assert await operators.keeper(store, TENANT, "cus_1") is None
