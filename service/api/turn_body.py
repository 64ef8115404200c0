"""The Turn as it arrives: the same values as in `rules`, with a limit on every field. JSON in, Turn or Refused out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass

from rules.marks import DRILL_MARK
from rules.turn import AgentRef, Customer, Parent, ToolCall, TopicScore, Turn
from service.api.faults import refusal
from service.api.json_text import parse
from service.api.problems import Refused

# An id is part of Redis keys: printable ASCII without spaces, and short enough to read.
ID_CHARS_MAX = 128
ID_PATTERN = r"^[!-~]+$"
# Names (agent, channel, tool, topic, attribute, signal) are compared by rules, so they are words, not texts.
NAME_CHARS_MAX = 128
# About 5,000 words: longer than any message a person writes, and matched in well under a millisecond.
TEXT_CHARS_MAX = 32_768
ERROR_CHARS_MAX = 4_096
SOURCE_CHARS_MAX = 1_024
# Values of declared signals and of customer attributes are compared with short operands.
VALUE_CHARS_MAX = 1_024
TOPICS_MAX = 64
TOOL_CALLS_MAX = 64
SOURCES_MAX = 256
SIGNALS_MAX = 256
SIGNAL_WORDS_MAX = 256
ATTRIBUTES_MAX = 64
# Arguments are shown to operators and asked for by name; a whole document does not belong in them.
ARGS_VALUES_MAX = 1_024
ARGS_DEPTH_MAX = 8
ARGS_CHARS_MAX = 65_536
# JSON's own safe range: beyond it, other readers of the packet would see another number.
INTEGER_MAX = 2**53 - 1
AMOUNT_USD_MAX = 1e12
TURN_INDEX_MAX = 1_000_000_000

Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=ID_CHARS_MAX, pattern=ID_PATTERN)]
Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=NAME_CHARS_MAX)]
Text = Annotated[str, StringConstraints(strict=True, max_length=TEXT_CHARS_MAX)]
Error = Annotated[str, StringConstraints(strict=True, max_length=ERROR_CHARS_MAX)]
Source = Annotated[str, StringConstraints(strict=True, max_length=SOURCE_CHARS_MAX)]
Word = Annotated[str, StringConstraints(strict=True, max_length=VALUE_CHARS_MAX)]
Share = Annotated[float, Field(strict=True, ge=0.0, le=1.0, allow_inf_nan=False)]
Mood = Annotated[float, Field(strict=True, ge=-1.0, le=1.0, allow_inf_nan=False)]
Amount = Annotated[float, Field(strict=True, ge=-AMOUNT_USD_MAX, le=AMOUNT_USD_MAX, allow_inf_nan=False)]
Scalar = StrictBool | Annotated[int, Field(strict=True, ge=-INTEGER_MAX, le=INTEGER_MAX)] | StrictFloat | Word
Words = Annotated[frozenset[Word], Field(max_length=SIGNAL_WORDS_MAX)]

CLOSED = ConfigDict(extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, slots=True, config=CLOSED)
class AgentBody(AgentRef):
    """The software that speaks with the customer."""

    id: Name | None = None
    version: Name | None = None
    prompt_version: Name | None = None


@dataclass(frozen=True, slots=True, config=CLOSED)
class CustomerBody(Customer):
    """Who the agent speaks with: `id`, `tier`, and any attribute that the rule files declare, by its name."""

    id: Name | None = None
    tier: Name | None = None
    attributes: Annotated[dict[Name, Scalar], Field(max_length=ATTRIBUTES_MAX)] = dataclasses.field(
        default_factory=dict
    )

    @model_validator(mode="before")
    @classmethod
    def _gather_attributes(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        rest = given.copy()
        customer = {"id": rest.pop("id", None), "tier": rest.pop("tier", None), "attributes": rest}
        if None in rest.values():
            # An attribute that is null is unknown, like one that was not sent.
            customer["attributes"] = {name: value for name, value in rest.items() if value is not None}
        return customer


@dataclass(frozen=True, slots=True, config=CLOSED)
class TopicBody(TopicScore):
    """A topic the caller's own classifier found; `score` from 0.0 to 1.0."""

    name: Name
    score: Share | None = None


@dataclass(frozen=True, slots=True, config=CLOSED)
class ToolCallBody(ToolCall):
    """A tool call: `proposed` for this turn, or done (`ok`, `error`) since the last one. `amount` is in US dollars."""

    name: Name
    # What is null here `check_calls` reads like what was not sent.
    args: dict[Name, Any] | None = dataclasses.field(default_factory=dict)  # type: ignore[assignment]
    write: StrictBool | None = None
    amount: Amount | None = None
    status: Literal["proposed", "ok", "error"] | None = "proposed"  # type: ignore[assignment]
    error: Error | None = None
    output: Text | None = None


@dataclass(frozen=True, slots=True, config=CLOSED)
class ParentBody(Parent):
    """The agent that handed the work over to this one, and its turn, as far as they are known."""

    agent: Name | None = None
    conversation_id: Id | None = None
    turn_id: Id | None = None


@dataclass(frozen=True, slots=True, config=CLOSED)
class TurnBody(Turn):
    """One exchange, reported before the reply is sent or the proposed tools are run.

    Besides `conversation_id`, one of `message`, `reply` and `tool_calls` is required. `null` is unknown.
    """

    # What is None here is what the caller left open; `read_turn` puts the values in that `rules` expects.
    conversation_id: Id
    turn_id: Id | None = None  # type: ignore[assignment]
    agent: AgentBody | None = None  # type: ignore[assignment]
    channel: Name | None = None
    locale: Name | None = None
    customer: CustomerBody | None = None  # type: ignore[assignment]
    message: Text | None = None
    reply: Text | None = None
    confidence: Share | None = None
    topics: Annotated[tuple[TopicBody, ...], Field(max_length=TOPICS_MAX)] | None = ()  # type: ignore[assignment]
    sentiment: Mood | None = None
    tool_calls: Annotated[tuple[ToolCallBody, ...], Field(max_length=TOOL_CALLS_MAX)] | None = ()  # type: ignore[assignment]
    sources: Annotated[tuple[Source, ...], Field(max_length=SOURCES_MAX)] | None = None
    signals: Annotated[dict[Name, Scalar | Words | None], Field(max_length=SIGNALS_MAX)] | None = None  # type: ignore[assignment]
    parent: ParentBody | None = None
    turn_index: Annotated[int, Field(strict=True, ge=0, le=TURN_INDEX_MAX)] | None = None


BODY = TypeAdapter(TurnBody)
UNNAMED = "t_"  # how the name of a turn begins that came without one
_NOBODY = AgentRef()
_UNKNOWN_CUSTOMER = Customer()
_NO_SIGNALS: Mapping[str, Any] = MappingProxyType({})


def read_turn(raw: bytes) -> Turn:
    """Return the turn a body reports, or raise Refused with every fault at once.

    Without `turn_id` the turn is named after its bytes, so that the same request sent again is the same turn.
    """
    try:
        turn = BODY.validate_python(parse(raw))
    except ValidationError as invalid:
        raise refusal(invalid.errors(include_url=False, include_input=False), TurnBody) from None
    if turn.message is None and turn.reply is None and not turn.tool_calls:
        raise Refused("body_invalid", "one of `message`, `reply` and `tool_calls` is required")
    if turn.conversation_id.startswith(DRILL_MARK):
        raise Refused("body_invalid", f"a `conversation_id` that begins with `{DRILL_MARK}` is that of a fire drill")
    check_calls(turn.tool_calls or ())
    _fill(turn, raw)
    return turn


def _name_of(raw: bytes) -> str:
    return UNNAMED + hashlib.blake2b(raw, digest_size=8).hexdigest()


def is_unnamed(turn: Turn, raw: bytes) -> bool:
    """Return whether the turn of this body came without a `turn_id`."""
    return turn.turn_id.startswith(UNNAMED) and turn.turn_id == _name_of(raw)


def _fill(turn: TurnBody, raw: bytes) -> None:
    # Nobody else has seen this value yet; making a second one would cost as much as all of its validation.
    put = object.__setattr__
    if turn.turn_id is None:
        put(turn, "turn_id", _name_of(raw))
    if turn.agent is None:
        put(turn, "agent", _NOBODY)
    if turn.customer is None:
        put(turn, "customer", _UNKNOWN_CUSTOMER)
    if turn.signals is None:
        put(turn, "signals", _NO_SIGNALS)
    if turn.topics is None:
        put(turn, "topics", ())
    if turn.tool_calls is None:
        put(turn, "tool_calls", ())


def check_calls(calls: Sequence[ToolCall]) -> None:
    """Refuse arguments that are too deep, too many or too long, and put in what a call left open with `null`."""
    for call in calls:
        if call.args:
            check_values("tool_calls.args", call.args)
        elif call.args is None:
            object.__setattr__(call, "args", {})
        if call.status is None:
            object.__setattr__(call, "status", "proposed")


def check_values(field: str, given: Mapping[str, object]) -> None:
    """Refuse free values that are too deep, too many or too long; a body's own bounds are wider than one field's."""
    left: list[tuple[object, int]] = [(given, 1)]
    values = chars = 0
    while left:
        value, depth = left.pop()
        if isinstance(value, str):
            chars += len(value)
        elif isinstance(value, dict):
            chars += sum(map(len, value))
            left += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            left += [(item, depth + 1) for item in value]
        values += 1
        if depth > ARGS_DEPTH_MAX + 1:
            raise Refused("body_invalid", f"`{field}` is nested deeper than {ARGS_DEPTH_MAX} levels")
        if values > ARGS_VALUES_MAX:
            raise Refused("body_invalid", f"`{field}` has more than {ARGS_VALUES_MAX} values")
        if chars > ARGS_CHARS_MAX:
            raise Refused("body_invalid", f"`{field}` is longer than {ARGS_CHARS_MAX} characters")
