"""Where a handoff waits and how urgent it is: opened, joined, rerouted as values. Nothing is stored or awaited here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rules.handoff import KINDS, NO_DEADLINE_AT_MS, Call, Handoff, Kind, Reason, Reroute, deadline, is_member
from rules.marks import DRILL_BEHIND_MS, is_drill
from rules.model import PRIORITIES, OnTimeout, Priority, Queue, Rule
from rules.routing.route import Route, call_plan, call_route, due_by, moved_on, route_into
from rules.say import words
from rules.turn import Turn

# How much longer than an urgent one a handoff may be passed over. The score is fixed when the handoff opens, so every
# handoff ages by itself: after an hour even a low one goes before an urgent one that has just come in.
PRIORITY_ALLOWANCE_MS: dict[Priority, int] = {
    "low": 60 * 60_000,
    "normal": 15 * 60_000,
    "high": 5 * 60_000,
    "urgent": 0,
}
# Reasons kept with one handoff. Fifty is more than an operator reads; a longer conversation only repeats them.
REASONS_MAX = 50


def score_ms(opened_at_ms: int, priority: Priority, expires_at_ms: int | None = None) -> int:
    """Return the urgency: the virtual deadline that orders those who wait, the lowest is claimed first.

    It is the earlier of the deadline itself and of the opening plus what the priority may be passed over for. So of two
    equals the older goes first, a shorter promise weighs as much as a higher priority, and nobody starves: only what
    was opened before a handoff's score can ever go before it.
    """
    passed_over_ms = opened_at_ms + PRIORITY_ALLOWANCE_MS[priority]
    return passed_over_ms if expires_at_ms is None else min(passed_over_ms, expires_at_ms)


def open_handoff(
    handoff_id: str, tenant: str, turn: Turn, reason: Reason, top: Rule, queues: Mapping[str, Queue]
) -> Handoff:
    """Return the handoff that `top`, the first of the rules that fired, asks for. `reason.at_ms` is its opening."""
    queue, answer_within_ms, on_timeout = _promise(top, queues)
    expires_at_ms, name = reason.at_ms + answer_within_ms, queue.name
    plan = call_plan(top.then.calls or queue.calls, queue, queues, turn.locale)
    route = replace(route_into(queue, answer_within_ms, turn.locale, reason.at_ms), calls=plan)
    call = None
    if top.then.open_ended:
        due_at_ms = None if plan is None else reason.at_ms + plan.within_ms
        expires_at_ms, route = NO_DEADLINE_AT_MS, call_route(route, due_at_ms, reason.at_ms)
        name = queue.name if plan is None or plan.queue is None else plan.queue
        call = Call(reason.at_ms, words(top.then.say, locale=turn.locale), due_at_ms=due_at_ms)
    behind_ms = DRILL_BEHIND_MS if is_drill(turn.conversation_id) else 0
    return Handoff(
        handoff_id=handoff_id,
        tenant=tenant,
        conversation_id=turn.conversation_id,
        kind=kind_of(top),
        state="waiting",
        queue=name,
        priority=top.then.priority,
        opened_at_ms=reason.at_ms,
        expires_at_ms=expires_at_ms,
        score_ms=behind_ms + score_ms(reason.at_ms, top.then.priority, expires_at_ms),
        on_timeout=on_timeout,
        reasons=(reason,),
        route=route,
        customer_id=turn.customer.id,
        locale=turn.locale,
        reroute=_reroute(top, on_timeout, queues, turn.locale),
        call=call,
    )


def join(handoff: Handoff, asked: Handoff) -> Handoff:
    """Return the open handoff with what another turn would have opened, as `_joined` does; a call that was promised by
    either of them goes on to where it was promised, by when it was."""
    joined = _joined(handoff, asked)
    promised = next((each for each in (handoff, asked) if each.call is not None), None)
    if promised is None:
        return joined
    return replace(joined, route=replace(joined.route, calls=promised.route.calls))


def _joined(handoff: Handoff, asked: Handoff) -> Handoff:
    """Return the open handoff with the reason of one that another turn would have opened: kind and priority only rise.

    A stronger kind brings the queue, the deadline and the time-out it was asked with; a person who already has the
    handoff keeps it. An escalation that still waits also moves to where a more urgent one is asked for, and never to a
    later deadline: a customer who is in danger must not stay in the line for refunds. A review that was promised as a
    call keeps no deadline when it is joined with another review. The version is left to the store, which raises it with
    the write.
    """
    priority = max(handoff.priority, asked.priority, key=PRIORITIES.index)
    full = len(handoff.reasons) >= REASONS_MAX
    # The store writes only onto the version that this was thought with, so the next one is known.
    later = (replace(reason, version=handoff.version + 1) for reason in asked.reasons)
    joined = replace(
        handoff,
        priority=priority,
        score_ms=min(handoff.score_ms, score_ms(handoff.opened_at_ms, priority)),
        reasons=handoff.reasons if full else handoff.reasons + tuple(later),
        call=handoff.call or asked.call,
    )
    if is_member(joined) and (asked.priority == "urgent" or any(reason.regulated for reason in asked.reasons)):
        # Whoever is in danger, or must have a person by law, waits behind nobody.
        joined = replace(joined, group=None)
    stronger = KINDS.index(asked.kind) > KINDS.index(handoff.kind)
    if handoff.kind == asked.kind == "review" and _is_a_call(handoff) != _is_a_call(asked):
        return _with_call(joined, asked)
    if not stronger and not _is_more_urgent(handoff, asked):
        return joined
    expires_at_ms = asked.expires_at_ms if stronger else min(handoff.expires_at_ms, asked.expires_at_ms)
    return replace(
        joined,
        kind=asked.kind,
        queue=asked.queue,
        expires_at_ms=expires_at_ms,
        score_ms=min(joined.score_ms, expires_at_ms),
        reserved_for=handoff.reserved_for if stronger else None,
        reserved_until_at_ms=handoff.reserved_until_at_ms if stronger else None,
        route=moved_on(asked.route, handoff.route, asked.route.since_at_ms),
        # Whoever comes for a refund has not said that they come for somebody in danger.
        acknowledged_by=None,
        on_timeout=asked.on_timeout,
        reroute=None if handoff.rerouted else asked.reroute,
        group=joined.group if asked.queue == handoff.queue else None,
        leads=joined.leads and asked.queue == handoff.queue,
    )


def _is_a_call(handoff: Handoff) -> bool:
    """Return whether it waits for as long as it takes, as a call was promised."""
    return deadline(handoff.expires_at_ms) is None


def _with_call(joined: Handoff, asked: Handoff) -> Handoff:
    """Return two reviews as one, where a call was promised by either of them: it has no deadline.

    Whoever was to look at the other one still is, in its queue and at the moments of its ladder.
    """
    if _is_a_call(joined) and joined.state == "waiting":
        joined = replace(
            joined,
            queue=asked.queue,
            score_ms=min(joined.score_ms, asked.score_ms),
            route=_undated(moved_on(asked.route, joined.route, asked.route.since_at_ms)),
            reserved_for=None,
            reserved_until_at_ms=None,
            group=joined.group if asked.queue == joined.queue else None,
            leads=joined.leads and asked.queue == joined.queue,
        )
    route, due_at_ms = _undated(joined.route), None if joined.call is None else joined.call.due_at_ms
    if asked.call is not None:
        route = due_by(replace(route, calls=asked.route.calls), due_at_ms, asked.opened_at_ms)
    return replace(joined, expires_at_ms=NO_DEADLINE_AT_MS, route=route)


def _undated(route: Route) -> Route:
    """Return the route without the warning before a deadline that is none."""
    return replace(route, steps=tuple(step for step in route.steps if step.event != "handoff.deadline_near"))


def _is_more_urgent(handoff: Handoff, asked: Handoff) -> bool:
    """Return whether a waiting escalation is asked for again, with a higher priority than it has."""
    both = handoff.kind == asked.kind == "escalate" and handoff.state == "waiting"
    return both and PRIORITIES.index(asked.priority) > PRIORITIES.index(handoff.priority)


def kind_of(rule: Rule) -> Kind:
    """Return the kind of handoff a rule asks for; a rule that asks for none has no business here."""
    verdict = rule.then.verdict
    if verdict == "review" or verdict == "hold" or verdict == "escalate":  # noqa: PLR1714  # so that the type narrows
        return verdict
    raise ValueError(f"rule `{rule.id}` opens no handoff")


def _promise(rule: Rule, queues: Mapping[str, Queue]) -> tuple[Queue, int, OnTimeout]:
    """Return the queue, the answer time and the time-out of a rule; what it leaves out is its queue's."""
    queue = queues[rule.then.queue or ""]
    within_ms = queue.answer_within_ms if rule.then.answer_within_ms is None else rule.then.answer_within_ms
    return queue, within_ms, rule.then.on_timeout or queue.on_timeout


def _reroute(top: Rule, on_timeout: OnTimeout, queues: Mapping[str, Queue], locale: str | None) -> Reroute | None:
    """Return where a missed deadline leads, fixed now: the queue's promise may have changed by then."""
    if on_timeout.verdict != "escalate" or on_timeout.queue is None:
        return None
    queue = queues[on_timeout.queue]
    then = queue.on_timeout
    # Once only: whoever was let down twice is called back, not passed on for ever.
    last = OnTimeout("callback", then.say) if then.verdict == "escalate" else then
    plan = call_plan(top.then.calls or queue.calls, queue, queues, locale)
    route = replace(route_into(queue, queue.answer_within_ms, locale, 0), calls=plan)
    return Reroute(queue.name, queue.answer_within_ms, last, route)
