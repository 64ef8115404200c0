"""All rules of several rulesets over all turns of a part at once: conditions to expressions over columns.

One meaning with rules/evaluation/index.py and rules/evaluation/reference.py, held equal by tests. What two rulesets
mean alike is judged once. Modes are no matter here: a rule fires or does not, whoever it is live for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rules.evaluation.call_values import ARGS_PREFIX, SignalType
from rules.evaluation.clauses import Calls, Every, Node, OneOf, Some, without_not
from rules.evaluation.comparisons import Key, aggregate_key, key_of
from rules.evaluation.signal_table import CALL_SIGNALS, MEANINGS, TOPIC_SETS
from rules.model import Aggregate, Compare, RuleFiles, Span
from rules.replay import column_windows
from rules.replay.column_leaves import (
    Leaf,
    Truth,
    absent,
    every,
    extreme_leaf,
    number_leaf,
    opposite,
    some,
    whole_leaf,
)
from rules.replay.column_signals import ColumnSignals, Reread, columns_of, frame_leaf, topic_names
from rules.replay.column_stages import Staged
from rules.replay.column_windows import Windows, windows_of
from rules.replay.conversations import SignalsSeen
from rules.replay.transcripts import UNNAMED_TOOL
from rules.replay.turn_log import About, Part
from rules.replay.turn_rows import KINDS, definition_of
from rules.turn import Value

# Rules that are judged in one pass: more at a time hold more in memory and are no faster.
BLOCK_RULES = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """The columns that a judgement needs, of the turns and of their calls."""

    turns: frozenset[str]
    calls: frozenset[str]


@dataclass(frozen=True, slots=True)
class Questions:
    """Rule files as columns are asked by them: worked out once, for all parts of a log.

    `keys` are the same for conditions that hold on the same turns, in whichever rule files they stand. `asked_often`
    are the comparisons that stand in several of them, `spans_ms` how far aggregates look back by the clock.
    """

    files: RuleFiles
    nodes: tuple[Node, ...]
    compares: tuple[tuple[tuple[Compare, bool], ...], ...]
    keys: tuple[Key, ...]
    asked_often: frozenset[Key]
    spans_ms: tuple[int, ...]


def questions_of(files: RuleFiles) -> Questions:
    """Return what the rules ask."""
    nodes = tuple(without_not(rule.when) for rule in files.rules)
    compares = tuple(tuple(compares_of(node)) for node in nodes)
    meanings = _Meanings(files)
    keys = tuple(meanings.of(node, asked) for node, asked in zip(nodes, compares, strict=True))
    times = Counter(literal.key for node in nodes for literal in _literals(node))
    often = frozenset(key for key, count in times.items() if count > 1)
    windows = [each.left.window for found in compares for each, _ in found if isinstance(each.left, Aggregate)]
    spans_ms = {window.span_ms for window in windows if window.span_ms is not None}
    return Questions(files, nodes, compares, keys, often, tuple(sorted(spans_ms)))


@dataclass(frozen=True, slots=True)
class Fired:
    """Where each rule's condition holds, in the order of its files' rules.

    `seen` are the signals, among those that the rules ask for, that were known on some turn, and the parts of a tool
    call that were known in some call; `reread` is what had to be looked through again.
    """

    rules: tuple[pl.Series, ...]
    reread: Reread
    seen: SignalsSeen


def asked_by(sides: Sequence[Questions], about: About, known: Iterable[str]) -> Asked:
    """Return the columns to read for these questions, of those `known` for the calls."""
    turns = {"stretch", "at_ms"}
    call_names: set[str] = set()
    for side in sides:
        names = topic_names(side.files, about)
        for compare, in_call in (found for compares in side.compares for found in compares):
            if in_call:
                call_names.add(str(compare.left))
            else:
                turns |= columns_of(signal_of(compare), side.files, names)
    calls = {column for column in known if column.partition(":")[0] in call_names}
    return Asked(frozenset(turns), frozenset({"row", *calls}))


def signal_of(compare: Compare) -> str:
    """Return the signal that a comparison rests on, through an aggregate."""
    left = compare.left
    while isinstance(left, Aggregate):
        left = left.of.left if isinstance(left.of, Compare) else left.of
    return left


def _literals(node: Node) -> Iterable[OneOf]:
    """Yield what a condition is made of."""
    if isinstance(node, OneOf):
        yield node
    else:
        for part in (node.condition,) if isinstance(node, Calls) else node.parts:
            yield from _literals(part)


def compares_of(node: Node, *, in_call: bool = False) -> Iterable[tuple[Compare, bool]]:
    """Yield every comparison of a condition, and whether it speaks of a tool call."""
    if isinstance(node, OneOf):
        yield from ((compare, in_call) for compare in node.compares)
    elif isinstance(node, Calls):
        yield from compares_of(node.condition, in_call=True)
    else:
        for part in node.parts:
            yield from compares_of(part, in_call=in_call)


def _call_blocks(node: Node) -> Iterable[Calls]:
    """Yield what a condition says of tool calls."""
    if isinstance(node, Calls):
        yield node
    elif not isinstance(node, OneOf):
        for part in node.parts:
            yield from _call_blocks(part)


def judge(part: Part, sides: Sequence[Questions], told: Callable[[int], None] | None = None) -> tuple[Fired, ...]:
    """Return for each side which of its rules fire on which turns of the part.

    `told` hears how many texts were looked through again, where topics have other phrases than the log knows.
    """
    shared: dict[Key, pl.Series] = {}
    return tuple(_judged(part, side, shared, told) for side in sides)


def _judged(part: Part, side: Questions, shared: dict[Key, pl.Series], told: Callable[[int], None] | None) -> Fired:
    new = {key: node for key, node in zip(side.keys, side.nodes, strict=True) if key not in shared}
    columns = _Columns(part, side, told)
    wanted = list(new.items())
    for start in range(0, len(wanted), BLOCK_RULES):
        block = dict(wanted[start : start + BLOCK_RULES])
        columns.ask_calls(block.values())
        shared |= columns.evaluated({key: columns.truth(node) for key, node in block.items()})
    seen = columns.seen(found for compares in side.compares for found in compares)
    return Fired(tuple(shared[key] for key in side.keys), columns.signals.reread, seen)


class _Meanings:
    """Keys under which conditions meet that hold on the same turns, in whichever rule files they stand."""

    def __init__(self, files: RuleFiles) -> None:
        self._files = files
        self._topics = {name: (definition_of(topic), topic.means) for name, topic in files.topics.items()}

    def of(self, node: Node, compares: Iterable[tuple[Compare, bool]]) -> Key:
        """Return the key of a rule's condition."""
        rests: set[Key] = set()
        for compare, in_call in compares:
            if not in_call:
                rests |= self._rests_on(signal_of(compare), compare)
        return (node.key, frozenset(rests))

    def _rests_on(self, name: str, compare: Compare) -> set[Key]:
        """Return what else than the condition decides a signal's value: declarations, topics, the time zone."""
        if name in self._files.signals:
            return {("declared", name, self._files.signals[name].type)}
        if name.startswith("clock."):
            return {("zone", self._files.timezone)}
        if name in MEANINGS:
            return {self._topic(each) for each, (_, means) in self._topics.items() if means == name}
        if name not in TOPIC_SETS:
            return set()
        return {self._topic(each) for each in self._named(compare)}

    def _named(self, compare: Compare) -> Iterable[str]:
        """Return the topics that a comparison of `topics` rests on: the one that it names, or any."""
        inner = compare.left.of if isinstance(compare.left, Aggregate) else compare
        if isinstance(inner, Compare) and inner.operator in ("has", "lacks"):
            return [inner.operand] if isinstance(inner.operand, str) and inner.operand in self._topics else []
        return self._topics

    def _topic(self, name: str) -> Key:
        definition, means = self._topics[name]
        return ("topic", name, definition.hash, definition.inside, means)


class _Columns:
    """Conditions to expressions over one part, for one ruleset; aggregates and calls are worked out once each."""

    def __init__(self, part: Part, side: Questions, told: Callable[[int], None] | None) -> None:
        self.signals = ColumnSignals(part, side.files, told)
        self._side = side
        self._staged = self.signals.staged
        self._calls = Staged(part.calls)
        self._call_values: dict[str, list[tuple[object, Value]]] = {}
        self._part = part
        self._windows: Windows | None = None
        self._aggregates: dict[Key, Leaf] = {}
        self._held: dict[Key, str] = {}
        self._same: dict[Key, Truth] = {}
        self._any_call: dict[Key, Truth] = {}

    def seen(self, compares: Iterable[tuple[Compare, bool]]) -> SignalsSeen:
        """Return what was known at all of what the rules ask for."""
        names: set[str] = set()
        of_calls: set[str] = set()
        for compare, in_call in compares:
            (of_calls if in_call else names).add(str(compare.left) if in_call else signal_of(compare))
        known = {name: self.signals.known(name) for name in names}
        # A call whose name was not recorded has none that a rule could ask for.
        known_calls = {name: self._call_compared(_compare(name, "is known")) for name in of_calls}
        known_calls |= {"name": self._call_compared(_UNNAMED)} if "name" in of_calls else {}
        return SignalsSeen(_anywhere(known, self._staged.frame), _anywhere(known_calls, self._part.calls))

    def truth(self, node: Node) -> Truth:
        """Return where the condition is known to hold."""
        if isinstance(node, OneOf):
            return self._once(node, self._staged, lambda: some([self._compared(compare) for compare in node.compares]))
        if isinstance(node, Calls):
            # Every call meets the condition where no call fails to.
            return opposite(self._on_a_call(node)) if node.every else self._on_a_call(node)
        return self._joined(node, self.truth)

    def _joined(self, node: Every | Some, truth: Callable[[Node], Truth]) -> Truth:
        return (every if isinstance(node, Every) else some)([truth(part) for part in node.parts])

    def _once(self, node: OneOf, staged: Staged, truth: Callable[[], Truth]) -> Truth:
        """Return where a comparison holds; one that several rules ask for is a column of its own."""
        if node.key not in self._side.asked_often:
            return truth()
        key = (id(staged), node.key)
        if key not in self._same:
            found = truth()
            self._same[key] = found if isinstance(found, bool) else staged.add(f"#same {len(self._same)}", found)
        return self._same[key]

    def evaluated(self, truths: Mapping[Key, Truth]) -> dict[Key, pl.Series]:
        """Return these truths as columns, worked out together."""
        turns = self._staged.frame
        exprs = {f"{number}": truth for number, truth in enumerate(truths.values()) if not isinstance(truth, bool)}
        found = turns.select(**exprs) if exprs else turns
        return {
            key: pl.repeat(truth, turns.height, dtype=pl.Boolean, eager=True)
            if isinstance(truth, bool)
            else found[f"{number}"]
            for number, (key, truth) in enumerate(truths.items())
        }

    def _compared(self, compare: Compare) -> Truth:
        if not isinstance(compare.left, Aggregate):
            return self.signals.leaf(compare.left)(compare)
        key = aggregate_key(compare.left)
        if key not in self._aggregates:
            self._aggregates[key] = self._measured(compare.left, len(self._aggregates))
        return self._aggregates[key](compare)

    def _measured(self, aggregate: Aggregate, number: int) -> Leaf:
        """Return what compares an aggregate."""
        windows, window, of = self._windows_of_part(), aggregate.window, aggregate.of
        if isinstance(of, Compare):
            held = self._held_by(of)
            if aggregate.function == "streak":
                return whole_leaf(lambda turns: column_windows.unbroken(windows, window, held, turns))
            return number_leaf(
                self._staged.add(f"#count {number}", column_windows.count(windows, window, held)), nullable=False
            )
        name = self.signals.number(of)
        if name is None:
            return absent
        if aggregate.function in ("min", "max"):
            known = column_windows.any_met(windows, window, column_windows.known(windows, name))

            def some_turn(operator: str, operand: float | int) -> Truth:
                return column_windows.any_met(windows, window, self._held_by(_compare(of, operator, operand)))

            return extreme_leaf(some_turn, known, least=aggregate.function == "min")
        measure = column_windows.average if aggregate.function == "avg" else column_windows.last
        return number_leaf(self._staged.add(f"#{aggregate.function} {number}", measure(windows, window, name)))

    def _held_by(self, compare: Compare) -> str:
        """Return the column that tells where a comparison holds."""
        key = key_of(compare)
        if key not in self._held:
            name, truth = f"#held {len(self._held)}", self._compared(compare)
            self._staged.add(name, pl.lit(truth) if isinstance(truth, bool) else truth)
            self._held[key] = name
        return self._held[key]

    def _windows_of_part(self) -> Windows:
        if self._windows is None:
            self._windows = windows_of(self._staged, self._part.stretches["first_row"], self._side.spans_ms)
        return self._windows

    def _on_a_call(self, node: Calls) -> Truth:
        """Return where some call of the turn meets the condition, or fails to."""
        if node.key not in self._any_call:
            raise ValueError("no call is asked for before `ask_calls` has seen the condition")
        return self._any_call[node.key]

    def ask_calls(self, nodes: Iterable[Node]) -> None:
        """Work out on which turns some call meets what these conditions ask, or fails to: one pass over the calls."""
        blocks = {block.key: block for node in nodes for block in _call_blocks(node) if block.key not in self._any_call}
        met = {key: self._call_truth(block.condition) for key, block in blocks.items()}
        met = {key: opposite(met[key]) if block.every else met[key] for key, block in blocks.items()}
        if not self._part.calls.height:
            met = dict.fromkeys(met, False)
        asked = {f"{number}": truth for number, truth in enumerate(met.values()) if not isinstance(truth, bool)}
        found = self._calls.frame.select("row", **asked) if asked else self._part.calls
        nowhere = pl.repeat(False, self._part.turns.height, dtype=pl.Boolean, eager=True)
        for number, (key, truth) in enumerate(met.items()):
            if truth is False:
                self._any_call[key] = False
                continue
            rows = found["row"] if truth is True else found["row"].filter(found[f"{number}"])
            # `scatter` writes in place.
            column = nowhere.clone().scatter(rows, True) if len(rows) else nowhere
            self._any_call[key] = self._staged.add(f"#call {len(self._any_call)}", column)

    def _call_truth(self, node: Node) -> Truth:
        """Return which calls meet the condition, each by itself."""
        if isinstance(node, Calls):
            raise ValueError("a `tool_call` block holds no other block")
        if not isinstance(node, OneOf):
            return self._joined(node, self._call_truth)
        return self._once(node, self._calls, lambda: some([self._call_compared(compare) for compare in node.compares]))

    def _call_compared(self, compare: Compare) -> Truth:
        name = str(compare.left)
        if name in CALL_SIGNALS:
            return frame_leaf(self._part.calls, name, CALL_SIGNALS[name].type, self._call_values)(compare)
        columns = [f"{name}:{kind}" for kind in KINDS if f"{name}:{kind}" in self._part.calls.columns]
        if not columns or not name.startswith(ARGS_PREFIX):
            return absent(compare)
        leaves = [frame_leaf(self._part.calls, column, _kind_of(column), self._call_values) for column in columns]
        if compare.operator == "is unknown":
            # An argument stands in the column of its kind: it is unknown where all of them are.
            return every([leaf(compare) for leaf in leaves])
        return some([leaf(compare) for leaf in leaves])


_ANYWHERE = Span("", 1, 1, 1)
_UNNAMED = Compare("name", "!=", UNNAMED_TOOL, "", _ANYWHERE)


def _compare(name: str, operator: str, operand: float | int | None = None) -> Compare:
    return Compare(name, operator, operand, "", _ANYWHERE)


def _anywhere(known: Mapping[str, Truth], frame: pl.DataFrame) -> set[str]:
    """Return the names for which something holds on at least one row."""
    exprs = {name: truth for name, truth in known.items() if not isinstance(truth, bool)}
    found = frame.select(**{name: truth.any() for name, truth in exprs.items()}).to_dicts() if exprs else [{}]
    sure = {name for name, truth in known.items() if truth is True and frame.height}
    return sure | {name for name, held in found[0].items() if held}


def _kind_of(column: str) -> SignalType:
    kind = column.rpartition(":")[2]
    return next(each for each in KINDS if each == kind)
