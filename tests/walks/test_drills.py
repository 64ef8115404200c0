"""`handrail drill` against a whole Handrail: somebody comes, nobody comes, and parts are killed in between."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.cli_run import handrail
from tests.waiting import wait_until
from tests.walks.served import Served

pytestmark = pytest.mark.walk
WAIT_S = 60


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service whose worker is away, for what needs none."""
    with Served(tmp_path_factory.mktemp("drills"), work="false") as served:
        yield served


def environment(service: Served) -> dict[str, str]:
    return {"HANDRAIL_URL": service.url, "HANDRAIL_DATA_DIR": str(service.data_dir)}


def claim_when_it_waits(service: Served, queue: str) -> threading.Thread:
    def claim() -> None:
        ends_s = time.monotonic() + WAIT_S
        while time.monotonic() < ends_s:
            answer = httpx.post(
                f"{service.url}/queues/{queue}/claim",
                headers={"Authorization": f"Bearer {service.keys['operator']}"},
                timeout=WAIT_S,
            )
            if answer.status_code == 200:
                return
            time.sleep(0.05)

    thread = threading.Thread(target=claim)
    thread.start()
    return thread


def test_a_drill_says_how_long_it_took_until_somebody_came(alone: Served) -> None:
    operator = claim_when_it_waits(alone, "tier1")
    done = handrail("drill", "run", "--queue", "tier1", "--within", "1m", env=environment(alone))
    operator.join(WAIT_S)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("passed: somebody came to tier1 after ")
    shown = handrail("drill", "history", env=environment(alone))
    assert (shown.exit_code, "passed" in shown.stdout) == (0, True)


def test_a_drill_that_nobody_comes_to_ends_with_1_and_says_so(service: Served) -> None:
    done = handrail("drill", "run", "--queue", "brief", "--within", "2s", env=environment(service))
    assert (done.exit_code, done.stdout.startswith("failed: nobody came to brief within 2s")) == (1, True), done.output
    assert handrail("drill", "history", env=environment(service)).exit_code == 1

    def steps() -> set[str]:
        (drill,) = service.get("/drills")["drills"]
        return set(drill["steps"])

    # A worker told it, at the latest once it has started, and the deadline ended it.
    wait_until(lambda: steps() == {"queued", "passed_on", "expired"}, WAIT_S)


def test_what_cannot_be_is_refused_with_a_next_step(alone: Served) -> None:
    several = handrail("drill", "run", env=environment(alone))
    assert (several.exit_code, several.stdout) == (2, "")
    assert "name one with --queue" in several.stderr
    unknown = handrail("drill", "run", "--queue", "nowhere", env=environment(alone))
    assert (unknown.exit_code, "brief, tier1" in unknown.stderr or "tier1, brief" in unknown.stderr) == (2, True)
    late = handrail("drill", "schedule", "--queue", "tier1", "--at", "25:00", env=environment(alone))
    assert (late.exit_code, "write it as 10:00" in late.stderr) == (2, True)


def test_schedules_are_said_and_taken_back(alone: Served) -> None:
    said = handrail("drill", "schedule", "--queue", "tier1", "--every", "7d", "--at", "10:00", env=environment(alone))
    assert (said.exit_code, said.stdout.startswith("tier1 is drilled every 7d, next at ")) == (0, True), said.output
    gone = handrail("drill", "schedule", "--queue", "tier1", "--remove", env=environment(alone))
    assert (gone.exit_code, gone.stdout) == (0, "tier1 is drilled no more by itself\n")


def test_killed_between_its_steps_a_drill_is_one_drill_with_one_result(service: Served) -> None:
    drill = service.post("/drills", {"queue": "brief", "within_ms": 3_000})
    for pid in (*service.worker_pids, service.server_pid):
        os.kill(pid, signal.SIGKILL)
    service.kill()
    service.restart()
    service.wait_until_ready()
    wait_until(lambda: service.get(f"/drills/{drill['id']}")["result"] is not None, WAIT_S)
    service.kill()
    service.restart()
    service.wait_until_ready()
    (found,) = service.get("/drills")["drills"]
    assert (found["id"], found["result"], found["ended_at_ms"]) == (
        drill["id"],
        "failed",
        drill["opened_at_ms"] + 3_000,
    )

    def told() -> int:
        entries = [path.read_text() for path in (service.data_dir / "audit").rglob("*") if path.is_file()]
        return "".join(entries).count("drill.failed")

    wait_until(lambda: told() > 0, WAIT_S)
    assert told() == 1
