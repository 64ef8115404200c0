"""What is told of `calls`: that no call is ever promised there, so that the key says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rules.compile.names import Names
from rules.files.source import Source
from rules.model import Queue, Rule


def tell_of_calls(rules: Sequence[Rule], names: Names, sources: Mapping[str, Source]) -> None:
    """Note each queue and each rule that says what becomes of calls, and promises none."""
    asking: dict[str, list[Rule]] = {}
    for rule in rules:
        asking.setdefault(rule.then.queue or "", []).append(rule)
        if rule.then.calls is not None and not _promises(rule, names, moved_on=True):
            fact = f"the rule `{rule.id}` says what becomes of calls, and promises none"
            sources[rule.span.file].refuse_at("W214", rule.span, fact)
    moved_to = {queue.on_timeout.queue for queue in names.queues.values()}
    moved_to |= {rule.then.on_timeout.queue for rule in rules if rule.then.on_timeout is not None}
    # What a rule with a mistake promises is not known.
    for name, queue in names.queues.items():
        if queue.calls is None or _has_promise(queue, is_moved_to=name in moved_to):
            continue
        if not any(_promises(rule, names, moved_on=False) for rule in asking.get(name, ())):
            source, at = names.places["queue", name]
            source.refuse("W214", at, f"the queue `{name}` says what becomes of calls, and promises none")


def _has_promise(queue: Queue, *, is_moved_to: bool) -> bool:
    """Return whether a queue's own end calls back; whoever was moved to it and is let down again is called back too."""
    return queue.on_timeout.verdict == "callback" or (is_moved_to and queue.on_timeout.verdict == "escalate")


def _promises(rule: Rule, names: Names, *, moved_on: bool) -> bool:
    """Return whether a rule may promise a call: at its deadline, or while its queue is over its budget.

    `moved_on`: also where its handoff moves on to a queue whose end calls back. Its own `calls` hold then, unless the
    rule has some.
    """
    queue = names.queues.get(rule.then.queue or "")
    if queue is None or any(step.to == "callback" for step in rule.when_busy):
        return True
    if rule.then.verdict == "review":
        return False  # the customer never heard of it, so nobody is called
    ends = rule.then.on_timeout or queue.on_timeout
    if ends.verdict == "escalate":
        there = names.queues.get(ends.queue or "")
        return moved_on and (there is None or _has_promise(there, is_moved_to=True))
    return ends.verdict == "callback"
