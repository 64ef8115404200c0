"""Which servers are opened, and which are refused with what to do."""

from __future__ import annotations

import pytest

from service.errors import PartitionsDiffer, ServerUnfit, StoreAway
from service.flows.access import open_store
from service.store import keys
from service.store.connection import Twin
from tests.service.conftest import Server

pytestmark = pytest.mark.server


async def test_a_store_keeps_the_partitions_it_was_made_with(own_server: Server) -> None:
    first = await open_store(own_server.url, partitions=4)
    await first.close()
    with pytest.raises(PartitionsDiffer) as differ:
        await open_store(own_server.url, partitions=8)
    assert (str(differ.value), differ.value.hint) == (
        "the store was made with 4 partitions, not 8",
        "set HANDRAIL_PARTITIONS=4, or point HANDRAIL_REDIS_URL at an empty server",
    )


async def test_a_store_of_a_newer_handrail_is_left_alone(own_server: Server) -> None:
    store = await open_store(own_server.url)
    await store.link.call("HSET", keys.STORE, "schema", 9)
    await store.close()
    with pytest.raises(ServerUnfit) as unfit:
        await open_store(own_server.url)
    assert str(unfit.value) == "the store has schema 9, and this Handrail knows 1"


async def test_nobody_there_is_told_at_once(place: object) -> None:
    with pytest.raises(StoreAway):
        await open_store(f"unix://{place}/none")


async def test_strict_needs_no_wait_where_the_server_syncs_before_it_answers(own_server: Server) -> None:
    store = await open_store(own_server.url, durable="strict")
    assert not isinstance(store.link, Twin)
    await store.close()


async def test_strict_waits_where_the_server_syncs_every_second(own_server: Server) -> None:
    own_server.kill()
    own_server.start("--appendfsync", "everysec")
    store = await open_store(own_server.url, durable="strict")
    assert isinstance(store.link, Twin)
    await store.know("tenant")
    assert await store.tenants() == ("tenant",)
    await store.close()


async def test_strict_refuses_a_server_that_keeps_no_file(own_server: Server) -> None:
    own_server.kill()
    own_server.append = False
    own_server.start()
    with pytest.raises(ServerUnfit) as unfit:
        await open_store(own_server.url, durable="strict")
    assert str(unfit.value) == "`durable: strict` needs an append-only file, and the server keeps none"


@pytest.mark.parametrize(("conversation_id", "slot"), [("123456789", 0x31C3), ("", 0), ("foo", 12182 + 16384 * 2)])
def test_the_partition_is_counted_as_redis_cluster_counts_slots(conversation_id: str, slot: int) -> None:
    assert keys.partition_of(conversation_id, 65_536) == slot


def test_ids_name_their_partition_and_nothing_else_passes() -> None:
    made = keys.decision_id("acme", 31, "c1", "t1")
    assert made == keys.decision_id("acme", 31, "c1", "t1") != keys.decision_id("acme", 31, "c1t", "1")
    assert keys.partition_in(keys.DECISION_ID, made, 64) == 31
    assert keys.partition_in(keys.DECISION_ID, made, 16) is None
    assert keys.partition_in(keys.HANDOFF_ID, made, 64) is None
    assert keys.partition_in(keys.HANDOFF_ID, keys.handoff_id(10, "0" * 16), 64) == 10


def test_all_keys_of_a_partition_carry_its_tag() -> None:
    place = keys.place("acme", 10)
    made = [place.conversation("c"), place.turns("c{x}"), place.decision("d"), place.waiting("q"), place.outbox]
    assert all(key.startswith("hr:{acme:a}:") for key in made)
