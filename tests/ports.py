"""Ports on which nobody listens, for servers that a test starts; another process may take one in the meantime.

None is of those that the kernel gives to whoever connects: such a port is somebody's while a killed server is to come
back on it, and a connection to it can even meet itself.
"""

from __future__ import annotations

import random
import socket

FIRST = 10_000
BUS = 10_000  # a cluster's bus listens so far above the port
# Linux gives 32768 and up to whoever connects; both a port and its bus lie below.
LAST = 32_767 - BUS
TRIES_MAX = 1_000
# Not the tests' own chance, which some of them seed: each process looks elsewhere.
_chance = random.SystemRandom()


def free_port() -> int:
    return _free(0)


def bus_port() -> int:
    """Return a free port whose bus port is free too."""
    return _free(0, BUS)


def _free(*above: int) -> int:
    for _ in range(TRIES_MAX):
        port = _chance.randint(FIRST, LAST)
        if all(_is_free(port + each) for each in above):
            return port
    raise RuntimeError("no free port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
