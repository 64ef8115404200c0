"""`handrail describe`: the agents of a directory, one agent's page in each form, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.service.cli_run import RULES, as_json, handrail, rows_in, rules_in

AGENTS = """
agents:
  refund-bot:
    id: acme/refunds
    title: Refunds
    purpose: Gives money back.
    owner: Dana Ruiz
    autonomy: {default: full, versions: {"3": pilot}}
    may: {tools: [find_order], amount_usd: 100}
    hands_over: {to: desk, when: [legal]}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return rules_in(tmp_path / "rules", RULES + AGENTS)


def test_without_a_name_it_lists_the_agents(rules: Path) -> None:
    result = handrail("describe", "--rules", str(rules))
    assert (result.exit_code, result.stdout) == (
        0,
        "agents\nagent       title    owner      autonomy               rules\n"
        "refund-bot  Refunds  Dana Ruiz  full, version 3 pilot      6\n",
    )


def test_the_list_as_json(rules: Path) -> None:
    shown = as_json(handrail("describe", "--rules", str(rules), "--json"))
    assert shown["agents"] == [
        {
            "agent": "refund-bot",
            "title": "Refunds",
            "owner": "Dana Ruiz",
            "autonomy": "full, version 3 pilot",
            "rules": 6,
        }
    ]
    assert len(shown["ruleset"]) == 64


def test_in_a_pipe_the_page_is_markdown_of_today(rules: Path) -> None:
    result = handrail("describe", "refund-bot", "--rules", str(rules))
    assert result.exit_code == 0
    assert result.stdout.startswith("# Job description: Refunds\n\nGives money back.\n")
    assert re.search(r"^Job description of \d{4}-\d\d-\d\d, from ruleset [0-9a-f]{64}\.$", result.stdout, re.MULTILINE)


def test_an_agent_is_found_by_what_it_sends_too(rules: Path) -> None:
    by_name = handrail("describe", "refund-bot", "--rules", str(rules), "--date", "2026-11-21")
    by_id = handrail("describe", "acme/refunds", "--rules", str(rules), "--date", "2026-11-21")
    assert by_name.stdout == by_id.stdout
    assert "Job description of 2026-11-21" in by_id.stdout


def test_the_page_as_text_and_as_html(rules: Path) -> None:
    text = handrail("describe", "refund-bot", "--rules", str(rules), "--format", "text").stdout
    assert text.startswith("Job description: Refunds\nGives money back.\n")
    assert re.search(r"^it may +limit\ncall these tools +find_order$", text, re.MULTILINE)
    page = handrail("describe", "refund-bot", "--rules", str(rules), "--format", "html").stdout
    assert page.startswith("<!doctype html>\n")
    assert "<td>find_order</td>" in page


def test_the_page_as_json_has_the_rules(rules: Path) -> None:
    shown = as_json(handrail("describe", "refund-bot", "--rules", str(rules), "--json"))
    assert [rule["id"] for rule in shown["rules"] if rule["own"]] == [
        "refund-bot/hands-over/legal",
        "refund-bot/outside-scope/tool",
        "refund-bot/outside-scope/amount",
        "refund-bot/pilot/write",
        "refund-bot/pilot/reply",
        "refund-bot/outside-scope/done",
    ]
    assert {rule["id"] for rule in shown["rules"] if not rule["own"]} >= {"legal", "unsure-twice", "big-write"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["refund-bt"], "error: no agent is called `refund-bt`\n       did you mean `refund-bot`?\n"),
        (
            ["zzz"],
            "error: no agent is called `zzz`\n       `handrail describe` lists those that are described\n",
        ),
        (["refund-bot", "--date", "monday"], "error: `monday` is no day\n       write it as 2026-11-21\n"),
        (["refund-bot", "--date", "2026-13-45"], "error: `2026-13-45` is no day\n       write it as 2026-11-21\n"),
        (["refund-bot", "--date", "2026-02-29"], "error: `2026-02-29` is no day\n       write it as 2026-11-21\n"),
        (["refund-bot", "--date", "2026-W13-4"], "error: `2026-W13-4` is no day\n       write it as 2026-11-21\n"),
    ],
)
def test_what_cannot_be_described_is_told_with_the_next_step(rules: Path, words: list[str], told: str) -> None:
    result = handrail("describe", *words, "--rules", str(rules))
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", told)


def test_rules_that_describe_nobody(tmp_path: Path) -> None:
    bare = rules_in(tmp_path / "bare")
    listed = handrail("describe", "--rules", str(bare))
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert listed.stderr == f"{bare}: no agent is described; write `agents:` as docs/agents.md shows\n"
    one = handrail("describe", "refund-bot", "--rules", str(bare))
    assert one.exit_code == 2
    assert one.stderr == f"error: {bare}: no agent is described\n       write `agents:` as docs/agents.md shows\n"


def test_a_replay_holds_the_conversations_of_an_agent_against_its_target(rules: Path, tmp_path: Path) -> None:
    text = (
        (rules / "rules.yaml").read_text().replace("owner: Dana Ruiz", "owner: D\n    targets: {escalation_rate: 15%}")
    )
    rules_in(rules, text)
    legal = [{"role": "user", "text": "my lawyer"}, {"role": "agent", "text": "ok"}]
    rows = [{"id": f"c{n}", "agent": "acme/refunds", "turns": legal} for n in range(20)]
    file = rows_in(tmp_path / "a.jsonl", *rows)
    (scored,) = as_json(handrail("replay", str(rules), str(file), "--json"))["agents"]
    assert scored == {
        "agent": "refund-bot",
        "escalated": {"n": 20, "of": 20, "rate": 1.0, "interval": [0.8389, 1.0]},
        "held": 0,
        "target": 0.15,
        "state": "missed",
    }
    shown = handrail("replay", str(rules), str(file)).stdout
    assert re.search(r"^refund-bot  1\.00 \(20 of 20, 95 % 0\.84 to 1\.00\) +0 +15%  missed$", shown, re.MULTILINE)
