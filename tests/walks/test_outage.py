"""A server that is away for longer than a lease: whoever speaks again when it is back goes on, who is silent does not.

The lease is the shortest there is, so that nobody waits long; everything else is as it is delivered.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from rules.routing.leases import SPARED_MS
from service.clock import now_ms
from tests.waiting import wait_until
from tests.walks.served import ANSWER_S, READY_S, Served, turn
from tests.walks.shift import counted

pytestmark = [
    pytest.mark.walk,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
LEASE_MS = 5_000
AWAY_MS = LEASE_MS + 3_000
BEATEN_S = 60
RESOLVING = {"action": "take_over", "outcome": "needed"}


def claimed(served: Served, conversation_id: str) -> tuple[str, str]:
    """Return a handoff that an operator has claimed, and its token."""
    handoff_id = served.post("/should-escalate", turn(conversation_id), "agent")["handoff"]["id"]
    return handoff_id, served.post(f"/handoffs/{handoff_id}/claim", {}, "operator")["lease"]["token"]


def said(served: Served, handoff_id: str, verb: str, body: dict[str, Any]) -> httpx.Response:
    """Return the first answer that is none of a service that cannot: what a console is told once it is back."""
    found: list[httpx.Response] = []

    def answered() -> bool:
        found.append(once(served, handoff_id, verb, body))
        return not found[-1].is_server_error

    wait_until(answered, ANSWER_S)
    return found[-1]


def once(served: Served, handoff_id: str, verb: str, body: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {served.keys['operator']}"}
    path = f"{served.url}/handoffs/{handoff_id}/{verb}"
    return httpx.post(path, json=body, headers=headers, timeout=ANSWER_S)


def wait_until_watched(served: Served) -> None:
    """Wait until a worker has noted that the store can be asked: from then on it does, while anybody has a lease."""
    claimed(served, "first")
    socket = json.loads((served.data_dir / "server.json").read_text())["socket"]
    with redis.Redis(unix_socket_path=socket) as server:
        wait_until(lambda: bool(server.keys("hr:*:beats")), BEATEN_S)


def wait_out(began_s: float) -> None:
    wait_until(lambda: time.monotonic() - began_s >= AWAY_MS / 1_000, AWAY_MS / 500)


def logged(served: Served, handoff_id: str, kind: str, wanted: int) -> int:
    """Wait until the audit log tells an event of a handoff as often as that, and return how often it does then."""

    def found() -> int:
        return counted(served.data_dir / "audit").get(f"handoff.{kind}", Counter())[handoff_id]

    wait_until(lambda: found() >= wanted, READY_S)
    return found()


def test_a_server_that_hangs_takes_work_only_from_whoever_stays_silent(folder: Path) -> None:
    with Served(folder, lease_ms=str(LEASE_MS)) as served:
        wait_until_watched(served)
        silent, silent_token = claimed(served, "silent")
        mine, token = claimed(served, "mine")
        assert once(served, mine, "renew", {"token": token}).status_code == httpx.codes.OK
        began_s = time.monotonic()
        os.kill(served.server_pid, signal.SIGSTOP)
        try:
            assert once(served, mine, "renew", {"token": token}).status_code == httpx.codes.SERVICE_UNAVAILABLE
            wait_out(began_s)
        finally:
            back_at_ms = now_ms()
            os.kill(served.server_pid, signal.SIGCONT)
        renewed = said(served, mine, "renew", {"token": token})
        assert (renewed.status_code, renewed.json().get("state")) == (httpx.codes.OK, "leased"), renewed.text
        resolved = said(served, mine, "resolve", {"token": token, **RESOLVING})
        assert (resolved.status_code, resolved.json().get("state")) == (httpx.codes.OK, "resolved"), resolved.text
        assert said(served, mine, "resolve", {"token": token, **RESOLVING}).json()["code"] == "move_illegal"

        # The other is told of with the end that it has now, and is nobody else's before that.
        still = served.get(f"/handoffs/{silent}")
        assert still["state"] == "leased"
        assert still["lease_expires_at_ms"] >= back_at_ms + SPARED_MS
        assert said(served, silent, "claim", {}).json()["code"] == "already_claimed"
        wait_until(lambda: bool(served.get(f"/handoffs/{silent}")["state"] == "waiting"), SPARED_MS / 1_000 + READY_S)
        assert now_ms() >= still["lease_expires_at_ms"]
        assert said(served, silent, "renew", {"token": silent_token}).json()["code"] == "lease_lost"
        next_token = said(served, silent, "claim", {}).json()["lease"]["token"]
        ended = said(served, silent, "resolve", {"token": next_token, **RESOLVING})
        assert ended.status_code == httpx.codes.OK, ended.text
        for handoff_id, claims, lapses in ((mine, 1, 0), (silent, 2, 1)):
            assert logged(served, handoff_id, "resolved", 1) == 1
            assert logged(served, handoff_id, "claimed", claims) == claims
            assert logged(served, handoff_id, "lapsed", lapses) == lapses


def test_a_machine_that_was_off_takes_nothing_from_whoever_goes_on_at_once(folder: Path) -> None:
    with Served(folder, lease_ms=str(LEASE_MS)) as served:
        wait_until_watched(served)
        mine, token = claimed(served, "mine")
        assert once(served, mine, "renew", {"token": token}).status_code == httpx.codes.OK
        began_s = time.monotonic()
        pids = [*served.worker_pids, served.server_pid]
        # First what would start the others again; some of them end with it.
        served.kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_out(began_s)
        served.restart()
        served.wait_until_ready()
        renewed = said(served, mine, "renew", {"token": token})
        assert (renewed.status_code, renewed.json().get("state")) == (httpx.codes.OK, "leased"), renewed.text
        resolved = said(served, mine, "resolve", {"token": token, **RESOLVING})
        assert (resolved.status_code, resolved.json().get("state")) == (httpx.codes.OK, "resolved"), resolved.text
        assert logged(served, mine, "resolved", 1) == 1
        assert counted(served.data_dir / "audit").get("handoff.lapsed", Counter())[mine] == 0
