"""A whole Handrail in processes of its own, on a data directory of its own: started, killed in parts, looked into."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_port
from tests.waiting import wait_until

RULES = """
handrail: 1
queues:
  tier1:
    answer_within: 10m
    on_timeout: {verdict: callback, say: {en: "We will call you back."}}
    say: {en: "One moment, please."}
  brief:
    answer_within: 2s
    on_timeout: {verdict: callback, say: {en: "We will call you back."}}
    say: {en: "One moment, please."}
rules:
  - id: unsure
    why: the agent is unsure
    when: {all: [confidence < 0.5, confidence >= 0.1]}
    then: {escalate: tier1}
  - id: lost
    why: the agent is lost
    when: confidence < 0.1
    then: {escalate: brief}
"""
# On cores that others keep busy; a second or two on idle ones. Nothing is measured by it.
READY_S = STOP_S = 120
# How long a caller goes on asking while parts are killed and come back; a channel is tried for 25 s of it.
ANSWER_S = READY_S


class Served:
    """`handrail serve` with its server and worker."""

    def __init__(self, folder: Path, port: int | None = None, *, rules_text: str = RULES, **settings: str) -> None:
        self.data_dir = folder / "data"
        self.rules = folder / "rules"
        self.rules.mkdir(exist_ok=True)
        (self.rules / "walk.yaml").write_text(rules_text)
        self.port = port or free_port()
        self.log = folder / f"serve-{self.port}.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HANDRAIL_")}
        self.environment = kept | {
            "HANDRAIL_DATA_DIR": str(self.data_dir),
            "HANDRAIL_RULES": str(self.rules),
            "HANDRAIL_PORT": str(self.port),
            **{f"HANDRAIL_{name.upper()}": value for name, value in settings.items()},
        }
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "service", "serve"], env=self.environment, stdout=log, stderr=log
            )

    def __enter__(self) -> Served:
        with self._ended_on_failure():
            self.wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        with self._ended_on_failure():
            if self.process.poll() is None:
                self.stop()

    @contextmanager
    def _ended_on_failure(self) -> Iterator[None]:
        """Leave no process that would take the others' time, and end in another test's warnings."""
        try:
            yield
        except BaseException:
            if self.process.poll() is None:
                self.kill()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def keys(self) -> Mapping[str, str]:
        found: dict[str, str] = json.loads((self.data_dir / "keys.json").read_text())
        return found

    @property
    def server_pid(self) -> int:
        return int(json.loads((self.data_dir / "server.json").read_text())["pid"])

    @property
    def worker_pids(self) -> list[int]:
        """Return `work` and its lanes, `work` first."""
        work = [pid for pid in children(self.process.pid) if "workers.run" in words_of(pid)]
        return work + [lane for pid in work for lane in children(pid) if "workers.run" in words_of(lane)]

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            try:
                return httpx.get(f"{self.url}/readyz").status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

        wait_until(ready, READY_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(STOP_S)

    def restart(self) -> None:
        self.process = self._start()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_S) == 0, self.log.read_text()

    async def ask(
        self, client: httpx.AsyncClient, path: str, role: str, body: object = None, request_id: str | None = None
    ) -> httpx.Response:
        """Post until there is an answer that is no failure of the service, as the SDK does."""
        headers = {"Authorization": f"Bearer {self.keys[role]}"}
        if request_id is not None:
            headers["Idempotency-Key"] = request_id
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                answer = await client.post(self.url + path, json=body if body is not None else {}, headers=headers)
                if answer.status_code < 500:
                    return answer
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, f"no answer from {path}"
            await asyncio.sleep(0.05)

    def get(self, path: str, role: str = "admin") -> Any:
        answer = httpx.get(self.url + path, headers={"Authorization": f"Bearer {self.keys[role]}"}, timeout=ANSWER_S)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def post(self, path: str, body: object, role: str = "admin") -> Any:
        answer = httpx.post(
            self.url + path, json=body, headers={"Authorization": f"Bearer {self.keys[role]}"}, timeout=ANSWER_S
        )
        assert answer.is_success, answer.text
        return answer.json()


def turn(conversation_id: str, turn_id: str = "1", confidence: float = 0.3) -> dict[str, object]:
    return {
        "conversation_id": conversation_id,
        "turn_id": turn_id,
        "message": "where is my parcel?",
        "confidence": confidence,
    }


def children(pid: int) -> list[int]:
    """Return the living processes that one has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(") ")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(stat.parent.name))
    return found


def words_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(pid: int) -> bool:
    return bool(words_of(pid))
