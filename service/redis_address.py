"""What the address of a Redis says beside its host: TLS, and the Sentinels before it. Nothing is connected here.

Read alike by the store and by RQ's side, whose clients are different ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

REDIS_PORT, SENTINEL_PORT = 6_379, 26_379
# The options of an address that concern TLS, named as redis-py names them in the address of a plain server.
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
NO = ("0", "f", "false", "n", "no")  # as redis-py reads a flag in an address


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Who is asked where the master `service` is, and with what both are met; None for a service that is not named."""

    hosts: tuple[tuple[str, int], ...]
    service: str | None
    master: Mapping[str, Any]
    own: Mapping[str, Any]


def tls(url: str) -> dict[str, Any]:
    """Return the options for TLS, empty for an address without it."""
    if not urlsplit(url).scheme.startswith("rediss"):
        return {}
    asked = parse_qs(urlsplit(url).query)
    given: dict[str, Any] = {name: asked[name][-1] for name in TLS_OPTIONS if name in asked}
    if "ssl_check_hostname" in given:
        given["ssl_check_hostname"] = given["ssl_check_hostname"].lower() not in NO
    return {"ssl": True, **given}


def cluster_nodes(url: str) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Return the address of the first node of a cluster as redis-py reads it, and where the others that are named are.

    Whichever of `redis+cluster://user:password@host:port,host:port` lives leads to all nodes that there are.
    """
    parts = urlsplit(url)
    scheme = "rediss" if parts.scheme.startswith("rediss") else "redis"
    asked = parse_qs(parts.query)
    query = urlencode({name: asked[name][-1] for name in TLS_OPTIONS if name in asked})
    who, at, places = parts.netloc.rpartition("@")
    first, *others = places.split(",")
    only = parts._replace(scheme=scheme, netloc=who + at + first, query=query, path="").geturl()
    return only, tuple(_place(each, REDIS_PORT) for each in others)


def sentinels(url: str) -> Sentinels:
    """Return what `redis+sentinel://user:password@host:port,host:port/service/db` says.

    The user and the password are those of the master; `sentinel_username` and `sentinel_password` in the query are the
    Sentinels'. TLS is for both.
    """
    parts, secure = urlsplit(url), tls(url)
    asked = parse_qs(parts.query)
    hosts = [_place(each, SENTINEL_PORT) for each in parts.netloc.rpartition("@")[2].split(",")]
    names = [unquote(part) for part in parts.path.split("/") if part]
    own = {name: asked[f"sentinel_{name}"][-1] for name in ("username", "password") if f"sentinel_{name}" in asked}
    return Sentinels(
        tuple(hosts),
        names[0] if names else None,
        {
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "db": int(names[1]) if len(names) > 1 else 0,
            **secure,
        },
        {**own, **secure},
    )


def _place(text: str, port: int) -> tuple[str, int]:
    host, _, given = text.partition(":")
    return host, int(given or port)
