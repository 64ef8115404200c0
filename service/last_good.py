"""The rule files of a directory that were good last, kept beside the data: what a start decides with when they broke.

A pod that is moved while an edit is broken would else not come back. Beside them stand those before, as long as it is
told what they asked for that these do not. Nothing is compiled here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.rule_files import DIRECTORY_BYTES_MAX

# Beside it stand those of other directories, when several services share the data.
FILE = "last-good-rules-{}.json"
HASH_CHARS = 16
# Every character may be written as an escape of six, or as two of them; and there are the texts before, too.
FILE_BYTES_MAX = DIRECTORY_BYTES_MAX * 12 * 2
# The end of the year 9999: no calendar knows a later moment.
GOOD_AT_MS_MAX = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class Before:
    """The texts of rule files that asked for more than those that are good now, and since when those are less."""

    texts: Mapping[str, str]
    since_at_ms: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The texts of rule files by name, when they were found good (Unix ms), and those before if they asked for more."""

    texts: Mapping[str, str]
    good_at_ms: int
    before: Before | None = None


def file_of(data_dir: Path, directory: Path) -> Path:
    """Return the file in which what was good of a directory is kept."""
    name = os.fsencode(_name(directory))
    return data_dir / FILE.format(hashlib.sha256(name).hexdigest()[:HASH_CHARS])


def keep(data_dir: Path, directory: Path, texts: Mapping[str, str], now_ms: int, before: Before | None = None) -> None:
    """Keep the files of a directory in place of its own kept before, whole or not at all. Raises OSError."""
    path = file_of(data_dir, directory)
    data_dir.mkdir(parents=True, exist_ok=True)
    told: dict[str, object] = {"directory": _name(directory), "good_at_ms": now_ms, "texts": dict(texts)}
    if before is not None:
        told["before"] = {"texts": dict(before.texts), "since_at_ms": before.since_at_ms}
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=data_dir)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            json.dump(told, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def find(data_dir: Path, directory: Path) -> Kept | None:
    """Return what was kept of this directory; None when there is nothing, or nothing that can be read."""
    path = file_of(data_dir, directory)
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return None
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or told.get("directory") != _name(directory):
        return None
    found = _texts_at(told, "good_at_ms")
    if found is None:
        return None
    lost = told.get("before")
    before = _texts_at(lost, "since_at_ms") if isinstance(lost, dict) else None
    # What is told of the files before is no part of those that decide.
    return Kept(*found, None if before is None else Before(*before))


def _texts_at(told: Mapping[str, object], moment: str) -> tuple[dict[str, str], int] | None:
    """Return the texts by name and the moment that stand there; None where one of them is something else."""
    texts, at_ms = told.get("texts"), told.get(moment)
    if not isinstance(texts, dict) or not texts or not all(isinstance(text, str) for text in texts.values()):
        return None
    if not isinstance(at_ms, int) or isinstance(at_ms, bool) or not 0 <= at_ms <= GOOD_AT_MS_MAX:
        return None
    return texts, at_ms


def _name(directory: Path) -> str:
    # Not where a link leads: a mounted ConfigMap leads somewhere else after each edit.
    return str(directory.absolute())
