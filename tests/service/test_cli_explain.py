"""`handrail explain`: one turn, why it is decided as it is, and what nearly fired."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.service.cli_run import as_json, handrail, rules_in

TURN = {"conversation_id": "c1", "turn_id": "t9", "message": "I'll ask my lawyer", "confidence": 0.4, "locale": "es-MX"}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return rules_in(tmp_path / "rules")


def test_a_turn_is_explained_with_checks_evidence_and_the_nearest_rules(rules: Path) -> None:
    result = handrail("explain", "-", "--rules", str(rules), stdin=json.dumps(TURN))
    assert result.exit_code == 0
    assert result.stdout.split("what is known")[0] == (
        "escalate to queue `desk`, priority high; reply and tool calls must wait\n"
        "say: Un momento.\n"
        "\n"
        "legal: escalate, a lawyer was named\n"
        "  because topics has legal\n"
        "    `lawyer` in the message, characters 12 to 18\n"
        "\n"
        "unsure-twice: would escalate, but it lacks\n"
        "  streak(confidence < $low) >= 2, but streak(confidence < $low) is 1\n"
        "\n"
        "big-write: would hold, but it lacks\n"
        "  a tool call, but the turn has none\n"
        "\n"
        "long-talk: would review, but it lacks\n"
        "  turn_count >= 4, but turn_count is 1\n"
        "\n"
    )


def test_earlier_turns_count(rules: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.jsonl"
    earlier.write_text(json.dumps({"conversation_id": "c1", "message": "hi", "confidence": 0.3}) + "\n")
    turn = tmp_path / "turn.json"
    turn.write_text(json.dumps({**TURN, "message": "well?"}))
    told = as_json(handrail("explain", str(turn), "--rules", str(rules), "--conversation", str(earlier), "--json"))
    assert (told["verdict"], told["must_stop"], told["queue"]) == ("escalate", True, "desk")
    assert [rule["id"] for rule in told["rules"]] == ["unsure-twice"]
    assert told["rules"][0]["checks"][0]["actual"] == 2
    assert told["signals"]["turn_count"] == 2


def test_the_same_moment_gives_the_same_explanation(rules: Path) -> None:
    words = ("explain", "-", "--rules", str(rules), "--at-ms", "1800000000000", "--json")
    first, second = (as_json(handrail(*words, stdin=json.dumps(TURN))) for _ in range(2))
    assert first == second
    assert first["signals"]["clock.weekday"] == "fri"


def test_what_does_not_fire_says_so(rules: Path) -> None:
    turn = json.dumps({"conversation_id": "c1", "reply": "hello"})
    result = handrail("explain", "-", "--rules", str(rules), stdin=turn)
    assert result.stdout.startswith("continue\nno rule fired\n")


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("{", "-: not JSON (Expecting property name enclosed in double quotes)"),
        ("[]", "-: no turn"),
        ('{"message": "hi"}', "-: conversation_id: field required"),
        ('{"conversation_id": "c", "mesage": "hi"}', "-: mesage: extra inputs are not permitted"),
        ('{"conversation_id": "c"}', "-: none of `message`, `reply` and `tool_calls` is there"),
    ],
)
def test_a_turn_that_cannot_be_read_is_refused_with_the_fact(rules: Path, text: str, fact: str) -> None:
    result = handrail("explain", "-", "--rules", str(rules), stdin=text)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == f"error: {fact}"
