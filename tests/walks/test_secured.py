"""A whole Handrail over TLS with a private CA, as users of the documented rights, led by a Sentinel; its master dies.

Nothing is started again, nothing is asked for beyond those rights, and what was acknowledged is resolved exactly once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import ServerUnfit
from service.store.connection import link_to
from tests.service.secured import Secured, secured, why_not
from tests.waiting import wait_until
from tests.walks.failing import goes_on, make_keys, work_while
from tests.walks.served import Served
from tests.walks.shift import Shift, each_was_resolved_once

pytestmark = [
    pytest.mark.walk,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]
REPLICATED_S = 30
FAILED_OVER_S = 60
FELT_S = 60


@pytest.fixture
def servers(folder: Path) -> Iterator[tuple[Path, Secured]]:
    with secured(folder) as found:
        yield folder, found


def denied(found: Secured) -> set[tuple[str, str, str]]:
    """Return what the users were refused, on every server that lives."""
    told = set()
    for server in (found.master, found.replica):
        if server.process is not None:
            with found.keeper(server) as client:
                told |= {(each["username"], each["reason"], each["object"]) for each in client.acl_log(count=128)}
    return told


def gone_after(found: Secured, silent_ms: int) -> None:
    """Let the Sentinel take a master for dead that says nothing for so long."""
    with found.sentinel() as client:
        client.sentinel_set("main", "down-after-milliseconds", silent_ms)


async def test_it_goes_on_with_the_replica_and_needs_no_more_than_the_documented_rights(
    servers: tuple[Path, Secured],
) -> None:
    folder, found = servers
    with found.keeper(found.replica) as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", REPLICATED_S)
        with Served(folder, redis_url=found.url("handrail"), rq_url=found.url("handrail-jobs")) as served:
            make_keys(served)

            def leads() -> bool:
                return bool(client.info("replication")["role"] == "master")

            async def fails(shift: Shift) -> None:
                await goes_on(shift)
                assert denied(found) == set()
                # Nobody takes its place before somebody was answered without it.
                gone_after(found, 600_000)
                found.master.kill()
                await asyncio.to_thread(wait_until, lambda: shift.degraded > 0, FELT_S)
                gone_after(found, 1_000)
                await asyncio.to_thread(wait_until, leads, FAILED_OVER_S)
                await goes_on(shift)

            shift = await work_while(served, fails)
            await each_was_resolved_once(shift)
            assert denied(found) == set()
            log = served.log.read_text()
    assert "p@ss" not in log
    assert "p%40ss" not in log


async def test_a_certificate_of_an_unknown_ca_is_told_as_such(servers: tuple[Path, Secured]) -> None:
    _, found = servers
    for scheme in ("rediss", "rediss+cluster"):
        with pytest.raises(ServerUnfit) as unfit:
            await link_to(f"{scheme}://127.0.0.1:{found.master.port}").call("EXISTS", "hr:{control}:mark")
        assert "certificate is not trusted" in str(unfit.value)
        assert unfit.value.hint == "name its CA in the address: `?ssl_ca_certs=/path`"
