"""The rules for airline and retail agents: what each holds and lets pass, and what they reach on recorded runs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.replay.conversations import SignalsSeen, play, score
from rules.replay.transcripts import read

ROOT = Path(__file__).parents[2]
FILE = ROOT / "rules" / "library" / "airline-retail-agents.yaml"
RECORDED = ROOT.parent / "shared" / "data" / "tau.dev.jsonl.gz"

Row = Mapping[str, object]


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return build(files_or_raise({FILE.name: FILE.read_text("utf-8")}))


def customer(text: str) -> Row:
    return {"role": "user", "text": text}


def says(text: str) -> Row:
    return {"role": "agent", "text": text}


def calls(name: str, write: bool = True, **args: object) -> Row:
    return {"role": "agent", "text": "", "tool_calls": [{"name": name, "args": args, "write": write}]}


def done(name: str) -> Row:
    return {"role": "tool", "text": "{}", "tool_name": name, "tool_error": False}


TWO = ["item-1", "item-2"]
CASES: list[tuple[str, list[Row], str | None]] = [
    ("a booking is held", [customer("Yes, book it."), calls("book_reservation")], "travel-booking"),
    ("a cancellation is held", [customer("Yes, cancel it."), calls("cancel_reservation")], "travel-cancellation"),
    ("a new flight is held", [customer("Yes, change it."), calls("update_reservation_flights")], "travel-change"),
    ("looking a flight up is not held", [customer("When?"), calls("search_direct_flight", write=False)], None),
    ("a tool of another trade is not held", [customer("I prefer blue."), calls("send_newsletter", to=TWO)], None),
    ("talk without a call is not held", [customer("I would prefer a refund."), says("I will look.")], None),
    (
        "several items after a yes pass",
        [
            customer("Return both."),
            says("Both, to your card?"),
            customer("Yes, please."),
            calls("return_items", ids=TWO),
        ],
        None,
    ),
    (
        "several items without a yes are held",
        [customer("Return both."), calls("return_items", ids=TWO)],
        "several-items-unconfirmed",
    ),
    ("one item without a yes passes", [customer("Return it."), calls("return_items", ids=["item-1"])], None),
    (
        "a yes holds while the agent looks something up",
        [
            customer("Return both."),
            says("Both?"),
            customer("Yes, go ahead."),
            calls("get_order_details", write=False),
            done("get_order_details"),
            calls("return_items", ids=TWO),
        ],
        None,
    ),
    (
        "a yes ends with the next message",
        [
            customer("Yes, return both."),
            says("And where to?"),
            customer("To my gift card."),
            calls("return_items", ids=TWO),
        ],
        "several-items-unconfirmed",
    ),
    (
        "a yes that is a no is none",
        [customer("That is not correct."), calls("modify_order", ids=TWO)],
        "several-items-unconfirmed",
    ),
    (
        "several items after a preference are held, yes or not",
        [customer("I'd prefer a lighter one."), says("These two?"), customer("Yes."), calls("modify_order", ids=TWO)],
        "several-items-by-preference",
    ),
    (
        "one item after a preference and a yes passes",
        [customer("I'd prefer a lighter one."), says("This?"), customer("Yes."), calls("modify_order", ids=["item-1"])],
        None,
    ),
    (
        "one item after a preference without a yes is held",
        [customer("I'd prefer a lighter one."), calls("exchange_items", ids=["item-1"])],
        "preference-unconfirmed",
    ),
    (
        "a preference of long ago still counts",
        [
            customer("I prefer mail."),
            says("Noted."),
            customer("Change the lamp."),
            calls("modify_order", ids=["item-1"]),
        ],
        "preference-unconfirmed",
    ),
]


@pytest.mark.parametrize(("rows", "rule"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_conversation_is_held_by_the_rule_that_is_meant(ruleset: Ruleset, rows: list[Row], rule: str | None) -> None:
    stop = play(ruleset, read({"id": "c1", "turns": rows})).stop
    assert (stop.rules[0] if stop else None) == rule
    assert stop is None or stop.verdict == "hold"


def test_every_rule_has_a_case(ruleset: Ruleset) -> None:
    assert {rule.id for rule in ruleset.files.rules} == {rule for _, _, rule in CASES} - {None}


def test_no_id_or_name_of_a_recorded_task_is_in_the_file() -> None:
    text = FILE.read_text("utf-8")
    assert not [line for line in text.splitlines() if any(mark in line for mark in ("#W", "HAT0", "_id", "user_id"))]


@pytest.mark.skipif(not RECORDED.exists(), reason=f"needs the recorded conversations at {RECORDED}")
def test_they_reach_their_target_on_the_recorded_conversations(ruleset: Ruleset) -> None:
    seen = SignalsSeen()
    with gzip.open(RECORDED, "rt", encoding="utf-8") as lines:
        scores = score(ruleset, [play(ruleset, read(json.loads(line)), seen) for line in lines], seen)
    assert scores.bad_writes_stopped.n / scores.bad_writes_stopped.of >= 0.50
    assert scores.load.n / scores.load.of <= 0.20
