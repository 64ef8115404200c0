"""What is known while one turn is decided, and how aggregates and tool calls are asked for it: late, and once each.

Nothing here knows of rules or verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from rules.clauses import ANY_CALL, Calls, Every, Node, OneOf, Some
from rules.comparisons import Key, aggregate_key, kind_of, tester
from rules.history import TURNS_READ_MAX
from rules.model import Aggregate, Compare
from rules.signals import call_values
from rules.turn import Conversation, Turn, Value

Number: TypeAlias = float | int | None
Measure: TypeAlias = Callable[["Facts"], Number]
Probe: TypeAlias = Callable[["Facts"], bool]

_NO_CALLS: frozenset[str] = frozenset()


class Facts:
    """The values of one turn, what is remembered before it, and the answers already worked out for it."""

    __slots__ = ("_calls", "answers", "now_ms", "numbers", "past", "turn", "values")

    def __init__(self, values: Mapping[str, Value], turn: Turn, conversation: Conversation, now_ms: int) -> None:
        self.values = values
        self.turn = turn
        self.past = conversation.past[-TURNS_READ_MAX:]
        self.now_ms = now_ms
        self.numbers: dict[int, Number] = {}
        self.answers: dict[int, bool] = {}
        self._calls: tuple[dict[str, Value], ...] | None = None

    @property
    def call_names(self) -> frozenset[str]:
        """Return the names of the turn's calls, and ANY_CALL when there is one: what CALL_NAMES stands for."""
        calls = self.turn.tool_calls
        return frozenset([ANY_CALL, *[call.name for call in calls]]) if calls else _NO_CALLS

    @property
    def calls(self) -> tuple[dict[str, Value], ...]:
        """Return the values of each tool call, in the turn's order."""
        if self._calls is None:
            self._calls = tuple(map(call_values, self.turn.tool_calls))
        return self._calls

    def backwards(self, signal: str, turns: int | None, span_ms: int | None) -> Iterator[Value]:
        """Yield a signal's value on this turn, then on the turns before it, as far back as the window reaches."""
        yield self.values.get(signal)
        past = self.past
        if turns is not None:
            past = past[len(past) - min(len(past), turns - 1) :]
        for record in reversed(past):
            if span_ms is None or self.now_ms - record.at_ms <= span_ms:
                yield record.values.get(signal)


class Probes:
    """What may be asked of the facts of a turn: one answer for all who ask the same, wherever they wrote it."""

    def __init__(self) -> None:
        self._measures: dict[Key, Measure] = {}
        self._probes: dict[Key, Probe] = {}

    def number(self, aggregate: Aggregate) -> Measure:
        """Return what measures the aggregate, None where it is unknown; measured once a turn."""
        key = aggregate_key(aggregate)
        if key not in self._measures:
            self._measures[key] = _measured_once(_measure(aggregate), len(self._measures))
        return self._measures[key]

    def holds(self, node: Node) -> Probe:
        """Return what tells whether the condition holds; a tool call's condition is tried once a turn."""
        if isinstance(node, Every | Some):
            parts = [self.holds(part) for part in node.parts]
            return _all_hold(parts) if isinstance(node, Every) else _any_holds(parts)
        if node.key not in self._probes:
            self._probes[node.key] = self._probe(node, len(self._probes))
        return self._probes[node.key]

    def _probe(self, literal: OneOf | Calls, number: int) -> Probe:
        if isinstance(literal, Calls):
            return _answered_once(_calls_probe(literal), number)
        met = value_test(literal)
        if isinstance(literal.left, Aggregate):
            measure = self.number(literal.left)
            return lambda facts: met(measure(facts))
        signal = literal.left
        return lambda facts: met(facts.values.get(signal))


def value_test(literal: OneOf) -> Callable[[Value], bool]:
    """Return a function that tells whether a value of the literal's signal meets it."""
    tests = [tester(compare) for compare in literal.compares]
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


def _calls_probe(literal: Calls) -> Probe:
    met = call_test(literal.condition)
    if literal.every:
        return lambda facts: all(met(call) for call in facts.calls)
    return lambda facts: any(met(call) for call in facts.calls)


def call_test(node: Node) -> Callable[[Mapping[str, Value]], bool]:
    """Return a function that tells whether one call's values meet the condition of a `tool_call` block."""
    if isinstance(node, Every | Some):
        tests = [call_test(part) for part in node.parts]
        if isinstance(node, Every):
            return lambda call: all(test(call) for test in tests)
        return lambda call: any(test(call) for test in tests)
    if isinstance(node, Calls) or isinstance(node.left, Aggregate):
        raise ValueError("a `tool_call` block holds comparisons of one call only, no aggregate and no other block")
    met, signal = value_test(node), node.left
    return lambda call: met(call.get(signal))


def _all_hold(parts: list[Probe]) -> Probe:
    return lambda facts: all(part(facts) for part in parts)


def _any_holds(parts: list[Probe]) -> Probe:
    return lambda facts: any(part(facts) for part in parts)


def _answered_once(probe: Probe, number: int) -> Probe:
    def answer(facts: Facts) -> bool:
        answers = facts.answers
        if number not in answers:
            answers[number] = probe(facts)
        return answers[number]

    return answer


def _measured_once(measure: Measure, number: int) -> Measure:
    def answer(facts: Facts) -> Number:
        numbers = facts.numbers
        if number not in numbers:
            numbers[number] = measure(facts)
        return numbers[number]

    return answer


def _measure(aggregate: Aggregate) -> Measure:
    turns, span_ms = aggregate.window.turns, aggregate.window.span_ms
    if isinstance(aggregate.of, Compare):
        left = aggregate.of.left
        if isinstance(left, Aggregate):
            raise ValueError("an aggregate counts comparisons of a signal, not of another aggregate")
        signal, met = left, tester(aggregate.of)
        if aggregate.function == "count":
            return lambda facts: sum(map(met, facts.backwards(signal, turns, span_ms)))
        return lambda facts: _streak(met, facts.backwards(signal, turns, span_ms))
    name, summary = aggregate.of, _SUMMARIES[aggregate.function]
    return lambda facts: summary(_known_numbers(facts.backwards(name, turns, span_ms)))


def _streak(met: Callable[[Value], bool], backwards: Iterator[Value]) -> int:
    length = 0
    for value in backwards:
        if not met(value):
            break
        length += 1
    return length


def _known_numbers(backwards: Iterator[Value]) -> list[float | int]:
    return [value for value in backwards if kind_of(value) == "number"]  # type: ignore[misc]


def _average(latest_first: list[float | int]) -> Number:
    if not latest_first:
        return None
    # The oldest first, as a person would add them: the order decides the last bit of a sum of floats.
    total = sum(reversed(latest_first))
    try:
        average = total / len(latest_first)
    except OverflowError:
        return None
    return average if kind_of(average) == "number" else None


_SUMMARIES: dict[str, Callable[[list[float | int]], Number]] = {
    "min": lambda latest_first: min(latest_first, default=None),
    "max": lambda latest_first: max(latest_first, default=None),
    "avg": _average,
    "last": lambda latest_first: latest_first[0] if latest_first else None,
}
