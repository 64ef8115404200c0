"""From a turn and all that is known to the one change it makes: what the service and the tests beside rules both run.

Values in, value out: nothing is read or written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from rules.decision import Decision, FiredRule
from rules.evaluation import explain
from rules.evaluation.evaluate import Evaluation, Ruleset, evaluate
from rules.evaluation.sparing import Raised, blamed, spared
from rules.handoff import Handoff, HumanStretch, Reason, replies_untold
from rules.history import before
from rules.model import STOPPING, Queue, Rule, Verdict, Words
from rules.routing.floods import Guard, guards
from rules.routing.routing import join, open_handoff
from rules.routing.shed import Shed
from rules.routing.shedding import NONE, Pressures, eased
from rules.say import of_rule, words
from rules.turn import Conversation, Turn, TurnRecord

Event: TypeAlias = Literal["handoff.opened", "handoff.joined"]

# What the agent says where neither the rule nor its queue has words: a stopped agent must never fall silent.
SAY_DEFAULT: Mapping[Verdict, Words] = {
    "hold": {
        "en": "One moment, please: a colleague is looking at this.",
        "de": "Einen Moment bitte: Eine Kollegin oder ein Kollege sieht sich das an.",
        "es": "Un momento, por favor: un compañero lo está revisando.",
        "fr": "Un instant, s'il vous plaît : un collègue regarde cela.",
    },
    "escalate": {
        "en": "Let me bring in a colleague who can help you.",
        "de": "Ich hole eine Kollegin oder einen Kollegen dazu.",
        "es": "Voy a pasarle con un compañero que puede ayudarle.",
        "fr": "Je fais venir un collègue qui pourra vous aider.",
    },
    "held_by_human": {
        "en": "A colleague is taking care of this and will answer you here.",
        "de": "Eine Kollegin oder ein Kollege kümmert sich darum und antwortet Ihnen hier.",
        "es": "Un compañero se está ocupando y le responderá aquí.",
        "fr": "Un collègue s'en occupe et vous répondra ici.",
    },
}


@dataclass(frozen=True, slots=True)
class Change:
    """All that one decided turn changes. `before` is the open handoff it was decided with, `handoff` the one it refers
    to, and `event` tells whether that one is opened or joined. One that opens is counted towards its `guards`, of
    each as many as were counted `elsewhere`. `ahead` wait in other partitions and are more urgent, None for unknown.
    `raised` is told and not written."""

    turn: Turn
    decision: Decision
    record: TurnRecord
    before: Handoff | None = None
    handoff: Handoff | None = None
    event: Event | None = None
    ahead: int | None = 0
    guards: tuple[Guard, ...] = ()
    elsewhere: tuple[int, ...] = ()
    raised: Raised | None = None


@dataclass(frozen=True, slots=True)
class Names:
    """The ids that a turn's change needs; `handoff_id` is used only when one is opened."""

    tenant: str
    decision_id: str
    handoff_id: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say of a turn: `asking` is the rule that wants a person, None for none."""

    evaluation: Evaluation
    fired: tuple[FiredRule, ...]
    asking: Rule | None
    verdict: Verdict
    degraded: bool = False
    shed: tuple[Shed, ...] = ()
    raised: Raised | None = None


def judge(ruleset: Ruleset, turn: Turn, conversation: Conversation, now_ms: int, pressures: Pressures = NONE) -> Judged:
    """Return what the rules say, given what came before the turn and how full the queues are."""
    evaluation = evaluate(ruleset, turn, before(conversation, turn.turn_index), now_ms)
    fired = explain.fired(ruleset, evaluation) if evaluation.rules or evaluation.shadow else ()
    if pressures and evaluation.rules:
        # What fired is told as it fired, what is shed beside it.
        evaluation, shed = eased(ruleset, evaluation, pressures)
    else:
        shed = ()
    top = evaluation.top
    asking = top if top is not None and top.then.verdict != "continue" else None
    return Judged(evaluation, fired, asking, evaluation.verdict, shed=shed)


def judge_sparing(
    ruleset: Ruleset, turn: Turn, conversation: Conversation, now_ms: int, pressures: Pressures = NONE
) -> Judged:
    """Return what the rules say, also where one that decides nothing here raises: then without those, and `raised`.

    For turns of customers. Whoever tests or tries rules asks `judge`, and is told at once.
    """
    try:
        return judge(ruleset, turn, conversation, now_ms, pressures)
    except Exception as error:
        live = spared(ruleset, turn.conversation_id)
        if live is None:
            raise
        judged = judge(live, turn, conversation, now_ms, pressures)
        by = blamed(ruleset, turn, before(conversation, turn.turn_index), now_ms)
        return replace(judged, raised=Raised(error, by))


def think(  # the turn's own five, and the stretch that has just ended
    ruleset: Ruleset,
    names: Names,
    turn: Turn,
    judged: Judged,
    handoff: Handoff | None,
    now_ms: int,
    ended: Handoff | None = None,
) -> Change:
    """Return what the turn changes, given the open handoff of its conversation, and the one that a person has just
    ended and no turn was told of."""
    fenced = handoff is not None and handoff.kind == "escalate"
    verdict: Verdict = "held_by_human" if fenced else judged.verdict
    after: Handoff | None = handoff if fenced else None
    event: Event | None = None
    watched: tuple[Guard, ...] = ()
    if judged.asking is not None:
        reason = _reason(names, turn, judged, judged.asking, now_ms)
        after = open_handoff(names.handoff_id, names.tenant, turn, reason, judged.asking, ruleset.files.queues)
        event = "handoff.opened"
        watched = guards(ruleset, judged.evaluation, turn, after)
        if handoff is not None:
            after, event, watched = join(handoff, after), "handoff.joined", ()
    decision = Decision(
        decision_id=names.decision_id,
        conversation_id=turn.conversation_id,
        turn_id=turn.turn_id,
        verdict=verdict,
        rules=judged.fired,
        say=_say(ruleset, judged, handoff if fenced else None, after, turn.locale),
        ruleset=ruleset.hash,
        degraded=judged.degraded,
        decided_at_ms=now_ms,
        handoff_id=after.handoff_id if after else None,
        queue=after.queue if after else None,
        expires_at_ms=after.expires_at_ms if after else None,
        on_timeout=after.on_timeout if after else None,
        replies=() if handoff is None else replies_untold(handoff),
        after_human=None if ended is None else _stretch(ended),
        shed=judged.shed,
    )
    record, raised = judged.evaluation.record, judged.raised
    return Change(turn, decision, record, handoff, after, event, guards=watched, raised=raised)


def _stretch(ended: Handoff) -> HumanStretch | None:
    """Return what the agent is told of how its conversation's handoff ended."""
    if ended.resolution is None:
        return None
    return HumanStretch(ended.handoff_id, ended.kind, ended.resolution, replies_untold(ended))


def _reason(names: Names, turn: Turn, judged: Judged, asking: Rule, now_ms: int) -> Reason:
    asked = tuple(rule.id for rule in judged.evaluation.rules if rule.then.verdict != "continue") or (asking.id,)
    regulated = any(rule.regulated for rule in judged.evaluation.rules if rule.then.verdict != "continue")
    bare = not turn.reply and not any(call.status == "proposed" for call in turn.tool_calls)
    return Reason(names.decision_id, turn.turn_id, asking.then.verdict, asked, now_ms, regulated=regulated, bare=bare)


def _say(
    ruleset: Ruleset, judged: Judged, fence: Handoff | None, handoff: Handoff | None, locale: str | None
) -> str | None:
    """Return what the agent says: the nearest words of rule and queue, its own where it must stop without any."""
    queue = ruleset.files.queues.get(handoff.queue) if handoff else None
    if fence is not None:
        return _say_meanwhile(judged, fence, queue, locale)
    rule = judged.asking or judged.evaluation.top
    own = of_rule(rule.then, queue, locale) if rule else None
    return own or (words(SAY_DEFAULT[judged.verdict], locale=locale) if judged.verdict in STOPPING else None)


def _say_meanwhile(judged: Judged, fence: Handoff, queue: Queue | None, locale: str | None) -> str | None:
    """Return what the agent says while a person is on the way or there: a new reason's own words once, then no more.

    A crisis line's number must reach a customer who already waits in another queue; the same sentence for every
    message would be a machine talking over the wait. Where nobody came in time and it waits in another queue, what was
    promised to be said then stands for the queue's own words.
    """
    known = {rule_id for reason in fence.reasons for rule_id in reason.rule_ids}
    rule = judged.asking
    own = words(rule.then.say, locale=locale) if rule is not None and rule.id not in known else None
    moved = words(fence.route.say, locale=locale) if fence.state == "waiting" else None
    meanwhile = words(queue.meanwhile if queue else {}, SAY_DEFAULT["held_by_human"], locale=locale)
    return own or moved or meanwhile
