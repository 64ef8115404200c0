"""Test file texts to cases: conversations turn by turn, and what is expected of each. Nothing is run here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from rules.case_keys import (
    CASE_KEYS,
    END_KEYS,
    ENDS,
    EXPECT_KEYS,
    FILE_KEYS,
    STEP_KEYS,
    TURN_KEYS,
)
from rules.case_turns import TurnReader
from rules.compile_values import (
    read_bool,
    read_duration,
    read_keys,
    read_list,
    read_text,
    read_word,
)
from rules.errors import Problem
from rules.model import RuleFiles, Span
from rules.nodes import MapNode, Node, TextNode
from rules.source import read_source
from rules.turn import Turn

# A conversation that a person still reads; what happens after so many turns is said with `over` and fewer.
STEPS_MAX = 200
# How long a customer takes to answer when a test does not say: nothing in a rule file should hang on it.
TURN_GAP_MS = 30_000
# The moment of a case that names none: a Monday morning, so that office hours are open.
DEFAULT_AT = "2026-03-02T09:00"


@dataclass(frozen=True, slots=True)
class Expect:
    """What a turn should lead to; None is not asked for."""

    span: Span
    verdict: str | None = None
    queue: str | None = None
    priority: str | None = None
    say: str | None = None
    reason_code: str | None = None
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


class _File(TurnReader):
    """One test file being read against the rule files that it tests."""

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
        # In a torn file the cases may stand where it could not be read.
        table = {name: spec for name, spec in FILE_KEYS.items() if not self.source.torn or name in _keys(root)}
        values = read_keys(self.source, root, table, "a test file") or {}
        defaults = self._defaults(values["defaults"]) if "defaults" in values else {}
        cases: dict[str, Case] = {}
        nodes = read_list(self.source, values["cases"], "`cases`") if "cases" in values else []
        if not nodes and not self.source.problems:
            self.source.refuse("R172", values["cases"], "the file holds no case", "write one, or remove the file")
        for node in nodes:
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
        conversation = self.optional_text(values, "conversation") or name
        shared = {**defaults, **{key: value for key, value in values.items() if key in TURN_KEYS}}
        if "turns" not in values:
            steps: list[Step] = [self._turn_step(node, {**shared, **_only(values, "expect")}, 0, conversation, 1)]
        else:
            steps = self._steps(values, shared, conversation)
        if steps and not any(isinstance(step, TurnStep) and step.expect for step in steps):
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
            values = read_keys(self.source, node, STEP_KEYS, "a turn") or {}
            after_ms = self._after_ms(values, 0 if number == 1 else TURN_GAP_MS)
            return self._turn_step(node, {**shared, **values}, after_ms, conversation, number)
        values = read_keys(self.source, node, END_KEYS, "the end of a handoff") or {}
        for end in ends:
            if read_bool(self.source, values[end], f"`{end}`") is False:
                self.source.refuse("R116", values[end], f"`{end}` is false", "write `true` or remove the step")
        return EndStep(self.source.span(node), self._after_ms(values, TURN_GAP_MS), ends[0])

    def _turn_step(
        self, node: Node, values: Mapping[str, Node], after_ms: int, conversation: str, number: int
    ) -> TurnStep:
        turn = self.turn(node, values, conversation, number)
        expect = self._expect(values["expect"]) if "expect" in values else None
        return TurnStep(self.source.span(node), after_ms, turn, expect)

    def _expect(self, node: Node) -> Expect:
        source = self.source
        if isinstance(node, TextNode):
            return Expect(source.span(node), verdict=read_word(source, node, EXPECT_KEYS["verdict"]))
        values = read_keys(source, node, EXPECT_KEYS, "`expect`") or {}
        if not values and isinstance(node, MapNode):
            source.refuse("R172", node, "`expect` holds nothing", "write a verdict, or remove it")
        verdict = read_word(source, values["verdict"], EXPECT_KEYS["verdict"]) if "verdict" in values else None
        queue = self.known(values, "queue", self.files.queues, "R103", "queue")
        for short in ("review", "hold", "escalate"):
            if short in values:
                if verdict is not None or queue is not None:
                    source.refuse("R107", values[short], f"`{short}` says verdict and queue again", "keep one of them")
                verdict, queue = short, self.known(values, short, self.files.queues, "R103", "queue")
        rule_ids = [rule.id for rule in self.files.rules]
        return Expect(
            span=source.span(node),
            verdict=verdict,
            queue=queue,
            priority=read_word(source, values["priority"], EXPECT_KEYS["priority"]) if "priority" in values else None,
            say=read_text(source, values["say"], "`say`") if "say" in values else None,
            reason_code=read_text(source, values["reason_code"], "`reason_code`") if "reason_code" in values else None,
            rules=frozenset(self.names(values, "rules", rule_ids)) if "rules" in values else None,
            rules_include=frozenset(self.names(values, "rules_include", rule_ids)),
            rules_exclude=frozenset(self.names(values, "rules_exclude", rule_ids)),
            shadow=frozenset(self.names(values, "shadow", rule_ids)) if "shadow" in values else None,
            topics=frozenset(self.names(values, "topics", self.files.topics, "R102", "topic")),
        )

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


def _keys(node: MapNode) -> frozenset[str]:
    return frozenset(key.value for key, _ in node.pairs)


def _only(values: Mapping[str, Node], key: str) -> dict[str, Node]:
    return {key: values[key]} if key in values else {}
