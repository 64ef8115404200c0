"""Test file texts to cases: conversations turn by turn, and what is expected of each. Nothing is run here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from rules.cases.expect import ExpectReader
from rules.cases.keys import (
    CASE_KEYS,
    FILE_KEYS,
    HAND_BACK_KEYS,
    MOVE_KEYS,
    MOVES,
    RESOLVE_KEYS,
    STEP_KEYS,
    TIMEOUTS,
    TURN_KEYS,
)
from rules.cases.values import Case as Case
from rules.cases.values import Expect as Expect
from rules.cases.values import MoveStep, Step, TurnStep
from rules.compile.names import Declared, declared_in
from rules.compile.values import read_bool, read_duration, read_keys, read_list, read_text, read_word
from rules.files.errors import Problem
from rules.files.nodes import MapNode, Node, TextNode
from rules.files.source import read_source
from rules.model import RuleFiles, Span

# A conversation that a person still reads; what happens after so many turns is said with `over` and fewer.
STEPS_MAX = 200
# How long a customer takes to answer when a test does not say: nothing in a rule file should hang on it.
TURN_GAP_MS = 30_000
# The moment of a case that names none: a Monday morning, so that office hours are open.
DEFAULT_AT = "2026-03-02T09:00"
# A turn has one of these: without them a step is no turn.
_SPEAKING = ("message", "reply", "tool_calls")


def read_case_files(texts: Mapping[str, str], files: RuleFiles) -> tuple[tuple[Case, ...], tuple[Problem, ...]]:
    """Return every case of the test files, and every problem in them by file, line and column.

    A case with an error is left out, so nothing of it can pass by mistake.
    """
    return read_beside(texts, declared_in(files))


def read_beside(texts: Mapping[str, str], declared: Declared) -> tuple[tuple[Case, ...], tuple[Problem, ...]]:
    """Return what `read_case_files` does, beside rule files that may have mistakes."""
    cases: list[Case] = []
    problems: dict[Problem, None] = {}
    for name in sorted(texts):
        source = read_source(name, texts[name])
        cases += _File(source, declared).cases()
        # What stands under `defaults` is read for every case, and told once.
        problems |= dict.fromkeys(source.problems)
    return tuple(cases), tuple(sorted(problems, key=lambda each: (each.span.file, each.span.line, each.span.column)))


class _File(ExpectReader):
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
            if case is not None and not any(each.severity == "error" for each in self.source.problems[before:]):
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
        if steps and not any(step.expect for step in steps):
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
        moves = [key for key, _ in node.pairs if key.value in MOVES] if isinstance(node, MapNode) else []
        if moves or self._only_waits(node, shared):
            return self._move_step(node, moves)
        values = read_keys(self.source, node, STEP_KEYS, "a turn") or {}
        after_ms = self._after_ms(values, 0 if number == 1 else TURN_GAP_MS)
        return self._turn_step(node, {**shared, **values}, after_ms, conversation, number)

    def _only_waits(self, node: Node, shared: Mapping[str, Node]) -> bool:
        """Return whether a step says that time goes by and nothing else."""
        keys = _keys(node) if isinstance(node, MapNode) else frozenset()
        return "after" in keys and keys <= {"after", "expect"} and not any(key in shared for key in _SPEAKING)

    def _move_step(self, node: Node, moves: list[TextNode]) -> MoveStep:
        values = read_keys(self.source, node, MOVE_KEYS, "a move of the handoff") or {}
        for another in moves[1:]:
            message = f"`{another.value}` stands beside `{moves[0].value}`"
            self.source.refuse("R105", another, message, "write it as a step of its own")
        move = moves[0].value if moves else None
        given = self._given(move, values[move]) if move is not None and move in values else {}
        expect = self.expect_of_move(values["expect"]) if "expect" in values else None
        # A deadline comes when it comes: without `after` the clock goes exactly there.
        gap_ms = 0 if move in TIMEOUTS else TURN_GAP_MS
        return MoveStep(self.source.span(node), self._after_ms(values, gap_ms), move, given, expect)

    def _given(self, move: str, node: Node) -> dict[str, object]:
        """Return what an operator gives with a move; `true` is nothing besides the move."""
        if move == "transfer":
            queue = self.known({move: node}, move, self.declared.queues, "R103", "queue")
            return {} if queue is None else {"queue": queue}
        table = {"hand_back": HAND_BACK_KEYS, "resolve": RESOLVE_KEYS}.get(move)
        if table is None or not isinstance(node, MapNode):
            if read_bool(self.source, node, f"`{move}`") is False:
                self.source.refuse("R116", node, f"`{move}` is false", "write `true` or remove the step")
            return {}
        values = read_keys(self.source, node, table, f"`{move}`") or {}
        given: dict[str, object] = {}
        for key, value in values.items():
            if key in ("facts", "edited"):
                given[key] = self.plain_map(value, key)
            elif key == "flags":
                given[key] = tuple(self.names(values, key, table[key].choices, "R109", "flag"))
            elif key == "may_retry":
                given[key] = read_bool(self.source, value, f"`{key}`")
            elif table[key].choices:
                given[key] = read_word(self.source, value, table[key])
            else:
                given[key] = read_text(self.source, value, f"`{key}`")
        return given

    def _turn_step(
        self, node: Node, values: Mapping[str, Node], after_ms: int, conversation: str, number: int
    ) -> TurnStep:
        turn = self.turn(node, values, conversation, number)
        expect = self.expect_of_turn(values["expect"]) if "expect" in values else None
        pressures = self.pressures(values["pressure"]) if "pressure" in values else {}
        return TurnStep(self.source.span(node), after_ms, turn, expect, pressures)

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
            moment = moment.replace(tzinfo=ZoneInfo(self.declared.timezone))
        return int(moment.timestamp() * 1000)


def _keys(node: MapNode) -> frozenset[str]:
    return frozenset(key.value for key, _ in node.pairs)


def _only(values: Mapping[str, Node], key: str) -> dict[str, Node]:
    return {key: values[key]} if key in values else {}
