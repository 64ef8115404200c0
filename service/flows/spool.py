"""Decisions made while the store is away, as files on local disk: kept once, found, listed. Nothing is decided here.

One file a decision, written whole and synced before the answer goes out. They hold customers' texts, so only their
owner may read them, and they are removed as soon as the store has them.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from service.errors import StoreAway

# A file is 2 to 30 kB, so the spool stays under 600 MB; at ten turns a second these are half an hour without a store.
SPOOL_FILES_MAX = 20_000
# From here on only handoffs are kept: a turn that goes on can be judged again, a person who waits cannot be lost.
SPOOL_CONTINUES_MAX = 10_000


class Spool:
    """The directory `data_dir/spool`; made when the first decision needs it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = str(directory)

    def find(self, decision_id: str) -> bytes | None:
        """Return what is kept under this id, unless it was delivered."""
        name = f"{self._path}/{decision_id}.json"
        # One system call on the way of every turn, and none of the exceptions that `exists` is made of: 1 microsecond.
        if not os.access(name, os.F_OK):
            return None
        try:
            return Path(name).read_bytes()
        except FileNotFoundError:
            return None

    def held(self) -> list[Path]:
        """Return the files that wait for the store, oldest first."""
        try:
            with os.scandir(self._directory) as entries:
                found = [(entry.stat().st_mtime_ns, entry.path) for entry in entries if entry.name.endswith(".json")]
        except FileNotFoundError:
            return []
        return [Path(path) for _, path in sorted(found)]

    def keep(self, decision_id: str, body: bytes, *, must: bool) -> bytes:
        """Put a decision on disk, and return what stands there now: the first one kept under this id.

        What is not a `must` is left out when the spool is half full. Raises StoreAway when it is full or the disk
        refuses. It waits for the disk: call it in a thread.
        """
        count = len(self.held())
        if count >= SPOOL_CONTINUES_MAX and not must:
            return body
        if count >= SPOOL_FILES_MAX:
            raise StoreAway(f"and the spool holds {SPOOL_FILES_MAX} decisions already")
        path = self._directory / f"{decision_id}.json"
        draft = self._directory / f".{secrets.token_hex(8)}.draft"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                _write_synced(draft, body)
                # A link, not a rename: when two requests decide one turn, the first answer stands.
                os.link(draft, path)
                _sync_directory(self._directory)
            except FileExistsError:
                return path.read_bytes()
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise StoreAway(f"and the spool cannot be written ({error.strerror})") from error
        return body

    def set_aside(self, path: Path) -> None:
        """Put a file that cannot be read out of the way; a person has to look at it."""
        path.rename(path.with_suffix(".unreadable"))


def _write_synced(path: Path, body: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
