"""What an agent tells Handrail of one exchange, checked before it is sent. Nothing is sent here."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticUseDefault


def whole(value: object) -> object:
    """Return text without lone surrogates, which models produce when a token is cut and which UTF-8 cannot carry."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


def known(value: object) -> object:
    """Return the value; None is what a field holds that nobody gave, for both say that nobody knows."""
    if value is None:
        raise PydanticUseDefault
    return value


Text = Annotated[str, BeforeValidator(whole)]


class _Sent(BaseModel):
    # A misspelt field must not be dropped in silence, and an error must not repeat what the customer said.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Agent(_Sent):
    """The software that speaks with the customer."""

    id: Text | None = None
    version: Text | None = None
    prompt_version: Text | None = None


class Customer(_Sent):
    """Who the agent speaks with; any further attribute that the rule files declare may be given by its name."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    id: Text | None = None
    tier: Text | None = None


class TopicScore(_Sent):
    """A topic the agent's own classifier found; `score` from 0.0 to 1.0."""

    name: Text
    score: float | None = None


class ToolCall(_Sent):
    """A tool call: `proposed` for this turn (not yet run), or done since the turn before.

    `write` tells whether it changes anything; `amount` is in US dollars. None means nobody knows. `output` is what a
    finished call gave back, as text: the rules look for injected instructions in it, and nothing keeps it.
    """

    name: Text
    args: Annotated[Mapping[str, Any], BeforeValidator(known)] = Field(default_factory=dict)
    write: bool | None = None
    amount: float | None = None
    status: Annotated[Literal["proposed", "ok", "error"], BeforeValidator(known)] = "proposed"
    error: Text | None = None
    output: Text | None = None


class Parent(_Sent):
    """The agent that handed the work over to this one, and the turn in which it did, as far as you know them.

    Name it on every turn of the agent that got the work. `conversation_id` only where that was another conversation.
    """

    agent: Text | None = None
    conversation_id: Text | None = None
    turn_id: Text | None = None


class Turn(_Sent):
    """One exchange, told before the reply is sent or the proposed tools are run.

    `turn_id` is made here when none is given, and stays the same over every retry: the service answers the same turn
    with the same decision. None means unknown, which no rule ever fires on.
    """

    conversation_id: Text
    turn_id: Text = Field(default_factory=lambda: f"turn_{uuid.uuid4().hex}")
    turn_index: int | None = None
    agent: Agent | None = None
    channel: Text | None = None
    locale: Text | None = None
    customer: Customer | None = None
    message: Text | None = None
    reply: Text | None = None
    confidence: float | None = None
    topics: Annotated[tuple[TopicScore, ...], BeforeValidator(known)] = ()
    sentiment: float | None = None
    tool_calls: Annotated[tuple[ToolCall, ...], BeforeValidator(known)] = ()
    sources: tuple[Text, ...] | None = None
    signals: Annotated[Mapping[str, Any], BeforeValidator(known)] = Field(default_factory=dict)
    parent: Parent | None = None


class TurnFields(TypedDict, total=False):
    """The same fields as keyword arguments of `should_escalate`."""

    conversation_id: str
    turn_id: str
    turn_index: int | None
    agent: Agent | Mapping[str, Any] | None
    channel: str | None
    locale: str | None
    customer: Customer | Mapping[str, Any] | None
    message: str | None
    reply: str | None
    confidence: float | None
    topics: Sequence[TopicScore | Mapping[str, Any]] | None
    sentiment: float | None
    tool_calls: Sequence[ToolCall | Mapping[str, Any]] | None
    sources: Sequence[str] | None
    signals: Mapping[str, Any] | None
    parent: Parent | Mapping[str, Any] | None


def body_of(turn: Turn) -> bytes:
    """Return the turn as JSON, without the fields nobody knew."""
    told = turn.model_dump(exclude_none=True)
    # An empty list of sources says that there were none; of the others it says nothing.
    return encode({name: value for name, value in told.items() if name == "sources" or value not in ((), {})})


def encode(value: object) -> bytes:
    """Return any value as JSON: what JSON cannot say becomes text, and a number that is none becomes null."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _plain(value: object) -> object:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case BaseModel():
            return _plain(value.model_dump())
        case _:
            return str(value)
