"""The chain of agents of a conversation: one record, read from the turns that are kept. Nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rules.chains.chain import Chain, ChainTurn, chain_of
from rules.chains.disagreements import Disagreement, compare_all
from rules.chains.told_turns import chain_turn_told
from rules.decision import Decision
from rules.model import Verdict
from service.errors import ConversationUnknown
from service.store import conversations, decisions, handoffs, keys
from service.store.keys import Place
from service.store.store import Store

# A chain that goes through more conversations than this is told from here on; who asks again follows `came_from`.
CONVERSATIONS_MAX = 8
# Verdicts by which a turn asked for a person; under `held_by_human` one had it already.
ASKING: frozenset[Verdict] = frozenset({"review", "hold", "escalate"})


@dataclass(frozen=True, slots=True)
class Broke:
    """The turn that opened the newest handoff: its place in the chain, and what was decided, if that is kept."""

    station: int
    turn_id: str
    verdict: Verdict
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class ChainView:
    """A conversation's chain. `turns_before` counts the turns that are no longer kept.

    `calls_not_compared` counts the calls that were too many to be looked through for disagreements.

    `came_from` is the conversation that it was handed over from, which has a chain of its own; the nearest comes first.
    """

    conversation_id: str
    chain: Chain
    turns_before: int
    broke: Broke | None
    disagreements: tuple[Disagreement, ...]
    calls_not_compared: int = 0
    came_from: tuple[str, ...] = ()


async def find(store: Store, tenant: str, conversation_id: str) -> ChainView:
    """Return the chain of a conversation. Raises ConversationUnknown where nothing of it is kept."""
    place = store.place_of(tenant, conversation_id)
    count, transcript = await asyncio.gather(
        conversations.turns_count(store, place, conversation_id),
        conversations.transcript(store, place, conversation_id),
    )
    if not transcript:
        raise ConversationUnknown
    turns = [chain_turn_told(kept) for kept in transcript]
    chain = chain_of(turns, conversation_id)
    compared = compare_all(chain, turns)
    return ChainView(
        conversation_id=conversation_id,
        chain=chain,
        turns_before=max(0, count - len(transcript)),
        broke=await _broke(store, place, conversation_id, chain, turns),
        disagreements=compared.disagreements,
        calls_not_compared=compared.calls_left_out,
        came_from=await _came_from(store, tenant, conversation_id, chain),
    )


async def _broke(
    store: Store, place: Place, conversation_id: str, chain: Chain, turns: Sequence[ChainTurn]
) -> Broke | None:
    """Return the turn that opened the newest handoff; the newest that asked where that is not kept any more."""
    asking = [turn.turn_id for turn in turns if turn.verdict in ASKING]
    if not asking:
        return None
    decision = await _decision(store, place, conversation_id, asking[-1])
    if decision is not None and decision.handoff_id is not None:
        handoff = await handoffs.find(store, place, decision.handoff_id)
        opened_by = None if handoff is None else handoff.reasons[0].turn_id
        if opened_by in asking and opened_by != asking[-1]:
            asking.append(opened_by)
            decision = await _decision(store, place, conversation_id, opened_by)
    verdict = next(turn.verdict for turn in turns if turn.turn_id == asking[-1])
    return Broke(chain.at(asking[-1]) or 0, asking[-1], verdict or "escalate", decision)


async def _decision(store: Store, place: Place, conversation_id: str, turn_id: str) -> Decision | None:
    return await decisions.get(store, place, keys.decision_id(place.tenant, place.partition, conversation_id, turn_id))


async def _came_from(store: Store, tenant: str, conversation_id: str, chain: Chain) -> tuple[str, ...]:
    """Return the conversations that this one was handed over from, one after the other; each is named once."""
    found: dict[str, None] = {}
    names = _elsewhere(chain)
    while names and len(found) < CONVERSATIONS_MAX:
        name = names.pop(0)
        if name in found or name == conversation_id:
            continue
        found[name] = None
        kept = await conversations.transcript(store, store.place_of(tenant, name), name)
        names += _elsewhere(chain_of([chain_turn_told(turn) for turn in kept], name))
    return tuple(found)


def _elsewhere(chain: Chain) -> list[str]:
    return [station.conversation_id for station in chain.stations if station.conversation_id is not None]
