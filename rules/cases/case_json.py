"""Results of tests, and what they reach, as values that JSON can hold. The command line and the API answer the same."""

from __future__ import annotations

from collections.abc import Iterable

from rules.cases.coverage import RuleCoverage, percent, totals
from rules.cases.runner import CaseResult, Failure


def case_json(result: CaseResult) -> dict[str, object]:
    """Return the result of one case."""
    return {
        "file": result.file,
        "line": result.span.line,
        "name": result.name,
        "passed": result.passed,
        "turns": result.turns,
        "failures": [_failure_json(failure) for failure in result.failures],
    }


def coverage_json(covered: Iterable[RuleCoverage], *, watched: bool) -> list[dict[str, object]]:
    """Return what is reached of each rule; comparison by comparison where every turn was `watched` for every rule."""
    return [
        {
            "rule_id": rule.rule_id,
            "cases": rule.cases,
            "unseen": list(rule.unseen),
            **(_sides_json(rule) if watched else {}),
        }
        for rule in covered
    ]


def totals_json(covered: Iterable[RuleCoverage]) -> dict[str, object]:
    """Return how much of all there is to reach is reached."""
    counts = totals(covered)
    return {
        "percent": round(percent(counts), 2),
        **{kind: {"reached": reached, "of": there} for kind, (reached, there) in counts.items()},
    }


def _sides_json(rule: RuleCoverage) -> dict[str, object]:
    return {
        "comparisons": [
            {"text": one.text, "held": one.held, "failed": one.failed, "unknown": one.unknown}
            for one in rule.comparisons
        ],
        "branches": [{"all_of": list(way.texts), "taken": way.taken} for way in rule.ways],
    }


def _failure_json(failure: Failure) -> dict[str, object]:
    return {
        "turn": failure.turn,
        "line": failure.span.line,
        "column": failure.span.column,
        "what": failure.what,
        "expected": failure.expected,
        "got": failure.got,
        "difference": failure.difference,
        "why": list(failure.why),
    }
