"""The decision delta as a manager reads it, and as JSON. It counts nothing that rules/replay/delta.py did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rules.decision import Check, FiredRule
from rules.evaluation.evaluate import Ruleset
from rules.model import Rule
from rules.replay.conversations import RuleStatus, SignalsSeen, could_hold
from rules.replay.delta import DELTA_KINDS, Delta, DeltaKind, Difference, KindTotal, Side, Step, flows, rule_ids
from rules.replay.operator_minutes import Minutes, extra_minutes
from rules.replay.scorecards import Rate
from service.cli.output import say, say_table
from service.flows.deltas import Compared, Shown

DAY_MS = 86_400_000
# Without a day of real times nothing can be said of a day; then the work is told for this many conversations.
PER_CONVERSATIONS = 1_000
HASH_CHARS = 12
# Rules of one side only that never fired: a few tell what is new, the hundred of another directory hide what changed.
NEVER_FIRED_SHOWN_MAX = 10

_TITLES: Mapping[DeltaKind, str] = {
    "new": "newly stopped for a person",
    "gone": "no longer stopped",
    "changed": "another verdict or queue",
    "moved": "asked on another turn",
}


def as_json_of(found: Compared, candidate: str, active: str, after: Ruleset, before: Ruleset) -> dict[str, object]:
    """Return what `--json` prints."""
    delta = found.delta
    minutes, per = _minutes(delta)
    return {
        "candidate": {"name": candidate, "ruleset": after.hash},
        "against": {"name": active, "ruleset": before.hash},
        "conversations": delta.conversations,
        "stretches": delta.stretches,
        "turns": delta.turns,
        "period": {"first_at_ms": delta.first_at_ms, "last_at_ms": delta.last_at_ms},
        "synthetic_clocks": delta.synthetic_clocks,
        "turns_differing": Rate(delta.turns_differing, delta.turns).as_json(),
        "stopped": {side: Rate(each.stopped, delta.stretches).as_json() for side, each in _sides(delta)},
        "asked": {side: Rate(each.asked, delta.stretches).as_json() for side, each in _sides(delta)},
        "labels": "LABELLED" if delta.labels else "UNLABELLED",
        "truth": dict(delta.labels),
        **{str(kind): _kind_json(delta.kinds[kind], delta.stretches) for kind in DELTA_KINDS},
        "verdicts": [{"before": old, "after": new, "stretches": n} for (old, new), n in _transitions(delta)],
        "extra_minutes": {**minutes.as_json(), "per": per},
        "rules": [_rule_json(found, rule_id) for rule_id in rule_ids(delta.before, delta.after)],
        "queues": [
            {"queue": name, "before": each.before, "after": each.after, "more": each.more, "fewer": each.fewer}
            for name, each in sorted(delta.queues.items())
        ],
        "examples": {kind: [_example_json(shown) for shown in found.examples[kind]] for kind in DELTA_KINDS},
        "topics_read_again": {
            "topics": sorted(found.reread.topics),
            "texts": found.reread.texts,
            "texts_unknown": found.reread.missing,
            "masked": found.masked,
        },
        "left_out": sorted(found.left_out),
    }


def _sides(delta: Delta) -> tuple[tuple[str, Side], ...]:
    return (("before", delta.before), ("after", delta.after))


def _kind_json(total: KindTotal, of: int) -> dict[str, object]:
    return {
        "stretches": Rate(total.n, of).as_json(),
        "wanted": Rate(total.needed, total.needed + total.not_needed).as_json(),
        "unknown": total.n - total.needed - total.not_needed,
    }


def _transitions(delta: Delta) -> list[tuple[tuple[str, str], int]]:
    return sorted(((pair, n) for pair, n in delta.verdicts.items() if n), key=lambda item: (-item[1], item[0]))


def _rule_json(found: Compared, rule_id: str) -> dict[str, object]:
    delta = found.delta
    told: dict[str, object] = {"rule_id": rule_id}
    for name, side in _sides(delta):
        rule, total = _rule(side, rule_id), side.by_rule.get(rule_id)
        if rule is None or total is None:
            told[name] = None
            continue
        told[name] = {
            "verdict": rule.then.verdict,
            "queue": rule.then.queue,
            "live_percent": rule.mode.percent,
            "status": _status(found, name, rule),
            "turns": Rate(total.turns, side.turns_judged).as_json(),
            "shadow_turns": total.shadow_turns,
            **{str(kind): _kind_json(total.kinds[kind], delta.stretches) for kind in DELTA_KINDS},
        }
    return told


def _rule(side: Side, rule_id: str) -> Rule | None:
    return next((rule for rule in side.rules if rule.id == rule_id), None)


def _status(found: Compared, name: str, rule: Rule) -> RuleStatus:
    side = found.delta.before if name == "before" else found.delta.after
    seen: SignalsSeen = found.seen_before if name == "before" else found.seen_after
    total = side.by_rule[rule.id]
    if total.turns or total.shadow_turns:
        return "fired"
    return "quiet" if could_hold(rule.when, seen) else "NO_MATCHING_DATA"


def _example_json(shown: Shown) -> dict[str, object]:
    difference = shown.difference
    return {
        "conversation_id": difference.conversation_id,
        "turn_id": shown.turn_id,
        "turn": _turn(difference) + 1,
        "message": shown.excerpt,
        "needed": difference.needed,
        "before": _step_json(difference.before),
        "after": _step_json(difference.after),
        "before_reasons": _reasons_json(shown.before),
        "after_reasons": _reasons_json(shown.after),
    }


def _step_json(step: Step | None) -> dict[str, object] | None:
    if step is None:
        return None
    return {"rule_id": step.rule_id, "verdict": step.verdict, "queue": step.queue, "turn": step.turn + 1}


def _reasons_json(rules: Sequence[FiredRule]) -> list[dict[str, object]]:
    return [
        {
            "rule_id": rule.rule_id,
            "checks": [{"sentence": check.sentence, "matched": _matched(check)} for check in rule.checks],
        }
        for rule in rules
    ]


def _turn(difference: Difference) -> int:
    return min(step.turn for step in (difference.before, difference.after) if step is not None)


def _minutes(delta: Delta) -> tuple[Minutes, str]:
    """Return the extra minutes, and what they are for: a day where the log has a day of real times."""
    minutes = extra_minutes(*flows(delta.queues), delta.handlings)
    span_ms = (delta.last_at_ms or 0) - (delta.first_at_ms or 0)
    if span_ms >= DAY_MS and not delta.synthetic_clocks:
        return minutes.over(span_ms / DAY_MS), "day"
    return minutes.over(delta.stretches / PER_CONVERSATIONS), f"{PER_CONVERSATIONS:,} conversations"


def say_delta(found: Compared, candidate: str, active: str, after: Ruleset, before: Ruleset) -> None:
    """Print the delta as text."""
    delta = found.delta
    say(f"{candidate} (ruleset {after.hash[:HASH_CHARS]}) against {active} (ruleset {before.hash[:HASH_CHARS]})")
    _say_ground(found)
    say()
    labelled = bool(delta.labels)
    say_table(
        "conversations that end otherwise",
        ("", "of all", *(["wanted", "unknown"] if labelled else [])),
        [
            (_TITLES[kind], Rate(total.n, delta.stretches), *(_wanted(total) if labelled else ()))
            for kind, total in delta.kinds.items()
        ],
    )
    if labelled:
        say("wanted: of those whose outcome is known, those that needed a person")
    else:
        say("outcomes: UNLABELLED; nothing says whether a person was needed, so wanted and unwanted are unknown")
    say()
    say(f"turns answered otherwise, up to the first stop: {Rate(delta.turns_differing, delta.turns)}")
    minutes, per = _minutes(delta)
    say(f"extra operator minutes {'a day' if per == 'day' else f'for {per}'}: {minutes}")
    if minutes.from_all:
        say(f"  too few handling times of {', '.join(minutes.from_all)}: those of all queues stand in")
    _say_tables(found)
    for kind in DELTA_KINDS:
        _say_examples(kind, found.examples.get(kind, ()), delta.kinds[kind].n)


def _say_ground(found: Compared) -> None:
    delta = found.delta
    apart = f" in {delta.stretches:,} stretches between handoffs" if delta.stretches != delta.conversations else ""
    say(f"{delta.turns:,} turns of {delta.conversations:,} conversations{apart}, {_period(delta)}")
    for name, side in (("active", delta.before), ("candidate", delta.after)):
        say(f"  {name + ':':10} stopped {Rate(side.stopped, delta.stretches)}; asked, reviews too: {side.asked:,}")
    if found.reread.topics:
        texts = "masked texts" if found.masked else "texts"
        say(f"{len(found.reread.topics):,} topics are not in the log as these rules have them: {texts} were read again")
        if found.reread.missing:
            say(f"  unknown in {found.reread.missing:,} of {found.reread.texts + found.reread.missing:,}: no text kept")
    if found.left_out:
        say(f"not in the log for want of room, so unknown: {', '.join(sorted(found.left_out)[:HASH_CHARS])}")


def _period(delta: Delta) -> str:
    if delta.first_at_ms is None or delta.last_at_ms is None or delta.synthetic_clocks == delta.stretches:
        return "without times of their own"
    moments = (datetime.fromtimestamp(at_ms / 1000, UTC) for at_ms in (delta.first_at_ms, delta.last_at_ms))
    without = f"; {delta.synthetic_clocks:,} without times" if delta.synthetic_clocks else ""
    return " to ".join(f"{moment:%Y-%m-%d %H:%M}" for moment in moments) + f" UTC{without}"


def _wanted(total: KindTotal) -> tuple[object, ...]:
    return (Rate(total.needed, total.needed + total.not_needed), total.n - total.needed - total.not_needed)


def _say_tables(found: Compared) -> None:
    delta = found.delta
    changed = [(old, new, n) for (old, new), n in _transitions(delta) if old != new]
    if changed:
        say()
        say_table("verdicts", ("active", "candidate", "conversations"), changed, numbers=("conversations",))
    if delta.queues:
        say()
        rows = [(name, each.before, each.after, each.more, each.fewer) for name, each in sorted(delta.queues.items())]
        columns = ("queue", "active", "candidate", "more", "fewer")
        say_table("handoffs by queue", columns, rows, numbers=columns[1:])
    rules = [row for rule_id in rule_ids(delta.before, delta.after) if (row := _rule_row(found, rule_id)) is not None]
    if rules:
        say()
        rule_columns = (
            "rule",
            "active",
            "candidate",
            "turns active",
            "turns candidate",
            "new",
            "gone",
            "changed",
            "moved",
        )
        never = [row for row in rules if not any(row[3:])]
        left_out = never[NEVER_FIRED_SHOWN_MAX:]
        shown = [row for row in rules if row not in left_out]
        say_table("rules that differ", rule_columns, shown, numbers=rule_columns[3:])
        if left_out:
            say(f"and {len(left_out):,} more that only one of the two has and that never fired; --json lists them")


def _rule_row(found: Compared, rule_id: str) -> tuple[object, ...] | None:
    """Return a rule's row; None for one that fires as often in both and by which no conversation ends otherwise."""
    words: list[str] = []
    turns: list[int | None] = []
    kinds = dict.fromkeys(DELTA_KINDS, 0)
    for name, side in _sides(found.delta):
        rule, total = _rule(side, rule_id), side.by_rule.get(rule_id)
        if rule is None or total is None:
            words.append("no such rule")
            turns.append(None)
            continue
        mode = "" if rule.mode.percent == 100 else f" ({rule.mode.percent} %)" if rule.mode.percent else " (shadow)"
        status = _status(found, name, rule)
        words.append(f"{rule.then.verdict}{mode}" + ("" if status == "fired" else f", {status}"))
        turns.append(total.turns)
        for kind in DELTA_KINDS:
            kinds[kind] += total.kinds[kind].n if (name == "before") is (kind == "gone") else 0
    if turns[0] == turns[1] and words[0] == words[1] and not any(kinds.values()):
        return None
    return (rule_id, *words, *turns, *kinds.values())


def _say_examples(kind: DeltaKind, examples: Sequence[Shown], total: int) -> None:
    if not examples:
        return
    say()
    say(f"{_TITLES[kind]}: {len(examples)} of {total:,}", style="bold")
    for shown in examples:
        difference = shown.difference
        needed = {True: ", a person was needed", False: ", nobody was needed", None: ""}[difference.needed]
        say(f"  {difference.conversation_id}, turn {_turn(difference) + 1} ({shown.turn_id}){needed}")
        say(f"    message: {shown.excerpt or 'not kept, or none'}")
        _say_side("active", difference.before, shown.before)
        _say_side("candidate", difference.after, shown.after)


def _say_side(name: str, step: Step | None, rules: Sequence[FiredRule]) -> None:
    say(f"    {name}: {_step_text(step)}")
    for rule in rules:
        for check in rule.checks:
            words = ", ".join(f'"{matched}"' for matched in _matched(check))
            say(f"      {rule.rule_id}: {check.sentence}" + (f" ({words})" if words else ""))


def _matched(check: Check) -> list[str]:
    """Return the phrases and patterns of the rule file that were found, each once."""
    return list(dict.fromkeys(hit.matched for hit in check.evidence if hit.matched))


def _step_text(step: Step | None) -> str:
    if step is None:
        return "goes on"
    return f"{step.verdict} on turn {step.turn + 1} by {step.rule_id}, queue {step.queue}"
