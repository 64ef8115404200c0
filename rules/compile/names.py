"""The names that rule files declare: where each stands, what it is, and which of them something uses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rules.compile.values import legal_name, nearest
from rules.evaluation.call_values import SignalType
from rules.evaluation.signal_table import CUSTOMER_PREFIX, SIGNALS, SignalSpec, Unit
from rules.files.nodes import Node, TextNode
from rules.files.source import Source
from rules.model import Queue, RuleFiles, SignalDeclaration, Span, Topic

NameKind: TypeAlias = Literal["threshold", "topic", "queue", "signal", "rule", "agent", "channel"]

# kind -> the code for a name that is not declared, and for one that nothing uses.
UNKNOWN_CODES: dict[NameKind, str] = {
    "signal": "R101",
    "topic": "R102",
    "queue": "R103",
    "threshold": "R104",
    "channel": "R145",
}
UNUSED_CODES: dict[NameKind, str] = {"threshold": "W201", "topic": "W202", "queue": "W203", "signal": "W204"}
# Rules that are named where many lead to a queue without words.
SILENT_NAMED_MAX = 3
# kind -> what to write where nothing near was declared; `here` is there for a name that must be spelt in another way.
DECLARE_HINTS: dict[NameKind, str] = {
    "threshold": "declare it under `thresholds:` as `{name}: 0.5`{here}",
    "topic": "declare it under `topics:` as `{name}: {{phrases: [...]}}`{here}",
    "queue": "declare it under `queues:` with its `answer_within`, `on_timeout` and `say`{here}",
    "signal": "declare it under `signals:` as `{name}: {{type: {kind}}}`{here}, or write one of docs/rules.md",
    "channel": "add it to the list `channels:`, and to the service with `handrail channels add {name}`{here}",
}
_NO_NAME = "declare it under a name of letters, digits, `-` and `_`, a letter first"
# What an author may write before the name of a signal that a file declares.
SIGNALS_PREFIX = "signals."


def declare_hint(kind: NameKind, written: str, type_: SignalType = "number") -> str:
    """Return how to declare a name that nobody has; one that cannot be a name is spelt so that it can."""
    name = legal_name(written.removeprefix(SIGNALS_PREFIX) if kind == "signal" else written)
    if name is None:
        return _NO_NAME
    here = f" and write `{'$' if kind == 'threshold' else ''}{name}` here" if name != written else ""
    return DECLARE_HINTS[kind].format(name=name, kind=type_, here=here)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A named number; `written` is as the author wrote it, `is_span` tells that it was written as a time (ms).

    `limits` are its lowest and its highest value, None where there is none. `at` is where the number stands.
    """

    value: float | int
    written: str
    is_span: bool
    limits: tuple[float | int | None, float | int | None] = (None, None)
    at: TextNode | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """A use of a threshold: the unit and the text of what it is compared with, and where."""

    unit: Unit
    left: str
    source: Source
    span: Span


@dataclass(frozen=True, slots=True)
class Declared:
    """The names that rule files declare, with or without mistakes: what the tests beside them may name.

    With `mistakes` in the rule files there may be more names than these, so one that is not among them is only told
    where it is near to another; where a file is `torn`, or could not be read, it is not told at all.
    """

    rules: Collection[str] = ()
    topics: Collection[str] = ()
    queues: Collection[str] = ()
    budgets: Collection[str] = ()
    signals: Collection[str] = ()
    timezone: str = "UTC"
    mistakes: bool = False
    torn: bool = False


def declared_in(files: RuleFiles) -> Declared:
    """Return the names of rule files that are free of errors."""
    rules = dict.fromkeys(rule.id for rule in files.rules)
    return Declared(rules, files.topics, files.queues, files.budgets, files.signals, files.timezone)


@dataclass(slots=True)
class Names:
    """Everything declared in all files. `torn` holds the texts of the files that could not be read in full."""

    torn: tuple[str, ...] = ()
    thresholds: dict[str, Threshold] = field(default_factory=dict)
    topics: dict[str, Topic] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    declarations: dict[str, SignalDeclaration] = field(default_factory=dict)
    signals: dict[str, SignalSpec] = field(default_factory=lambda: dict(SIGNALS))
    places: dict[tuple[NameKind, str], tuple[Source, TextNode]] = field(default_factory=dict)
    used: set[tuple[NameKind, str]] = field(default_factory=set)
    # Queues that an `on_timeout` moves on to, looked at once all queues are known.
    moves: list[tuple[Source, Node, str]] = field(default_factory=list)
    # Channels that are told something, looked at once all lists of channels are known.
    told: list[tuple[Source, Node, str]] = field(default_factory=list)
    # What asks for a person without a word to the customer, by queue: where, and what it is called.
    silent: dict[str, list[tuple[Source, Node, str]]] = field(default_factory=dict)
    # Queues whose own words have a mistake in them, so they are not told to be silent as well.
    spoken: set[str] = field(default_factory=set)
    # Signals that a topic feeds, or is meant to: what its `means` says. And those of which it was told that none does.
    meanings: set[str] = field(default_factory=set)
    unfed: set[str] = field(default_factory=set)
    # Rules, and reasons to hand over by their place, of which it was told already that they never or always hold.
    told_of: set[str | Span] = field(default_factory=set)
    # What each threshold is compared with, the first of each unit.
    measured: dict[str, dict[Unit, Measured]] = field(default_factory=dict)
    # What failed to compile still counts as declared and used, so one mistake is told once.
    declared: dict[NameKind, set[str]] = field(default_factory=dict)

    def declare(self, kind: NameKind, name: str, source: Source, node: TextNode) -> bool:
        """Note where a name is declared; return False, and note the problem, when it was declared before."""
        first = self.places.get((kind, name))
        if first is None:
            self.places[kind, name] = (source, node)
            self.declared.setdefault(kind, set()).add(name)
            if legal_name(name.removeprefix(CUSTOMER_PREFIX)) != name.removeprefix(CUSTOMER_PREFIX):
                # That it cannot be a name is told; that nothing can ask for it would be the same once more.
                self.use(kind, name)
            return True
        before, at = first
        source.refuse_again(node, f"the {kind} `{name}` is declared twice", before, at)
        return False

    def is_declared(self, kind: NameKind, name: str) -> bool:
        """Return whether some file declares it, with or without mistakes."""
        return (kind, name) in self.places

    def declared_names(self, timezone: str) -> Declared:
        """Return what is declared in files that have mistakes."""
        kinds: tuple[NameKind, ...] = ("rule", "topic", "queue", "queue", "signal")
        rules, topics, queues, budgets, signals = (self.declared.get(kind, ()) for kind in kinds)
        return Declared(rules, topics, queues, budgets, signals, timezone, mistakes=True, torn=bool(self.torn))

    def use(self, kind: NameKind, name: str) -> None:
        """Note that something asks for the name."""
        self.used.add((kind, name))

    def refuse_unknown(
        self,
        kind: NameKind,
        name: str,
        known: Collection[str],
        source: Source,
        node: Node,
        *place: int,
        type_: SignalType = "number",
    ) -> None:
        """Note that nobody declares the name; say nothing when a torn file seems to. `type_` is a signal's."""
        bare = name.removeprefix(SIGNALS_PREFIX) if kind == "signal" else name
        if any(f"{bare}:" in text for text in self.torn):
            return
        # Under a name that cannot be one it was told there, together with the name to write: this very one.
        if kind != "signal" and any(legal_name(each) == name for each in known):
            return
        near = nearest(source, bare, known)
        if near is None and self.torn:
            return
        if near is not None:
            # Nothing uses it only because its name was misspelt here, which is told.
            self.use(kind, near)
        meant = None if near is None else near if kind == "signal" else legal_name(near) or near
        hint = declare_hint(kind, name, type_) if meant is None else f"did you mean `{meant}`?"
        source.refuse(UNKNOWN_CODES[kind], node, f"unknown {kind} `{name}`", hint, *place)

    def refuse_silent(self) -> None:
        """Note every queue before which a customer waits without a word, once however many rules lead there."""
        for name, asking in self.silent.items():
            if len(asking) == 1:
                source, node, _ = asking[0]
                message = f"neither the rule nor the queue `{name}` has words for the customer before the deadline"
                source.refuse("W206", node, message)
                continue
            source, at = self.places["queue", name]
            named = [who for _, _, who in asking[:SILENT_NAMED_MAX]]
            more = len(asking) - len(named)
            listed = f"{', '.join(named)} and {more} more" if more else f"{', '.join(named[:-1])} and {named[-1]}"
            message = f"the queue `{name}` has no words for the customer before the deadline, and {listed} have none"
            source.refuse("W206", at, message, "add `say: {en: …}` to the queue, for all of them")

    def refuse_unused(self) -> None:
        """Note every declared name that nothing uses."""
        if self.torn:
            return
        for (kind, name), (source, node) in self.places.items():
            if kind in UNUSED_CODES and (kind, name) not in self.used:
                source.refuse(UNUSED_CODES[kind], node, f"no rule uses the {kind} `{name.removeprefix('customer.')}`")
