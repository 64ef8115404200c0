"""`GET /conversations/{id}/chain`: which agents had the work of a conversation, and at whom it broke."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from rules.chains.chain import ODD, OddKind, Station
from rules.chains.disagreements import DisagreementKind, Said, words
from rules.model import VERDICTS, Verdict
from rules.text.mask import mask
from service.api.decision_answers import FiredRuleAnswer, Shape
from service.api.routes import NAME_CHARS_MAX, Call, answered, called, problems_documented
from service.flows import chains
from service.flows.chains import Broke, ChainView

router = APIRouter(tags=["operators"])

ConversationId = Annotated[str, Path(max_length=NAME_CHARS_MAX, description="as the agents send it")]


class ChainTurnAnswer(Shape):
    """One turn of an agent: what was decided, and the tools whose calls had failed."""

    turn_id: str
    at_ms: int | None
    verdict: Verdict | None
    tool_errors: list[str]


class StationAnswer(Shape):
    """One agent's time with the work.

    `under` is the place of the station that handed it over, `depth` how many handovers led to it. Without turns the
    agent is only known because another named it; with a `conversation_id` it works in that other conversation.
    `returned`: it had the work before, and it came back.
    """

    agent: str | None
    under: int | None
    depth: int
    returned: bool
    conversation_id: str | None
    verdicts: dict[str, int]
    turns: list[ChainTurnAnswer]


class BrokeAnswer(Shape):
    """Where the chain broke: the turn that opened the newest handoff, its agent, and why; `path` leads to it.

    `rules` are null where the decision is no longer kept.
    """

    station: int
    agent: str | None
    turn_id: str
    verdict: Verdict
    path: list[str | None]
    decision_id: str | None
    handoff_id: str | None
    rules: list[FiredRuleAnswer] | None


class SaidAnswer(Shape):
    """What one agent said in a turn, without personal data; `value` is null for a whole answer."""

    agent: str
    turn_id: str
    value: bool | float | str | list[str] | None


class DisagreementAnswer(Shape):
    """Two agents that named one thing differently, as values and as a sentence."""

    kind: DisagreementKind
    name: str
    earlier: SaidAnswer
    later: SaidAnswer
    sentence: str


class OddAnswer(Shape):
    """A parent that could not be followed; the turn stands in the chain all the same."""

    turn_id: str
    kind: OddKind
    fact: str


class ChainAnswer(Shape):
    """The chain of a conversation, in the order in which agents got the work.

    `turns_before` counts turns that are no longer kept. `came_from` are the conversations it was handed over from,
    the nearest first. `broke` is null where no turn asked for a person. `calls_not_compared` counts calls that were
    too many to be looked through for disagreements.
    """

    conversation_id: str
    agents: list[str]
    handovers: int
    returns: int
    stations: list[StationAnswer]
    broke: BrokeAnswer | None
    disagreements: list[DisagreementAnswer]
    calls_not_compared: int
    odd: list[OddAnswer]
    turns_before: int
    came_from: list[str]


@router.get(
    # An id may hold a slash.
    "/conversations/{conversation_id:path}/chain",
    summary="Which agents had the work, and at whom it broke",
    responses={200: {"model": ChainAnswer}, **problems_documented("conversation_unknown")},
)
async def chain(conversation_id: ConversationId, call: Annotated[Call, called("read")]) -> Response:
    """One record of all agents that had this conversation, whatever the order in which their turns came in."""
    view = await chains.find(call.running.store, call.caller.tenant, conversation_id)
    return answered(chain_answer(view))


def chain_answer(view: ChainView) -> dict[str, object]:
    """Return a chain as it is shown."""
    chain = view.chain
    return {
        "conversation_id": view.conversation_id,
        "agents": chain.agents,
        "handovers": chain.handovers,
        "returns": chain.returns,
        "stations": [_station(station) for station in chain.stations],
        "broke": None if view.broke is None else _broke(view, view.broke),
        "disagreements": [
            {
                "kind": each.kind,
                "name": each.name,
                "earlier": _said(each.earlier),
                "later": _said(each.later),
                "sentence": words(each),
            }
            for each in view.disagreements
        ],
        "calls_not_compared": view.calls_not_compared,
        "odd": [{"turn_id": each.turn_id, "kind": each.kind, "fact": ODD[each.kind]} for each in chain.odd],
        "turns_before": view.turns_before,
        "came_from": view.came_from,
    }


def _station(station: Station) -> dict[str, Any]:
    decided = [turn.verdict for turn in station.turns]
    return {
        "agent": station.agent,
        "under": station.under,
        "depth": station.depth,
        "returned": station.returned,
        "conversation_id": station.conversation_id,
        "verdicts": {verdict: decided.count(verdict) for verdict in VERDICTS if verdict in decided},
        "turns": [
            {
                "turn_id": turn.turn_id,
                "at_ms": turn.at_ms,
                "verdict": turn.verdict,
                "tool_errors": [call.name for call in turn.tool_calls if call.status == "error"],
            }
            for turn in station.turns
        ],
    }


def _broke(view: ChainView, broke: Broke) -> dict[str, object]:
    decision = broke.decision
    return {
        "station": broke.station,
        "agent": view.chain.stations[broke.station].agent,
        "turn_id": broke.turn_id,
        "verdict": broke.verdict,
        "path": view.chain.path(broke.station),
        "decision_id": None if decision is None else decision.decision_id,
        "handoff_id": None if decision is None else decision.handoff_id,
        "rules": None
        if decision is None
        else [
            {
                "id": rule.rule_id,
                "why": rule.why,
                "because": [check.sentence for check in rule.checks],
                "reason_code": rule.reason_code or "",
            }
            for rule in decision.rules
            if rule.live
        ],
    }


def _said(said: Said) -> dict[str, object]:
    value = said.value
    if isinstance(value, str):
        return {"agent": said.agent, "turn_id": said.turn_id, "value": mask(value).text}
    if isinstance(value, frozenset):
        return {"agent": said.agent, "turn_id": said.turn_id, "value": [mask(one).text for one in sorted(value)]}
    return {"agent": said.agent, "turn_id": said.turn_id, "value": value}
