"""What rule files say of queues: the promise, whom a handoff there needs, and the ladder by which that widens."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

from rules.compile.budget import read_budget
from rules.compile.calls import read_calls
from rules.compile.flood import read_flood
from rules.compile.names import Names
from rules.compile.notify import note_late_notices, read_channel, read_notices
from rules.compile.say import read_say
from rules.compile.values import (
    is_empty,
    is_merged,
    read_declared,
    read_duration,
    read_keys,
    read_list,
    read_text,
    read_word,
)
from rules.evaluation.wording import span_text
from rules.files.grammar import number_of
from rules.files.keys import ON_TIMEOUT_KEYS, QUEUE_KEYS, STEP_KEYS
from rules.files.nodes import MapNode, Node, TextNode
from rules.files.source import Source
from rules.model import LEVEL_MAX, Need, OnTimeout, Priority, Queue, Step

TimeoutVerdict: TypeAlias = Literal["continue", "deny", "answer", "callback", "escalate"]

# A ladder with more rungs than this is a schedule, and nobody can say any more who takes what when.
STEPS_MAX = 20

_ON_TIMEOUT_HINT = "add `on_timeout: {verdict: callback, say: {en: …}}`"


def read_queues(source: Source, node: Node, names: Names) -> None:
    """Add the queues of one file to the names; where an `on_timeout` moves on to is looked at later."""
    for key, value in read_declared(source, node, "`queues`"):
        if names.declare("queue", key.value, source, key):
            queue = _queue(source, key, value, names)
            if queue is not None:
                names.queues[key.value] = queue


def refuse_wrong_moves(names: Names) -> None:
    """Note every queue whose `on_timeout`, ladder or `calls` moves on to one that does not exist, or to itself."""
    for name, queue in names.queues.items():
        if queue.on_timeout.queue == name:
            source, at = names.places["queue", name]
            source.refuse("R143", at, f"at its deadline the queue `{name}` moves on to itself")
    refuse_unknown_moves(names)


def refuse_unknown_moves(names: Names) -> None:
    """Note every move so far that leads to a queue that does not exist, once."""
    for source, node, name in names.moves:
        names.use("queue", name)
        if not names.is_declared("queue", name):
            names.refuse_unknown("queue", name, names.declared.get("queue", ()), source, node)
    names.moves.clear()


def read_on_timeout(source: Source, node: Node, names: Names) -> OnTimeout | None:
    """Return what happens when nobody came, None when it says no verdict."""
    values = read_keys(source, node, ON_TIMEOUT_KEYS, "`on_timeout`")
    if values is None or "verdict" not in values:
        return None
    verdict = read_word(source, values["verdict"], ON_TIMEOUT_KEYS["verdict"])
    words = read_say(source, values["say"]) if "say" in values else {}
    queue = read_text(source, values["queue"], "`queue`") if "queue" in values else None
    if verdict == "escalate" and "queue" not in values:
        source.refuse("R143", values["verdict"], "`escalate` names no `queue` to move on to")
    elif verdict is not None and verdict != "escalate" and "queue" in values:
        hint = "remove `queue` or write `verdict: escalate`"
        source.refuse("R143", values["queue"], f"`{verdict}` moves on to no queue", hint)
    elif queue is not None:
        names.moves.append((source, values["queue"], queue))
    elif verdict == "answer" and "say" not in values:
        source.refuse("R143", values["verdict"], "`answer` has no answer", "add `say: {en: …}` with the default answer")
    elif verdict in ("callback", "deny") and not words and "say" not in values:
        source.refuse("W212", values["verdict"], f"at the deadline `{verdict}` says nothing to the customer")
    return None if verdict is None else OnTimeout(cast(TimeoutVerdict, verdict), words, queue)


def _queue(source: Source, key: TextNode, node: Node, names: Names) -> Queue | None:
    """Return a queue with its deadline and what happens then, None when it lacks either."""
    name = key.value
    if is_empty(node):
        source.refuse("R140", key, f"the queue `{name}` has no `answer_within`")
        source.refuse("R141", key, f"the queue `{name}` has no `on_timeout`", _ON_TIMEOUT_HINT)
        return None
    values = read_keys(source, node, QUEUE_KEYS, f"the queue `{name}`")
    if values is None:
        return None
    title = read_text(source, values["title"], "`title`") if "title" in values else None
    needs = needs_in(source, values["needs"], "`needs`") if "needs" in values else ()
    words = read_say(source, values["say"]) if "say" in values else {}
    if "say" in values and not words:
        names.spoken.add(name)
    meanwhile = read_say(source, values["meanwhile"]) if "meanwhile" in values else {}
    answer_within_ms = _duration(source, values, "answer_within")
    if "answer_within" not in values and not is_merged(node):
        source.refuse("R140", key, f"the queue `{name}` has no `answer_within`")
    on_timeout = None
    if "on_timeout" in values:
        on_timeout = read_on_timeout(source, values["on_timeout"], names)
    elif not is_merged(node):
        source.refuse("R141", key, f"the queue `{name}` has no `on_timeout`", _ON_TIMEOUT_HINT)
    language = read_word(source, values["language"], QUEUE_KEYS["language"]) if "language" in values else None
    spans = {word: _duration(source, values, word) for word in _SPANS}
    ladder = _ladder(source, name, values["ladder"], names) if "ladder" in values else ()
    notify = read_notices(source, values["notify"], names) if "notify" in values else ()
    budget = read_budget(source, values["budget"]) if "budget" in values else None
    flood = read_flood(source, values["flood"]) if "flood" in values else ()
    calls = read_calls(source, values["calls"], names) if "calls" in values else None
    if answer_within_ms is None or on_timeout is None:
        return None
    queue = Queue(
        name,
        answer_within_ms,
        on_timeout,
        needs,
        words,
        title,
        meanwhile,
        own_language=language == "customer",
        same_operator_ms=spans["same_operator_for"],
        offer_ms=spans["offer_for"],
        resolve_within_ms=spans["resolve_within"],
        warn_before_ms=spans["warn_before"],
        ladder=ladder,
        notify=notify,
        budget=budget,
        flood=flood,
        calls=calls,
    )
    _note_times_that_never_come(source, values, queue)
    return queue


_SPANS: tuple[str, ...] = ("same_operator_for", "offer_for", "resolve_within", "warn_before")


def _duration(source: Source, values: dict[str, Node], word: str) -> int | None:
    return read_duration(source, values[word], f"`{word}`") if word in values else None


def needs_in(source: Source, node: Node, what: str) -> tuple[Need, ...]:
    """Return skills with a level each: `[spanish]` or `{spanish: 3}`."""
    if not isinstance(node, MapNode):
        skills = [read_text(source, item, f"a skill in {what}") for item in read_list(source, node, what)]
        return tuple(Need(skill) for skill in dict.fromkeys(filter(None, skills)))
    needs = []
    for key, value in node.pairs:
        level = number_of(value.value) if isinstance(value, TextNode) and value.style is None else None
        if level is None or level != int(level) or not 1 <= level <= LEVEL_MAX:
            hint = f"write `{key.value}: 1`, or a higher level up to {LEVEL_MAX}"
            source.refuse("R116", value, f"the level of `{key.value}` is no whole number from 1 to {LEVEL_MAX}", hint)
        else:
            needs.append(Need(key.value, int(level)))
    return tuple(needs)


def _ladder(source: Source, queue: str, node: Node, names: Names) -> tuple[Step, ...]:
    """Return the steps in the order of time."""
    items = read_list(source, node, "`ladder`")
    if len(items) > STEPS_MAX:
        source.refuse("R113", node, f"the ladder has {len(items)} steps, the limit is {STEPS_MAX}", "take some out")
    steps = [_step(source, queue, item, names) for item in items[:STEPS_MAX]]
    return tuple(sorted((step for step in steps if step is not None), key=lambda step: step.after_ms))


def _step(source: Source, queue: str, node: Node, names: Names) -> Step | None:
    values = read_keys(source, node, STEP_KEYS, "a step of `ladder`")
    if values is None or "after" not in values:
        return None
    after_ms = read_duration(source, values["after"], "`after`")
    if not any(word in values for word in _DOES):
        hint = "add one of " + ", ".join(f"`{word}`" for word in _DOES)
        source.refuse("R106", node, "this step of `ladder` does nothing", hint)
        return None
    queues = [
        (item, text)
        for item in (read_list(source, values["queues"], "`queues`") if "queues" in values else [])
        if (text := read_text(source, item, "a queue in `queues`")) is not None
    ]
    for item, text in queues:
        if text == queue:
            source.refuse("R143", item, f"the handoff waits in `{queue}` already", "name other queues")
        else:
            names.moves.append((source, item, text))
    needs = needs_in(source, values["needs"], "`needs`") if "needs" in values else None
    any_language = "language" in values and read_word(source, values["language"], STEP_KEYS["language"]) == "any"
    priority = read_word(source, values["priority"], STEP_KEYS["priority"]) if "priority" in values else None
    page = read_channel(source, values["page"], names) if "page" in values else None
    skip = "skip_if" in values and read_word(source, values["skip_if"], STEP_KEYS["skip_if"]) is not None
    if after_ms is None:
        return None
    return Step(
        after_ms,
        "handoff.widened",
        needs,
        tuple(dict.fromkeys(text for _, text in queues if text != queue)),
        any_language,
        cast("Priority | None", priority),
        page,
        skip,
    )


_DOES: tuple[str, ...] = ("needs", "queues", "language", "priority", "page")


def _note_times_that_never_come(source: Source, values: dict[str, Node], queue: Queue) -> None:
    """Note what the queue announces for a moment at which nobody waits there any more."""
    late = [step for step in queue.ladder if step.after_ms >= queue.answer_within_ms]
    if late:
        message = f"a step comes after {span_text(late[0].after_ms)}, when `answer_within` is over"
        source.refuse("W213", values["ladder"], message)
    if queue.notify:
        note_late_notices(source, values["notify"], queue)
    spans = {
        "same_operator_for": queue.same_operator_ms,
        "offer_for": queue.offer_ms,
        "warn_before": queue.warn_before_ms,
    }
    for word, value in spans.items():
        if value is not None and value >= queue.answer_within_ms:
            message = f"`{word}` is {span_text(value)}, and `answer_within` {span_text(queue.answer_within_ms)}"
            source.refuse("W213", values[word], message)
    if queue.resolve_within_ms is not None and queue.resolve_within_ms <= queue.answer_within_ms:
        message = f"`resolve_within` is {span_text(queue.resolve_within_ms)}, not longer than `answer_within`"
        source.refuse("W213", values["resolve_within"], message, "write a longer time")
