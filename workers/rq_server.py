"""The way to the server that carries RQ's jobs: the same as the store's by default, its own where the store is a
cluster, on which RQ cannot run."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from service.settings import Settings

CONNECT_S_MAX = 3.0  # a server that does not take a connection by then is away; the caller tries again later
CALL_S_MAX = 5.0  # the scheduler's calls; RQ's own blocking ones set a longer limit for themselves
SENTINEL_PORT = 26_379


class RqNeedsItsOwnServer(Exception):
    """The store is a cluster and no other server is named for RQ."""


def address(settings: Settings, store_url: str) -> str:
    """Return the address of RQ's server; raises RqNeedsItsOwnServer."""
    url = settings.rq_url or store_url
    parts = urlsplit(url)
    if parts.scheme.endswith("+cluster") or parse_qs(parts.query).get("cluster", [""])[-1] in ("true", "1", "yes"):
        raise RqNeedsItsOwnServer(
            "RQ does not run on a cluster; set HANDRAIL_RQ_URL to a standalone server or a Sentinel"
        )
    return url


def connect(url: str) -> redis.Redis:
    """Return a client for RQ; nothing is connected yet, and no command is sent twice by itself."""
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_S_MAX,
        "socket_timeout": CALL_S_MAX,
        "retry": Retry(NoBackoff(), 0),
    }
    parts = urlsplit(url)
    if "sentinel" not in parts.scheme:
        client: redis.Redis = redis.Redis.from_url(url, **options)
        return client
    hosts = []
    for place in parts.netloc.rpartition("@")[2].split(","):
        host, _, port = place.partition(":")
        hosts.append((host, int(port or SENTINEL_PORT)))
    names = [unquote(part) for part in parts.path.split("/") if part]
    if parts.scheme.startswith("rediss"):
        options["ssl"] = True
    sentinel: Any = Sentinel(hosts, sentinel_kwargs={"socket_timeout": CONNECT_S_MAX})  # type: ignore[no-untyped-call]  # redis-py has none here
    master: redis.Redis = sentinel.master_for(
        names[0],
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        db=int(names[1]) if len(names) > 1 else 0,
        **options,
    )
    return master
