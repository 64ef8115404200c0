"""docs/session.md is what happens: the recorded session is run again, and every step shows the same."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator

import pytest

from tests.docs.recorded_session import (
    INTRODUCTION,
    PAGE,
    RECORDED,
    STEPS,
    Step,
    folder,
    page,
    record,
    without_what_changes,
)

pytestmark = pytest.mark.walk


@pytest.fixture(scope="module")
def recorded() -> Iterator[dict[str, str]]:
    with folder() as place:
        yield {step.name: block for step, block in record(place, with_data=RECORDED.exists())}


def parts() -> list[str]:
    return re.split(r"^(?=## \d+\. )", PAGE.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("number", range(1, len(STEPS) + 1), ids=[step.name.replace(" ", "-") for step in STEPS])
def test_a_step_shows_what_it_showed_when_it_was_recorded(recorded: dict[str, str], number: int) -> None:
    step: Step = STEPS[number - 1]
    if step.needs_data and not RECORDED.exists():
        pytest.skip("the recorded conversations are not in this checkout")
    now = page([(step, recorded[step.name])]).removeprefix(INTRODUCTION).replace("## 1. ", f"## {number}. ").strip()
    # `make session` writes the page anew; read what has changed before you keep it.
    assert without_what_changes(parts()[number].strip()) == without_what_changes(now)


def test_the_page_has_no_step_more(recorded: dict[str, str]) -> None:
    assert parts()[0].strip() == INTRODUCTION.strip()
    assert len(parts()) == len(STEPS) + 1 == len(recorded) + 1


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded conversations are not in this checkout")
def test_no_words_of_the_recorded_conversations_are_on_the_page() -> None:
    told = PAGE.read_text()
    with gzip.open(RECORDED, "rt") as rows:
        turns = [turn["text"] for row in rows for turn in json.loads(row)["turns"] if turn.get("text")]
    sentences = {sentence.strip() for text in turns for sentence in re.split(r"[.!?\n]", text)}
    assert len(sentences) > 1_000
    assert [sentence for sentence in sentences if len(sentence) > 25 and sentence in told] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dec_0_a3ee61d1274eaeaff3b3", "dec_0_6d759dc9287159324305"),
        ("ruleset 622fb48b53da", "ruleset 5b63b9ca948a"),
        ("2026-11-21 12:27 UTC  x", "2027-01-01 00:00 UTC  x"),
        ('"since_at_ms":1795264076745,', '"since_at_ms":1,'),
        ("5,123 turns a second", "980 turns a second"),
        ("my-rules: 19 files, 89 rules", "my-rules: 18 files, 120 rules"),
    ],
)
def test_what_changes_with_every_run_is_left_out(one: str, other: str) -> None:
    assert without_what_changes(one) == without_what_changes(other) != one
