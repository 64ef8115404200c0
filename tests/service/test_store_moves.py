"""The table of legal moves and the scripts that make them are one: every verb is tried from every state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from rules.evaluation.evaluate import Ruleset
from rules.handoff import ENDED, MOVES, Handoff, State, moves_from
from service.errors import AlreadyClaimed, LeaseLost, MoveIllegal
from service.flows import deadlines, handoffs
from service.flows.access import Store
from service.flows.decide import decide
from service.flows.handoffs import Claiming, HandingBack, Lease, Resolving
from service.store.scripts import library
from tests.service.turns import angry, unsure

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
LATE = NOW + 86_400_000
STATES: tuple[State, ...] = ("waiting", "leased", "held", "resolved", "handed_back", "expired")


async def brought_to(state: State, store: Store, ruleset: Ruleset, tenant: str, rerouting: bool) -> Lease:
    """Return a handoff in this state with the token it was last claimed with."""
    make = unsure if rerouting else angry
    for _ in range(2):
        decided = await decide(store, ruleset, tenant, make("c1"), NOW)
    handoff_id = decided.decision.handoff_id or ""
    if state in ("waiting", "expired"):
        if state == "expired":
            for hours in (1, 2):
                await handoffs.expire_due(store, tenant, 0, NOW + hours * 3_600_000)
        return Lease(handoff_id, "1-x")
    claimed = await handoffs.claim_one(store, tenant, handoff_id, Claiming("mia", 1_000), NOW)
    lease = Lease(handoff_id, claimed.token)
    if state == "held":
        await handoffs.hold(store, tenant, lease, NOW + 2_000, "asks the bank", NOW)
    elif state == "resolved":
        await handoffs.resolve(store, tenant, lease, Resolving("answer", "needed"), NOW)
    elif state == "handed_back":
        await handoffs.hand_back(store, tenant, lease, HandingBack(), NOW)
    return lease


Do = Callable[[Store, Ruleset, str, Lease], Awaitable[object]]

DO: dict[str, Do] = {
    "claim": lambda s, r, t, h: handoffs.claim_one(s, t, h.handoff_id, Claiming("ben", 1_000), NOW),
    "renew": lambda s, r, t, h: handoffs.renew(s, t, h, 1_000, NOW),
    "resume": lambda s, r, t, h: handoffs.resume(s, t, h, 1_000, NOW),
    "hold": lambda s, r, t, h: handoffs.hold(s, t, h, NOW + 500, None, NOW),
    "release": lambda s, r, t, h: handoffs.release(s, t, h, NOW),
    "transfer": lambda s, r, t, h: handoffs.transfer(s, r, t, h, "approvals", None, NOW),
    "reply": lambda s, r, t, h: handoffs.reply(s, t, h, "Hello.", 1_000, NOW),
    "resolve": lambda s, r, t, h: handoffs.resolve(s, t, h, Resolving("answer", "needed"), NOW),
    "hand_back": lambda s, r, t, h: handoffs.hand_back(s, t, h, HandingBack(), NOW),
    "lapse": lambda s, r, t, h: deadlines.lapse_due(s, t, 0, LATE),
    "expire": lambda s, r, t, h: deadlines.expire_due(s, t, 0, LATE),
    "reroute": lambda s, r, t, h: deadlines.expire_due(s, t, 0, NOW + 11 * 60_000),
}


def test_there_is_one_script_a_verb() -> None:
    assert set(MOVES) == set(DO)
    assert set(MOVES) <= set(library())


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", MOVES)
async def test_a_verb_moves_a_handoff_exactly_as_the_table_says(
    verb: str, state: State, store: Store, ruleset: Ruleset, tenant: str
) -> None:
    starts, end = MOVES[verb]
    lease = await brought_to(state, store, ruleset, tenant, rerouting=verb == "reroute")
    before = await handoffs.get(store, tenant, lease.handoff_id)
    assert before.state == state
    refused: Exception | None = None
    try:
        await DO[verb](store, ruleset, tenant, lease)
    except (MoveIllegal, AlreadyClaimed, LeaseLost) as error:
        refused = error
    after: Handoff = await handoffs.get(store, tenant, lease.handoff_id)
    if state not in starts:
        assert after == before
        if isinstance(refused, MoveIllegal):
            assert (refused.verb, refused.state, refused.legal) == (verb, state, moves_from(state))
        # What nobody asked for by name just does not happen; a person is told.
        assert (refused is None) == (verb in ("lapse", "expire", "reroute"))
        return
    assert refused is None
    assert after.state == (end or state)
    assert (after.ended_at_ms is not None) == (end in ENDED)
    if verb == "reply":
        times = (after.lease_expires_at_ms, after.hold_reason)
        assert times == ((NOW + 1_000, None) if state == "leased" else (before.lease_expires_at_ms, before.hold_reason))
    if verb == "reroute":
        assert (after.rerouted, after.queue) == (True, "tier1")
