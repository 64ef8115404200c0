"""What a step of a queue's ladder made of a handoff that waited: a value for events, answers and messages, no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rules.model import Need, Priority

TAG_CHARS_MAX = 8  # of a language in BCP 47


@dataclass(frozen=True, slots=True)
class Widening:
    """One step that has acted, due at `at_ms`; `after_ms` is the `after` by which the rule file names it.

    What the step left as it was is None or empty. `needs_before` and `needs` are all that an operator needed until
    then, and needs since; `queues` are those that were added, `languages_dropped` those that no longer count, `paged`
    is the channel that was told.
    """

    at_ms: int
    after_ms: int
    needs_before: tuple[Need, ...] | None = None
    needs: tuple[Need, ...] | None = None
    queues: tuple[str, ...] = ()
    languages_dropped: tuple[str, ...] = ()
    priority_before: Priority | None = None
    priority: Priority | None = None
    paged: str | None = None


def told(widening: Widening) -> dict[str, object]:
    """Return what widened as programs are told it: in an event, and of a handoff."""
    changed = widening.needs is not None
    raised = widening.priority is not None
    return {
        "at_ms": widening.at_ms,
        "after_ms": widening.after_ms,
        "needs": {"before": levels(widening.needs_before), "now": levels(widening.needs)} if changed else None,
        "queues_added": list(widening.queues),
        "languages_dropped": [each for each in widening.languages_dropped if _is_language(each)],
        "priority": {"before": widening.priority_before, "now": widening.priority} if raised else None,
        "paged": widening.paged,
    }


def _is_language(text: str) -> bool:
    """Return whether it is a language's tag: what an agent sends as the locale may be anything."""
    return text.isascii() and text.isalpha() and len(text) <= TAG_CHARS_MAX


def levels(needs: Sequence[Need] | None) -> Mapping[str, int]:
    """Return each skill with the level that is needed of it, as rule files write it."""
    return {need.skill: need.level for need in needs or ()}
