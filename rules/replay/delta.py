"""What a candidate ruleset would decide otherwise than the active one, over recorded turns: counted, never guessed.

Each turn is judged by both on its recorded history. A stretch counts for a ruleset up to the turn that it stops at;
both see the same turns up to the earlier stop, so the first difference of a stretch is what would really have happened,
and nothing after it is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, TypeAlias

import polars as pl

from rules.model import STOPPING, Rule, Verdict
from rules.replay.column_verdicts import NO_RULE, Verdicts, conversation_id_of
from rules.replay.operator_minutes import Handlings
from rules.replay.transcripts import OUTCOMES_NEEDED, TRUTHS

# new: stopped for a person by the candidate alone. gone: by the active set alone. changed: both ask for a person, or
# one of them for a review, but with another verdict or queue. moved: the same verdict and queue on another turn.
DeltaKind: TypeAlias = Literal["new", "gone", "changed", "moved"]
DELTA_KINDS: tuple[DeltaKind, ...] = ("new", "gone", "changed", "moved")
# Of each kind: as many as a person reads.
EXAMPLES_MAX = 5


@dataclass(frozen=True, slots=True)
class Step:
    """The rule by which a ruleset asks for a person in a stretch, and on which turn of it, counted from 0."""

    rule_id: str
    verdict: Verdict
    queue: str | None
    turn: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A stretch that the two rulesets do not end alike. `part`, `first_row` and `rows` say where it stands.

    `needed` is whether a person was needed, None where nobody said.
    """

    kind: DeltaKind
    conversation_id: str
    before: Step | None
    after: Step | None
    needed: bool | None
    part: int
    stretch: int
    first_row: int
    rows: int


@dataclass(slots=True)
class KindTotal:
    """How many stretches differ in one way, and of how many of them it is known that a person was needed, or not."""

    n: int = 0
    needed: int = 0
    not_needed: int = 0

    def add(self, needed: bool | None) -> None:
        """Count one."""
        self.n += 1
        self.needed += needed is True
        self.not_needed += needed is False


@dataclass(slots=True)
class RuleTotal:
    """One rule under one of the two rulesets: turns on which it fired, and the stretches that differ by it."""

    turns: int = 0
    shadow_turns: int = 0
    kinds: dict[DeltaKind, KindTotal] = field(default_factory=lambda: {kind: KindTotal() for kind in DELTA_KINDS})


@dataclass(slots=True)
class QueueTotal:
    """One queue: handoffs of either ruleset, and those that only one of them sends there."""

    before: int = 0
    after: int = 0
    more: int = 0
    fewer: int = 0


@dataclass(slots=True)
class Side:
    """What was counted for one ruleset. `stopped`: stretches that it stops, `asked`: those with a review too."""

    rules: Sequence[Rule]
    turns_judged: int = 0
    stopped: int = 0
    asked: int = 0
    by_rule: dict[str, RuleTotal] = field(default_factory=dict)


@dataclass(slots=True)
class Delta:
    """All that is counted, part by part."""

    before: Side
    after: Side
    label: str | None = None
    conversations: int = 0
    stretches: int = 0
    synthetic_clocks: int = 0
    turns: int = 0
    turns_differing: int = 0
    first_at_ms: int | None = None
    last_at_ms: int | None = None
    kinds: dict[DeltaKind, KindTotal] = field(default_factory=lambda: {kind: KindTotal() for kind in DELTA_KINDS})
    verdicts: Counter[tuple[Verdict, Verdict]] = field(default_factory=Counter)
    queues: dict[str, QueueTotal] = field(default_factory=dict)
    handlings: dict[str, Handlings] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    examples: dict[DeltaKind, list[Difference]] = field(default_factory=lambda: {kind: [] for kind in DELTA_KINDS})

    def add(self, part: int, turns: pl.DataFrame, about: pl.DataFrame, before: Verdicts, after: Verdicts) -> None:
        """Count one part of the log: the columns `stretch` and `at_ms` of its turns, and its stretches."""
        self._count_part(turns, about)
        _add_side(self.before, before, turns.height)
        _add_side(self.after, after, turns.height)
        self.turns_differing += _differing(turns["stretch"], before, after)
        asked = (before.step != NO_RULE) | (after.step != NO_RULE)
        self.verdicts["continue", "continue"] += about.height - int(asked.sum())
        ends = [_ends(self.before.rules, before.step), _ends(self.after.rules, after.step)]
        alike = asked & (ends[0] == ends[1]) & (before.step_row == after.step_row)
        self._count_alike(before.step.filter(alike))
        places = (asked & ~alike).arg_true().to_list()
        for stretch, row in zip(places, about[places].to_dicts(), strict=True):
            old = _step(self.before.rules, before, stretch, row["first_row"])
            new = _step(self.after.rules, after, stretch, row["first_row"])
            self._compare(part, stretch, about, row, old, new)

    def _count_alike(self, steps: pl.Series) -> None:
        """Count stretches that both rulesets end alike, by the rule of the active set that does."""
        for number, count in steps.value_counts().iter_rows():
            then = self.before.rules[number].then
            self.verdicts[then.verdict, then.verdict] += count
            if then.queue is not None:
                total = self.queues.setdefault(then.queue, QueueTotal())
                total.before += count
                total.after += count

    def _count_part(self, turns: pl.DataFrame, about: pl.DataFrame) -> None:
        # A part holds whole conversations, so none is counted twice.
        self.conversations += about["conversation_id"].n_unique()
        self.stretches += about.height
        self.synthetic_clocks += int(about["synthetic_clock"].sum())
        self.turns += turns.height
        if turns.height:
            low, high = turns.select(low=pl.col("at_ms").min(), high=pl.col("at_ms").max()).row(0)
            self.first_at_ms = low if self.first_at_ms is None else min(low, self.first_at_ms)
            self.last_at_ms = high if self.last_at_ms is None else max(high, self.last_at_ms)
        timed = about.filter(pl.col("handling_ms").is_not_null()).select("queue", "handling_ms")
        for queue, handling_ms in timed.iter_rows():
            self.handlings.setdefault(queue or "", Handlings()).add(handling_ms)
        for name in [*needed_columns(about, self.label), *(["outcome"] if self.label is None else [])]:
            known = about[name].count() if name != "outcome" else int(about[name].is_in(list(OUTCOMES_NEEDED)).sum())
            if known:
                self.labels[name.removeprefix("needed.")] += known

    def _compare(
        self,
        part: int,
        stretch: int,
        about: pl.DataFrame,
        row: Mapping[str, object],
        old: Step | None,
        new: Step | None,
    ) -> None:
        self.verdicts[_verdict(old), _verdict(new)] += 1
        self._count_queues(old, new)
        kind = _kind(old, new)
        if kind is None:
            return
        needed = needed_of(row, self.label)
        self.kinds[kind].add(needed)
        for side, step in ((self.before, old), (self.after, new)):
            if step is not None:
                side.by_rule[step.rule_id].kinds[kind].add(needed)
        difference = Difference(
            kind=kind,
            conversation_id=conversation_id_of(about, stretch),
            before=old,
            after=new,
            needed=needed,
            part=part,
            stretch=stretch,
            first_row=_whole(row["first_row"]),
            rows=_whole(row["rows"]),
        )
        # A hash picks the examples: always the same ones, from all over the log.
        kept = sorted([*self.examples[kind], difference], key=_place)
        self.examples[kind] = kept[:EXAMPLES_MAX]

    def _count_queues(self, old: Step | None, new: Step | None) -> None:
        left = None if old is None else old.queue
        right = None if new is None else new.queue
        if left is not None:
            total = self.queues.setdefault(left, QueueTotal())
            total.before += 1
            total.fewer += left != right
        if right is not None:
            total = self.queues.setdefault(right, QueueTotal())
            total.after += 1
            total.more += left != right


def delta_of(before: Sequence[Rule], after: Sequence[Rule], label: str | None = None) -> Delta:
    """Return a count at its start; `label` names the label that says whether a person was needed."""
    sides = [Side(rules, by_rule={rule.id: RuleTotal() for rule in rules}) for rules in (before, after)]
    return Delta(sides[0], sides[1], label)


def needed_columns(about: pl.DataFrame, label: str | None) -> list[str]:
    """Return the columns that say whether a person was needed, of one label or of all."""
    names = [name for name in about.columns if name.startswith("needed.")]
    return names if label is None else [name for name in names if name == f"needed.{label}"]


def needed_of(row: Mapping[str, object], label: str | None) -> bool | None:
    """Return whether a person was needed in a stretch: by that label, or by its outcome, or by the first of TRUTHS."""
    if label is not None:
        value = row.get(f"needed.{label}")
        return value if isinstance(value, bool) else None
    known = [value for name in TRUTHS if isinstance(value := row.get(f"needed.{name}"), bool)]
    return OUTCOMES_NEEDED.get(str(row.get("outcome")), known[0] if known else None)


def _add_side(side: Side, verdicts: Verdicts, height: int) -> None:
    side.turns_judged += verdicts.turns_judged
    side.stopped += int((verdicts.stops < height).sum())
    side.asked += int((verdicts.step != NO_RULE).sum())
    for rule, turns, shadow_turns in zip(side.rules, verdicts.turns, verdicts.shadow_turns, strict=True):
        side.by_rule[rule.id].turns += turns
        side.by_rule[rule.id].shadow_turns += shadow_turns


def _differing(stretch: pl.Series, before: Verdicts, after: Verdicts) -> int:
    """Return on how many turns the verdicts differ, up to the first of the two stops of each stretch."""
    rows = (before.asks != after.asks).arg_true()
    first_stop = pl.select(pl.min_horizontal(before.stops, after.stops)).to_series()
    return int((rows <= first_stop.gather(stretch.gather(rows))).sum())


def _ends(rules: Sequence[Rule], steps: pl.Series) -> pl.Series:
    """Return for each stretch what tells whether two rulesets end it alike: the verdict and queue of its rule."""
    ends = [f"{rule.then.verdict} {rule.then.queue}" for rule in rules]
    table = pl.Series([*ends, "continue"], dtype=pl.String)
    return table.gather(steps.clip(0, len(ends)))


def _step(rules: Sequence[Rule], verdicts: Verdicts, stretch: int, first_row: int) -> Step | None:
    number = verdicts.step[stretch]
    if number == NO_RULE:
        return None
    then = rules[number].then
    return Step(rules[number].id, then.verdict, then.queue, verdicts.step_row[stretch] - first_row)


def _kind(old: Step | None, new: Step | None) -> DeltaKind | None:
    was, is_now = (step is not None and step.verdict in STOPPING for step in (old, new))
    if was != is_now:
        return "new" if is_now else "gone"
    if (old is None) != (new is None):
        return "changed"
    if old is None or new is None:
        return None
    if (old.verdict, old.queue) != (new.verdict, new.queue):
        return "changed"
    return "moved" if old.turn != new.turn else None


def _verdict(step: Step | None) -> Verdict:
    return "continue" if step is None else step.verdict


def _place(difference: Difference) -> tuple[bytes, int]:
    name = difference.conversation_id.encode("utf-8", "surrogatepass")
    return blake2b(name, digest_size=8).digest(), difference.stretch


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def flows(queues: Mapping[str, QueueTotal]) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many handoffs each queue gets more, and how many fewer."""
    return (
        {name: total.more for name, total in queues.items()},
        {name: total.fewer for name, total in queues.items()},
    )


def rule_ids(*sides: Side) -> Iterable[str]:
    """Yield the rules of both rulesets, those of the last first, each once."""
    return dict.fromkeys(rule.id for side in reversed(sides) for rule in side.rules)
