"""The rule files of a directory that were good last, kept beside the data: what a start decides with when they broke.

A pod that is moved while an edit is broken would else not come back. Nothing is compiled here.
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
# Every character may be written as an escape of six, or as two of them.
FILE_BYTES_MAX = DIRECTORY_BYTES_MAX * 12
# The end of the year 9999: no calendar knows a later moment.
GOOD_AT_MS_MAX = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class Kept:
    """The texts of rule files by name, and when they were found good (Unix ms)."""

    texts: Mapping[str, str]
    good_at_ms: int


def file_of(data_dir: Path, directory: Path) -> Path:
    """Return the file in which what was good of a directory is kept."""
    name = os.fsencode(_name(directory))
    return data_dir / FILE.format(hashlib.sha256(name).hexdigest()[:HASH_CHARS])


def keep(data_dir: Path, directory: Path, texts: Mapping[str, str], now_ms: int) -> None:
    """Keep the files of a directory in place of its own kept before, whole or not at all. Raises OSError."""
    path = file_of(data_dir, directory)
    data_dir.mkdir(parents=True, exist_ok=True)
    told = {"directory": _name(directory), "good_at_ms": now_ms, "texts": dict(texts)}
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
    texts, good_at_ms = told.get("texts"), told.get("good_at_ms")
    if not isinstance(texts, dict) or not isinstance(good_at_ms, int) or isinstance(good_at_ms, bool):
        return None
    if not 0 <= good_at_ms <= GOOD_AT_MS_MAX:
        return None
    return Kept(texts, good_at_ms) if texts and all(isinstance(text, str) for text in texts.values()) else None


def _name(directory: Path) -> str:
    # Not where a link leads: a mounted ConfigMap leads somewhere else after each edit.
    return str(directory.absolute())
