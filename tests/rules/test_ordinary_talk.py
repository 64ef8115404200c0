"""Ordinary messages lead to nothing, and a matter said plainly is heard: all shipped rule files together.

A pattern is widened easily and its false alarms show only here. Whoever meets one in the wild adds the kind of sentence
to ordinary_talk.txt, in words of their own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build, evaluate
from rules.turn import Conversation, Turn

HERE = Path(__file__).parent
LIBRARY = HERE.parents[1] / "rules" / "library"


def _lines(name: str) -> list[str]:
    lines = (HERE / name).read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


ORDINARY = _lines("ordinary_talk.txt")
HEARD = [tuple(line.split(": ", 1)) for line in _lines("heard_matters.txt")]


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    paths = [path for path in LIBRARY.glob("*.yaml") if not path.name.endswith(".tests.yaml")]
    return build(files_or_raise({path.name: path.read_text("utf-8") for path in paths}))


def _fired(ruleset: Ruleset, message: str) -> list[str]:
    judged = evaluate(ruleset, Turn("conversation", "turn", message=message), Conversation("conversation"), 0)
    return [rule.id for rule in judged.rules]


def test_there_are_enough_messages_of_both_kinds() -> None:
    assert len(ORDINARY) >= 300
    assert len(set(ORDINARY)) == len(ORDINARY)
    assert len({rule_id for rule_id, _ in HEARD}) >= 35


@pytest.mark.parametrize("message", ORDINARY)
def test_an_ordinary_message_leads_to_nothing(ruleset: Ruleset, message: str) -> None:
    assert _fired(ruleset, message) == []


@pytest.mark.parametrize(("rule_id", "message"), HEARD)
def test_a_matter_said_plainly_is_heard(ruleset: Ruleset, rule_id: str, message: str) -> None:
    assert rule_id in _fired(ruleset, message)
