"""How many bad writes rules stop, and at what load, as rules are added: in sample, out of fold, with intervals.

`python -m bench.airline_retail_curve RECORDED.jsonl.gz [--out bench/results/airline-retail] [--seed 0]`

Every figure comes from the real engine. Labels are used for counting only. Conversations of one group (one customer's
record, several tasks and trials) always stay together: in folds and when resampling for intervals.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import random
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.airline_retail_chart import chart, tables
from rules.compile.rule_files import compile_files
from rules.evaluation.evaluate import Ruleset, build, evaluate
from rules.history import remember
from rules.model import STOPPING
from rules.replay.transcripts import Recorded, read
from rules.turn import Conversation

HERE = Path(__file__).resolve().parent
SHIPPED = HERE.parent / "rules" / "library" / "airline-retail-agents.yaml"
CANDIDATES = HERE / "airline_retail_candidates.yaml"

FOLDS = 5
PARTITIONS = 20  # different ways to cut the groups into folds; one way alone moves the figures by several points
RESAMPLES = 2_000  # of the groups, for the intervals
BUDGETS = (0.05, 0.10, 0.12, 0.15, 0.18, 0.20, 0.25, 0.30)  # load that a choice may cost on the groups it is made on
TARGET_STOPPED, TARGET_LOAD = 0.50, 0.20


@dataclass(frozen=True, slots=True)
class Case:
    """One conversation: which rules would stop it, and at which row first."""

    group: str
    domain: str
    needs_nobody: bool
    bad_row: int | None
    first_row: dict[str, int]

    def stopped_in_time(self, rules: Iterable[str]) -> bool:
        return self.bad_row is not None and any(self.first_row.get(rule, 1 << 30) <= self.bad_row for rule in rules)

    def loaded(self, rules: Iterable[str]) -> bool:
        return self.needs_nobody and any(rule in self.first_row for rule in rules)


@dataclass(frozen=True, slots=True)
class Point:
    """Bad writes stopped of all bad writes, and conversations stopped of those that needed nobody."""

    stopped: int
    bad: int
    loaded: int
    quiet: int

    @property
    def rate(self) -> float:
        return self.stopped / self.bad if self.bad else 0.0

    @property
    def load(self) -> float:
        return self.loaded / self.quiet if self.quiet else 0.0


def ruleset_of(*paths: Path, several_items: int | None = None) -> Ruleset:
    """Return the rules of these files; `several_items` moves the threshold of that name."""
    texts = {path.name: path.read_text("utf-8") for path in paths}
    if several_items is not None:
        texts = {
            name: re.sub(r"(several_items:\s+value: )\d+", rf"\g<1>{several_items}", text)
            for name, text in texts.items()
        }
    files, problems = compile_files(texts)
    if files is None:
        raise SystemExit("\n".join(f"{problem.code}: {problem.message}" for problem in problems))
    return build(files)


def case_of(ruleset: Ruleset, recorded: Recorded) -> Case:
    """Return where each rule fires first; no rule's firing hides another's, so any set of rules can be counted."""
    conversation = Conversation(recorded.conversation_id)
    first: dict[str, int] = {}
    for step in recorded.turns:
        found = evaluate(ruleset, step.turn, conversation, step.at_ms)
        for rule in found.rules:
            if rule.then.verdict in STOPPING:
                first.setdefault(rule.id, step.row_index)
        conversation = remember(conversation, found.record)
    truth = recorded.truth
    return Case(
        truth.group or recorded.conversation_id,
        recorded.domain or "",
        truth.needed() is False,
        truth.bad_write_index,
        first,
    )


def point(cases: Sequence[Case], rules: Sequence[str]) -> Point:
    return Point(
        sum(case.stopped_in_time(rules) for case in cases),
        sum(case.bad_row is not None for case in cases),
        sum(case.loaded(rules) for case in cases),
        sum(case.needs_nobody for case in cases),
    )


def by_group(cases: Sequence[Case]) -> dict[str, list[Case]]:
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    return groups


def intervals(
    cases: Sequence[Case], rules: Sequence[str], rng: random.Random
) -> tuple[list[float], list[float], float]:
    """Return the 95 % intervals of both rates and how often both targets were met, resampling whole groups."""
    parts = [point(group, rules) for group in by_group(cases).values()]
    rates, loads, met = [], [], 0
    for _ in range(RESAMPLES):
        drawn = rng.choices(parts, k=len(parts))
        bad, quiet = sum(part.bad for part in drawn), sum(part.quiet for part in drawn)
        rates.append(sum(part.stopped for part in drawn) / bad if bad else 0.0)
        loads.append(sum(part.loaded for part in drawn) / quiet if quiet else 0.0)
        met += rates[-1] >= TARGET_STOPPED and loads[-1] <= TARGET_LOAD
    return _middle(rates), _middle(loads), met / RESAMPLES


def _middle(values: list[float]) -> list[float]:
    values = sorted(values)
    return [values[int(0.025 * len(values))], values[int(0.975 * len(values))]]


def chosen(cases: Sequence[Case], pool: Sequence[str], budget: float) -> list[str]:
    """Return rules added one by one, each the one that stops most per load it adds, while the load stays in budget."""
    rules: list[str] = []
    left = list(pool)
    now = point(cases, rules)
    while True:
        best: tuple[float, int, str] | None = None
        for rule in left:
            then = point(cases, [*rules, rule])
            gain, cost = then.stopped - now.stopped, then.loaded - now.loaded
            # A rule that stops fewer than three more is noise: three of a hundred is what chance gives any rule.
            if gain >= 3 and then.load <= budget:
                best = max(best or (-1.0, 0, ""), (gain / (cost + 1), gain, rule))
        if best is None:
            return rules
        rules.append(best[2])
        left.remove(best[2])
        now = point(cases, rules)


def out_of_fold(cases: Sequence[Case], pool: Sequence[str], budget: float, rng: random.Random) -> list[Point]:
    """Return one point a partition: rules are chosen on the other folds' groups, counted on the fold's own."""
    groups = by_group(cases)
    points = []
    for _ in range(PARTITIONS):
        names = sorted(groups)
        rng.shuffle(names)
        total = [0, 0, 0, 0]
        for fold in range(FOLDS):
            inside = set(names[fold::FOLDS])
            learn = [case for case in cases if case.group not in inside]
            judge = [case for case in cases if case.group in inside]
            got = point(judge, chosen(learn, pool, budget))
            total = [a + b for a, b in zip(total, (got.stopped, got.bad, got.loaded, got.quiet), strict=True)]
        points.append(Point(*total))
    return points


def ordered(cases: Sequence[Case], rules: Sequence[str]) -> list[str]:
    """Return the rules in the order in which each adds most for its load: how the curve grows."""
    order: list[str] = []
    while len(order) < len(rules):
        now = point(cases, order)

        def worth(rule: str, now: Point = now) -> tuple[float, str]:
            then = point(cases, [*order, rule])
            return (then.stopped - now.stopped) / (then.loaded - now.loaded + 1), rule

        order.append(max((rule for rule in rules if rule not in order), key=worth))
    return order


def with_order_out_of_fold(cases: Sequence[Case], rules: Sequence[str], length: int, rng: random.Random) -> Point:
    """Return the point of the first `length` rules where their order is found on the other folds' groups."""
    groups = by_group(cases)
    names = sorted(groups)
    total = [0, 0, 0, 0]
    for _ in range(PARTITIONS):
        rng.shuffle(names)
        for fold in range(FOLDS):
            inside = set(names[fold::FOLDS])
            order = ordered([case for case in cases if case.group not in inside], rules)
            got = point([case for case in cases if case.group in inside], order[:length])
            total = [a + b for a, b in zip(total, (got.stopped, got.bad, got.loaded, got.quiet), strict=True)]
    return Point(*total)


def measure(recorded: Sequence[Recorded], seed: int) -> dict[str, object]:
    shipped_set = ruleset_of(SHIPPED)
    shipped = [rule.id for rule in shipped_set.files.rules if rule.then.verdict in STOPPING]
    everything = ruleset_of(SHIPPED, CANDIDATES)
    pool = [rule.id for rule in everything.files.rules]
    cases = [case_of(everything, one) for one in recorded]
    rng = random.Random(seed)

    curve = []
    order = ordered(cases, shipped)
    for length in range(1, len(order) + 1):
        rules = order[:length]
        rate_interval, load_interval, met = intervals(cases, rules, rng)
        fold = with_order_out_of_fold(cases, shipped, length, rng)
        curve.append(
            {
                "added": order[length - 1],
                **_said(point(cases, rules)),
                "rate_interval": rate_interval,
                "load_interval": load_interval,
                "both_targets_met": met,
                "out_of_fold": {"rate": fold.rate, "load": fold.load},
            }
        )

    chosen_curve = []
    for budget in BUDGETS:
        points = out_of_fold(cases, pool, budget, rng)
        rates, loads = sorted(one.rate for one in points), sorted(one.load for one in points)
        chosen_curve.append(
            {
                "budget": budget,
                "in_sample": {**_said(point(cases, chosen(cases, pool, budget))), "rules": chosen(cases, pool, budget)},
                "rate": sum(rates) / len(rates),
                "rate_range": [rates[0], rates[-1]],
                "load": sum(loads) / len(loads),
                "load_range": [loads[0], loads[-1]],
            }
        )

    thresholds = []
    for items in (2, 3, 4):
        moved = ruleset_of(SHIPPED, several_items=items)
        thresholds.append({"several_items": items, **_said(point([case_of(moved, one) for one in recorded], shipped))})

    domains = sorted({case.domain for case in cases})
    return {
        "machine": {"python": platform.python_version(), "system": platform.platform()},
        "conversations": len(cases),
        "groups": len(by_group(cases)),
        "ruleset": shipped_set.hash,
        "curve": curve,
        "chosen_out_of_fold": chosen_curve,
        "thresholds": thresholds,
        "domains": {name: _said(point([case for case in cases if case.domain == name], shipped)) for name in domains},
        "baselines": {
            "every write": _said(point(cases, ["c-any-change"])),
            "a write after a tool error": _said(point(cases, ["c-after-error"])),
        },
    }


def _said(one: Point) -> dict[str, object]:
    return {
        "stopped": one.stopped,
        "bad": one.bad,
        "rate": one.rate,
        "loaded": one.loaded,
        "quiet": one.quiet,
        "load": one.load,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, help="recorded conversations, one JSON row a line, gzipped or not")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "airline-retail")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    opened = gzip.open if args.path.suffix == ".gz" else open
    with opened(args.path, "rt", encoding="utf-8") as lines:
        recorded = [read(json.loads(line)) for line in lines]
    found = measure(recorded, args.seed)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    args.out.with_suffix(".svg").write_text(chart(found), "utf-8")
    sys.stdout.write(tables(found))


if __name__ == "__main__":
    main()
