"""What rule files no longer ask for is told in the words of `diff`; what stands there in another way is no loss."""

from __future__ import annotations

import pytest

from rules.compile.rule_files import files_or_raise
from rules.diff.losses import Losses, losses, names_gone
from rules.model import RuleFiles

TEXT = """handrail: 1
thresholds: {low: 0.5}
topics:
  harm: {regulated: true, source: 988, phrases: [kill myself, end my life]}
  fees: {phrases: [hidden fee, extra charge]}
queues:
  crisis: {answer_within: 1m, on_timeout: {verdict: callback, say: {en: We call.}}, say: {en: One moment.}}
rules:
  - id: self-harm
    why: the customer may harm themselves
    when: topics has harm
    then: {escalate: crisis}
  - id: fees
    why: the customer asks about fees
    when: topics has fees
    then: {review: crisis}
  - id: unsure
    why: the agent is unsure
    when: confidence < $low
    then: {escalate: crisis}
  - id: tried
    why: tried out before it counts
    when: confidence < 0.1
    then: {escalate: crisis}
    mode: shadow
  - id: counted
    why: only counted
    when: turn_count > 3
    then: continue
"""


def of(*edits: tuple[str, str]) -> RuleFiles:
    text = TEXT
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return files_or_raise({"a.yaml": text})


BLOCKS = dict(zip(("self-harm", "fees", "unsure", "tried", "counted"), TEXT.split("  - id: ")[1:], strict=True))


def without(rule_id: str) -> tuple[str, str]:
    return f"  - id: {BLOCKS[rule_id]}", ""


CASES: dict[str, tuple[tuple[tuple[str, str], ...], str, list[str]]] = {
    "a live rule that is gone": (
        (without("unsure"), ("thresholds: {low: 0.5}\n", "")),
        "1 rule that asked for a person is gone",
        ["unsure: removed: it escalated to crisis when `confidence < $low`"],
    ),
    "two of them, and a regulated topic": (
        (without("self-harm"), without("unsure"), ("thresholds: {low: 0.5}\n", ""), ("  harm:", "  other:")),
        "2 rules that asked for a person are gone; 1 regulated topic is gone or lost phrases",
        [
            "self-harm: removed: it escalated to crisis when `topics has harm`",
            "unsure: removed: it escalated to crisis when `confidence < $low`",
            "the topic harm: removed, with 2 phrases and patterns",
        ],
    ),
    "a regulated topic that lost phrases": (
        ((", end my life", ""),),
        "1 regulated topic is gone or lost phrases",
        ["the topic harm: found in fewer texts; removed phrases: “end my life”"],
    ),
    "a topic that is regulated no longer": (
        (("regulated: true, ", ""),),
        "1 regulated topic is gone or lost phrases",
        ["the topic harm is regulated no longer"],
    ),
    "another topic that lost phrases": (((", extra charge", ""),), "", []),
    "a regulated topic with more phrases": ((("kill myself", "kill myself, hurt myself"),), "", []),
    "a rule that was only tried out": ((without("tried"),), "", []),
    "a rule that asks for nobody": ((without("counted"),), "", []),
    "a rule that has another name": ((("- id: unsure", "- id: not-sure"),), "", []),
    "a rule that fires less often": ((("{low: 0.5}", "{low: 0.1}"),), "", []),
    "nothing": ((), "", []),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_lost(case: str) -> None:
    edits, said, lines = CASES[case]
    lost = losses(of(), of(*edits))
    assert (lost.said, list(lost.lines()), lost.count) == (said, lines, len(lines))


def test_what_came_is_no_loss() -> None:
    assert losses(of(without("unsure"), ("thresholds: {low: 0.5}\n", "")), of()) == Losses()


@pytest.mark.parametrize(
    ("edits", "gone"),
    [
        ((), False),
        ((("{low: 0.5}", "{low: 0.1}"),), False),
        ((without("counted"),), True),
        ((("- id: unsure", "- id: not-sure"),), True),
        ((("  fees: {phr", "  costs: {phr"), ("topics has fees", "topics has costs")), True),
        ((("crisis", "urgent"),), True),
    ],
)
def test_names_that_a_test_may_use(edits: tuple[tuple[str, str], ...], gone: bool) -> None:
    assert names_gone(of(), of(*edits)) is gone
    assert not names_gone(of(), of())
