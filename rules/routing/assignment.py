"""Why this operator got this handoff, and why then, in a sentence that a colleague understands."""

from __future__ import annotations

from rules.evaluation.wording import span_text
from rules.handoff import Assignment, Handoff


def why(handoff: Handoff) -> str | None:
    """Return the sentence of the last assignment, None when nobody has had the handoff."""
    assignment = handoff.assignment
    if assignment is None:
        return None
    parts = [_how(assignment), f"it had waited {span_text(max(0, assignment.at_ms - handoff.opened_at_ms))}"]
    left_ms = handoff.expires_at_ms - assignment.at_ms
    parts.append(f"{span_text(left_ms)} before its deadline" if left_ms > 0 else "past its deadline")
    parts.append(f"priority {handoff.priority}")
    needs = [need.skill if need.level == 1 else f"{need.skill} {need.level}" for need in handoff.route.needs]
    asked = [*needs, *(f"someone who speaks {tag}" for tag in handoff.route.languages)]
    parts.append(f"it needed {' and '.join(asked)}" if asked else "it needed no special skill")
    if assignment.capacity is not None:
        parts.append(f"{assignment.operator} had {assignment.load} of {assignment.capacity} in hand")
    return "; ".join(parts)


def _how(assignment: Assignment) -> str:
    who = assignment.operator
    if assignment.how == "named":
        return f"{who} chose it by name"
    if assignment.how == "offered":
        return f"it was kept for {who}, who took it"
    kinds = "" if assignment.classes < 2 else f" in {assignment.classes} kinds of handoffs"
    return f"the most urgent of all that {who} could take{kinds}"
