"""Whether a condition holds on more turns than another, or on fewer: proved, or told to be unknown. No turn is read.

`more` is: wherever the old one held, the new one does. That is about all turns there can be, not about how many there
are; where neither direction can be proved the answer is `changed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rules.diff.differences import OPPOSITE, Direction, together
from rules.evaluation.clauses import Calls, Every, Node, Some, without_not
from rules.evaluation.explain import condition_text
from rules.evaluation.signal_table import SIGNALS, SignalSpec
from rules.findings.entailment import Reasoning
from rules.model import Aggregate, All, Any, CallMatch, Compare, Condition, Not, RuleFiles, Topic

# A condition in a sentence: past this nobody reads it, and the file is at hand.
TEXT_CHARS_MAX = 160


@dataclass(frozen=True, slots=True)
class Grounds:
    """How moved what conditions rest on: topics by name, and the signals that mean something else now."""

    topics: Mapping[str, Direction]
    asks_for_person: Direction
    signals: frozenset[str]


NOTHING_MOVED = Grounds({}, "same", frozenset())


def specs_of(files: RuleFiles) -> dict[str, SignalSpec]:
    """Return the row of every signal that the files may use."""
    declared = {
        each.name: SignalSpec(each.name, each.type, None, "declared", each.why or "", recorded=True)
        for each in files.signals.values()
    }
    return {**SIGNALS, **declared}


def grounds(old: RuleFiles, new: RuleFiles) -> Grounds:
    """Return how what conditions rest on has moved between two sets of files."""
    topics = {name: topic_moved(old.topics.get(name), new.topics.get(name)) for name in {*old.topics, *new.topics}}
    asking = {name for files in (old, new) for name, topic in files.topics.items() if topic.means == "asks_for_person"}
    signals = {
        name
        for name in {*old.signals, *new.signals}
        if (name in old.signals and name in new.signals) and old.signals[name].type != new.signals[name].type
    }
    if old.timezone != new.timezone:
        signals |= {name for name in SIGNALS if name.startswith("clock.")}
    person = together(_person_moved(old.topics.get(name), new.topics.get(name)) for name in asking)
    return Grounds(topics, person, frozenset(signals))


def topic_moved(old: Topic | None, new: Topic | None) -> Direction:
    """Return whether a topic is found in more texts than before."""
    nothing = Topic("")
    one, other = old or nothing, new or nothing
    moves: list[Direction] = [
        _set_moved({*one.phrases}, {*other.phrases}),
        _set_moved({*one.patterns}, {*other.patterns}),
        OPPOSITE[_set_moved({*one.unless}, {*other.unless})],
    ]
    if one.phrases or one.patterns:
        moves.append(_set_moved({*one.inside}, {*other.inside}) if other.phrases or other.patterns else "same")
    return together(moves)


def _person_moved(old: Topic | None, new: Topic | None) -> Direction:
    meant = old is not None and old.means == "asks_for_person"
    means = new is not None and new.means == "asks_for_person"
    return topic_moved(old if meant else None, new if means else None)


def _set_moved(old: set[str], new: set[str]) -> Direction:
    if old == new:
        return "same"
    if old < new:
        return "more"
    return "less" if new < old else "changed"


def condition_moved(old: Condition, new: Condition, reasoning: Reasoning, ground: Grounds) -> Direction:
    """Return whether the new condition holds on more turns than the old one did, or on fewer."""
    nodes = without_not(old), without_not(new)
    itself: Direction = "same"
    if nodes[0].key != nodes[1].key:
        gains, loses = _implies(nodes[0], nodes[1], reasoning), _implies(nodes[1], nodes[0], reasoning)
        itself = "same" if gains and loses else "more" if gains else "less" if loses else "changed"
    # What it rests on moves the old condition when it goes last, and the new one when it goes first.
    return together((itself, *(_leaning(node, ground) for node in nodes)))


def _implies(one: Node, other: Node, reasoning: Reasoning) -> bool:
    follows = reasoning.follows(other)
    return all(map(follows, reasoning.ways(one)))


def _leaning(node: Node, ground: Grounds) -> Direction:
    """Return where a condition moves when what it rests on does."""
    if isinstance(node, Every | Some):
        return together(_leaning(part, ground) for part in node.parts)
    if isinstance(node, Calls):
        return "same"  # of a call nothing is asked that the rule files declare
    return together(_compare_leaning(compare, ground) for compare in node.compares)


def _compare_leaning(compare: Compare, ground: Grounds) -> Direction:
    left = compare.left
    if isinstance(left, Aggregate):
        inner = _compare_leaning(left.of, ground) if isinstance(left.of, Compare) else _named(left.of, ground)
        # More turns counted: `>= 2` holds more often, `< 2` less; of equality nobody can tell.
        if inner == "same" or compare.operator in (">", ">="):
            return inner
        return OPPOSITE[inner] if compare.operator in ("<", "<=") else "changed"
    if left in ("topics", "reply_topics"):
        return _topics_leaning(compare, ground)
    if left == "asks_for_person" and ground.asks_for_person != "same":
        wanted = (compare.operator, compare.operand) in (("=", True), ("!=", False))
        unwanted = (compare.operator, compare.operand) in (("=", False), ("!=", True))
        return ground.asks_for_person if wanted else OPPOSITE[ground.asks_for_person] if unwanted else "changed"
    return _named(left, ground)


def _topics_leaning(compare: Compare, ground: Grounds) -> Direction:
    if compare.operator in ("has", "lacks"):
        moved = ground.topics.get(str(compare.operand), "same")
        return moved if compare.operator == "has" else OPPOSITE[moved]
    # Of the whole set: any topic that moved may matter.
    return "same" if all(moved == "same" for moved in ground.topics.values()) else "changed"


def _named(signal: str, ground: Grounds) -> Direction:
    return "changed" if signal in ground.signals else "same"


def thresholds_in(condition: Condition) -> frozenset[str]:
    """Return the names of the thresholds that a condition uses."""
    return frozenset(compare.threshold for compare in compares_in(condition) if compare.threshold is not None)


def with_threshold(condition: Condition, name: str, value: float) -> Condition:
    """Return the condition as it would be with another value of one threshold."""
    if isinstance(condition, Compare):
        left = condition.left
        if isinstance(left, Aggregate) and isinstance(left.of, Compare) and left.of.threshold == name:
            left = replace(left, of=replace(left.of, operand=value))
        return replace(condition, left=left, operand=value if condition.threshold == name else condition.operand)
    if isinstance(condition, CallMatch):
        return replace(condition, condition=with_threshold(condition.condition, name, value))
    if isinstance(condition, Not):
        return Not(with_threshold(condition.part, name, value))
    return replace(condition, parts=tuple(with_threshold(part, name, value) for part in condition.parts))


def compares_in(condition: Condition) -> Iterable[Compare]:
    """Yield every comparison of a condition, those inside aggregates and tool calls too."""
    if isinstance(condition, Compare):
        yield condition
        if isinstance(condition.left, Aggregate) and isinstance(condition.left.of, Compare):
            yield condition.left.of
    elif isinstance(condition, CallMatch):
        yield from compares_in(condition.condition)
    elif isinstance(condition, Not):
        yield from compares_in(condition.part)
    else:
        for part in condition.parts:
            yield from compares_in(part)


def said_of(old: Condition, new: Condition) -> tuple[str, ...]:
    """Return what changed in a condition's text, part by part where it has parts."""
    shapes: tuple[tuple[type[All] | type[Any], str, str], ...] = (
        (All, "no longer asks for `{}`", "asks for `{}` as well"),
        (Any, "no longer when `{}`", "also when `{}`"),
    )
    for kind, gone, come in shapes:
        if isinstance(old, kind) or isinstance(new, kind):
            before, after = _parts(old, kind), _parts(new, kind)
            if before & after and before != after:
                told = [gone.format(_clipped(text)) for text in sorted(before - after)]
                return (*told, *(come.format(_clipped(text)) for text in sorted(after - before)))
    one, other = condition_text(old), condition_text(new)
    return () if one == other else (f"`{_clipped(one)}` → `{_clipped(other)}`",)


def _parts(condition: Condition, kind: type[All] | type[Any]) -> frozenset[str]:
    parts = condition.parts if isinstance(condition, kind) else (condition,)
    return frozenset(map(condition_text, parts))


def _clipped(text: str) -> str:
    return text if len(text) <= TEXT_CHARS_MAX else text[: TEXT_CHARS_MAX - 1] + "…"
