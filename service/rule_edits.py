"""Edits of a directory of rule files, noticed by looking: what is new, once it holds still. Nothing is compiled here.

Looking works where file events do not: on network file systems, through swapped symlinks, in containers without a free
inotify watch, and for a directory that goes and comes back. It costs a look of 0.2 ms ten times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from rules.files.files_hash import files_hash
from service import rule_files
from service.clock import now_ms
from service.rule_files import RulesUnreadable, Stamp

# An edit counts when two looks in a row find the same: a file that is saved in two writes, a checkout of thirty files.
# Two looks and a compile must fit into the second in which an edit is to be live.
LOOK_EVERY_MS = 100
# A directory with so many files that a look takes long is looked at less often: a look may take a tenth of the time.
LOOK_SHARE = 10
LOOK_EVERY_MS_MAX = 500
# What got smaller holds still for longer: it may be the first half of a file whose writer pauses, and half of a rule
# file is mostly a rule file. With the compile of 500 rules it is still live within the second.
SHRUNK_STILL_MS = 300
# What changes at every look (a program that writes without end) is taken as it stands after this.
MOVING_MS_MAX = 1_000
# Two writes within one tick of the file system's clock leave one and the same time of change, and some file systems
# count in twos of seconds: what has changed that recently is read again although it looks the same.
YOUNG_MS = 2_000

Texts: TypeAlias = Mapping[str, str]


class Edits:
    """What a directory of rule files holds that is new to whoever asks. `known` is the hash of what is known.

    `with_tests` looks at the tests beside them too, and returns them with the rule files.
    """

    def __init__(
        self, directory: Path, known: str, clock: Callable[[], int] = now_ms, *, with_tests: bool = False
    ) -> None:
        self.directory = directory
        self._known = known
        self._clock = clock
        self._with_tests = with_tests
        self._settled: Stamp | str | None = None
        self._last: Stamp | str | None = None
        self._last_since_ms = 0
        self._moving_since_ms: int | None = None

    @property
    def moving(self) -> bool:
        """Return whether the last look found a change that the next one has yet to find unchanged."""
        return self._moving_since_ms is not None

    def look(self) -> Texts | RulesUnreadable | None:
        """Return the rule files as they are now, or why they cannot be read; None when nothing is new or it moves."""
        moment_ms, stamp = self._clock(), self._stamp()
        if stamp == self._settled and not _is_young(stamp, moment_ms):
            self._last, self._moving_since_ms = stamp, None
            return None
        if not self._holds_still(stamp, moment_ms):
            return None
        found = self._read()
        # What changed while it was read may be half of one edit and half of another.
        if not self._holds_still(self._stamp(), moment_ms):
            return None
        self._settled, self._moving_since_ms = self._last, None
        name = str(found) if isinstance(found, RulesUnreadable) else files_hash(found)
        if name == self._known:
            return None
        self._known = name
        return found

    def _holds_still(self, stamp: Stamp | str, moment_ms: int) -> bool:
        """Return whether the directory looks as it did for long enough, or has moved for long enough."""
        if stamp == self._last and moment_ms - self._last_since_ms >= self._still_ms(stamp):
            return True
        if stamp != self._last:
            self._last, self._last_since_ms = stamp, moment_ms
        if self._moving_since_ms is None:
            self._moving_since_ms = moment_ms
        return moment_ms - self._moving_since_ms >= MOVING_MS_MAX

    def _still_ms(self, stamp: Stamp | str) -> int:
        """Return how long this has to stand before it counts; 0 where a second look is enough."""
        if not isinstance(stamp, Stamp) or not isinstance(self._settled, Stamp):
            return 0
        return SHRUNK_STILL_MS if stamp.shrank_from(self._settled) else 0

    def _stamp(self) -> Stamp | str:
        try:
            return rule_files.stamp(self.directory, with_tests=self._with_tests)
        except RulesUnreadable as unreadable:
            return str(unreadable)

    def _read(self) -> Texts | RulesUnreadable:
        try:
            read = rule_files.read_with_tests if self._with_tests else rule_files.read_directory
            return read(self.directory)
        except RulesUnreadable as unreadable:
            return unreadable


def pause_ms(look_ms: float) -> float:
    """Return how long to wait after a look that took so long."""
    return min(max(LOOK_EVERY_MS, look_ms * LOOK_SHARE), LOOK_EVERY_MS_MAX)


def _is_young(stamp: Stamp | str, moment_ms: int) -> bool:
    return isinstance(stamp, Stamp) and stamp.changed_at_ms > moment_ms - YOUNG_MS
