"""What came of tests, as a person reads it at a terminal or in a pipe. Nothing is run here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rules.cases.advice import gaps
from rules.cases.case_json import case_json, coverage_json, totals_json
from rules.cases.coverage import RuleCoverage, percent, totals
from rules.cases.runner import CaseResult, LineKind, failure_lines
from service.cli.junit import TimedResult
from service.cli.output import say, say_table

# How each line of a failure is shown at a terminal; in a pipe there is no colour.
STYLES: dict[LineKind, str] = {
    "place": "bold",
    "expected": "green",
    "got": "red",
    "differs": "yellow",
    "why": "dim",
}
# A longer list is not read; the rest shows once these are written.
GAPS_SHOWN_MAX = 40
ADVICE_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of the tests of one path. `left_out` counts the cases that were not run."""

    path: Path
    timed: tuple[TimedResult, ...]
    coverage: tuple[RuleCoverage, ...]
    left_out: int = 0

    @property
    def results(self) -> tuple[CaseResult, ...]:
        """Return the results without their times."""
        return tuple(each.result for each in self.timed)


def print_or_go_on(say_it: Callable[[], None]) -> None:
    """Print, and where the reader has left (`| head`) go on without: the exit code still tells what was found."""
    try:
        say_it()
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # SystemExit is how rich says it. Whatever else is printed, at the very end by Python itself, goes nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def say_failure(result: CaseResult) -> None:
    """Print all that failed in one case, and an empty line behind it."""
    for kind, text in failure_lines(result, result.failures):
        say(text, style=STYLES[kind])
    say()


def say_coverage(covered: Sequence[RuleCoverage]) -> None:
    """Print what no test reaches, what to write next, and the figures."""
    missing = list(gaps(covered))
    if missing:
        rows = [(gap.rule_id, gap.of, gap.missing) for gap in missing[:GAPS_SHOWN_MAX]]
        say_table("what no test reaches", ("rule", "of it", "what is missing"), rows)
        if len(missing) > GAPS_SHOWN_MAX:
            say(f"and {len(missing) - GAPS_SHOWN_MAX} more")
        say()
        say("what to write next", style="bold")
        for gap in missing[:ADVICE_SHOWN_MAX]:
            say(f"  {gap.rule_id}: {gap.advice}")
        say()
    say(coverage_sentence(covered))


def coverage_sentence(covered: Iterable[RuleCoverage]) -> str:
    """Return how much is reached in one line."""
    counts = totals(covered)
    parts = ", ".join(f"{kind} {reached} of {there}" for kind, (reached, there) in counts.items())
    return f"coverage {shown_percent(percent(counts))}: {parts}"


def shown_percent(share: float) -> str:
    """Return a percentage that never says more than is true: 99.96 is not 100."""
    return f"{int(share * 10) / 10:g}%"


def tested_json(tested: Sequence[Tested], elapsed_ms: float, *, watched: bool) -> dict[str, object]:
    """Return everything as one JSON object."""
    results = [result for each in tested for result in each.results]
    covered = [rule for each in tested for rule in each.coverage]
    return {
        "ok": all(result.passed for result in results),
        "passed": sum(result.passed for result in results),
        "failed": sum(not result.passed for result in results),
        "left_out": sum(each.left_out for each in tested),
        "elapsed_ms": round(elapsed_ms, 1),
        "cases": [case_json(result) for result in results],
        "coverage": coverage_json(covered, watched=watched),
        **({"coverage_total": totals_json(covered)} if watched else {}),
    }
