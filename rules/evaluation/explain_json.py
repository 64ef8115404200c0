"""Why a turn is decided as it is, as values that JSON can hold: for the command line and for the service alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rules.decision import Check, FiredRule
from rules.evaluation.near_misses import NearMiss
from rules.turn import Value


def fired_json(fired: Iterable[FiredRule]) -> list[dict[str, object]]:
    """Return the rules that fired, with the checks behind them and where in the texts these rest."""
    return [
        {
            "id": rule.rule_id,
            "why": rule.why,
            "verdict": rule.verdict,
            "live": rule.live,
            "reason_code": rule.reason_code,
            "checks": [_check_json(check) for check in rule.checks],
        }
        for rule in fired
    ]


def near_json(near: Iterable[NearMiss]) -> list[dict[str, object]]:
    """Return the rules that nearly fired, with what each of them lacks and by how much."""
    return [
        {
            "id": miss.rule_id,
            "verdict": miss.verdict,
            "lacks": [
                {
                    "text": lack.text,
                    "actual": value_json(lack.actual),
                    "sentence": lack.sentence,
                    "distance": lack.distance,
                }
                for lack in miss.lacks
            ],
        }
        for miss in near
    ]


def values_json(values: Mapping[str, Value]) -> dict[str, object]:
    """Return the signals by name, without those that only the rules' own bookkeeping uses."""
    return {name: value_json(value) for name, value in sorted(values.items()) if not name.startswith("_")}


def value_json(value: Value) -> object:
    """Return a value as JSON has it: a set as a sorted list."""
    return sorted(value) if isinstance(value, frozenset) else value


def _check_json(check: Check) -> dict[str, object]:
    return {
        "text": check.text,
        "actual": value_json(check.actual),
        "sentence": check.sentence,
        "evidence": [
            {"topic": hit.topic, "inside": hit.inside, "start": hit.start, "end": hit.end, "matched": hit.matched}
            for hit in check.evidence
        ],
    }
