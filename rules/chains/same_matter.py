"""Which call of another agent is about the same thing: found by what both name, without holding each against each.

An agent's earlier calls stand in an index by tool, argument and value. A call is looked up there once for each value
it names, so that what it costs follows from what is named alike and not from how many calls there were.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import TypeAlias

from rules.chains.chain import ChainTurn
from rules.evaluation.call_values import ARGS_PREFIX, call_values
from rules.evaluation.comparisons import NUMBER_MAX
from rules.text.normalise import normalise
from rules.turn import ToolCall, Value

# A longer text is a sentence, and two agents never write the same one.
VALUE_CHARS_MAX = 40
# Arguments that hold sentences, by the last part of their name.
SENTENCES = frozenset(
    {
        *("answer", "body", "comment", "comments", "content", "context", "description", "detail", "details"),
        *("explanation", "instructions", "message", "note", "notes", "query", "question", "rationale", "reason"),
        *("reasons", "reply", "subject", "summary", "text", "thought", "title"),
    }
)
AMOUNT = "amount_usd"
_NUMERIC = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?")

# How a value is looked up: two values are the same when one's sought keys meet the other's stored ones.
Key: TypeAlias = tuple[str, Value]
Keys: TypeAlias = tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class NamedCall:
    """A call by which an agent commits itself, and what it names.

    `at` orders calls: the newer turn is greater, and in one turn the call that stands first.
    """

    said_by: str
    turn_id: str
    at: tuple[int, int]
    tool: str
    facts: Mapping[str, Value]
    stored: Mapping[str, Keys]
    sought: Mapping[str, Keys]


@dataclass(slots=True)
class Budget:
    """How many comparisons are left; one is a value looked up, or a call that was found by it."""

    left: int
    spent: int = 0

    def take(self, count: int) -> bool:
        """Spend that many, or nothing and return False when they are more than are left."""
        if count > self.left:
            return False
        self.left -= count
        self.spent += count
        return True


def binding_calls(turn: ChainTurn) -> list[ToolCall]:
    """Return the calls by which a turn commits itself: what only reads, or failed, says nothing about the matter."""
    return [call for call in turn.tool_calls if call.write is not False and call.status != "error"]


def named(turn: ChainTurn, call: ToolCall, at: tuple[int, int]) -> NamedCall:
    """Return what a call names, as far as two agents can name it alike."""
    facts = _facts(call)
    stored, sought = {}, {}
    for name, value in facts.items():
        stored[name], sought[name] = _keys(value)
    return NamedCall(turn.agent or "", turn.turn_id, at, call.name, facts, stored, sought)


def differing(first: NamedCall, second: NamedCall) -> list[str]:
    """Return what two calls about one thing name differently."""
    common = first.facts.keys() & second.facts.keys() if first.tool == second.tool else {AMOUNT}
    return sorted(name for name in common if not _meet(first.stored[name], second.sought[name]))


@dataclass(slots=True)
class NamedBefore:
    """What one agent's calls have named since the customer's message."""

    _calls: list[NamedCall] = field(default_factory=list)
    _twins: dict[object, int] = field(default_factory=dict)
    # (tool, argument, value) -> the calls that name it; of calls with an amount also by argument and value alone
    _by_value: dict[tuple[str, str, Key], list[int]] = field(default_factory=dict)
    _with_amount: dict[tuple[str, Key], list[int]] = field(default_factory=dict)
    # which names stand in one call -> the newest such call: of one tool, and of any tool by the amount it names
    _by_names: dict[str, dict[frozenset[str], int]] = field(default_factory=dict)
    _by_amount: dict[frozenset[str], dict[Key | None, int]] = field(default_factory=dict)

    def add(self, call: NamedCall) -> None:
        """Take a call in. Of calls that name the same, only the newest can be the one that another is held against."""
        twin = (call.tool, frozenset(call.stored.items()))
        if twin in self._twins:
            place = self._twins[twin]
            self._calls[place] = max(self._calls[place], call, key=_at)
        else:
            place = self._twins[twin] = len(self._calls)
            self._calls.append(call)
            self._index(place, call)
        names = frozenset(call.facts)
        by_names = self._by_names.setdefault(call.tool, {})
        by_names[names] = self._newer(by_names.get(names), place)
        if AMOUNT in names:
            amounts = self._by_amount.setdefault(names, {})
            for key in (None, *call.stored[AMOUNT]):
                amounts[key] = self._newer(amounts.get(key), place)

    def _index(self, place: int, call: NamedCall) -> None:
        for name, keys in call.stored.items():
            for key in keys:
                self._by_value.setdefault((call.tool, name, key), []).append(place)
                if AMOUNT in call.facts and name != AMOUNT:
                    self._with_amount.setdefault((name, key), []).append(place)

    def _newer(self, known: int | None, place: int) -> int:
        return place if known is None else max(known, place, key=lambda each: self._calls[each].at)

    def about_the_same(self, call: NamedCall, budget: Budget) -> tuple[NamedCall | None, bool]:
        """Return the call that is about the same thing, the one with most in common, newest first; and whether the
        budget was enough to tell."""
        by_names = self._by_names.get(call.tool, {})
        if not budget.take(len(call.sought) + len(by_names)):
            return None, False
        found = [self._by_value.get((call.tool, name, key), ()) for name, keys in call.sought.items() for key in keys]
        if not budget.take(sum(map(len, found))):
            return None, False
        common = Counter(place for places in found for place in places)
        if not common:
            # With nothing named alike they are about one thing only where they have one thing in common.
            for names, place in by_names.items():
                if len(names & call.facts.keys()) == 1:
                    common[place] = 0
        if common or AMOUNT not in call.facts:
            return self._most(common), True
        return self._of_another_tool(call, budget)

    def _of_another_tool(self, call: NamedCall, budget: Budget) -> tuple[NamedCall | None, bool]:
        """Of two tools only the amounts say the same thing: one asks what a refund would be, another makes it."""
        if not budget.take(len(call.sought) + len(self._by_amount)):
            return None, False
        found = [
            self._with_amount.get((name, key), ())
            for name, keys in call.sought.items()
            for key in keys
            if name != AMOUNT
        ]
        if not budget.take(sum(map(len, found))):
            return None, False
        common = Counter(place for places in found for place in places)
        for place in common:
            common[place] += _meet(self._calls[place].stored[AMOUNT], call.sought[AMOUNT])
        for names, amounts in self._by_amount.items():
            if names & call.facts.keys() == {AMOUNT}:
                common[amounts[None]] = 0
                for key in call.sought[AMOUNT]:
                    if key in amounts:
                        common[amounts[key]] = 1
        return self._most(common), True

    def _most(self, common: Mapping[int, int]) -> NamedCall | None:
        place = max(common, key=lambda each: (common[each], self._calls[each].at), default=None)
        return None if place is None else self._calls[place]


def _at(call: NamedCall) -> tuple[int, int]:
    return call.at


def _facts(call: ToolCall) -> dict[str, Value]:
    """Return what a call names, as far as two agents can name it alike: numbers, yes and no, short texts, sets."""
    values = call_values(call)
    facts: dict[str, Value] = {}
    for name, value in values.items():
        if not name.startswith(ARGS_PREFIX) or value is None:
            continue
        sentence = name.rpartition(".")[2].lower() in SENTENCES
        if sentence or (isinstance(value, str) and not 0 < len(value.strip()) <= VALUE_CHARS_MAX):
            continue
        facts[name] = value
    amount = values[AMOUNT]
    if isinstance(amount, int | float) and abs(amount) <= NUMBER_MAX:
        facts[AMOUNT] = amount
    return facts


def _keys(value: Value) -> tuple[Keys, Keys]:
    """Return by what a value is stored and sought; one agent writes the number 80 and another the text "80.00".

    Two texts are the same by their words, a text and a number by the number, and what is no number equals nothing.
    """
    if isinstance(value, bool):
        key = (("bool", value),)
        return key, key
    if isinstance(value, str):
        word = ("text", normalise(value))
        if not _NUMERIC.fullmatch(value.strip()):
            return (word,), (word,)
        number = float(value)
        return (word, ("number in a text", number)), (word, ("number", number))
    if isinstance(value, float) and isnan(value):
        return (), ()
    return (("number", value),), (("number", value), ("number in a text", value))


def _meet(stored: Iterable[Key], sought: Iterable[Key]) -> bool:
    return not set(stored).isdisjoint(sought)
