"""A request as it arrives, before anybody knows what it asks: its ids, its bounded body. No route stands here."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from collections.abc import Awaitable, Callable, Generator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from starlette.types import Message, Receive

from service.api.problems import Refused

# A turn at the limit of each of its fields is below; the body is held in memory as often as it is read.
BODY_BYTES_MAX = 1_048_576
# Rule files: 4 MB of text are 10,000 rules, and JSON writes a line's end as two characters.
RULES_BYTES_MAX = 5_242_880
# A phone on a bad line sends a kilobyte in this time; whoever needs longer holds a connection for nothing.
BODY_WAIT_MS_MAX = 10_000
REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
# W3C Trace Context, version 00 and what later ones may append
TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?\Z")
JSON_TYPE = re.compile(rb"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;|\Z)", re.IGNORECASE)

# Reads the body of a request once it is asked for; raises Refused and Gone.
Read: TypeAlias = Callable[[], Awaitable[bytes]]
# request id, and trace id when the caller sent one
Ids: TypeAlias = tuple[str, str | None]

_PROCESS = secrets.token_hex(5)
_NUMBERS = itertools.count(1)


class _Begun:
    """An awaitable whose first step was taken already: goes on from what that step waits for."""

    def __init__(self, steps: Generator[Any, Any, Message], waited_for: Any) -> None:
        self._steps = steps
        self._waited_for = waited_for

    def __await__(self) -> Generator[Any, Any, Message]:
        try:
            yield self._waited_for
        except BaseException:
            self._steps.close()
            raise
        return (yield from self._steps)


class Gone(Exception):
    """The caller hung up before its request was complete; nobody waits for an answer."""


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """Return the caller's own request id when it is a harmless one, a new one otherwise."""
    given = headers.get(b"x-request-id")
    if given is not None and REQUEST_ID.match(given):
        return given.decode("ascii")
    return f"req_{_PROCESS}{next(_NUMBERS):08x}"


def trace_id(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the trace this request belongs to, None when its `traceparent` is missing or not one."""
    given = headers.get(b"traceparent")
    found = TRACEPARENT.match(given) if given is not None else None
    return found.group(1).decode("ascii") if found and found.group(1).strip(b"0") else None


def whole(headers: Mapping[bytes, bytes], body: bytes) -> bytes:
    """Return a body that is there already, or raise Refused."""
    _check_encoding(headers)
    if len(body) > BODY_BYTES_MAX:
        raise _too_large(BODY_BYTES_MAX)
    return body


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """Return the whole body. Raises Refused past the limits of size and time, and Gone."""
    _check_encoding(headers)
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced[:16]) > bytes_max:
        raise _too_large(bytes_max)
    # Nearly every body is there before anybody asks for it. Only one that is not gets a clock, which costs more than
    # taking the first step by hand.
    steps = receive().__await__()
    try:
        waited_for = next(steps)
    except StopIteration as there:
        message: Message = there.value
        if message["type"] == "http.request" and not message.get("more_body", False):
            body: bytes = message.get("body", b"")
        else:
            body = await _in_time(_chunks(message, receive, bytes_max))
    else:
        body = await _in_time(_rest(_Begun(steps, waited_for), receive, bytes_max))
    if len(body) > bytes_max:
        raise _too_large(bytes_max)
    return body


def check_type(headers: Mapping[bytes, bytes]) -> None:
    """Raise Refused unless the body says it is JSON."""
    given = headers.get(b"content-type")
    if given != b"application/json" and (given is None or not JSON_TYPE.match(given)):
        raise Refused("body_type", "the `Content-Type` is not `application/json`")


def _check_encoding(headers: Mapping[bytes, bytes]) -> None:
    if b"content-encoding" in headers and headers[b"content-encoding"].lower() not in (b"", b"identity"):
        raise Refused("body_encoded", "the body is compressed")


async def _in_time(body: Awaitable[bytes]) -> bytes:
    try:
        async with asyncio.timeout(BODY_WAIT_MS_MAX / 1000):
            return await body
    except TimeoutError:
        raise _too_slow() from None


async def _rest(first: _Begun, receive: Receive, bytes_max: int) -> bytes:
    return await _chunks(await first, receive, bytes_max)


async def _chunks(message: Message, receive: Receive, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > bytes_max:
            raise _too_large(bytes_max)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
    raise Gone


# The rest of such a body is not read, and whatever follows on this connection would be taken for it.
_LAST = MappingProxyType({"Connection": "close"})


def _too_large(bytes_max: int) -> Refused:
    return Refused("body_too_large", f"the body is larger than {bytes_max} bytes", headers=_LAST)


def _too_slow() -> Refused:
    return Refused("body_slow", f"the body was not complete after {BODY_WAIT_MS_MAX} ms", headers=_LAST)
