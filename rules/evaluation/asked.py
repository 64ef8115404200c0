"""Which signals the conditions of rules ask for. Nothing is read here."""

from __future__ import annotations

from collections.abc import Iterable

from rules.model import Aggregate, All, Any, Compare, Condition, Not, Rule


def asked_signals(rules: Iterable[Rule]) -> frozenset[str]:
    """Return the names of all turn and conversation signals that the rules ask for, inside aggregates too."""
    return frozenset(name for rule in rules for name in _asked(rule.when))


def _asked(condition: Condition) -> Iterable[str]:
    match condition:
        case All(parts) | Any(parts):
            for part in parts:
                yield from _asked(part)
        case Not(part):
            yield from _asked(part)
        case Compare(left=Aggregate(of=inner)):
            yield from _asked(inner) if isinstance(inner, Compare) else (inner,)
        case Compare(left=str(name)):
            yield name
        case _:
            return
