"""A turn and its conversation to the rules that fire: the one way in which Handrail judges. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from rules.decision import Evidence
from rules.evaluation import signals
from rules.evaluation.asked import asked_signals
from rules.evaluation.clauses import without_not
from rules.evaluation.facts import Facts, Measure, Probes
from rules.evaluation.index import Index, index_of
from rules.evaluation.wording import aggregate_text
from rules.model import Aggregate, CallMatch, Compare, Condition, Not, Rule, RuleFiles, Verdict
from rules.text.topics import Matcher
from rules.turn import Conversation, Turn, TurnRecord, Value


@dataclass(slots=True)
class Spares:
    """What was made of a ruleset to go on without some of its rules (`sparing`), by the numbers of those that are left.

    `blamed` counts how often it was asked which rule had raised.
    """

    rulesets: dict[tuple[int, ...], Ruleset] = field(default_factory=dict)
    blamed: int = 0


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Rule files, ready to judge turns. `measures` holds each rule's aggregates, by their text.

    `reading` are the signals to be read of every turn: what none of the rules asks for is not worth its time. `spares`
    are a ruleset's own, so a changed copy begins without any.
    """

    files: RuleFiles
    matcher: Matcher
    index: Index
    measures: tuple[tuple[tuple[str, Measure], ...], ...]
    reading: signals.Reading
    spares: Spares = field(default_factory=Spares, init=False, compare=False, repr=False)

    @property
    def hash(self) -> str:
        """Return the name of the ruleset: the sha256 of its files."""
        return self.files.hash


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the rules say of one turn.

    `rules` are the live rules that fired, in order of precedence; `shadow` those that fired but are in shadow, or live
    for other conversations only. `values` are the signals that are kept with the turn, those that a rule asks for, and
    by its text every aggregate of a rule that fired. `record` is what later turns of the conversation may look back at.
    """

    verdict: Verdict
    rules: tuple[Rule, ...]
    shadow: tuple[Rule, ...]
    values: Mapping[str, Value]
    evidence: tuple[Evidence, ...]
    record: TurnRecord
    turn: Turn

    @property
    def top(self) -> Rule | None:
        """Return the rule that decides queue, priority, words and deadline; None when no live rule fired."""
        return self.rules[0] if self.rules else None


def build(files: RuleFiles) -> Ruleset:
    """Return the rule files with their texts and conditions compiled: milliseconds once, microseconds a turn."""
    probes = Probes()
    index = index_of([without_not(rule.when) for rule in files.rules], probes)
    measures = tuple(
        tuple((aggregate_text(aggregate), probes.number(aggregate)) for aggregate in aggregates_of(rule.when))
        for rule in files.rules
    )
    reading = signals.reading_of(files, asked_signals(files.rules))
    return Ruleset(files, Matcher(files.topics), index, measures, reading)


def evaluate(ruleset: Ruleset, turn: Turn, conversation: Conversation, now_ms: int) -> Evaluation:
    """Return which rules fire on this turn, and what is to be remembered of it."""
    evidence = find_topics(ruleset.matcher, turn)
    values = signals.read_kept(ruleset.reading, turn, conversation, evidence)
    record = signals.record_kept(turn, values, now_ms)
    signals.read_late(ruleset.reading, values, turn, conversation, now_ms)
    return judge(ruleset, Facts(values, turn, conversation, now_ms), values, evidence, record)


def judge(
    ruleset: Ruleset, facts: Facts, values: dict[str, Value], evidence: tuple[Evidence, ...], record: TurnRecord
) -> Evaluation:
    """Return which rules fire on a turn whose signals are read; aggregates of those that do are put to the values."""
    files, turn = ruleset.files, facts.turn
    fired = ruleset.index.fired(facts)
    if not fired:
        return Evaluation("continue", (), (), values, evidence, record, turn)
    live: list[Rule] = []
    shadow: list[Rule] = []
    for number in fired:
        rule = files.rules[number]
        (live if is_live(rule, turn.conversation_id) else shadow).append(rule)
        for text, measure in ruleset.measures[number]:
            values[text] = measure(facts)
    # The rules stand in order of precedence, so the first has the strongest verdict.
    verdict: Verdict = live[0].then.verdict if live else "continue"
    return Evaluation(verdict, tuple(live), tuple(shadow), values, evidence, record, turn)


def find_topics(matcher: Matcher, turn: Turn) -> tuple[Evidence, ...]:
    """Return where the turn's texts speak of a topic."""
    found = matcher.find(turn.message, "message") if turn.message else ()
    if turn.reply:
        found += matcher.find(turn.reply, "reply")
    for call in turn.tool_calls:
        if call.output:
            found += matcher.find(call.output, "tool_output")
    return found


def is_live(rule: Rule, conversation_id: str) -> bool:
    """Return whether the rule counts in this conversation, all of it and for ever."""
    percent = rule.mode.percent
    if percent <= 0 or percent >= 100:
        return percent > 0
    return is_in_share(rule.id, conversation_id, percent)


def is_in_share(name: str, conversation_id: str, percent: int) -> bool:
    """Return whether a conversation belongs to the share of something: a hash of both names decides, no chance.

    A conversation that is in at 10 percent is in at 20 too, so raising a share takes nothing away from anyone.
    """
    salted = f"{name}\0{conversation_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(salted, digest_size=8).digest(), "big") % 100 < percent


def aggregates_of(condition: Condition) -> Iterable[Aggregate]:
    """Yield the aggregates of a condition, in the order in which they were written."""
    if isinstance(condition, Compare):
        if isinstance(condition.left, Aggregate):
            yield condition.left
    elif isinstance(condition, Not):
        yield from aggregates_of(condition.part)
    elif not isinstance(condition, CallMatch):
        for part in condition.parts:
            yield from aggregates_of(part)
