"""A decision that was made, with all that is kept of its conversation, to the test case that expects it again.

What is written holds nobody's ids, and no personal data that can be told by its form or its key: names and addresses in
texts stay, and it says so. It is run before it is handed out, and says itself where it
could not be made to pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from rules.cases.case_files import read_case_files
from rules.cases.recorded_moves import steps_of
from rules.cases.runner import render_case, run_case
from rules.compile.budget import PERCENT_MAX
from rules.decision import Decision
from rules.evaluation.evaluate import Ruleset, find_topics, is_live
from rules.evaluation.signal_table import CUSTOMER_PREFIX
from rules.evaluation.signals import TOPIC_SCORE_MIN
from rules.files.errors import render
from rules.files.yaml_text import item_lines
from rules.handoff import MOVES, Handoff
from rules.model import Queue
from rules.packet.context_packet import TranscriptTurn
from rules.replay.neutral import CUSTOMER, PARENT, Neutral
from rules.turn import ToolCall, Turn, TurnRecord

HEADER = "handrail_tests: 1\ncases:\n"
# Gaps of this length and more are written in whole seconds: nobody reads `after: 31482ms`, and few rules can tell.
WHOLE_SECONDS_FROM_MS = 10_000
# A neutral name that a rollout treats as the real one: with three rules in rollout, one in some hundred does.
NAMES_TRIED_MAX = 5_000
# A name is no pattern: whoever puts the case into a repository is the one who can tell.
READ_FIRST = "Names and addresses in texts and sources stay: read it before you commit it."
_SHARED = ("channel", "locale", "customer", "agent", "parent")


@dataclass(frozen=True, slots=True)
class Recorded:
    """All that is kept of a decision: the turns up to its own, by turn what was decided, and the handoffs between.

    `records` are those since the last handoff, by turn. `turns_before` counts what is no longer kept.
    """

    decision: Decision
    turns: tuple[TranscriptTurn, ...]
    decisions: Mapping[str, Decision]
    handoffs: tuple[Handoff, ...] = ()
    records: Mapping[str, TurnRecord] = field(default_factory=dict)
    turns_before: int = 0


@dataclass(frozen=True, slots=True)
class WrittenCase:
    """A case as text: `item` goes under `cases:` of a test file. `notes` tell what of the decision is not in it."""

    name: str
    item: str
    passes: bool
    notes: tuple[str, ...]

    @property
    def file(self) -> str:
        """Return the case as a test file of its own."""
        return HEADER + self.item


def write_case(recorded: Recorded, ruleset: Ruleset) -> WrittenCase:
    """Return the decision as a test case of these rules."""
    neutral = Neutral()
    for turn in recorded.turns:
        neutral.learn((turn.message, turn.reply), turn.tool_calls)
    notes = _Notes()
    for whole_seconds in (True, False):
        case = _case(recorded, ruleset, neutral, notes, whole_seconds=whole_seconds)
        failed = _failed(case, ruleset)
        if not failed:
            break
    decision = recorded.decision
    if neutral.kinds:
        notes.add(f"personal data was taken out: {', '.join(neutral.kinds)}")
    if failed and decision.ruleset != ruleset.hash:
        notes.add(f"the rules have changed since: {decision.ruleset[:12]} decided, {ruleset.hash[:12]} were asked here")
    comments = [f"From {decision.decision_id}, decided {_moment(decision.decided_at_ms)} by {decision.ruleset[:12]}."]
    comments.append(READ_FIRST)
    comments += [f"Not as it was: {note}." for note in notes.facts]
    if failed:
        comments += ["It does not pass as it stands:", *(f"  {line}" for line in failed)]
    item = "\n".join(item_lines(case, comments)) + "\n"
    return WrittenCase(str(case["name"]), item, not failed, tuple(notes.facts))


@dataclass(slots=True)
class _Notes:
    """What of the decision could not be kept, each fact once."""

    facts: list[str] = field(default_factory=list)

    def add(self, fact: str) -> None:
        if fact not in self.facts:
            self.facts.append(fact)


def _case(
    recorded: Recorded, ruleset: Ruleset, neutral: Neutral, notes: _Notes, *, whole_seconds: bool
) -> dict[str, Any]:
    decision = recorded.decision
    if recorded.turns_before:
        notes.add(f"the first {recorded.turns_before} turns are no longer kept, so counts over them differ")
    if decision.degraded:
        notes.add("it was decided while the store was away, from the turn alone")
    turns = [_turn(turn, recorded, ruleset, neutral, notes) for turn in recorded.turns]
    turns[-1]["expect"] = _expect(decision, ruleset)
    first = turns[0]
    shared = {key: first[key] for key in _SHARED if key in first and all(turn.get(key) == first[key] for turn in turns)}
    turns = [{key: value for key, value in turn.items() if key not in shared} for turn in turns]
    starts_at_ms = recorded.turns[0].at_ms
    case: dict[str, Any] = {"name": _name(decision), "at": _moment(starts_at_ms)}
    conversation = _conversation(ruleset, decision.conversation_id)
    if conversation is None:
        notes.add("no neutral name is treated by all rollouts as the conversation's own was")
    else:
        case["conversation"] = conversation
    case |= shared
    steps = _in_time(recorded, turns, ruleset.files.queues, starts_at_ms, neutral, whole_seconds=whole_seconds)
    case["turns"] = [
        {**step, "parent": _by_step(step["parent"], steps)} if "parent" in step else step for step in steps
    ]
    if "parent" in case:
        case["parent"] = _by_step(case["parent"], steps)
    return case


def _turn(
    turn: TranscriptTurn, recorded: Recorded, ruleset: Ruleset, neutral: Neutral, notes: _Notes
) -> dict[str, Any]:
    """Return one turn under the keys of a test file."""
    written: dict[str, Any] = {}
    for key, text in (("message", turn.message), ("reply", turn.reply)):
        if text is not None:
            written[key] = neutral.text(text)
    calls = [_call(call, neutral) for call in turn.tool_calls]
    if calls:
        written["tool_calls"] = calls
    number = recorded.turns.index(turn) + 1
    decision = recorded.decisions.get(turn.turn_id)
    if pressure := _pressure(decision, ruleset):
        written["pressure"] = pressure
    if _rests_on_output(decision):
        notes.add(f"what tools gave back is kept nowhere, and turn {number} was judged by it: write an example in")
    if turn.beside is not None:
        written |= _beside(turn.beside, ruleset, neutral)
        if parent := _parent(turn.beside, recorded):
            written["parent"] = parent
    else:
        notes.add(f"what was sent beside the texts of turn {number} was not kept, only what the rules recorded of it")
        record = recorded.records.get(turn.turn_id)
        written |= _recorded_values(record, ruleset, neutral) if record is not None else {}
    lost = _topics_of(turn.message, turn.reply, ruleset) - _topics_of(
        written.get("message"), written.get("reply"), ruleset
    )
    for topic in sorted(lost):
        notes.add(f"without personal data and ids, turn {number} no longer speaks of `{topic}`: write an example in")
    return written


def _pressure(decision: Decision | None, ruleset: Ruleset) -> dict[str, str]:
    """Return how full the queues were that the decision shed for."""
    sheds = decision.shed if decision else ()
    return {
        shed.queue: f"{min(shed.pressure_percent, PERCENT_MAX)}%"
        for shed in sheds
        if shed.queue in ruleset.files.budgets
    }


def _rests_on_output(decision: Decision | None) -> bool:
    found = (hit for rule in decision.rules for check in rule.checks for hit in check.evidence) if decision else ()
    return any(hit.inside == "tool_output" for hit in found)


def _call(call: ToolCall, neutral: Neutral) -> dict[str, Any]:
    given = {
        "name": call.name,
        "status": call.status,
        "write": call.write,
        "amount": call.amount,
        "error": None if call.error is None else neutral.text(call.error),
        "args": neutral.value("args", call.args) if call.args else None,
    }
    return {key: value for key, value in given.items() if value is not None}


def _beside(beside: Mapping[str, Any], ruleset: Ruleset, neutral: Neutral) -> dict[str, Any]:
    """Return what was sent beside the texts: numbers as they were, names without what belongs to a customer."""
    written = {key: beside[key] for key in ("channel", "locale", "confidence", "sentiment") if key in beside}
    if agent := _known(beside.get("agent")):
        written["agent"] = agent
    if customer := beside.get("customer"):
        written["customer"] = _customer(customer, ruleset, neutral)
    scored = [topic for topic in beside.get("topics", ()) if _believed(topic.get("score"))]
    if scored:
        written["topics"] = [topic["name"] for topic in scored]
    if "sources" in beside:
        written["sources"] = [neutral.text(source) for source in beside["sources"]]
    signals = beside.get("signals", {})
    declared = {key: neutral.value(key, signals[key]) for key in signals if key in ruleset.files.signals}
    if declared:
        written["signals"] = declared
    return {key: value for key, value in written.items() if value != {}}


def _parent(beside: Mapping[str, Any], recorded: Recorded) -> dict[str, Any]:
    """Return who handed the work over; a turn of the case by its place among its turns, any other by -1."""
    parent = _known(beside.get("parent"))
    elsewhere = parent.pop("conversation_id", None) not in (None, recorded.decision.conversation_id)
    places = {turn.turn_id: place for place, turn in enumerate(recorded.turns)}
    if "turn_id" in parent:
        parent["turn_id"] = -1 if elsewhere else places.get(parent["turn_id"], -1)
    return parent | ({"conversation_id": PARENT} if elsewhere else {})


def _by_step(parent: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a parent with its turn named as the case names its turns: by the number of the step."""
    if "turn_id" not in parent:
        return dict(parent)
    numbers = [
        number for number, step in enumerate(steps, 1) if not MOVES.keys() & step.keys() and "timeout" not in step
    ]
    place = parent["turn_id"]
    return {**parent, "turn_id": f"turn-{numbers[place] if place >= 0 else 0}"}


def _customer(customer: Mapping[str, Any], ruleset: Ruleset, neutral: Neutral) -> dict[str, Any]:
    written = {"id": CUSTOMER} if customer.get("id") is not None else {}
    if customer.get("tier") is not None:
        written["tier"] = customer["tier"]
    attributes = customer.get("attributes") or {}
    declared = {key: value for key, value in attributes.items() if CUSTOMER_PREFIX + key in ruleset.files.signals}
    return {**written, **{key: neutral.value(key, value) for key, value in declared.items()}}


def _recorded_values(record: TurnRecord, ruleset: Ruleset, neutral: Neutral) -> dict[str, Any]:
    """Return what the rules recorded of a turn, as a caller would have sent it."""
    values = record.values
    written: dict[str, Any] = {key: values[key] for key in ("confidence", "sentiment") if key in values}
    known = [name for name in ruleset.files.signals if name in values]
    signals = {name: neutral.value(name, values[name]) for name in known if not name.startswith(CUSTOMER_PREFIX)}
    customer = {
        name.removeprefix(CUSTOMER_PREFIX): neutral.value(name, values[name])
        for name in known
        if name.startswith(CUSTOMER_PREFIX)
    }
    return written | {key: value for key, value in (("signals", signals), ("customer", customer)) if value}


def _believed(score: float | None) -> bool:
    return score is None or score >= TOPIC_SCORE_MIN


def _known(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (given or {}).items() if value is not None}


def _topics_of(message: str | None, reply: str | None, ruleset: Ruleset) -> frozenset[str]:
    return frozenset(hit.topic for hit in find_topics(ruleset.matcher, Turn("", "", message=message, reply=reply)))


def _expect(decision: Decision, ruleset: Ruleset) -> dict[str, Any]:
    """Return what was decided, as a test expects it."""
    live = [rule.rule_id for rule in decision.rules if rule.live]
    shadow = [rule.rule_id for rule in decision.rules if not rule.live]
    written = {rule.id: rule for rule in ruleset.files.rules}
    top = written.get(live[0]) if live else None
    asks = decision.verdict in ("review", "hold", "escalate") and top is not None and top.then.queue == decision.queue
    expect: dict[str, Any] = {decision.verdict: decision.queue} if asks else {"verdict": decision.verdict}
    expect["rules"] = live
    if shadow:
        expect["shadow"] = shadow
    if decision.say is not None:
        expect["say"] = decision.say
    if decision.on_timeout is not None:
        expect["on_timeout"] = decision.on_timeout.verdict
    if not asks and decision.queue is not None:
        expect["handoff"] = {"queue": decision.queue}
    return expect


def _name(decision: Decision) -> str:
    live = [rule.rule_id for rule in decision.rules if rule.live]
    why = f" by {live[0]}" if live else ""
    return f"{decision.verdict}{why}, as decided in {decision.decision_id}"


def _conversation(ruleset: Ruleset, conversation_id: str) -> str | None:
    """Return a name that every rollout treats as the conversation's own; None when none was found."""
    partly = [rule for rule in ruleset.files.rules if 0 < rule.mode.percent < 100]
    wanted = [is_live(rule, conversation_id) for rule in partly]
    for number in range(1, NAMES_TRIED_MAX):
        name = f"conversation-{number}"
        if [is_live(rule, name) for rule in partly] == wanted:
            return name
    return None


def _in_time(
    recorded: Recorded,
    turns: Sequence[dict[str, Any]],
    queues: Mapping[str, Queue],
    starts_at_ms: int,
    neutral: Neutral,
    *,
    whole_seconds: bool,
) -> list[dict[str, Any]]:
    """Return the steps in their order, each with the time since the one before."""
    order = count()
    due: list[tuple[int, int, dict[str, Any]]] = []
    latest_ms = starts_at_ms
    for turn, written in zip(recorded.turns, turns, strict=True):
        # A turn that came late stands in its place, with the time of the one before.
        latest_ms = max(latest_ms, turn.at_ms)
        due.append((latest_ms, next(order), written))
    for handoff in recorded.handoffs:
        moves = steps_of(handoff, recorded.decisions.values(), queues, neutral, latest_ms)
        due += [(at_ms, next(order), move) for at_ms, move in moves]
    clock_ms = starts_at_ms
    steps: list[dict[str, Any]] = []
    for at_ms, _, step in sorted(due, key=lambda each: each[:2]):
        if not steps:
            steps.append(step)
            continue
        gap_ms = max(1, at_ms - clock_ms)
        if whole_seconds and gap_ms >= WHOLE_SECONDS_FROM_MS:
            gap_ms = round(gap_ms / 1000) * 1000
        clock_ms += gap_ms
        steps.append({"after": f"{gap_ms // 1000}s" if gap_ms % 1000 == 0 else f"{gap_ms}ms", **step})
    return steps


def _failed(case: Mapping[str, Any], ruleset: Ruleset) -> list[str]:
    """Run the case as it is written, and return what does not hold, line by line."""
    text = HEADER + "\n".join(item_lines(case, ())) + "\n"
    cases, problems = read_case_files({"case.tests.yaml": text}, ruleset.files)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        return [line for problem in errors for line in render(problem).splitlines()]
    return [line for each in cases for line in render_case(run_case(ruleset, each)).splitlines()]


def _moment(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds").replace("+00:00", "Z")
