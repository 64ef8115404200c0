"""What `handrail try` holds: rules, the conversation so far, what the next turn will say. Nothing is printed."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from rules.cases.case_files import STEPS_MAX, TURN_GAP_MS, read_case_files
from rules.cases.case_text import HEADER, case_text
from rules.cases.runner import run_cases
from rules.cases.values import Case, MoveStep, TurnStep
from rules.compile.rule_files import compile_files
from rules.evaluation.evaluate import Ruleset, build
from rules.files.errors import RuleFileInvalid, render
from rules.trial import NOWHERE, Tried, play, trial, turn_step
from rules.turn import AgentRef, Customer, Parent, ToolCall, TopicScore, Turn, Value
from service import rule_files
from service.rule_edits import LOOK_EVERY_MS, Edits
from service.rule_files import TESTS_ENDINGS, RulesUnreadable

CONVERSATION = "try-1"
NOTHING: Mapping[str, object] = MappingProxyType({})
# The first moment of the year 2200: what is later is a slip, and deadlines are to fall on days that calendars have.
LATEST_AT_MS = 7_258_118_400_000


class Mistake(Exception):
    """What was typed cannot be done: a fact, and what to type instead."""

    def __init__(self, fact: str, hint: str = "") -> None:
        super().__init__(fact)
        self.fact = fact
        self.hint = hint


@dataclass(slots=True)
class Next:
    """What the next turn will say beside the customer's message. It is empty again once the turn is played."""

    reply: str | None = None
    confidence: float | None = None
    sentiment: float | None = None
    topics: tuple[TopicScore, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    sources: tuple[str, ...] | None = None
    signals: dict[str, Value] = field(default_factory=dict)


@dataclass(slots=True)
class Standing:
    """What every turn says from now on: who speaks with whom, and where; and how full queues are, in percent."""

    channel: str | None = None
    locale: str | None = None
    customer: Customer = field(default_factory=Customer)
    agent: AgentRef = field(default_factory=AgentRef)
    parent: Parent | None = None
    pressures: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Rule files that were edited meanwhile: `fault` says why they cannot be used, `changes` what it does to turns."""

    fault: str | None = None
    changes: tuple[tuple[int, str, str], ...] = ()


class Session:
    """One conversation being tried against the rule files of a directory, which may be edited meanwhile."""

    def __init__(self, directory: Path, at_ms: int, conversation_id: str = CONVERSATION) -> None:
        self.directory = directory
        self.ruleset: Ruleset = rule_files.load(directory)
        self.case = trial(conversation_id, at_ms)
        self.played: tuple[Tried, ...] = ()
        self.next = Next()
        self.standing = Standing()
        self._edits = Edits(directory, self.ruleset.hash)

    def say(self, message: str | None) -> Tried:
        """Play a turn with what was set for it, and return what comes of it."""
        given, standing = self.next, self.standing
        if message is None and given.reply is None and not given.calls:
            raise Mistake("the turn says nothing", "type what the customer writes, or /reply or /tool first")
        turn = Turn(
            conversation_id="",
            turn_id="",
            agent=standing.agent,
            channel=standing.channel,
            locale=standing.locale,
            customer=standing.customer,
            message=message,
            reply=given.reply,
            confidence=given.confidence,
            topics=given.topics,
            sentiment=given.sentiment,
            tool_calls=given.calls,
            sources=given.sources,
            signals=given.signals,
            parent=standing.parent,
        )
        tried = self._take(turn_step(self.case, turn, TURN_GAP_MS if self.case.steps else 0, dict(standing.pressures)))
        self.next = Next()
        return tried

    def move(self, move: str | None, after_ms: int, given: Mapping[str, object] = NOTHING) -> Tried:
        """Move the handoff, or let time go by; raises Mistake when it cannot be."""
        step = MoveStep(NOWHERE, after_ms, move, given)
        longer = replace(self.case, steps=(*self.case.steps, step))
        refused = play(self.ruleset, longer)[-1].seen.refused
        if refused is not None:
            raise Mistake(f"/{move.replace('_', '-')} cannot be done: {refused}" if move else refused)
        return self._take(longer)

    def begin_at(self, at_ms: int) -> None:
        """Move the whole conversation to another moment; its first turn comes then."""
        self._stand_at(replace(self.case, at_ms=at_ms))

    def undo(self) -> int:
        """Take back the last step and return how many are left."""
        if not self.case.steps:
            raise Mistake("nothing has happened yet")
        self._stand_at(replace(self.case, steps=self.case.steps[:-1]))
        return len(self.case.steps)

    def reset(self) -> None:
        """Begin again, with the same rules and at the same moment."""
        self.case = replace(self.case, steps=())
        self.played, self.next, self.standing = (), Next(), Standing()

    def reload(self) -> Reloaded | None:
        """Take over rule files that were edited, and play the conversation again; None when nothing is new."""
        found = self._edits.look()
        while found is None and self._edits.moving:
            time.sleep(LOOK_EVERY_MS / 1000)
            found = self._edits.look()
        if found is None:
            return None
        if isinstance(found, RulesUnreadable):
            return Reloaded(str(found))
        files, problems = compile_files(found)
        if files is None:
            errors = (problem for problem in problems if problem.severity == "error")
            return Reloaded("\n".join(map(render, rule_files.located(errors, self.directory))))
        before, ruleset = self.played, build(files)
        self.ruleset, self.played = ruleset, play(ruleset, self.case)
        pairs = zip(map(_verdict, before), map(_verdict, self.played), strict=True)
        changes = tuple((number, old, new) for number, (old, new) in enumerate(pairs, start=1) if old != new)
        return Reloaded(changes=changes)

    def save(self, name: str, case_name: str) -> Path:
        """Write the conversation as a test that passes, at the end of the file if it is there, and return the file."""
        path = self._path(name)
        if not any(isinstance(step, TurnStep) for step in self.case.steps):
            raise Mistake("there is no turn to save yet", "type what a customer writes first")
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else HEADER
        except (OSError, ValueError) as error:
            raise Mistake(f"{path} cannot be read: {_reason(error)}", "give the name of a new file") from None
        if case_name in self._names(text):
            raise Mistake(f"{path} has a case `{case_name}` already", "give another name after the file's")
        case = replace(self.case, name=case_name)
        item = case_text(case, [tried.seen for tried in self.played], self.ruleset.files.rules)
        added = item if text.endswith("\n") else "\n" + item
        self._check(text + added, case_name, path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # What stands there already is never written again: a full disk takes nothing of it.
            with path.open("a", encoding="utf-8") as file:
                file.write(HEADER + item if text == HEADER and file.tell() == 0 else added)
        except (OSError, ValueError) as error:
            raise Mistake(f"{path} cannot be written: {_reason(error)}", "give a file in a folder of yours") from None
        return path

    def _take(self, longer: Case) -> Tried:
        if len(longer.steps) > STEPS_MAX:
            raise Mistake(f"a conversation has {STEPS_MAX} steps at most", "/save it, and /reset to begin another")
        self._stand_at(longer)
        return self.played[-1]

    def _stand_at(self, case: Case) -> None:
        """Take over a case once it could be played; raises Mistake, with all as it was, for one that ends too late."""
        ends_at_ms = case.at_ms + sum(step.after_ms for step in case.steps)
        if not 0 <= case.at_ms <= ends_at_ms <= LATEST_AT_MS:
            raise Mistake("a conversation is tried between the years 1970 and 2200", "begin earlier, or wait less")
        self.case, self.played = case, play(self.ruleset, case)

    def _path(self, name: str) -> Path:
        if not name.endswith(TESTS_ENDINGS):
            raise Mistake("a file of tests ends in `.tests.yaml`", f"type /save {Path(name).stem or 'new'}.tests.yaml")
        given = Path(name)
        root = self.directory if self.directory.is_dir() else self.directory.parent
        # Tests stand beside the rules: a name alone means there.
        return root / given if given.parent == Path() else given

    def _names(self, text: str) -> set[str]:
        cases, _ = read_case_files({"tests": text}, self.ruleset.files)
        return {case.name for case in cases}

    def _check(self, text: str, case_name: str, path: Path) -> None:
        """Raise Mistake unless the text is a file of tests in which the new case passes."""
        try:
            results = run_cases(self.ruleset, {path.name: text})
        except RuleFileInvalid as invalid:
            raise Mistake(
                f"{path} cannot be added to: {render(invalid.problems[0])}", "give the name of a new file"
            ) from None
        if not any(result.name == case_name and result.passed for result in results):
            raise Mistake(f"{path} cannot be added to: `cases:` is not the last thing in it", "name a new file")


def did_you_mean(given: str, known: Iterable[str], fact: str, otherwise: str) -> NoReturn:
    """Raise Mistake for a name that is not known, with the nearest that is."""
    near = difflib.get_close_matches(given, list(known), n=1)
    raise Mistake(fact, f"did you mean `{near[0]}`?" if near else otherwise)


def _reason(error: OSError | ValueError) -> str:
    """Return in a few words why a file cannot be read or written."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _verdict(tried: Tried) -> str:
    if tried.seen.decision is not None:
        return tried.seen.decision.verdict
    return tried.seen.refused or ""
