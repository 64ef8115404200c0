"""The same calls over redis-py: for TLS, Sentinel and Cluster, where its care is worth its price. No key is known here.

A call costs about five times one of `multiplexed`. redis-py's own retries are off outside a cluster; whether a script
may be sent again is decided in one place, by its header (see `scripts`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode, PipelineCommand
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialBackoff, NoBackoff

from service.errors import NotDurable, ServerUnfit, StoreAway
from service.redis_address import cluster_nodes, sentinels
from service.store.multiplexed import (
    CALL_MS_MAX,
    CONNECT_MS_MAX,
    DURABLE_MS_MAX,
    Barrier,
    Reply,
    ServerError,
    Word,
    fact,
)

CONNECTIONS_MAX = 64  # to each server; the scripts take 20 microseconds there, so more connections only queue there
# How often redis-py asks a cluster for its slots anew, and tries once more, when a node is gone. Its own pauses are a
# second and longer: a turn whose shard is gone would wait for seconds instead of being answered degraded.
CLUSTER_TRIES_MAX, CLUSTER_PAUSE_S_MIN, CLUSTER_PAUSE_S_MAX = 3, 0.05, 0.2
MOVES_MAX = 5  # how often one call follows a cluster that is moving its slots

# What redis-py raises where no server answers; a cluster of which no node answers is no RedisError to it.
AWAY = (exceptions.RedisError, exceptions.RedisClusterException, OSError, TimeoutError)
CAUSES_MAX = 8  # of one error that are looked at for a certificate that is not trusted

# Commands of the store whose answers redis-py would turn into values of its own.
CALLED_RAW = (
    *("CONFIG GET", "HGETALL", "INFO", "PUBSUB NUMSUB", "SET", "SMEMBERS", "XAUTOCLAIM", "XREADGROUP"),
    *("ZRANGE", "ZRANGEBYSCORE", "ZSCORE"),
)
# Where a command names its key, if not right after its own name.
KEY_PLACE = {"EVALSHA": 3, "EVAL": 3, "XGROUP": 2}

# redis-py drops the first word of these error lines; the callers of a link are told it all the same.
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.NoScriptError, "NOSCRIPT"),
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
    (exceptions.TryAgainError, "TRYAGAIN"),
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.AuthenticationError, "WRONGPASS"),
    (exceptions.NoPermissionError, "NOPERM"),
)


class Pooled:
    """A server, a Sentinel's master or a cluster behind redis-py's connections."""

    def __init__(self, client: Redis | RedisCluster, barrier: Barrier | None = None) -> None:
        self._client = client
        self._barrier = barrier
        self._room = asyncio.Semaphore(CONNECTIONS_MAX)
        # Answers are wanted as the server sends them, not as redis-py's dicts and booleans.
        for name in CALLED_RAW:
            client.response_callbacks.pop(name, None)

    async def call(self, *words: Word, durable: bool = False) -> Reply:
        """Send one command and return its answer; raise StoreAway, NotDurable or ServerError."""
        try:
            async with asyncio.timeout(CALL_MS_MAX / 1000), self._room:
                if durable and self._barrier is not None:
                    return await _call_durable(self._client, self._barrier, words)
                return await self._client.execute_command(*words)
        except (exceptions.ResponseError, exceptions.ConnectionError) as error:
            raise _said(error) from error
        except AWAY as error:
            raise _untrusted(error) or StoreAway(f"the server does not answer ({type(error).__name__})") from error

    async def close(self) -> None:
        """Let go of every connection."""
        await close(self._client)


async def _call_durable(client: Redis | RedisCluster, barrier: Barrier, words: tuple[Word, ...]) -> Reply:
    """Send the write and the wait for its durability over one connection: the server counts by connection."""
    if isinstance(client, RedisCluster):
        key = str(words[KEY_PLACE.get(str(words[0]), 1)])
        # The mark must lie where the write lies, so it takes the same hash tag.
        mark = key[: key.index("}") + 1] + ":mark"
        answers = await _on_node_of(client, mark, (words, ("SET", mark, ""), barrier.words))
    else:
        pipe = client.pipeline(transaction=False)
        for command in (words, barrier.mark, barrier.words):
            pipe.execute_command(*command)
        answers = await pipe.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    copies = answers[2][0] if isinstance(answers[2], list) else answers[2]
    if copies < barrier.copies:
        raise NotDurable(DURABLE_MS_MAX)
    return answers[0]


async def _on_node_of(cluster: RedisCluster, mark: str, commands: tuple[tuple[Word, ...], ...]) -> list[Any]:
    """Send the commands over one connection to whichever node has the mark, and follow it where its slot moves."""
    await cluster.initialize()
    node, asking = cluster.get_node_from_key(mark), False
    for _ in range(MOVES_MAX):
        if node is None:
            raise StoreAway("no shard holds that slot")
        # Where a slot is on its way to, each command of it must say that it was sent there.
        words = [one for command in commands for one in ((("ASKING",), command) if asking else (command,))]
        sent = [PipelineCommand(place, *command) for place, command in enumerate(words)]
        try:
            await node.execute_pipeline(sent)
        except exceptions.ConnectionError:
            await _ask_anew(cluster, mark)
            raise
        results = [command.result for command in sent][1 if asking else 0 :: 2 if asking else 1]
        moved = results[0]
        if not isinstance(moved, exceptions.AskError):
            if any(isinstance(each, exceptions.AskError) for each in results):
                # It was done where its keys still are, and the mark has gone before: nothing says whether it is safe.
                raise StoreAway("the slot is on its way to another shard")
            return results
        asking = not isinstance(moved, exceptions.MovedError)
        if asking:
            node = cluster.get_node(host=moved.host, port=moved.port)
        else:
            await _ask_anew(cluster, mark)
            node = cluster.get_node_from_key(mark)
    raise StoreAway("the cluster keeps moving its slots")


async def _ask_anew(cluster: RedisCluster, mark: str) -> None:
    """Have redis-py find out who has a slot now, without breaking the connections that others use."""
    with contextlib.suppress(*AWAY):
        await cluster.execute_command("EXISTS", mark)


def _said(error: Exception) -> Exception:
    for kind, word in _WORDS:
        if isinstance(error, kind):
            return fact(ServerError(f"{word} {error}"))
    if isinstance(error, exceptions.ConnectionError):
        return _untrusted(error) or StoreAway(f"the server does not answer ({type(error).__name__})")
    return fact(error)


def _untrusted(error: BaseException | None) -> ServerUnfit | None:
    """Return what to do where a connection failed for the certificate that the server shows, None where it did not."""
    for _ in range(CAUSES_MAX):
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = error.verify_message.rstrip(".")
            return ServerUnfit(
                f"the server's certificate is not trusted: {reason}",
                "name its CA in the address: `?ssl_ca_certs=/path`",
            )
        error = None if error is None else error.__cause__ or error.__context__
    return None


def pooled(url: str, barrier: Barrier | None = None) -> Pooled:
    """Return a link for an address that `multiplexed` does not speak to. Nothing is connected yet."""
    return Pooled(client(url), barrier)


def client(url: str) -> Redis | RedisCluster:
    """Return redis-py's client for an address.

    `rediss://` is TLS. `redis+sentinel://host:port,host:port/service/db` asks Sentinels for the master, and
    `redis+cluster://host:port` (or `?cluster=true`) is a cluster; `rediss+…` are the same over TLS. `redis_address` has
    what else an address may say.
    """
    parts = urlsplit(url)
    if "sentinel" in parts.scheme:
        return _sentinel(url)
    if is_cluster(url):
        first, others = cluster_nodes(url)
        return RedisCluster.from_url(
            first,
            startup_nodes=[ClusterNode(host, port) for host, port in others],
            protocol=2,
            socket_timeout=CALL_MS_MAX / 1000,
            socket_connect_timeout=CONNECT_MS_MAX / 1000,
            retry=Retry(ExponentialBackoff(CLUSTER_PAUSE_S_MAX, CLUSTER_PAUSE_S_MIN), CLUSTER_TRIES_MAX),
        )
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(url, **_options())
    return Redis(connection_pool=pool)


async def close(server: Redis | RedisCluster) -> None:
    """Let go of every connection, those to the Sentinels too: redis-py forgets these."""
    if isinstance(server, RedisCluster):
        await server.aclose()
        # It lets go of none of them where a node was found gone a moment ago.
        for nodes in ("nodes_cache", "startup_nodes"):
            await server.nodes_manager.aclose(nodes)
        return
    pool = server.connection_pool
    await server.aclose(close_connection_pool=True)
    if isinstance(pool, SentinelConnectionPool):
        await asyncio.gather(*(one.aclose(close_connection_pool=True) for one in pool.sentinel_manager.sentinels))


async def subscription(server: Redis | RedisCluster) -> Any:
    """Return redis-py's subscription object. Of a cluster the nodes are asked for anew: the one before may be gone."""
    if isinstance(server, RedisCluster):
        await server.aclose()
        await server.initialize()
    return server.pubsub()


def is_cluster(url: str) -> bool:
    """Return whether the address names a cluster."""
    parts = urlsplit(url)
    return parts.scheme.endswith("+cluster") or parse_qs(parts.query).get("cluster", [""])[-1] in ("true", "1", "yes")


def _options() -> Mapping[str, Any]:
    return {
        "max_connections": CONNECTIONS_MAX,
        "timeout": CALL_MS_MAX / 1000,
        "socket_timeout": CALL_MS_MAX / 1000,
        "socket_connect_timeout": CONNECT_MS_MAX / 1000,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }


def _sentinel(url: str) -> Redis:
    asked = sentinels(url)
    if asked.service is None:
        raise ServerUnfit("the address names no service", "write `redis+sentinel://host:port,host:port/service`")
    options: dict[str, Any] = {**_options(), **asked.master}
    del options["timeout"]
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # untyped in redis-py
        asked.hosts, sentinel_kwargs={"socket_timeout": CONNECT_MS_MAX / 1000, "protocol": 2, **asked.own}
    )
    master: Redis = sentinel.master_for(asked.service, **options)
    return master
