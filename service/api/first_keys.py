"""The first keys of a fresh data directory, one a role, and the file that tells them. Only for a loopback service."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from service.flows import keys
from service.flows.access import ServerUnavailable, Store
from service.flows.keys import ROLES
from service.settings import KEYS_FILE

FILE = KEYS_FILE
# keys.json is ours and small; a larger file of this name is somebody else's.
FILE_BYTES_MAX = 65_536


async def ensure(store: Store, data_dir: Path, tenant: str, now_ms: int) -> dict[str, str]:
    """Return role -> secret as keys.json says, made now when the tenant has no key at all; its mode is 0600.

    Empty when there are keys but no file: a secret cannot be read back. So the file is on disk before the first of its
    keys opens anything, and a start that was cut off between them is brought to its end by the next one. Raises
    ServerUnavailable when the file cannot be written.
    """
    path = data_dir / FILE
    with _alone(data_dir / "keys.lock"):
        listed = {key.key_id for key in await keys.list_all(store, tenant)}
        told = _read(path)
        if not listed and told.keys() != set(ROLES):
            told = {role: keys.new_token(role) for role in ROLES}
            _write(path, told)
        # Where somebody made or ended keys since, those of the file are not all there is to say.
        if listed < {keys.key_id(token) for token in told.values()}:
            for role in ROLES:
                if role in told and keys.key_id(told[role]) not in listed:
                    await keys.keep(store, tenant, role, role, told[role], now_ms)
        return told


def _read(path: Path) -> dict[str, str]:
    try:
        told = json.loads(path.read_bytes()[:FILE_BYTES_MAX])
    except (OSError, ValueError):
        return {}
    return {role: told[role] for role in ROLES if isinstance(told, dict) and isinstance(told.get(role), str)}


def _write(path: Path, made: dict[str, str]) -> None:
    beside = path.with_suffix(".new")
    try:
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(json.dumps(made, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise ServerUnavailable.by_disk(
            error, f"{path} cannot be written", "let this user write a file of that name and start again"
        ) from error


def _sync(directory: Path) -> None:
    """Let the name of a file that was put there outlive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time make keys: two that start together must not make two sets."""
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
