"""Turns that come without a name: which of them are sent again, and which say the same once more.

Such a turn is named after its bytes, so a request that is repeated finds its answer. But a customer who asks for a
person today asks in the same words tomorrow, and what was answered then must not be promised again for nobody.
"""

from __future__ import annotations

from dataclasses import fields

from rules.decision import Decision
from rules.evaluation.evaluate import Ruleset
from rules.handoff import OPEN
from rules.turn import Turn
from service.errors import HandoffUnknown, StoreAway
from service.flows import deadlines
from service.flows.decide import Decided, decide
from service.flows.spool import Spool
from service.store import conversations, decisions, keys
from service.store.store import Store

# What is sent again because its answer was lost comes within seconds. Whoever says the same a minute later means it.
AGAIN_MS_MAX = 60_000


async def decide_unnamed(
    store: Store, ruleset: Ruleset, tenant: str, turn: Turn, now_ms: int, *, spool: Spool | None = None
) -> Decided:
    """Return the Decision of a turn that is named after its bytes; raises what `decide` does.

    The stored one where it is sent again: within AGAIN_MS_MAX, with nothing decided in the conversation since, and
    while the handoff that it speaks of is open. Else it is a turn of its own.
    """
    found = await decide(store, ruleset, tenant, turn, now_ms, spool=spool)
    if not found.repeated or turn.turn_index is not None:
        return found
    place = store.place_of(tenant, turn.conversation_id)
    try:
        # Before the latest turn is looked at: who is overtaken in between finds that one, and gives no second name.
        number = await conversations.turns_count(store, place, turn.conversation_id)
        latest = await conversations.latest(store, place, turn.conversation_id)
        if latest is None:
            return found
        name = f"{turn.turn_id}.{number}"
        if latest.turn_id.partition(".")[0] == turn.turn_id:
            decision_id = keys.decision_id(tenant, place.partition, turn.conversation_id, latest.turn_id)
            before = await decisions.get(store, place, decision_id)
            if before is not None and await _stands(store, tenant, before, now_ms):
                name = latest.turn_id
    except StoreAway:
        return found
    return await decide(store, ruleset, tenant, _named(turn, name), now_ms, spool=spool)


def _named(turn: Turn, name: str) -> Turn:
    """Return the turn under a name. A body that came in would be read once more by `replace`."""
    return Turn(**{field.name: getattr(turn, field.name) for field in fields(Turn)} | {"turn_id": name})


async def _stands(store: Store, tenant: str, before: Decision, now_ms: int) -> bool:
    """Return whether what was answered is still what there is to say to these words."""
    if now_ms - before.decided_at_ms > AGAIN_MS_MAX:
        return False
    if before.handoff_id is None:
        return True
    try:
        return (await deadlines.current(store, tenant, before.handoff_id, now_ms)).state in OPEN
    except HandoffUnknown:
        return False
