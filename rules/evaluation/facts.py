"""What is known while one turn is decided, and how aggregates and tool calls are asked for it: late, and once each.

Nothing here knows of rules or verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress, takewhile
from math import fsum
from typing import TypeAlias, TypeGuard

from rules.evaluation.call_values import call_values
from rules.evaluation.clauses import ANY_CALL, Calls, Every, Node, OneOf, Some
from rules.evaluation.comparisons import NUMBER_MAX, Key, aggregate_key, kind_of, tester
from rules.history import TURNS_READ_MAX
from rules.model import Aggregate, Compare, Window
from rules.turn import Conversation, Turn, TurnRecord, Value

Number: TypeAlias = float | int | None
Measure: TypeAlias = Callable[["Facts"], Number]
Probe: TypeAlias = Callable[["Facts"], bool]

_NO_CALLS: frozenset[str] = frozenset()


class Facts:
    """The values of one turn, what is remembered before it, and the answers already worked out for it."""

    __slots__ = ("_calls", "_columns", "_past", "_spans", "answers", "now_ms", "numbers", "turn", "values")

    def __init__(self, values: Mapping[str, Value], turn: Turn, conversation: Conversation, now_ms: int) -> None:
        self.values = values
        self.turn = turn
        self._past = conversation.past
        self.now_ms = now_ms
        self.numbers: dict[int, Number] = {}
        self.answers: dict[int, bool] = {}
        self._columns: dict[str, list[Value]] = {}
        self._spans: dict[int, list[bool]] = {}
        self._calls: tuple[dict[str, Value], ...] | None = None

    @property
    def past(self) -> Sequence[TurnRecord]:
        """Return the records that aggregates may reach, oldest first; whoever keeps them may decode them only here."""
        return self._past[-TURNS_READ_MAX:]

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

    def column(self, signal: str, window: Window) -> list[Value]:
        """Return a signal's values on this turn and those before it, the latest first, as far as the window reaches.

        A window of earlier turns begins at the one before this.
        """
        values = self._columns.get(signal)
        if values is None:
            values = [record.values.get(signal) for record in reversed(self.past)]
            values.insert(0, self.values.get(signal))
            self._columns[signal] = values
        if window.turns is not None:
            values = values[window.earlier : window.earlier + window.turns]
        if window.span_ms is not None:
            values = list(compress(values, self._inside(window.span_ms)))
        return values

    def _inside(self, span_ms: int) -> list[bool]:
        """Return for this turn and each one before it whether it lies in the span: records may stand out of order."""
        inside = self._spans.get(span_ms)
        if inside is None:
            since_ms = self.now_ms - span_ms
            inside = [True, *[record.at_ms >= since_ms for record in reversed(self.past)]]
            self._spans[span_ms] = inside
        return inside


class Probes:
    """What may be asked of the facts of a turn: one answer for all who ask the same, wherever they wrote it.

    Facts keep answers by the number they have here, so the same facts are never asked by two Probes.
    """

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
    window = aggregate.window
    if isinstance(aggregate.of, Compare):
        left = aggregate.of.left
        if isinstance(left, Aggregate):
            raise ValueError("an aggregate counts comparisons of a signal, not of another aggregate")
        signal, met = left, tester(aggregate.of)
        if aggregate.function == "count":
            return lambda facts: sum(map(met, facts.column(signal, window)))
        # The first turn, going back, on which the comparison does not hold ends the streak.
        return lambda facts: sum(1 for _ in takewhile(met, facts.column(signal, window)))
    name, summary = aggregate.of, _SUMMARIES[aggregate.function]
    return lambda facts: summary([value for value in facts.column(name, window) if _is_number(value)])


def _is_number(value: Value) -> TypeGuard[float]:
    # Most values are floats within bounds; the rest is asked with care.
    return (type(value) is float and -NUMBER_MAX <= value <= NUMBER_MAX) or kind_of(value) == "number"


def _average(latest_first: list[float]) -> Number:
    if not latest_first:
        return None
    try:
        # Rounded once, so that neither the order nor the version of Python decides the last bit.
        average = fsum(latest_first) / len(latest_first)
    except OverflowError:
        return None
    return average if _is_number(average) else None


_SUMMARIES: dict[str, Callable[[list[float]], Number]] = {
    "min": lambda latest_first: min(latest_first, default=None),
    "max": lambda latest_first: max(latest_first, default=None),
    "avg": _average,
    "last": lambda latest_first: latest_first[0] if latest_first else None,
}
