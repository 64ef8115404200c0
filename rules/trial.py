"""A conversation that somebody tries out: played from its first step as often as it or the rules change. Pure.

It is a test case without expectations and runs as one, so what is seen here is what a test would see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rules.cases.case_run import Seen, packet_of, start, take
from rules.cases.case_text import case_text
from rules.cases.values import Case, MoveStep, Step, TurnStep
from rules.decision import Decision
from rules.evaluation.evaluate import Ruleset
from rules.evaluation.explain_json import fired_json, near_json, values_json
from rules.evaluation.near_misses import NearMiss, near_misses
from rules.evaluation.signals import read
from rules.handoff import Handoff, deadline
from rules.model import RuleFiles, Span
from rules.packet.packet_json import to_json
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is told of a trial beside its steps; `case_name` asks for the conversation as a test case of that name."""

    names: bool = False
    signals: bool = False
    packet: bool = False
    case_name: str | None = None


STEPS_ALONE = Wanted()


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


def trial_json(ruleset: Ruleset, case: Case, wanted: Wanted = STEPS_ALONE) -> dict[str, object]:
    """Return what comes of a conversation under these rules as a JSON object; what was not asked for is null."""
    tried = play(ruleset, case)
    told_case = None
    if wanted.case_name is not None:
        named = replace(case, name=wanted.case_name)
        told_case = case_text(named, [each.seen for each in tried], ruleset.files.rules)
    return {
        "hash": ruleset.hash,
        "steps": [tried_json(each) for each in tried],
        "names": _names_json(ruleset.files) if wanted.names else None,
        "signals": _signals_json(ruleset, tried) if wanted.signals else None,
        "packet": _packet_json(ruleset, case) if wanted.packet else None,
        "case": told_case,
    }


def _names_json(files: RuleFiles) -> dict[str, object]:
    """Return the names that the rules know, for whoever types one."""
    return {
        "rules": len(files.rules),
        "timezone": files.timezone,
        "topics": sorted(files.topics),
        "queues": sorted(files.queues),
        "budgets": sorted(files.budgets),
        "agents": sorted(files.agents),
        "signals": {name: spec.type for name, spec in sorted(files.signals.items())},
    }


def _signals_json(ruleset: Ruleset, tried: Sequence[Tried]) -> dict[str, object] | None:
    """Return all that is known of the last turn, null for what is unknown; None when there is no turn."""
    seen = next((each.seen for each in reversed(tried) if each.seen.judged is not None), None)
    if seen is None or seen.judged is None:
        return None
    found = seen.judged.evaluation
    values = read(ruleset.files, found.turn, seen.before, seen.now_ms, found.evidence)
    return values_json({**values, **found.values})


def _packet_json(ruleset: Ruleset, case: Case) -> dict[str, object] | None:
    """Return what an operator reads who takes the handoff after the last step; None when there has been none."""
    run = start(ruleset, case)
    for step in case.steps:
        take(run, step)
    packet = packet_of(run)
    return None if packet is None else to_json(packet)


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
