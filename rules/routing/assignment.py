"""Why an operator got a handoff, and why then, in a sentence that a colleague understands."""

from __future__ import annotations

from rules.evaluation.wording import span_text
from rules.handoff import Assignment, Handoff, deadline
from rules.routing.route import wanted_in

SECOND_MS = 1_000  # nobody reads the milliseconds of a wait


def why(handoff: Handoff, assignment: Assignment) -> str:
    """Return the sentence of one assignment, from what held at its moment."""
    parts = [_how(assignment), f"it had waited {_whole(max(0, assignment.at_ms - handoff.opened_at_ms))}"]
    left_ms = assignment.expires_at_ms - assignment.at_ms
    if deadline(assignment.expires_at_ms) is not None:
        parts.append(f"{_whole(left_ms)} before its deadline" if left_ms > 0 else "past its deadline")
    parts.append(f"priority {assignment.priority}")
    if assignment.wanted:
        wanted = wanted_in(assignment.wanted)
        needs = [need.skill if need.level == 1 else f"{need.skill} {need.level}" for need in wanted.needs]
        asked = [*needs, *(f"someone who speaks {tag}" for tag in wanted.languages)]
        parts.append(f"it needed {' and '.join(asked)}" if asked else "it needed no special skill")
    if assignment.capacity is not None:
        parts.append(f"{assignment.operator} had {assignment.load} of {assignment.capacity} in hand")
    return "; ".join(parts)


def _whole(span_ms: int) -> str:
    return span_text(span_ms - span_ms % SECOND_MS)


def _how(assignment: Assignment) -> str:
    who = assignment.operator
    if assignment.kept_as == "offer":
        return f"it was offered to {who}, the freest who could take it"
    if assignment.kept_as == "customer":
        return f"it was kept for {who}, who knows the customer"
    if assignment.kept_as == "sent":
        return f"{assignment.sent_by or 'a colleague'} sent it to {who}"
    if assignment.how == "named":
        return f"{who} chose it by name"
    kinds = "" if assignment.classes < 2 else f" in {assignment.classes} kinds of handoffs"
    return f"the most urgent of all that {who} could take{kinds}"
