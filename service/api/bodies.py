"""What operators, reporters and admins send, with a limit on every field. Turns are in `turn_body`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator

from rules.handoff import ACTIONS, FLAGS, OUTCOMES
from service.api.turn_body import ID_PATTERN, INTEGER_MAX, TEXT_CHARS_MAX, Id, Name, Text, check_values
from service.clock import now_ms
from service.flows.keys import NAME_CHARS_MAX, NAME_PATTERN

# A token is made by the store; nothing longer was ever one.
TOKEN_CHARS_MAX = 256
ROOT_CAUSE_CHARS_MAX = 256
REASON_CHARS_MAX = 512
# CSAT of every scale in use (1..5, 1..10, 0..100) and NPS (-100..100).
SCORE_MAX = 100.0
# Clocks of two machines differ by seconds; what lies further ahead is seconds, or microseconds, or a slip.
AHEAD_MS_MAX = 300_000

Token = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=TOKEN_CHARS_MAX, pattern=ID_PATTERN)]
RootCause = Annotated[str, StringConstraints(strict=True, max_length=ROOT_CAUSE_CHARS_MAX)]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("nothing is said: the text is blank")
    return text


Said = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=TEXT_CHARS_MAX), AfterValidator(_not_blank)
]
Moment = Annotated[int, Field(strict=True, ge=0, le=INTEGER_MAX)]


def _bounded(field: str) -> AfterValidator:
    def bounded(given: dict[str, Any]) -> dict[str, Any]:
        check_values(field, given)
        return given

    return AfterValidator(bounded)


class Body(BaseModel):
    """A body of one of the routes: no unknown field, and no value in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ClaimBody(Body):
    """A claim needs nothing besides its address."""


class TokenBody(Body):
    """A move that needs only the lease's token."""

    token: Token


class ClaimThisBody(ClaimBody):
    """Claim this one; with `again` also where the caller has it in hand: they get a new token, and the one before is
    stale. For a window that was closed, or another device."""

    again: StrictBool = False


class HoldBody(TokenBody):
    """Keep the handoff without heartbeat until a moment."""

    until_at_ms: Moment
    reason: Annotated[str, StringConstraints(strict=True, max_length=REASON_CHARS_MAX)] | None = None


class TransferBody(TokenBody):
    """Move it to another queue, to a named operator, or both."""

    queue: Name | None = None
    operator: Name | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> TransferBody:
        if self.queue is None and self.operator is None:
            raise ValueError("needs `queue`, `operator` or both")
        return self


class DraftBody(Body):
    """What you are writing, as your console has it; an empty object throws it away."""

    fields: Annotated[dict[Name, Any], _bounded("fields")]


class ReplyBody(TokenBody):
    """Say something to the customer through the agent."""

    text: Said


class EditedCall(Body):
    """The tool call to run instead of the proposed one."""

    name: Name
    args: Annotated[dict[Name, Any], _bounded("args")] = Field(default_factory=dict)


class Edited(Body):
    """What to send or run instead of what was proposed."""

    reply: Said | None = None
    tool_call: EditedCall | None = None


def _says_something(edited: Edited | None) -> None:
    if edited == Edited():
        raise ValueError("`edited` needs `reply` or `tool_call`")


class ResolveBody(TokenBody):
    """End the handoff: what the agent shall do, and how it went. `edit` needs `edited`, `answer` needs `text`."""

    action: Literal[ACTIONS]  # type: ignore[valid-type]  # the table in rules.handoff is the one list of actions
    outcome: Literal[OUTCOMES]  # type: ignore[valid-type]  # the table is the type
    text: Text | None = None
    edited: Edited | None = None
    root_cause: RootCause | None = None
    flags: Annotated[list[Literal[FLAGS]], Field(max_length=len(FLAGS))] = Field(default_factory=list)  # type: ignore[valid-type]  # the table is the type

    @model_validator(mode="after")
    def _complete(self) -> ResolveBody:
        if self.action == "edit" and (self.edited is None or self.edited == Edited()):
            raise ValueError("`edit` needs `edited` with `reply` or `tool_call`")
        if self.action == "answer" and not (self.text or "").strip():
            raise ValueError("`answer` needs `text`")
        _says_something(self.edited)
        return self


class HandBackBody(TokenBody):
    """End the handoff and give the conversation back to the agent: what was found out in `facts`, what to say in
    `text`, what to do instead in `edited`, and whether the held action may be tried again."""

    facts: Annotated[dict[Name, Any], _bounded("facts")] | None = None
    edited: Edited | None = None
    may_retry: StrictBool | None = None
    text: Text | None = None
    outcome: Literal[OUTCOMES] | None = None  # type: ignore[valid-type]  # the table is the type

    @model_validator(mode="after")
    def _complete(self) -> HandBackBody:
        _says_something(self.edited)
        return self


class OutcomeBody(Body):
    """What became known later of a conversation, named itself or by one of its handoffs."""

    kind: Literal["reopened", "csat", "complaint", "resolved_without_person"]
    conversation_id: Id | None = None
    handoff_id: Id | None = None
    score: Annotated[float, Field(strict=True, ge=-SCORE_MAX, le=SCORE_MAX, allow_inf_nan=False)] | None = None
    at_ms: Moment | None = None

    @model_validator(mode="after")
    def _complete(self) -> OutcomeBody:
        if self.conversation_id is None and self.handoff_id is None:
            raise ValueError("needs `conversation_id`, `handoff_id` or both")
        if self.kind == "csat" and self.score is None:
            raise ValueError("`csat` needs `score`")
        if self.at_ms is not None and self.at_ms > now_ms() + AHEAD_MS_MAX:
            raise ValueError("`at_ms` lies ahead: it is when it happened, in milliseconds since 1970")
        return self


class KeyBody(Body):
    """A new API key: `name` is what every record shows of its owner."""

    name: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=NAME_CHARS_MAX, pattern=NAME_PATTERN)]
    role: Literal["agent", "operator", "manager", "admin"]
