"""What differs between two sets of rule files, as values: rules, thresholds, topics, queues. Nothing is compared here.

Stricter is: a person is asked on more turns, has more say, or is to come sooner; looser is the other way round. Where
neither can be proved a change is only a change. What concerns words alone is apart from both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Direction: TypeAlias = Literal["same", "more", "less", "changed"]
OPPOSITE: Mapping[Direction, Direction] = {"same": "same", "more": "less", "less": "more", "changed": "changed"}
Effect: TypeAlias = Literal["stricter", "looser", "changed", "words"]
EFFECTS: tuple[Effect, ...] = ("stricter", "looser", "changed", "words")
Kind: TypeAlias = Literal["added", "removed", "renamed", "changed"]

EFFECT_OF: Mapping[Direction, Effect] = {"more": "stricter", "less": "looser", "changed": "changed", "same": "words"}
_MOVE_OF: Mapping[Effect, Direction] = {"stricter": "more", "looser": "less", "changed": "changed", "words": "same"}


@dataclass(frozen=True, slots=True)
class Fact:
    """A fragment that says how something differs, and where that leads."""

    text: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs: a rule, a threshold, a topic, a queue. `facts` are fragments that say how."""

    name: str
    kind: Kind
    effect: Effect
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A threshold that has another value, and the rules that it makes fire more often, or less."""

    name: str
    old: float
    new: float
    said: str
    rules: tuple[tuple[str, Effect], ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between two sets of rule files. `others` are facts about the files as a whole."""

    rules: tuple[Change, ...]
    thresholds: tuple[Moved, ...]
    topics: tuple[Change, ...]
    queues: tuple[Change, ...]
    others: tuple[str, ...]

    @property
    def overall(self) -> Effect | Literal["same", "mixed"]:
        """Return where all changes together lead."""
        if not (self.rules or self.thresholds or self.topics or self.queues or self.others):
            return "same"
        effects = {change.effect for change in (*self.rules, *self.queues)} - {"words"}
        if self.others:
            effects.add("changed")
        if not effects:
            return "words"
        return effects.pop() if len(effects) == 1 else "mixed"

    def count(self, effect: Effect) -> int:
        """Return how many rules and queues changed in this way."""
        return sum(change.effect == effect for change in (*self.rules, *self.queues))


def together(directions: Iterable[Direction]) -> Direction:
    """Return where several moves lead: one way, nowhere, or nobody can tell."""
    moved = {direction for direction in directions if direction != "same"}
    if not moved:
        return "same"
    return moved.pop() if len(moved) == 1 else "changed"


def effect_of(facts: Sequence[Fact]) -> Effect:
    """Return where several facts lead together."""
    return EFFECT_OF[together(_MOVE_OF[fact.effect] for fact in facts)]


def sooner(better: bool) -> Effect:
    """Return what it is called when a person comes sooner or is better placed, or the other way round."""
    return "stricter" if better else "looser"
