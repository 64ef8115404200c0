"""What a move makes of a handoff and of its conversation, as values: the store's scripts make the same in one step.

Whether a move may be made is asked elsewhere; the tests beside rules make them here, and a test holds both equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rules.handoff import ENDED, MOVES, Handoff, Resolution, deadline, is_member, wanted
from rules.history import cut
from rules.marks import DRILL_BEHIND_MS, is_drill
from rules.model import PRIORITIES, Queue, Step, Words
from rules.routing.calls import call_owed
from rules.routing.operators import People
from rules.routing.route import after_step, due_by, moved_on, open_ended, route_into, step_at_ms, step_due
from rules.routing.routing import score_ms
from rules.routing.widening import Widening
from rules.say import words
from rules.turn import Conversation

# How soon somebody is looked for again when nobody was free: people notice a second. Whoever has waited long is looked
# for a twentieth of that wait later, up to the second number: at night ten thousand looks a second would find nobody.
OFFER_AGAIN_MS, OFFER_AGAIN_MS_MAX = 1_000, 10_000
OFFER_MS_MIN = 1_000
# Whoever let an offer go by is asked once more after this: they were away from their desk, and nobody else has come. A
# call would be offered for ever so: nobody is asked for it once more before it is due.
OFFER_ROUND_MS = 60_000
# What comes back from a person goes to the front of its queue; after this nobody is there, and `on_timeout` holds.
RETURNED_MS = 120_000
ACTOR = "handrail"  # who did what nobody asked for
# What is said where a rule file has no words for a missed deadline. Only `callback` promises somebody, as a call waits
# for a person only then.
SAY_MISSED: Mapping[str, Words] = {
    "callback": {
        "en": "Nobody was free in time. A colleague will get back to you.",
        "de": "Es war rechtzeitig niemand frei. Eine Kollegin oder ein Kollege meldet sich bei Ihnen.",
        "es": "Nadie estuvo disponible a tiempo. Un compañero se pondrá en contacto con usted.",
        "fr": "Personne n'était libre à temps. Un collègue vous recontactera.",
    },
    "continue": {
        "en": "Nobody was free in time, so I am going on without a colleague.",
        "de": "Es war rechtzeitig niemand frei, daher mache ich ohne Kollegin oder Kollegen weiter.",
        "es": "Nadie estuvo disponible a tiempo, así que sigo yo sin un compañero.",
        "fr": "Personne n'était libre à temps, je continue donc sans collègue.",
    },
    "deny": {
        "en": "Nobody was free in time, so I cannot go on with this now.",
        "de": "Es war rechtzeitig niemand frei, daher kann ich hiermit jetzt nicht weitermachen.",
        "es": "Nadie estuvo disponible a tiempo, así que ahora no puedo seguir con esto.",
        "fr": "Personne n'était libre à temps, je ne peux donc pas continuer maintenant.",
    },
}


def claimed(handoff: Handoff, operator: str, now_ms: int) -> Handoff:
    """Return the handoff in an operator's hands; how long the lease lasts is the service's matter."""
    return replace(
        handoff,
        state="leased",
        holder=operator,
        claimed_at_ms=now_ms,
        reserved_for=None,
        reserved_until_at_ms=None,
        acknowledged_by=None,
        answered_version=handoff.version + 1,
        lease_version=handoff.version + 1,
        version=handoff.version + 1,
    )


def released(handoff: Handoff, now_ms: int) -> Handoff:
    """Return the handoff as it waits again, with the urgency that it had: put back, or its operator went silent.

    Its deadline was met by whoever had it. Where it has passed meanwhile, or is about to, somebody else has RETURNED_MS
    to take it: else a customer whose operator's hold or connection ended would be told that nobody came.
    """
    return replace(
        handoff,
        state="waiting",
        expires_at_ms=max(handoff.expires_at_ms, now_ms + RETURNED_MS),
        holder=None,
        lease_began_at_ms=None,
        lease_expires_at_ms=None,
        lease_version=None,
        hold_reason=None,
        acknowledged_by=None,
        version=handoff.version + 1,
    )


def is_due(handoff: Handoff, now_ms: int) -> bool:
    """Return whether the deadline has come while the handoff still waits: a person who has it may take their time."""
    return handoff.state == "waiting" and handoff.expires_at_ms <= now_ms


def rerouted(handoff: Handoff, now_ms: int) -> Handoff | None:
    """Return the handoff in the queue that was promised for a missed deadline, None when it has been there or none was.

    Once only: whoever was let down twice is called back.
    """
    reroute = handoff.reroute
    if reroute is None or handoff.rerouted:
        return None
    route = replace(moved_on(reroute.route, handoff.route, now_ms), say=handoff.on_timeout.say)
    if handoff.call is not None:
        # What is owed already was promised with its own people and time.
        route = replace(route, calls=handoff.route.calls)
    return replace(
        handoff,
        queue=reroute.queue,
        expires_at_ms=now_ms + reroute.answer_within_ms,
        on_timeout=reroute.on_timeout,
        reroute=None,
        rerouted=True,
        reserved_for=None,
        reserved_until_at_ms=None,
        route=route,
        # A flood moves on as a flood: the group of the next queue finds somebody to stand for it.
        leads=False,
        acknowledged_by=None,
        version=handoff.version + 1,
    )


def transferred(
    handoff: Handoff, queue: Queue | None, within_ms: int, operator: str | None, reserved_ms: int, now_ms: int
) -> Handoff:
    """Return the handoff as it waits where an operator sent it; the time-out that the agent was promised stays.

    `queue` is another queue than its own, None for none. Whom it goes to has at least `within_ms` to answer, and it is
    there as urgent as what has just come in. Only the named operator may claim it for `reserved_ms`.
    """
    route, expires_at_ms, urgency_ms = handoff.route, max(handoff.expires_at_ms, now_ms + within_ms), handoff.score_ms
    if queue is not None:
        # Warned of before the deadline that it has, which may be later than those of the others there.
        there = route_into(queue, expires_at_ms - now_ms, handoff.locale, now_ms)
        route = replace(moved_on(there, route, now_ms), calls=route.calls)
        if deadline(handoff.expires_at_ms) is None:
            due_at_ms = None if handoff.call is None else handoff.call.due_at_ms
            route = due_by(open_ended(route), due_at_ms, now_ms)
        else:
            behind_ms = DRILL_BEHIND_MS if is_drill(handoff.conversation_id) else 0
            urgency_ms = min(urgency_ms, behind_ms + now_ms + within_ms)
    if operator is not None:
        route = replace(route, kept_as="sent", sent_by=handoff.holder or "")
    return replace(
        handoff,
        state="waiting",
        queue=handoff.queue if queue is None else queue.name,
        expires_at_ms=expires_at_ms,
        score_ms=urgency_ms,
        reserved_for=operator,
        reserved_until_at_ms=None if operator is None else kept_until_ms(expires_at_ms, reserved_ms, now_ms),
        route=route,
        group=handoff.group if queue is None else None,
        leads=handoff.leads and queue is None,
        holder=None,
        lease_began_at_ms=None,
        lease_expires_at_ms=None,
        lease_version=None,
        hold_reason=None,
        acknowledged_by=None,
        version=handoff.version + 1,
    )


def kept_until_ms(expires_at_ms: int, kept_ms: int, now_ms: int) -> int:
    """Return until when a handoff is kept for one person who may not come: the others have as long before it ends."""
    return now_ms + min(kept_ms, max(0, expires_at_ms - now_ms) // 2)


def advance_at_ms(handoff: Handoff, *, held: bool) -> int | None:
    """Return when time next changes a handoff that stays where it is: a step of its ladder, the end of an offer."""
    step = step_at_ms(handoff.route, held=held)
    offer = handoff.route.offer_at_ms if handoff.reserved_for is None else handoff.reserved_until_at_ms
    times = (step,) if held or is_member(handoff) else (step, offer)
    return min((at_ms for at_ms in times if at_ms is not None), default=None)


def _may_be_offered(handoff: Handoff) -> bool:
    """Return whether somebody may be asked to take it: it waits, and no group holds it."""
    return handoff.state == "waiting" and not is_member(handoff)


def offer_is_due(handoff: Handoff, now_ms: int) -> bool:
    """Return whether somebody is to be looked for now, to whom the handoff is offered."""
    at_ms = handoff.route.offer_at_ms
    return _may_be_offered(handoff) and handoff.reserved_for is None and at_ms is not None and at_ms <= now_ms


def needs_people(handoff: Handoff, now_ms: int) -> bool:
    """Return whether what is due depends on who is at work: an offer, or a step that is left out without anybody."""
    step = step_due(handoff.route, now_ms, held=handoff.state != "waiting")
    return offer_is_due(handoff, now_ms) or (step is not None and step.skip_if_nobody)


def advanced(handoff: Handoff, now_ms: int, people: People) -> tuple[Handoff, str, str] | None:
    """Return the handoff after the first thing that is due to it, what to tell of it, and whom; None when nothing is.

    Steps that came due while nobody looked are taken one by one, in their order. Nothing is told, and the event empty,
    where an offer found nobody: it is looked for again in OFFER_AGAIN_MS.
    """
    held = handoff.state != "waiting"
    route, version = handoff.route, handoff.version + 1
    until_at_ms = handoff.reserved_until_at_ms
    step = step_due(route, now_ms, held=held)
    first_at_ms = now_ms if step is None else route.since_at_ms + step.after_ms
    if not held and handoff.reserved_for is not None and until_at_ms is not None and until_at_ms <= first_at_ms:
        return let_go(handoff, until_at_ms)
    if step is None:
        free = _may_be_offered(handoff) and handoff.reserved_for is None
        return _offered(handoff, now_ms, people) if free else None
    taken = after_step(route, step, skipped=False)
    after = replace(handoff, route=taken, version=version)
    if step.skip_if_nobody and not people.anybody_for(wanted(replace(after, reserved_for=None, group=None))):
        skipped = after_step(route, step, skipped=True)
        return replace(handoff, route=skipped, version=version), "handoff.step_skipped", ""
    if step.priority is not None:
        priority = max(handoff.priority, step.priority, key=PRIORITIES.index)
        urgency = min(handoff.score_ms, score_ms(handoff.opened_at_ms, priority))
        after = replace(after, priority=priority, score_ms=urgency)
    if step.event == "handoff.resolve_missed" and deadline(handoff.expires_at_ms) is None:
        # Now the call should have been made: everybody is asked for it once more.
        after = replace(after, route=replace(after.route, passed_by=()))
    if step.event == "handoff.widened":
        widened = (*route.widened, _widening(handoff, after, step))
        after = replace(after, route=replace(after.route, widened=widened))
    return after, step.event, step.page or ""


def _widening(before: Handoff, after: Handoff, step: Step) -> Widening:
    """Return what a step of the ladder has made of the handoff; what it left alone is not told."""
    was, now = before.route, after.route
    needs, raised = was.needs != now.needs, before.priority != after.priority
    return Widening(
        at_ms=was.since_at_ms + step.after_ms,
        after_ms=step.after_ms,
        needs_before=was.needs if needs else None,
        needs=now.needs if needs else None,
        queues=tuple(queue for queue in now.also if queue not in was.also),
        languages_dropped=tuple(language for language in was.languages if language not in now.languages),
        priority_before=before.priority if raised else None,
        priority=after.priority if raised else None,
        paged=step.page,
    )


def let_go(handoff: Handoff, at_ms: int) -> tuple[Handoff, str, str]:
    """Return a handoff that is kept for somebody as it is once they have let it go by at `at_ms`, and what to tell."""
    whom = handoff.reserved_for or ""
    passed = (*(name for name in handoff.route.passed_by if name != whom), whom)
    route = replace(handoff.route, passed_by=passed, let_go_at_ms=at_ms)
    freed = replace(handoff, reserved_for=None, reserved_until_at_ms=None, route=route, version=handoff.version + 1)
    return freed, "handoff.let_go", whom


def not_asked(handoff: Handoff, now_ms: int) -> tuple[str, ...]:
    """Return who is not offered the handoff now: they let it go by.

    They are asked again once OFFER_ROUND_MS have passed, or when it is due if it is a call; meanwhile anybody who may
    take it can claim it.
    """
    route = handoff.route
    again = deadline(handoff.expires_at_ms) is not None and now_ms - (route.let_go_at_ms or 0) >= OFFER_ROUND_MS
    return () if again else route.passed_by


def _offered(handoff: Handoff, now_ms: int, people: People) -> tuple[Handoff, str, str] | None:
    """Return the handoff as it is offered to the freest person who is to be asked for it; None when no offer is due."""
    route = handoff.route
    if route.offer_ms is None or route.offer_at_ms is None or route.offer_at_ms > now_ms:
        return None
    if people.assumed:
        return replace(handoff, route=replace(route, offer_at_ms=None)), "", ""
    passed_by = not_asked(handoff, now_ms)
    until_at_ms = kept_until_ms(handoff.expires_at_ms, route.offer_ms, now_ms)
    # Nobody accepts what is gone before they have read it: shortly before the deadline it is anybody's.
    in_time = until_at_ms - now_ms >= min(route.offer_ms, OFFER_MS_MIN)
    whom = people.freest_for(wanted(handoff), handoff.kind, passed_by) if in_time else None
    if whom is None:
        return looked_for(handoff, now_ms), "", ""
    kept = replace(
        handoff,
        reserved_for=whom,
        reserved_until_at_ms=until_at_ms,
        route=replace(route, passed_by=passed_by, kept_as="offer", sent_by=""),
        version=handoff.version + 1,
    )
    return kept, "handoff.offered", whom


def looked_for(handoff: Handoff, now_ms: int) -> Handoff:
    """Return the handoff as somebody is looked for again in a while. Its version stays: nobody who waits is to wake."""
    pause_ms = min(max(OFFER_AGAIN_MS, (now_ms - handoff.opened_at_ms) // 20), OFFER_AGAIN_MS_MAX)
    return replace(handoff, route=replace(handoff.route, offer_at_ms=now_ms + pause_ms))


def missed(handoff: Handoff, now_ms: int) -> Resolution:
    """Return how a handoff ends that nobody took in time: as its `on_timeout` promised.

    Nothing is said that promises a call where none is opened. After a review, whose reply went out, the customer never
    heard that somebody was asked, so nothing is said of it unless the rule file has words.
    """
    promised = handoff.on_timeout
    # It was passed on once already, or had nowhere to go.
    verdict = "callback" if promised.verdict == "escalate" else promised.verdict
    silent = Resolution(action="timeout", by=ACTOR, at_ms=now_ms, verdict=verdict)
    if verdict == "callback" and call_owed(handoff, silent) is None:
        return silent
    own = words(promised.say, locale=handoff.locale)
    if own is None and handoff.kind != "review":
        own = words(SAY_MISSED.get(verdict, SAY_MISSED["deny"]), locale=handoff.locale)
    return replace(silent, say=own)


def ended(handoff: Handoff, verb: str, resolution: Resolution) -> Handoff:
    """Return the handoff as `verb` (`resolve`, `hand_back` or `expire`) ends it."""
    _, state = MOVES[verb]
    if state not in ENDED:
        raise ValueError(f"`{verb}` ends no handoff")
    return replace(
        handoff,
        state=state,
        resolution=resolution,
        ended_at_ms=resolution.at_ms,
        holder=None,
        lease_began_at_ms=None,
        lease_expires_at_ms=None,
        lease_version=None,
        hold_reason=None,
        reserved_for=None,
        reserved_until_at_ms=None,
        version=handoff.version + 1,
    )


def after_handoff(conversation: Conversation, at_ms: int) -> Conversation:
    """Return the conversation once its handoff has ended: counted, and what came before never counts again."""
    counted = replace(conversation, handoffs_count=conversation.handoffs_count + 1, last_handoff_at_ms=at_ms)
    return cut(counted, at_ms)
