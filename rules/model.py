"""What rule files say, as frozen values: conditions, rules, topics, queues. Nothing is read or computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from rules.telling.notices import Notice
from rules.turn import Scalar

if TYPE_CHECKING:  # a description says its conditions and words in what stands here
    from rules.agents.descriptions import AgentDescription

Verdict: TypeAlias = Literal["continue", "review", "hold", "escalate", "held_by_human"]
# Weakest first: the strongest verdict of the rules that fired is the turn's verdict.
VERDICTS: tuple[Verdict, ...] = ("continue", "review", "hold", "escalate", "held_by_human")
# The agent must not send its draft nor run its proposed tool calls under these.
STOPPING: frozenset[Verdict] = frozenset({"hold", "escalate", "held_by_human"})

Priority: TypeAlias = Literal["low", "normal", "high", "urgent"]
PRIORITIES: tuple[Priority, ...] = ("low", "normal", "high", "urgent")


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a rule file: lines and columns count from 1; `end_column` is past the last character."""

    file: str
    line: int
    column: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Window:
    """How far back an aggregate looks: a number of turns or a span of time.

    The present turn is the first of them unless `earlier` leaves it out, which only goes with a number of turns.
    """

    turns: int | None = None
    span_ms: int | None = None
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A number over the conversation: `count(confidence < 0.5) over 10 turns`, `avg(sentiment) over 10m`.

    `of` is the inner comparison for count and streak, the name of a numeric signal for min, max, avg and last.
    """

    function: Literal["count", "streak", "min", "max", "avg", "last"]
    of: Compare | str
    window: Window


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison, `left operator operand`. Unknown on the left makes it false, whatever the operator.

    `operand` is a number, text, bool or None (for `is unknown`), or a tuple for `in` and `not in`. `threshold` names
    the threshold the number came from. Inside a `tool_call` block `left` is one of CALL_SIGNALS or `args.NAME`.
    """

    left: str | Aggregate
    operator: str
    operand: Scalar | tuple[Scalar, ...] | None
    text: str
    span: Span
    threshold: str | None = None


@dataclass(frozen=True, slots=True)
class CallMatch:
    """True when at least one tool call of the turn meets `condition` all by itself."""

    condition: Condition
    span: Span


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part is known not to hold: `not` over an unknown is not true either, so absence never escalates.

    The same as pushing the negation down to the comparisons and taking each one's opposite (Kleene's strong logic).
    """

    part: Condition


Condition: TypeAlias = Compare | CallMatch | All | Any | Not

Words: TypeAlias = Mapping[str, str]  # language tag -> what the agent says


@dataclass(frozen=True, slots=True)
class OnTimeout:
    """What happens when nobody came by the deadline.

    `verdict`: `continue` (the agent may go on), `deny` (the held draft is refused), `answer` (the agent says `say` in
    place of its draft and goes on), `callback` (a person will call), or `escalate` (move to `queue` with a fresh
    deadline; once only, then `callback`).
    """

    verdict: Literal["continue", "deny", "answer", "callback", "escalate"]
    say: Words
    queue: str | None = None


LEVEL_MAX = 10  # of a skill


@dataclass(frozen=True, slots=True)
class Need:
    """A skill that an operator must have, at this level or higher."""

    skill: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to a handoff that is still there some time after it came into its queue.

    What is None stays as it is. `needs` takes the place of the needs before, `queues` are added to the queue's own,
    `any_language` lets operators of every language take it, `priority` can only rise, `page` tells an on-call channel.
    `also_held`: it comes even when a person already has the handoff. `event` is what the outbox is told.
    """

    after_ms: int
    event: Literal["handoff.widened", "handoff.deadline_near", "handoff.resolve_near", "handoff.resolve_missed"]
    needs: tuple[Need, ...] | None = None
    queues: tuple[str, ...] = ()
    any_language: bool = False
    priority: Priority | None = None
    page: str | None = None
    skip_if_nobody: bool = False
    also_held: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """The operator minutes (in ms) that a queue may ask for in any `over_ms`; `each_ms` is what a handoff takes until
    enough have been seen, None for unknown."""

    minutes_ms: int
    over_ms: int
    each_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Calls:
    """Where promised calls wait, and within which time each must be made; `queue` None: where it was promised."""

    within_ms: int
    queue: str | None = None


FloodBy: TypeAlias = Literal["customer", "agent", "tenant"]
# Narrowest first: what one customer does is not laid to the agent that they speak with.
FLOOD_BY: tuple[FloodBy, ...] = ("customer", "agent", "tenant")


@dataclass(frozen=True, slots=True)
class FloodLimit:
    """From how many handoffs for the same rule on, within `over_ms`, those of one customer, one agent or the whole
    tenant are grouped."""

    by: FloodBy
    most: int
    over_ms: int


@dataclass(frozen=True, slots=True)
class BusyStep:
    """What a rule gives up once its queue's pressure is at `over_percent` of the budget.

    `thresholds` take the place of the rule's own numbers, which can only keep it from firing. `to` makes a `review` of
    what stops the agent, or a call-back of `priority: low`; None leaves the verdict.
    """

    over_percent: int
    thresholds: Mapping[str, float]
    to: Literal["review", "callback"] | None
    say: Words


@dataclass(frozen=True, slots=True)
class Queue:
    """Where handoffs wait, and the promise made to those who wait there.

    `own_language`: an operator must speak the customer's language. `same_operator_ms`: for that long only the person
    who had this customer before may take it. `offer_ms`: a free person is offered it and has so long to accept.
    `notify`: who is told of what happens to those who wait here. `flood`: from when on what is alike is grouped.
    """

    name: str
    answer_within_ms: int
    on_timeout: OnTimeout
    needs: tuple[Need, ...] = ()
    say: Words = field(default_factory=dict)
    title: str | None = None
    meanwhile: Words = field(default_factory=dict)
    own_language: bool = False
    same_operator_ms: int | None = None
    offer_ms: int | None = None
    resolve_within_ms: int | None = None
    warn_before_ms: int | None = None
    ladder: tuple[Step, ...] = ()
    notify: tuple[Notice, ...] = ()
    budget: Budget | None = None
    flood: tuple[FloodLimit, ...] = ()
    calls: Calls | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """Something a text can be about. `inside` tells which texts are read: the customer's message, the draft reply."""

    name: str
    regulated: bool = False
    source: str | None = None
    phrases: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()  # phrases that, around a hit, take it back
    means: str | None = None  # `asks_for_person` makes the topic feed that signal
    inside: frozenset[str] = frozenset({"message"})


@dataclass(frozen=True, slots=True)
class Then:
    """What a rule asks for. `queue` is None only for `continue`; `answer_within_ms` and `on_timeout` fall back to the
    queue's, `say` too. `reason_code` is the name that the caller's own systems have for the reason. `open_ended`: it
    waits until somebody takes it, whatever its queue promises. `calls` fall back to the queue's too."""

    verdict: Verdict
    queue: str | None = None
    priority: Priority = "normal"
    answer_within_ms: int | None = None
    on_timeout: OnTimeout | None = None
    say: Words = field(default_factory=dict)
    reason_code: str | None = None
    open_ended: bool = False
    calls: Calls | None = None


@dataclass(frozen=True, slots=True)
class Mode:
    """How much of a rule is live: `percent` of the conversations, 100 for live, 0 for shadow."""

    percent: int = 100


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition and what to do when it holds. `regulated` is true when it asks for a regulated topic."""

    id: str
    why: str
    when: Condition
    then: Then
    mode: Mode
    span: Span
    regulated: bool = False
    when_busy: tuple[BusyStep, ...] = ()


SignalType: TypeAlias = Literal["number", "text", "bool", "set"]


@dataclass(frozen=True, slots=True)
class SignalDeclaration:
    """A signal that a rule file declares: sent in `turn.signals`, or in `turn.customer` for `customer.NAME`."""

    name: str
    type: SignalType
    why: str | None = None


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """All rule files of one directory, read and checked but not yet indexed.

    `rules` stand in order of precedence: strongest verdict first, then highest priority, then as written.
    `hash` is the sha256 (hex) of the files' names and texts. `approvals` is how many persons must stand
    behind a version that is to decide.
    """

    hash: str
    thresholds: Mapping[str, float]
    topics: Mapping[str, Topic]
    queues: Mapping[str, Queue]
    signals: Mapping[str, SignalDeclaration]
    rules: tuple[Rule, ...]
    timezone: str = "UTC"
    approvals: int = 1
    agents: Mapping[str, AgentDescription] = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
