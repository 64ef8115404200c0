"""Which handoffs are alike, and what becomes of those of a flood: values in, values out. Nothing is counted here.

A flood is what one customer, one agent or a whole tenant sends for one rule into one queue, faster than the queue's
`flood` allows. From then on one stands for all in the queue, and the others are its members: each keeps its own
record, deadline and promise, and is answered by itself or together with the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rules.evaluation.evaluate import Evaluation, Ruleset
from rules.handoff import Handoff
from rules.marks import is_drill
from rules.model import FloodBy, FloodLimit
from rules.routing.route import Likeness
from rules.routing.routing import score_ms
from rules.routing.shedding import is_regulated
from rules.turn import Turn


@dataclass(frozen=True, slots=True)
class Guard:
    """One limit that a handoff which opens counts towards, and the group that it goes into past it."""

    limit: FloodLimit
    group: Likeness


def guards(ruleset: Ruleset, evaluation: Evaluation, turn: Turn, handoff: Handoff) -> tuple[Guard, ...]:
    """Return what an opening handoff is counted towards, the narrowest first; nothing where it is never grouped.

    As with shedding that is what is urgent, and whatever a law or rule asks a person for.
    """
    limits = ruleset.files.queues[handoff.queue].flood
    if not limits or handoff.priority == "urgent" or is_drill(turn.conversation_id):
        return ()
    if is_regulated(ruleset, evaluation):
        return ()
    whose: dict[FloodBy, str | None] = {"customer": turn.customer.id, "agent": turn.agent.id, "tenant": ""}
    rule_id = handoff.reasons[0].rule_ids[0]
    return tuple(
        Guard(limit, Likeness(limit.by, who, rule_id)) for limit in limits if (who := whose[limit.by]) is not None
    )


def grouped(handoff: Handoff, group: Likeness) -> Handoff:
    """Return the handoff as a member of a group. It is kept for nobody, and what a wait was told of is not its wait."""
    return replace(handoff, group=group, leads=False, reserved_for=None, reserved_until_at_ms=None, told=None)


def leading(handoff: Handoff, group: Likeness) -> Handoff:
    """Return the handoff that has just opened as the one that stands for its group."""
    return replace(handoff, group=group, leads=True)


def promoted(handoff: Handoff, now_ms: int) -> Handoff:
    """Return the member that stands for its group from now on, as the one before it has gone.

    It waits like one that has just come: everybody who waits by now goes before a second one of the same flood.
    """
    later = max(handoff.score_ms, score_ms(now_ms, handoff.priority))
    return replace(handoff, leads=True, score_ms=later, version=handoff.version + 1)


def ungrouped(handoff: Handoff) -> Handoff:
    """Return the handoff as one of its own again, as urgent as it has become."""
    return replace(handoff, group=None, leads=False, version=handoff.version + 1)
