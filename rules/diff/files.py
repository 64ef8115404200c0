"""Two sets of rule files to what differs between them, in rules and not in lines: what got stricter, what looser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from rules.diff.conditions import (
    NOTHING_MOVED,
    condition_moved,
    grounds,
    specs_of,
    thresholds_in,
    with_threshold,
)
from rules.diff.declared import queue_change, topic_change
from rules.diff.differences import EFFECT_OF, EFFECTS, Change, Difference, Moved
from rules.diff.rules import Context, change, come, gone, renamed, restage, restaged, threshold_text
from rules.findings.entailment import Reasoning
from rules.model import Rule, RuleFiles


def diff(old: RuleFiles, new: RuleFiles) -> Difference:
    """Return what differs. Every `stricter` and `looser` about firing is proved for all turns."""
    before, after = {rule.id: rule for rule in old.rules}, {rule.id: rule for rule in new.rules}
    context = Context(old, new, Reasoning(specs_of(new)), grounds(old, new))
    new_names = renamed(before, after)
    stages = restaged(before, after)
    # A rule that only has another name is told as that, and never as one of another stage.
    stages = {name: new for name, new in stages.items() if not {name, new} & {*new_names, *new_names.values()}}
    paired = {*new_names, *new_names.values(), *stages, *stages.values()}
    rules = [
        *(change(before[name], after[name], context) for name in before if name in after),
        *(
            Change(after[new_id].id, "renamed", "words", (f"was called {old_id}",))
            for old_id, new_id in new_names.items()
        ),
        *(restage(before[name], after[new], context) for name, new in stages.items()),
        *(come(rule) for name, rule in after.items() if name not in before and name not in paired),
        *(gone(rule) for name, rule in before.items() if name not in after and name not in paired),
    ]
    changes = [change for change in rules if change is not None]
    topics = [topic_change(name, old.topics.get(name), new.topics.get(name)) for name in _names(old.topics, new.topics)]
    sheds = _shed_from(old.rules) & _shed_from(new.rules)
    queues = [
        queue_change(name, old.queues.get(name), new.queues.get(name), sheds=name in sheds)
        for name in _names(old.queues, new.queues)
    ]
    return Difference(
        tuple(sorted(changes, key=lambda change: (EFFECTS.index(change.effect), change.name))),
        tuple(_moved(context, before, after)),
        tuple(change for change in topics if change is not None),
        tuple(change for change in queues if change is not None),
        tuple(_others(old, new)),
    )


def _shed_from(rules: Iterable[Rule]) -> set[str]:
    """Return the queues that some live rule asks less of when they are over their budget."""
    return {rule.then.queue for rule in rules if rule.when_busy and rule.mode.percent and rule.then.queue is not None}


def _moved(context: Context, before: Mapping[str, Rule], after: Mapping[str, Rule]) -> Iterable[Moved]:
    """Yield every threshold with another value, and what that alone does to each rule that uses it."""
    for name, (old, new) in context.moved().items():
        users = [
            (before[each], rule)
            for each, rule in after.items()
            if each in before and name in thresholds_in(rule.when) & thresholds_in(before[each].when)
        ]
        rules = [
            (
                rule.id,
                EFFECT_OF[
                    condition_moved(was.when, with_threshold(was.when, name, new), context.reasoning, NOTHING_MOVED)
                ],
            )
            for was, rule in users
        ]
        said = threshold_text(name, old, new, [rule for pair in users for rule in pair] or context.new.rules)
        yield Moved(name, old, new, said, tuple(rules))


def _others(old: RuleFiles, new: RuleFiles) -> Iterable[str]:
    """Yield what differs in the files as a whole."""
    if old.timezone != new.timezone:
        yield f"`clock.*` is read in {new.timezone} instead of {old.timezone}"
    if old.approvals != new.approvals:
        yield f"a version needs {_persons(new.approvals)} instead of {_persons(old.approvals)}"
    for name in sorted({*old.signals, *new.signals}):
        one, other = old.signals.get(name), new.signals.get(name)
        if one is not None and other is not None and one.type != other.type:
            yield f"the signal {name} is a {other.type} instead of a {one.type}"
    yield from _reordered(old, new)


def _reordered(old: RuleFiles, new: RuleFiles) -> Iterable[str]:
    """Yield rules that stand before others as strong as they are, and stood behind them."""
    places = {rule.id: place for place, rule in enumerate(new.rules)}
    for first, second in pairwise(rule for rule in old.rules if rule.id in places):
        now = new.rules[places[first.id]], new.rules[places[second.id]]
        strengths = {(rule.then.verdict, rule.then.priority) for rule in (first, second, *now)}
        if len(strengths) == 1 and places[first.id] > places[second.id]:
            yield f"{second.id} stands before {first.id} now: where both fire, it gives queue, words and deadline"


def _persons(approvals: int) -> str:
    return "two persons" if approvals > 1 else "one person"


def _names(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return sorted({*old, *new})
