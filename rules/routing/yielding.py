"""Which offers end early, so that somebody can be asked for what is far more urgent. Values in, values out."""

from __future__ import annotations

from dataclasses import replace

from rules.handoff import Handoff, deadline
from rules.model import PRIORITIES

# By how much what comes is more urgent. One step more is no reason to take from somebody what they are reading; for a
# promised call nobody waits at this moment, so any is.
STEPS_MIN, STEPS_MIN_CALL = 2, 1


def gives_way(offered: Handoff, to: Handoff) -> bool:
    """Return whether the offer of a handoff that nobody has answered ends, if nobody else is free for another one.

    That one goes before it in any queue, so whoever becomes free is not offered the lesser one again first, and no two
    give way to each other.
    """
    if offered.state != "waiting" or offered.reserved_for is None or offered.route.kept_as != "offer":
        return False
    steps = PRIORITIES.index(to.priority) - PRIORITIES.index(offered.priority)
    needed = STEPS_MIN_CALL if deadline(offered.expires_at_ms) is None else STEPS_MIN
    return steps >= needed and to.score_ms < offered.score_ms


def withdrawn(offered: Handoff) -> tuple[Handoff, str, str]:
    """Return an offered handoff as it waits in its place again, and what to tell.

    Whoever had the offer has not let it go by: it is theirs again once they are free.
    """
    whom = offered.reserved_for or ""
    freed = replace(offered, reserved_for=None, reserved_until_at_ms=None, version=offered.version + 1)
    return freed, "handoff.let_go", whom
