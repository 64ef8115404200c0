"""Rule files that are still being written, as managers send them and as they are answered. Nothing is decided here."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic.dataclasses import dataclass

from rules.cases.case_files import STEPS_MAX, TURN_GAP_MS
from rules.cases.values import MoveStep, Step, TurnStep
from rules.compile.budget import PERCENT_MAX
from rules.model import PRIORITIES, VERDICTS
from rules.trial import NOWHERE, Wanted
from rules.turn import AgentRef, Customer, Parent, ToolCall, TopicScore, Turn
from service.api.bodies import Body, Moment
from service.api.decision_answers import Shape, ShedAnswer
from service.api.turn_body import CLOSED, Id, Name, TurnBody, check_calls
from service.api.version_answers import NUMBER_MAX, FileName, ProblemAnswer
from service.rule_files import FILES_MAX, TESTS_ENDINGS

# A year: longer than any deadline or window that a rule file may name.
AFTER_MS_MAX = 31_536_000_000
CONVERSATION = "try-1"
# Queues of which a step may say how full they are: as many as a manager has budgets for, and some.
QUEUES_MAX = 100
CASE_NAME_CHARS_MAX = 500

FileText = Annotated[str, StringConstraints(strict=True)]
Files = Annotated[dict[FileName, FileText], Field(max_length=FILES_MAX)]
VersionNumber = Annotated[int, Field(strict=True, ge=0, le=NUMBER_MAX)]
# A sentence, as a test's name is one.
CaseName = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=CASE_NAME_CHARS_MAX)]
# How full a queue is, in percent of its budget; a rule file's own steps end there.
Percent = Annotated[int, Field(strict=True, ge=0, le=PERCENT_MAX)]
AfterMs = Annotated[int, Field(strict=True, ge=0, le=AFTER_MS_MAX)]


class FilesBody(Body):
    """Rule files by name, or the number of a `version`, 0 for the service's own; without either those in force."""

    files: Files | None = None
    version: VersionNumber | None = None

    @model_validator(mode="after")
    def _are_one_set(self) -> Self:
        if self.files is not None and self.version is not None:
            raise ValueError("`files` and `version` are two sets of rules, send one of them")
        return self


class CheckBody(FilesBody):
    """Rule files by name, with `operators.yaml` where there is one, or a `version`; without either those in force."""


class RunCasesBody(FilesBody):
    """Rule files and tests by name, or a `version`; without either those in force. `tests` stand in for the tests
    among them."""

    tests: Files | None = None
    coverage: bool = False

    @model_validator(mode="after")
    def _are_tests(self) -> RunCasesBody:
        if any(not name.endswith(TESTS_ENDINGS) for name in self.tests or {}):
            raise ValueError("`tests` holds files whose names end in `.tests.yaml`")
        return self


@dataclass(frozen=True, slots=True, config=CLOSED)
class TriedTurnBody(TurnBody):
    """A turn as POST /should-escalate takes it; which conversation it is in says the body around it."""

    conversation_id: Id = CONVERSATION


class TryStepBody(Body):
    """One step: a `turn`, a `move` of its handoff, or time alone. It comes 30 s after the one before unless told.

    `queue` is where a `transfer` sends it on to. `pressure` is how full queues are at a turn, in percent of their
    budgets.
    """

    turn: TriedTurnBody | None = None
    move: Literal["claim", "release", "transfer", "lapse", "hand_back", "resolve", "timeout"] | None = None
    queue: Name | None = None
    after_ms: AfterMs | None = None
    pressure: Annotated[dict[str, Percent], Field(max_length=QUEUES_MAX)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> TryStepBody:
        if (self.turn is not None) + (self.move is not None) > 1:
            raise ValueError("a step is a `turn` or a `move`, not both")
        if self.turn is None and self.move is None and not self.after_ms:
            raise ValueError("a step is a `turn`, a `move` or an `after_ms` above 0")
        if (self.move == "transfer") != (self.queue is not None):
            raise ValueError("`queue` stands beside the move `transfer`, and only there")
        turn = self.turn
        if turn is not None and turn.message is None and turn.reply is None and not turn.tool_calls:
            raise ValueError("one of `message`, `reply` and `tool_calls` is required in a turn")
        return self


class TryBody(FilesBody):
    """A conversation and the rule files, or the `version`, to try it with; without either those in force.

    `names` asks for the names that the rules know, `signals` for all that is known of the last turn, `packet` for what
    an operator reads who takes the handoff after the last step, and `case_name` for the conversation as a test case.
    """

    at_ms: Moment | None = None
    conversation_id: Id = CONVERSATION
    steps: Annotated[list[TryStepBody], Field(max_length=STEPS_MAX)]
    names: bool = False
    signals: bool = False
    packet: bool = False
    case_name: CaseName | None = None

    @property
    def wanted(self) -> Wanted:
        """Return what is told beside the steps."""
        return Wanted(self.names, self.signals, self.packet, self.case_name)


class CheckedAnswer(Shape):
    """What is wrong with rule files. `hash` and `rules` are null where they cannot be used."""

    ok: bool
    errors: int
    warnings: int
    hash: str | None
    rules: int | None
    problems: list[ProblemAnswer]
    problems_total: int
    rendered: str


class UnmetAnswer(Shape):
    """One expectation that was not met, and why."""

    turn: int
    line: int
    column: int
    what: str
    expected: str
    got: str
    difference: str
    why: list[str]


class RanCaseAnswer(Shape):
    """What came of one test."""

    file: str
    line: int
    name: str
    passed: bool
    turns: int
    failures: list[UnmetAnswer]


class RanCasesAnswer(Shape):
    """What came of the tests; `ok` is false where none ran, `coverage` and `totals` stand only where asked for."""

    ok: bool
    hash: str
    passed: int
    failed: int
    cases: list[RanCaseAnswer]
    coverage: list[dict[str, Any]] | None
    totals: dict[str, Any] | None


class TriedStepAnswer(Shape):
    """One step and what came of it; what only a turn has is null of a move."""

    step: int
    kind: str
    at_ms: int
    verdict: Literal[VERDICTS] | None  # type: ignore[valid-type]  # the table is the type
    must_stop: bool | None
    say: str | None
    queue: str | None
    priority: Literal[PRIORITIES] | None  # type: ignore[valid-type]  # the table is the type
    rules: list[dict[str, Any]] | None
    shed: list[ShedAnswer] | None
    nearest: list[dict[str, Any]] | None
    refused: str | None
    timed_out: dict[str, Any] | None
    handoff: dict[str, Any] | None


class KnownNamesAnswer(Shape):
    """How many rules there are and the names that they know: `budgets` are queues that have one, `signals` those that
    the rule files declare, with their types."""

    rules: int
    timezone: str
    topics: list[str]
    queues: list[str]
    budgets: list[str]
    agents: list[str]
    signals: dict[str, str]


class TriedAnswer(Shape):
    """The conversation step by step, and the hash of the rules that it was tried with.

    `version` is null where files were sent, and 0 for the service's own rules. `names`, `signals`, `packet` and `case`,
    the text of a test case, are null unless they were asked for, and where there is no turn or no handoff.
    """

    hash: str
    version: int | None
    steps: list[TriedStepAnswer]
    names: KnownNamesAnswer | None
    signals: dict[str, Any] | None
    packet: dict[str, Any] | None
    case: str | None


def steps_of(body: TryBody) -> tuple[Step, ...]:
    """Return the steps as the rules play them. Raises Refused for arguments of a call that are too much."""
    return tuple(_step(step, number) for number, step in enumerate(body.steps, start=1))


def _step(step: TryStepBody, number: int) -> Step:
    if step.turn is not None:
        check_calls(step.turn.tool_calls or ())
        after_ms = (0 if number == 1 else TURN_GAP_MS) if step.after_ms is None else step.after_ms
        return TurnStep(NOWHERE, after_ms, _plain(step.turn), pressures=dict(step.pressure or {}))
    gap_ms = 0 if step.move == "timeout" else TURN_GAP_MS
    given = {} if step.queue is None else {"queue": step.queue}
    return MoveStep(NOWHERE, gap_ms if step.after_ms is None else step.after_ms, step.move, given)


def _plain(body: TurnBody) -> Turn:
    """Return the turn as a value of the rules alone: another process reads it that knows no bodies."""
    agent, customer, parent = body.agent or AgentRef(), body.customer or Customer(), body.parent
    return Turn(
        conversation_id=body.conversation_id,
        turn_id="",
        agent=AgentRef(agent.id, agent.version, agent.prompt_version),
        channel=body.channel,
        locale=body.locale,
        customer=Customer(customer.id, customer.tier, dict(customer.attributes)),
        message=body.message,
        reply=body.reply,
        confidence=body.confidence,
        topics=tuple(TopicScore(topic.name, topic.score) for topic in body.topics or ()),
        sentiment=body.sentiment,
        tool_calls=tuple(
            ToolCall(
                call.name, call.args or {}, call.write, call.amount, call.status or "proposed", call.error, call.output
            )
            for call in body.tool_calls or ()
        ),
        sources=body.sources,
        signals=dict(body.signals or {}),
        parent=None if parent is None else Parent(parent.agent, parent.conversation_id, parent.turn_id),
    )
