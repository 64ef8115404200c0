"""Files of recorded arrivals, opened and bounded: .csv, .jsonl and either with .gz. Their meaning is known in rules."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from rules.simulation.arrivals import Arrival, ArrivalInvalid, arrivals_in

# A day of a call centre is one line; 2,000 calls of it are 100 kB.
LINE_BYTES_MAX = 16_777_216
# A year of a large house. Each takes half a kB while it is simulated, and a run of them all some minutes.
ARRIVALS_MAX = 1_000_000
ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson")


class ArrivalsUnreadable(Exception):
    """A file that holds no arrivals; the message is place and fact, never the content."""


def arrivals_of(paths: list[Path]) -> list[Arrival]:
    """Return the arrivals of all files in the order read; raises ArrivalsUnreadable at the first bad row."""
    found: list[Arrival] = []
    for path in paths:
        for number, row in _rows(path):
            try:
                found += arrivals_in(row)
            except ArrivalInvalid as fact:
                raise ArrivalsUnreadable(f"{path}:{number}: {fact}") from None
            if len(found) > ARRIVALS_MAX:
                raise ArrivalsUnreadable(f"{path}:{number}: more than {ARRIVALS_MAX} arrivals")
    return found


def _rows(path: Path) -> Iterator[tuple[int, object]]:
    if not path.name.endswith(ENDINGS):
        raise ArrivalsUnreadable(f"{path}: arrivals are read from {', '.join(ENDINGS)}")
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as opened:
            lines = _lines(path, cast(BinaryIO, opened))
            yield from _csv_rows(path, lines) if ".csv" in path.suffixes else _json_rows(path, lines)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ArrivalsUnreadable(f"{path}: the gzip data are broken or end too early") from None
    except OSError as away:
        raise ArrivalsUnreadable(f"{path}: {(away.strerror or 'cannot be read').lower()}") from None
    except csv.Error:
        raise ArrivalsUnreadable(f"{path}: not CSV") from None


def _lines(path: Path, opened: BinaryIO) -> Iterator[tuple[int, str]]:
    number = 0
    while line := opened.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise ArrivalsUnreadable(f"{path}:{number}: the line is longer than {LINE_BYTES_MAX} bytes")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as broken:
            raise ArrivalsUnreadable(f"{path}:{number}: byte {broken.start + 1} is not UTF-8") from None
        if text.strip():
            yield number, text


def _json_rows(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, object]]:
    for number, line in lines:
        try:
            # Without its end, or a line that is cut off would be wrong on the next one.
            yield number, json.loads(line.rstrip())
        except json.JSONDecodeError as broken:
            raise ArrivalsUnreadable(f"{path}:{number}:{broken.colno}: not JSON: {broken.msg.lower()}") from None
        except (ValueError, RecursionError):
            raise ArrivalsUnreadable(f"{path}:{number}: a number too long, or nested too deep, to be read") from None


def _csv_rows(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, object]]:
    """Yield each line of a CSV file by the names in its first one; nothing in an arrival spans lines."""
    names: list[str] | None = None
    for number, line in lines:
        cells = next(csv.reader(io.StringIO(line)), [])
        if names is None:
            names = [cell.strip() for cell in cells]
        elif len(cells) != len(names):
            raise ArrivalsUnreadable(f"{path}:{number}: {len(cells)} values, and the first line names {len(names)}")
        else:
            yield number, dict(zip(names, (cell.strip() for cell in cells), strict=True))
