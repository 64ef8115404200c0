"""A candidate ruleset against the active one over recorded turns: part after part is read, judged and counted.

Nothing of a part stays in memory but its counts and the rows of a few examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rules.decision import Evidence, FiredRule
from rules.evaluation import explain
from rules.evaluation.evaluate import Evaluation, Ruleset
from rules.replay.column_signals import Reread
from rules.replay.column_verdicts import conversation_id_of, verdicts_of
from rules.replay.columns import Fired, asked_by, judge, questions_of
from rules.replay.conversations import SignalsSeen
from rules.replay.delta import DELTA_KINDS, Delta, DeltaKind, Difference, Step, delta_of
from rules.replay.logged_turns import LoggedTurns, settled
from rules.replay.turn_log import Part
from rules.text.mask import mask
from service.turn_logs import LogPart, read_ahead

# Of a message in an example: some lines around the words that a rule rests on.
EXCERPT_CHARS = 200
_LEAD_CHARS = 60


class ColumnsDisagree(Exception):
    """The columns and the turn-by-turn engine do not say the same: a mistake of ours, told instead of shown as fact."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An example: the stretch that differs, what the customer wrote on the turn, and why each ruleset did as it did."""

    difference: Difference
    turn_id: str
    excerpt: str | None
    before: tuple[FiredRule, ...]
    after: tuple[FiredRule, ...]


@dataclass(slots=True)
class Compared:
    """What a comparison found. `left_out` are columns for which the logs had no room, as far as they are asked for."""

    delta: Delta
    examples: Mapping[DeltaKind, Sequence[Shown]] = field(default_factory=dict)
    seen_before: SignalsSeen = field(default_factory=SignalsSeen)
    seen_after: SignalsSeen = field(default_factory=SignalsSeen)
    reread: Reread = field(default_factory=Reread)
    left_out: set[str] = field(default_factory=set)
    masked: bool = False


def compare(
    parts: Iterable[LogPart],
    before: Ruleset,
    after: Ruleset,
    label: str | None = None,
    told: Callable[[int], None] | None = None,
    looked: Callable[[int], None] | None = None,
) -> Compared:
    """Return what `after` would decide otherwise than `before`.

    `told` hears how many turns of a part are done, `looked` how many texts of it were looked through again.
    """
    compared = Compared(delta_of(before.files.rules, after.files.rules, label))
    delta = compared.delta
    kept: dict[tuple[int, int], tuple[LogPart, list[dict[str, Any]]]] = {}
    questions = [questions_of(before.files), questions_of(after.files)]
    read = read_ahead(parts, lambda place: asked_by(questions, place.about, place.call_columns))
    for number, (place, part) in enumerate(read):
        fired = judge(part, questions, looked)
        odd = _odd(part, place)
        sides = [
            settled(each, LoggedTurns(ruleset, part.about), odd) if odd else each
            for each, ruleset in zip(fired, (before, after), strict=True)
        ]
        _note(compared, part, sides)
        verdicts = [
            verdicts_of(ruleset.files.rules, each.rules, part.turns["stretch"], part.stretches)
            for each, ruleset in zip(sides, (before, after), strict=True)
        ]
        delta.add(number, part.turns, part.stretches, verdicts[0], verdicts[1])
        chosen = [each for kind in DELTA_KINDS for each in delta.examples[kind]]
        kept = {key: kept[key] for each in chosen if (key := (each.part, each.stretch)) in kept}
        coming = [each.stretch for each in chosen if each.part == number]
        found = place.rows(coming) if coming else {}
        kept |= {(number, stretch): (place, rows) for stretch, rows in found.items()}
        if told is not None:
            told(part.turns.height)
    engines: dict[tuple[int, bool], LoggedTurns] = {}
    for (number, _), (place, _) in kept.items():
        for is_after, ruleset in ((False, before), (True, after)):
            if (number, is_after) not in engines:
                engines[number, is_after] = LoggedTurns(ruleset, place.about)
    compared.examples = {
        kind: [
            _shown(each, kept[each.part, each.stretch][1], engines[each.part, False], engines[each.part, True])
            for each in delta.examples[kind]
        ]
        for kind in DELTA_KINDS
    }
    return compared


def _odd(part: Part, place: LogPart) -> dict[int, tuple[str, int, list[dict[str, Any]]]]:
    """Return the stretches that columns cannot judge, with their rows."""
    stretches = part.stretches["odd"].arg_true().to_list()
    rows = place.rows(stretches) if stretches else {}
    return {
        stretch: (conversation_id_of(part.stretches, stretch), part.stretches["first_row"][stretch], rows[stretch])
        for stretch in stretches
    }


def _note(compared: Compared, part: Part, sides: Sequence[Fired]) -> None:
    for seen, side in zip((compared.seen_before, compared.seen_after), sides, strict=True):
        seen.names |= side.seen.names
        seen.call_names |= side.seen.call_names
        compared.reread.topics |= side.reread.topics
        compared.reread.texts += side.reread.texts
        compared.reread.missing += side.reread.missing
    compared.left_out |= part.about.left_out
    compared.masked |= part.about.masked


def _shown(difference: Difference, rows: Sequence[Mapping[str, Any]], before: LoggedTurns, after: LoggedTurns) -> Shown:
    """Return the turn where the two part ways, with the reasons of both, found again turn by turn."""
    steps = [step for step in (difference.before, difference.after) if step is not None]
    turn = min(step.turn for step in steps)
    reasons = []
    evidence: tuple[Evidence, ...] = ()
    for step, engine in ((difference.before, before), (difference.after, after)):
        found = engine.judged(difference.conversation_id, rows[: turn + 1])[turn]
        if step is not None and step.turn == turn and not _same(step, found):
            raise ColumnsDisagree(f"turn {turn + 1} of conversation {difference.conversation_id}: {step.rule_id}")
        reasons.append(explain.fired(engine.ruleset, replace(found, shadow=())))
        evidence += tuple(hit for rule in reasons[-1] for check in rule.checks for hit in check.evidence)
    row = rows[turn]
    return Shown(difference, row["turn_id"], _excerpt(row["message"], evidence), reasons[0], reasons[1])


def _same(step: Step, found: Evaluation) -> bool:
    return found.top is not None and found.top.id == step.rule_id and found.verdict == step.verdict


def _excerpt(message: str | None, evidence: Sequence[Evidence]) -> str | None:
    """Return the message without personal data, or of a long one the part around the words that a check rests on."""
    if not message:
        return None
    masked = mask(message)
    places = [masked.place(hit.start) for hit in evidence if hit.inside == "message" and hit.matched]
    start = max(0, min(places, default=0) - _LEAD_CHARS)
    if len(masked.text) <= EXCERPT_CHARS:
        start = 0
    shown = " ".join(masked.text[start : start + EXCERPT_CHARS].split())
    return ("… " if start else "") + shown + (" …" if start + EXCERPT_CHARS < len(masked.text) else "")
