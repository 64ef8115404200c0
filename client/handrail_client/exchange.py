"""How a call is carried through, without I/O: tries, pauses, time budget, declared answers, waiting for a person.

Each function here is a generator that yields what is to be done next (`Send`, `Pause`) and is sent what came of it,
so that the sync and the async client share every decision and differ only in how they send and sleep.
"""

from __future__ import annotations

import email.utils
import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, TypeVar

from handrail_client.answers import Decision, Handoff, Resolution
from handrail_client.calls import Answer, Call, Nonsense, handoff, problem_of, should_escalate
from handrail_client.problems import HandrailUnreachable
from handrail_client.turn import Turn

T = TypeVar("T")
OnUnreachable: TypeAlias = Literal["continue", "stop", "raise"]

TRIES_MAX = 5  # with pauses that double this outlasts a restart; more would only add load to a service in trouble
PAUSE_MS = 50  # the first pause is at most this long: a lost connection is usually there again at once
PAUSE_MS_MAX = 2_000
TRY_MS_MIN = 25  # with less time left a try would only replace the real reason with a time-out
POLL_MS = 25_000  # one long poll; below the 30 to 60 s after which proxies cut idle connections
POLL_GRACE_MS = 2_000  # the service may answer a long poll this much after its time
POLL_PAUSE_MS = 500  # where a poll came back at once with nothing new, so that waiting never becomes a busy loop
RETRIED = frozenset({429, 502, 503, 504})
RETRIED_CODES = frozenset({"conversation_busy"})  # several turns of one conversation at once: each gets its turn
log = logging.getLogger("handrail_client")


@dataclass(frozen=True, slots=True)
class Send:
    """Send the call; give an Answer or a Failure back within `timeout_ms`."""

    call: Call[Any]
    timeout_ms: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    ms: float


@dataclass(frozen=True, slots=True)
class Failure:
    """No whole answer came. `because` names the kind of failure only: no address, no key, no text.

    `part` is what came of a 2xx answer before it broke off.
    """

    because: str
    part: Answer | None = None


Steps: TypeAlias = Generator[Send | Pause, Answer | Failure | None, T]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a call may take in all and per try, and where time and chance come from (replaced in tests)."""

    total_ms: float
    try_ms: float
    tries_max: int = TRIES_MAX
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = lambda: 1.0


def carry_through(call: Call[T], budget: Budget) -> Steps[tuple[T, int]]:
    """Send the call until a usable answer comes or the budget is spent; return its value and the number of tries.

    Raises HandrailProblem for what the service refuses, HandrailUnreachable when no usable answer came in time.
    """
    ends_at = budget.clock() + budget.total_ms / 1000
    tries = 0
    while True:
        tries += 1
        left_ms = (ends_at - budget.clock()) * 1000
        came = yield Send(call, max(1.0, min(budget.try_ms, left_ms)))
        because, asked_ms = "", 0.0
        if isinstance(came, Failure):
            because = came.because
            if came.part is not None and (value := call.read_part(came.part)) is not None:
                return value, tries
        elif isinstance(came, Answer):
            if 200 <= came.status < 300:
                try:
                    return call.read(came), tries
                except Nonsense as error:
                    because = str(error)
            else:
                because = _refusal(came, tries)
                asked_ms = retry_after_ms(came.headers.get("retry-after"), datetime.now(UTC))
        pause_ms = max(asked_ms, pause_before(tries, budget.chance()))
        if tries >= budget.tries_max or budget.clock() + (pause_ms + TRY_MS_MIN) / 1000 >= ends_at:
            raise HandrailUnreachable(because, tries)
        yield Pause(pause_ms)


def decide(turn: Turn, budget: Budget, on_unreachable: OnUnreachable, say: str | None) -> Steps[Decision]:
    """Return the service's decision on the turn, or the declared one when there is none."""
    try:
        decision, tries = yield from carry_through(should_escalate(turn), budget)
    except HandrailUnreachable as gone:
        if on_unreachable == "raise":
            raise
        log.warning(
            "handrail is unreachable after %d tries (%s): answering `%s`", gone.tries, gone.because, on_unreachable
        )
        return declared(turn, on_unreachable, say, gone)
    return decision.model_copy(update={"tries": tries})


def declared(turn: Turn, on_unreachable: OnUnreachable, say: str | None, gone: HandrailUnreachable) -> Decision:
    """Return the answer that the agent's owner declared for the case that the service cannot be asked."""
    stop = on_unreachable != "continue"
    return Decision(
        verdict="hold" if stop else "continue",
        must_stop=stop,
        conversation_id=turn.conversation_id,
        turn_id=turn.turn_id,
        say=say if stop else None,
        degraded=True,
        reachable=False,
        because=gone.because,
        tries=gone.tries,
    )


def fetch(call: Call[T], budget: Budget) -> Steps[T]:
    """Return the value of a call; see `carry_through` for what is raised."""
    value, _ = yield from carry_through(call, budget)
    return value


def wait_for(handoff_id: str, timeout_ms: float, budget: Budget) -> Steps[Resolution | None]:
    """Poll until the handoff has ended and return how; None when it has not by then. See `until` for what is raised."""
    seen = yield from until(handoff_id, None, lambda handoff: handoff.ended, timeout_ms, budget)
    return _resolution(seen) if seen.ended else None


def changed(handoff_id: str, version: int, timeout_ms: float, budget: Budget) -> Steps[Handoff]:
    """Poll until the handoff's version is another one and return it, or as it is when the time is up."""

    def done(seen: Handoff) -> bool:
        return seen.ended or seen.version != version

    return (yield from until(handoff_id, version, done, timeout_ms, budget))


def until(
    handoff_id: str, version: int | None, done: Callable[[Handoff], bool], timeout_ms: float, budget: Budget
) -> Steps[Handoff]:
    """Poll until `done` and return the handoff, as it was last seen when that is not by then.

    A service that is away for a while is waited for as well. HandrailUnreachable is raised only when it was still
    away at the end; HandrailProblem when the service does not know the handoff.
    """
    ends_at = budget.clock() + timeout_ms / 1000
    misses = 0
    seen: Handoff
    gone: HandrailUnreachable | None = None
    while True:
        left_ms = max(0.0, (ends_at - budget.clock()) * 1000)
        poll_ms = int(min(POLL_MS, left_ms))
        asked_at = budget.clock()
        once = replace(budget, total_ms=poll_ms + POLL_GRACE_MS, try_ms=poll_ms + POLL_GRACE_MS, tries_max=1)
        pause_ms: float = 0
        try:
            seen = yield from fetch(handoff(handoff_id, poll_ms, version), once)
        except HandrailUnreachable as error:
            gone, misses = error, misses + 1
            pause_ms = pause_before(misses, budget.chance())
        else:
            gone, misses = None, 0
            if done(seen):
                return seen
            if seen.version == version and budget.clock() - asked_at < POLL_PAUSE_MS / 1000:
                pause_ms = POLL_PAUSE_MS
            version = seen.version
        left_ms = (ends_at - budget.clock()) * 1000
        if left_ms <= 0:
            if gone is not None:
                raise gone
            return seen
        if pause_ms:
            yield Pause(min(pause_ms, left_ms))


def pause_before(tries: int, chance: float) -> float:
    """Return the pause after so many failed tries in ms: it doubles, and half of it is chance so that agents spread."""
    longest = min(PAUSE_MS_MAX, PAUSE_MS * 2.0 ** min(tries - 1, 10))
    return longest * (0.5 + 0.5 * chance)


def retry_after_ms(header: str | None, now: datetime) -> float:
    """Return what a Retry-After header asks for in ms, from seconds or from a date; 0.0 when it asks for nothing."""
    if header is None:
        return 0.0
    try:
        return max(0.0, float(header) * 1000)
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(header)
    except (ValueError, TypeError):
        return 0.0
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds() * 1000)


def _refusal(answer: Answer, tries: int) -> str:
    """Return why to try again after an answer that is no success; raise when trying again would not help."""
    problem = problem_of(answer)
    because = f"the service answered {answer.status}" + (f" ({problem.code})" if problem else "")
    if answer.status in RETRIED or (problem is not None and problem.code in RETRIED_CODES):
        return because
    if problem is not None and 400 <= answer.status < 500:
        raise problem
    # A 500, a proxy's page or a redirect, which is never followed: it could carry the key elsewhere.
    raise HandrailUnreachable(because, tries)


def _resolution(ended: Handoff) -> Resolution:
    if ended.resolution is not None:
        return ended.resolution
    return Resolution(action="hand_back" if ended.state == "handed_back" else "timeout")
