"""Recorded conversations and turn logs, each counted once however often it is named; what was left out is told.

A conversation that counts twice makes every interval narrower than what was recorded allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b, file_digest
from pathlib import Path

from rules.replay.transcripts import Recorded
from service.cli.conversation_files import conversations
from service.cli.output import note

# Enough that no two conversations of any file share it by chance.
DIGEST_BYTES = 16


def files_once(files: Iterable[Path]) -> list[Path]:
    """Return files without those that were named before, under whatever path, and say which these are."""
    found: dict[Path, Path] = {}
    for file in files:
        first = found.setdefault(file.resolve(), file)
        if first is not file:
            note(f"{file} is named twice, and counted once")
    return list(found.values())


@dataclass(slots=True)
class Once:
    """Passes on each conversation once. The same is: the same id, and the same turns; labels make no other of it.

    `repeated` were left out. `namesakes` have the id of another and other turns: they are counted.
    """

    repeated: int = 0
    namesakes: int = 0
    _turns_of: dict[bytes, set[bytes]] = field(default_factory=dict)

    def of(self, files: Iterable[Path]) -> Iterator[Recorded]:
        """Yield the conversations of files, in their order."""
        for file in files:
            for each in conversations(file):
                if self._is_new(each):
                    yield each

    def tell(self) -> None:
        """Say on stderr what was left out, and what looks as if it should have been."""
        if self.repeated:
            were = "conversation" if self.repeated == 1 else "conversations"
            note(f"left out {self.repeated:,} {were} that stood in the files before: each is counted once")
        if self.namesakes:
            have = "conversation has" if self.namesakes == 1 else "conversations have"
            note(f"warning: {self.namesakes:,} {have} the id of another and other turns; each is counted")

    def _is_new(self, each: Recorded) -> bool:
        known = self._turns_of.setdefault(_digest(each.conversation_id), set())
        turns = _digest([(one.turn, one.at_ms) for one in each.turns])
        if turns in known:
            self.repeated += 1
            return False
        self.namesakes += bool(known)
        known.add(turns)
        return True


def _digest(value: object) -> bytes:
    return blake2b(repr(value).encode("utf-8", "backslashreplace"), digest_size=DIGEST_BYTES).digest()


def folders_once(folders: Iterable[Path]) -> list[Path]:
    """Return parts of turn logs without those that were there before, by path or by content, and say how many."""
    places: set[Path] = set()
    kept: dict[tuple[int, ...], list[Path]] = {}
    once: list[Path] = []
    left_out = 0
    for folder in folders:
        # Only folders of the same sizes are read: a copy has the same ones.
        files = sorted(file for file in folder.iterdir() if file.is_file())
        alike = kept.setdefault(tuple(file.stat().st_size for file in files), [])
        if folder.resolve() in places or any(_contents(folder) == _contents(other) for other in alike):
            left_out += 1
            continue
        places.add(folder.resolve())
        alike.append(folder)
        once.append(folder)
    if left_out:
        were = "a part" if left_out == 1 else f"{left_out:,} parts"
        note(f"left out {were} of a turn log that was named before: each is counted once")
    return once


def _contents(folder: Path) -> list[bytes]:
    found: list[bytes] = []
    for path in sorted(file for file in folder.iterdir() if file.is_file()):
        with path.open("rb") as file:
            found.append(file_digest(file, "blake2b").digest())
    return found
