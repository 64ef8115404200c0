"""Times 200 rules over a million recorded turns against reading their columns alone. Writes results/replay.json.

The log lies on the disk as Handrail writes it. By turns, in one process: every column that the rules ask for is read
and summed, and nothing else; then the same columns are read and all rules judged on all turns. The claim is the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any as Anything

import polars as pl

from bench.kernel import machine
from bench.replay_log import RULES, rule_files, write_log
from rules.evaluation.evaluate import build
from rules.model import RuleFiles
from rules.replay.columns import Asked, asked_by, judge, questions_of
from rules.replay.logged_turns import LoggedTurns
from service.flows.deltas import compare
from service.turn_logs import CALLS, TURNS, FiledPart, parts_of, read_ahead

RESULTS = Path(__file__).parent / "results" / "replay.json"
TURNS_MEASURED, TURNS_QUICK = 1_000_000, 100_000
ROUNDS = 9
TARGET = 4.0
# Stretches that are judged again turn by turn, in each part, and must fire the same rules.
CHECKED = 150


def scan(directory: Path, asked: Asked) -> None:
    """Read the columns and sum each: what no engine can go below."""
    for file, names in ((TURNS, asked.turns), (CALLS, asked.calls)):
        if names <= {"row"}:
            continue
        frame = pl.scan_parquet(sorted(str(path) for path in directory.rglob(file)))
        schema = frame.collect_schema()
        sums = [_summed(name, schema[name]) for name in sorted(names) if name in schema]
        frame.select(sums).collect(engine="streaming")


def _summed(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    return column.to_physical().sum() if isinstance(kind, pl.Enum) else column.sum()


def judged(parts: list[FiledPart], files: RuleFiles) -> list[int]:
    """Read the columns, judge every rule on every turn, and count the turns on which each fires."""
    counts, questions = [0] * len(files.rules), [questions_of(files)]
    for _, part in read_ahead(parts, lambda place: asked_by(questions, place.about, place.call_columns)):
        (fired,) = judge(part, questions)
        counts = [count + int(column.sum()) for count, column in zip(counts, fired.rules, strict=True)]
    return counts


def candidate_of(files: RuleFiles) -> RuleFiles:
    """Return the rules with three of them gone and three asking for less: what one change of a rule file is like."""
    return replace(files, rules=files.rules[3:])


def agreeing(parts: list[FiledPart], files: RuleFiles) -> tuple[int, float]:
    """Judge some stretches again turn by turn; return how many turns, and the µs a turn that takes."""
    ruleset, questions = build(files), [questions_of(files)]
    turns, spent_s = 0, 0.0
    for place in parts:
        part = place.read(asked_by(questions, place.about, place.call_columns))
        (fired,) = judge(part, questions)
        engine = LoggedTurns(ruleset, part.about)
        step = max(1, part.stretches.height // CHECKED)
        places = list(range(0, part.stretches.height, step))
        rows_of = place.rows(places)
        for stretch, row in zip(places, part.stretches[places].to_dicts(), strict=True):
            rows = rows_of[stretch]
            started = time.process_time()
            found = engine.judged(row["conversation_id"], rows)
            spent_s += time.process_time() - started
            for at, evaluation in enumerate(found, start=row["first_row"]):
                by_turn = {rule.id for rule in evaluation.rules + evaluation.shadow}
                by_column = {rule.id for rule, column in zip(files.rules, fired.rules, strict=True) if column[at]}
                assert by_turn == by_column, f"columns and turns disagree in {place.path} at row {at}"
            turns += len(found)
    return turns, spent_s / turns * 1e6


def measured(directory: Path, files: RuleFiles, rounds: int) -> dict[str, Anything]:
    """Return one row of the result."""
    parts = parts_of(directory)
    asked = asked_by([questions_of(files)], parts[0].about, parts[0].call_columns)
    before, after = build(files), build(candidate_of(files))
    works: dict[str, Callable[[], object]] = {
        "scan": lambda: scan(directory, asked),
        "rules": lambda: judged(parts, files),
        "against": lambda: compare(parts, before, after),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    processor: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            started, spent = time.perf_counter(), time.process_time()
            work()
            seconds[name].append(time.perf_counter() - started)
            processor[name].append(time.process_time() - spent)
    counts = judged(parts, files)
    checked, us_a_turn = agreeing(parts, files)
    turns = sum(place.read(Asked(frozenset({"stretch"}), frozenset({"row"}))).turns.height for place in parts)
    return {
        "rules": len(files.rules),
        "turns": turns,
        "columns": len(asked.turns) + len(asked.calls - {"row"}),
        "fired_share": round(sum(counts) / turns / len(files.rules), 4),
        "rules_that_fired": sum(count > 0 for count in counts),
        "seconds": {name: round(median(each), 3) for name, each in seconds.items()},
        "processor_seconds": {name: round(median(each), 3) for name, each in processor.items()},
        "times_the_scan": _ratios(seconds),
        "times_the_scan_in_processor_time": _ratios(processor),
        "turns_checked": checked,
        "turn_by_turn_us": round(us_a_turn, 1),
        "memory_mb": {name: _memory_mb(directory, name, files) for name in ("nothing", "rules", "against")},
    }


def _ratios(spent: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of each round's ratio: what a neighbour takes in one round, it takes from both."""
    return {
        name: round(median(each / alone for each, alone in zip(rounds, spent["scan"], strict=True)), 2)
        for name, rounds in spent.items()
        if name != "scan"
    }


def _memory_mb(directory: Path, work: str, files: RuleFiles) -> float:
    """Return the most memory that a process of its own took for this work, once."""
    command = [sys.executable, "-m", "bench.replay", "--alone", work, "--log", str(directory)]
    command += ["--looking-back"] if files.hash == rule_files(looking_back=True).hash else []
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def alone(work: str, directory: Path, files: RuleFiles) -> float:
    """Do one kind of work and return this process's peak of memory in MB."""
    parts = parts_of(directory)
    if work == "rules":
        judged(parts, files)
    elif work == "against":
        compare(parts, build(files), build(candidate_of(files)))
    return _peak_mb()


def _peak_mb() -> float:
    # What getrusage tells of a child begins with the peak of its parent, where the system has a better count.
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024, 1)


def show(name: str, row: dict[str, Anything]) -> None:
    """Print one row."""
    times, ratio = row["seconds"], row["times_the_scan"]
    print(f"\n{name}: {row['turns']:,} turns, {row['rules']} rules, {row['columns']} columns")
    print(f"  reading the columns alone      {times['scan']:.3f} s")
    print(f"  reading them, judging rules    {times['rules']:.3f} s, {ratio['rules']:.2f} times")
    print(f"  two rulesets, the whole delta  {times['against']:.3f} s, {ratio['against']:.2f} times")
    print(f"  in processor time: {row['times_the_scan_in_processor_time']}")
    print(f"  turn by turn {row['turn_by_turn_us']} µs a turn; {row['turns_checked']:,} turns agree")
    print(f"  memory, MB: {row['memory_mb']}")


def main() -> None:
    """Run the comparison, print it, and without --quick write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 turns, nothing written: under 20 s")
    parser.add_argument("--alone", choices=("nothing", "rules", "against"), help="one work in this process, for memory")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--looking-back", action="store_true")
    options = parser.parse_args()
    if options.alone:
        print(alone(options.alone, options.log, rule_files(looking_back=options.looking_back)))
        return
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        write_log(directory, TURNS_QUICK if options.quick else TURNS_MEASURED, rule_files(looking_back=False))
        for name, back in (("signals alone", False), ("two of ten look back, two at a call", True)):
            rows[name] = measured(directory, rule_files(looking_back=back), 3 if options.quick else ROUNDS)
            show(name, rows[name])
    met = all(row["times_the_scan"]["rules"] <= TARGET for row in rows.values())
    result = {
        "what": f"{RULES} rules over recorded turns in columns, against reading these columns and nothing else",
        "rerun": "python -m bench.replay",
        "target": {"times_the_scan": TARGET, "of": "rules, in both mixes"},
        "met": met,
        "machine": {**_machine(), "polars": version("polars")},
        "mixes": rows,
    }
    if not options.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print("\ntarget met" if met else "\ntarget missed")


def _machine() -> dict[str, Anything]:
    kept = ("machine", "processor", "cores", "system", "python")
    known = machine()
    return {**{name: known[name] for name in kept}, "load": round(os.getloadavg()[0], 2)}


if __name__ == "__main__":
    main()
