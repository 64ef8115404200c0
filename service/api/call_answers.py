"""What is answered of a call that a customer was promised, and the schema of it."""

from __future__ import annotations

from rules.handoff import Handoff
from service.api.decision_answers import Shape


class CallAnswer(Shape):
    """A call that the customer was promised and that nobody has made yet: when, and in which words.

    `after` is the handoff that ended before this one with the call still owed, null where a busy queue promised it.
    `customer_id` is the customer's as the agent named it, null where it named none. The call must be made by
    `due_at_ms`, null where the rule files do not say.
    """

    promised_at_ms: int
    say: str | None
    after: str | None
    customer_id: str | None
    due_at_ms: int | None


def call_answer(handoff: Handoff) -> dict[str, object] | None:
    """Return the call that a handoff's customer was promised, None for none."""
    call = handoff.call
    if call is None:
        return None
    return {
        "promised_at_ms": call.promised_at_ms,
        "say": call.say,
        "after": call.after,
        "customer_id": handoff.customer_id,
        "due_at_ms": call.due_at_ms,
    }
