"""Turn logs on disk: one folder a part, three Parquet files in it, put in place in one step. What they mean: rules.

Reading takes only the columns that are asked for; a folder that is no log of this format is refused with its name.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl
from polars.exceptions import PolarsError

from rules.replay.columns import Asked
from rules.replay.turn_log import PART_TURNS_MAX, About, Part, about_of, part_of
from rules.replay.turn_rows import LogUnreadable, Rows, Stretch

TURNS, CALLS, STRETCHES = "turns.parquet", "calls.parquet", "stretches.parquet"
# What the file itself says of the part, under this key of its metadata.
ABOUT = "handrail.turn_log"
# Rows that Parquet packs together: a column of one such group is read as a whole.
GROUP_ROWS = 65_536
# Folders below the one that is named: a year of days with a hundred parts each. Past this something else was named.
PARTS_MAX = 40_000
# Not yet in place: whoever reads passes these by.
UNFINISHED = ".unfinished-"

_NO_CALLS = pl.DataFrame({"row": pl.Series([], dtype=pl.UInt32)})


class LogPart(Protocol):
    """A part of a turn log, wherever it stands."""

    @property
    def about(self) -> About:
        """Return what holds for the whole part."""

    @property
    def call_columns(self) -> Sequence[str]:
        """Return the columns that its calls have."""

    def read(self, asked: Asked) -> Part:
        """Return the columns that are asked for, of those that there are."""

    def rows(self, stretches: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """Return the turns of some stretches, all columns of each."""


@dataclass(frozen=True, slots=True)
class HeldPart:
    """A part that is in memory."""

    part: Part

    @property
    def about(self) -> About:
        """Return what holds for the whole part."""
        return self.part.about

    @property
    def call_columns(self) -> Sequence[str]:
        """Return the columns that its calls have."""
        return self.part.calls.columns

    def read(self, asked: Asked) -> Part:
        """Return all of it: reading less of what is there saves nothing."""
        del asked
        return self.part

    def rows(self, stretches: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """Return the turns of some stretches."""
        return _by_stretch(self.part.turns.filter(pl.col("stretch").is_in(list(stretches))))


@dataclass(frozen=True, slots=True)
class FiledPart:
    """A part that lies in a folder. Only what is asked for is read."""

    path: Path
    about: About
    turn_columns: frozenset[str]
    call_columns: Sequence[str]

    def read(self, asked: Asked) -> Part:
        """Return the columns that are asked for. Raises LogUnreadable."""
        try:
            # In one piece: columns of the file's pieces and those worked out beside them would be fitted at every step.
            turns = pl.read_parquet(self.path / TURNS, columns=sorted(asked.turns & self.turn_columns)).rechunk()
            wanted = sorted(asked.calls & set(self.call_columns))
            # No rule asks for a call: then even the rows of the calls are not worth reading.
            calls = pl.read_parquet(self.path / CALLS, columns=wanted).rechunk() if wanted != ["row"] else _NO_CALLS
            stretches = pl.read_parquet(self.path / STRETCHES)
        except (PolarsError, OSError) as broken:
            raise _unreadable(self.path, broken) from None
        if int(stretches["rows"].sum()) != turns.height:
            raise LogUnreadable(f"{self.path}: {STRETCHES} tells of other turns than {TURNS} holds")
        return Part(turns, calls, stretches, self.about)

    def rows(self, stretches: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """Return the turns of some stretches. Raises LogUnreadable."""
        try:
            kept = pl.scan_parquet(self.path / TURNS).filter(pl.col("stretch").is_in(list(stretches)))
            return _by_stretch(kept.collect())
        except (PolarsError, OSError) as broken:
            raise _unreadable(self.path, broken) from None


def _by_stretch(turns: pl.DataFrame) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in turns.to_dicts():
        found.setdefault(row["stretch"], []).append(row)
    return found


def read_ahead(parts: Iterable[LogPart], asked: Callable[[LogPart], Asked]) -> Iterator[tuple[LogPart, Part]]:
    """Yield each part with what is asked of it; the next is read while this one is worked on."""
    with ThreadPoolExecutor(1, thread_name_prefix="turn-log") as reader:
        coming: tuple[LogPart, Future[Part]] | None = None
        for place in parts:
            following = (place, reader.submit(place.read, asked(place)))
            if coming is not None:
                yield coming[0], coming[1].result()
            coming = following
        if coming is not None:
            yield coming[0], coming[1].result()


def is_log(path: Path) -> bool:
    """Return whether the path names a turn log: a folder of parts, one part, or a file of one."""
    if path.is_file():
        return path.name in (TURNS, CALLS, STRETCHES)
    return path.is_dir() and next(_folders(path), None) is not None


def parts_of(path: Path) -> list[FiledPart]:
    """Return the parts of a log, in the order of their names. Raises LogUnreadable."""
    folders = sorted(_folders(path.parent if path.is_file() else path))
    if not folders:
        raise LogUnreadable(f"{path}: no turn log stands here")
    if len(folders) > PARTS_MAX:
        raise LogUnreadable(f"{path}: more than {PARTS_MAX:,} parts; name the days that count")
    return [_opened(folder) for folder in folders]


def _folders(path: Path) -> Iterator[Path]:
    for file in path.rglob(TURNS):
        if UNFINISHED not in file.parent.name:
            yield file.parent


def _opened(folder: Path) -> FiledPart:
    try:
        known = pl.read_parquet_metadata(folder / TURNS).get(ABOUT)
        turns = pl.read_parquet_schema(folder / TURNS)
        calls = pl.read_parquet_schema(folder / CALLS)
    except (PolarsError, OSError) as broken:
        raise _unreadable(folder, broken) from None
    if known is None or turns.get("stretch") != pl.UInt32 or turns.get("at_ms") != pl.Int64:
        raise LogUnreadable(f"{folder}: these files are not a turn log that Handrail wrote")
    try:
        about = about_of(known)
    except LogUnreadable as fact:
        raise LogUnreadable(f"{folder}: {fact}") from None
    return FiledPart(folder, about, frozenset(turns), tuple(calls))


def _unreadable(folder: Path, broken: Exception) -> LogUnreadable:
    if isinstance(broken, FileNotFoundError):
        return LogUnreadable(f"{folder}: one of its three files is missing")
    if isinstance(broken, OSError):
        return LogUnreadable(f"{folder}: {(broken.strerror or 'cannot be read').lower()}")
    return LogUnreadable(f"{folder}: a file is broken or cut off, or no Parquet")


def write_part(directory: Path, part: Part, name: str) -> Path:
    """Write a part as the folder `name`, all of it or nothing; one that stands there already is kept as it is.

    Every file is on the disk before the folder takes its name, so whoever sees the folder can read it.
    """
    place = directory / name
    if place.exists():
        return place
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = directory / f"{UNFINISHED}{name}-{secrets.token_hex(4)}"
    unfinished.mkdir()
    try:
        known = {ABOUT: part.about.as_json()}
        for file, frame in ((TURNS, part.turns), (CALLS, part.calls), (STRETCHES, part.stretches)):
            frame.write_parquet(unfinished / file, metadata=known, row_group_size=GROUP_ROWS)
            _sync(unfinished / file)
        _sync(unfinished)
        try:
            unfinished.rename(place)
        except OSError:
            # Somebody else has put the same part there meanwhile.
            if not place.exists():
                raise
        _sync(directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return place


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def gathered(conversations: Iterable[tuple[str, Sequence[Stretch]]], rows: Rows) -> Iterator[Part]:
    """Yield conversations as parts; each stands whole in one, so a part may have a conversation more than it should."""
    for conversation_id, stretches in conversations:
        rows.add(conversation_id, stretches)
        if rows.turns.height >= PART_TURNS_MAX:
            yield part_of(rows)
            rows.clear()
    if rows.turns.height:
        yield part_of(rows)
