"""A difference in budgets, and in what is shed over them, is told as stricter or looser, at every pressure."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.compile.rule_files import files_or_raise
from rules.diff.files import diff
from rules.diff.words import lines
from rules.evaluation.evaluate import build
from rules.model import VERDICTS
from tests.rules.test_shedding import HEAD, UNSURE, judged

BASE = HEAD + UNSURE
BUDGET = "    budget: {minutes: 60, over: 1h, minutes_each: 6}\n"
STEPS = UNSURE[UNSURE.index("    when_busy") :]
CASES: dict[str, tuple[str, str, list[str]]] = {
    "a step comes sooner": (
        "over: 150%",
        "over: 120%",
        [
            "only looser: 1 looser",
            "unsure: when it is busy: from 120% of the budget on low 0.4 and a review instead of low 0.4",
        ],
    ),
    "a step comes later": (
        "over: 100%",
        "over: 130%",
        ["only stricter: 1 stricter", "unsure: when it is busy: from 100% of the budget on as ever instead of low 0.4"],
    ),
    "a step's number keeps fewer from a person": (
        "{low: 0.4}",
        "{low: 0.45}",
        [
            "only stricter: 1 stricter",
            "unsure: when it is busy: from 100% of the budget on low 0.45 instead of low 0.4, "
            "from 150% of the budget on low 0.45 and a review instead of low 0.4 and a review, "
            "from 200% of the budget on low 0.45 and a callback instead of low 0.4 and a callback",
        ],
    ),
    "one step sooner and another later": (
        "over: 100%, thresholds: {low: 0.4}}\n      - {over: 150%",
        "over: 110%, thresholds: {low: 0.4}}\n      - {over: 140%",
        [
            "changed, and neither only stricter nor only looser: 1 changed",
            "unsure: when it is busy: from 100% of the budget on as ever instead of low 0.4, "
            "from 140% of the budget on low 0.4 and a review instead of low 0.4",
        ],
    ),
    "nothing is shed any more": (
        STEPS,
        "",
        [
            "only stricter: 1 stricter",
            "unsure: when it is busy: from 100% of the budget on as ever instead of low 0.4, "
            "from 150% of the budget on as ever instead of low 0.4 and a review, "
            "from 200% of the budget on as ever instead of low 0.4 and a callback; "
            "words to the customer from 200% of the budget on: en “We will call you back today.” → none",
        ],
    ),
    "other words when it is busy": (
        "We will call you back today.",
        "We will call you back.",
        [
            "no turn is decided otherwise",
            "unsure: words to the customer from 200% of the budget on: "
            "en “We will call you back today.” → “We will call you back.”",
        ],
    ),
    "a queue has more people": (
        "minutes: 60",
        "minutes: 120",
        [
            "only stricter: 1 stricter",
            "tier1: a budget of 120 minutes over 1h, 6 for a handoff instead of a budget of 60 minutes over 1h, "
            "6 for a handoff, which rules give way to",
        ],
    ),
    "a handoff is thought to take longer": (
        "minutes_each: 6",
        "minutes_each: 9",
        [
            "only looser: 1 looser",
            "tier1: a budget of 60 minutes over 1h, 9 for a handoff instead of a budget of 60 minutes over 1h, "
            "6 for a handoff, which rules give way to",
        ],
    ),
    "more minutes over a longer time": (
        "minutes: 60, over: 1h",
        "minutes: 120, over: 2h",
        [
            "changed, and neither only stricter nor only looser: 1 changed",
            "tier1: a budget of 120 minutes over 2h, 6 for a handoff instead of a budget of 60 minutes over 1h, "
            "6 for a handoff, which rules give way to",
        ],
    ),
}


def told(old: str, new: str) -> list[str]:
    first, *others = lines(diff(files_or_raise({"r.yaml": old}), files_or_raise({"r.yaml": new})))
    return [first, *(line.strip() for line in others if line.startswith("  "))]


@pytest.mark.parametrize("name", CASES)
def test_what_differs_is_told(name: str) -> None:
    old, new, said = CASES[name]
    assert BASE.count(old) == 1
    assert told(BASE, BASE.replace(old, new)) == said


def test_a_budget_that_no_rule_gives_way_to_changes_no_turn() -> None:
    calm = BASE.replace(STEPS, "")
    assert told(calm.replace(BUDGET, ""), calm) == [
        "no turn is decided otherwise",
        "tier1: a budget of 60 minutes over 1h, 6 for a handoff instead of no budget",
    ]
    assert told(calm, calm.replace("minutes: 60", "minutes: 30"))[0] == "no turn is decided otherwise"


def test_steps_of_a_rule_in_shadow_change_no_turn() -> None:
    shadow = BASE.replace("then: {escalate: tier1}", "then: {escalate: tier1}\n    mode: shadow")
    assert told(shadow, shadow.replace("over: 150%", "over: 120%"))[0] == "no turn is decided otherwise"


_STEP = st.tuples(st.sampled_from([None, 0.5, 0.45, 0.4]), st.sampled_from([None, "review", "callback"]))


@st.composite
def _steps(draw: st.DrawFn) -> str:
    """Draw steps that the check lets through: each gives up at least as much as the one before."""
    overs = sorted(draw(st.sets(st.sampled_from([50, 100, 150, 200]), max_size=3)))
    low, turned, items = 0.55, 0, []
    for over in overs:
        number, to = draw(_STEP)
        parts = [f"over: {over}%"]
        if number is not None and number < low:
            low = number
            parts.append(f"thresholds: {{low: {number}}}")
        if to is not None and (rank := ("review", "callback").index(to) + 1) >= turned:
            turned = rank
            parts.append(f"then: {to}" + (", say: {en: Later.}" if to == "callback" else ""))
        if len(parts) > 1:
            items.append(f"      - {{{', '.join(parts)}}}\n")
    return "    when_busy:\n" + "".join(items) if items else ""


@given(
    old=_steps(),
    new=_steps(),
    situations=st.lists(st.tuples(st.integers(0, 300), st.floats(0.3, 0.6)), min_size=1, max_size=8),
)
def test_stricter_is_a_person_at_every_pressure_that_had_one(
    old: str, new: str, situations: Sequence[tuple[int, float]]
) -> None:
    one, other = (files_or_raise({"r.yaml": BASE.replace(STEPS, steps)}) for steps in (old, new))
    overall = diff(one, other).overall
    before, after = build(one), build(other)
    for percent, confidence in situations:
        were, are = (
            VERDICTS.index(judged(each, {"tier1": percent}, confidence=confidence).verdict) for each in (before, after)
        )
        if overall in ("stricter", "same", "words"):
            assert were <= are
        if overall in ("looser", "same", "words"):
            assert were >= are
