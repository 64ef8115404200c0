"""A difference between rule files as a manager reads it, and as JSON. Nothing is compared here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rules.diff.differences import EFFECTS, Change, Difference, Effect, Moved

TITLES: Mapping[Effect, str] = {
    "stricter": "stricter: a person is asked more often, has more say, or is to come sooner",
    "looser": "looser: a person is asked less often, has less say, or may come later",
    "changed": "changed: both ways at once, or in a way that cannot be told",
    "words": "words, names and rules that decide nothing",
}
OVERALL: Mapping[str, str] = {
    "same": "nothing differs",
    "words": "no turn is decided otherwise",
    "stricter": "only stricter",
    "looser": "only looser",
    "changed": "changed, and neither only stricter nor only looser",
    "mixed": "stricter in some, looser or changed in others",
}
_OF_A_RULE: Mapping[Effect, str] = {
    "stricter": "fires more often",
    "looser": "fires less often",
    "changed": "fires on other turns",
    "words": "fires as before",
}
_OF_A_TOPIC: Mapping[Effect, str] = {
    "stricter": "found in more texts",
    "looser": "found in fewer texts",
    "changed": "found in other texts",
    "words": "",
}


def lines(difference: Difference) -> Iterable[str]:
    """Yield the difference line by line: a sentence of all of it, then the rules by where they lead."""
    yield f"{OVERALL[difference.overall]}{_counts(difference)}"
    for effect in EFFECTS:
        yield from _section(TITLES[effect], [line(change) for change in difference.rules if change.effect == effect])
    yield from _section("thresholds", [_threshold(moved) for moved in difference.thresholds])
    yield from _section("topics", list(map(topic_line, difference.topics)))
    yield from _section("queues", list(map(line, difference.queues)))
    yield from _section("the files as a whole", list(difference.others))


def as_json(difference: Difference) -> dict[str, object]:
    """Return the difference as one JSON object."""
    return {
        "overall": difference.overall,
        "summary": {effect: difference.count(effect) for effect in EFFECTS},
        "rules": [_change_json(change) for change in difference.rules],
        "thresholds": [
            {
                "name": moved.name,
                "old": moved.old,
                "new": moved.new,
                "said": moved.said,
                "rules": [{"rule_id": rule_id, "effect": effect} for rule_id, effect in moved.rules],
            }
            for moved in difference.thresholds
        ],
        "topics": [_change_json(change) for change in difference.topics],
        "queues": [_change_json(change) for change in difference.queues],
        "others": list(difference.others),
    }


def _change_json(change: Change) -> dict[str, object]:
    return {"name": change.name, "kind": change.kind, "effect": change.effect, "facts": list(change.facts)}


def _counts(difference: Difference) -> str:
    told = [(effect, difference.count(effect)) for effect in EFFECTS[:3]]
    counts = ", ".join(f"{number} {effect}" for effect, number in told if number)
    return f": {counts}" if counts else ""


def _section(title: str, told: list[str]) -> Iterable[str]:
    if told:
        yield ""
        yield title
        yield from (f"  {each}" for each in told)


def topic_line(change: Change) -> str:
    """Return how a topic differs."""
    return line(change, _OF_A_TOPIC[change.effect])


def line(change: Change, more: str = "") -> str:
    """Return how a rule or a queue differs."""
    facts = "; ".join((*((more,) if more else ()), *change.facts))
    return f"{change.name} {facts}" if facts.startswith(("fires", "is ", "hands")) else f"{change.name}: {facts}"


def _threshold(moved: Moved) -> str:
    if not moved.rules:
        return f"{moved.said}: no rule that both have uses it"
    return f"{moved.said}: " + ", ".join(f"{rule_id} {_OF_A_RULE[effect]}" for rule_id, effect in moved.rules)
