"""What is recorded once counts once, however often it is named; and whoever named it twice is told."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.service.cli_run import as_json, handrail, rows_in, rules_in


def row(name: str, text: str = "refund me", **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "text": text}, {"role": "agent", "text": "of course"}]
    return {"id": name, "turns": turns, **more}


ROWS = (row("c1", needs_human=True), row("c2", needs_human=False), row("c3"))
LEFT_OUT = "left out {} that stood in the files before: each is counted once\n"


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    rules, file = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", *ROWS)
    (tmp_path / "link.jsonl").symlink_to(file)
    alone = as_json(handrail("replay", str(rules), str(file), "--json"))
    for other in (file, tmp_path / "link.jsonl", tmp_path / "rules" / ".." / "a.jsonl"):
        result = handrail("replay", str(rules), str(file), str(other), "--json")
        told = as_json(result)
        assert result.stderr == f"{other} is named twice, and counted once\n"
        assert {**told, "elapsed_ms": 0, "turns_per_second": 0} == {**alone, "elapsed_ms": 0, "turns_per_second": 0}


@pytest.mark.parametrize("against", [False, True])
def test_a_row_that_stands_twice_counts_once(tmp_path: Path, against: bool) -> None:
    rules = rules_in(tmp_path / "rules")
    file = rows_in(tmp_path / "a.jsonl", *ROWS, ROWS[1])
    with gzip.open(tmp_path / "copy.jsonl.gz", "wb") as copy:
        copy.write(file.read_bytes())
    words = ("--against", str(rules)) if against else ()
    once = handrail("replay", str(rules), str(file), "--json", *words)
    both = handrail("replay", str(rules), str(file), str(tmp_path / "copy.jsonl.gz"), "--json", *words)
    assert once.stderr == LEFT_OUT.format("1 conversation")
    assert both.stderr == LEFT_OUT.format("5 conversations")
    for told in (as_json(once), as_json(both)):
        assert (told["conversations"], told["turns"]) == (3, 3)
        assert told.get("stretches", 3) == 3


def test_what_was_left_out_does_not_use_up_the_limit(tmp_path: Path) -> None:
    rules, file = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", ROWS[0], ROWS[0], ROWS[1])
    told = as_json(handrail("replay", str(rules), str(file), "--limit", "2", "--json"))
    assert told["conversations"] == 2


def test_two_conversations_of_one_name_both_count_and_are_told(tmp_path: Path) -> None:
    rules, file = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", ROWS[0], row("c1", "where is it?"))
    result = handrail("replay", str(rules), str(file), "--json")
    assert as_json(result)["conversations"] == 2
    assert result.stderr == "warning: 1 conversation has the id of another and other turns; each is counted\n"


def test_a_label_alone_makes_no_other_conversation(tmp_path: Path) -> None:
    rules, file = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", ROWS[0], row("c1", needs_human=False))
    told = as_json(handrail("replay", str(rules), str(file), "--json"))
    assert (told["conversations"], told["truth"]) == (1, {"needs_human": 1})


def test_a_turn_log_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    rules, file, log = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", *ROWS), tmp_path / "log"
    words = ("--against", str(rules), "--json")
    alone = as_json(handrail("replay", str(rules), str(file), *words, "--write-log", str(log)))
    shutil.copytree(log, tmp_path / "copy")
    for other in (log, log / "part-00000", tmp_path / "copy", log / "part-00000" / "turns.parquet"):
        result = handrail("replay", str(rules), str(log), str(other), *words)
        assert result.stderr == "left out a part of a turn log that was named before: each is counted once\n"
        told = as_json(result)
        counts = ("conversations", "stretches", "turns", "truth")
        assert [told[name] for name in counts] == [alone[name] for name in counts]


def test_parts_that_only_look_alike_both_count(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules")
    for name in ("a", "b"):
        file = rows_in(tmp_path / f"{name}.jsonl", row(f"{name}1"))
        handrail("replay", str(rules), str(file), "--against", str(rules), "--write-log", str(tmp_path / f"log-{name}"))
    logs = (str(tmp_path / "log-a"), str(tmp_path / "log-b"))
    result = handrail("replay", str(rules), *logs, "--against", str(rules), "--json")
    assert (as_json(result)["conversations"], result.stderr) == (2, "")
