"""`handrail replay --against`: what a candidate decides otherwise, from files, from logs, and by a version's number."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.cli.demo_service import demo_service
from tests.service.cli_run import RULES, as_json, handrail, rows_in, rules_in

CANDIDATE = RULES.replace("amount_usd > 100", "amount_usd > 400").replace(
    "phrases: [lawyer, abogado]", "phrases: [refund]"
)
DAY_MS = 86_400_000


def row(number: int, *turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": f"c{number}", "turns": list(turns), **more}


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "text": text, **more}


def refund(amount: float, **more: Any) -> dict[str, Any]:
    return {"role": "agent", "text": "", "tool_calls": [{"name": "pay", "write": True, "amount_usd": amount}], **more}


ROWS = (
    row(1, user("my card 4111 1111 1111 1111 was charged, refund me"), refund(50), needs_human=True),
    row(2, user("pay me back"), refund(200), needs_human=False, handling_ms=300_000, handling_queue="desk"),
    row(3, user("pay me all of it"), refund(500), needs_human=True),
    row(4, user("my lawyer says refund"), refund(10), needs_human=True),
    row(5, user("hello"), {"role": "agent", "text": "hi"}),
)

WHOLE = """\
{after} (ruleset {after_hash}) against {before} (ruleset {before_hash})
5 turns of 5 conversations, without times of their own
  active:    stopped 0.60 (3 of 5, 95 % 0.23 to 0.88); asked, reviews too: 3
  candidate: stopped 0.60 (3 of 5, 95 % 0.23 to 0.88); asked, reviews too: 3

conversations that end otherwise
                            of all                            wanted                            unknown
newly stopped for a person  0.20 (1 of 5, 95 % 0.04 to 0.62)  1.00 (1 of 1, 95 % 0.21 to 1.00)  0
no longer stopped           0.20 (1 of 5, 95 % 0.04 to 0.62)  0.00 (0 of 1, 95 % 0.00 to 0.79)  0
another verdict or queue    0.00 (0 of 5, 95 % 0.00 to 0.43)  unknown (0 of 0)                  0
asked on another turn       0.00 (0 of 5, 95 % 0.00 to 0.43)  unknown (0 of 0)                  0
wanted: of those whose outcome is known, those that needed a person

turns answered otherwise, up to the first stop: 0.40 (2 of 5, 95 % 0.12 to 0.77)
extra operator minutes for 1,000 conversations: unknown (1 handling time was recorded, 5 are needed)

verdicts
active    candidate  conversations
continue  escalate               1
hold      continue               1

handoffs by queue
queue  active  candidate  more  fewer
desk        3          3     1      1

rules that differ
rule       active    candidate  turns active  turns candidate  new  gone  changed  moved
legal      escalate  escalate              1                2    1     0        0      0
big-write  hold      hold                  2                1    0     1        0      0

newly stopped for a person: 1 of 1
  c1, turn 1 (t1), a person was needed
    message: my card [card ending 1111] was charged, refund me
    active: goes on
    candidate: escalate on turn 1 by legal, queue desk
      legal: topics has legal ("refund")

no longer stopped: 1 of 1
  c2, turn 1 (t1), nobody was needed
    message: pay me back
    active: hold on turn 1 by big-write, queue desk
      big-write: tool call 1: write = true
      big-write: tool call 1: amount_usd 200 > 100
    candidate: goes on
"""


@pytest.fixture
def sets(tmp_path: Path) -> tuple[str, str]:
    return str(rules_in(tmp_path / "active")), str(rules_in(tmp_path / "candidate", CANDIDATE))


def test_a_manager_reads_who_is_stopped_now_and_who_no_longer(tmp_path: Path, sets: tuple[str, str]) -> None:
    before, after = sets
    file = rows_in(tmp_path / "a.jsonl", *ROWS)
    told = as_json(handrail("replay", after, str(file), "--against", before, "--json"))
    result = handrail("replay", after, str(file), "--against", before)
    hashes = {
        "after_hash": told["candidate"]["ruleset"][:12],
        "before_hash": told["against"]["ruleset"][:12],
        "after": after,
        "before": before,
    }
    assert result.exit_code == 0
    assert result.stdout == WHOLE.format(**hashes)


def test_the_same_as_json(tmp_path: Path, sets: tuple[str, str]) -> None:
    told = as_json(
        handrail("replay", sets[1], str(rows_in(tmp_path / "a.jsonl", *ROWS)), "--against", sets[0], "--json")
    )
    fifth = {"n": 1, "of": 5, "rate": 0.2, "interval": [0.0362, 0.6245]}
    assert (told["conversations"], told["stretches"], told["turns"], told["labels"]) == (5, 5, 5, "LABELLED")
    assert told["new"] == {
        "stretches": fifth,
        "wanted": {"n": 1, "of": 1, "rate": 1.0, "interval": [0.2065, 1.0]},
        "unknown": 0,
    }
    assert told["gone"]["stretches"] == fifth
    assert told["verdicts"] == [
        {"before": "continue", "after": "continue", "stretches": 1},
        {"before": "continue", "after": "escalate", "stretches": 1},
        {"before": "escalate", "after": "escalate", "stretches": 1},
        {"before": "hold", "after": "continue", "stretches": 1},
        {"before": "hold", "after": "hold", "stretches": 1},
    ]
    assert told["queues"] == [{"queue": "desk", "before": 3, "after": 3, "more": 1, "fewer": 1}]
    assert told["extra_minutes"] == {
        "minutes": None,
        "interval": None,
        "handlings": 1,
        "from_all_queues": [],
        "per": "1,000 conversations",
    }
    (example,) = told["examples"]["new"]
    assert example == {
        "conversation_id": "c1",
        "turn_id": "t1",
        "turn": 1,
        "message": "my card [card ending 1111] was charged, refund me",
        "needed": True,
        "before": None,
        "after": {"rule_id": "legal", "verdict": "escalate", "queue": "desk", "turn": 1},
        "before_reasons": [],
        "after_reasons": [{"rule_id": "legal", "checks": [{"sentence": "topics has legal", "matched": ["refund"]}]}],
    }
    statuses = {rule["rule_id"]: rule["after"]["status"] for rule in told["rules"]}
    assert statuses == {
        "legal": "fired",
        "unsure-twice": "NO_MATCHING_DATA",
        "big-write": "fired",
        "long-talk": "quiet",
        "no-such-signal": "NO_MATCHING_DATA",
    }


def test_a_ruleset_against_itself_differs_in_nothing(tmp_path: Path, sets: tuple[str, str]) -> None:
    told = as_json(
        handrail("replay", sets[0], str(rows_in(tmp_path / "a.jsonl", *ROWS)), "--against", sets[0], "--json")
    )
    assert [told[kind]["stretches"]["n"] for kind in ("new", "gone", "changed", "moved")] == [0, 0, 0, 0]
    assert told["turns_differing"]["n"] == 0


def test_the_minutes_of_a_day_come_from_real_handling_times(tmp_path: Path, sets: tuple[str, str]) -> None:
    start_ms = 1_790_000_000_000
    handled = [
        row(
            number,
            user("pay me back"),
            refund(200, at_ms=start_ms + number * DAY_MS // 2),
            handling_ms=(4 + number % 5) * 60_000,
            handling_queue="desk",
            outcome="not_needed",
        )
        for number in range(21)
    ]
    told = as_json(
        handrail("replay", sets[1], str(rows_in(tmp_path / "a.jsonl", *handled)), "--against", sets[0], "--json")
    )
    # 21 holds of 6 minutes on average are gone, over ten days.
    assert told["extra_minutes"]["minutes"] == pytest.approx(-12.5, abs=0.2)
    assert (told["extra_minutes"]["per"], told["extra_minutes"]["handlings"]) == ("day", 21)
    low, high = told["extra_minutes"]["interval"]
    assert low < -12.5 < high < 0
    assert told["gone"]["wanted"]["n"] == 0
    assert told["truth"] == {"outcome": 21}


def test_a_log_that_was_written_gives_the_same_delta(tmp_path: Path, sets: tuple[str, str]) -> None:
    file, log = rows_in(tmp_path / "a.jsonl", *ROWS), tmp_path / "log"
    words = ("--against", sets[0], "--json")
    written = handrail("replay", sets[1], str(file), *words, "--write-log", str(log))
    assert "4111" not in "".join(path.read_bytes().decode("latin-1") for path in log.rglob("*.parquet"))
    read = handrail("replay", sets[1], str(log), *words)
    told, again = json.loads(written.stdout), as_json(read)
    assert written.stderr == f"wrote 5 turns to {log / 'part-00000'}\n"
    assert {**told, "topics_read_again": None} == {**again, "topics_read_again": None}


def test_topics_that_the_log_does_not_know_are_looked_for_in_its_texts(tmp_path: Path, sets: tuple[str, str]) -> None:
    file, log = rows_in(tmp_path / "a.jsonl", *ROWS), tmp_path / "log"
    handrail("replay", sets[0], str(file), "--against", sets[0], "--write-log", str(log))
    result = handrail("replay", sets[1], str(log), "--against", sets[0])
    direct = handrail("replay", sets[1], str(file), "--against", sets[0])
    lines = result.stdout.splitlines()
    assert "1 topics are not in the log as these rules have them: masked texts were read again" in lines
    assert [line for line in lines if "read again" not in line] == direct.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("{candidate}", "{file}", "{log}", "--against", "{active}"),
            "error: turn logs and conversation files are compared apart\n       run the command once for each\n",
        ),
        (
            ("{candidate}", "{log}", "--against", "{active}", "--limit", "3"),
            "error: `--limit` and `--write-log` are for conversation files\n       leave them out for a turn log\n",
        ),
        (
            ("{candidate}", "{file}", "--against", "{active}", "--write-log", "{log}"),
            "error: {log}/part-00000 exists\n       name a new directory: a turn log is never written over\n",
        ),
        (
            ("{candidate}", "{file}", "--write-log", "{log}"),
            "error: `--write-log` goes with `--against`\n       name the rules whose topics the log should know\n",
        ),
        (
            ("{candidate}", "{file}", "--against", "{active}", "--over-http", "http://127.0.0.1:1"),
            "error: `--over-http` asks one ruleset, `--against` compares two\n       leave one of them out\n",
        ),
        (
            ("{candidate}", "{file}", "--against", "no-such-rules"),
            "error: no-such-rules: no such directory\n       name a directory of rule files\n",
        ),
        (
            ("{candidate}", "{empty}", "--against", "{active}"),
            "error: the files hold no turn\n"
            "       name files with at least one conversation, or a turn log that is not empty\n",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, sets: tuple[str, str], words: tuple[str, ...], told: str
) -> None:
    file, log = rows_in(tmp_path / "a.jsonl", *ROWS), tmp_path / "log"
    handrail("replay", sets[1], str(file), "--against", sets[0], "--write-log", str(log))
    places = {
        "candidate": sets[1],
        "active": sets[0],
        "file": str(file),
        "log": str(log),
        "empty": str(rows_in(tmp_path / "empty.jsonl")),
    }
    result = handrail("replay", *(word.format(**places) for word in words))
    assert (result.exit_code, result.stderr, result.stdout) == (2, told.format(**places), "")


def test_a_broken_log_is_named(tmp_path: Path, sets: tuple[str, str]) -> None:
    file, log = rows_in(tmp_path / "a.jsonl", *ROWS), tmp_path / "log"
    handrail("replay", sets[1], str(file), "--against", sets[0], "--write-log", str(log))
    place = log / "part-00000"
    (place / "turns.parquet").write_bytes(b"not what it was")
    result = handrail("replay", sets[1], str(log), "--against", sets[0])
    fact = f"error: {place}: a file is broken or cut off, or no Parquet\n"
    assert (result.exit_code, result.stderr) == (2, f"{fact}       docs/replay.md says how a turn log is made\n")


@pytest.mark.walk
async def test_versions_are_compared_by_their_numbers(tmp_path: Path, sets: tuple[str, str]) -> None:
    file = rows_in(tmp_path / "a.jsonl", *ROWS)
    async with demo_service(tmp_path / "data", None, ()) as service:
        where = ("--url", service.url, "--data-dir", str(tmp_path / "data"))
        for rules in sets:
            assert (await asyncio.to_thread(handrail, "push", rules, "-m", "tried", *where)).exit_code == 0
        words = ("replay", "2", str(file), "--against", "ACTIVE", "--json", *where)
        answered = await asyncio.to_thread(handrail, *words)
        assert (answered.stderr, answered.exception) == ("", None)
        library = as_json(answered)
        assert (await asyncio.to_thread(handrail, "activate", "1", *where)).exit_code == 0
        told = as_json(await asyncio.to_thread(handrail, *words))
    direct = as_json(handrail("replay", sets[1], str(file), "--against", sets[0], "--json"))
    assert library["against"]["name"] == "the service's own rules"
    assert (told["candidate"]["name"], told["against"]["name"]) == ("version 2", "version 1")
    assert told["rules"] == direct["rules"]
    assert told["new"] == direct["new"]


def test_another_directory_of_rules_does_not_hide_what_changed(tmp_path: Path, sets: tuple[str, str]) -> None:
    for name, count in (("few", 3), ("many", 40)):
        directory = tmp_path / name
        shutil.copytree(sets[0], directory)
        rules = [
            f"  - {{id: q{at}, why: w, when: turn_count = {1000 + at}, then: {{review: desk}}}}" for at in range(count)
        ]
        (directory / "quiet.yaml").write_text("\n".join(["handrail: 1", "rules:", *rules, ""]), "utf-8")
    rows = str(rows_in(tmp_path / "a.jsonl", *ROWS))
    few = handrail("replay", str(tmp_path / "few"), rows, "--against", sets[0]).stdout
    many = handrail("replay", str(tmp_path / "many"), rows, "--against", sets[0]).stdout
    assert [len(re.findall(r"^q\d+ +no such rule +review, quiet", text, re.MULTILINE)) for text in (few, many)] == [
        3,
        10,
    ]
    assert "that never fired" not in few
    assert "and 30 more that only one of the two has and that never fired; --json lists them\n" in many
