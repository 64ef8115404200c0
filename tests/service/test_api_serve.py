"""`handrail serve` as a process: what it prints works as pasted, what it refuses it says, and it ends in order."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from service.last_good import file_of
from service.store.embedded import start_or_attach
from tests.ports import free_port
from tests.service.api_service import RULES
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
START_S = STOP_S = 120
# Only what a person with an empty home has.
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}", "HOME": "/nonexistent"}


class Served:
    """A serving process, its banner, and how to speak to it."""

    def __init__(self, folder: Path, *words: str) -> None:
        command = [sys.executable, "-m", "service", "serve", "--port", "0", "--data-dir", str(folder / "data")]
        with (folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, *words],
                cwd=folder,
                env=ENVIRONMENT | {"HANDRAIL_LOG_FORMAT": "json"},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self.banner = ""
        while "curl" not in self.banner:
            line = self.process.stdout.readline()
            assert line, (folder / "log").read_text()
            self.banner += line
        self.address = re.findall(r"listens on (\S+)", self.banner)[0]
        self.keys: dict[str, str] = json.loads((folder / "data" / "keys.json").read_text())

    def ask(self, **fields: object) -> httpx.Response:
        turn = {"conversation_id": "c", "turn_id": "1", "message": "hello"} | fields
        return httpx.post(f"{self.address}/should-escalate", json=turn, headers=self.bearer("agent"), timeout=20)

    def bearer(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def begin(*words: str) -> Served:
        started.append(Served(tmp_path, *words))
        return started[-1]

    yield begin
    for served in started:
        if served.process.poll() is None:
            served.stop()
        if served.process.stdout is not None:
            served.process.stdout.close()


def refused(folder: Path, *words: str, **environment: str) -> str:
    """Return what a serve that may not start says on its way out."""
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--no-work", *words],
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.walk
def test_a_first_start_with_people_who_cannot_be_read_opens_nothing_to_everybody(
    tmp_path: Path, start: Callable[..., Served]
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "rules.yaml").write_text(RULES)
    (rules / "operators.yaml").write_text("operators: [{name: mia, skils: [x]}]\n")
    words = ("--rules", str(rules), "--port", "0", "--data-dir", str(tmp_path / "data"))
    said = refused(tmp_path, *words)
    assert "unknown key `skils` in an operator" in said
    assert "operators.yaml has 1 error" in said
    # Where people are declared already they stay, and the service starts.
    (rules / "operators.yaml").write_text("operators: [{name: mia}]\n")
    first = start("--rules", str(rules), "--no-work")
    manager = first.bearer("manager")
    wait_until(lambda: len(httpx.get(f"{first.address}/operators", headers=manager).json()["operators"]) == 1)
    assert first.stop() == 0
    (rules / "operators.yaml").write_text("operators: [{name: mia, skils: [x]}]\n")
    again = start("--rules", str(rules), "--no-work")
    wait_until(lambda: "operators" in httpx.get(f"{again.address}/readyz").json())
    assert again.stop() == 0


@pytest.mark.walk
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")
def test_what_it_prints_works_as_pasted_and_it_ends_when_told(start: Callable[..., Served], tmp_path: Path) -> None:
    served = start("--no-work")
    assert stat_mode(tmp_path / "data" / "keys.json") == 0o600
    assert sorted(served.keys) == ["admin", "agent", "manager", "operator"]
    for role, token in served.keys.items():
        assert re.search(rf"{role} +{token}", served.banner)
    curl = re.findall(r"^curl .*$", served.banner, re.MULTILINE)[0]
    pasted = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(pasted.stdout)["verdict"] == "escalate"
    assert httpx.get(f"{served.address}/readyz").json() == {"status": "ready"}
    assert served.stop() == 0


@pytest.mark.walk
def test_a_second_start_has_the_same_keys_and_remembers_every_turn(start: Callable[..., Served]) -> None:
    first = start("--no-work")
    decided = first.ask(message="let me talk to a human please").json()
    assert first.stop() == 0
    second = start("--no-work")
    assert second.keys == first.keys
    again = second.ask(message="never mind")
    assert again.json() == decided
    assert again.headers["handrail-repeated"] == "true"


def greeted(folder: Path, **environment: str) -> str:
    """Return what a start says of keys, and stop it."""
    command = [sys.executable, "-m", "service", "serve", "--port", "0", "--no-work"]
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=ENVIRONMENT | environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    with process.stdout as lines:
        told = next((line for line in lines if line.startswith("  keys")), "")
        process.send_signal(signal.SIGTERM)
    assert process.wait(STOP_S) == 0
    return told.removeprefix("  keys").strip()


@pytest.mark.walk
def test_where_nobody_has_a_key_the_start_says_how_to_make_one_and_does_not_point_at_any(tmp_path: Path) -> None:
    # A server of our own stands for one in another machine: keys.json is for the embedded one alone.
    embedded = start_or_attach(tmp_path / "server")
    try:
        where = {"HANDRAIL_REDIS_URL": embedded.url}
        assert greeted(tmp_path, **where) == (
            "none yet, so nobody can ask: `handrail keys create NAME --role agent` makes one"
        )
        make = [sys.executable, "-m", "service", "keys", "create", "shop-bot", "--role", "agent"]
        subprocess.run(make, cwd=tmp_path, env=ENVIRONMENT | where, check=True, capture_output=True, timeout=START_S)
        assert greeted(tmp_path, **where) == (
            "in the store: `handrail keys list` shows them, `handrail keys create` makes one"
        )
    finally:
        embedded.close()


@pytest.mark.walk
def test_a_stop_answers_those_who_wait_before_it_ends(start: Callable[..., Served]) -> None:
    served = start("--no-work")
    handoff = served.ask(message="let me talk to a human please").json()["handoff"]["id"]
    with httpx.Client(base_url=served.address, headers=served.bearer("agent"), timeout=40) as client:
        import threading

        answers: list[int] = []

        def wait() -> None:
            answers.append(client.get(f"/handoffs/{handoff}", params={"wait_ms": 30_000}).status_code)

        thread = threading.Thread(target=wait)
        thread.start()

        def somebody_waits() -> bool:
            metrics = httpx.get(f"{served.address}/metrics", headers=served.bearer("manager")).text
            return "\nhandrail_waits_open 1.0" in metrics

        wait_until(somebody_waits)
        began = time.monotonic()
        assert served.stop() == 0
        # The wait would have lasted for 30 s.
        assert time.monotonic() - began < 20
        thread.join(20)
        assert answers == [200]


@pytest.mark.walk
def test_an_impatient_second_stop_cuts_nothing_off(start: Callable[..., Served], tmp_path: Path) -> None:
    served = start()
    pid = json.loads((tmp_path / "data" / "server.json").read_text())["pid"]
    for number in (signal.SIGTERM, signal.SIGINT):
        for _ in range(100):
            if served.process.poll() is not None:
                break
            served.process.send_signal(number)
            time.sleep(0.02)
    assert served.process.wait(STOP_S) == 0
    # The last one out has stopped the server; whoever is its parent now has to see to it before its number is free.
    wait_until(lambda: not alive(pid))


@pytest.mark.walk
def test_an_edit_of_a_watched_rule_file_takes_effect_and_a_broken_one_does_not(
    start: Callable[..., Served], tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yaml").write_text(RULES)
    served = start("--no-work", "--rules", str(rules))

    def active() -> dict[str, object]:
        answer = httpx.get(f"{served.address}/rulesets/active", headers=served.bearer("manager"))
        found: dict[str, object] = answer.json()
        return found

    before = active()
    assert served.ask(turn_id="1", confidence=0.6).json()["verdict"] == "continue"
    (rules / "a.yaml").write_text(RULES.replace("low_confidence: 0.5", "low_confidence: 0.7"))
    wait_until(lambda: active()["hash"] != before["hash"])
    assert served.ask(turn_id="2", confidence=0.6).json()["verdict"] == "review"
    good = active()
    (rules / "a.yaml").write_text(RULES.replace("confidence <", "confidense <"))
    wait_until(lambda: active()["fault"] is not None)
    assert f"{rules}/a.yaml:" in str(active()["fault"])
    assert active()["hash"] == good["hash"]
    assert served.ask(turn_id="3", confidence=0.6).json()["verdict"] == "review"
    (rules / "a.yaml").write_text(RULES)
    wait_until(lambda: active()["fault"] is None)
    assert active()["hash"] == before["hash"]


@pytest.mark.walk
def test_a_start_that_finds_the_rules_broken_or_gone_decides_with_those_that_were_good_last(
    start: Callable[..., Served], tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yaml").write_text(RULES)
    served = start("--no-work", "--rules", str(rules))
    (rules / "a.yaml").write_text(RULES.replace("low_confidence: 0.5", "low_confidence: 0.7"))
    kept = file_of(tmp_path / "data", rules)
    wait_until(lambda: "low_confidence: 0.7" in kept.read_text())
    served.stop()
    (rules / "a.yaml").write_text(RULES.replace("confidence <", "confidense <"))
    again = start("--no-work", "--rules", str(rules))
    assert again.ask(turn_id="2", confidence=0.6).json()["verdict"] == "review"
    told = (tmp_path / "log").read_text()
    assert re.search(rf"^{rules}/a\.yaml:\d+:\d+: R101: .*confidense", told, re.MULTILINE)
    assert f"error: the rule files in {rules} cannot be used; those that were good at " in told

    def ready() -> dict[str, object]:
        found: dict[str, object] = httpx.get(f"{again.address}/readyz").json()
        return found

    wait_until(lambda: "rules" in ready())
    assert "handrail_rules_faulty 1.0" in httpx.get(f"{again.address}/metrics", headers=again.bearer("manager")).text
    (rules / "a.yaml").write_text(RULES)
    wait_until(lambda: ready() == {"status": "ready"})
    assert again.ask(turn_id="3", confidence=0.6).json()["verdict"] == "continue"
    again.stop()
    shutil.rmtree(rules)
    last = start("--no-work", "--rules", str(rules))
    assert last.ask(turn_id="4", confidence=0.4).json()["verdict"] == "review"
    assert f"{rules}: no such directory" in (tmp_path / "log").read_text()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = refused(tmp_path, "--port", str(port))
    assert told == (
        f"error: cannot listen on 127.0.0.1:{port}: address already in use\n"
        "       stop what listens there, or choose another with --port or HANDRAIL_PORT\n"
    )
    assert not (tmp_path / ".handrail").exists()


def test_rules_that_are_broken_are_shown_with_place_and_caret(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yaml").write_text(RULES.replace("confidence <", "confidense <"))
    told = refused(tmp_path, "--port", "0", "--rules", "rules")
    assert re.search(r"^rules/a\.yaml:\d+:\d+: R101: .*confidense", told, re.MULTILINE)
    assert "^" in told
    assert not (tmp_path / ".handrail").exists()


def test_a_directory_of_rules_that_is_not_there(tmp_path: Path) -> None:
    told = refused(tmp_path, "--port", "0", "--rules", "rulez")
    assert told == "error: rulez: no such directory\n       name a directory of rule files\n"


def test_a_setting_that_cannot_be_used(tmp_path: Path) -> None:
    told = refused(tmp_path, HANDRAIL_PORT="x", HANDRAIL_LEASE_MS="1")
    assert told == (
        "error: HANDRAIL_PORT: input should be a valid integer, unable to parse string as an integer\n"
        "       HANDRAIL_LEASE_MS: input should be greater than or equal to 5000\n"
    )


def test_a_variable_that_nothing_reads_is_told(tmp_path: Path) -> None:
    told = refused(tmp_path, "--port", "0", "--rules", "rulez", HANDRAIL_DATADIR="x")
    assert told.startswith("warning: `HANDRAIL_DATADIR` is not a setting; did you mean `HANDRAIL_DATA_DIR`?\n")


def test_a_data_directory_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = refused(tmp_path, "--port", "0", "--data-dir", "file/data")
    assert told.startswith("error: ")
    assert "file/data" in told


def test_a_store_that_is_away_at_the_start_is_told(tmp_path: Path) -> None:
    told = refused(tmp_path, "--port", "0", "--redis-url", f"redis://user:s3cret@127.0.0.1:{free_port()}")
    assert "the store is away" in told
    assert "s3cret" not in told


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def stat_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
