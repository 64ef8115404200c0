"""What `handrail try` holds: rules, the conversation so far, what the next turn will say. Nothing is printed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from rules.cases.case_files import STEPS_MAX, TURN_GAP_MS
from rules.cases.case_text import HEADER
from rules.cases.values import Case, MoveStep, Step, TurnStep
from rules.model import SignalType
from rules.trial import NOWHERE, STEPS_ALONE, Wanted, trial, turn_step
from rules.turn import AgentRef, Customer, Parent, ToolCall, TopicScore, Turn, Value
from service.cli.try_rules import Mistake as Mistake
from service.cli.try_rules import TriedRules
from service.rule_files import TESTS_ENDINGS

CONVERSATION = "try-1"
NOTHING: Mapping[str, object] = MappingProxyType({})
# The first moment of the year 2200: what is later is a slip, and deadlines are to fall on days that calendars have.
LATEST_AT_MS = 7_258_118_400_000


@dataclass(frozen=True, slots=True)
class Names:
    """How many rules there are, their time zone, and the names that they know; `signals` with their types."""

    rules: int
    timezone: str
    topics: tuple[str, ...]
    queues: tuple[str, ...]
    budgets: tuple[str, ...]
    agents: tuple[str, ...]
    signals: Mapping[str, SignalType]


@dataclass(frozen=True, slots=True)
class Told:
    """One step, and what came of it as `rules.trial.tried_json` has it."""

    step: Step
    found: Mapping[str, Any]


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
    """Rules that changed meanwhile: `fault` says why they cannot be used, else `what` came and `changes` of turns."""

    fault: str | None = None
    what: str = ""
    changes: tuple[tuple[int, str, str], ...] = ()


class Session:
    """One conversation being tried against rules that may change meanwhile."""

    def __init__(self, rules: TriedRules, at_ms: int, conversation_id: str = CONVERSATION) -> None:
        self.rules = rules
        self.case = trial(conversation_id, at_ms)
        self.played: tuple[Told, ...] = ()
        self.next = Next()
        self.standing = Standing()
        self.names = self._names()

    def say(self, message: str | None) -> Told:
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
        told = self._take(turn_step(self.case, turn, TURN_GAP_MS if self.case.steps else 0, dict(standing.pressures)))
        self.next = Next()
        return told

    def move(self, move: str | None, after_ms: int, given: Mapping[str, object] = NOTHING) -> Told:
        """Move the handoff, or let time go by; raises Mistake when it cannot be."""
        step = MoveStep(NOWHERE, after_ms, move, given)
        return self._take(replace(self.case, steps=(*self.case.steps, step)))

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
        """Take over rules that have changed, and play the conversation again; None when nothing is new."""
        news = self.rules.news()
        if news is None:
            return None
        if news.fault is not None:
            return Reloaded(news.fault)
        before, self.played, self.names = self.played, self._play(self.case), self._names()
        pairs = zip(map(_verdict, before), map(_verdict, self.played), strict=True)
        changes = tuple((number, old, new) for number, (old, new) in enumerate(pairs, start=1) if old != new)
        return Reloaded(what=news.what, changes=changes)

    def signals(self) -> Mapping[str, Any] | None:
        """Return all that is known of the last turn, null for what is unknown; None when there is no turn."""
        found: Mapping[str, Any] | None = self.rules.play(self.case, Wanted(signals=True))["signals"]
        return found

    def packet(self) -> Mapping[str, Any] | None:
        """Return what an operator reads who takes the handoff now; None when there was none."""
        found: Mapping[str, Any] | None = self.rules.play(self.case, Wanted(packet=True))["packet"]
        return found

    def save(self, name: str, case_name: str) -> Path:
        """Write the conversation as a test that passes, at the end of the file if it is there, and return the file."""
        path = self._path(name)
        if not any(isinstance(step, TurnStep) for step in self.case.steps):
            raise Mistake("there is no turn to save yet", "type what a customer writes first")
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else HEADER
        except (OSError, ValueError) as error:
            raise Mistake(f"{path} cannot be read: {_reason(error)}", "give the name of a new file") from None
        if case_name in self.rules.case_names(text):
            raise Mistake(f"{path} has a case `{case_name}` already", "give another name after the file's")
        item = str(self.rules.play(self.case, Wanted(case_name=case_name))["case"])
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

    def _take(self, longer: Case) -> Told:
        if len(longer.steps) > STEPS_MAX:
            raise Mistake(f"a conversation has {STEPS_MAX} steps at most", "/save it, and /reset to begin another")
        self._stand_at(longer)
        return self.played[-1]

    def _stand_at(self, case: Case) -> None:
        """Take over a case once it could be played; raises Mistake, with all as it was, for one that cannot be."""
        ends_at_ms = case.at_ms + sum(step.after_ms for step in case.steps)
        if not 0 <= case.at_ms <= ends_at_ms <= LATEST_AT_MS:
            raise Mistake("a conversation is tried between the years 1970 and 2200", "begin earlier, or wait less")
        played = self._play(case)
        if len(played) > len(self.played) and isinstance(step := played[-1].step, MoveStep):
            refused = played[-1].found["refused"]
            if refused is not None:
                raise Mistake(f"/{step.move.replace('_', '-')} cannot be done: {refused}" if step.move else refused)
        self.case, self.played = case, played

    def _play(self, case: Case) -> tuple[Told, ...]:
        steps = self.rules.play(case, STEPS_ALONE)["steps"]
        return tuple(Told(step, found) for step, found in zip(case.steps, steps, strict=True))

    def _names(self) -> Names:
        told = self.rules.play(replace(self.case, steps=()), Wanted(names=True))["names"]
        known = {key: tuple(told[key]) for key in ("topics", "queues", "budgets", "agents")}
        return Names(rules=told["rules"], timezone=told["timezone"], signals=told["signals"], **known)

    def _path(self, name: str) -> Path:
        if not name.endswith(TESTS_ENDINGS):
            raise Mistake("a file of tests ends in `.tests.yaml`", f"type /save {Path(name).stem or 'new'}.tests.yaml")
        given = Path(name)
        # Tests stand beside the rules: a name alone means there.
        return self.rules.root / given if given.parent == Path() else given

    def _check(self, text: str, case_name: str, path: Path) -> None:
        """Raise Mistake unless the text is a file of tests in which the new case passes."""
        try:
            passes = self.rules.passes(path.name, text, case_name)
        except Mistake as mistake:
            fact = f"{path} cannot be added to: {mistake.fact}"
            raise Mistake(fact, mistake.hint or "give the name of a new file") from None
        if not passes:
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


def _verdict(told: Told) -> str:
    return str(told.found["verdict"] or told.found["refused"] or "")
