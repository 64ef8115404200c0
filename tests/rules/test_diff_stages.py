"""An agent that comes to another stage is told as stricter or looser, and not as rules that come and go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.compile.rule_files import files_or_raise
from rules.diff.files import diff
from rules.diff.rules import restaged
from rules.model import All, Mode, Rule, RuleFiles, Then
from tests.rules import strategies as make

STAGED = """\
handrail: 1
queues:
  desk: {answer_within: 5m, on_timeout: {verdict: deny, say: {en: Not now.}}, say: {en: One moment.}}
agents:
  refund-bot:
    purpose: x
    owner: y
    autonomy: limited
    may: {tools: [look], writes: [pay]}
    hands_over: {to: desk, when: [{id: unsure, why: x, when: confidence < 0.4}]}
rules: []
"""


def staged(autonomy: str) -> RuleFiles:
    return files_or_raise({"a.yaml": STAGED.replace("autonomy: limited", f"autonomy: {autonomy}")})


@pytest.mark.parametrize(
    ("stages", "effect"),
    [(("limited", "pilot"), "stricter"), (("pilot", "limited"), "looser")],
)
def test_an_agent_that_is_at_another_stage_is_told_as_stricter_or_looser(stages: tuple[str, str], effect: str) -> None:
    found = diff(staged(stages[0]), staged(stages[1]))
    assert [(each.name, each.kind, each.effect) for each in found.rules] == [
        (f"refund-bot/{stages[1]}/{act}", "changed", effect) for act in ("reply", "write")
    ]
    assert found.rules[1].facts[0] == f"stands in place of refund-bot/{stages[0]}/write"
    assert found.overall == effect


def test_what_a_stage_no_longer_asks_for_is_gone() -> None:
    assert diff(staged("pilot"), staged("full")).overall == "looser"
    assert diff(staged("full"), staged("limited")).overall == "stricter"
    assert {each.kind for each in diff(staged("full"), staged("limited")).rules} == {"added"}


def test_a_stage_of_some_versions_alone_stands_in_place_of_nothing_it_does_not_cover() -> None:
    found = diff(staged("limited"), staged("{default: full, versions: {'3': pilot}}"))
    by_name = {each.name: each for each in found.rules}
    # The pilot asks for more, of one version; whoever is at `full` now is no longer looked at.
    assert by_name["refund-bot/pilot/write"].effect == "changed"
    assert found.overall == "changed"


def test_a_share_of_the_conversations_goes_by_the_rule_s_name() -> None:
    rule = Rule("bot/limited/write", "x", All(()), Then("review", "tier1"), Mode(50), make.SPAN)
    other = replace(rule, id="bot/pilot/write")
    assert restaged({rule.id: rule}, {other.id: other}) == {}
    assert restaged({rule.id: rule}, {other.id: replace(other, mode=Mode(100))}) == {rule.id: other.id}
