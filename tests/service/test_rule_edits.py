"""Edits of a directory are noticed however they are made, once they hold still, and each of them once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rules.files.files_hash import files_hash
from service import rule_files
from service.rule_edits import (
    LOOK_EVERY_MS,
    LOOK_EVERY_MS_MAX,
    MOVING_MS_MAX,
    SHRUNK_STILL_MS,
    YOUNG_MS,
    Edits,
    pause_ms,
)
from service.rule_files import RulesUnreadable

FIRST, SECOND = "handrail: 1\nrules: []\n", "handrail: 1\nrules: [ ]\n"


class Clock:
    """A clock that the test sets; it starts long after anything on disk has changed."""

    def __init__(self) -> None:
        self.now_ms = 4_000_000_000_000

    def __call__(self) -> int:
        self.now_ms += LOOK_EVERY_MS
        return self.now_ms


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    directory = tmp_path / "rules"
    directory.mkdir()
    (directory / "a.yaml").write_text(FIRST)
    return directory


def edits_of(directory: Path, clock: Callable[[], int] | None = None) -> Edits:
    """Return a watch that knows the directory as it is and has looked at it."""
    watch = Edits(directory, files_hash(rule_files.read_directory(directory)), clock or Clock())
    assert watch.look() is None
    assert watch.look() is None
    return watch


def test_an_edit_is_told_once_when_two_looks_found_the_same(rules: Path) -> None:
    watch = edits_of(rules)
    (rules / "a.yaml").write_text(SECOND)
    assert (watch.look(), watch.moving) == (None, True)
    assert (watch.look(), watch.moving) == ({"a.yaml": SECOND}, False)
    assert [watch.look() for _ in range(5)] == [None] * 5


def test_what_was_edited_before_the_first_look_is_told(rules: Path) -> None:
    watch = Edits(rules, files_hash({"a.yaml": "what was read at the start"}), Clock())
    assert [watch.look(), watch.look()] == [None, {"a.yaml": FIRST}]


def by_rename(rules: Path) -> None:
    (rules / "a.yaml~").write_text(SECOND)
    os.utime(rules / "a.yaml~", (1, 1))
    os.replace(rules / "a.yaml~", rules / "a.yaml")


def by_rename_of_the_same_size_and_time(rules: Path) -> None:
    before = (rules / "a.yaml").stat()
    (rules / "new").write_text(SECOND)
    os.utime(rules / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(rules / "new", rules / "a.yaml")


def by_removal_and_a_new_file(rules: Path) -> None:
    (rules / "a.yaml").unlink()
    (rules / "a.yaml").write_text(SECOND)


def by_a_new_directory_in_its_place(rules: Path) -> None:
    shutil.rmtree(rules)
    rules.mkdir()
    (rules / "a.yaml").write_text(SECOND)


@pytest.mark.parametrize(
    "edit",
    [by_rename, by_rename_of_the_same_size_and_time, by_removal_and_a_new_file, by_a_new_directory_in_its_place],
)
def test_an_edit_is_seen_however_it_is_made(rules: Path, edit: Callable[[Path], None]) -> None:
    watch = edits_of(rules)
    edit(rules)
    assert [watch.look(), watch.look()] == [None, {"a.yaml": SECOND}]


def test_a_mounted_configmap_is_swapped_whole(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    for name, text in (("..2026_1", FIRST), ("..2026_2", SECOND)):
        (mount / name).mkdir(parents=True)
        (mount / name / "a.yaml").write_text(text)
    (mount / "..data").symlink_to("..2026_1")
    (mount / "a.yaml").symlink_to("..data/a.yaml")
    watch = edits_of(mount)
    (mount / "..data_tmp").symlink_to("..2026_2")
    os.replace(mount / "..data_tmp", mount / "..data")
    assert [watch.look(), watch.look()] == [None, {"a.yaml": SECOND}]


def test_a_directory_that_is_itself_a_link_is_followed_when_it_is_swapped(tmp_path: Path) -> None:
    for name, text in (("one", FIRST), ("two", SECOND)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(text)
    (tmp_path / "current").symlink_to("one")
    watch = edits_of(tmp_path / "current")
    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", tmp_path / "current")
    assert [watch.look(), watch.look()] == [None, {"a.yaml": SECOND}]


def test_a_save_in_two_writes_is_seen_whole(rules: Path) -> None:
    watch = edits_of(rules)
    with (rules / "a.yaml").open("w") as file:
        file.write(SECOND[:12])
        file.flush()
        assert watch.look() is None
        file.write(SECOND[12:])
    assert [watch.look(), watch.look()] == [None, {"a.yaml": SECOND}]


@pytest.mark.parametrize("file", ["cut", "gone"])
def test_what_got_smaller_holds_still_for_longer(rules: Path, file: str) -> None:
    (rules / "b.yaml").write_text(SECOND)
    watch = edits_of(rules)
    if file == "cut":
        (rules / "b.yaml").write_text(SECOND[:12])
    else:
        (rules / "b.yaml").unlink()
    looks = [watch.look() for _ in range(SHRUNK_STILL_MS // LOOK_EVERY_MS)]
    assert looks == [None] * len(looks)
    cut = {} if file == "gone" else {"b.yaml": SECOND[:12]}
    assert watch.look() == {"a.yaml": FIRST, **cut}


def test_a_writer_who_pauses_after_half_a_file_is_waited_for(rules: Path) -> None:
    (rules / "b.yaml").write_text(SECOND)
    watch = edits_of(rules)
    (rules / "b.yaml").write_text(SECOND[:12])
    assert [watch.look(), watch.look()] == [None, None]
    (rules / "b.yaml").write_text(SECOND + "# whole\n")
    assert [watch.look(), watch.look()] == [None, {"a.yaml": FIRST, "b.yaml": SECOND + "# whole\n"}]


def test_thirty_files_one_after_the_other_are_one_edit(rules: Path) -> None:
    watch = edits_of(rules)
    for number in range(6):
        (rules / f"b{number}.yaml").write_text(SECOND)
        assert watch.look() is None
    found = watch.look()
    assert isinstance(found, dict)
    assert len(found) == 7


def test_a_directory_that_never_holds_still_is_taken_as_it_stands_after_a_while(rules: Path) -> None:
    watch = edits_of(rules)
    found, looks = None, 0
    while found is None:
        (rules / "a.yaml").write_text(SECOND + "#" * looks)
        found = watch.look()
        looks += 1
    assert (looks - 1) * LOOK_EVERY_MS >= MOVING_MS_MAX > (looks - 3) * LOOK_EVERY_MS


def test_two_writes_in_one_tick_of_the_clock_are_two(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = edits_of(rules)
    stood = rule_files.stamp(rules)
    # As on a file system whose clock ticks in twos of seconds: the second write leaves no trace.
    frozen = rule_files.Stamp(stood.files, watch._clock())
    monkeypatch.setattr(rule_files, "stamp", lambda *_, **__: frozen)
    (rules / "a.yaml").write_text(SECOND)
    assert [watch.look(), watch.look()] == [None, {"a.yaml": SECOND}]
    (rules / "a.yaml").write_text(FIRST)
    assert watch.look() == {"a.yaml": FIRST}
    for _ in range(YOUNG_MS // LOOK_EVERY_MS + 1):
        watch.look()
    (rules / "a.yaml").write_text(SECOND)
    assert watch.look() is None


def test_a_directory_that_is_gone_is_told_once_and_its_return_too(rules: Path, tmp_path: Path) -> None:
    watch = edits_of(rules)
    rules.rename(tmp_path / "elsewhere")
    assert watch.look() is None
    gone = watch.look()
    assert isinstance(gone, RulesUnreadable)
    assert str(gone) == f"{rules}: no such directory; name a directory of rule files"
    assert [watch.look() for _ in range(3)] == [None] * 3
    (tmp_path / "elsewhere").rename(rules)
    assert [watch.look(), watch.look()] == [None, {"a.yaml": FIRST}]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told_and_read_once_it_may(rules: Path) -> None:
    watch = edits_of(rules)
    (rules / "a.yaml").chmod(0)
    assert watch.look() is None
    assert isinstance(watch.look(), RulesUnreadable)
    (rules / "a.yaml").chmod(0o600)
    assert [watch.look(), watch.look()] == [None, {"a.yaml": FIRST}]


def test_a_pipe_among_the_files_is_told_and_not_waited_for(rules: Path) -> None:
    watch = edits_of(rules)
    os.mkfifo(rules / "b.yaml")
    assert watch.look() is None
    told = watch.look()
    assert str(told) == f"{rules}/b.yaml: not a regular file; remove it, or give it another ending"


def test_files_that_are_no_rule_files_are_no_edit(rules: Path) -> None:
    watch = edits_of(rules)
    (rules / ".a.yaml.swp").write_text("x")
    (rules / "a.tests.yaml").write_text("x")
    (rules / "a.yaml~").write_text("x")
    assert [watch.look(), watch.look()] == [None, None]
    assert not watch.moving


def test_tests_are_told_with_the_rules_to_whoever_asks_for_them(rules: Path) -> None:
    watch = Edits(rules, files_hash({"a.yaml": FIRST}), Clock(), with_tests=True)
    assert [watch.look(), watch.look()] == [None, None]
    (rules / "a.tests.yaml").write_text("x")
    both = {"a.yaml": FIRST, "a.tests.yaml": "x"}
    assert [watch.look(), watch.look()] == [None, both]
    # Tests that cannot be read are no reason to leave the rules as they were.
    os.mkfifo(rules / "b.tests.yaml")
    (rules / "a.yaml").write_text(SECOND)
    assert [watch.look(), watch.look()] == [None, {**both, "a.yaml": SECOND}]


@pytest.mark.parametrize(("look_ms", "pause"), [(0.2, LOOK_EVERY_MS), (20, 200), (9_000, LOOK_EVERY_MS_MAX)])
def test_a_directory_that_takes_long_to_look_at_is_looked_at_less_often(look_ms: float, pause: float) -> None:
    assert pause_ms(look_ms) == pause
