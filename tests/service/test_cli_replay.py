"""`handrail replay`: files in, figures out; the same over HTTP as in this process."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from service.cli.conversation_files import SAMPLES
from service.cli.demo_service import demo_service
from tests.service.cli_run import BROKEN, as_json, handrail, rows_in, rules_in

ROW: dict[str, Any] = {
    "id": "c1",
    "needs_human": True,
    "bad_write_index": 3,
    "turns": [
        {"role": "user", "text": "hello"},
        {"role": "agent", "text": "hi"},
        {"role": "user", "text": "refund me"},
        {"role": "agent", "text": "", "tool_calls": [{"name": "refund", "write": True, "amount_usd": 500}]},
        {"role": "agent", "text": "never reached"},
    ],
}
FIGURES = (
    "conversations",
    "turns",
    "verdicts",
    "stopped",
    "precision",
    "recall",
    "load",
    "bad_writes_stopped",
    "rules",
)


def test_the_figures_of_a_labelled_file(tmp_path: Path) -> None:
    rules, file = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", ROW)
    result = handrail("replay", str(rules), str(file), "--json")
    told = as_json(result)
    whole = {"n": 1, "of": 1, "rate": 1.0, "interval": [0.2065, 1.0]}
    assert result.exit_code == 0
    assert (told["conversations"], told["turns"], told["turns_recorded"]) == (1, 2, 3)
    assert told["verdicts"] == {"continue": 1, "review": 0, "hold": 1, "escalate": 0}
    assert (told["labels"], told["truth"]) == ("LABELLED", {"needs_human": 1})
    assert told["bad_writes_stopped"] == told["precision"] == told["recall"] == whole
    assert told["load"] == {"n": 0, "of": 0, "rate": None, "interval": None}
    assert {rule["rule_id"]: rule["status"] for rule in told["rules"]} == {
        "legal": "quiet",
        "unsure-twice": "NO_MATCHING_DATA",
        "big-write": "fired",
        "long-talk": "quiet",
        "no-such-signal": "NO_MATCHING_DATA",
    }
    assert told["turns_per_second"] > 0


def test_a_person_reads_the_same_figures(tmp_path: Path) -> None:
    rules, file = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", ROW)
    text = handrail("replay", str(rules), str(file)).stdout
    assert "recall              1.00 (1 of 1, 95 % 0.21 to 1.00)  of those that needed a person" in text
    assert "load                unknown (0 of 0)" in text
    assert "no times in 1 conversations: a clock of 30 s a turn stands in" in text
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("columns", ["60", "80", "100", "120", "160"])
def test_no_window_is_too_narrow_for_a_rule_s_name_or_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    rules, file = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", ROW)
    told = handrail("replay", str(rules), str(file)).stdout
    assert "…" not in told
    lines = [line.split() for line in told.splitlines()]
    assert ["no-such-signal", "review", "(shadow)", "NO_MATCHING_DATA"] in [words[:4] for words in lines] or [
        "no-such-signal",
        "review",
        "NO_MATCHING_DATA",
    ] in [words[:3] for words in lines]


def test_a_file_without_labels_says_so(tmp_path: Path) -> None:
    row = {"id": "c1", "turns": [{"role": "agent", "text": "hi"}]}
    rules, file = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", row)
    assert as_json(handrail("replay", str(rules), str(file), "--json"))["labels"] == "UNLABELLED"
    assert "labels: UNLABELLED" in handrail("replay", str(rules), str(file)).stdout


def test_packed_files_yaml_and_whole_directories_are_read(tmp_path: Path) -> None:
    rules, folder = rules_in(tmp_path / "rules"), tmp_path / "talks"
    folder.mkdir()
    rows_in(folder / "a.jsonl", ROW)
    with gzip.open(folder / "b.jsonl.gz", "wt") as packed:
        packed.write(json.dumps({**ROW, "id": "c2"}) + "\n\n" + json.dumps({**ROW, "id": "c3"}))
    (folder / "c.yaml").write_text("- {id: c4, turns: [{role: agent, text: hi}]}\n")
    (folder / "notes.txt").write_text("not a conversation")
    told = as_json(handrail("replay", str(rules), str(folder), "--json"))
    assert told["conversations"] == 4
    assert as_json(handrail("replay", str(rules), str(folder), "--limit", "2", "--json"))["conversations"] == 2


@pytest.mark.parametrize(
    ("name", "text", "fact"),
    [
        (
            "a.jsonl",
            "{",
            "a.jsonl:1:2: not JSON: expecting property name enclosed in double quotes",
        ),
        ("a.jsonl", f'{{"id": {"9" * 9999}}}', "a.jsonl:1: a number with more digits than can be read"),
        ("a.jsonl", "[" * 100_000, "a.jsonl: nested deeper than any conversation is"),
        ("a.jsonl", '{"id": "c"}', "a.jsonl:1: the row has no list `turns`"),
        ("a.jsonl", '\n["x"]', "a.jsonl:2: a conversation is a mapping"),
        ("a.jsonl.gz", "not packed", "a.jsonl.gz: the gzip data are broken or end too early"),
        ("a.yaml", "- id: [", "a.yaml:2:1: not YAML"),
        ("a.yaml", "id: c", "a.yaml: a YAML file of conversations is a list"),
        ("a.csv", "id", "a.csv: conversations are read from .jsonl, .jsonl.gz, .ndjson, .yaml, .yml"),
        ("a.jsonl", "", "the files hold no conversation"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_at_its_place(tmp_path: Path, name: str, text: str, fact: str) -> None:
    rules = rules_in(tmp_path / "rules")
    (tmp_path / name).write_text(text)
    result = handrail("replay", str(rules), str(tmp_path / name))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[0] == f"error: {fact}".replace("a.", f"{tmp_path}/a.", 1 if fact[0] == "a" else 0)


@pytest.mark.parametrize("fault", ["cut", "torn"])
def test_a_packed_file_that_was_damaged_is_refused(tmp_path: Path, fault: str) -> None:
    rules, file = rules_in(tmp_path / "rules"), tmp_path / "a.jsonl.gz"
    packed = gzip.compress((json.dumps(ROW) + "\n").encode() * 1_000)
    # Ten bytes of header; a block that begins with 0xff is of a kind that there is none of.
    file.write_bytes(packed[:-20] if fault == "cut" else packed[:10] + b"\xff" * 100)
    result = handrail("replay", str(rules), str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[0] == f"error: {file}: the gzip data are broken or end too early"


def test_a_file_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    result = handrail("replay", str(rules_in(tmp_path / "rules")), str(tmp_path / "nowhere"))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == f"error: {tmp_path}/nowhere: no such file or directory"


def test_broken_rules_are_shown_and_nothing_is_replayed(tmp_path: Path) -> None:
    rules, file = rules_in(tmp_path / "rules", BROKEN), rows_in(tmp_path / "a.jsonl", ROW)
    result = handrail("replay", str(rules), str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "R101: unknown signal `sentimant`" in result.stderr
    assert "error: the rule files cannot be used" in result.stderr


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    rules, file = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", ROW)
    assert handrail("replay", str(rules), str(file), "--truth", "reward").exit_code == 2


def test_the_samples_are_at_least_40_of_five_domains_with_both_answers() -> None:
    told = as_json(handrail("replay", str(Path("rules/library").resolve()), str(SAMPLES), "--json"))
    assert told["conversations"] >= 40
    assert len(told["files"]) == 5
    assert told["truth"] == {"needs_human": told["conversations"]}
    assert min(told["recall"]["of"], told["load"]["of"]) >= 15


@pytest.mark.walk
async def test_over_http_conversations_stay_apart_whatever_they_are_called(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules")
    quiet = {"id": "el mismo ñ", "turns": [{"role": "user", "text": "hello"}, {"role": "agent", "text": "hi"}]}
    legal = {"id": "el mismo ñ", "turns": [{"role": "user", "text": "my lawyer"}, {"role": "agent", "text": "hi"}]}
    file = rows_in(tmp_path / "a.jsonl", quiet, legal, {**quiet, "id": "c" * 200})
    async with demo_service(None, rules, ()) as service:
        words = ("--json", "--over-http", service.url, "--key", service.agent_key, "--concurrency", "1")
        result = await asyncio.to_thread(handrail, "replay", str(rules), str(file), *words)
    told = "warning: 1 conversation has the id of another and other turns; each is counted\n"
    assert (result.exit_code, result.stderr) == (0, told)
    assert as_json(result)["verdicts"] == {"continue": 2, "review": 0, "hold": 0, "escalate": 1}


@pytest.mark.walk
async def test_over_http_gives_the_same_figures_as_in_this_process(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules")
    here = as_json(await asyncio.to_thread(handrail, "replay", str(rules), str(SAMPLES), "--json"))
    async with demo_service(None, rules, ()) as service:
        words = ("replay", str(rules), str(SAMPLES), "--json", "--over-http", service.url, "--key", service.agent_key)
        result = await asyncio.to_thread(handrail, *words)
        wrong_key = await asyncio.to_thread(handrail, *words[:-1], "nobody's")
    there = as_json(result)
    assert (result.exit_code, result.stderr) == (0, "")
    assert {name: there[name] for name in FIGURES if name != "rules"} == {n: here[n] for n in FIGURES if n != "rules"}
    # The service does not tell of shadow rules.
    assert [{**rule, "shadow_turns": 0, "status": ""} for rule in there["rules"]] == [
        {**rule, "shadow_turns": 0, "status": ""} for rule in here["rules"]
    ]
    assert here["verdicts"]["escalate"] > 0
    assert here["verdicts"]["hold"] > 0
    assert wrong_key.exit_code == 2
    assert wrong_key.stderr.startswith("error: the service refused a turn: ")


@pytest.mark.parametrize(
    ("url", "key", "fact"),
    [
        ("127.0.0.1:8321", "k", "the address must start with http:// or https:// and name a host"),
        ("foo", "k", "the address must start with http:// or https:// and name a host"),
        ("http://127.0.0.1:port", "k", "the address cannot be read as one"),
        ("http://127.0.0.1:9", "a key", "the key is empty or holds characters that no key has (a space, a line end)"),
    ],
)
def test_an_address_or_key_that_cannot_be_one_is_refused(tmp_path: Path, url: str, key: str, fact: str) -> None:
    rules, file = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", ROW)
    result = handrail("replay", str(rules), str(file), "--over-http", url, "--key", key)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: {fact}\n       give the address as http://127.0.0.1:8321 and an agent's key with --key\n"
    )


def test_a_service_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    rules, file = rules_in(tmp_path / "rules"), rows_in(tmp_path / "a.jsonl", ROW)
    result = handrail("replay", str(rules), str(file), "--over-http", "http://127.0.0.1:9", "--key", "k")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: no answer from http://127.0.0.1:9: ")
