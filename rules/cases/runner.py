"""Runs the conversations of test files against a ruleset, with a clock of their own, and tells what was not met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rules.cases.case_files import read_case_files
from rules.cases.case_run import Run, Seen, start, take
from rules.cases.coverage import Reached, Watch, coverage_of
from rules.cases.coverage import RuleCoverage as RuleCoverage
from rules.cases.probes import Met
from rules.cases.unmet import unmet
from rules.cases.values import Case, MoveStep, Step, TurnStep
from rules.cases.why import why
from rules.evaluation.evaluate import Ruleset
from rules.files.errors import RuleFileInvalid
from rules.model import Span


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that was not met. `turn` counts the steps of the case from 1.

    `difference` says in words what is missing or too much. `why` holds lines that tell how it came: the checks behind
    what fired, and what an expected rule still lacked.
    """

    turn: int
    span: Span
    what: str
    expected: str
    got: str
    why: tuple[str, ...] = ()
    difference: str = ""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of one case. `reached` holds by rule what its turns reached, for `coverage`."""

    file: str
    name: str
    span: Span
    turns: int
    failures: tuple[Failure, ...]
    reached: Mapping[str, Reached]

    @property
    def passed(self) -> bool:
        """Return whether every expectation was met."""
        return not self.failures


LineKind: TypeAlias = Literal["place", "expected", "got", "differs", "why"]


def run_cases(ruleset: Ruleset, texts: Mapping[str, str], *, watch_all: bool = False) -> tuple[CaseResult, ...]:
    """Return the result of every case in the test files. Raises RuleFileInvalid when a test file has a mistake.

    With `watch_all` every rule is looked into on every turn, so that `coverage` also knows what kept rules quiet;
    without it only the rules that fire are.
    """
    watch = Watch(ruleset, all_rules=watch_all)
    return tuple(run_case(ruleset, case, watch) for case in read_cases(ruleset, texts))


def read_cases(ruleset: Ruleset, texts: Mapping[str, str]) -> tuple[Case, ...]:
    """Return every case of the test files. Raises RuleFileInvalid when one has a mistake."""
    cases, problems = read_case_files(texts, ruleset.files)
    if any(problem.severity == "error" for problem in problems):
        raise RuleFileInvalid(problems)
    return cases


def run_case(ruleset: Ruleset, case: Case, watch: Watch | None = None) -> CaseResult:
    """Return what came of one case; it is run to its end, whatever fails on the way."""
    watch = watch or Watch(ruleset, all_rules=False)
    run = start(ruleset, case)
    failures: list[Failure] = []
    met: dict[str, set[Met]] = {}
    for number, step in enumerate(case.steps, start=1):
        seen = take(run, step)
        if seen.judged is not None:
            watch.note(seen.judged.evaluation, seen.before, seen.now_ms, met)
        failures += _failures(run, step, seen, number)
    turns = sum(isinstance(step, TurnStep) for step in case.steps)
    return CaseResult(case.file, case.name, case.span, turns, tuple(failures), watch.reached(met))


def coverage(ruleset: Ruleset, results: Iterable[CaseResult]) -> tuple[RuleCoverage, ...]:
    """Return how far the cases reach, rule by rule in order of precedence."""
    return coverage_of(ruleset, [(result.name, result.span, result.reached) for result in results])


def render_case(result: CaseResult) -> str:
    """Return all that failed in a case as a person reads it, empty when it passed."""
    return "\n".join(text for _, text in failure_lines(result, result.failures))


def render_failure(result: CaseResult, failure: Failure) -> str:
    """Return one failure as a person reads it: place, case and turn; what was expected, what came, and why."""
    return "\n".join(text for _, text in failure_lines(result, (failure,)))


def failure_lines(result: CaseResult, failures: Iterable[Failure]) -> list[tuple[LineKind, str]]:
    """Return failures line by line, each with what it tells; what failed in one turn stands together."""
    lines: list[tuple[LineKind, str]] = []
    told: Failure | None = None
    for failure in failures:
        if told is None or told.turn != failure.turn:
            lines += _why_lines(told)
            span = failure.span
            lines.append(("place", f"{span.file}:{span.line}:{span.column}: `{result.name}`, turn {failure.turn}"))
        lines.append(("expected", f"      expected {failure.what} {failure.expected}"))
        lines.append(("got", f"      got      {failure.what} {failure.got}"))
        if failure.difference:
            lines.append(("differs", f"      differs  {failure.difference}"))
        told = failure
    return lines + _why_lines(told)


def _why_lines(failure: Failure | None) -> list[tuple[LineKind, str]]:
    return [("why", f"        {line}") for line in failure.why] if failure is not None else []


def _failures(run: Run, step: Step, seen: Seen, number: int) -> list[Failure]:
    found = unmet(run, step, seen)
    if not found:
        return []
    because = why(run.ruleset, step.expect, seen) if step.expect is not None else ()
    if run.past_due is not None and _wonders(step, seen):
        because = (*because, run.past_due)
    if isinstance(step, MoveStep) and step.move is None and seen.fell_due is None:
        because = (*because, "the step has no `message`, `reply` or `tool_calls`, so only the clock went on")
    span = step.expect.span if step.expect is not None and seen.refused is None else step.span
    return [Failure(number, span, each.what, each.expected, each.got, because, each.difference) for each in found]


def _wonders(step: Step, seen: Seen) -> bool:
    """Return whether a deadline that passed before can be why: nobody has the conversation any more."""
    if isinstance(step, MoveStep):
        return seen.refused is not None
    return step.expect is not None and step.expect.verdict == "held_by_human"
