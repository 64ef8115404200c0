"""One HTTP request to a webhook: resolved, checked, sent to the very address that was checked, and bounded in time."""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import socket
import ssl
from urllib.parse import urlsplit, urlunsplit

import httpx

from service.flows.tries import Answer, Request
from service.flows.webhook_targets import Address, Targets, allowed, literal, may_be_plain

REQUEST_MS_MAX = 10_000  # Standard Webhooks asks for 15 to 30 s at most; a receiver should store and answer at once
CONNECT_MS_MAX = 3_000  # a host that does not answer by then is down
CONNECTIONS_MAX = 64  # sends at once are fewer: SENDS_MAX of the flow


class Sender:
    """The client that calls receivers. A redirect is an answer like any other: followed, it would evade the check."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            # No proxy from the environment: behind one, the address that was checked is not the one that is called.
            trust_env=False,
            verify=ssl.create_default_context(),
            timeout=httpx.Timeout(REQUEST_MS_MAX / 1000, connect=CONNECT_MS_MAX / 1000),
            # None is kept open: two names may share an address, and the second would ride on the first one's handshake.
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Let go of every connection."""
        await self._client.aclose()

    async def send(self, request: Request) -> Answer:
        """Send one event and say what came of it; nothing is raised, and the body of the answer is not read."""
        try:
            async with asyncio.timeout(REQUEST_MS_MAX / 1000):
                return await self._send(request)
        except TimeoutError:
            return Answer(None, f"no answer within {REQUEST_MS_MAX} ms")
        except httpx.TimeoutException:
            return Answer(None, f"no connection within {CONNECT_MS_MAX} ms")
        except NotCalled as fact:
            return Answer(None, str(fact))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # The kind of the fault and no more: its text may hold what a hostile receiver has put there.
            return Answer(None, f"the connection failed ({type(error).__name__})")

    async def _send(self, request: Request) -> Answer:
        parts = urlsplit(request.url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = await resolve(host, port, self._targets, plain=parts.scheme != "https")
        # The checked address stands in the URL and the name in `Host` and the TLS handshake, so a name that changes
        # its address between the check and the call leads nowhere else.
        at = f"[{address}]" if address.version == 6 else str(address)
        netloc = f"{at}:{parts.port}" if parts.port else at
        url = urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))
        headers = {**request.headers, "host": parts.netloc}
        extensions = {"sni_hostname": host} if parts.scheme == "https" and literal(host) is None else {}
        async with self._client.stream(
            "POST", url, content=request.body, headers=headers, extensions=extensions
        ) as answer:
            wait = retry_after_ms(answer.headers.get("retry-after"), answer.headers.get("date"))
            return Answer(answer.status_code, f"answered {answer.status_code}", wait)


class NotCalled(Exception):
    """The request was not sent; the text says why."""


async def resolve(host: str, port: int, targets: Targets, *, plain: bool) -> Address:
    """Return an address of a host that may be called, `plain`: without TLS. Raises NotCalled."""
    written = literal(host)
    found = [written] if written is not None else await _look_up(host, port)
    for address in found:
        if allowed(address, targets) and (not plain or may_be_plain(address)):
            return address
    raise NotCalled("the address lies in a network that webhooks may not call")


def retry_after_ms(value: str | None, date: str | None) -> int | None:
    """Return the wait that a receiver asks for, in seconds or as a date by its own clock; None without one."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return int(value) * 1000
    try:
        until = email.utils.parsedate_to_datetime(value)
        present = email.utils.parsedate_to_datetime(date or "")
        return max(0, int((until - present).total_seconds() * 1000))
    except (TypeError, ValueError):
        return None


async def _look_up(host: str, port: int) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise NotCalled("the name of the host does not resolve") from None
    return [ipaddress.ip_address(str(each[4][0]).split("%", 1)[0]) for each in found]
