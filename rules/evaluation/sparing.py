"""A turn judged without the rules that decide nothing in it, where one of them raises: it is told, and fails no turn.

What raises among the rules that do decide is raised: nobody may take their silence for a `continue`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rules.evaluation import signals
from rules.evaluation.asked import asked_signals
from rules.evaluation.clauses import without_not
from rules.evaluation.evaluate import Ruleset, evaluate, is_live
from rules.evaluation.facts import Probes
from rules.evaluation.index import index_of
from rules.turn import Conversation, Turn

# Of one ruleset: which rules decide differs from conversation to conversation only with the rules in a rollout.
SPARED_KEPT_MAX = 8
# Finding out which rule raises takes as long as compiling those that are asked; the first few faults tell enough.
BLAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Raised:
    """What was raised by rules that decide nothing in a conversation; none is named where it is not known which."""

    error: Exception
    rule_ids: tuple[str, ...]


def spared(ruleset: Ruleset, conversation_id: str) -> Ruleset | None:
    """Return the rules without those that decide nothing in this conversation, None when all of them do."""
    rules = ruleset.files.rules
    live = tuple(number for number, rule in enumerate(rules) if is_live(rule, conversation_id))
    if len(live) == len(rules):
        return None
    kept = ruleset.spares.rulesets
    if live not in kept:
        if len(kept) >= SPARED_KEPT_MAX:
            kept.clear()
        kept[live] = only(ruleset, live)
    return kept[live]


def blamed(ruleset: Ruleset, turn: Turn, conversation: Conversation, now_ms: int) -> tuple[str, ...]:
    """Return which rules that decide nothing in this conversation raise; none after the first faults of a ruleset."""
    spares = ruleset.spares
    spares.blamed += 1
    if spares.blamed > BLAMED_MAX:
        return ()
    rules = ruleset.files.rules
    asked = [number for number, rule in enumerate(rules) if not is_live(rule, turn.conversation_id)]
    return tuple(rules[number].id for number in asked if raises(only(ruleset, [number]), turn, conversation, now_ms))


def raises(ruleset: Ruleset, turn: Turn, conversation: Conversation, now_ms: int) -> bool:
    """Return whether the rules cannot judge a turn."""
    try:
        evaluate(ruleset, turn, conversation, now_ms)
    except Exception:
        return True
    return False


def only(ruleset: Ruleset, numbers: Sequence[int]) -> Ruleset:
    """Return a ruleset with these of the rules alone, under the same name; what all rest on stays what it is."""
    rules = tuple(ruleset.files.rules[number] for number in numbers)
    return replace(
        ruleset,
        files=replace(ruleset.files, rules=rules),
        index=index_of([without_not(rule.when) for rule in rules], Probes()),
        measures=tuple(ruleset.measures[number] for number in numbers),
        reading=signals.reading_of(ruleset.files, asked_signals(rules)),
    )
