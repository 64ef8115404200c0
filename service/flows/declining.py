"""Declining: what is kept for an operator goes on at once, to the next whom it is offered to, or to everybody."""

from __future__ import annotations

from rules import moves
from rules.handoff import Handoff, moves_from
from service.errors import AlreadyClaimed, ConversationBusy, MoveIllegal, NotOffered
from service.flows import deadlines
from service.store import handoffs
from service.store.store import Store

TRIES_MAX = 8  # each one that fails saw somebody else move the handoff


async def decline(store: Store, tenant: str, handoff_id: str, operator: str, now_ms: int) -> Handoff:
    """Let go of what is kept for the operator, as if their time were over; a repetition is once.

    Raises HandoffUnknown, AlreadyClaimed for what is kept for somebody else, NotOffered for what is kept for nobody,
    and MoveIllegal for what does not wait.
    """
    for _ in range(TRIES_MAX):
        current = await deadlines.current(store, tenant, handoff_id, now_ms)
        if current.state != "waiting" or current.reserved_for != operator:
            if current.state != "waiting":
                raise MoveIllegal("decline", current.state, moves_from(current.state))
            if operator in current.route.passed_by and await handoffs.has_declined(store, current, operator):
                return current
            if current.reserved_for is not None and current.reserved_until_at_ms is not None:
                raise AlreadyClaimed(
                    current.handoff_id, current.reserved_for, current.reserved_until_at_ms, reserved=True
                )
            raise NotOffered(current.handoff_id)
        # Before it is let go: a repetition may come at the same moment, and is answered alike.
        await handoffs.note_declined(store, current, operator)
        passed = moves.let_go(current, now_ms)
        if await deadlines.advance(store, current, passed, now_ms, actor=operator):
            # Whom it is offered to next is looked for at once.
            return await deadlines.current(store, tenant, handoff_id, now_ms)
    raise ConversationBusy(TRIES_MAX)
