"""Recorded conversations through the real engine, and what came of it, counted. No file is read and no clock either."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rules.evaluation.asked import asked_signals
from rules.evaluation.call_values import call_values
from rules.evaluation.comparisons import opposite, tester
from rules.evaluation.evaluate import Ruleset, evaluate
from rules.history import remember
from rules.model import STOPPING, VERDICTS, Aggregate, All, Any, CallMatch, Compare, Condition, Not, Rule, Verdict
from rules.replay.agent_scores import AgentCounts, AgentScore
from rules.replay.scorecards import Rate
from rules.replay.transcripts import UNNAMED_TOOL, Recorded
from rules.routing.shedding import NONE, Pressures, eased
from rules.turn import Conversation, ToolCall, Value

# A rule is `fired`, or `quiet` (its signals were there and it did not hold), or there was nothing it could have met.
RuleStatus: TypeAlias = Literal["fired", "quiet", "NO_MATCHING_DATA"]


@dataclass(frozen=True, slots=True)
class Step:
    """What was decided of one turn: the verdict, the live rules that fired, the shadow rules that would have, and those
    that were shed."""

    verdict: Verdict
    rules: tuple[str, ...]
    shadow: tuple[str, ...] = ()
    shed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Played:
    """A recorded conversation as far as it went: one step a turn, the last one where it was stopped."""

    recorded: Recorded
    steps: tuple[Step, ...]

    @property
    def stop(self) -> Step | None:
        """Return the step that stopped the conversation for a person; `review` does not stop."""
        return self.steps[-1] if self.steps and self.steps[-1].verdict in STOPPING else None

    @property
    def stop_row(self) -> int | None:
        """Return the row of the recorded conversation at which it was stopped."""
        return None if self.stop is None else self.recorded.turns[len(self.steps) - 1].row_index


@dataclass(slots=True)
class SignalsSeen:
    """Which signals were known in at least one turn, and which parts of a tool call in at least one call."""

    names: set[str] = field(default_factory=set)
    call_names: set[str] = field(default_factory=set)

    def note(self, values: Mapping[str, Value], calls: Iterable[ToolCall], wanted: frozenset[str]) -> None:
        """Remember what is known of these signals in one turn; `wanted` are those that any rule asks for."""
        self.names.update(name for name in wanted - self.names if values.get(name) is not None)
        for call in calls:
            known = {name for name, value in call_values(call).items() if value is not None}
            self.call_names |= known - {"name"} if call.name == UNNAMED_TOOL else known


@dataclass(frozen=True, slots=True)
class RuleScore:
    """One rule over all conversations. `needed`: of the labelled conversations it stopped, those that needed one."""

    rule_id: str
    verdict: Verdict
    live_percent: int
    status: RuleStatus
    turns: int
    conversations: int
    shadow_turns: int
    stopped: int
    needed: Rate
    shed_turns: int = 0


@dataclass(frozen=True, slots=True)
class Scores:
    """What came of a replay.

    A conversation counts as stopped when a turn was answered with `hold` or `escalate`. `precision`: of the labelled
    conversations that were stopped, those that needed a person. `recall`: of those that needed a person, those that
    were stopped. `load`: of those that needed nobody, those that were stopped all the same. `bad_writes_stopped`: of
    the conversations with a write that should not have happened, those stopped at the turn that proposed it, or before.
    `truths` tells which label said so, for how many conversations. `turns_shed` are those on which people were asked
    for less, under the pressure that was assumed.
    """

    ruleset: str
    conversations: int
    turns: int
    turns_recorded: int
    synthetic_clocks: int
    verdicts: Mapping[Verdict, int]
    stopped: Rate
    truths: Mapping[str, int]
    precision: Rate
    recall: Rate
    load: Rate
    bad_writes_stopped: Rate
    rules: tuple[RuleScore, ...]
    agents: tuple[AgentScore, ...] = ()
    turns_shed: int = 0

    @property
    def labelled(self) -> bool:
        """Return whether at least one conversation says if it needed a person."""
        return bool(self.truths)


def play(ruleset: Ruleset, recorded: Recorded, seen: SignalsSeen | None = None, pressures: Pressures = NONE) -> Played:
    """Return the conversation decided turn by turn, in order, up to the turn that stops it.

    `pressures` is how full queues are all the while. How full they were then nobody recorded.
    """
    conversation = Conversation(recorded.conversation_id)
    wanted = asked_signals(ruleset.files.rules) if seen is not None else frozenset()
    steps: list[Step] = []
    for recorded_turn in recorded.turns:
        turn = recorded_turn.turn
        found = evaluate(ruleset, turn, conversation, recorded_turn.at_ms)
        if seen is not None:
            seen.note(found.values, turn.tool_calls, wanted)
        busy, sheds = eased(ruleset, found, pressures)
        steps.append(
            Step(
                busy.verdict,
                tuple(rule.id for rule in found.rules),
                tuple(rule.id for rule in found.shadow),
                tuple(shed.rule_id for shed in sheds),
            )
        )
        if busy.verdict in STOPPING:
            break
        conversation = remember(conversation, found.record)
    return Played(recorded, tuple(steps))


def score(ruleset: Ruleset, played: Iterable[Played], seen: SignalsSeen, truth: str | None = None) -> Scores:
    """Return the counts over what was played; `truth` names the label, by default the outcome or the first label."""
    total = _Total()
    for each in played:
        total.add(each, truth)
    return Scores(
        ruleset=ruleset.hash,
        conversations=total.conversations,
        turns=total.turns,
        turns_recorded=total.turns_recorded,
        synthetic_clocks=total.synthetic_clocks,
        verdicts={verdict: total.verdicts[verdict] for verdict in VERDICTS if verdict != "held_by_human"},
        stopped=Rate(total.stopped, total.conversations),
        truths=dict(total.truths),
        precision=Rate(total.stopped_needed, total.stopped_needed + total.stopped_not_needed),
        recall=Rate(total.stopped_needed, total.needed),
        load=Rate(total.stopped_not_needed, total.not_needed),
        bad_writes_stopped=Rate(total.bad_writes_stopped, total.bad_writes),
        rules=tuple(_rule_score(rule, total, seen) for rule in ruleset.files.rules),
        agents=total.agents.scores(ruleset.files.agents),
        turns_shed=total.turns_shed,
    )


@dataclass(slots=True)
class _Total:
    """Counters that grow by one conversation at a time."""

    conversations: int = 0
    turns: int = 0
    turns_recorded: int = 0
    synthetic_clocks: int = 0
    stopped: int = 0
    needed: int = 0
    not_needed: int = 0
    stopped_needed: int = 0
    stopped_not_needed: int = 0
    bad_writes: int = 0
    bad_writes_stopped: int = 0
    turns_shed: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    truths: Counter[str] = field(default_factory=Counter)
    rule_turns: Counter[str] = field(default_factory=Counter)
    rule_conversations: Counter[str] = field(default_factory=Counter)
    rule_shadow: Counter[str] = field(default_factory=Counter)
    rule_shed: Counter[str] = field(default_factory=Counter)
    rule_stopped: Counter[str] = field(default_factory=Counter)
    rule_labelled: Counter[str] = field(default_factory=Counter)
    rule_needed: Counter[str] = field(default_factory=Counter)
    agents: AgentCounts = field(default_factory=AgentCounts)

    def add(self, played: Played, truth: str | None) -> None:
        """Count one conversation."""
        self.conversations += 1
        self.turns += len(played.steps)
        self.turns_recorded += len(played.recorded.turns)
        self.synthetic_clocks += played.recorded.clock == "synthetic"
        self.verdicts.update(step.verdict for step in played.steps)
        self.turns_shed += sum(bool(step.shed) for step in played.steps)
        for step in played.steps:
            self.rule_turns.update(step.rules)
            self.rule_shadow.update(step.shadow)
            self.rule_shed.update(step.shed)
        self.rule_conversations.update({rule for step in played.steps for rule in step.rules})
        if played.recorded.turns:
            self.agents.add(played.recorded.turns[0].turn.agent.id, played.steps[-1].verdict if played.steps else None)
        self._score(played, truth)

    def _score(self, played: Played, truth: str | None) -> None:
        stop, row = played.stop, played.stop_row
        labels = played.recorded.truth
        known = labels.known(truth)
        needed = None if known is None else known[1]
        self.stopped += stop is not None
        if known is not None and needed is not None:
            self.truths[known[0]] += 1
            self.needed += needed
            self.not_needed += not needed
            self.stopped_needed += needed and stop is not None
            self.stopped_not_needed += not needed and stop is not None
        if labels.bad_write_index is not None:
            self.bad_writes += 1
            self.bad_writes_stopped += row is not None and row <= labels.bad_write_index
        if stop is not None:
            # A rule that was shed stopped nothing: another one did.
            rules = [rule for rule in stop.rules if rule not in stop.shed]
            self.rule_stopped.update(rules)
            if needed is not None:
                self.rule_labelled.update(rules)
                self.rule_needed.update(rules if needed else ())


def _rule_score(rule: Rule, total: _Total, seen: SignalsSeen) -> RuleScore:
    turns, shadow = total.rule_turns[rule.id], total.rule_shadow[rule.id]
    status: RuleStatus = "fired" if turns or shadow else "quiet"
    if status == "quiet" and not could_hold(rule.when, seen):
        status = "NO_MATCHING_DATA"
    stops = rule.then.verdict in STOPPING
    return RuleScore(
        rule_id=rule.id,
        verdict=rule.then.verdict,
        live_percent=rule.mode.percent,
        status=status,
        turns=turns,
        conversations=total.rule_conversations[rule.id],
        shadow_turns=shadow,
        stopped=total.rule_stopped[rule.id] if stops else 0,
        shed_turns=total.rule_shed[rule.id],
        needed=Rate(total.rule_needed[rule.id], total.rule_labelled[rule.id]) if stops else Rate(0, 0),
    )


def could_hold(condition: Condition, seen: SignalsSeen) -> bool:
    """Return whether the condition can be true at all when the signals that were never known stay unknown.

    A comparison with a signal that was known somewhere counts as possible: whether it ever was true is what `quiet`
    and `fired` tell apart.
    """
    return _possible(condition, seen, negated=False)


def _possible(condition: Condition, seen: SignalsSeen, *, negated: bool, in_call: bool = False) -> bool:
    match condition:
        case Not(part):
            return _possible(part, seen, negated=not negated, in_call=in_call)
        case All(parts) | Any(parts):
            # De Morgan: under a negation `all` is met by one part, `any` only by every one.
            every = isinstance(condition, All) is not negated
            each = (_possible(part, seen, negated=negated, in_call=in_call) for part in parts)
            return all(each) if every else any(each)
        case CallMatch(inner):
            # With no call at all nothing is matched, so the negation holds.
            return negated or _possible(inner, seen, negated=False, in_call=True)
        case Compare():
            return _comparison_possible(condition, seen, negated=negated, in_call=in_call)


def _comparison_possible(compare: Compare, seen: SignalsSeen, *, negated: bool, in_call: bool) -> bool:
    asks_absence = (compare.operator == "is unknown") is not negated and compare.operator in ("is unknown", "is known")
    if asks_absence:
        return True
    if isinstance(compare.left, Aggregate):
        inner = compare.left.of
        if isinstance(inner, Compare) and not _comparison_possible(inner, seen, negated=False, in_call=False):
            # Counting what never holds gives 0, which is known: `= 0` can be true, `>= 2` cannot.
            return tester(opposite(compare) if negated else compare)(0)
        return isinstance(inner, Compare) or inner in seen.names
    return compare.left in (seen.call_names if in_call else seen.names)
