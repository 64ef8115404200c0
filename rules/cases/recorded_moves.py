"""What people and the clock had done to a stored handoff, as the steps of a test case. Pure.

A handoff keeps its claims, and of what lay between two of them only what came of it: where it waits, and until when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rules.decision import Decision
from rules.handoff import Handoff
from rules.model import Queue
from rules.moves import RETURNED_MS
from rules.replay.neutral import Neutral
from rules.routing.route import wanted_in

# When it was put back is not kept where its deadline did not move: then nothing hangs on it, and it is soon after.
SOON_MS = 1_000
_FOREVER_MS = 1 << 62
Step = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Stand:
    """Where a handoff waited when it was claimed, or where it waits at last; None for what is not kept."""

    at_ms: int
    queue: str | None
    expires_at_ms: int | None
    sent: bool = False


def steps_of(
    handoff: Handoff, decisions: Iterable[Decision], queues: Mapping[str, Queue], neutral: Neutral, until_ms: int
) -> Iterable[Step]:
    """Yield the moves made until then, each with its moment; `decisions` are those of the conversation.

    A claim that ended in silence reads as a release: both put the handoff in the same place.
    """
    told = sorted(
        (each for each in decisions if each.handoff_id == handoff.handoff_id), key=lambda each: each.decided_at_ms
    )
    yield from (step for step in _held(handoff, told, queues) if step[0] <= until_ms)
    yield from _ended(handoff, neutral, until_ms)


def _held(handoff: Handoff, told: Sequence[Decision], queues: Mapping[str, Queue]) -> Iterable[Step]:
    """Yield the claims, and how each ended that did not end the handoff."""
    claims = _claims(handoff)
    at_last = _Stand(
        handoff.ended_at_ms or _FOREVER_MS, handoff.queue, handoff.expires_at_ms, handoff.route.kept_as == "sent"
    )
    for claim, after in zip(claims, [*claims[1:], at_last][: len(claims)], strict=True):
        yield claim.at_ms, {"claim": True}
        if after is not at_last or handoff.state in ("waiting", "expired"):
            yield _put_back(handoff, claim, after, told, queues)


def _claims(handoff: Handoff) -> list[_Stand]:
    if not handoff.assignments:
        return [] if handoff.claimed_at_ms is None else [_Stand(handoff.claimed_at_ms, None, None)]
    return [
        _Stand(each.at_ms, wanted_in(each.wanted).queues[0] if each.wanted else None, each.expires_at_ms, sent)
        for each, sent in ((each, each.kept_as == "sent") for each in handoff.assignments)
    ]


def _put_back(
    handoff: Handoff, claim: _Stand, after: _Stand, told: Sequence[Decision], queues: Mapping[str, Queue]
) -> Step:
    """Return how a claim ended after which the handoff waited again: sent on, or put back."""
    between = [each for each in told if claim.at_ms <= each.decided_at_ms < after.at_ms]
    before = claim.queue or next((each.queue for each in reversed(told) if each.decided_at_ms <= claim.at_ms), None)
    # One that was put back and then missed its deadline has moved on by itself, as it does in a case.
    moved = before is not None and after.queue != before and not _moved_by_time(handoff, claim, told)
    first_ms, last_ms = claim.at_ms, after.at_ms
    if moved:
        first_ms = max([first_ms, *(each.decided_at_ms for each in between if each.queue == before)])
        last_ms = min([last_ms, *(each.decided_at_ms for each in between if each.queue == after.queue)])
    onward = moved or after.sent
    there = queues.get(after.queue or "")
    least_ms = there.answer_within_ms if onward and there is not None else RETURNED_MS
    likely_ms = [handoff.route.since_at_ms] if moved and after.queue == handoff.queue else []
    if after.expires_at_ms is not None and claim.expires_at_ms is not None:
        likely_ms += [after.expires_at_ms - least_ms] if after.expires_at_ms > claim.expires_at_ms else []
    next_ms = min([last_ms, *(each.decided_at_ms for each in between if each.decided_at_ms > first_ms)])
    soon_ms = first_ms + min(SOON_MS, (next_ms - first_ms) // 2)
    at_ms = next((at_ms for at_ms in likely_ms if first_ms <= at_ms <= last_ms), soon_ms)
    return at_ms, {"transfer": after.queue} if onward else {"release": True}


def _moved_by_time(handoff: Handoff, claim: _Stand, told: Sequence[Decision]) -> bool:
    """Return whether the handoff's one missed deadline came after this claim."""
    return handoff.rerouted and (not told or told[0].queue == claim.queue)


def _ended(handoff: Handoff, neutral: Neutral, until_ms: int) -> Iterable[Step]:
    """Yield how the handoff ended, if it had by then."""
    ended_at_ms, resolution = handoff.ended_at_ms, handoff.resolution
    if resolution is None or ended_at_ms is None or ended_at_ms > until_ms:
        return
    if resolution.action == "timeout":
        yield ended_at_ms, {"timeout": True}
        return
    handed_back = handoff.state == "handed_back"
    given: dict[str, Any] = {
        "action": None if handed_back else resolution.action,
        "outcome": resolution.outcome,
        "may_retry": resolution.may_retry,
        "facts": neutral.value("facts", resolution.facts) if resolution.facts else None,
        "text": neutral.text(resolution.text) if resolution.text else None,
    }
    said = {key: value for key, value in given.items() if value is not None}
    yield ended_at_ms, {"hand_back" if handed_back else "resolve": said or True}
