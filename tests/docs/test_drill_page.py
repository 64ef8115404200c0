"""docs/drill.md says what is true: its numbers and its commands are the code's own."""

from __future__ import annotations

from pathlib import Path

from rules.drills import DAY_MS, EVERY_MS_MAX, EVERY_MS_MIN, WITHIN_MS_MAX, WITHIN_MS_MIN
from rules.marks import DRILL_MARK
from rules.telling.tell_text import _WORDS
from service.cli.drill import drill
from service.flows.drills import LOOK_EVERY_MS

PAGE = (Path(__file__).parents[2] / "docs" / "drill.md").read_text()


def test_the_numbers_of_the_page_are_those_that_are_held() -> None:
    assert (WITHIN_MS_MIN, WITHIN_MS_MAX) == (1_000, DAY_MS)
    assert "(1 s to 1 day)" in PAGE
    assert (EVERY_MS_MIN, EVERY_MS_MAX) == (3_600_000, 92 * DAY_MS)
    assert "`--every` is an hour at least and 92 days at most" in PAGE
    assert f"each {LOOK_EVERY_MS // 1000} seconds" in PAGE


def test_every_command_is_on_the_page_and_so_is_the_mark() -> None:
    names = [command.name for command in drill.registered_commands]
    assert [name for name in names if f"handrail drill {name}" not in PAGE] == []
    assert f"`{DRILL_MARK}`" in PAGE
    assert _WORDS["en"]["drill"].startswith("FIRE DRILL")
