"""Times the rule index against other engines: the same rules, the same turns, all agreeing. Writes results/kernel.json.

The claim is about the full set of rules that fire. Every engine answers with the numbers of these rules, is compiled
once, gets each turn in the form it takes fastest, and is timed alone in processor time; its best round counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any as Anything

from bench import kernel_path
from bench.kernel_engines import HANDRAIL, PEERS, Engine, Judge
from bench.kernel_rules import Workload, workload

RESULTS = Path(__file__).parent / "results" / "kernel.json"
# rules -> turns, visits to each engine, rounds a visit: bounded work, most of it waiting for the slowest engine.
# Every engine is built and timed alone, so that none lives off another's cache, and visited several times, because
# the same processor runs at half its speed in one second and at all of it in the next.
PLAN = {10: (200, 8, 5), 100: (200, 8, 5), 1_000: (200, 8, 3), 10_000: (40, 4, 3)}
QUICK_PLAN = {10: (100, 3, 2), 100: (100, 3, 2), 1_000: (50, 3, 2), 10_000: (10, 1, 2)}
ROUND_S = 0.02
TARGETS = {1_000: 15.0, 10_000: 25.0}
# parts of a rule -> the fewer a rule asks for, the more rules fire: where the lead comes from, and where it ends.
SHARES = (4, 3, 2, 1)


@dataclass(slots=True)
class Time:
    """What one engine took: the best round in µs a turn, and how long it took to compile the rules."""

    us: float = float("inf")
    build_ms: float = float("inf")


def compared(work: Workload, visits: int, rounds: int) -> dict[str, Anything]:
    """Return one row of the result: each engine's time, and how many times faster than the fastest peer Handrail is."""
    engines = (HANDRAIL, *PEERS)
    times = {engine.name: Time() for engine in engines}
    expected: list[list[int]] | None = None
    for _ in range(visits):
        for engine in engines:
            fired = _visit(engine, work, rounds, times[engine.name])
            expected = fired if expected is None else expected
            assert fired == expected, f"{engine.name} fires other rules than {engines[0].name}"
    assert expected is not None
    fired_mean = sum(map(len, expected)) / len(expected)
    us = {name: spent.us for name, spent in times.items()}
    fastest = min((name for name in us if name != HANDRAIL.name), key=lambda name: us[name])
    return {
        "rules": len(work.rules),
        "turns": len(work.turns),
        "fired_mean": round(fired_mean, 2),
        "fired_share": round(fired_mean / len(work.rules), 4),
        "us_a_turn": {name: round(spent, 2) for name, spent in us.items()},
        "build_ms": {name: round(spent.build_ms, 1) for name, spent in times.items()},
        "fastest_peer": fastest,
        "times_faster": round(us[fastest] / us[HANDRAIL.name], 1),
    }


def _visit(engine: Engine, work: Workload, rounds: int, best: Time) -> list[list[int]]:
    """Build one engine, time it with nothing else alive, and return which rules it fires on each turn."""
    started = time.perf_counter()
    judge = engine.build(work.rules)
    best.build_ms = min(best.build_ms, (time.perf_counter() - started) * 1e3)
    turns = [engine.prepare(turn) for turn in work.turns]
    gc.collect()
    for _ in range(rounds):
        best.us = min(best.us, _round_us(judge, turns))
    return [judge(turn) for turn in turns]


def _round_us(judge: Judge, turns: list[Anything]) -> float:
    """Judge all turns once, then again until ROUND_S have passed, so that a fast engine too runs warm."""
    judged = 0
    started = time.process_time()
    while (spent := time.process_time() - started) < ROUND_S or not judged:
        for turn in turns:
            judge(turn)
        judged += len(turns)
    return spent / judged * 1e6


def machine() -> dict[str, Anything]:
    """Return what the figures depend on."""
    packages = sorted({engine.package for engine in PEERS})
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def show(rows: list[dict[str, Anything]], title: str) -> None:
    """Print rows side by side, one engine a line."""
    print(f"\n{title}, µs a turn")
    print(f"{'':42}" + "".join(f"{row['rules']:>10,}" for row in rows))
    for name in rows[0]["us_a_turn"]:
        print(f"{name:42}" + "".join(f"{row['us_a_turn'][name]:10.1f}" for row in rows))
    print(f"{'rules that fire':42}" + "".join(f"{row['fired_mean']:10.1f}" for row in rows))
    print(f"{'times faster than the fastest peer':42}" + "".join(f"{row['times_faster']:10.1f}" for row in rows))


def main() -> None:
    """Run the comparison, print it, and without --quick write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer turns and rounds, nothing written: under 30 s")
    options = parser.parse_args()
    plan = QUICK_PLAN if options.quick else PLAN
    rows = [compared(workload(rules, turns), *effort) for rules, (turns, *effort) in plan.items()]
    show(rows, "Full set of fired rules")
    turns, *effort = plan[1_000]
    shares = [compared(workload(1_000, turns, parts=parts), *effort) for parts in SHARES]
    show(shares, "The same at 1,000 rules, as more of them fire")
    path = {name: round(value, 2) for name, value in kernel_path.measure().items()}
    print(f"\nA whole turn with {kernel_path.RULES} rules: " + ", ".join(f"{name} {us}" for name, us in path.items()))
    missed = [row for row in rows if row["times_faster"] < TARGETS.get(row["rules"], 0)]
    result = {
        "what": "the numbers of all rules that fire, on the same rules and turns, all engines agreeing",
        "rerun": "python -m bench.kernel",
        "targets": {f"{rules:,} rules": times for rules, times in TARGETS.items()},
        "met": not missed,
        "machine": machine(),
        "sizes": rows,
        "shares": shares,
        "whole_turn_us": path,
    }
    if not options.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print("\ntargets met" if not missed else f"\ntargets missed at {[row['rules'] for row in missed]} rules")


if __name__ == "__main__":
    main()
