"""`GET /agents` and `GET /agents/{agent}`: what the active rules say that each agent may do."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from rules.agents.describe import as_json, describe, found
from rules.agents.descriptions import Autonomy
from rules.model import Priority, Verdict
from service.api.decision_answers import Shape
from service.api.routes import NAME_CHARS_MAX, Call, answered, called, problems_documented
from service.errors import AgentUnknown

router = APIRouter(tags=["managers"])

AgentName = Annotated[
    str, Path(max_length=NAME_CHARS_MAX, description="its name in the rule files, or what it sends as `agent.id`")
]


class AgentAnswer(Shape):
    """An agent that the active rules describe. `versions` are those that are at another stage than `autonomy`."""

    agent: str
    agent_id: str
    title: str | None
    purpose: str
    owner: str
    autonomy: Autonomy
    versions: dict[str, Autonomy]


class AgentsAnswer(Shape):
    """All agents that the active rules describe, in the order of the files."""

    ruleset: str
    agents: list[AgentAnswer]


class ScopeAnswer(Shape):
    """What an agent may do: null is not limited, an empty list allows nothing."""

    tools: list[str] | None
    writes: list[str] | None
    amount_usd: float | None
    topics: list[str] | None
    sources: list[str] | None
    sources_required: bool
    languages: list[str] | None
    channels: list[str] | None


class ForbiddenAnswer(Shape):
    """What an agent must not do."""

    tools: list[str]
    topics: list[str]


class ReasonAnswer(Shape):
    """A reason to hand over; `rule` is the rule that it was taken from."""

    why: str
    when: str
    rule: str | None


class HandsOverAnswer(Shape):
    """Who takes over, and when."""

    to: str
    priority: Priority
    say: dict[str, str]
    when: list[ReasonAnswer]


class ActAnswer(Shape):
    """Something the agent does, and the verdict at each stage that one of its versions is at."""

    act: str
    why: str
    verdicts: dict[Autonomy, Verdict]


class CallsMadeAnswer(Shape):
    """What becomes of promised calls: `queue` null is where they were promised."""

    within_ms: int
    queue: str | None


class TimeoutAnswer(Shape):
    """What happens when nobody came by the deadline."""

    verdict: str
    queue: str | None
    say: dict[str, str]


class AppliedRuleAnswer(Shape):
    """A rule that can hold for the agent; `own` ones come from its description. Null is as the queue says."""

    id: str
    own: bool
    why: str
    when: str
    verdict: Verdict
    queue: str | None
    priority: Priority
    say: dict[str, str]
    answer_within_ms: int | None
    on_timeout: TimeoutAnswer | None
    calls: CallsMadeAnswer | None
    live_percent: int
    regulated: bool


class PromiseAnswer(Shape):
    """A queue of these rules, and what is promised there."""

    name: str
    title: str | None
    answer_within_ms: int
    on_timeout: TimeoutAnswer
    calls: CallsMadeAnswer | None
    say: dict[str, str]


class DescriptionAnswer(AgentAnswer):
    """An agent's job description with every rule that applies to it, in order of precedence.

    `targets` has shares from 0 to 1, a score, and `handling_time` in ms; `people` what each stage means.
    """

    ruleset: str
    people: dict[Autonomy, str]
    sample_percent: int
    live_percent: int
    may: ScopeAnswer
    must_not: ForbiddenAnswer
    hands_over: HandsOverAnswer
    approved_by: str
    reviewed_by: str
    targets: dict[str, float]
    acts: list[ActAnswer]
    rules: list[AppliedRuleAnswer]
    queues: list[PromiseAnswer]


@router.get(
    "/agents",
    summary="The agents that the rules describe",
    responses={200: {"model": AgentsAnswer}, **problems_documented()},
)
async def agents(call: Annotated[Call, called("list")]) -> Response:
    """Empty where no rule file has `agents:`."""
    files = (await call.running.overseen(call.caller.tenant)).files
    listed = [
        {
            "agent": each.name,
            "agent_id": each.agent_id,
            "title": each.title,
            "purpose": each.purpose,
            "owner": each.owner,
            "autonomy": each.autonomy,
            "versions": dict(each.versions),
        }
        for each in files.agents.values()
    ]
    return answered({"ruleset": files.hash, "agents": listed})


@router.get(
    "/agents/{agent}",
    summary="An agent's job description",
    responses={200: {"model": DescriptionAnswer}, **problems_documented("agent_unknown")},
)
async def agent_described(agent: AgentName, call: Annotated[Call, called("list")]) -> Response:
    """What `handrail describe` prints, for programs."""
    files = (await call.running.overseen(call.caller.tenant)).files
    description = found(files, agent)
    if description is None:
        raise AgentUnknown(tuple(files.agents))
    return answered(as_json(describe(files, description)))
