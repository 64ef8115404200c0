"""A stored Decision with its conversation up to that turn, read to be written as a test case. Nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from rules.cases.recorded import Recorded
from rules.decision import Decision
from rules.handoff import Handoff
from service.errors import TurnNotKept
from service.flows import decide
from service.store import conversations, decisions, handoffs, keys
from service.store.keys import Place
from service.store.store import Store


async def find(store: Store, tenant: str, decision_id: str) -> Recorded:
    """Return all that is kept of a decision. Raises DecisionUnknown, and TurnNotKept when its turn's texts are gone."""
    decision = await decide.find(store, tenant, decision_id)
    place = store.place_of(tenant, decision.conversation_id)
    loaded, transcript = await asyncio.gather(
        conversations.load(store, place, decision.conversation_id, ""),
        conversations.transcript(store, place, decision.conversation_id),
    )
    place_of_turn = {turn.turn_id: number for number, turn in enumerate(transcript)}
    if decision.turn_id not in place_of_turn:
        raise TurnNotKept
    turns = transcript[: place_of_turn[decision.turn_id] + 1]
    made = {turn.turn_id: _decision_id(tenant, place, decision, turn.turn_id) for turn in turns}
    kept = {each.turn_id: each for each in await decisions.many(store, place, tuple(made.values()))}
    # What the conversation counts in all, less what came after and what is kept.
    counted = 0 if isinstance(loaded, Decision) else loaded.conversation.turns_count
    past = () if isinstance(loaded, Decision) else loaded.conversation.past
    return Recorded(
        decision=decision,
        turns=turns,
        decisions=kept,
        handoffs=await _handoffs(store, place, [kept[turn.turn_id] for turn in turns if turn.turn_id in kept]),
        records={record.turn_id: record for record in past},
        turns_before=max(0, counted - len(transcript)),
    )


def _decision_id(tenant: str, place: Place, decision: Decision, turn_id: str) -> str:
    return keys.decision_id(tenant, place.partition, decision.conversation_id, turn_id)


async def _handoffs(store: Store, place: Place, kept: Iterable[Decision]) -> tuple[Handoff, ...]:
    """Return the handoffs that the turns refer to, and the calls that were owed after them, each once and in order."""
    ids = dict.fromkeys(decision.handoff_id for decision in kept if decision.handoff_id is not None)
    found: dict[str, Handoff] = {}
    while ids:
        several = await handoffs.many(store, [(place, handoff_id) for handoff_id in ids])
        found |= {each.handoff_id: each for each in several}
        ids = dict.fromkeys(each.call_id for each in several if each.call_id and each.call_id not in found)
    return tuple(found.values())
