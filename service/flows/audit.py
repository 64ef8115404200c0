"""The audit log: every change of state with its actor, in files of which each line names the hash of the one before.

Whoever changes, drops or inserts a line breaks the chain from there on, and `verify` tells where. Whoever rewrites all
that follows leaves a last hash that differs from those that were written to the process log meanwhile.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from service.store import file_locks
from service.store.outbox import Event

# What the first line of all names as the one before it.
BEGINNING = "0" * 64
FILE = re.compile(r"\d{4}-\d{2}-\d{2}\.jsonl")
LOCK = "lock"
LOCK_WAIT_MS_MAX = 10_000  # another worker writes for milliseconds; one that hangs is not waited for
# A line is some hundred bytes; a longer one is not ours.
LINE_BYTES_MAX = 65_536
# Entries that are known to stand there: as many as an outbox holds (OUTBOX_MAX), in 30 MB.
KNOWN_MAX = 100_000
Written: TypeAlias = tuple[str, int, str]


class AuditBusy(Exception):
    """Another process holds the audit log; what was to be written is written by the next run."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Where the chain breaks: file, line counted from 1, and what is wrong with it."""

    file: str
    line: int
    fact: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at all files found: lines that hold, the hash of the last of them, and the first that does not."""

    entries: int
    last_hash: str
    broken: Broken | None


class AuditLog:
    """The files of one directory, one a day in UTC, written by one process at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._last: dict[str, Any] | None = None
        # In the order of the lines, so that the oldest can be forgotten.
        self._known: dict[Written, None] = {}
        self._read_bytes: dict[Path, int] = {}

    def append(self, partition: int, events: Sequence[Event]) -> str | None:
        """Write the events that do not stand there yet, synced, and return the last hash; None for nothing new.

        The same events again (their worker was killed before it could forget them) are known by their entry ids. They
        may come in any order: what a killed worker had taken comes after what the others took meanwhile.
        Raises AuditBusy, and OSError when the disk refuses.
        """
        if not events:
            return None
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = file_locks.open_lock(self._directory / LOCK)
        try:
            if not file_locks.exclusive_by(lock, LOCK_WAIT_MS_MAX):
                raise AuditBusy
            return self._append(partition, events)
        finally:
            os.close(lock)

    def _append(self, partition: int, events: Sequence[Event]) -> str | None:
        self._catch_up()
        path = self._directory / _file_of(max(event.at_ms for event in events), self._last)
        before = self._last["hash"] if self._last else BEGINNING
        lines = []
        # Twice in one call is known as well.
        new = {(event.tenant, partition, event.entry_id): event for event in events}
        for name, event in new.items():
            if name not in self._known:
                line = _line(partition, event, before)
                before = orjson.loads(line)["hash"]
                lines.append(line)
        if not lines:
            return None
        with path.open("ab") as file:
            end = file.tell()
            try:
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                # A line cut in half would break the chain for ever.
                file.truncate(end)
                raise
        return str(before)

    def _catch_up(self) -> None:
        """Read what was written since the last look, by whomever: the last line, and which entries stand there.

        A worker that was killed left entries of the last seconds, so older files hold none that could come again. A
        last line without its end was being written when the machine stopped: it was never acknowledged, and goes.
        """
        latest = files(self._directory)[-2:]
        if any(not path.exists() or path.stat().st_size < size for path, size in self._read_bytes.items()):
            # Somebody has put other files there; what stands in them counts.
            self._last, self._known, self._read_bytes = None, {}, {}
        for path in latest:
            with path.open("rb") as file:
                whole = file.seek(self._read_bytes.get(path, 0))
                for raw in file:
                    if not raw.endswith(b"\n"):
                        os.truncate(path, whole)
                        break
                    whole += len(raw)
                    self._last = last = orjson.loads(raw)
                    self._known[last["tenant"], last["partition"], last["entry_id"]] = None
            self._read_bytes[path] = whole
        for name in list(itertools.islice(self._known, max(0, len(self._known) - KNOWN_MAX))):
            del self._known[name]


def files(directory: Path) -> list[Path]:
    """Return the files of the log, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if FILE.fullmatch(path.name))


def read(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield every line that can be read, oldest first, whatever the chain says of it."""
    for path in files(directory):
        with path.open("rb") as file:
            for raw in file:
                try:
                    line = orjson.loads(raw)
                except orjson.JSONDecodeError:
                    continue
                if isinstance(line, dict):
                    yield line


def verify(directory: Path) -> Verified:
    """Follow the chain from its beginning to its end, or to where it breaks."""
    before, count = BEGINNING, 0
    for path in files(directory):
        with path.open("rb") as file:
            for number, raw in enumerate(iter(lambda file=file: file.readline(LINE_BYTES_MAX), b""), 1):  # type: ignore[misc]  # the default binds it
                fact, found = _checked(raw, before)
                if fact is not None:
                    return Verified(count, before, Broken(path.name, number, fact))
                before, count = found, count + 1
    return Verified(count, before, None)


def _checked(raw: bytes, before: str) -> tuple[str | None, str]:
    try:
        line = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return "it is no JSON", ""
    if not isinstance(line, dict) or not isinstance(line.get("hash"), str):
        return "it is no line of this log", ""
    told = line.pop("hash")
    if line.get("before") != before:
        return "it does not follow the line before it: one was dropped, inserted or moved", ""
    if _hash(line) != told:
        return "it was changed after it was written", ""
    return None, told


def _line(partition: int, event: Event, before: str) -> bytes:
    fields: dict[str, object] = {
        "at_ms": event.at_ms,
        "type": event.type,
        "actor": event.actor,
        "tenant": event.tenant,
        "partition": partition,
        "handoff_id": event.handoff_id,
        "conversation_id": event.conversation_id,
        "detail": event.detail,
        **({"widened": event.widened} if event.widened is not None else {}),
        "ruleset_version": event.ruleset_version,
        "entry_id": event.entry_id,
        "event_id": event.event_id,
        "before": before,
    }
    return orjson.dumps({**fields, "hash": _hash(fields)}) + b"\n"


def _hash(fields: dict[str, object]) -> str:
    return sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _file_of(at_ms: int, last: dict[str, Any] | None) -> str:
    """Return the file of a moment; never an earlier one than the last line's, as a clock may step back."""
    moments: Iterable[int] = (at_ms, last["at_ms"]) if last else (at_ms,)
    return f"{datetime.fromtimestamp(max(moments) / 1000, UTC):%Y-%m-%d}.jsonl"
