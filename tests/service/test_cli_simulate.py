"""`handrail simulate` as somebody who plans a rota uses it, and what it says of files that are none."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.service.cli_run import handrail as run

RULES = """
handrail: 1
queues:
  cards:
    answer_within: 30m
    on_timeout: {verdict: callback, say: {en: "We will call you back."}}
    say: {en: "One moment."}
    language: customer
rules:
  - {id: unsure, why: unsure, when: confidence < 0.5, then: {escalate: cards}}
"""
OPERATORS = """
operators:
  - {name: mia, languages: [en]}
  - {name: ana, languages: [es], hours: [{days: [mon], from: "09:00", to: "17:00"}]}
"""
MONDAY = "2026-11-16T1"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "rules.yaml").write_text(RULES)
    (rules / "operators.yaml").write_text(OPERATORS)
    rows = ["at,queue,locale,handling_s,waited_s,gave_up"]
    rows += [f"{MONDAY}{hour}:{minute:02d}:00Z,cards,es,600,0," for hour in range(3) for minute in range(0, 60, 5)]
    rows += [f"{MONDAY}{hour}:0{minute}:30Z,cards,en,60,0," for hour in range(3) for minute in range(0, 9, 3)]
    rows += [f"{MONDAY}2:40:00Z,cards,es,,1200,true"]
    (tmp_path / "calls.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_two_more_spanish_speakers_shorten_the_wait_of_those_who_speak_it(house: Path) -> None:
    done = run(
        "simulate", str(house / "rules"), str(house / "calls.csv"), "--add", "2 {languages: [es]}", "--json",
        "--warm-up", "1m",
    )  # fmt: skip  # what the user types stands on one line
    assert done.exit_code == 0, done.stderr
    now, added = json.loads(done.stdout)["people"]
    assert (now["name"], added["name"], len(now["runs"])) == ("now", "added", 5)
    for before, after in zip(now["runs"], added["runs"], strict=True):
        assert before["all"]["came"] == after["all"]["came"] == 44
        assert after["all"]["wait_ms"]["mean"] < before["all"]["wait_ms"]["mean"]
        assert after["all"]["gave_up"] < before["all"]["gave_up"]
        assert set(after["busy_by_operator"]) == {"mia", "ana", "added-1-1", "added-1-2"}


def test_so_many_people_can_do_everything_that_the_queues_ask_for(house: Path) -> None:
    skilled = RULES.replace("language: customer", "needs: {fraud: 4}\n    ladder: [{after: 5m, needs: {law: 10}}]")
    (house / "rules" / "rules.yaml").write_text(skilled)
    done = run("simulate", str(house / "rules"), str(house / "calls.csv"), "--operators", "9", "--json", "--runs", "1")
    assert done.exit_code == 0, done.stderr
    (now,) = json.loads(done.stdout)["people"]
    assert (now["runs"][0]["all"]["answered"], "warning" in done.stderr) == (now["runs"][0]["all"]["came"], False)


def test_people_who_can_take_nothing_of_what_came_are_told(house: Path) -> None:
    (house / "rules" / "rules.yaml").write_text(RULES.replace("language: customer", "needs: {fraud: 4}"))
    words = ["simulate", str(house / "rules"), str(house / "calls.csv"), "--runs", "1"]
    done = run(*words, "--add", "2 {languages: [es]}")
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    nobody = "no operator can take what waits in the queue `cards`: nobody has the skill `fraud`"
    assert warnings == [
        f"warning: now: {nobody}",
        f"warning: added: {nobody}",
        "warning: added: the people of --add can take nothing of what came; give them `skills` in the braces",
    ]


def test_the_tables_say_what_was_played(house: Path) -> None:
    done = run("simulate", str(house / "rules"), str(house / "calls.csv"), "--runs", "1", "--against", "9")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "46 arrivals in 0.1 days, played once; the first 1h are not counted",
        "people give up as the recording says: those who did, then; the others drawn from beyond their wait",
        "now: 2 people; against: 9 people",
    ]
    assert " ".join(lines[4].split()) == "people came answered gave up missed in time mean half by 9 of 10 by"
    assert " ".join(lines[6].split()) == "against 31 100.0 % 0.0 % 0.0 % 100.0 % 0s 0s 0s"


def test_a_plot_is_a_picture_that_asks_nobody_for_anything(house: Path) -> None:
    picture = house / "waits.svg"
    done = run(
        "simulate", str(house / "rules"), str(house / "calls.csv"), "--runs", "1", "--add", "1 {languages: [es]}",
        "--plot", str(picture),
    )  # fmt: skip  # what the user types stands on one line
    assert done.exit_code == 0, done.stderr
    text = picture.read_text()
    assert ElementTree.fromstring(text).tag.endswith("svg")
    # It is read on light and on dark, begins at nothing, and tells its lines apart by more than their colour.
    assert text.count("@media (prefers-color-scheme: dark)") == 1
    assert ">0</text>" in text
    assert "stroke-dasharray:9,4" in text
    assert "mean wait in minutes" in text
    assert not re.findall(r"(?:href|src)=", text)


def test_all_is_counted_where_the_recording_is_shorter_than_the_warm_up(house: Path) -> None:
    done = run("simulate", str(house / "rules"), str(house / "calls.csv"), "--warm-up", "1d", "--json", "--runs", "1")
    assert json.loads(done.stdout)["warm_up_ms"] == 0
    assert "the arrivals span less than the warm-up of 1d: all of them are counted" in done.stderr


def test_json_lines_are_read_too_and_compressed_ones(house: Path) -> None:
    rows = "".join(json.dumps({"at": f"{MONDAY}0:0{n}:00Z", "handling_s": 5, "locale": "en"}) + "\n" for n in range(9))
    path = house / "calls.jsonl.gz"
    path.write_bytes(gzip.compress(rows.encode()))
    done = run("simulate", str(house / "rules"), str(path), "--json", "--runs", "1", "--warm-up", "1s")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["people"][0]["runs"][0]["all"]["answered"] == 8


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"", "arrivals are read from .csv, .csv.gz, .jsonl, .jsonl.gz, .ndjson"),
        ("a.csv", b"at,handling_s\n2026-11-16,5,9\n", ":2: 3 values, and the first line names 2"),
        ("a.csv", b"when\n2026-11-16\n", ":2: the field `when` is none of at, queue, priority, kind, locale,"),
        ("a.csv", b"at\n\xff\n", ":2: byte 1 is not UTF-8"),
        ("a.jsonl", b'{"at": "2026-11-16"\n', ":1:20: not JSON: expecting ',' delimiter"),
        ("a.jsonl", b"[" * 100_000 + b"\n", ":1: a number too long, or nested too deep, to be read"),
        ("a.jsonl", b'{"at": ' + b"9" * 5_000 + b"}\n", ":1: a number too long, or nested too deep, to be read"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"at": "2026-11-16"}\n' * 99, mtime=0)[:-9],
            ": the gzip data are broken or end too early",
        ),
        ("a.jsonl", b"", "error: nobody came"),
        ("a.jsonl", b'{"at": "2026-11-16"}\n', "error: no handling time was recorded"),
    ],
)
def test_files_that_hold_no_arrivals_are_refused_at_their_place(
    house: Path, name: str, content: bytes, told: str
) -> None:
    (house / name).write_bytes(content)
    done = run("simulate", str(house / "rules"), str(house / name))
    assert done.exit_code == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--operators", "0"), "error: 0 operators\n       name 1 to 2000"),
        (("--operators", "nowhere.yaml"), "nowhere.yaml: no such file"),
        (("--add", "many"), "error: `--add many` does not begin with a number"),
        (("--add", "2 languages"), "has no keys in braces after its number"),
        (("--add", "2 {langauges: [es]}"), "did you mean `languages`?"),
        (("--queue", "loans"), "error: there is no queue `loans`\n       there are cards"),
        (("--warm-up", "soon"), "error: `--warm-up` is no time"),
        (("--plot", "waits.png"), "waits.png: a plot is an SVG picture"),
    ],
)
def test_options_that_make_no_sense_say_what_would(house: Path, options: tuple[str, ...], told: str) -> None:
    done = run("simulate", str(house / "rules"), str(house / "calls.csv"), "--runs", "1", *options)
    assert done.exit_code in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
