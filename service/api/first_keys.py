"""The first keys of a fresh data directory, one a role, and the file that tells them. Only for a loopback service."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from service.flows import keys
from service.flows.access import ServerUnavailable, Store
from service.flows.keys import ROLES
from service.keys_file import keys_file, own_keys_file

# keys.json is ours and small; a larger file of this name is somebody else's.
FILE_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class _Begun:
    """A start that was to keep these keys of this tenant, and has not said that it has."""

    tenant: str
    key_ids: tuple[str, ...]


async def ensure(store: Store, data_dir: Path, tenant: str, now_ms: int) -> dict[str, str]:
    """Return role -> secret as the tenant's file says, made now when it has no key at all; the file's mode is 0600.

    Empty when there are keys, and no file that tells of no others: a secret cannot be read back. So the file is on disk
    before the first of its keys opens anything, and a start that was cut off between them is brought to its end by the
    next one. Raises ServerUnavailable when the file cannot be written.
    """
    with _alone(data_dir / "keys.lock"):
        listed = {key.key_id for key in await keys.list_all(store, tenant)}
        path = keys_file(data_dir, tenant)
        told = _read(path)
        whole = told.keys() == set(ROLES)
        # Nothing else is kept because a file has it: what was revoked before the store was emptied stays shut.
        if not whole or _begun(path) != _made_for(tenant, told):
            if listed:
                return told if whole and listed.issuperset(map(keys.key_id, told.values())) else {}
            if await _is_anothers(store, path, told, tenant):
                path = own_keys_file(data_dir, tenant)
            told = {role: keys.new_token(role) for role in ROLES}
            _write(_mark(path), asdict(_made_for(tenant, told)))
            _write(path, told)
        for role in ROLES:
            if keys.key_id(told[role]) not in listed:
                await keys.keep(store, tenant, role, role, told[role], now_ms)
        _forget(_mark(path))
        return told


async def _is_anothers(store: Store, path: Path, told: dict[str, str], tenant: str) -> bool:
    """Return whether the file has keys of another tenant, kept or about to be: nobody could tell them once more."""
    begun = _begun(path)
    if begun is not None and begun.tenant != tenant and begun == _made_for(begun.tenant, told):
        return True
    owners = {await keys.owner(store, token) for token in told.values()}
    return bool(owners - {None, tenant})


def _made_for(tenant: str, told: dict[str, str]) -> _Begun:
    return _Begun(tenant, tuple(sorted(map(keys.key_id, told.values()))))


def _mark(path: Path) -> Path:
    """Return the file that stands beside one of keys until all of those are kept. It holds no secret."""
    return path.with_suffix(".unkept")


def _begun(path: Path) -> _Begun | None:
    found = _json(_mark(path))
    tenant, key_ids = found.get("tenant"), found.get("key_ids")
    return _Begun(tenant, tuple(map(str, key_ids))) if isinstance(tenant, str) and isinstance(key_ids, list) else None


def _read(path: Path) -> dict[str, str]:
    found = _json(path)
    return {role: found[role] for role in ROLES if isinstance(found.get(role), str)}


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(FILE_BYTES_MAX))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, made: Mapping[str, object]) -> None:
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


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        raise ServerUnavailable.by_disk(
            error, f"{path} cannot be removed", "let this user remove a file there and start again"
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
