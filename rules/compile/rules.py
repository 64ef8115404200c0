"""The rules of one file to Rule values: what each asks for, where it hands over, and what the customer is told."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from rules.compile.budget import read_busy
from rules.compile.calls import read_calls
from rules.compile.conditions import comparisons, read_condition
from rules.compile.names import Names
from rules.compile.queues import read_on_timeout
from rules.compile.say import read_say
from rules.compile.values import (
    did_you_mean,
    is_empty,
    is_merged,
    is_name,
    one_of,
    read_duration,
    read_keys,
    read_list,
    read_percent,
    read_text,
    read_word,
)
from rules.evaluation.signal_table import TOPIC_SETS
from rules.files.keys import CONTINUE_KEYS, MODE_KEYS, MODES, RULE_KEYS, RULE_VERDICTS, THEN_KEYS
from rules.files.nodes import MapNode, Node, TextNode
from rules.files.source import Source
from rules.model import PRIORITIES, VERDICTS, BusyStep, Condition, Mode, Priority, Rule, Span, Then, Verdict

# The bench runs 10,000; twice that is more than a company has.
RULES_MAX = 20_000

_LIVE, _SHADOW = Mode(100), Mode(0)
_THEN_HINT = "write `continue`, or `{escalate: QUEUE}` with `review`, `hold` or `escalate`"


def read_rules(source: Source, node: Node, names: Names) -> list[Rule]:
    """Return the rules of one file that are free of errors, in the order of the file."""
    items = read_list(source, node, "`rules`")
    if len(items) > RULES_MAX:
        source.refuse("R113", items[RULES_MAX], f"{len(items)} rules in one file, the limit is {RULES_MAX}")
        items = items[:RULES_MAX]
    rules = []
    for item in items:
        rule = _rule(source, item, names)
        if rule is not None:
            rules.append(rule)
    return rules


def precedence(rule: Rule) -> tuple[int, int]:
    """Return what sorts rules into the order of RuleFiles.rules: strongest verdict, then highest priority."""
    return (-VERDICTS.index(rule.then.verdict), -PRIORITIES.index(rule.then.priority))


def _rule(source: Source, item: Node, names: Names) -> Rule | None:
    values = read_keys(source, item, RULE_KEYS, "a rule")
    if values is None:
        return None
    rule_id, span = _id(source, item, values.get("id"), names)
    why = _why(source, values, rule_id, span, is_merged(item))
    told_before = len(source.problems)
    when = read_condition(source, values["when"], names) if "when" in values else None
    if rule_id is not None and any(problem.code in ("R131", "W205") for problem in source.problems[told_before:]):
        names.told_of.add(rule_id)
    then = _then(source, values["then"], names, rule_id) if "then" in values else None
    mode = _mode(source, values["mode"]) if "mode" in values else _LIVE
    if when is None or then is None or rule_id is None or mode is None:
        return None
    regulated = is_regulated(when, names)
    if regulated:
        refuse_unanswered(source, values["then"], then, names)
    busy: tuple[BusyStep, ...] = ()
    if "when_busy" in values:
        busy = read_busy(source, values["when_busy"], values["when_busy"], when, then, names)
    return Rule(rule_id, why, when, then, mode, span, regulated, busy)


def _id(source: Source, item: Node, node: Node | None, names: Names) -> tuple[str | None, Span]:
    """Return the rule's id, None when it cannot be used, and the place that stands for the rule."""
    if node is None:
        return None, source.span(item)
    if not isinstance(node, TextNode) or is_empty(node):
        fact = "`id` is empty" if is_empty(node) else "`id` is not a text"
        source.refuse("R116", node, fact, "write one name here")
        return None, source.span(item)
    usable = is_name(source, node, "-")
    if not names.declare("rule", node.value, source, node) or not usable:
        return None, source.span(node)
    return node.value, source.span(node)


def _why(source: Source, values: dict[str, Node], rule_id: str | None, span: Span, merged: bool) -> str:
    if "why" in values:
        return read_text(source, values["why"], "`why`") or ""
    if rule_id is not None and not merged:
        source.refuse_at("W207", span, f"the rule `{rule_id}` does not say why")
    return (rule_id or "").replace("-", " ").replace("_", " ")


def _then(source: Source, node: Node, names: Names, rule_id: str | None) -> Then | None:
    if isinstance(node, TextNode) and node.value == "continue":
        return Then("continue")
    if not isinstance(node, MapNode):
        named = isinstance(node, TextNode) and node.value in RULE_VERDICTS
        fact = f"`{node.value}` names no queue" if named and isinstance(node, TextNode) else "`then` is not a map"
        source.refuse("R116", node, fact, _THEN_HINT)
        return None
    values = read_keys(source, node, THEN_KEYS, "`then`")
    assert values is not None  # noqa: S101 - the node is a map
    written = [verdict for verdict in RULE_VERDICTS if verdict in values]
    if not written and is_merged(node):
        return None
    if len(written) != 1:
        _refuse_verdicts(source, node, written)
        return None
    verdict = cast(Verdict, written[0])
    code = _reason_code(source, values["reason_code"]) if "reason_code" in values else None
    if verdict != "continue":
        then = _handoff(source, verdict, values, names)
        if then is not None and verdict in ("hold", "escalate") and "say" not in values:
            refuse_silence(source, values[verdict], then, names, f"`{rule_id or '?'}`")
        return then and replace(then, reason_code=code)
    for key, _ in node.pairs:
        if key.value in THEN_KEYS and key.value not in CONTINUE_KEYS:
            hint = "remove it, or write `review`, `hold` or `escalate`"
            source.refuse("R105", key, f"`continue` hands nothing over, so `{key.value}` says nothing", hint)
    given = values["continue"]
    if isinstance(given, TextNode) and given.value.lower() in ("false", "no", "off"):
        message = f"`continue: {given.value}` does not say what else comes of it"
        source.refuse("R116", given, message, "write `true`, or `review`, `hold` or `escalate` with a queue")
        return None
    return Then("continue", say=read_say(source, values["say"]) if "say" in values else {}, reason_code=code)


def _reason_code(source: Source, node: Node) -> str | None:
    if not isinstance(node, TextNode) or is_empty(node):
        fact = "`reason_code` is empty" if is_empty(node) else "`reason_code` is not a text"
        source.refuse("R116", node, fact, "write one name here")
        return None
    return node.value if is_name(source, node) else None


def _refuse_verdicts(source: Source, node: MapNode, written: list[str]) -> None:
    if written:
        both = " and ".join(f"`{verdict}`" for verdict in written)
        source.refuse("R116", node, f"`then` asks for {both}", "write one of them; another rule may ask for the other")
    else:
        source.refuse("R106", node, "`then` has no verdict", _THEN_HINT)


def _handoff(source: Source, verdict: Verdict, values: dict[str, Node], names: Names) -> Then | None:
    """Return what a review, hold or escalate asks for; its queue must exist and somebody must say something."""
    at = values[verdict]
    queue = read_queue_name(source, at, names)
    priority = read_word(source, values["priority"], THEN_KEYS["priority"]) if "priority" in values else "normal"
    within_ms = None
    if "answer_within" in values:
        within_ms = read_duration(source, values["answer_within"], "`answer_within`")
    on_timeout = read_on_timeout(source, values["on_timeout"], names) if "on_timeout" in values else None
    words = read_say(source, values["say"]) if "say" in values else {}
    calls = read_calls(source, values["calls"], names) if "calls" in values else None
    if on_timeout is not None and queue is not None and on_timeout.queue == queue:
        source.refuse("R143", values["on_timeout"], f"at its deadline the rule moves on to its own queue `{queue}`")
    if queue is None or priority is None:
        return None
    return Then(verdict, queue, cast(Priority, priority), within_ms, on_timeout, words, calls=calls)


def read_queue_name(source: Source, node: Node, names: Names) -> str | None:
    """Return the name of a queue that is declared."""
    if is_empty(node) or not isinstance(node, TextNode):
        source.refuse("R116", node, "the queue's name is missing here", "write the name of a queue")
        return None
    names.use("queue", node.value)
    if not names.is_declared("queue", node.value):
        names.refuse_unknown("queue", node.value, names.declared.get("queue", ()), source, node)
        return None
    return node.value


def refuse_silence(source: Source, at: Node, then: Then, names: Names, who: str) -> None:
    """Note that nobody tells the customer anything when a person is asked for; `who` asks, as it is called."""
    queue = names.queues.get(then.queue or "")
    # A queue with a mistake in it was told where it stands.
    if queue is None or queue.say or queue.name in names.spoken:
        return
    at_deadline = then.on_timeout or queue.on_timeout
    if at_deadline.say:
        names.silent.setdefault(queue.name, []).append((source, at, who))
    else:
        source.refuse("R142", at, f"neither the rule nor the queue `{queue.name}` has words for the customer")


def _mode(source: Source, node: Node) -> Mode | None:
    if isinstance(node, TextNode):
        if node.value in MODES:
            return _LIVE if node.value == "live" else _SHADOW
        choices = [*MODES, "{rollout: 10%}"]
        hint = did_you_mean(source, node.value, MODES) or one_of(choices)
        source.refuse("R109", node, f"`{node.value}` is no mode", hint)
        return None
    values = read_keys(source, node, MODE_KEYS, "`mode`")
    if values is None or "rollout" not in values:
        return None
    percent = read_percent(source, values["rollout"])
    return None if percent is None else Mode(percent)


def is_regulated(when: Condition, names: Names) -> bool:
    """Return whether the condition asks for a regulated topic to be there."""
    for compare, negated in comparisons(when):
        if compare.left in TOPIC_SETS and compare.operator == ("lacks" if negated else "has"):
            topic = names.topics.get(str(compare.operand))
            if topic is not None and topic.regulated:
                return True
    return False


def refuse_unanswered(source: Source, node: Node, then: Then, names: Names) -> None:
    """Note that a regulated matter goes on by itself when nobody came."""
    queue = names.queues.get(then.queue or "")
    on_timeout = then.on_timeout or (queue.on_timeout if queue is not None else None)
    if then.verdict in ("hold", "escalate") and on_timeout is not None and on_timeout.verdict == "continue":
        message = "the rule asks for a regulated topic, and at the deadline the agent goes on as if nothing were"
        source.refuse("W210", node, message)
