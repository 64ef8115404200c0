"""Files of recorded conversations, opened and bounded: .jsonl, .jsonl.gz and .yaml. Their meaning is known in rules."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from rules.replay.transcripts import Recorded, RowInvalid, read

LINE_BYTES_MAX = 4_194_304  # one conversation; two hundred turns of tools and their results are 400 kB
YAML_BYTES_MAX = 8_388_608  # YAML is for samples that people write; more belongs into .jsonl
SAMPLES = Path(__file__).resolve().parent / "samples"
ENDINGS = (".jsonl", ".jsonl.gz", ".ndjson", ".yaml", ".yml")


class ConversationsUnreadable(Exception):
    """A file that holds no conversations; the message is place and fact, never the content."""


def files_of(paths: list[Path]) -> list[Path]:
    """Return the files that are named, and of a directory those inside it, in the order of their names."""
    found: list[Path] = []
    for path in paths:
        inside = [file for file in sorted(path.iterdir()) if file.name.endswith(ENDINGS)] if path.is_dir() else [path]
        if not inside:
            raise ConversationsUnreadable(f"{path}: no file here ends in {', '.join(ENDINGS)}")
        found += inside
    return found


def conversations(path: Path) -> Iterator[Recorded]:
    """Yield the conversations of a file, one at a time; raises ConversationsUnreadable at the first bad row."""
    for number, row in rows(path):
        try:
            yield read(row)
        except RowInvalid as fact:
            raise ConversationsUnreadable(f"{path}:{number}: {fact}") from None


def rows(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield each row with its number, which counts from 1."""
    if path.exists() and not path.name.endswith(ENDINGS):
        raise ConversationsUnreadable(f"{path}: conversations are read from {', '.join(ENDINGS)}")
    try:
        yield from _yaml_rows(path) if path.suffix in (".yaml", ".yml") else _json_rows(path)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ConversationsUnreadable(f"{path}: the gzip data are broken or end too early") from None
    except OSError as away:
        raise ConversationsUnreadable(f"{path}: {(away.strerror or 'cannot be read').lower()}") from None
    except RecursionError:
        raise ConversationsUnreadable(f"{path}: nested deeper than any conversation is") from None
    except UnicodeDecodeError as broken:
        raise ConversationsUnreadable(f"{path}: byte {broken.start + 1} of a line is not UTF-8") from None


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
        number = 0
        while line := lines.readline(LINE_BYTES_MAX + 1):
            number += 1
            if len(line) > LINE_BYTES_MAX:
                raise ConversationsUnreadable(f"{path}:{number}: the line is longer than {LINE_BYTES_MAX} bytes")
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except UnicodeDecodeError:
                raise
            except json.JSONDecodeError as broken:
                raise ConversationsUnreadable(
                    f"{path}:{number}:{broken.colno}: not JSON: {broken.msg.lower()}"
                ) from None
            except ValueError:
                raise ConversationsUnreadable(f"{path}:{number}: a number with more digits than can be read") from None
            yield number, _mapping(row, path, number)


def _yaml_rows(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    if path.stat().st_size > YAML_BYTES_MAX:
        raise ConversationsUnreadable(f"{path}: more than {YAML_BYTES_MAX} bytes of YAML; use .jsonl")
    try:
        listed = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (both are safe loaders)
    except yaml.YAMLError as broken:
        mark = getattr(broken, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConversationsUnreadable(f"{path}{place}: not YAML") from None
    if not isinstance(listed, list):
        raise ConversationsUnreadable(f"{path}: a YAML file of conversations is a list")
    for number, row in enumerate(listed, start=1):
        yield number, _mapping(row, path, number)


def _mapping(row: object, path: Path, number: int) -> Mapping[str, object]:
    if not isinstance(row, dict):
        raise ConversationsUnreadable(f"{path}:{number}: a conversation is a mapping")
    return row
