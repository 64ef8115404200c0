"""Kills parts of services on one data directory at seeded moments, and starts again what nobody else starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.walks.served import Served

PARTS = ("serve", "worker", "lane", "server", "stall")
# How long a server that is stopped answers nobody: longer than a caller of the store waits (3 s), so that turns are
# answered without it. One that is killed is there again before anybody gives up.
STALL_S = 5.0


class Killer:
    """Somebody who kills -9 one part after the other, and starts a `serve` again as a service manager would.

    `stall` kills nothing: the server hangs for a while, and then does what it was asked, whoever has given up on it.
    """

    def __init__(self, services: Sequence[Served], seed: int, pause_s: tuple[float, float]) -> None:
        self.kills: Counter[str] = Counter()
        self._services = services
        self._chance = random.Random(seed)
        self._pause_s = pause_s

    @property
    def met_all(self) -> bool:
        """Return whether each kind of part was killed, and the server hung, once."""
        return set(self.kills) == set(PARTS)

    async def run(self, over: asyncio.Event) -> None:
        """Kill until `over`: every kind once in a shuffled order, then whatever chance names."""
        order = self._chance.sample(PARTS, len(PARTS))
        while not over.is_set():
            await asyncio.sleep(self._chance.uniform(*self._pause_s))
            part = order[-1] if order else self._chance.choice(PARTS)
            pids = await asyncio.to_thread(self._pids, part)
            if pids:
                with contextlib.suppress(ProcessLookupError):
                    if part == "stall":
                        await stall(pids[0])
                    else:
                        os.kill(self._chance.choice(pids), signal.SIGKILL)
                    self.kills[part] += 1
                    del order[-1:]
            await asyncio.to_thread(self.raise_the_dead)

    def raise_the_dead(self) -> None:
        """Start each `serve` again that has ended, whether it was killed or found no server when it started."""
        for served in self._services:
            if part_is_gone(served):
                served.restart()

    def _pids(self, part: str) -> list[int]:
        if part == "serve":
            return [served.process.pid for served in self._services]
        if part in ("server", "stall"):
            return server_pids(self._services[0])
        workers = [served.worker_pids for served in self._services]
        return [pid for found in workers for pid in (found[:1] if part == "worker" else found[1:])]


async def stall(pid: int) -> None:
    """Stop a process, and let it go on after a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(STALL_S)
    finally:
        os.kill(pid, signal.SIGCONT)


def part_is_gone(served: Served) -> bool:
    """Return whether `serve` has ended, once a killed one is no longer on its way out."""
    with contextlib.suppress(Exception):
        served.process.wait(0.2)
    return served.process.poll() is not None


def server_pids(served: Served) -> list[int]:
    """Return the server of this data directory: its pid as it is told there, and only if it really works there."""
    with contextlib.suppress(OSError, ValueError):
        pid = served.server_pid
        if Path(f"/proc/{pid}/cwd").resolve() == served.data_dir.resolve():
            return [pid]
    return []
