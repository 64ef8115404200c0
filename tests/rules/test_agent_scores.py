"""The escalation rate of replayed conversations, agent by agent, against its target."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.replay.agent_scores import AgentScore
from rules.replay.conversations import SignalsSeen, play, score
from rules.replay.scorecards import Rate
from rules.replay.transcripts import read

RULES = """handrail: 1
agents:
  refund-bot:
    purpose: x
    owner: y
    autonomy: full
    may: {tools: [look], languages: [en]}
    hands_over: {to: tier1}
    targets: {escalation_rate: 40%}
  other-bot: {id: acme/other, purpose: x, owner: y, autonomy: pilot, hands_over: {to: tier1}}
  new-bot: {purpose: x, owner: y, autonomy: pilot, hands_over: {to: tier1}, targets: {escalation_rate: 10%}}
queues:
  tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: Later.}}, say: {en: One moment.}}
"""


def row(name: str, agent: str | None, locale: str = "en", tool: str = "look") -> dict[str, Any]:
    turns = [
        {"role": "user", "text": "hello"},
        {"role": "agent", "text": "", "tool_calls": [{"name": tool, "args": {}}]},
    ]
    return {"id": name, "agent": agent, "locale": locale, "turns": turns}


def scores(*rows: dict[str, Any]) -> tuple[AgentScore, ...]:
    ruleset = build(files_or_raise({"rules.yaml": RULES}))
    seen = SignalsSeen()
    return score(ruleset, (play(ruleset, read(each), seen) for each in rows), seen).agents


def test_conversations_are_counted_for_the_agent_that_had_them() -> None:
    found = scores(
        row("a", "refund-bot"),
        row("b", "refund-bot", locale="de"),
        row("c", "refund-bot", tool="other"),
        row("d", "acme/other", tool="other"),
        row("e", "nobody-described-this"),
        row("f", None),
    )
    assert found == (
        AgentScore("refund-bot", Rate(1, 3), 1, 0.4),
        AgentScore("other-bot", Rate(0, 1), 1, None),
        AgentScore("new-bot", Rate(0, 0), 0, 0.1),
    )
    assert [each.state for each in found] == ["unknown", None, "unknown"]


@pytest.mark.parametrize(
    ("escalated", "held", "of", "state"),
    [
        (10, 0, 100, "met"),
        (90, 0, 100, "missed"),
        (38, 0, 100, "unknown"),
        (10, 30, 100, "unknown"),
        (0, 0, 0, "unknown"),
        (0, 0, 2, "unknown"),
        (60, 40, 100, "missed"),
    ],
)
def test_a_target_is_met_or_missed_only_where_the_whole_interval_says_so(
    escalated: int, held: int, of: int, state: str
) -> None:
    assert AgentScore("a", Rate(escalated, of), held, 0.4).state == state


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.floats(0, 1))
def test_no_end_that_the_held_conversations_may_have_had_contradicts_the_state(
    escalated: int, held: int, alone: int, target: float
) -> None:
    of = escalated + held + alone
    state = AgentScore("a", Rate(escalated, of), held, target).state
    for went_on in range(held + 1):
        rate = Rate(escalated + went_on, of).rate
        assert not (state == "met" and (rate is None or rate > target))
        assert not (state == "missed" and (rate is None or rate < target))
