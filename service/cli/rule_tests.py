"""`handrail test`: the conversations beside rule files, turn by turn, and how far they reach."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rules.cases.coverage import Watch, percent, totals
from rules.cases.runner import CaseResult, coverage, read_cases, run_case
from rules.cases.values import Case
from rules.evaluation.evaluate import Ruleset
from rules.files.errors import RuleFileInvalid
from rules.model import Span
from service import rule_files
from service.cli.decision_case import print_case
from service.cli.junit import TimedResult, junit_of_nothing, junit_of_problems, junit_xml
from service.cli.output import EXIT_FINDINGS, JsonFlag, progress, refuse, say, say_json
from service.cli.rule_test_report import Tested, print_or_go_on, say_coverage, say_failure, shown_percent, tested_json
from service.cli.service_client import DataDirOption, KeyOption, UrlOption, service_at
from service.rule_files import RulesUnreadable

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Directories of rule files with tests beside them, or single test files.", metavar="PATH"),
]
NameFilter = Annotated[
    str | None, typer.Option("--filter", "--only", "-k", help="Run the cases whose name has this in it.")
]
FailFast = Annotated[bool, typer.Option("--fail-fast", "-x", help="Stop at the first case that fails.")]
ShowCoverage = Annotated[bool, typer.Option("--coverage", help="Show what no test reaches, and what to write next.")]
CoverageMin = Annotated[
    float | None, typer.Option("--coverage-min", min=0, max=100, help="Fail below this percentage.", metavar="PERCENT")
]
Strict = Annotated[bool, typer.Option("--strict", help="Rules that no test makes fire fail too.")]
JunitFile = Annotated[
    Path | None, typer.Option("--junit", help="Write a JUnit report for a CI to show.", metavar="FILE")
]
FromDecision = Annotated[
    str | None,
    typer.Option("--from", help="Print this decision of a running service as a test case.", metavar="DECISION_ID"),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the run the options ask for."""

    only: str | None
    fail_fast: bool
    show_coverage: bool
    coverage_min: float | None
    strict: bool
    as_json: bool

    @property
    def watched(self) -> bool:
        """Return whether every rule is looked into on every turn."""
        return self.show_coverage or self.coverage_min is not None


def rule_tests(  # one parameter an option
    paths: Paths = None,
    only: NameFilter = None,
    fail_fast: FailFast = False,
    show_coverage: ShowCoverage = False,
    coverage_min: CoverageMin = None,
    strict: Strict = False,
    junit: JunitFile = None,
    from_decision: FromDecision = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Run the tests of rule files.

    Tests are whole conversations in *.tests.yaml, with a clock of their own and what is expected of each turn. A single
    test file runs against the rules of its directory. Exit code 0 when all pass, 1 when a case fails or less is covered
    than asked for, 2 when there is nothing to run or a file has a mistake.

    With --from nothing is run here: a running service writes one of its decisions as a test case. Ids and most personal
    data are taken out; names and addresses in texts stay, so read it before you commit it.

    \b
    Examples:
      handrail test rules/library
      handrail test my-rules --coverage
      handrail test my-rules --coverage-min 90 --junit report.xml
      handrail test my-rules/refunds.tests.yaml -k "over the limit"
      handrail test --from dec_0_5fe0 >> my-rules/refunds.tests.yaml
    """
    if from_decision is not None:
        if paths:
            refuse("`--from` takes no PATH", "it prints a case; append it to a test file, and run that")
        print_case(service_at(url, key, data_dir), from_decision, as_json=as_json)
        return
    if not paths:
        refuse("no PATH to run", "name a directory of rule files, as in `handrail test my-rules`")
    asked = Asked(only, fail_fast, show_coverage, coverage_min, strict, as_json)
    started_s = time.perf_counter()
    try:
        tested = _run_all(paths, asked)
    except RuleFileInvalid as invalid:
        if junit is not None:
            _write(junit, junit_of_problems(invalid.problems))
        raise
    except RulesUnreadable as unreadable:
        if junit is not None:
            _write(junit, junit_of_nothing(f"{unreadable.path}: {unreadable.fact}"))
        raise
    elapsed_ms = (time.perf_counter() - started_s) * 1000
    if junit is not None:
        _write(junit, junit_xml([timed for each in tested for timed in each.timed]))
    if not _told(tested, asked, elapsed_ms):
        raise typer.Exit(EXIT_FINDINGS)


def _told(tested: Sequence[Tested], asked: Asked, elapsed_ms: float) -> bool:
    """Print what came of it, and return whether all is as it was asked to be."""
    covered = [rule for each in tested for rule in each.coverage]
    bare = [rule.rule_id for rule in covered if not rule.cases]
    reached = percent(totals(covered))
    too_little = asked.coverage_min is not None and reached < asked.coverage_min

    def say_all() -> None:
        if asked.as_json:
            say_json(tested_json(tested, elapsed_ms, watched=asked.watched))
            return
        if asked.show_coverage:
            say_coverage(covered)
        tell_bare = asked.strict or asked.show_coverage
        _say_end(tested, elapsed_ms, f"; {len(bare)} rules that no test makes fire" if tell_bare else "")
        if too_little:
            say(f"coverage {shown_percent(reached)} is below the {asked.coverage_min:g}% asked for", style="red")

    print_or_go_on(say_all)
    return not (_has_failed(tested) or (asked.strict and bare) or too_little)


def _run_all(paths: Sequence[Path], asked: Asked) -> list[Tested]:
    tested: list[Tested] = []
    # Read all before any is run, so that a mistake in the last file is not told after minutes.
    for path, ruleset, cases, left_out in [_read(path, asked.only) for path in paths]:
        done = [] if asked.fail_fast and _has_failed(tested) else _timed(ruleset, cases, asked)
        rest = len(cases) - len(done) + left_out
        tested.append(Tested(path, tuple(done), coverage(ruleset, [each.result for each in done]), rest))
    return tested


def _read(path: Path, only: str | None) -> tuple[Path, Ruleset, list[Case], int]:
    """Return the rules of a path, the cases to run and how many are left out. Raises RulesUnreadable for none."""
    # First of all: around a path that is not there, the rules would be whatever lies in this directory.
    texts = rule_files.read_tests(path)
    if not texts:
        raise RulesUnreadable(path, "no tests here", "tests stand beside rule files and end in `.tests.yaml`")
    root = path if path.is_dir() else path.parent
    ruleset = rule_files.load(root)
    try:
        cases = read_cases(ruleset, texts)
    except RuleFileInvalid as invalid:
        raise RuleFileInvalid(rule_files.located(invalid.problems, root)) from None
    chosen = [_located(case, root) for case in cases if only is None or only.lower() in case.name.lower()]
    if not chosen:
        raise RulesUnreadable(path, "no case of that name", "`--filter` looks for its word anywhere in a case's name")
    return path, ruleset, chosen, len(cases) - len(chosen)


def _timed(ruleset: Ruleset, cases: Sequence[Case], asked: Asked) -> list[TimedResult]:
    """Run the cases and return each with its time; what failed is printed once the bar has left the screen."""
    watch, done = Watch(ruleset, all_rules=asked.watched), []
    with progress("cases", len(cases)) as bar:
        for case in cases:
            started_s = time.perf_counter()
            result = run_case(ruleset, case, watch)
            done.append(TimedResult(result, time.perf_counter() - started_s))
            bar.advance(bar.task_ids[0])
            if not result.passed and asked.fail_fast:
                break
    for timed in done:
        if not timed.result.passed and not asked.as_json:
            print_or_go_on(partial(say_failure, timed.result))
    return done


def _has_failed(tested: Sequence[Tested]) -> bool:
    return any(not result.passed for each in tested for result in each.results)


def _say_end(tested: Sequence[Tested], elapsed_ms: float, rest: str) -> None:
    results: list[CaseResult] = [result for each in tested for result in each.results]
    passed, turns = sum(result.passed for result in results), sum(result.turns for result in results)
    left_out = sum(each.left_out for each in tested)
    said = f"{passed} of {len(results)} cases passed, {turns} turns, {elapsed_ms:.0f} ms"
    said += f"; {left_out} not run" if left_out else ""
    say(said + rest, style="green" if passed == len(results) else "red")


def _write(path: Path, report: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(report)
    except OSError as away:
        refuse(f"{path}: {(away.strerror or 'cannot be written').lower()}", "name a file that can be written")


def _located(case: Case, root: Path) -> Case:
    """Return the case with the directory before its file's name, so that an editor can open each place."""

    def here(span: Span) -> Span:
        return replace(span, file=(root / span.file).as_posix())

    steps = tuple(
        replace(step, span=here(step.span), expect=step.expect and replace(step.expect, span=here(step.expect.span)))
        for step in case.steps
    )
    return replace(case, file=(root / case.file).as_posix(), span=here(case.span), steps=steps)
