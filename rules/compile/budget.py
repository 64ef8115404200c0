"""What rule files say of a queue's budget and of what a rule sheds when it is over. Values or problems come out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from rules.compile.conditions import comparisons
from rules.compile.names import Names
from rules.compile.say import read_say
from rules.compile.values import (
    did_you_mean,
    read_duration,
    read_keys,
    read_list,
    read_map,
    read_number,
    read_word,
)
from rules.evaluation.signal_table import TOPIC_SETS
from rules.files.grammar import duration_ms
from rules.files.keys import BUDGET_KEYS, BUSY_KEYS
from rules.files.nodes import Node, TextNode
from rules.files.source import Source
from rules.model import Budget, BusyStep, Condition, Then
from rules.routing.busy_steps import asked_of_the_turn, fewer_when_smaller, is_counted_with

MINUTE_MS = 60_000
# A budget is looked at over hours. What lies further back than a day says nothing of how busy a queue is.
OVER_MS_MAX = 86_400_000
# More steps than this nobody can follow on a bad day.
BUSY_STEPS_MAX = 10
PERCENT_MAX = 1_000
_SOME = Budget(MINUTE_MS, OVER_MS_MAX)
_PERCENT = re.compile(r"(\d{1,4})\s*%\Z")


def read_budget(source: Source, node: Node) -> Budget:
    """Return a queue's budget. One with a mistake counts as declared, so that the mistake is told once."""
    values = read_keys(source, node, BUDGET_KEYS, "`budget`")
    if values is None or "minutes" not in values or "over" not in values:
        return _SOME
    minutes = read_number(source, values["minutes"], "`minutes`")
    over_ms = read_duration(source, values["over"], "`over`")
    each = read_number(source, values["minutes_each"], "`minutes_each`") if "minutes_each" in values else None
    for word, number in (("minutes", minutes), ("minutes_each", each)):
        if number is not None and not 0 < number <= 1_000_000:
            source.refuse("R146", values[word], f"`{word}` is no number of minutes above 0", "write as many minutes")
            return _SOME
    if over_ms is not None and over_ms > OVER_MS_MAX:
        source.refuse("R146", values["over"], "a budget over more than a day", "write `1h`, or at most `24h`")
        return _SOME
    if minutes is None or over_ms is None:
        return _SOME
    return Budget(round(minutes * MINUTE_MS), over_ms, None if each is None else round(each * MINUTE_MS))


def read_percent_of_budget(source: Source, node: Node, what: str) -> int | None:
    """Return a share of a budget, as `150%`."""
    percent = percent_of_budget(node.value) if isinstance(node, TextNode) else None
    if percent is None:
        source.refuse("R146", node, f"{what} is no share of a budget", f"write `100%`, or up to `{PERCENT_MAX}%`")
    return percent


def percent_of_budget(text: str) -> int | None:
    """Return a share of a budget that is written as `150%`, None for what is none."""
    found = _PERCENT.match(text)
    return int(found[1]) if found is not None and 1 <= int(found[1]) <= PERCENT_MAX else None


def read_busy(source: Source, key: Node, node: Node, when: Condition, then: Then, names: Names) -> tuple[BusyStep, ...]:
    """Return what a rule sheds, step by step. What must not be shed is refused, and so is what sheds nothing."""
    regulated = _regulated_in(when, names)
    if regulated is not None:
        message = f"the rule asks for the regulated topic `{regulated}`, which is never shed"
        source.refuse("R147", key, message, "remove `when_busy`")
        return ()
    if then.priority == "urgent":
        source.refuse("R147", key, "the rule is `priority: urgent`, which is never shed", "remove `when_busy`")
        return ()
    queue = names.queues.get(then.queue or "")
    if then.queue is None:
        source.refuse("R148", key, "`continue` asks nobody, so there is nothing to shed", "remove `when_busy`")
        return ()
    if queue is not None and queue.budget is None:
        hint = f"add `budget: {{minutes: 240, over: 1h, minutes_each: 6}}` to `{queue.name}`"
        source.refuse("R148", key, f"the queue `{queue.name}` has no `budget`, so it is never over it", hint)
        return ()
    items = read_list(source, node, "`when_busy`")
    if len(items) > BUSY_STEPS_MAX:
        source.refuse(
            "R113", node, f"`when_busy` has {len(items)} steps, the limit is {BUSY_STEPS_MAX}", "take some out"
        )
    steps: list[BusyStep] = []
    for item in items[:BUSY_STEPS_MAX]:
        step = _step(source, item, steps, when, then, names)
        if step is not None and steps and step.over_percent <= steps[-1].over_percent:
            hint = "write the steps in the order of the pressure"
            source.refuse("R148", item, f"the step before is at {steps[-1].over_percent}% already", hint)
        elif step is not None:
            steps.append(step)
    return tuple(steps)


def _step(  # the rule's own two, what came before, and where it stands
    source: Source, item: Node, steps: Sequence[BusyStep], when: Condition, then: Then, names: Names
) -> BusyStep | None:
    values = read_keys(source, item, BUSY_KEYS, "a step of `when_busy`")
    if values is None or "over" not in values:
        return None
    over = read_percent_of_budget(source, values["over"], "`over`")
    before = {name: number for step in steps for name, number in step.thresholds.items()}
    numbers = _thresholds(source, values["thresholds"], before, when, names) if "thresholds" in values else {}
    to = read_word(source, values["then"], BUSY_KEYS["then"]) if "then" in values else None
    words = read_say(source, values["say"]) if "say" in values else {}
    if "thresholds" not in values and "then" not in values:
        source.refuse("R148", item, "the step changes nothing", "add `thresholds:` or `then:`")
    elif to is not None and then.verdict == "hold":
        # What is held is often money, and nobody could take it back once it went out.
        fact = "the rule holds a reply or a call, which would go out before anybody sees it"
        source.refuse("R147", values["then"], fact, "name `thresholds:` alone")
    elif to == "review" and any(step.to == "callback" for step in steps):
        fact = "the step asks for more than the one before: a `callback` is less than a `review`"
        source.refuse("R148", values["then"], fact, "write the `review` first, and the `callback` after it")
    elif to == "review" and then.verdict == "review":
        source.refuse("R148", values["then"], "the rule asks for a review already", "write `callback`, or a threshold")
    elif to == "callback" and "say" not in values:
        hint = "add `say: {en: We will call you back today.}`"
        source.refuse("R148", values["then"], "a `callback` that nobody tells the customer of", hint)
    elif over is not None:
        return BusyStep(over, numbers, cast(Literal["review", "callback"] | None, to), words)
    return None


def _thresholds(
    source: Source, node: Node, before: Mapping[str, float], when: Condition, names: Names
) -> Mapping[str, float]:
    """Return the numbers of thresholds that the rule compares with, each within the threshold's own limits, and each
    with fewer turns than the number `before`."""
    asked = (each for each, _ in asked_of_the_turn(when) if not is_counted_with(each))
    compared = {each.threshold for each in asked if each.threshold is not None}
    numbers: dict[str, float] = {}
    for key, value in read_map(source, node, "`thresholds`"):
        if key.value not in compared:
            hint = did_you_mean(source, key.value, compared)
            message = f"the rule compares no signal of this turn with `${key.value}`"
            source.refuse("R148", key, message, hint or "name one of its thresholds outside of `count` and `streak`")
            continue
        is_time = isinstance(value, TextNode) and value.style is None and duration_ms(value.value) is not None
        number = read_duration(source, value, "a threshold") if is_time else read_number(source, value, "a threshold")
        known = names.thresholds.get(key.value)
        if number is None or known is None:
            continue
        low, high = known.limits
        if known.is_span != is_time:
            source.refuse("R148", value, f"`{key.value}` is {known.written}: one is a time, one is not")
        elif low is not None and number < low:
            source.refuse("R148", value, f"`{key.value}` would fall below its own `min`", "that is its floor")
        elif high is not None and number > high:
            source.refuse("R148", value, f"`{key.value}` would rise above its own `max`", "that is its floor")
        elif number != before.get(key.value) and (
            mistake := _asks_no_less(key.value, number, before.get(key.value, known.value), when)
        ):
            source.refuse("R148", value, *mistake)
        else:
            numbers[key.value] = number
    return numbers


def _asks_no_less(name: str, number: float, before: float, when: Condition) -> tuple[str, str] | None:
    """Return why the rule would not fire on fewer turns with this number, and what to write; None when it would."""
    smaller = fewer_when_smaller(when, name)
    if smaller is None:
        return f"`{name}` is compared both ways, or with `=`: nobody can tell if the rule fires less", "name another"
    if number == before or smaller is not (number < before):
        more = "for as many people" if number == before else "for more people, not for fewer"
        return f"with this `{name}` the rule asks {more}", f"write a {'smaller' if smaller else 'larger'} number"
    return None


def _regulated_in(when: Condition, names: Names) -> str | None:
    """Return a regulated topic that the condition speaks of, wherever and however it does."""
    for compare, _ in comparisons(when):
        if compare.left in TOPIC_SETS:
            operands = compare.operand if isinstance(compare.operand, tuple) else (compare.operand,)
            for name in operands:
                topic = names.topics.get(str(name))
                if topic is not None and topic.regulated:
                    return topic.name
    return None
