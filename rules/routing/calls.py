"""What is owed to a customer to whom a call was promised: a handoff of its own, from values alone. Nothing is stored.

A busy queue promises a call at once (rules.routing.shedding), a deadline that nobody met promises it at its end. Either
way it waits as a review without a deadline until a person ends it, so a promise always stands in a queue.
"""

from __future__ import annotations

from dataclasses import replace

from rules.handoff import NO_DEADLINE_AT_MS, Call, Handoff, Resolution
from rules.marks import is_drill
from rules.routing.route import call_route
from rules.routing.routing import score_ms


def call_owed(handoff: Handoff, resolution: Resolution) -> Call | None:
    """Return the call that the customer is still owed when the handoff ends so, None for none.

    Whoever had the conversation has spoken to the customer, and whoever ended the call itself has made it. One draft
    that was let out, edited or dropped is neither. A review goes out without the customer hearing of it, so nobody was
    promised anything by its deadline; and nobody is called after a fire drill.
    """
    if is_drill(handoff.conversation_id) or handoff.kind == "review":
        return None
    if resolution.action == "timeout":
        if handoff.call is None and resolution.verdict == "callback":
            plan = handoff.route.calls
            due_at_ms = None if plan is None else resolution.at_ms + plan.within_ms
            return Call(resolution.at_ms, resolution.say, handoff.handoff_id, due_at_ms)
    elif handoff.kind != "hold" or resolution.action == "take_over":
        return None
    return None if handoff.call is None else replace(handoff.call, after=handoff.handoff_id)


def as_call(handoff: Handoff, call: Call, call_id: str, now_ms: int) -> Handoff:
    """Return the handoff in which a call waits that is owed after another one: in its queue unless the rule files name
    another one for calls, with its reasons.

    The priority stays, and the place is that of somebody who comes now: those who wait for an answer at this moment go
    first for as long as the priority may be passed over, and nobody who comes later does. With the old place the calls
    of a bad hour would go before everybody in the next one, who would then be called back as well.
    """
    plan = handoff.route.calls
    return Handoff(
        handoff_id=call_id,
        tenant=handoff.tenant,
        conversation_id=handoff.conversation_id,
        kind="review",
        state="waiting",
        queue=handoff.queue if plan is None or plan.queue is None else plan.queue,
        priority=handoff.priority,
        opened_at_ms=now_ms,
        expires_at_ms=NO_DEADLINE_AT_MS,
        score_ms=score_ms(now_ms, handoff.priority),
        on_timeout=handoff.on_timeout,
        reasons=tuple(replace(reason, version=1) for reason in handoff.reasons),
        route=call_route(handoff.route, call.due_at_ms, now_ms),
        customer_id=handoff.customer_id,
        locale=handoff.locale,
        # The calls of a flood are part of it: one of them stands for the others.
        group=handoff.group,
        call=call,
    )
