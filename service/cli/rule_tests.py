"""`handrail test`: the conversations beside rule files, turn by turn, and how far they reach."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from rules.cases import CaseResult, Failure, RuleCoverage, coverage, render_failure, run_cases
from rules.errors import RuleFileInvalid
from rules.evaluate import Ruleset
from service import rule_files
from service.cli.output import EXIT_FINDINGS, JsonFlag, refuse, say, say_json, say_table


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of the tests of one path."""

    path: Path
    root: Path
    results: tuple[CaseResult, ...]
    coverage: tuple[RuleCoverage, ...]


def rule_tests(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Directories of rule files with tests beside them, or single test files.", metavar="PATH..."
        ),
    ],
    only: Annotated[str | None, typer.Option("--only", "-k", help="Run the cases whose name has this in it.")] = None,
    show_coverage: Annotated[bool, typer.Option("--coverage", help="Show what no test reaches.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Rules that no test makes fire fail too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run the tests of rule files.

    Tests are whole conversations in *.tests.yaml, with a clock of their own and what is expected of each turn. A single
    test file runs against the rules of its directory. Exit code 0 when all pass, 1 when one fails, 2 when there is
    nothing to run.

    \b
    Examples:
      handrail test rules/library
      handrail test my-rules --coverage --strict
      handrail test my-rules/refunds.tests.yaml -k "over the limit"
    """
    started_s = time.perf_counter()
    tested = [_run(path, only) for path in paths]
    elapsed_ms = (time.perf_counter() - started_s) * 1000
    results = [result for each in tested for result in each.results]
    failed = [result for result in results if not result.passed]
    bare = [each.rule_id for one in tested for each in one.coverage if not each.cases]
    if as_json:
        say_json(_as_json(tested, elapsed_ms))
    else:
        _print(tested, show_coverage=show_coverage)
        turns = sum(result.turns for result in results)
        say(
            f"{len(results) - len(failed)} of {len(results)} cases passed, {turns} turns, {elapsed_ms:.0f} ms"
            + (f"; {len(bare)} rules that no test makes fire" if strict or show_coverage else "")
        )
    if failed or (strict and bare):
        raise typer.Exit(EXIT_FINDINGS)


def _run(path: Path, only: str | None) -> Tested:
    # First of all: around a path that is not there, the rules would be whatever lies in this directory.
    texts = rule_files.read_tests(path)
    if not texts:
        refuse(f"{path}: no tests here", "tests stand beside rule files and end in `.tests.yaml`")
    root = path if path.is_dir() else path.parent
    ruleset = rule_files.load(root)
    results = _results(ruleset, texts, root)
    reached = coverage(ruleset, results)
    chosen = tuple(result for result in results if only is None or only.lower() in result.name.lower())
    if not chosen:
        refuse(f"{path}: no case of that name", "`--only` looks for its word anywhere in a case's name")
    return Tested(path, root, chosen, reached)


def _results(ruleset: Ruleset, texts: dict[str, str], root: Path) -> tuple[CaseResult, ...]:
    try:
        return run_cases(ruleset, texts)
    except RuleFileInvalid as invalid:
        raise RuleFileInvalid(rule_files.located(invalid.problems, root)) from None


def _print(tested: list[Tested], *, show_coverage: bool) -> None:
    for each in tested:
        for result in each.results:
            for failure in result.failures:
                say(render_failure(result, _located(failure, each.root)))
                say()
        if show_coverage:
            rows = [
                (reached.rule_id, reached.cases, "; ".join(reached.unseen) or "nothing")
                for reached in each.coverage
                if not reached.cases or reached.unseen
            ]
            if rows:
                say_table("what no test reaches", ("rule", "cases", "comparisons that never helped"), rows, ("cases",))
                say()


def _located(failure: Failure, root: Path) -> Failure:
    return replace(failure, span=replace(failure.span, file=(root / failure.span.file).as_posix()))


def _as_json(tested: list[Tested], elapsed_ms: float) -> dict[str, object]:
    results = [result for each in tested for result in each.results]
    return {
        "ok": all(result.passed for result in results),
        "passed": sum(result.passed for result in results),
        "failed": sum(not result.passed for result in results),
        "elapsed_ms": round(elapsed_ms, 1),
        "cases": [
            {
                "file": (each.root / result.file).as_posix(),
                "line": result.span.line,
                "name": result.name,
                "passed": result.passed,
                "turns": result.turns,
                "failures": [_failure_json(failure) for failure in result.failures],
            }
            for each in tested
            for result in each.results
        ],
        "coverage": [
            {"rule_id": reached.rule_id, "cases": reached.cases, "unseen": list(reached.unseen)}
            for each in tested
            for reached in each.coverage
        ],
    }


def _failure_json(failure: Failure) -> dict[str, object]:
    return {
        "turn": failure.turn,
        "line": failure.span.line,
        "column": failure.span.column,
        "what": failure.what,
        "expected": failure.expected,
        "got": failure.got,
        "why": list(failure.why),
    }
