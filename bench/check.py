"""Times `handrail check` on 500 rules: the checking alone, and the whole command. Writes bench/results/check.json."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rules.compile.rule_files import compile_files
from rules.text import patterns

RESULTS = Path(__file__).parent / "results" / "check.json"
TARGET_S = 0.3  # of the checking alone, in processor time
COMMAND_TARGET_S = 0.3  # of the whole command, imports of Python included
RULES, TOPICS, QUEUES, THRESHOLDS = 500, 60, 10, 30
ROUNDS = 15
# Fresh processes whose median is told.
COMMANDS = 11

_WORDS = "account bank bill card charge claim delivery dispute fee fraud loan order parcel payment refund transfer"
WORDS = _WORDS.split()
SIGNALS = {
    "confidence": lambda rng: f"confidence < {rng.randint(20, 80) / 100}",
    "sentiment": lambda rng: f"sentiment < {-rng.randint(10, 90) / 100}",
    "turn_count": lambda rng: f"turn_count >= {rng.randint(3, 20)}",
    "elapsed_ms": lambda rng: f"elapsed_ms > {rng.randint(2, 40)}m",
    "amount_usd_max": lambda rng: f"amount_usd_max > {rng.randint(5, 400) * 10}",
    "channel": lambda rng: f"channel in [{', '.join(rng.sample(['chat', 'voice', 'mail', 'sms'], 2))}]",
    "tier": lambda rng: f"customer.tier = {rng.choice(['free', 'gold', 'platinum'])}",
    "threshold": lambda rng: f"confidence < $t{rng.randrange(THRESHOLDS)}",
    "streak": lambda rng: f"streak(confidence < {rng.randint(20, 80) / 100}) >= {rng.randint(2, 4)}",
    "count": lambda rng: f"count(tools_failed has tool{rng.randrange(30)}) over {rng.randint(3, 12)} turns >= 2",
    "topics": lambda rng: f"topics has topic{rng.randrange(TOPICS)}",
}
THENS = ("review", "hold", "escalate")


def mixed(rng: random.Random) -> dict[str, str]:
    """Return a house's rule files: 500 rules over many signals in ten files, with topics, thresholds and queues."""
    files = {"names.yaml": _names(rng)}
    for part in range(10):
        rules = "".join(_rule(rng, number) for number in range(part * RULES // 10, (part + 1) * RULES // 10))
        files[f"rules{part}.yaml"] = f"handrail: 1\nrules:\n{rules}"
    return files


def one_signal(rng: random.Random) -> dict[str, str]:
    """Return 500 rules that all look at the same signals, each with a number of its own: each is held against each."""
    numbers = rng.sample(range(1, 1_000), RULES)
    rules = "".join(
        f"  - {{id: r{n}, why: x, when: {{all: [confidence < {number / 1000}, sentiment < {-number / 1000}]}},"
        f" then: {{review: q{n % QUEUES}}}}}\n"
        for n, number in enumerate(numbers)
    )
    return {"names.yaml": f"handrail: 1\nqueues:\n{_queues()}", "rules.yaml": f"handrail: 1\nrules:\n{rules}"}


def _names(rng: random.Random) -> str:
    topics = "".join(
        f"  topic{number}:\n    phrases: [{', '.join(' '.join(rng.choices(WORDS, k=3)) for _ in range(20))}]\n"
        f"    patterns: ['\\b{rng.choice(WORDS)}s?\\s+{rng.choice(WORDS)}\\b.{{0,20}}{number}']\n"
        for number in range(TOPICS)
    )
    thresholds = "".join(
        f"  t{n}: {{value: {rng.randint(20, 80) / 100}, min: 0.1, max: 0.9}}\n" for n in range(THRESHOLDS)
    )
    return f"handrail: 1\nthresholds:\n{thresholds}topics:\n{topics}queues:\n{_queues()}"


def _queues() -> str:
    return "".join(
        f"  q{n}: {{answer_within: 15m, on_timeout: {{verdict: callback, say: {{en: Later.}}}}, say: {{en: Wait.}}}}\n"
        for n in range(QUEUES)
    )


def _rule(rng: random.Random, number: int) -> str:
    parts = [SIGNALS[name](rng) for name in rng.sample(sorted(SIGNALS), rng.choice((2, 3, 3, 4)))]
    if rng.random() < 0.2:
        parts = [*parts[:-2], f"any: [{', '.join(f'{json.dumps(part)}' for part in parts[-2:])}]"]
    if rng.random() < 0.15:
        parts.append("tool_call: {all: [name = issue_refund, amount_usd > 100, status = proposed]}")
    listed = "".join(f"        - {part}\n" for part in parts)
    verdict = rng.choice(THENS)
    return (
        f"  - id: rule-{number}\n    why: rule number {number}\n    when:\n      all:\n{listed}"
        f"    then: {{{verdict}: q{number % QUEUES}, priority: {rng.choice(('low', 'normal', 'high', 'urgent'))}}}\n"
    )


SETS: dict[str, Callable[[random.Random], dict[str, str]]] = {"mixed": mixed, "one signal": one_signal}


def measure(made: Callable[[random.Random], dict[str, str]], rounds: int) -> dict[str, float | int]:
    """Return the best CPU seconds of checking the texts, and the median and best of the whole command."""
    texts = made(random.Random(7))
    checks = []
    found = 0
    for _ in range(rounds):
        # A pattern that was checked once is remembered; a manager's command begins without.
        patterns.pattern_problem.cache_clear()
        patterns.alternatives.cache_clear()
        started_s = time.process_time()
        files, problems = compile_files(texts)
        checks.append(time.process_time() - started_s)
        found = len(problems)
        assert files is not None
        assert len(files.rules) == RULES
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as compiled:
        for name, text in texts.items():
            Path(folder, name).write_text(text)
        # The first one writes the files that Python compiles, as installing does.
        commands = [_command_s(folder, compiled) for _ in range(1 + (COMMANDS if rounds == ROUNDS else 3))][1:]
    return {
        "check_s": round(min(checks), 3),
        "command_s": round(statistics.median(commands), 3),
        "command_best_s": round(min(commands), 3),
        "warnings": found,
    }


def _command_s(folder: str, compiled: str) -> float:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", "from service.command import run; run()", "check", folder],
        check=True,
        stdout=subprocess.DEVNULL,
        # What lies compiled in the checkout may be older than its source: then every process would compile it anew.
        env={**env, "PYTHONPYCACHEPREFIX": compiled},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure both sets of rules and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 rounds, nothing written")
    options = parser.parse_args()
    runs = {name: measure(made, 3 if options.quick else ROUNDS) for name, made in SETS.items()}
    for name, run in runs.items():
        print(
            f"{name:10} {run['check_s'] * 1000:5.0f} ms to check {RULES} rules (limit {TARGET_S * 1000:.0f}), "
            f"{run['command_s'] * 1000:5.0f} ms the whole command (limit {COMMAND_TARGET_S * 1000:.0f}, "
            f"best {run['command_best_s'] * 1000:.0f}), {run['warnings']} warnings"
        )
    result = {
        "what": f"CPU seconds of checking {RULES} rules, best of {ROUNDS}; `command_s` is that of the whole "
        f"command, user and system, the median of {COMMANDS} fresh processes",
        "rerun": "python -m bench.check",
        "target_s": TARGET_S,
        "met": all(run["check_s"] < TARGET_S for run in runs.values()),
        "command_target_s": COMMAND_TARGET_S,
        "command_met": all(run["command_s"] < COMMAND_TARGET_S for run in runs.values()),
        "machine": {
            "machine": platform.machine(),
            "system": platform.platform(),
            "cores": os.cpu_count() or 0,
            "python": platform.python_version(),
        },
        "runs": runs,
    }
    if not options.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
