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
        "  streak(confidence < $low) >= 2, but streak(confidence < $low) is 1: 1 below 2\n"
        "\n"
        "long-talk: would review, but it lacks\n"
        "  turn_count >= 4, but turn_count is 1: 3 below 4\n"
        "\n"
        "no-such-signal: would review, but it lacks\n"
        "  sentiment < -0.95, but sentiment is unknown\n"
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
        ("{", "stdin: not JSON (Expecting property name enclosed in double quotes)"),
        ("[" * 100_000, "stdin: nested deeper than any turn is"),
        ("[]", "stdin: no turn"),
        ('{"message": "hi"}', "stdin: `conversation_id` is required"),
        ("5", "stdin: the body must be an object"),
        (
            '{"conversation_id": "c", "mesage": "hi"}',
            "stdin: `mesage` is not a field (did you mean `message`?)",
        ),
        ('{"conversation_id": "c", "message": "x", "confidence": 1.5}', "stdin: `confidence` must be at most 1"),
        ('{"conversation_id": "c", "message": "x", "confidence": "0.2"}', "stdin: `confidence` must be a number"),
        (
            '{"conversation_id": "c", "message": "x", "sentiment": NaN}',
            "stdin: reading stopped at line 1, column 55",
        ),
        ('{"conversation_id": "c"}', "stdin: one of `message`, `reply` and `tool_calls` is required"),
        (
            '{"conversation_id": "c", "message": "hi", "message": "a lawyer"}',
            "stdin: an object has the same key twice",
        ),
        (
            '[{"conversation_id": "c", "message": "],{"},\n{"conversation_id": "c", "message": "b", "message": "c"}]',
            "stdin: turn 2: an object has the same key twice",
        ),
        (
            '{"conversation_id": "c", "tool_calls": [{"name": "x", "write": "yes", "amount": "5000"}]}',
            "stdin: `tool_calls.0.write` must be true or false; `tool_calls.0.amount` must be a number",
        ),
        (json.dumps(TURN | {"message": "x" * 40_000}), "stdin: `message` is longer than 32768 characters"),
        (json.dumps(TURN) + " " * 1_048_576, "stdin: the body is larger than 1048576 bytes"),
    ],
)
def test_a_turn_that_cannot_be_read_is_refused_with_the_fact(rules: Path, text: str, fact: str) -> None:
    result = handrail("explain", "-", "--rules", str(rules), stdin=text)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == f"error: {fact}"


def test_what_is_null_is_unknown(rules: Path) -> None:
    unknown = dict.fromkeys(("tool_calls", "topics", "signals", "customer", "agent"))
    plain, null = (
        as_json(handrail("explain", "-", "--rules", str(rules), "--at-ms", "1", "--json", stdin=json.dumps(turn)))
        for turn in (TURN, TURN | unknown)
    )
    assert plain == null


def test_what_is_found_is_told_in_the_turns_own_words_and_a_long_pattern_is_cut(tmp_path: Path) -> None:
    pattern = r"\b(?:speak|talk)(?: directly| now)? (?:to|with) (?:an?|the) (?:real )?(?:person|human|agent)\b"
    rules = rules_in(
        tmp_path / "rules",
        "handrail: 1\n"
        f"topics: {{person: {{phrases: [abogado], patterns: ['{pattern}']}}}}\n"
        "rules: [{id: person, why: one is asked for, when: topics has person, then: continue}]\n",
    )
    turn = json.dumps({"conversation_id": "c", "message": "ABOGADO! Talk to a person \x1b[2J"})
    told = handrail("explain", "-", "--rules", str(rules), stdin=turn)
    assert told.stdout.split("person: continue, one is asked for\n")[1].split("\n\n")[0] == (
        "  because topics has person\n"
        "    `ABOGADO` in the message, characters 0 to 7\n"
        f"    `Talk to a person` in the message, characters 9 to 25, by `{pattern[:60]}…`"
    )


def test_what_a_turn_sends_and_no_rule_can_hear_is_told(tmp_path: Path) -> None:
    rules = rules_in(
        tmp_path / "rules",
        "handrail: 1\n"
        "signals: {risk: number}\n"
        "customer: {plan: text}\n"
        "rules: [{id: r, why: w, when: {all: [risk > 1, customer.plan = gold]}, then: continue}]\n",
    )
    turn = {"conversation_id": "c", "message": "x", "signals": {"risk": "high", "rsk": 2}, "customer": {"plna": "gold"}}
    told = handrail("explain", "-", "--rules", str(rules), stdin=json.dumps(turn))
    assert told.exit_code == 0
    assert told.stderr == (
        "warning: `risk` is declared as number and sent as something else, so it is unknown\n"
        "warning: no rule file declares `rsk`, so no rule can ask for it\n"
        "warning: no rule file declares `customer.plna`, so no rule can ask for it\n"
    )


def test_a_rule_of_which_something_holds_is_nearer_than_one_of_which_nothing_does(tmp_path: Path) -> None:
    rules = rules_in(
        tmp_path / "rules",
        "handrail: 1\n"
        "topics: {harm: {phrases: [harm]}, refunds: {phrases: [refund]}}\n"
        "rules:\n"
        "  - {id: harm, why: w, when: topics has harm, then: continue}\n"
        "  - {id: unsure, why: w, when: {all: [topics has refunds, confidence < 0.5]}, then: continue}\n",
    )
    turn = json.dumps({"conversation_id": "c", "message": "my refund", "confidence": 0.9})
    told = as_json(handrail("explain", "-", "--rules", str(rules), "--json", stdin=turn))
    assert [miss["id"] for miss in told["nearest"]] == ["unsure", "harm"]


def test_nothing_that_a_turn_sends_steers_the_terminal(rules: Path) -> None:
    turn = json.dumps({"conversation_id": "c", "message": "x", "channel": "\x1b[2Jchat\r", "signals": {"\x1b[m": 1}})
    told = handrail("explain", "-", "--rules", str(rules), stdin=turn)
    assert [line.split() for line in told.stdout.splitlines() if "chat" in line] == [["channel", "�[2Jchat�"]]
    assert told.stderr == "warning: no rule file declares `�[m`, so no rule can ask for it\n"
