"""Connections of the blocking client: no step outlasts the try it belongs to. What is sent is not decided here.

httpcore asks for a time-out once and gives it to every read of the head, so a peer that sends a line a second, or one
interim answer after another, is never late. Here each step takes the time that is left of the whole try instead.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from handrail_client.wire import Deadline

# Those of httpx, which the asynchronous client has.
CONNECTIONS_MAX = 100
IDLE_CONNECTIONS_MAX = 20
IDLE_S_MAX = 5.0
# A peer that reads slowly is met between two pieces. Most turns are one.
WRITTEN_BYTES_MAX = 16_384
# What the transport below lets out; httpx has the same under other classes of the same names.
NETWORK_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)

# A connection serves one try after another and is told of none of them, so the try of this thread says what is left.
_DEADLINE: ContextVar[Deadline] = ContextVar("handrail_deadline")


@contextmanager
def within(deadline: Deadline) -> Iterator[None]:
    """Let everything that this thread does on a connection end by the deadline."""
    token = _DEADLINE.set(deadline)
    try:
        yield
    finally:
        _DEADLINE.reset(token)


class BudgetedTransport(httpx.BaseTransport):
    """What httpx sends through; used under `within` alone."""

    def __init__(self, url: str, *, trust_env: bool) -> None:
        self._pool = _pool(httpx.URL(url), trust_env)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer, whose body is still to be read. Raises NETWORK_ERRORS."""
        if not isinstance(request.stream, httpx.SyncByteStream):
            raise TypeError("a blocking client sends no asynchronous body")
        came = self._pool.handle_request(
            httpcore.Request(
                request.method,
                _url(request.url),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(came.status, headers=came.headers, stream=_Content(came), extensions=came.extensions)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Content(httpx.SyncByteStream):
    """The body of an answer as it comes in."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _Backend(httpcore.NetworkBackend):
    """Opens connections in what is left."""

    def __init__(self) -> None:
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _left_s(httpcore.ConnectTimeout)
        return _Stream(self._sockets.connect_tcp(host, port, left_s, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """One connection; the time-outs that httpcore names are those of the first step of a phase, and are not used."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left_s(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITTEN_BYTES_MAX):
            self._stream.write(buffer[start : start + WRITTEN_BYTES_MAX], _left_s(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left_s = _left_s(httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left_s(late: type[httpcore.TimeoutException]) -> float:
    """Return the seconds that are left of the try; raise `late` when there are none."""
    deadline = _DEADLINE.get()
    if deadline.passed():
        raise late
    return deadline.left_s()


def _pool(url: httpx.URL, trust_env: bool) -> httpcore.ConnectionPool:
    """Return the connections to the service, through the proxy that the environment names for it."""
    known: dict[str, Any] = {
        "ssl_context": httpx.create_ssl_context(trust_env=trust_env),
        "max_connections": CONNECTIONS_MAX,
        "max_keepalive_connections": IDLE_CONNECTIONS_MAX,
        "keepalive_expiry": IDLE_S_MAX,
        "network_backend": _Backend(),
    }
    proxy = _proxy(url) if trust_env else None
    if proxy is None:
        return httpcore.ConnectionPool(**known)
    if proxy.url.scheme in ("socks5", "socks5h"):
        return httpcore.SOCKSProxy(_url(proxy.url), proxy.raw_auth, **known)
    return httpcore.HTTPProxy(_url(proxy.url), proxy.raw_auth, **known)


def _proxy(url: httpx.URL) -> httpx.Proxy | None:
    named = getproxies()
    address = named.get(url.scheme) or named.get("all")
    if not address or proxy_bypass(url.host):
        return None
    return httpx.Proxy(address if "://" in address else f"http://{address}")


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
