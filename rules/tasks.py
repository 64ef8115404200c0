"""What each handoff asks of a person, and what it takes for an answer: one table for packets, moves and consoles.

Which moves its state allows is in `rules.handoff`. Nothing is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rules.handoff import Action, Handoff, draft_reason

TaskName: TypeAlias = Literal["review", "call", "hold", "escalate", "draft"]


@dataclass(frozen=True, slots=True)
class Asks:
    """One kind of work. `named` is what it is called where an answer is refused.

    `actions` are what ends it, `hand_back` among them, `also` what does so without being offered. `replies`: whether
    what is said meanwhile is passed on, at the latest with the answer to the customer's next turn.
    """

    named: str
    sentence: str
    actions: tuple[Action, ...]
    replies: bool = True
    also: tuple[Action, ...] = ()

    def takes(self, action: Action) -> bool:
        """Return whether the action ends it."""
        return action in self.actions or action in self.also


_TAKE = "the customer waits for you; reply, then resolve or hand the conversation back to the agent"

TASKS: Mapping[TaskName, Asks] = {
    "review": Asks(
        "a review",
        "the agent went on; read what it did and say whether a person was needed",
        ("approve", "reject", "answer", "take_over", "hand_back"),
    ),
    # Whoever was promised a call has left: words reach nobody, nothing was held back, and a call keeps the promise.
    "call": Asks(
        "a promised call",
        "call the customer back: promised {promised}; then resolve it with how it went",
        ("take_over", "reject", "hand_back"),
        replies=False,
    ),
    # Also where nothing was drafted the agent waits to be told whether it may go on.
    "hold": Asks(
        "a hold",
        "the agent waits with the draft below; approve it, edit it or reject it",
        ("approve", "edit", "reject", "answer", "take_over", "hand_back"),
    ),
    # An approval of nothing says that the agent may go on as it would, and an edit what it is to say: whoever writes a
    # program for escalations need not ask first whether there is a draft.
    "escalate": Asks(
        "an escalation without a draft",
        _TAKE,
        ("answer", "take_over", "reject", "hand_back"),
        also=("approve", "edit"),
    ),
    "draft": Asks(
        "an escalation with a draft",
        _TAKE,
        ("answer", "take_over", "approve", "edit", "reject", "hand_back"),
    ),
}
# Where the customer is spoken to otherwise, and was promised a call as well.
CALL_BESIDES = "; besides, the customer was promised a call {promised}"


def task_of(handoff: Handoff, version: int | None = None) -> TaskName:
    """Return what is asked of whoever knows the handoff as it was at a version, at the present one for None."""
    if handoff.kind == "review":
        return "review" if handoff.call is None else "call"
    if handoff.kind == "hold":
        return "hold"
    held = draft_reason(handoff, version)
    return "escalate" if held is None or held.bare else "draft"
