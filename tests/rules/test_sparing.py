"""A rule that decides nothing in a conversation fails no turn of it, and what it raises is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build, is_live
from rules.evaluation.sparing import BLAMED_MAX, SPARED_KEPT_MAX, spared
from rules.thinking import Judged, judge, judge_sparing
from rules.turn import Conversation, Turn

RULES = """handrail: 1
queues:
  desk: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: Later.}}, say: {en: Wait.}}
rules:
- {id: live, why: x, when: confidence < 0.5, then: {review: desk}}
- {id: tried, why: x, when: turn_count >= 1, then: {escalate: desk}, mode: shadow}
- {id: half, why: x, when: sentiment < 0, then: {hold: desk}, mode: {rollout: 50%}}
"""
NOW_MS = 1_800_000_000_000


def raising(rule_id: str) -> Ruleset:
    """Return the rules, of which one raises as soon as it fires."""
    ruleset = build(files_or_raise({"a.yaml": RULES}))

    def planted(_: object) -> Any:
        raise ZeroDivisionError

    measures = [
        (("planted", planted),) if rule.id == rule_id else measures
        for rule, measures in zip(ruleset.files.rules, ruleset.measures, strict=True)
    ]
    return replace(ruleset, measures=tuple(measures))


def asked(ruleset: Ruleset, conversation_id: str = "c", sentiment: float | None = None) -> Judged:
    turn = Turn(conversation_id, "t", confidence=0.2, sentiment=sentiment)
    return judge_sparing(ruleset, turn, Conversation(conversation_id), NOW_MS)


def test_a_rule_in_shadow_that_raises_is_named_and_the_others_decide() -> None:
    judged = asked(raising("tried"))
    assert (judged.verdict, [rule.id for rule in judged.evaluation.rules]) == ("review", ["live"])
    assert judged.raised is not None
    assert (type(judged.raised.error), judged.raised.rule_ids) == (ZeroDivisionError, ("tried",))


def test_nothing_is_told_where_nothing_raises() -> None:
    judged = asked(build(files_or_raise({"a.yaml": RULES})))
    assert (judged.raised, [rule.id for rule in judged.evaluation.shadow]) == (None, ["tried"])


def test_what_raises_among_the_rules_that_decide_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        asked(raising("live"))


def test_a_rule_in_a_rollout_is_spared_only_where_it_decides_nothing() -> None:
    ruleset = raising("half")
    half = next(rule for rule in ruleset.files.rules if rule.id == "half")
    inside = next(f"c{number}" for number in range(99) if is_live(half, f"c{number}"))
    outside = next(f"c{number}" for number in range(99) if not is_live(half, f"c{number}"))
    with pytest.raises(ZeroDivisionError):
        asked(ruleset, inside, sentiment=-0.5)
    judged = asked(ruleset, outside, sentiment=-0.5)
    assert judged.raised is not None
    assert judged.raised.rule_ids == ("half",)


def test_who_tests_rules_is_told_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        judge(raising("tried"), Turn("c", "t", confidence=0.2), Conversation("c"), NOW_MS)


def test_the_first_faults_are_blamed_and_what_was_made_to_go_on_is_kept() -> None:
    ruleset = raising("tried")
    told = [asked(ruleset).raised for _ in range(BLAMED_MAX + 1)]
    assert [each is not None and each.rule_ids for each in told] == [*[("tried",)] * BLAMED_MAX, ()]
    assert spared(ruleset, "c") is spared(ruleset, "c")
    assert len(ruleset.spares.rulesets) <= SPARED_KEPT_MAX
    # A changed copy is another ruleset.
    assert replace(ruleset, measures=ruleset.measures).spares.blamed == 0
