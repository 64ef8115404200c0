"""What is answered of the steps of a ladder that have widened a handoff, and the schema of it."""

from __future__ import annotations

from rules.handoff import Handoff
from rules.model import Priority
from rules.routing.widening import told
from service.api.decision_answers import Shape


class NeedsChange(Shape):
    """The skills that an operator had to have before the step, and since, each with its level."""

    before: dict[str, int]
    now: dict[str, int]


class PriorityChange(Shape):
    """The priority before the step, and since."""

    before: Priority
    now: Priority


class WidenedAnswer(Shape):
    """A step of the queue's ladder that has acted, due at `at_ms`; `after_ms` is its `after` in the rule file.

    What the step left as it was is null or empty. `languages_dropped`: no operator has to speak these any more;
    `paged`: the channel that it told.
    """

    at_ms: int
    after_ms: int
    needs: NeedsChange | None
    queues_added: list[str]
    languages_dropped: list[str]
    priority: PriorityChange | None
    paged: str | None


def widened_answer(handoff: Handoff) -> list[dict[str, object]]:
    """Return the steps that have acted since the handoff came into its queue, in their order."""
    return [told(widening) for widening in handoff.route.widened]
