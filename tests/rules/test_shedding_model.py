"""Over random rule files: what is shed is what the same files say with each step's own numbers written into the rules.

The model has no pressure at all: a manager's second rule file for a busy day, and a third for a busier one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import compile_files, files_or_raise
from rules.evaluation.evaluate import Ruleset, build, evaluate
from rules.history import remember
from rules.model import VERDICTS
from rules.thinking import Judged, judge
from rules.turn import Conversation, ToolCall, TopicScore, Turn

NUMBERS = {"low": 0.55, "angry": -0.5, "usd": 100.0}
QUEUES = ("tier1", "tier2")
HEAD = """handrail: 1
thresholds:
  low: {value: 0.55, min: 0.2, max: 0.9}
  angry: {value: -0.5, min: -0.9, max: 0.5}
  usd: {value: 100, min: 50, max: 500}
topics:
  advice: {regulated: true, source: FINRA Rule 2111, phrases: [which fund]}
  harm: {phrases: [hurt myself]}
  fees: {phrases: [hidden fee]}
queues:
""" + "".join(
    f"""  {name}:
    answer_within: 15m
    on_timeout: {{verdict: callback, say: {{en: We will call you.}}}}
    say: {{en: One moment please.}}
    budget: {{minutes: 60, over: 1h, minutes_each: 6}}
"""
    for name in QUEUES
)
CONDITIONS = (
    "confidence < $low",
    "sentiment <= $angry",
    "{not: confidence >= $low}",
    "{all: [confidence < $low, topics has fees]}",
    "{any: [confidence < $low, sentiment < $angry]}",
    "{any: [topics has advice, confidence < $low]}",
    "{tool_call: {all: [name = issue_refund, amount_usd > $usd]}}",
    "streak(confidence < $low) >= 2",
    "avg(confidence) over 3 turns < $low",
    "topics has harm",
    "topics has advice",
    "turn_count >= 2",
)


@dataclass(frozen=True)
class Step:
    over: int
    numbers: Mapping[str, float]
    to: str | None

    def text(self) -> str:
        parts = [f"over: {self.over}%"]
        if self.numbers:
            parts.append(f"thresholds: {{{', '.join(f'{name}: {value}' for name, value in self.numbers.items())}}}")
        if self.to is not None:
            parts.append(f"then: {self.to}" + (", say: {en: Later.}" if self.to == "callback" else ""))
        return f"      - {{{', '.join(parts)}}}\n"


@dataclass(frozen=True)
class Written:
    """A rule as somebody wrote it."""

    name: str
    when: str
    verdict: str
    queue: str
    priority: str
    steps: tuple[Step, ...]

    def text(self) -> str:
        busy = "    when_busy:\n" + "".join(map(Step.text, self.steps)) if self.steps else ""
        return (
            f"  - id: {self.name}\n    why: an example\n    when: {self.when}\n"
            f"    then: {{{self.verdict}: {self.queue}, priority: {self.priority}}}\n{busy}"
        )

    def at(self, percent: int) -> Written:
        """Return the rule as it would be written for that pressure alone."""
        reached = [step for step in self.steps if step.over <= percent]
        numbers = {name: value for step in reached for name, value in step.numbers.items()}
        when = re.sub(r"\$(\w+)", lambda found: str(numbers.get(found[1], found[0])), self.when)
        to = [step.to for step in reached if step.to is not None]
        return replace(self, when=when, verdict="review" if to else self.verdict, steps=())


def compiled(rules: Sequence[Written]) -> Ruleset:
    return build(files_or_raise({"a.yaml": HEAD + "rules:\n" + "".join(rule.text() for rule in rules)}))


@st.composite
def steps(draw: st.DrawFn) -> tuple[Step, ...]:
    """Draw steps of which most make sense; the check refuses the others."""
    found = []
    for over in sorted(draw(st.sets(st.sampled_from((50, 100, 150, 200)), min_size=1, max_size=3))):
        names = draw(st.sets(st.sampled_from(("low", "low", "angry", "usd")), min_size=1, max_size=2))
        drift = draw(st.sampled_from((1, 1, 1, -1))) * over / 100
        numbers = {
            name: round({"low": 0.55 - 0.1 * drift, "angry": -0.5 - 0.1 * drift, "usd": 100 + 100 * drift}[name], 3)
            for name in sorted(names)
        }
        found.append(Step(over, numbers, draw(st.sampled_from((None, None, "review", "callback")))))
    return tuple(found)


def allowed(rule: Written) -> Written:
    """Return the rule with as many of its steps, and of their numbers, as the check lets through."""
    kept: tuple[Step, ...] = ()
    for step in rule.steps:
        tries = [step, replace(step, to=None), replace(step, numbers={})]
        tries += [replace(step, numbers={name: value}) for name, value in step.numbers.items()]
        for one in tries:
            if _passes(replace(rule, steps=(*kept, one))):
                kept = (*kept, one)
                break
    return replace(rule, steps=kept)


def _passes(rule: Written) -> bool:
    _, problems = compile_files({"a.yaml": HEAD + "rules:\n" + rule.text()})
    return not any(problem.severity == "error" for problem in problems)


@st.composite
def rulesets(draw: st.DrawFn) -> tuple[Written, ...]:
    rules = []
    for number in range(draw(st.integers(1, 4))):
        verdict = draw(st.sampled_from(("review", "hold", "escalate", "escalate", "escalate")))
        priority = draw(st.sampled_from(("normal", "normal", "normal", "high", "low", "urgent")))
        queue = draw(st.sampled_from(QUEUES))
        rule = Written(f"rule-{number}", draw(st.sampled_from(CONDITIONS)), verdict, queue, priority, draw(steps()))
        rules.append(allowed(rule))
    return tuple(rules)


def _mostly(common: Sequence[object], *rare: object) -> st.SearchStrategy[Any]:
    return st.sampled_from([*common] * 4 + [*rare])


turns = st.builds(
    Turn,
    conversation_id=st.just("c"),
    turn_id=st.just("t"),
    message=_mostly(("hello", "a hidden fee"), None, "which fund", "i could hurt myself"),
    confidence=_mostly((0.25, 0.38, 0.43, 0.48, 0.53), None, 0.7),
    sentiment=_mostly((-0.52, -0.58, -0.65, -0.8), None, 0),
    topics=_mostly(((),), (TopicScore("advice"),), (TopicScore("advice", 0.3),), (TopicScore("fees", 0.9),)),
    tool_calls=_mostly(
        ((ToolCall("issue_refund", amount=140.0),), (ToolCall("issue_refund", amount=230.0),)),
        (),
        (ToolCall("issue_refund", amount=400.0),),
    ),
)
# How full both queues are; where it is not known, None.
_percents = _mostly((60, 120, 170, 250), None, 0)
pressures = st.tuples(_percents, _percents).map(
    lambda pair: {name: percent for name, percent in zip(QUEUES, pair, strict=True) if percent is not None}
)


def conversation_of(ruleset: Ruleset, earlier: Sequence[Turn]) -> Conversation:
    conversation = Conversation("c")
    for number, turn in enumerate(earlier):
        conversation = remember(conversation, evaluate(ruleset, turn, conversation, number * 30_000).record)
    return conversation


def strength(judged: Judged) -> int:
    return VERDICTS.index(judged.verdict)


def is_regulated(judged: Judged, turn: Turn) -> bool:
    told = any(topic.name == "advice" and topic.score != 0.3 for topic in turn.topics)
    return told or "which fund" in (turn.message or "")


@settings(max_examples=150, deadline=None)
@given(rules=rulesets(), earlier=st.lists(turns, max_size=2), turn=turns, calm=pressures, more=pressures)
def test_what_is_shed(
    rules: tuple[Written, ...],
    earlier: list[Turn],
    turn: Turn,
    calm: dict[str, int],
    more: dict[str, int],
) -> None:
    ruleset = compiled(rules)
    conversation = conversation_of(ruleset, earlier)
    still = judge(ruleset, turn, conversation, 90_000)
    busy = judge(ruleset, turn, conversation, 90_000, calm)
    # What fired is told as it fired, and what is remembered of the turn is the same.
    assert (busy.fired, busy.evaluation.record) == (still.fired, still.evaluation.record)

    if is_regulated(still, turn):
        assert busy == still, "a regulated topic is never shed, whoever found it"
        return
    # Nobody's urgent rule is shed: those that say that somebody's safety is at stake.
    urgent = [rule for rule in still.evaluation.rules if rule.then.priority == "urgent"]
    assert strength(busy) >= max((VERDICTS.index(rule.then.verdict) for rule in urgent), default=0)

    # The same files with the numbers of each queue's pressure written into them decide alike.
    by_hand = compiled([rule.at(calm.get(rule.queue, 0)) for rule in rules])
    assert busy.verdict == judge(by_hand, turn, conversation_of(by_hand, earlier), 90_000).verdict

    # The last step is as far as it goes, and more pressure never asks for more.
    busier = judge(
        ruleset, turn, conversation, 90_000, {queue: calm.get(queue, 0) + more.get(queue, 0) for queue in QUEUES}
    )
    floor = judge(ruleset, turn, conversation, 90_000, dict.fromkeys(QUEUES, 10_000))
    assert strength(still) >= strength(busy) >= strength(busier) >= strength(floor)

    # What was shed is said, rule by rule, and nothing else was.
    then = {rule.id: rule.then for rule in still.evaluation.rules}
    eased = {rule.id for rule in busy.evaluation.rules if rule.then != then[rule.id]}
    assert eased == {shed.rule_id for shed in busy.shed}
    for shed in busy.shed:
        assert shed.verdict == then[shed.rule_id].verdict
        assert shed.pressure_percent == calm[shed.queue] >= shed.step_percent


@settings(max_examples=50, deadline=None)
@given(rules=rulesets(), turn=turns, given_=pressures)
def test_without_a_step_every_pressure_decides_the_same(
    rules: tuple[Written, ...], turn: Turn, given_: dict[str, int]
) -> None:
    plain = compiled([replace(rule, steps=()) for rule in rules])
    conversation = Conversation("c")
    still = judge(plain, turn, conversation, 0)
    assert judge(plain, turn, conversation, 0, given_) == still
    assert judge(compiled(rules), turn, conversation, 0).verdict == still.verdict, "nor does a step without pressure"
