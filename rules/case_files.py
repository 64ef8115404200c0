"""Test file texts to cases: conversations turn by turn, and what is expected of each. Nothing is run here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from rules.compile_values import (
    did_you_mean,
    is_empty,
    one_of,
    read_bool,
    read_duration,
    read_keys,
    read_list,
    read_number,
    read_text,
    read_word,
)
from rules.errors import Problem
from rules.grammar import number_of
from rules.keys import KeySpec, KeyTable
from rules.model import PRIORITIES, VERDICTS, RuleFiles, Span
from rules.nodes import ListNode, MapNode, Node, TextNode
from rules.source import Source, read_source
from rules.turn import AgentRef, Customer, Parent, Scalar, ToolCall, TopicScore, Turn, Value

# A conversation that a person still reads; what happens after so many turns is said with `over` and fewer.
STEPS_MAX = 200
# How long a customer takes to answer when a test does not say: nothing in a rule file should hang on it.
TURN_GAP_MS = 30_000
# The moment of a case that names none: a Monday morning, so that office hours are open.
DEFAULT_AT = "2026-03-02T09:00"

ENDS: tuple[str, ...] = ("hand_back", "resolve", "expire")
_STATUSES: tuple[str, ...] = ("proposed", "ok", "error")


def _table(*rows: KeySpec) -> dict[str, KeySpec]:
    return {row.name: row for row in rows}


FILE_KEYS: KeyTable = _table(
    KeySpec("handrail_tests", "version", "version of the format, always 1", required=True),
    KeySpec("defaults", "map", "fields that every turn of the file has unless it says otherwise"),
    KeySpec("cases", "list", "the conversations", required=True),
)

TURN_KEYS: KeyTable = _table(
    KeySpec("message", "text", "what the customer writes"),
    KeySpec("reply", "text", "what the agent drafts"),
    KeySpec("confidence", "number", "how sure the agent says it is"),
    KeySpec("sentiment", "number", "how the customer feels, from -1 to 1"),
    KeySpec("topics", "texts", "topics that the caller found itself"),
    KeySpec("tool_calls", "list", "calls of tools, proposed or done"),
    KeySpec("sources", "texts", "what the draft rests on"),
    KeySpec("signals", "map", "signals that the rule files declare"),
    KeySpec("channel", "text", "where the conversation takes place"),
    KeySpec("locale", "text", "the customer's locale"),
    KeySpec("customer", "map", "id, tier and what the rule files declare under `customer:`"),
    KeySpec("agent", "map", "id, version and prompt_version"),
    KeySpec("parent", "map", "agent and conversation_id that the conversation came from"),
)

EXPECT_KEYS: KeyTable = _table(
    KeySpec("verdict", "word", "the verdict of the turn", choices=VERDICTS),
    KeySpec("review", "queue", "the verdict is `review`, in that queue"),
    KeySpec("hold", "queue", "the verdict is `hold`, in that queue"),
    KeySpec("escalate", "queue", "the verdict is `escalate`, in that queue"),
    KeySpec("queue", "queue", "the queue of the first rule"),
    KeySpec("priority", "word", "the priority of the first rule", choices=PRIORITIES),
    KeySpec("say", "text", "what the agent says, word by word"),
    KeySpec("rules", "texts", "exactly the live rules that fire, in any order"),
    KeySpec("rules_include", "texts", "live rules that fire, perhaps among others"),
    KeySpec("rules_exclude", "texts", "rules that do not fire"),
    KeySpec("shadow", "texts", "exactly the rules that fire without counting"),
    KeySpec("topics", "texts", "topics that the turn has, perhaps among others"),
)

_STEP_KEYS: KeyTable = _table(
    KeySpec("after", "duration", "time since the step before, 30s unless told"),
    *TURN_KEYS.values(),
    KeySpec("expect", "map", "a verdict, or what is expected in full"),
)
_END_KEYS: KeyTable = _table(
    KeySpec("after", "duration", "time since the step before, 30s unless told"),
    *(KeySpec(end, "bool", "the open handoff ends in this way; write `true`") for end in ENDS),
)
CASE_KEYS: KeyTable = _table(
    KeySpec("name", "text", "the sentence that the case proves", required=True),
    KeySpec("at", "text", "when the first turn comes, as `2026-03-02T09:00Z`"),
    KeySpec("conversation", "text", "the conversation's id, which decides a rollout"),
    KeySpec("turns", "list", "the conversation, when it has more than one turn"),
    *TURN_KEYS.values(),
    KeySpec("expect", "map", "what is expected of the only turn"),
)
_CALL_KEYS: KeyTable = _table(
    KeySpec("name", "text", "name of the tool", required=True),
    KeySpec("args", "map", "its arguments"),
    KeySpec("write", "bool", "the call changes something"),
    KeySpec("amount", "number", "amount in US dollars"),
    KeySpec("status", "word", "how far the call is; proposed unless told", choices=_STATUSES),
    KeySpec("error", "text", "the error it ended in"),
)
_AGENT_KEYS: KeyTable = _table(
    *(KeySpec(name, "text", f"the agent's {name}") for name in ("id", "version", "prompt_version"))
)
_PARENT_KEYS: KeyTable = _table(
    *(KeySpec(name, "text", f"the parent's {name}") for name in ("agent", "conversation_id"))
)


@dataclass(frozen=True, slots=True)
class Expect:
    """What a turn should lead to; None is not asked for."""

    span: Span
    verdict: str | None = None
    queue: str | None = None
    priority: str | None = None
    say: str | None = None
    rules: frozenset[str] | None = None
    rules_include: frozenset[str] = frozenset()
    rules_exclude: frozenset[str] = frozenset()
    shadow: frozenset[str] | None = None
    topics: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TurnStep:
    """One turn; `expect` is None when nothing is asked of it."""

    span: Span
    after_ms: int
    turn: Turn
    expect: Expect | None = None


@dataclass(frozen=True, slots=True)
class EndStep:
    """A person ends the open handoff, or nobody came in time: one of ENDS."""

    span: Span
    after_ms: int
    end: str


Step: TypeAlias = TurnStep | EndStep


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation with a clock of its own."""

    file: str
    name: str
    span: Span
    at_ms: int
    conversation_id: str
    steps: tuple[Step, ...]


def read_case_files(texts: Mapping[str, str], files: RuleFiles) -> tuple[tuple[Case, ...], tuple[Problem, ...]]:
    """Return every case of the test files, and every problem in them by file, line and column.

    A case with a problem is left out, so nothing of it can pass by mistake.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    for name in sorted(texts):
        source = read_source(name, texts[name])
        cases += _File(source, files).cases()
        problems += source.problems
    return tuple(cases), tuple(sorted(problems, key=lambda each: (each.span.file, each.span.line, each.span.column)))


class _File:
    """One test file being read against the rule files that it tests."""

    def __init__(self, source: Source, files: RuleFiles) -> None:
        self.source = source
        self.files = files

    def cases(self) -> list[Case]:
        root = self.source.root
        start = Span(self.source.file, 1, 1, 2)
        if not isinstance(root, MapNode) or root.get("handrail_tests") is None:
            if not self.source.torn:
                message = "the file does not begin with `handrail_tests: 1`"
                self.source.refuse_at("R115", start, message, "begin the file with `handrail_tests: 1`")
            return []
        version = root.get("handrail_tests")
        if not isinstance(version, TextNode) or version.value != "1":
            hint = "write `handrail_tests: 1`"
            self.source.refuse("R115", root.pairs[0][0], "this is no version of the test format", hint)
        values = read_keys(self.source, root, FILE_KEYS, "a test file") or {}
        defaults = self._defaults(values["defaults"]) if "defaults" in values else {}
        cases: dict[str, Case] = {}
        for node in read_list(self.source, values["cases"], "`cases`") if "cases" in values else ():
            before = len(self.source.problems)
            case = self._case(node, defaults)
            if case is not None and case.name in cases:
                line = cases[case.name].span.line
                message = f"the case `{case.name}` stands already at line {line}"
                self.source.refuse_at("R107", case.span, message, "say what this one proves instead")
            if case is not None and len(self.source.problems) == before:
                cases[case.name] = case
        return list(cases.values())

    def _defaults(self, node: Node) -> dict[str, Node]:
        return read_keys(self.source, node, TURN_KEYS, "`defaults`") or {}

    def _case(self, node: Node, defaults: Mapping[str, Node]) -> Case | None:
        values = read_keys(self.source, node, CASE_KEYS, "a case")
        if values is None or "name" not in values:
            return None
        name = read_text(self.source, values["name"], "`name`") or ""
        at_ms = self._at_ms(values.get("at"))
        conversation = self._optional_text(values, "conversation") or name
        shared = {**defaults, **{key: value for key, value in values.items() if key in TURN_KEYS}}
        if "turns" not in values:
            steps: list[Step] = [self._turn(node, {**shared, **_only(values, "expect")}, 0, conversation, 1)]
        else:
            steps = self._steps(values, shared, conversation)
        if not any(isinstance(step, TurnStep) and step.expect for step in steps):
            self.source.refuse("R172", values["name"], "the case expects nothing", "add `expect:` to at least one turn")
        return Case(self.source.file, name, self.source.span(values["name"]), at_ms, conversation, tuple(steps))

    def _steps(self, values: Mapping[str, Node], shared: Mapping[str, Node], conversation: str) -> list[Step]:
        for key in ("message", "reply", "tool_calls", "expect"):
            if key in values:
                message = f"`{key}` stands beside `turns`"
                self.source.refuse("R105", values[key], message, "write it into one of the turns")
        nodes = read_list(self.source, values["turns"], "`turns`")
        if len(nodes) > STEPS_MAX:
            message = f"the case has {len(nodes)} turns, the limit is {STEPS_MAX}"
            self.source.refuse("R113", nodes[STEPS_MAX], message, "split the case")
            return []
        return [self._step(node, shared, conversation, number) for number, node in enumerate(nodes, start=1)]

    def _step(self, node: Node, shared: Mapping[str, Node], conversation: str, number: int) -> Step:
        ends = [key.value for key, _ in node.pairs if key.value in ENDS] if isinstance(node, MapNode) else []
        if not ends:
            values = read_keys(self.source, node, _STEP_KEYS, "a turn") or {}
            after_ms = self._after_ms(values, 0 if number == 1 else TURN_GAP_MS)
            return self._turn(node, {**shared, **values}, after_ms, conversation, number)
        values = read_keys(self.source, node, _END_KEYS, "the end of a handoff") or {}
        for end in ends:
            if read_bool(self.source, values[end], f"`{end}`") is False:
                self.source.refuse("R116", values[end], f"`{end}` is false", "write `true` or remove the step")
        return EndStep(self.source.span(node), self._after_ms(values, TURN_GAP_MS), ends[0])

    def _turn(self, node: Node, values: Mapping[str, Node], after_ms: int, conversation: str, number: int) -> TurnStep:
        source = self.source
        customer = self._customer(values["customer"]) if "customer" in values else Customer()
        agent = AgentRef(**self._texts_of(values, "agent", _AGENT_KEYS))
        parent = self._texts_of(values, "parent", _PARENT_KEYS)
        turn = Turn(
            conversation_id=conversation,
            turn_id=f"turn-{number}",
            agent=agent,
            channel=self._optional_text(values, "channel"),
            locale=self._optional_text(values, "locale"),
            customer=customer,
            message=self._words(values, "message"),
            reply=self._words(values, "reply"),
            confidence=self._number(values, "confidence"),
            topics=tuple(TopicScore(name) for name in self._names(values, "topics", None)),
            sentiment=self._number(values, "sentiment"),
            tool_calls=self._calls(values),
            sources=tuple(self._names(values, "sources", None)) if "sources" in values else None,
            signals=self._signals(values),
            parent=Parent(**parent) if parent else None,
        )
        expect = self._expect(values["expect"]) if "expect" in values else None
        if turn.message is None and turn.reply is None and not turn.tool_calls:
            source.refuse("R106", node, "the turn has neither `message`, `reply` nor `tool_calls`", "add one of them")
        return TurnStep(source.span(node), after_ms, turn, expect)

    def _expect(self, node: Node) -> Expect:
        source = self.source
        if isinstance(node, TextNode):
            return Expect(source.span(node), verdict=read_word(source, node, EXPECT_KEYS["verdict"]))
        values = read_keys(source, node, EXPECT_KEYS, "`expect`") or {}
        if not values and isinstance(node, MapNode):
            source.refuse("R172", node, "`expect` holds nothing", "write a verdict, or remove it")
        verdict = read_word(source, values["verdict"], EXPECT_KEYS["verdict"]) if "verdict" in values else None
        queue = self._known(values, "queue", self.files.queues, "R103", "queue")
        for short in ("review", "hold", "escalate"):
            if short in values:
                if verdict is not None or queue is not None:
                    source.refuse("R107", values[short], f"`{short}` says verdict and queue again", "keep one of them")
                verdict, queue = short, self._known(values, short, self.files.queues, "R103", "queue")
        rule_ids = [rule.id for rule in self.files.rules]
        return Expect(
            span=source.span(node),
            verdict=verdict,
            queue=queue,
            priority=read_word(source, values["priority"], EXPECT_KEYS["priority"]) if "priority" in values else None,
            say=read_text(source, values["say"], "`say`") if "say" in values else None,
            rules=frozenset(self._names(values, "rules", rule_ids)) if "rules" in values else None,
            rules_include=frozenset(self._names(values, "rules_include", rule_ids)),
            rules_exclude=frozenset(self._names(values, "rules_exclude", rule_ids)),
            shadow=frozenset(self._names(values, "shadow", rule_ids)) if "shadow" in values else None,
            topics=frozenset(self._names(values, "topics", self.files.topics, "R102", "topic")),
        )

    def _calls(self, values: Mapping[str, Node]) -> tuple[ToolCall, ...]:
        source = self.source
        calls: list[ToolCall] = []
        for node in read_list(source, values["tool_calls"], "`tool_calls`") if "tool_calls" in values else ():
            given = read_keys(source, node, _CALL_KEYS, "a tool call") or {}
            status = read_word(source, given["status"], _CALL_KEYS["status"]) if "status" in given else None
            args = _plain(given["args"]) if "args" in given else {}
            if not isinstance(args, dict):
                source.refuse("R116", given["args"], "`args` is not a map", "write `args: {name: value}`")
                args = {}
            calls.append(
                ToolCall(
                    name=(read_text(source, given["name"], "`name`") if "name" in given else None) or "",
                    args=args,
                    write=read_bool(source, given["write"], "`write`") if "write" in given else None,
                    amount=self._number(given, "amount"),
                    status=status or "proposed",  # type: ignore[arg-type]
                    error=self._words(given, "error"),
                )
            )
        return tuple(calls)

    def _signals(self, values: Mapping[str, Node]) -> dict[str, Value]:
        """Return the declared signals of a turn; one that no rule file declares is a problem."""
        if "signals" not in values:
            return {}
        declared = [name for name in self.files.signals if not name.startswith("customer.")]
        return {key: _value(given) for key, given in self._declared(values["signals"], declared, "signals").items()}

    def _customer(self, node: Node) -> Customer:
        declared = [name[9:] for name in self.files.signals if name.startswith("customer.")]
        given = self._declared(node, ["id", "tier", *declared], "customer")
        known = {name: given.pop(name) for name in ("id", "tier") if name in given}
        texts = {name: str(_plain(value)) for name, value in known.items()}
        attributes = {name: value for name, node in given.items() if isinstance(value := _value(node), Scalar)}
        return Customer(id=texts.get("id"), tier=texts.get("tier"), attributes=attributes)

    def _declared(self, node: Node, known: Iterable[str], key: str) -> dict[str, Node]:
        names = list(known)
        if not isinstance(node, MapNode):
            self.source.refuse("R116", node, f"`{key}` is not a map", f"write `{key}: {{name: value}}`")
            return {}
        for name, _ in node.pairs:
            if name.value not in names:
                hint = did_you_mean(self.source, name.value, names) or f"declare it under `{key}:` of a rule file"
                self.source.refuse("R101", name, f"no rule file declares `{name.value}`", hint)
        return {name.value: value for name, value in node.pairs if name.value in names}

    def _texts_of(self, values: Mapping[str, Node], key: str, table: KeyTable) -> dict[str, str | None]:
        if key not in values:
            return {}
        given = read_keys(self.source, values[key], table, f"`{key}`") or {}
        return {name: self._optional_text(given, name) for name in given}

    def _names(
        self,
        values: Mapping[str, Node],
        key: str,
        known: Iterable[str] | None,
        code: str = "R170",
        noun: str = "rule",
    ) -> list[str]:
        """Return the texts of a list, or the one text that stands there alone; an unknown name is a problem."""
        if key not in values or is_empty(values[key]):
            return []
        node = values[key]
        items = node.items if isinstance(node, ListNode) else [node]
        names = [name for item in items if (name := read_text(self.source, item, f"an item of `{key}`")) is not None]
        for item in items if known is not None else ():
            self._check_known(item, known or (), code, noun)
        return names

    def _known(self, values: Mapping[str, Node], key: str, known: Iterable[str], code: str, noun: str) -> str | None:
        if key not in values:
            return None
        name = read_text(self.source, values[key], f"`{key}`")
        self._check_known(values[key], known, code, noun)
        return name

    def _check_known(self, node: Node, known: Iterable[str], code: str, noun: str) -> None:
        names = list(known)
        if isinstance(node, TextNode) and node.value.strip() and node.value.strip() not in names:
            hint = did_you_mean(self.source, node.value.strip(), names) or (one_of(names) if len(names) < 8 else None)
            self.source.refuse(code, node, f"unknown {noun} `{node.value.strip()}`", hint)

    def _number(self, values: Mapping[str, Node], key: str) -> float | int | None:
        if key not in values or is_empty(values[key]):
            return None
        return read_number(self.source, values[key], f"`{key}`")

    def _optional_text(self, values: Mapping[str, Node], key: str) -> str | None:
        return read_text(self.source, values[key], f"`{key}`") if key in values else None

    def _words(self, values: Mapping[str, Node], key: str) -> str | None:
        """Return a customer's or an agent's words as they stand: white space and all."""
        node = values.get(key)
        if node is None:
            return None
        if isinstance(node, TextNode):
            return node.value
        hint = "put the text into quotes, it holds `: `" if isinstance(node, MapNode) else "write one text here"
        self.source.refuse("R116", node, f"`{key}` is not a text", hint)
        return None

    def _after_ms(self, values: Mapping[str, Node], otherwise: int) -> int:
        return (read_duration(self.source, values["after"], "`after`") or 0) if "after" in values else otherwise

    def _at_ms(self, node: Node | None) -> int:
        written = node.value if isinstance(node, TextNode) else DEFAULT_AT
        try:
            moment = datetime.fromisoformat(written)
        except ValueError:
            moment = datetime.fromisoformat(DEFAULT_AT)
            if node is not None:
                hint = "write it as `2026-03-02T09:00Z`, or without `Z` for the rule files' own time zone"
                self.source.refuse("R171", node, f"`{written}` is no moment", hint)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(self.files.timezone))
        return int(moment.timestamp() * 1000)


def _only(values: Mapping[str, Node], key: str) -> dict[str, Node]:
    return {key: values[key]} if key in values else {}


def _value(node: Node) -> Value:
    """Return what a caller would send for it: a list of texts is a set."""
    plain = _plain(node)
    if isinstance(plain, list):
        return frozenset(str(item) for item in plain)
    return plain if isinstance(plain, str | bool | int | float) else None


_WORDS: Mapping[str, Callable[[], bool | None]] = {
    "true": lambda: True,
    "false": lambda: False,
    "null": lambda: None,
    "~": lambda: None,
}


def _plain(node: Node) -> object:
    """Return a node as JSON would hold it: unquoted numbers, true, false and null are what they look like."""
    if isinstance(node, ListNode):
        return [_plain(item) for item in node.items]
    if isinstance(node, MapNode):
        return {key.value: _plain(value) for key, value in node.pairs}
    if node.style is not None:
        return node.value
    if node.value.lower() in _WORDS:
        return _WORDS[node.value.lower()]()
    number = number_of(node.value)
    return node.value if number is None else number
