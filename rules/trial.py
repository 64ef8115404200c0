"""A conversation that somebody tries out: played from its first step as often as it or the rules change. Pure.

It is a test case without expectations and runs as one, so what is seen here is what a test would see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rules.cases.case_run import Seen, start, take
from rules.cases.values import Case, MoveStep, Step, TurnStep
from rules.decision import Decision
from rules.evaluation.evaluate import Ruleset
from rules.evaluation.explain_json import fired_json, near_json
from rules.evaluation.near_misses import NearMiss, near_misses
from rules.handoff import Handoff, deadline
from rules.model import Span
from rules.routing.shed import shed_json
from rules.routing.shedding import NONE, Pressures
from rules.thinking import Judged
from rules.turn import Turn

NOWHERE = Span("", 1, 1, 2)


@dataclass(frozen=True, slots=True)
class Tried:
    """One step and what came of it. `near` are the rules that came closest to firing on a turn."""

    number: int
    step: Step
    seen: Seen
    near: tuple[NearMiss, ...] = ()


def trial(conversation_id: str, at_ms: int, steps: Iterable[Step] = ()) -> Case:
    """Return a conversation to try: its first turn comes at that moment."""
    return Case("", conversation_id, NOWHERE, at_ms, conversation_id, tuple(steps))


def turn_step(case: Case, turn: Turn, after_ms: int, pressures: Pressures = NONE) -> Case:
    """Return the conversation with a turn more, which gets its place in it as its id; `pressures` is how full queues
    are then."""
    named = replace(turn, conversation_id=case.conversation_id, turn_id=f"turn-{len(case.steps) + 1}")
    return replace(case, steps=(*case.steps, TurnStep(NOWHERE, after_ms, named, pressures=pressures)))


def move_step(case: Case, move: str | None, after_ms: int) -> Case:
    """Return the conversation with a move of its handoff more, or with time that goes by."""
    return replace(case, steps=(*case.steps, MoveStep(NOWHERE, after_ms, move)))


def play(ruleset: Ruleset, case: Case) -> tuple[Tried, ...]:
    """Return what comes of every step under these rules."""
    run = start(ruleset, case)
    tried = []
    for number, step in enumerate(case.steps, start=1):
        seen = take(run, step)
        near: tuple[NearMiss, ...] = ()
        if seen.judged is not None:
            near = near_misses(ruleset, seen.judged.evaluation, seen.before, seen.now_ms)
        tried.append(Tried(number, step, seen, near))
    return tuple(tried)


def tried_json(tried: Tried) -> dict[str, object]:
    """Return one step and what came of it as a JSON object."""
    step, seen = tried.step, tried.seen
    found: dict[str, object] = {
        "step": tried.number,
        "kind": "turn" if isinstance(step, TurnStep) else step.move or "wait",
        "at_ms": seen.now_ms,
    }
    if seen.judged is not None and seen.decision is not None:
        found |= _decision_json(seen.decision, seen.judged) | {"nearest": near_json(tried.near)}
    else:
        found |= dict.fromkeys(("verdict", "must_stop", "say", "queue", "priority", "rules", "shed", "nearest"))
    return found | {
        "refused": seen.refused,
        "timed_out": None if seen.fell_due is None else _fell_due_json(seen.fell_due),
        "handoff": None if seen.open_handoff is None else _handoff_json(seen.open_handoff),
    }


def _decision_json(decision: Decision, judged: Judged) -> dict[str, object]:
    top = judged.evaluation.top
    return {
        "verdict": decision.verdict,
        "must_stop": decision.must_stop,
        "say": decision.say,
        "queue": top.then.queue if top else None,
        "priority": top.then.priority if top else None,
        "rules": fired_json(decision.rules),
        "shed": [shed_json(shed) for shed in decision.shed],
    }


def _handoff_json(handoff: Handoff) -> dict[str, object]:
    return {
        "state": handoff.state,
        "kind": handoff.kind,
        "queue": handoff.queue,
        "priority": handoff.priority,
        "expires_at_ms": deadline(handoff.expires_at_ms),
        "on_timeout": handoff.on_timeout.verdict,
        "reasons": sorted({rule_id for reason in handoff.reasons for rule_id in reason.rule_ids}),
    }


def _fell_due_json(handoff: Handoff) -> dict[str, object]:
    """Return what a missed deadline did: where the handoff went, or how it ended and what the agent is to say."""
    ended = handoff.resolution
    return {
        "verdict": "escalate" if ended is None else ended.verdict,
        "queue": handoff.queue if ended is None else None,
        "say": None if ended is None else ended.say,
    }
