"""docs/chains.md says what is true: its tables are the code's own, its case passes, its picture is what is printed."""

from __future__ import annotations

import re
from pathlib import Path

from rules.cases.runner import render_case, run_cases
from rules.chains.chain import CHAIN_TURNS_MAX, ODD
from rules.chains.disagreements import (
    CHAIN_COMPARISONS_MAX,
    CHAIN_VALUES_MAX,
    DISAGREEMENTS,
    STEP_VALUES_MAX,
    TURN_COMPARISONS_MAX,
)
from rules.chains.same_matter import SENTENCES, VALUE_CHARS_MAX
from rules.chains.standing import CHAIN_SIGNALS
from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.packet.packet_chain import STATIONS_MAX
from service.cli.chain import lines_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "chains.md").read_text("utf-8")


def first_cells(heading: str) -> list[str]:
    section = PAGE.split(f"| {heading} |")[1].split("\n\n")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_the_tables_are_those_of_the_code() -> None:
    assert first_cells("signal") == [*CHAIN_SIGNALS, "parent.agent"]
    assert first_cells("kind") == list(DISAGREEMENTS)
    assert first_cells("`odd`") == list(ODD)
    assert all(f"| `{kind}` | {fact} |" in PAGE for kind, fact in ODD.items())


def test_the_numbers_are_those_that_are_held() -> None:
    assert f"texts of up to {VALUE_CHARS_MAX} characters" in PAGE
    assert f"newest {CHAIN_TURNS_MAX} turns" in PAGE
    assert STATIONS_MAX - 2 == 14
    assert "the newest fourteen" in PAGE
    assert f"{STEP_VALUES_MAX:,} values of one message's calls and the newest {CHAIN_VALUES_MAX:,}" in PAGE
    assert f"{TURN_COMPARISONS_MAX:,} comparisons for a turn and {CHAIN_COMPARISONS_MAX:,} for the record" in PAGE
    named = re.search(r"hold sentences \(([^)]+), …\)", PAGE)
    assert named is not None
    assert set(re.findall(r"`(\w+)`", named[1])) <= SENTENCES


def test_the_case_passes_with_the_library() -> None:
    library = [path for path in (ROOT / "rules" / "library").glob("*.yaml") if not path.name.endswith(".tests.yaml")]
    ruleset = build(files_or_raise({path.name: path.read_text("utf-8") for path in library}))
    (case,) = re.findall(r"```yaml\n(handrail_tests.*?)```", PAGE, re.DOTALL)
    (result,) = run_cases(ruleset, {"chains.tests.yaml": case})
    assert result.passed, render_case(result)


def test_the_picture_is_what_is_printed() -> None:
    def turn(turn_id: str, verdict: str = "continue", *failed: str) -> dict[str, object]:
        return {"turn_id": turn_id, "at_ms": 0, "verdict": verdict, "tool_errors": list(failed)}

    def station(agent: str, under: int | None, *turns: dict[str, object]) -> dict[str, object]:
        return {"agent": agent, "under": under, "returned": False, "conversation_id": None, "turns": turns}

    differ = "issue_refund.amount_usd is 80 for billing (turn t-2) and 120 for refunds"
    because = [f"amounts_differ_usd 40 > 1 (amounts_apart_usd): {differ}", "writes_proposed_count 1 >= 1"]
    why = "two agents came to different results, and one of them is about to go out"
    told = {
        "conversation_id": "c-1001",
        "agents": ["triage", "billing", "refunds"],
        "handovers": 2,
        "returns": 0,
        "turns_before": 0,
        "came_from": [],
        "stations": [
            station("triage", None, turn("t-1")),
            station("billing", 0, turn("t-2"), turn("t-3", "continue", "find_order")),
            station("refunds", 1, turn("t-4", "hold")),
        ],
        "broke": {
            "station": 2,
            "agent": "refunds",
            "turn_id": "t-4",
            "verdict": "hold",
            "path": ["triage", "billing", "refunds"],
            "rules": [{"id": "agents-disagree", "why": why, "because": because}],
            "handoff_id": "hof_0_5f0c9a7be1d24386",
        },
        "disagreements": [{"sentence": differ}],
        "calls_not_compared": 0,
        "odd": [],
    }
    picture = PAGE.split("$ handrail chain c-1001\n")[1].split("\n```")[0]
    assert "\n".join(lines_of(told)) == picture
    *_, last = lines_of(told | {"calls_not_compared": 3})
    assert last == "3 calls not compared: too many for one conversation"
