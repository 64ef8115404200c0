"""`handrail demo`: a whole Handrail comes up, works, counts, and goes away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.service.cli_run import rules_in

ROOT = Path(__file__).parents[2]


@pytest.mark.walk
def test_the_demo_loses_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    rules, temporary = rules_in(tmp_path / "rules"), tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    # A real installation's store must not be touched, whatever the environment says.
    environment["HANDRAIL_REDIS_URL"] = "redis://127.0.0.1:1"
    words = [sys.executable, "-m", "service", "demo", "--json", "--rules", str(rules), "--operators", "2"]
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["conversations"] >= 40
    assert set(told["lost"].values()) == {0}
    assert told["decisions"]["by_verdict"]["escalate"] > 0
    assert told["turns_repeated"] > 0
    queue = told["handoffs"]["by_queue"][0]
    assert queue["queue"] == "desk"
    assert queue["claimed"] == queue["opened"] == sum(queue["ended"].values()) > 0
    assert "open" not in queue["ended"]
    assert sum(told["outcomes"].values()) == queue["opened"]
    assert told["recall"]["of"] > 0
    assert list(temporary.iterdir()) == []


@pytest.mark.walk
def test_a_demo_that_is_told_to_stop_takes_its_service_with_it(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "service", "demo", "--agents", "1"]
    demo = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline_s = time.monotonic() + 60
        while not list(temporary.glob("*/keys.json")) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert list(temporary.glob("*/keys.json")), "the service is up"
        demo.terminate()
        _, told = demo.communicate(timeout=60)
    finally:
        demo.kill()
    assert demo.returncode == 2
    assert "error: the demo was told to stop" in told
    assert list(temporary.iterdir()) == []
