"""One case being run: its clock, its conversation and its handoff, moved step by step. Nothing is expected here.

Every turn goes through rules.thinking and every move through rules.moves, as the service's do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rules.cases.keys import HELD_MOVES, TIMEOUTS
from rules.cases.values import Case, MoveStep, TurnStep
from rules.chains.told_turns import kept_beside
from rules.decision import Decision
from rules.evaluation.evaluate import Ruleset
from rules.evaluation.wording import span_text
from rules.handoff import LETTING_OUT, MOVES, OPEN, Handoff, Resolution, deadline, draft_turn_id
from rules.history import remember
from rules.moves import (
    advance_at_ms,
    advanced,
    after_handoff,
    claimed,
    ended,
    is_due,
    missed,
    released,
    rerouted,
    transferred,
)
from rules.packet.context_packet import TRANSCRIPT_TURNS_MAX, ContextPacket, TranscriptTurn
from rules.packet.packet import build
from rules.routing.calls import as_call, call_owed
from rules.routing.operators import People
from rules.thinking import Judged, Names, judge, think
from rules.turn import Conversation

OPERATOR = "operator"
EVERYBODY = People(assumed=True)
# What an operator did who says no more than that: nothing in a rule file hangs on it.
ANSWER_DEFAULT = "answer"


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one step.

    Of a turn: `judged`, `decision`, and `before`, the conversation that it was judged with. `handoff` is the open
    handoff then, or the last one; `fell_due` is what a deadline did to it during the step. `call` is the handoff in
    which a call waits from then on, as it is owed after the other one. `refused` tells why a move could not be made.
    """

    now_ms: int
    handoff: Handoff | None
    before: Conversation
    judged: Judged | None = None
    decision: Decision | None = None
    fell_due: Handoff | None = None
    refused: str | None = None
    call: Handoff | None = None

    @property
    def open_handoff(self) -> Handoff | None:
        """Return the handoff that is open after the step."""
        if self.call is not None:
            return self.call
        return self.handoff if self.handoff is not None and self.handoff.state in OPEN else None


@dataclass(slots=True)
class Run:
    """Where a case stands.

    `claimed_version` is the handoff's at its claim: its operator has seen no later draft. `past_due` says of the last
    deadline that passed what it did, for whoever wonders. `call` takes the place of `handoff` with the next step.
    """

    ruleset: Ruleset
    now_ms: int
    conversation: Conversation
    handoff: Handoff | None = None
    decisions: list[Decision] = field(default_factory=list)
    transcript: list[TranscriptTurn] = field(default_factory=list)
    claimed_version: int | None = None
    past_due: str | None = None
    call: Handoff | None = None


def start(ruleset: Ruleset, case: Case) -> Run:
    """Return a case before its first step."""
    return Run(ruleset, case.at_ms, Conversation(case.conversation_id))


def take(run: Run, step: TurnStep | MoveStep) -> Seen:
    """Make one step and return what came of it."""
    _call_waits(run)
    return _turn(run, step) if isinstance(step, TurnStep) else _move(run, step)


def packet_of(run: Run) -> ContextPacket | None:
    """Return what an operator reads of the handoff at this moment, None when there has been none."""
    if run.handoff is None:
        return None
    behind = {reason.decision_id for reason in run.handoff.reasons}
    decisions = [decision for decision in run.decisions if decision.decision_id in behind]
    return build(run.handoff, decisions, run.transcript[-TRANSCRIPT_TURNS_MAX:], run.now_ms)


def _turn(run: Run, step: TurnStep) -> Seen:
    fell_due = _go_on(run, run.now_ms + step.after_ms)
    _call_waits(run)
    before, number = run.conversation, len(run.decisions) + 1
    standing = _open(run)
    judged = judge(run.ruleset, step.turn, before, run.now_ms, step.pressures)
    names = Names("test", f"dec_{number}", f"hof_{number}")
    change = think(run.ruleset, names, step.turn, judged, standing, run.now_ms)
    if change.event is not None and change.handoff is not None:
        joined = change.event == "handoff.joined"
        run.handoff = replace(change.handoff, version=change.handoff.version + joined)
    run.conversation = remember(before, change.record)
    run.decisions.append(change.decision)
    turn, verdict = step.turn, change.decision.verdict
    said = (turn.turn_id, run.now_ms, turn.message, turn.reply, turn.tool_calls, verdict)
    run.transcript.append(TranscriptTurn(*said, kept_beside(turn)))
    return Seen(run.now_ms, run.handoff, before, judged, change.decision, fell_due)


def _move(run: Run, step: MoveStep) -> Seen:
    handoff, then_ms = run.handoff, run.now_ms + step.after_ms
    waits = handoff is not None and handoff.state == "waiting"
    if step.move in TIMEOUTS and handoff is not None and waits and deadline(handoff.expires_at_ms) is not None:
        then_ms = max(then_ms, handoff.expires_at_ms)
    refused = _no_such_queue(run, step)
    if (
        refused is None
        and step.move in HELD_MOVES
        and handoff is not None
        and waits
        and not is_due(handoff, run.now_ms)
    ):
        # Whoever sends it on or ends it has taken it before, and in time: a case says `claim` only where the claim is
        # its matter.
        _claim(run, handoff)
    fell_due = _go_on(run, then_ms)
    if step.move in TIMEOUTS:
        refused = None if fell_due is not None else _why_no_deadline(handoff)
    elif step.move is not None and refused is None:
        _call_waits(run)
        refused = _made(run, step)
    return Seen(run.now_ms, run.handoff, run.conversation, fell_due=fell_due, refused=refused, call=run.call)


def _call_waits(run: Run) -> None:
    """Let the call that is owed after a handoff has ended be the conversation's handoff from now on."""
    if run.call is not None:
        run.handoff, run.call = run.call, None


def _end(run: Run, handoff: Handoff, verb: str, resolution: Resolution) -> Handoff:
    """Return the handoff as it ends; what the customer is owed then waits in a handoff of its own."""
    call = call_owed(handoff, resolution)
    if call is not None:
        run.call = as_call(handoff, call, f"{handoff.handoff_id}_call", resolution.at_ms)
    return ended(handoff, verb, resolution)


def _no_such_queue(run: Run, step: MoveStep) -> str | None:
    """Return why a handoff cannot be sent on; a test file that names an unknown queue is refused before it runs."""
    known = step.move != "transfer" or step.given["queue"] in run.ruleset.files.queues
    return None if known else "the rules have no queue of that name"


def _go_on(run: Run, then_ms: int) -> Handoff | None:
    """Let the clock go on, and do what falls due on the way; return the handoff as the last deadline left it.

    As a worker would that looks every moment, with somebody at work for every skill.
    """
    fell_due = None
    while (handoff := _open(run)) is not None and (due_ms := _due_at_ms(handoff)) is not None and due_ms <= then_ms:
        # One that was put back after its time is due at once, not in the past.
        at_ms = max(due_ms, run.now_ms)
        advance = advanced(handoff, at_ms, EVERYBODY)
        if advance is not None:
            run.handoff = advance[0]
            continue
        waited = f"nobody came to `{handoff.queue}` in {span_text(at_ms - handoff.opened_at_ms)}"
        moved = rerouted(handoff, at_ms)
        if moved is not None:
            run.past_due = f"{waited}, so the handoff moved on to `{moved.queue}`; a `claim: true` before keeps it"
        else:
            moved = _end(run, handoff, "expire", missed(handoff, at_ms))
            run.conversation = after_handoff(run.conversation, at_ms)
            so = "expired, and the call that was promised waits" if run.call is not None else "expired"
            run.past_due = f"{waited}, so the handoff {so}; a `claim: true` before keeps it"
        run.handoff = fell_due = moved
    run.now_ms = then_ms
    return fell_due


def _open(run: Run) -> Handoff | None:
    return run.handoff if run.handoff is not None and run.handoff.state in OPEN else None


def _due_at_ms(handoff: Handoff) -> int | None:
    """Return when time next does something to an open handoff: a step of its queue's ladder, or its deadline."""
    held = handoff.state != "waiting"
    times = (advance_at_ms(handoff, held=held), None if held else handoff.expires_at_ms)
    return min((at_ms for at_ms in times if at_ms is not None), default=None)


def _why_no_deadline(handoff: Handoff | None) -> str:
    if handoff is None or handoff.state not in OPEN:
        return "no handoff is open"
    if deadline(handoff.expires_at_ms) is None:
        return "a call was promised, so it waits until somebody takes it"
    return "a person has it, and a deadline ends only a wait"


def _claim(run: Run, handoff: Handoff) -> None:
    run.handoff = claimed(handoff, OPERATOR, run.now_ms)
    run.claimed_version = run.handoff.version


def _made(run: Run, step: MoveStep) -> str | None:
    """Make an operator's move; return why it may not be made, None when it was."""
    handoff, verb = run.handoff, step.move or ""
    if handoff is None or handoff.state not in OPEN:
        return "no handoff is open"
    starts, _ = MOVES[verb]
    if handoff.state not in starts:
        return f"the handoff is `{handoff.state}`"
    if verb == "claim":
        _claim(run, handoff)
    elif verb in ("release", "lapse"):
        # A lease that runs out puts the handoff where a release does.
        run.handoff = released(handoff, run.now_ms)
    elif verb == "transfer":
        queue = run.ruleset.files.queues[str(step.given["queue"])]
        other = None if queue.name == handoff.queue else queue
        run.handoff = transferred(handoff, other, queue.answer_within_ms, None, 0, run.now_ms)
    else:
        given = {"action": "hand_back" if verb == "hand_back" else ANSWER_DEFAULT, **step.given}
        if verb == "resolve":
            given["turn_id"] = draft_turn_id(handoff, run.claimed_version)
            if given["action"] in LETTING_OUT and given["turn_id"] != draft_turn_id(handoff):
                return "another draft was held since the claim, so `release` and `claim` come first"
        run.handoff = _end(run, handoff, verb, Resolution(by=OPERATOR, at_ms=run.now_ms, **given))
        run.conversation = after_handoff(run.conversation, run.now_ms)
    return None
