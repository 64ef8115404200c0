"""How long a month of recorded calls takes to simulate, and how near it comes to what was recorded and to theory.

`python -m bench.simulate [--data FILE] [--quick]`
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import platform
import random
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from bench.callcenter import DATA
from rules.model import OnTimeout, Queue, Then
from rules.routing.operators import Absence, Operator, Shift
from rules.simulation.arrivals import Arrival, arrivals_in
from rules.simulation.simulated import Recording, recording, simulate
from rules.simulation.simulation import Coming, play, rule_for

RESULT = Path(__file__).parent / "results" / "simulate.json"
QUEUES = {"line": Queue("line", 3_600_000, OnTimeout("callback", {}))}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
QUARTER_MINUTES = 15
MEAN_MS = 180_000


def as_recorded(path: Path) -> list[Operator]:
    """Return each person of each day, at work from the first to the last call that they took, to the quarter hour."""
    found = []
    with gzip.open(path) as lines:
        for line in lines:
            row = orjson.loads(line)
            day = date.fromisoformat(row["date"])
            spans: dict[str, tuple[int, int]] = {}
            for *_, outcome, began_s, service_s, server in row["calls"]:
                if outcome == "AGENT" and server:
                    low, high = spans.get(server, (began_s, began_s))
                    spans[server] = min(low, began_s), max(high, began_s + service_s)
            for server, (low_s, high_s) in spans.items():
                from_minutes = low_s // 60 // QUARTER_MINUTES * QUARTER_MINUTES
                to_minutes = min(24 * 60, -(-high_s // 60 // QUARTER_MINUTES) * QUARTER_MINUTES)
                if from_minutes >= to_minutes:
                    continue
                # Once only: hours are those of a weekday, so all other days are absences.
                absences = (
                    Absence(date(1990, 1, 1), day - timedelta(days=1)),
                    Absence(day + timedelta(days=1), date(2100, 1, 1)),
                )
                shift = Shift(frozenset({DAYS[day.weekday()]}), from_minutes, to_minutes)
                found.append(Operator(f"{server} {day}", hours=(shift,), absences=absences))
    return found


def recorded_figures(arrivals: Sequence[Arrival]) -> dict[str, Any]:
    """Return what the recording itself says, in the words of a simulation."""
    answered = [each for each in arrivals if not each.gave_up]
    waits = sorted(each.waited_ms or 0 for each in answered)
    return {
        "came": len(arrivals),
        "answered_share": round(len(answered) / len(arrivals), 4),
        "mean_wait_s": round(sum(waits) / len(waits) / 1000, 1),
        "p90_s": round(waits[int(0.9 * len(waits))] / 1000, 1),
    }


def timed(recorded: Recording, operators: Sequence[Operator]) -> dict[str, Any]:
    """Return what one run comes to, and how long it took."""
    began_s, processor_s = time.perf_counter(), time.process_time()
    found = simulate(recorded, QUEUES, operators, 1, 0)
    took_s = time.perf_counter() - began_s
    return {
        "people": len(operators),
        "took_s": round(took_s, 2),
        "processor_s": round(time.process_time() - processor_s, 2),
        "arrivals_a_second": round(len(recorded.arrivals) / took_s),
        "answered_share": round(found.all.answered / found.all.came, 4),
        "mean_wait_s": None if found.all.mean_ms is None else round(found.all.mean_ms / 1000, 1),
        "p90_s": None if found.all.p90_ms is None else round(found.all.p90_ms / 1000, 1),
        "busy": None if found.busy is None else round(found.busy, 3),
    }


def against_theory(servers: int, load: float, count: int) -> dict[str, Any]:
    """Return the share that waits and the mean wait of M/M/c, simulated and by Erlang's formula."""
    chance, at_ms, coming = random.Random(11), 0.0, []
    rule = rule_for("line", "escalate", Then("escalate", "line", "urgent"))
    for _ in range(count):
        at_ms += chance.expovariate(servers * load / MEAN_MS)
        coming.append(Coming(round(at_ms), "line", round(chance.expovariate(1 / MEAN_MS)), rule=rule))
    played = play(QUEUES, [Operator(f"{number}") for number in range(servers)], coming)
    waits = [each.waited_ms for each in played.passed[count // 20 :]]
    offered = servers * load
    last = offered**servers / math.factorial(servers) / (1 - load)
    waiting = last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)
    return {
        "servers": servers,
        "load": load,
        "waiting": round(sum(wait > 0 for wait in waits) / len(waits), 4),
        "waiting_by_theory": round(waiting, 4),
        "mean_wait_s": round(sum(waits) / len(waits) / 1000, 2),
        "mean_wait_by_theory_s": round(waiting * MEAN_MS / (servers * (1 - load)) / 1000, 2),
    }


def main() -> None:
    """Simulate, print, and write the committed result."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, default=DATA)
    asked.add_argument("--quick", action="store_true", help="a tenth of it; nothing is written")
    given = asked.parse_args()
    if not given.data.exists():
        raise SystemExit(f"{given.data} is not there; name the recorded calls with --data")
    began_s = time.perf_counter()
    with gzip.open(given.data) as lines:
        arrivals = [each for line in lines for each in arrivals_in(orjson.loads(line))]
    read_s = time.perf_counter() - began_s
    arrivals.sort(key=lambda each: each.at_ms)
    if given.quick:
        arrivals = arrivals[: len(arrivals) // 10]
    recorded = recording(arrivals, QUEUES, "line")
    days = (arrivals[-1].at_ms - arrivals[0].at_ms) / 86_400_000
    found = {
        "python": platform.python_version(),
        "taken_at": datetime.now(UTC).strftime("%Y-%m-%d"),
        "days": round(days, 1),
        "read_s": round(read_s, 2),
        "recorded": recorded_figures(arrivals),
        "people_as_recorded": timed(recorded, as_recorded(given.data)),
        "around_the_clock": [timed(recorded, [Operator(f"{n}") for n in range(count)]) for count in (6, 8, 12)],
        "theory": [
            against_theory(servers, load, 10_000 if given.quick else 200_000)
            for servers, load in ((1, 0.7), (5, 0.8), (12, 0.85))
        ],
    }
    text = json.dumps(found, indent=2)
    if not given.quick:
        RESULT.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
