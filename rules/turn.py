"""What an agent reports of one exchange, and what is remembered of a conversation. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

# A signal's value as the rules see it; None is unknown, which is never the same as zero, empty or false.
Value: TypeAlias = float | int | str | bool | frozenset[str] | None
Scalar: TypeAlias = float | int | str | bool
# The name under which a record says that its turn belongs to a chain of agents: no rule can say it.
CHAINED = "_chain"
CallStatus: TypeAlias = Literal["proposed", "ok", "error"]


@dataclass(frozen=True, slots=True)
class AgentRef:
    """The software that speaks with the customer."""

    id: str | None = None
    version: str | None = None
    prompt_version: str | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """Who the agent speaks with; `attributes` holds what rule files declare under `customer:`."""

    id: str | None = None
    tier: str | None = None
    attributes: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicScore:
    """A topic the caller found itself; `score` from 0.0 to 1.0, None when the caller gave none."""

    name: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool: proposed for this turn, or done since the turn before it.

    `amount` is in US dollars, `write` tells whether the call changes anything, None when nobody said. `output` is what
    a finished call gave back, as text: it is read for topics, and kept nowhere.
    """

    name: str
    args: Mapping[str, object] = field(default_factory=dict)
    write: bool | None = None
    amount: float | None = None
    status: CallStatus = "proposed"
    error: str | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """The agent that handed the work over to the present one, and the turn in which it did, as far as they are named.

    `conversation_id` is the one in which that turn was: this one, unless another is named.
    """

    agent: str | None = None
    conversation_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange as the agent reports it, before the reply is sent or the proposed tools are run.

    `message` is the customer's, `reply` the agent's draft. `turn_index` orders turns that may arrive out of order;
    None when the caller does not count. `signals` holds what the rule files declare and the caller sends.
    """

    conversation_id: str
    turn_id: str
    agent: AgentRef = AgentRef()
    channel: str | None = None
    locale: str | None = None
    customer: Customer = Customer()
    message: str | None = None
    reply: str | None = None
    confidence: float | None = None
    topics: tuple[TopicScore, ...] = ()
    sentiment: float | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    sources: tuple[str, ...] | None = None
    signals: Mapping[str, Value] = field(default_factory=dict)
    parent: Parent | None = None
    turn_index: int | None = None


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """What one decided turn leaves for the aggregates of later turns: names and numbers, no text.

    `values` holds the known signals of that turn (see SIGNALS: those with `recorded`); an unknown one is left out.
    `turn` is the turn itself, where whoever keeps the record has it: only a chain of agents is read from it.
    """

    turn_id: str
    at_ms: int
    values: Mapping[str, Value]
    turn_index: int | None = None
    turn: Turn | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is known of a conversation when a turn comes in.

    `past` is oldest first, at most TURNS_READ_MAX long, and starts after the last hand-back: what led to an earlier
    handoff never counts twice. The counts cover the whole conversation. `chained`: the latest of `past` belongs to a
    chain of agents.
    """

    conversation_id: str
    started_at_ms: int | None = None
    turns_count: int = 0
    handoffs_count: int = 0
    last_handoff_at_ms: int | None = None
    past: Sequence[TurnRecord] = ()
    chained: bool = False
