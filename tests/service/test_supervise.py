"""Children that must not be missing, and must not be left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service import settings, supervise
from service.supervise import Keeper
from tests.waiting import wait_until

# A child as every process of ours begins: it watches its parent, says who it is, and works until it is told to end.
CHILD = """
import os, signal, sys, threading
from pathlib import Path
from service import supervise
supervise.watch_parent()
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with open(sys.argv[1], "a") as lines:
    lines.write(f"{os.getpid()}\\n")
while not stop.wait(0.02):
    pass
"""
STUBBORN = CHILD.replace("stop.set()", "None")
FAILING = "import sys\nopen(sys.argv[1], 'a').write('tried\\n')\nsys.exit(3)"
# A parent that keeps such a child and is then killed.
PARENT = """
import sys, time
from service.supervise import Keeper
keeper = Keeper("child", [sys.executable, "-c", sys.argv[2], sys.argv[1]])
keeper.start()
time.sleep(60)
"""


def lives(record: Path) -> list[str]:
    return record.read_text().split() if record.exists() else []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def kept(code: str, record: Path) -> Keeper:
    keeper = Keeper("child", [sys.executable, "-c", code, str(record)])
    keeper.start()
    return keeper


def test_a_killed_child_is_back_at_once_and_ends_when_told(tmp_path: Path) -> None:
    record = tmp_path / "lives"
    keeper = kept(CHILD, record)
    wait_until(lambda: len(lives(record)) == 1)
    first = int(lives(record)[0])
    wait_until(lambda: keeper.pid == first)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(lives(record)) == 2)
    assert keeper.restarts == 1
    second = int(lives(record)[1])
    keeper.stop()
    assert not alive(second)
    assert len(lives(record)) == 2


def test_a_child_that_will_not_end_is_ended(tmp_path: Path) -> None:
    record = tmp_path / "lives"
    keeper = kept(STUBBORN, record)
    wait_until(lambda: len(lives(record)) == 1)
    keeper.stop(wait_ms=200)
    assert not alive(int(lives(record)[0]))


def test_a_child_that_cannot_start_is_tried_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "RESTART_AFTER_MS_MIN", 50)
    record = tmp_path / "lives"
    begun = time.monotonic()
    keeper = kept(FAILING, record)
    wait_until(lambda: len(lives(record)) == 5)
    keeper.stop()
    # Pauses of 50, 100, 200 and 400 ms lie between five tries.
    assert time.monotonic() - begun >= 0.75


def test_a_program_that_is_not_there_is_no_end_of_the_parent() -> None:
    keeper = Keeper("child", ["/nowhere/handrail"])
    keeper.start()
    wait_until(lambda: keeper.restarts > 0)
    keeper.stop()
    assert keeper.pid is None


def test_stopping_before_the_start_is_no_hang(tmp_path: Path) -> None:
    keeper = kept(CHILD, tmp_path / "lives")
    keeper.stop()
    assert keeper.pid is None


def test_a_child_leaves_when_its_parent_is_killed(tmp_path: Path) -> None:
    record = tmp_path / "lives"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(record), CHILD])
    wait_until(lambda: len(lives(record)) == 1)
    child = int(lives(record)[0])
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    wait_until(lambda: not alive(child))


def test_a_process_that_nobody_keeps_reads_no_lifeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(supervise.LIFELINE, raising=False)
    supervise.watch_parent(lambda: pytest.fail("it left"))


def test_a_child_reads_the_settings_of_its_parent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HANDRAIL_REDIS_URL", "redis://from-the-environment/")
    given = settings.load(
        data_dir=tmp_path,
        rules=tmp_path / "rules",
        redis_url="redis://from-the-command-line/",
        webhook_secret="whsec_x",
    )
    for name, value in supervise.environment(given, HANDRAIL_RQ_URL="redis://another/").items():
        monkeypatch.setenv(name, value)
    read = settings.load()
    assert read == given.model_copy(update={"rq_url": "redis://another/"})


def test_the_command_of_a_worker_keeps_the_current_directory_out() -> None:
    assert supervise.command("lane", "timers") == [sys.executable, "-P", "-m", "workers.run", "lane", "timers"]
