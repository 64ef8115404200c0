"""The way to the server that carries RQ's jobs: the same as the store's by default, its own where the store is a
cluster, on which RQ cannot run."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from service.redis_address import sentinels
from service.settings import Settings

CONNECT_S_MAX = 3.0  # a server that does not take a connection by then is away; the caller tries again later
CALL_S_MAX = 5.0  # the scheduler's calls; RQ's own blocking ones set a longer limit for themselves


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
    if "sentinel" not in urlsplit(url).scheme:
        client: redis.Redis = redis.Redis.from_url(url, **options)
        return client
    asked = sentinels(url)
    sentinel: Any = Sentinel(asked.hosts, sentinel_kwargs={"socket_timeout": CONNECT_S_MAX, **asked.own})  # type: ignore[no-untyped-call]  # redis-py has none here
    master: redis.Redis = sentinel.master_for(asked.service, **options, **asked.master)
    return master
