"""How a queue's budget and what a rule sheds over it differ. Under the same load, less shed is stricter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rules.diff.conditions import compares_in
from rules.diff.differences import Direction, Fact, effect_of, sooner, together
from rules.diff.promises import words_facts
from rules.evaluation.wording import span_text, unit_of, value_text
from rules.model import Budget, Rule
from rules.routing.busy_steps import Eased, eased_by, fewer_when_smaller

# What becomes of a verdict, from all of it to the least.
_LESS = (None, "review", "callback")
_MINUTE_MS = 60_000


def busy_facts(old: Rule, new: Rule) -> Iterable[Fact]:
    """Yield how what a rule sheds differs, at every pressure at which one of the two does something else."""
    points = sorted({step.over_percent for step in (*old.when_busy, *new.when_busy)})
    states = [(point, _at(old, point), _at(new, point)) for point in points]
    moved: list[Direction] = []
    told: list[str] = []
    last: tuple[str, str] | None = None
    for point, before, after in states:
        moved.append(_move(before, after, new))
        texts = _text(before, old), _text(after, new)
        if texts[0] != texts[1] and texts != last:
            told.append(f"from {point}% of the budget on {texts[1]} instead of {texts[0]}")
        last = texts
    if told:
        move = together(moved)
        effect = sooner(move == "more") if move in ("more", "less") else "changed"
        yield Fact(f"when it is busy: {', '.join(told)}", effect)
    said = list(_said_facts(old, new))
    yield from said
    if old.when_busy != new.when_busy and not told and not said:
        yield Fact("does the same in other steps when it is busy", "words")


def _said_facts(old: Rule, new: Rule) -> Iterable[Fact]:
    """Yield how the words of each step differ."""
    before, after = ({step.over_percent: step.say for step in rule.when_busy} for rule in (old, new))
    for point in sorted({*before, *after}):
        what = f"words to the customer from {point}% of the budget on"
        yield from words_facts(what, before.get(point, {}), after.get(point, {}))


def _at(rule: Rule, percent: int) -> Eased:
    return eased_by([step for step in rule.when_busy if step.over_percent <= percent])


def _move(old: Eased, new: Eased, rule: Rule) -> Direction:
    """Return whether a person is asked for on more turns at this pressure, or on less."""
    moves: list[Direction] = []
    if old.to != new.to:
        moves.append("more" if _LESS.index(new.to) < _LESS.index(old.to) else "less")
    for name in {*old.numbers, *new.numbers}:
        one, other = old.numbers.get(name), new.numbers.get(name)
        if one == other:
            continue
        # A step's number always asks for less than the rule's own, so to have none is to ask for more.
        if one is None or other is None:
            moves.append("less" if one is None else "more")
        else:
            smaller = fewer_when_smaller(rule.when, name)
            moves.append("changed" if smaller is None else "less" if smaller is (other < one) else "more")
    return together(moves)


def _text(eased: Eased, rule: Rule) -> str:
    units = {compare.threshold: unit_of(compare.left) for compare in compares_in(rule.when)}
    parts = [f"{name} {value_text(number, units.get(name))}" for name, number in sorted(eased.numbers.items())]
    if eased.to is not None:
        parts.append(f"a {eased.to}")
    return " and ".join(parts) or "as ever"


def budget_fact(old: Budget | None, new: Budget | None, *, sheds: bool) -> Fact:
    """Return how a queue's budget differs. `sheds`: some rule gives way to it, before and after."""
    fact = f"{_budget_text(new)} instead of {_budget_text(old)}"
    if old is None or new is None or not sheds:
        # Where a rule sheds because of it, that is told with the rule.
        return Fact(fact, "words")
    moves: Mapping[str, bool | None] = {
        "minutes": _order(old.minutes_ms, new.minutes_ms),
        "over": _order(new.over_ms, old.over_ms),
        # Until it is said or seen what a handoff takes, nothing is shed.
        "each": _order(new.each_ms or 0, old.each_ms or 0),
    }
    facts = [Fact("", sooner(stricter)) for stricter in moves.values() if stricter is not None]
    return Fact(f"{fact}, which rules give way to", effect_of(facts))


def _order(old: int, new: int) -> bool | None:
    return None if old == new else new > old


def _budget_text(budget: Budget | None) -> str:
    if budget is None:
        return "no budget"
    each = "" if budget.each_ms is None else f", {budget.each_ms / _MINUTE_MS:g} for a handoff"
    return f"a budget of {budget.minutes_ms / _MINUTE_MS:g} minutes over {span_text(budget.over_ms)}{each}"
