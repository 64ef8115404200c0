"""Turn logs on disk: whole parts or nothing, only what is asked for, and a name for whatever is no log."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from rules.model import RuleFiles, Topic
from rules.replay.columns import Asked
from rules.replay.transcripts import RecordedTurn
from rules.replay.turn_log import Part, part_of
from rules.replay.turn_rows import LogUnreadable, Rows, Stretch
from rules.turn import ToolCall, Turn
from service import turn_logs
from service.turn_logs import CALLS, STRETCHES, TURNS, HeldPart, gathered, is_log, parts_of, read_ahead, write_part

NO_TOPICS = RuleFiles("0" * 64, {}, {"fees": Topic("fees", phrases=("hidden fee",))}, {}, {}, ())
ALL = Asked(frozenset({"stretch", "at_ms", "confidence", "no_such_column"}), frozenset({"row", "name"}))


def conversation(number: int, turns: int = 3) -> tuple[str, list[Stretch]]:
    call = ToolCall("refund", {"order": f"W{number}", "card": "4111 1111 1111 1111"}, True, 20.0)
    made = [
        RecordedTurn(
            Turn(f"c{number}", f"t{at}", message="my card is 4111 1111 1111 1111", confidence=0.5, tool_calls=(call,)),
            1_790_000_000_000 + at * 1_000,
            at,
        )
        for at in range(turns)
    ]
    return f"c{number}", [Stretch(tuple(made))]


def part(conversations: int = 2, *, masked: bool = True) -> Part:
    rows = Rows([NO_TOPICS], masked=masked)
    for number in range(conversations):
        rows.add(*conversation(number))
    return part_of(rows)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    made = part()
    write_part(tmp_path / "log", made, "part-0")
    (found,) = parts_of(tmp_path / "log")
    read = found.read(ALL)
    assert found.about == made.about
    assert read.turns.equals(made.turns.select("at_ms", "confidence", "stretch"))
    assert read.calls.equals(made.calls.select("name", "row"))
    assert read.stretches.equals(made.stretches)
    assert found.rows([1]) == {1: made.turns.slice(3, 3).to_dicts()} == HeldPart(made).rows([1])


@pytest.mark.parametrize("named", ["log", "log/part-0", f"log/part-0/{TURNS}", f"log/part-0/{CALLS}"])
def test_a_log_is_named_by_its_folder_a_part_or_a_file(tmp_path: Path, named: str) -> None:
    write_part(tmp_path / "log", part(), "part-0")
    assert is_log(tmp_path / named)
    assert [found.path.name for found in parts_of(tmp_path / named)] == ["part-0"]


def test_a_log_holds_no_personal_data_where_it_is_masked(tmp_path: Path) -> None:
    place = write_part(tmp_path, part(), "part-0")
    told = [str(value) for file in (TURNS, CALLS) for row in pl.read_parquet(place / file).rows() for value in row]
    assert not any("4111 1111" in value for value in told)
    assert "my card is [card ending 1111]" in told


def test_a_part_that_stands_is_never_written_over(tmp_path: Path) -> None:
    place = write_part(tmp_path, part(1), "part-0")
    before = (place / TURNS).read_bytes()
    assert write_part(tmp_path, part(2), "part-0") == place
    assert (place / TURNS).read_bytes() == before
    assert [folder.name for folder in tmp_path.iterdir()] == ["part-0"]


def test_a_part_that_was_cut_off_while_it_was_written_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part(tmp_path, part(1), "part-0")
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(Path, "rename", _killed)
    with pytest.raises(KeyboardInterrupt):
        write_part(tmp_path, part(2), "part-1")
    assert len(list(tmp_path.iterdir())) == 2
    assert [found.path.name for found in parts_of(tmp_path)] == ["part-0"]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_conversations_stand_whole_in_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_logs, "PART_TURNS_MAX", 5)
    made = list(gathered((conversation(number) for number in range(5)), Rows([NO_TOPICS], masked=False)))
    assert [part.turns.height for part in made] == [6, 6, 3]
    assert [part.stretches["conversation_id"].to_list() for part in made] == [["c0", "c1"], ["c2", "c3"], ["c4"]]


def test_parts_are_read_ahead_in_their_order() -> None:
    parts = [HeldPart(part(number)) for number in (1, 2, 3)]
    assert [(place, len(read.stretches)) for place, read in read_ahead(parts, lambda _: ALL)] == [
        (parts[0], 1),
        (parts[1], 2),
        (parts[2], 3),
    ]


@pytest.mark.parametrize("file", [TURNS, CALLS, STRETCHES])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, file: str) -> None:
    place = write_part(tmp_path, part(), "part-0")
    (place / file).write_bytes((place / file).read_bytes()[:-40])
    with pytest.raises(LogUnreadable) as refused:
        [found.read(ALL) for found in parts_of(tmp_path)]
    assert str(refused.value) == f"{place}: a file is broken or cut off, or no Parquet"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    place = write_part(tmp_path, part(), "part-0")
    (place / STRETCHES).unlink()
    with pytest.raises(LogUnreadable) as refused:
        [found.read(ALL) for found in parts_of(tmp_path)]
    assert str(refused.value) == f"{place}: one of its three files is missing"


def test_somebody_elses_parquet_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for file in (TURNS, CALLS, STRETCHES):
        pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other" / file)
    with pytest.raises(LogUnreadable) as refused:
        parts_of(tmp_path)
    assert str(refused.value) == f"{tmp_path / 'other'}: these files are not a turn log that Handrail wrote"


def test_files_of_two_parts_are_not_taken_for_one(tmp_path: Path) -> None:
    one, two = (write_part(tmp_path, part(number), f"part-{number}") for number in (1, 2))
    shutil.copy(two / STRETCHES, one / STRETCHES)
    with pytest.raises(LogUnreadable) as refused:
        parts_of(one)[0].read(ALL)
    assert str(refused.value) == f"{one}: {STRETCHES} tells of other turns than {TURNS} holds"


def test_a_log_of_another_format_is_refused(tmp_path: Path) -> None:
    place = write_part(tmp_path, part(), "part-0")
    turns = pl.read_parquet(place / TURNS)
    turns.write_parquet(place / TURNS, metadata={turn_logs.ABOUT: '{"format": 9}'})
    with pytest.raises(LogUnreadable) as refused:
        parts_of(place)
    assert str(refused.value) == f"{place}: a turn log of format 9, and this Handrail reads format 1"


def test_an_empty_folder_is_no_log(tmp_path: Path) -> None:
    assert not is_log(tmp_path)
    with pytest.raises(LogUnreadable) as refused:
        parts_of(tmp_path)
    assert str(refused.value) == f"{tmp_path}: no turn log stands here"
