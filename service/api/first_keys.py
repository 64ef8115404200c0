"""The first keys of a fresh data directory, one a role, and the file that tells them. Only for a loopback service."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from service.flows import keys
from service.flows.access import Store
from service.flows.keys import ROLES
from service.settings import KEYS_FILE

FILE = KEYS_FILE
# keys.json is ours and small; a larger file of this name is somebody else's.
FILE_BYTES_MAX = 65_536


async def ensure(store: Store, data_dir: Path, tenant: str, now_ms: int) -> dict[str, str]:
    """Return role -> secret as keys.json says, made now when the tenant has no key at all.

    Empty when there are keys but no file: a secret cannot be read back. The file's mode is 0600.
    """
    path = data_dir / FILE
    with _alone(data_dir / "keys.lock"):
        if await keys.list_all(store, tenant):
            return _read(path)
        made: dict[str, str] = {role: (await keys.create(store, tenant, role, role, now_ms)).token for role in ROLES}
        _write(path, made)
        return made


def _read(path: Path) -> dict[str, str]:
    try:
        told = json.loads(path.read_bytes()[:FILE_BYTES_MAX])
    except (OSError, ValueError):
        return {}
    return {role: told[role] for role in ROLES if isinstance(told, dict) and isinstance(told.get(role), str)}


def _write(path: Path, made: dict[str, str]) -> None:
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(json.dumps(made, indent=2) + "\n")
    beside.replace(path)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time make keys: two that start together must not make two sets."""
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
