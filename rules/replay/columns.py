"""All rules of several rulesets over all turns of a part at once: conditions to expressions over columns.

One meaning with rules/evaluation/index.py and rules/evaluation/reference.py, held equal by tests. What two rulesets
mean alike is judged once. Modes are no matter here: a rule fires or does not, whoever it is live for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from rules.evaluation.clauses import Calls, Every, Node, OneOf, Some, without_not
from rules.evaluation.comparisons import Key, aggregate_key, key_of
from rules.evaluation.signals import ARGS_PREFIX, CALL_SIGNALS, MEANINGS, TOPIC_SETS, SignalType
from rules.model import Aggregate, Compare, RuleFiles, Span, Window
from rules.replay import column_windows
from rules.replay.column_leaves import Truth, absent, every, number_leaf, opposite, some
from rules.replay.column_signals import ColumnSignals, Reread, columns_of, frame_leaf, topic_names
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

    `keys` are the same for conditions that hold on the same turns, in whichever rule files they stand.
    """

    files: RuleFiles
    nodes: tuple[Node, ...]
    compares: tuple[tuple[tuple[Compare, bool], ...], ...]
    keys: tuple[Key, ...]


def questions_of(files: RuleFiles) -> Questions:
    """Return what the rules ask."""
    nodes = tuple(without_not(rule.when) for rule in files.rules)
    compares = tuple(tuple(compares_of(node)) for node in nodes)
    meanings = _Meanings(files)
    keys = tuple(meanings.of(node, asked) for node, asked in zip(nodes, compares, strict=True))
    return Questions(files, nodes, compares, keys)


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
    columns = _Columns(part, side.files, told)
    wanted = list(new.items())
    for start in range(0, len(wanted), BLOCK_RULES):
        block = dict(wanted[start : start + BLOCK_RULES])
        columns.measure(block.values())
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

    def __init__(self, part: Part, files: RuleFiles, told: Callable[[int], None] | None) -> None:
        self.signals = ColumnSignals(part, files, told)
        self._calls = part.calls
        self._call_values: dict[str, list[tuple[object, Value]]] = {}
        self._part = part
        self._windows: Windows | None = None
        self._numbers: dict[Key, pl.Series | None] = {}
        self._names: dict[Key, str] = {}
        self._met: dict[Key, pl.Series] = {}
        self._any_call: dict[Key, Truth] = {}

    def seen(self, compares: Iterable[tuple[Compare, bool]]) -> SignalsSeen:
        """Return what was known at all of what the rules ask for."""
        names: set[str] = set()
        of_calls: set[str] = set()
        for compare, in_call in compares:
            (of_calls if in_call else names).add(str(compare.left) if in_call else signal_of(compare))
        known = {name: self.signals.leaf(name)(_is_known(name)) for name in names}
        # A call whose name was not recorded has none that a rule could ask for.
        known_calls = {name: self._call_compared(_is_known(name)) for name in of_calls}
        known_calls |= {"name": self._call_compared(_UNNAMED)} if "name" in of_calls else {}
        return SignalsSeen(_anywhere(known, self.signals.turns), _anywhere(known_calls, self._calls))

    def truth(self, node: Node) -> Truth:
        """Return where the condition is known to hold."""
        if isinstance(node, OneOf):
            return some([self._compared(compare) for compare in node.compares])
        if isinstance(node, Calls):
            # Every call meets the condition where no call fails to.
            return opposite(self._on_a_call(node)) if node.every else self._on_a_call(node)
        return self._joined(node, self.truth)

    def _joined(self, node: Every | Some, truth: Callable[[Node], Truth]) -> Truth:
        return (every if isinstance(node, Every) else some)([truth(part) for part in node.parts])

    def measure(self, nodes: Collection[Node]) -> None:
        """Work out what these conditions say of calls and their aggregates, several at a time."""
        self._ask_calls(nodes)
        wanted: dict[Key, Aggregate] = {}
        inner: dict[Key, Truth] = {}
        for compare, _ in (found for node in nodes for found in compares_of(node)):
            aggregate = compare.left
            if isinstance(aggregate, Aggregate) and (key := aggregate_key(aggregate)) not in self._numbers:
                wanted[key] = aggregate
                if isinstance(aggregate.of, Compare) and key_of(aggregate.of) not in self._met:
                    inner[key_of(aggregate.of)] = self._compared(aggregate.of)
        self._met |= self.evaluated(inner)
        if wanted and self._windows is None:
            part = self._part
            self._windows = windows_of(part.turns["stretch"], part.stretches["first_row"], part.turns["at_ms"])
        asked = dict.fromkeys(aggregate.window for aggregate in wanted.values())
        for window in sorted(asked, key=lambda one: -(one.span_ms or 0)):
            # Worked out before they are shared, the widest first: its line serves for all.
            self._windows_of_part.start(window)
        with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
            for key, numbers in zip(wanted, pool.map(self._measured, wanted.values()), strict=True):
                self._numbers[key] = numbers
                if numbers is not None:
                    self.signals.add(f"#aggregate {len(self._numbers)}", numbers)
                    self._names[key] = f"#aggregate {len(self._numbers)}"

    @property
    def _windows_of_part(self) -> Windows:
        if self._windows is None:
            raise ValueError("no aggregate is measured before `measure` has seen it")
        return self._windows

    def evaluated(self, truths: Mapping[Key, Truth]) -> dict[Key, pl.Series]:
        """Return these truths as columns, worked out together."""
        turns = self.signals.turns
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
        numbers = self._numbers[key]
        if numbers is None:
            return absent(compare)
        return number_leaf(pl.col(self._names[key]), nullable=numbers.null_count() > 0)(compare)

    def _measured(self, aggregate: Aggregate) -> pl.Series | None:
        """Return an aggregate's number on every turn, None where it is never known."""
        windows, window = self._windows_of_part, aggregate.window
        if isinstance(aggregate.of, Compare):
            met = self._met[key := key_of(aggregate.of)]
            if aggregate.function == "count":
                return column_windows.count(windows, window, met, key)
            return column_windows.streak(windows, window, met)
        numbers = self.signals.number(aggregate.of)
        return None if numbers is None else _SUMMARIES[aggregate.function](windows, window, numbers)

    def _on_a_call(self, node: Calls) -> Truth:
        """Return where some call of the turn meets the condition, or fails to."""
        if node.key not in self._any_call:
            raise ValueError("no call is asked for before `measure` has seen the condition")
        return self._any_call[node.key]

    def _ask_calls(self, nodes: Iterable[Node]) -> None:
        """Work out on which turns some call meets what these conditions ask, or fails to: one pass over the calls."""
        blocks = {block.key: block for node in nodes for block in _call_blocks(node) if block.key not in self._any_call}
        met = {key: self._call_truth(block.condition) for key, block in blocks.items()}
        met = {key: opposite(met[key]) if block.every else met[key] for key, block in blocks.items()}
        if not self._calls.height:
            met = dict.fromkeys(met, False)
        asked = {f"{number}": truth for number, truth in enumerate(met.values()) if not isinstance(truth, bool)}
        found = self._calls.select("row", **asked) if asked else self._calls
        for number, (key, truth) in enumerate(met.items()):
            if truth is False:
                self._any_call[key] = False
                continue
            rows = found["row"] if truth is True else found["row"].filter(found[f"{number}"])
            nowhere = pl.repeat(False, self._part.turns.height, dtype=pl.Boolean, eager=True)
            column = nowhere.scatter(rows, True) if len(rows) else nowhere
            self._any_call[key] = self.signals.add(f"#call {len(self._any_call)}", column)

    def _call_truth(self, node: Node) -> Truth:
        """Return which calls meet the condition, each by itself."""
        if isinstance(node, Calls):
            raise ValueError("a `tool_call` block holds no other block")
        if not isinstance(node, OneOf):
            return self._joined(node, self._call_truth)
        return some([self._call_compared(compare) for compare in node.compares])

    def _call_compared(self, compare: Compare) -> Truth:
        name = str(compare.left)
        if name in CALL_SIGNALS:
            return frame_leaf(self._calls, name, CALL_SIGNALS[name].type, self._call_values)(compare)
        columns = [f"{name}:{kind}" for kind in KINDS if f"{name}:{kind}" in self._calls.columns]
        if not columns or not name.startswith(ARGS_PREFIX):
            return absent(compare)
        leaves = [frame_leaf(self._calls, column, _kind_of(column), self._call_values) for column in columns]
        if compare.operator == "is unknown":
            # An argument stands in the column of its kind: it is unknown where all of them are.
            return every([leaf(compare) for leaf in leaves])
        return some([leaf(compare) for leaf in leaves])


_ANYWHERE = Span("", 1, 1, 1)
_UNNAMED = Compare("name", "!=", UNNAMED_TOOL, "", _ANYWHERE)


def _is_known(name: str) -> Compare:
    return Compare(name, "is known", None, "", _ANYWHERE)


def _anywhere(known: Mapping[str, Truth], frame: pl.DataFrame) -> set[str]:
    """Return the names for which something holds on at least one row."""
    exprs = {name: truth for name, truth in known.items() if not isinstance(truth, bool)}
    found = frame.select(**{name: truth.any() for name, truth in exprs.items()}).to_dicts() if exprs else [{}]
    sure = {name for name, truth in known.items() if truth is True and frame.height}
    return sure | {name for name, held in found[0].items() if held}


def _kind_of(column: str) -> SignalType:
    kind = column.rpartition(":")[2]
    return next(each for each in KINDS if each == kind)


_SUMMARIES: Mapping[str, Callable[[Windows, Window, pl.Series], pl.Series]] = {
    "min": column_windows.lowest,
    "max": column_windows.highest,
    "avg": column_windows.average,
    "last": column_windows.last,
}
