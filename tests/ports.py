"""Ports on which nobody listens, for servers that a test starts; another process may take one in the meantime."""

from __future__ import annotations

import contextlib
import socket

BUS = 10_000  # a cluster's bus listens so far above the port
TRIES_MAX = 100


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def bus_port() -> int:
    """Return a free port whose bus port is free too."""
    for _ in range(TRIES_MAX):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            # No port is above 65,535, which is another error than one that is taken.
            with contextlib.suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + BUS))
                return port
    raise RuntimeError("no free port")
