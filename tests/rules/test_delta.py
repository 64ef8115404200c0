from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.evaluation.evaluate import build
from rules.model import STOPPING, RuleFiles, Verdict
from rules.replay.column_verdicts import verdicts_of
from rules.replay.columns import judge, questions_of
from rules.replay.conversations import play
from rules.replay.delta import Delta, DeltaKind, Step, delta_of
from rules.replay.logged_turns import LoggedTurns, settled
from rules.replay.transcripts import Recorded, RecordedTurn, Truth
from rules.replay.turn_log import Part, part_of
from rules.replay.turn_rows import Rows, Stretch
from tests.rules.recorded_stretches import every_signal_files, recorded

Stop = tuple[str, Verdict, int] | None


def delta_over(part: Part, before: RuleFiles, after: RuleFiles, label: str | None = None) -> Delta:
    delta = delta_of(before.rules, after.rules, label)
    odd = {
        number: (row["conversation_id"], row["first_row"], part.turns.slice(row["first_row"], row["rows"]).to_dicts())
        for number, row in enumerate(part.stretches.to_dicts())
        if row["odd"]
    }
    verdicts = [
        verdicts_of(
            files.rules,
            settled(fired, LoggedTurns(build(files), part.about), odd).rules,
            part.turns["stretch"],
            part.stretches,
        )
        for files, fired in zip((before, after), judge(part, [questions_of(before), questions_of(after)]), strict=True)
    ]
    delta.add(0, part.turns, part.stretches, verdicts[0], verdicts[1])
    return delta


def first_step(files: RuleFiles, name: str, turns: Sequence[RecordedTurn]) -> Step | None:
    """Return by which rule a conversation asks for a person: the one that stops it, or else the first review."""
    played = play(build(files), Recorded(name, tuple(turns), Truth(), "recorded"))
    asks = [(turn, step) for turn, step in enumerate(played.steps) if step.verdict != "continue"]
    if not asks:
        return None
    turn, step = next((each for each in asks if each[1].verdict in STOPPING), asks[0])
    rule = next(rule for rule in files.rules if rule.id == step.rules[0])
    return Step(rule.id, rule.then.verdict, rule.then.queue, turn)


def kind_of(old: Step | None, new: Step | None) -> DeltaKind | None:
    stopped = [step is not None and step.verdict in STOPPING for step in (old, new)]
    if stopped == [False, True]:
        return "new"
    if stopped == [True, False]:
        return "gone"
    if old is None or new is None:
        return None if old is new else "changed"
    if (old.verdict, old.queue) != (new.verdict, new.queue):
        return "changed"
    return None if old.turn == new.turn else "moved"


@settings(max_examples=120, deadline=None)
@given(
    every_signal_files(),
    every_signal_files(),
    st.lists(recorded("conv", turns_max=5), min_size=1, max_size=3),
    st.sampled_from((True, False, None)),
)
def test_what_differs_is_what_two_replays_tell_apart(
    before: RuleFiles, after: RuleFiles, several: list[tuple[Stretch, ...]], needed: bool | None
) -> None:
    labels = {} if needed is None else {"needs_human": needed}
    rows = Rows([before, after], masked=False)
    kinds: Counter[DeltaKind] = Counter()
    turns: list[Counter[str]] = [Counter(), Counter()]
    shadow: list[Counter[str]] = [Counter(), Counter()]
    for number, stretches in enumerate(several):
        name = f"conv-{number}"
        first = tuple(replace(each, turn=replace(each.turn, conversation_id=name)) for each in stretches[0].turns)
        rows.add(name, [Stretch(first, None, labels)])
        steps = [first_step(files, name, first) for files in (before, after)]
        kind = kind_of(steps[0], steps[1])
        if kind is not None:
            kinds[kind] += 1
        for files, count, in_shadow in zip((before, after), turns, shadow, strict=True):
            for step in play(build(files), Recorded(name, first, Truth(), "recorded")).steps:
                count.update(step.rules)
                in_shadow.update(step.shadow)
    delta = delta_over(part_of(rows), before, after)
    assert {kind: total.n for kind, total in delta.kinds.items() if total.n} == dict(kinds)
    for side, count, in_shadow in zip((delta.before, delta.after), turns, shadow, strict=True):
        told = side.by_rule.items()
        assert {rule_id: total.turns for rule_id, total in told if total.turns} == dict(count)
        assert {rule_id: total.shadow_turns for rule_id, total in told if total.shadow_turns} == dict(in_shadow)
    known = sum(total.needed for total in delta.kinds.values()), sum(total.not_needed for total in delta.kinds.values())
    assert known == (sum(kinds.values()) * (needed is True), sum(kinds.values()) * (needed is False))
