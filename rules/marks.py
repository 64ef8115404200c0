"""The mark by which everything made of a fire drill is known. Nothing else stands here: all who count import it."""

from __future__ import annotations

# An agent may not send it: what is marked is left out of every count, and no agent decides what counts.
DRILL_MARK = "handrail-drill-"
# A drill stands behind everybody who waits: it must not be claimed before a customer, nor change anybody's place. A
# hundred years are later than any deadline, and so the mark of a drill wherever only the urgency is read.
DRILL_BEHIND_MS = 100 * 365 * 86_400_000

# What a flood's group holds stands behind the drills: whoever counts those who wait, or how many are ahead, leaves both
# out with one bound.
GROUPED_BEHIND_MS = 2 * DRILL_BEHIND_MS


def is_drill(conversation_id: str) -> bool:
    """Return whether a conversation is a fire drill's."""
    return conversation_id.startswith(DRILL_MARK)
