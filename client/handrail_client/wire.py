"""What both clients need to speak HTTP: options, headers, time-outs, names of failures. Nothing is sent here."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast, get_args

import httpcore
import httpx

from handrail_client.calls import ANSWER_BYTES_MAX, Answer, Call
from handrail_client.exchange import Budget, Failure, OnUnreachable
from handrail_client.turn import Turn, TurnFields

URL = "http://127.0.0.1:8321"  # where `make run` listens
BUDGET_MS = 2_000  # a person who chats notices more than two seconds
TRY_MS = 1_000  # leaves room for a second try
OPERATOR_BUDGET_MS = 10_000  # a person who works a queue would rather wait than press the button again
KEY_CHARACTERS = frozenset(string.ascii_letters + string.digits + string.punctuation)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Options:
    """What a client was told when it was made; the key is kept by the HTTP client alone."""

    url: str
    budget_ms: float
    try_ms: float
    on_unreachable: OnUnreachable
    unreachable_say: str | None

    def budget(self, total_ms: float | None) -> Budget:
        """Return the budget of one question, with this call's own total if it has one."""
        return Budget(self.budget_ms if total_ms is None else total_ms, self.try_ms, chance=random.random)

    def declared(self, on_unreachable: str | None) -> OnUnreachable:
        """Return what a call declares, or what its client does; ValueError when it is none of the three."""
        return self.on_unreachable if on_unreachable is None else checked_unreachable(on_unreachable)

    def operator_budget(self) -> Budget:
        """Return the budget of one move, which may use all of it in one try."""
        return Budget(OPERATOR_BUDGET_MS, OPERATOR_BUDGET_MS, chance=random.random)


def checked_unreachable(declared: str) -> OnUnreachable:
    """Return what is to be answered without a service; ValueError when it is unknown.

    It often comes from a file or the environment, and a misspelt one must not let a turn out.
    """
    known = get_args(OnUnreachable)
    if declared not in known:
        raise ValueError(f"on_unreachable is one of {', '.join(f'`{each}`' for each in known)}, not `{declared}`")
    return cast(OnUnreachable, declared)


def checked_url(url: str) -> str:
    """Return the address without a closing slash; ValueError when it is none, or carries a password into logs."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("the address cannot be read as one") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("the address must start with http:// or https:// and name a host")
    if parsed.userinfo:
        raise ValueError("the address must not carry a name or password: give the key as `key`")
    return str(parsed).rstrip("/")


def headers_of(key: str | None) -> dict[str, str]:
    """Return the headers of every request. A key that HTTP cannot carry is refused without being named."""
    headers = {
        "content-type": "application/json",
        "accept": "application/json",
        # A few kilobytes of zipped zeros are a gigabyte of them, and a gigabyte is no answer in time.
        "accept-encoding": "identity",
        "user-agent": "handrail-client",
    }
    if key is not None:
        if not key or not KEY_CHARACTERS.issuperset(key):
            raise ValueError("the key is empty or holds characters that no key has (a space, a line end)")
        headers["authorization"] = f"Bearer {key}"
    return headers


def through_proxy(url: str) -> bool:
    """Return whether the proxies of the environment may be used: never for the machine itself."""
    return httpx.URL(url).host not in LOOPBACK


def turn_of(turn: Turn | None, fields: TurnFields) -> Turn:
    """Return the turn that was given whole or in keyword arguments."""
    if turn is None:
        return Turn.model_validate(fields)
    if fields:
        raise TypeError("give a Turn or its fields, not both: " + ", ".join(sorted(fields)))
    return turn


class Deadline(dict[str, float]):
    """Time-outs of one try for httpx: each phase (connect, write, read) may take what is left, not the whole again."""

    def __init__(self, timeout_ms: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ends_at = clock() + timeout_ms / 1000
        self._clock = clock
        super().__init__(dict.fromkeys(("connect", "read", "write", "pool"), timeout_ms / 1000))

    def left_s(self) -> float:
        """Return the seconds that are left, never quite zero, which sockets would take for `do not wait`."""
        return max(0.001, self._ends_at - self._clock())

    def passed(self) -> bool:
        """Return whether the time is up."""
        return self._clock() >= self._ends_at

    def get(self, key: str, default: object = None) -> float:
        """Return the seconds that are left, whatever the phase."""
        return self.left_s()


class Body:
    """An answer as it comes in: stops at a size that Handrail never sends, at the deadline, and at what is zipped."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._status = 0
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._size = 0

    def begin(self, response: httpx.Response) -> Failure | None:
        """Take the head in; return why the rest must not be read, or None."""
        self._status = response.status_code
        self._headers = {name.lower(): value for name, value in response.headers.items()}
        encoded = self._headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
        return Failure("the answer is compressed") if encoded else None

    def add(self, part: bytes) -> Failure | None:
        """Take a part in; return why reading must stop, or None."""
        self._parts.append(part)
        self._size += len(part)
        if self._size > ANSWER_BYTES_MAX:
            return self._failed("the answer is too long")
        return self._failed("time-out") if self._deadline.passed() else None

    def answer(self) -> Answer:
        """Return the whole answer."""
        return Answer(self._status, self._headers, b"".join(self._parts))

    def broken_off(self, error: Exception) -> Failure:
        """Return what went wrong by its kind alone: the words of httpx and httpcore may name addresses."""
        late = isinstance(error, (httpx.TimeoutException, httpcore.TimeoutException, TimeoutError))
        return self._failed("time-out" if late else type(error).__name__)

    def _failed(self, because: str) -> Failure:
        return Failure(because, self.answer() if 200 <= self._status < 300 and self._parts else None)


def request_of(
    http: httpx.Client | httpx.AsyncClient, url: str, call: Call[object], deadline: Deadline
) -> httpx.Request:
    """Return the request for a call, ready to be sent."""
    return http.build_request(
        call.method,
        url + call.path,
        content=call.body,
        params=dict(call.params) or None,
        headers=dict(call.headers),
        extensions={"timeout": deadline},
    )
