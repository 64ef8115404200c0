"""Budgets in the commands of a manager: tried, tested and replayed under a pressure that somebody assumes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.cli.service_client import Service
from tests.rules.test_shedding import HEAD, UNSURE
from tests.service.cli_run import as_json, handrail, rows_in, rules_in

RULES = HEAD + UNSURE
AT = ("--at", "2026-03-02T09:00")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return rules_in(tmp_path / "rules", RULES)


def test_a_pressure_is_tried_and_saved_as_a_test_that_passes(rules: Path) -> None:
    lines = ("/pressure tier1 120%", "/confidence 0.5", "hello", '/save busy.tests.yaml "half sure"')
    tried = handrail("try", "--rules", str(rules), *AT, stdin="".join(f"{line}\n" for line in lines))
    assert tried.exit_code == 0, tried.output
    assert tried.stdout.startswith(
        "> /pressure tier1 120%\n"
        "`tier1` is at 120% of its budget from now on\n"
        "> /confidence 0.5\n"
        "the next turn has confidence 0.5\n"
        "> hello\n"
        "continue\n"
        "\n"
        "unsure: escalate, the agent is unsure\n"
        "  because confidence 0.5 < 0.55 (low)\n"
        "\n"
        "shed: unsure asked for escalate, and with `tier1` at 120% of its budget that became continue (step of 100%)\n"
    )
    assert 'pressure: {tier1: "120%"}' in (rules / "busy.tests.yaml").read_text()
    assert handrail("test", str(rules)).exit_code == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/pressure", "error: line 1: this needs a queue and how full it is\n       as /pressure tier1 150%\n"),
        (
            "/pressure tier2 150%",
            "error: line 1: the rules give no budget to a queue `tier2`\n       did you mean `tier1`?\n",
        ),
        (
            "/pressure tier1 much",
            "error: line 1: `much` is no share of a budget\n       as /pressure tier1 150%\n",
        ),
    ],
)
def test_a_pressure_that_cannot_be_is_refused(rules: Path, line: str, said: str) -> None:
    tried = handrail("try", "--rules", str(rules), *AT, stdin=f"{line}\n")
    assert (tried.exit_code, tried.stderr) == (2, said)


TESTS = """handrail_tests: 1
cases:
  - name: half sure on a busy day goes on
    message: hello
    confidence: 0.5
    pressure: {tier1: 120%}
    expect: {verdict: continue, rules: [unsure]}
  - name: half sure on a quiet day does not
    message: hello
    confidence: 0.5
    pressure: {tier1: 99%}
    expect: {escalate: tier1}
  - name: it gets busy
    turns:
      - {message: hello, confidence: 0.38, pressure: {tier1: 150%}, expect: {review: tier1}}
      - {message: hello, confidence: 0.35, pressure: {tier1: 200%}, expect: {say: We will call you back today.}}
      - {message: hello, confidence: 0.5, expect: {escalate: tier1}}
"""


def test_a_test_assumes_a_pressure(rules: Path) -> None:
    (rules / "busy.tests.yaml").write_text(TESTS)
    done = handrail("test", str(rules))
    assert done.exit_code == 0, done.output


def test_a_test_that_fails_under_a_pressure_says_what_was_shed(rules: Path) -> None:
    (rules / "busy.tests.yaml").write_text(TESTS.replace("verdict: continue, rules: [unsure]", "escalate: tier1"))
    done = handrail("test", str(rules))
    assert done.exit_code == 1
    assert (
        "shed: unsure asked for escalate, and with `tier1` at 120% of its budget that became continue (step of 100%)"
    ) in re.sub(r"\s+", " ", done.stdout)


@pytest.mark.parametrize(
    ("pressure", "said"),
    [
        ("{tier2: 120%}", "busy.tests.yaml:6:16: R103: unknown queue with a budget `tier2`"),
        ("{tier1: lots}", "busy.tests.yaml:6:23: R146: the pressure of `tier1` is no share of a budget"),
        ("120%", "busy.tests.yaml:6:15: R116: `pressure` is not a map"),
    ],
)
def test_a_pressure_in_a_test_that_cannot_be_is_refused_at_its_place(rules: Path, pressure: str, said: str) -> None:
    (rules / "busy.tests.yaml").write_text(TESTS.replace("{tier1: 120%}", pressure, 1))
    done = handrail("test", str(rules))
    assert done.exit_code == 2
    assert said in done.stdout + done.stderr


def row(number: int, *confidences: float) -> dict[str, Any]:
    turns = [
        turn
        for confidence in confidences
        for turn in ({"role": "user", "text": "hello"}, {"role": "agent", "text": "hi", "confidence": confidence})
    ]
    return {"id": f"c{number}", "needs_human": True, "turns": turns}


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return rows_in(tmp_path / "calls.jsonl", row(1, 0.9, 0.5, 0.35), row(2, 0.9), row(3, 0.38))


@pytest.mark.parametrize(
    ("share", "verdicts", "shed_turns", "stopped", "said"),
    [
        (None, [2, 0, 2], 0, 2, "shed: nothing, as no queue was taken to be over its budget; `--pressure` assumes one"),
        ("99%", [2, 0, 2], 0, 2, "shed with tier1 at 99% of its budget: 0 turns"),
        ("120%", [3, 0, 2], 1, 2, "shed with tier1 at 120% of its budget: 1 turns (unsure on 1)"),
        ("150%", [3, 2, 0], 3, 0, "shed with tier1 at 150% of its budget: 3 turns (unsure on 3)"),
    ],
)
def test_a_replay_assumes_a_pressure(
    rules: Path, calls: Path, share: str | None, verdicts: list[int], shed_turns: int, stopped: int, said: str
) -> None:
    """A conversation that is not stopped goes on, and its later turns are judged too."""
    options = () if share is None else ("--pressure", f"tier1={share}")
    told = as_json(handrail("replay", str(rules), str(calls), "--json", *options))
    assert [told["verdicts"][name] for name in ("continue", "review", "escalate")] == verdicts
    assert (told["turns_shed"], told["rules"][0]["shed_turns"]) == (shed_turns, shed_turns)
    assert (told["stopped"]["n"], told["rules"][0]["stopped"]) == (stopped, stopped)
    assert told["pressure"] == ({} if share is None else {"tier1": int(share[:-1])})
    assert handrail("replay", str(rules), str(calls), *options).stdout.splitlines()[-1] == said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--pressure", "tier2=120%"),
            "error: the rules give no budget to a queue `tier2`\n       queues with a budget: tier1\n",
        ),
        (
            ("--pressure", "tier1"),
            "error: `--pressure tier1` names no queue and its share of a budget\n       as `--pressure tier1=150%`\n",
        ),
        (
            ("--pressure", "tier1=150%", "--against", "rules"),
            "error: `--pressure` is assumed of one ruleset in this process\n"
            "       leave `--pressure` out: `--against` sheds nothing, "
            "and a service sheds by how full its own queues are\n",
        ),
    ],
)
def test_a_pressure_that_no_replay_can_assume_is_refused(
    rules: Path, calls: Path, options: tuple[str, ...], said: str
) -> None:
    done = handrail("replay", str(rules), str(calls), *options)
    assert (done.exit_code, done.stderr) == (2, said)


def test_a_comparison_says_that_nothing_was_shed_in_it(rules: Path, calls: Path, tmp_path: Path) -> None:
    quiet = "judged as if no queue was over its budget: `when_busy` sheds nothing here\n"
    compared = handrail("replay", str(rules), str(calls), "--against", str(rules))
    assert (compared.exit_code, quiet in compared.stderr) == (0, True)
    plain = rules_in(tmp_path / "plain", RULES[: RULES.index("    when_busy")])
    assert "when_busy" not in handrail("replay", str(plain), str(calls), "--against", str(plain)).stderr


@pytest.mark.parametrize(
    ("limit", "pages", "left"),
    [
        (1_500, [1_000, 500], True),
        (5_000, [1_000, 1_000, 1_000], False),
        (20, [20], True),
        (2_500, [1_000] * 2 + [500], False),
    ],
)
def test_the_command_follows_the_pages(
    monkeypatch: pytest.MonkeyPatch, limit: int, pages: list[int], left: bool
) -> None:
    """There are 2,500; the service gives a thousand at most."""
    asked: list[int] = []

    def get(service: Service, path: str) -> dict[str, Any]:
        query = parse_qs(urlsplit(path).query)
        begin, count = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
        asked.append(count)
        assert query["queue"] == ["tier1"]
        numbers = range(begin, min(begin + count, 2_500))
        cursor = str(numbers.stop) if numbers.stop < 2_500 else None
        return {"decisions": [{"decision_id": number} for number in numbers], "cursor": cursor}

    monkeypatch.setattr(Service, "get", get)
    where = ("--url", "http://127.0.0.1:9", "--key", "hr_none")
    told = as_json(handrail("shed", "--queue", "tier1", "--limit", str(limit), "--json", *where))
    assert [each["decision_id"] for each in told["decisions"]] == list(range(min(limit, 2_500)))
    assert (asked, told["cursor"] is not None) == (pages, left)
