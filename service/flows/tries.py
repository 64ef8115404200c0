"""One try of a delivery: what is sent, what came of it, what follows. Nothing is sent or stored here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

# After the first, second … failed try. Nine tries over 17.7 hours: a receiver may be down for a night, and one that is
# down for longer is told so by its dead letters.
RETRY_AFTER_MS: tuple[int, ...] = (
    5_000,
    30_000,
    120_000,
    600_000,
    1_800_000,
    7_200_000,
    18_000_000,
    36_000_000,
)
TRIES_MAX = len(RETRY_AFTER_MS) + 1
JITTER = 0.2  # a fifth up or down, so that what failed together does not come back together
ASKED_WAIT_MS_MAX = 3_600_000  # a receiver that asks for more than an hour is asked again after one
REST_MS_MIN, REST_MS_MAX = 1_000, 60_000  # how long a failing endpoint is left alone; doubles from the one to the other

GONE = 410  # the receiver says that nobody will ever listen here again
SLOW_DOWN = frozenset({429, 503})  # the two answers that may say when to come back


@dataclass(frozen=True, slots=True)
class Request:
    """One try, ready to be sent as it stands."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one try: a status, or None and the fact that kept it from one. Nothing of the answer's body."""

    status: int | None
    fact: str
    retry_after_ms: int | None = None

    @property
    def taken(self) -> bool:
        """Return whether the receiver has taken the event. A redirect has not: it is not followed."""
        return self.status is not None and 200 <= self.status < 300


Send: TypeAlias = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Done:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try again at this moment."""

    due_at_ms: int


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It becomes a dead letter; `disable` takes the whole endpoint out of service."""

    disable: bool = False


Next: TypeAlias = Done | Again | GivenUp


def next_step(answer: Answer, tries: int, now_ms: int, chance: float) -> Next:
    """Return what follows the `tries`th try. `chance`, from 0 to 1, places the next one within the jitter."""
    if answer.taken:
        return Done()
    if answer.status == GONE:
        return GivenUp(disable=True)
    if tries >= TRIES_MAX:
        return GivenUp()
    wait_ms = int(RETRY_AFTER_MS[tries - 1] * (1 - JITTER + 2 * JITTER * chance))
    return Again(now_ms + max(wait_ms, asked_wait_ms(answer)))


def asked_wait_ms(answer: Answer) -> int:
    """Return how long the receiver asks to be left alone, within the limit; 0 when it does not ask."""
    if answer.status not in SLOW_DOWN or answer.retry_after_ms is None:
        return 0
    return min(max(answer.retry_after_ms, 0), ASKED_WAIT_MS_MAX)


def rest_ms(answer: Answer, failures: int) -> int:
    """Return how long an endpoint that failed `failures` times in a row is left alone with everything it is owed.

    Without the rest, a receiver that hangs would be knocked at by every event that waits for it.
    """
    return max(min(REST_MS_MIN << min(failures - 1, 10), REST_MS_MAX), asked_wait_ms(answer))
