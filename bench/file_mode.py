"""How soon an edited rule file decides in every process, and what turns wait meanwhile. Writes results/file-mode.json.

Two `handrail serve` on one directory, agents that ask at a steady rate over kept connections, and an edit every two
seconds or so. A turn's latency counts from when it was due, so nobody who is held up is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.check import mixed
from rules.files.files_hash import files_hash
from service import rule_files

RESULTS = Path(__file__).parent / "results" / "file-mode.json"
PROCESSES = 2
# Turns a second of all agents together: well below what two processes answer, so that waits are the edits' doing.
RATE = 60
CONNECTIONS = 8
EDITS, EDITS_QUICK = 15, 4
START_S = 60
SEEN_S = 30
MARK = "# edit {}\n"
SHRINKS_EVERY = 3


@dataclass(slots=True)
class Load:
    """What the agents were answered: when each turn was due, how long it took, and what came instead of a decision."""

    turns: list[tuple[float, float]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    over: bool = False


async def ask(load: Load, url: str, key: str, first_s: float, every_s: float) -> None:
    """Be one agent: a turn each `every_s`, due whether the one before was answered in time or not."""
    headers = {"Authorization": f"Bearer {key}"}
    number, due_s = 0, first_s
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        while not load.over:
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            number += 1
            body = {"conversation_id": f"c-{first_s}-{number}", "turn_id": "1", "message": "hi", "confidence": 0.9}
            try:
                answer = await client.post("/should-escalate", json=body)
                if answer.status_code != httpx.codes.OK:
                    load.failed.append(str(answer.status_code))
            except httpx.TransportError as error:
                load.failed.append(type(error).__name__)
            load.turns.append((due_s, time.perf_counter() - due_s))
            due_s += every_s


def start(folder: Path, rules: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start one service on the directory and return it with its address, once it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HANDRAIL_")}
    command = [sys.executable, "-P", "-m", "service", "serve", "--no-work", "--port", str(port), "--rules", str(rules)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, env=kept | {"HANDRAIL_DATA_DIR": str(folder / "data")}, stdout=log, stderr=log
        )
    until_s = time.monotonic() + START_S
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK:
                return process, f"http://127.0.0.1:{port}"
        except httpx.TransportError:
            pass
        if time.monotonic() > until_s or process.poll() is not None:
            raise SystemExit((folder / "log").read_text())
        time.sleep(0.1)


async def live_after(clients: list[httpx.AsyncClient], edit: Callable[[], None], rules: Path) -> float:
    """Make an edit and return the seconds until every process decides by it."""
    began_s = time.perf_counter()
    edit()
    wanted = files_hash(rule_files.read_directory(rules))
    for client in clients:
        while (await client.get("/rulesets/active")).json()["hash"] != wanted:
            if time.perf_counter() - began_s > SEEN_S:
                raise SystemExit("an edit was not seen")
            await asyncio.sleep(0.005)
    return time.perf_counter() - began_s


async def measure(urls: list[str], keys: dict[str, str], rules: Path, edits: int) -> dict[str, object]:
    """Return how soon edits decide, and how long turns take while they do and while nothing is edited."""
    load, first_s = Load(), time.perf_counter() + 0.5
    agents = [
        asyncio.create_task(
            ask(load, urls[number % len(urls)], keys["agent"], first_s + number / RATE, CONNECTIONS / RATE)
        )
        for number in range(CONNECTIONS)
    ]
    chance = random.Random(7)
    files = [rules / name for name in rule_files.read_directory(rules)]
    headers = {"Authorization": f"Bearer {keys['manager']}"}
    clients = [httpx.AsyncClient(base_url=url, headers=headers, timeout=30) for url in urls]
    spans: list[tuple[float, float]] = []
    shrunk: list[float] = []
    file = files[0]
    await asyncio.sleep(2)
    for number in range(edits):
        # What got smaller has to hold still for longer: every third edit takes the mark of the one before away again.
        shrinks = number % SHRINKS_EVERY == SHRINKS_EVERY - 1
        file = file if shrinks else chance.choice(files)
        text = file.read_text().split("# edit", maxsplit=1)[0] + ("" if shrinks else MARK.format(number))

        def save(file: Path = file, text: str = text, by_rename: bool = number % 2 == 0) -> None:
            beside = file.with_suffix(".swp")
            (beside if by_rename else file).write_text(text)
            if by_rename:
                os.replace(beside, file)

        began_s = time.perf_counter()
        took_s = await live_after(clients, save, rules)
        shrunk += [took_s] if shrinks else []
        spans.append((began_s, time.perf_counter()))
        await asyncio.sleep(chance.uniform(1.5, 2.5))
    load.over = True
    await asyncio.gather(*agents)
    for client in clients:
        await client.aclose()
    during = [took for due, took in load.turns if any(began - took <= due <= ended for began, ended in spans)]
    apart = [took for due, took in load.turns if all(due > ended or due + took < began for began, ended in spans)]
    return {
        "live_s": _shares([ended - began for began, ended in spans]),
        "live_where_a_file_shrank_s": _shares(shrunk),
        "turns": len(load.turns),
        "failed": len(load.failed),
        "turn_ms_while_edited": _shares([1000 * took for took in during]),
        "turn_ms_else": _shares([1000 * took for took in apart]),
    }


def _shares(values: list[float]) -> dict[str, float]:
    ranked = sorted(values)
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(ranked[min(len(ranked) - 1, int(share * len(ranked)))], 3) for name, share in at.items()}


def run(name: str, texts: dict[str, str] | None, edits: int) -> dict[str, object]:
    """Measure one set of rule files in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="hr-") as place:
        folder = Path(place)
        rules = folder / "rules"
        if texts is None:
            shutil.copytree(rule_files.LIBRARY, rules)
        else:
            rules.mkdir()
            for file, text in texts.items():
                (rules / file).write_text(text)
        processes = []
        try:
            processes = [start(folder, rules) for _ in range(PROCESSES)]
            keys: dict[str, str] = json.loads((folder / "data" / "keys.json").read_text())
            found = asyncio.run(measure([url for _, url in processes], keys, rules, edits))
        finally:
            for process, _ in processes:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
    print(name, json.dumps(found))
    return found


def main() -> None:
    """Measure the library and 500 rules, and write down what was found."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a few edits, and nothing is written")
    quick = options.parse_args().quick
    edits = EDITS_QUICK if quick else EDITS
    runs = {
        "the library": run("the library", None, edits),
        "500 rules": run("500 rules", mixed(random.Random(3)), edits),
    }
    if quick:
        return
    machine = {
        "machine": platform.machine(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 1),
    }
    told = {
        "what": f"seconds from a save until {PROCESSES} processes decide by it, and what {RATE} turns a second wait",
        "rerun": "python -m bench.file_mode",
        "machine": machine,
        "runs": runs,
    }
    RESULTS.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
