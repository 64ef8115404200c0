"""From what happened to a handoff to what is owed to whom: who is told when, again when, and when no longer.

Pure: a telling is only a plan. Whether it still holds is asked of the handoff itself at the moment of sending, so
nothing has to be called off: whatever takes a handoff out of the wait ends what is owed for it in the same step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from rules.handoff import OPEN, Handoff, is_member
from rules.telling.notices import OCCASIONS, PAGE, Quiet, quiet_until_ms

# In quiet hours what is held back is looked at this often: a handoff that becomes urgent meanwhile breaks through.
HELD_LOOK_MS = 60_000
# What is told once is given up when no channel took it for so long: nobody can do anything about it any more.
ONCE_KEPT_MS = 86_400_000
TEST = "test"


@dataclass(frozen=True, slots=True)
class Happened:
    """One change of a handoff, as the outbox tells it; `version` is the handoff's after it."""

    event_id: str
    kind: str
    version: int
    at_ms: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Telling:
    """What a channel is owed: one occasion of one handoff, until it is acknowledged or over.

    `since_at_ms` and `version` are the handoff's when it came up: a handoff that has moved on owes nothing for before.
    `lag_ms`: how much later than the first tier this one is told, after quiet hours too. `times` counts the messages,
    `held` that quiet hours kept it back, until `not_before_ms`. `line` names the line of `notify` in this queue: what
    is told again under it, the latest occasion alone, takes it as its `telling_id`.
    """

    telling_id: str
    channel: str
    handoff_id: str
    occasion: str
    at_ms: int
    version: int
    since_at_ms: int
    lag_ms: int = 0
    repeat_ms: int | None = None
    quiet: Quiet | None = None
    times: int = 0
    held: bool = False
    not_before_ms: int = 0
    line: str = ""


@dataclass(frozen=True, slots=True)
class Over:
    """It is owed no more."""


@dataclass(frozen=True, slots=True)
class Held:
    """Not now: look again at `due_at_ms`."""

    telling: Telling
    due_at_ms: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Now. `after` is what is owed once it was told, and when; None when that was all."""

    after: tuple[Telling, int] | None


Next: TypeAlias = Over | Held | Tell


def begun(handoff: Handoff, happened: Happened) -> tuple[tuple[Telling, int], ...]:
    """Return what a change makes owed, each with the moment at which it is due.

    Of a flood's group people are told once, of the one that stands for it.
    """
    if is_member(handoff) or (handoff.leads and happened.kind == "handoff.opened"):
        return ()
    if happened.kind == "handoff.widened" and happened.detail:
        page = _telling(handoff, happened, f"{happened.event_id}.page", happened.detail, PAGE)
        return ((page, happened.at_ms),) if _is_of_this_wait(handoff, happened) else ()
    occasion = next((name for name, each in OCCASIONS.items() if happened.kind in each.events), None)
    if occasion is None or not _is_of_this_wait(handoff, happened):
        return ()
    once = occasion == "expired"
    owed: list[tuple[Telling, int]] = []
    for place, notice in enumerate(handoff.route.notices):
        if occasion not in notice.on:
            continue
        due_at_ms = happened.at_ms + notice.after_ms
        first = replace(
            _telling(handoff, happened, f"{happened.event_id}.{place}", notice.channel, occasion),
            repeat_ms=None if once else notice.repeat_ms,
            quiet=notice.quiet,
            line=f"{handoff.handoff_id}.{handoff.route.since_at_ms}.{place}",
        )
        owed.append((first, due_at_ms))
        if notice.then is not None and not once:
            told_at_ms = _quiet_until_ms(first, handoff, notice.quiet, due_at_ms) or due_at_ms
            second = replace(
                first,
                telling_id=f"{first.telling_id}.then",
                line=f"{first.line}.then",
                channel=notice.then.channel,
                lag_ms=notice.then.after_ms,
                not_before_ms=told_at_ms + notice.then.after_ms,
            )
            owed.append((second, due_at_ms + notice.then.after_ms))
    return tuple(owed)


def is_owed(telling: Telling, handoff: Handoff | None) -> bool:
    """Return whether the handoff still is what the telling is about, and nobody has come or said that they will."""
    if telling.occasion == TEST:
        return True
    if handoff is None:
        return False
    if telling.occasion == "expired":
        return True
    if handoff.state not in OPEN or handoff.answered_version > telling.version:
        return False
    if telling.occasion == PAGE or OCCASIONS[telling.occasion].waits:
        same_wait = handoff.route.since_at_ms == telling.since_at_ms
        return handoff.state == "waiting" and same_wait and handoff.acknowledged_by is None
    return True


def next_of(telling: Telling, handoff: Handoff | None, channel_quiet: Quiet | None, now_ms: int) -> Next:
    """Return what becomes of a telling that is due now."""
    if not is_owed(telling, handoff):
        return Over()
    held_until_ms = max(
        _quiet_until_ms(telling, handoff, telling.quiet, now_ms),
        _quiet_until_ms(telling, handoff, channel_quiet, now_ms),
    )
    if held_until_ms:
        not_before_ms = held_until_ms + telling.lag_ms
        kept = replace(telling, held=True, not_before_ms=not_before_ms)
        return Held(kept, min(not_before_ms, now_ms + HELD_LOOK_MS))
    if telling.not_before_ms > now_ms and not _breaks_through(handoff):
        # The quiet hours are over, and the first tier has been told just now: the second waits its turn again.
        return Held(telling, min(telling.not_before_ms, now_ms + HELD_LOOK_MS))
    if telling.repeat_ms is None:
        return Tell(None)
    # Under the name of its line: one handoff is told again once in `repeat_ms`, however many occasions it had.
    name = telling.line or telling.telling_id
    again = replace(telling, telling_id=name, times=telling.times + 1, held=False, not_before_ms=0)
    return Tell((again, now_ms + telling.repeat_ms))


def _quiet_until_ms(telling: Telling, handoff: Handoff | None, quiet: Quiet | None, now_ms: int) -> int:
    """Return until when these hours hold the telling back, 0 when they do not."""
    if quiet is None or telling.occasion == TEST or (_breaks_through(handoff) and not quiet.urgent_too):
        return 0
    return quiet_until_ms(quiet, now_ms) or 0


def _breaks_through(handoff: Handoff | None) -> bool:
    return handoff is not None and (handoff.priority == "urgent" or is_regulated(handoff))


def is_regulated(handoff: Handoff) -> bool:
    """Return whether a law or rule asks for the person."""
    return any(reason.regulated for reason in handoff.reasons)


def _is_of_this_wait(handoff: Handoff, happened: Happened) -> bool:
    """Return whether the handoff is still where the change left it, and the change has begun something to tell."""
    since_at_ms = handoff.route.since_at_ms
    if happened.kind == "handoff.joined":
        # Another reason is told only where it moved the handoff: to a stronger kind, or to a more urgent queue.
        return any(reason.version == happened.version and reason.at_ms == since_at_ms for reason in handoff.reasons[1:])
    if happened.kind == "handoff.opened":
        return handoff.reasons[0].at_ms == since_at_ms
    return happened.at_ms >= since_at_ms


def _telling(handoff: Handoff, happened: Happened, telling_id: str, channel: str, occasion: str) -> Telling:
    return Telling(
        telling_id,
        channel,
        handoff.handoff_id,
        occasion,
        happened.at_ms,
        happened.version,
        handoff.route.since_at_ms,
    )
