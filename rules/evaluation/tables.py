"""One signal's part of the index: for each value it may have, the clauses that are still possible, as bits of an int.

Built once from literals; no turn is known here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from rules.evaluation.clauses import OneOf
from rules.evaluation.comparisons import NUMBER_MAX, Kind, kind_of, kinds_of, number_above, operands_of
from rules.evaluation.facts import value_test
from rules.model import Compare
from rules.turn import Value

# A table keeps at most this many numbers, texts or members of a signal apart. A clause that names another one is ruled
# out less sharply and then checked by itself, so 10,000 rules that each name their own customer stay within memory:
# 1,000 numbers are 2,001 ints of 1 bit a clause, 4 MB at 15,000 clauses.
VALUES_APART_MAX = 1_000
# How often one clause may say "has one of" about the same set; further ones are checked by themselves.
MEMBER_LISTS_MAX = 2

_T = TypeVar("_T", float, str)
# The bits of some clauses, and what a table cannot tell of them exactly.
Loose: TypeAlias = "tuple[Sequence[int], OneOf]"


@dataclass(slots=True)
class Table:
    """The masks of one signal. A bit is set when its clause may hold, as far as this signal can tell.

    `known` is for a value of a kind that no comparison asks for. `cuts` are where the number's masks change, a number
    and the one above it, so that one bisect tells `<` from `<=`. A set's clauses are those both of `first` and of
    `second`, to which its members add, without those that a member forbids: `members` holds these three by member.
    """

    signal: str
    kinds: frozenset[Kind]
    unknown: int = 0
    known: int = 0
    cuts: list[float | int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    texts: dict[str, int] = field(default_factory=dict)
    text_other: int = 0
    true: int = 0
    false: int = 0
    first: int = 0
    second: int = 0
    members: dict[str, tuple[int, int, int]] = field(default_factory=dict)


class Demand:
    """What some clauses ask of one signal: each of `literals` at once. `bits` are those of the clauses.

    A list, not a mask: of 10,000 rules with an `any` each, 30,000 masks of 30 kB would be made.
    """

    __slots__ = ("_tests", "bits", "literals")

    def __init__(self, literals: Sequence[OneOf], bits: Sequence[int]) -> None:
        self.literals = literals
        self.bits = bits
        self._tests = [value_test(literal) for literal in literals]

    def met_by(self, value: Value) -> bool:
        """Return whether a value meets every literal."""
        return all(test(value) for test in self._tests)

    def compares(self, kind: Kind) -> Iterable[Compare]:
        """Yield the comparisons that a value of that kind may meet, those for presence apart."""
        for literal in self.literals:
            yield from (compare for compare in literal.compares if kind in kinds_of(compare))

    def numbers(self) -> list[float | int]:
        """Return the distinct numbers that the clauses name, the lowest first."""
        operands = (one for compare in self.compares("number") for one in operands_of(compare))
        return sorted({one for one in operands if isinstance(one, float | int) and kind_of(one) == "number"})

    def texts(self, kind: Kind) -> list[str]:
        """Return the distinct texts, or members of a set, that the clauses name, in order."""
        operands = (one for compare in self.compares(kind) for one in operands_of(compare))
        return sorted({one for one in operands if isinstance(one, str)})


def table_of(signal: str, demands: Sequence[Demand], width: int) -> tuple[Table, list[Loose]]:
    """Return the table of a signal, and for the literals that it cannot hold exactly the bits of their clauses."""
    compares = [compare for demand in demands for literal in demand.literals for compare in literal.compares]
    kinds = frozenset(kind for compare in compares for kind in kinds_of(compare))
    free = ((1 << width) - 1) ^ _union(demands, width)
    table = Table(signal, kinds)
    table.unknown = free | _union((demand for demand in demands if demand.met_by(None)), width)
    table.known = free | _union(filter(_asks_only_for_presence, demands), width)
    loose: list[Loose] = []
    for kind, fill in _FILLS.items():
        if kind in kinds:
            loose += fill(table, demands, free, width)
    return table, loose


def mask_of(bits: Iterable[int], width: int) -> int:
    """Return the int with these bits set; one pass, where shifting and adding would copy the int for every bit."""
    data = bytearray((width >> 3) + 1)
    for bit in bits:
        data[bit >> 3] |= 1 << (bit & 7)
    return int.from_bytes(data, "little")


def _union(demands: Iterable[Demand], width: int) -> int:
    """Return the mask of all clauses of these demands."""
    return mask_of((bit for demand in demands for bit in demand.bits), width)


def _asks_only_for_presence(demand: Demand) -> bool:
    return all(any(compare.operator == "is known" for compare in literal.compares) for literal in demand.literals)


def _kept(operands: Iterable[_T]) -> list[_T]:
    """Return at most VALUES_APART_MAX of the operands, evenly chosen, in order."""
    ordered = sorted(set(operands))
    return ordered[:: max(1, -(-len(ordered) // VALUES_APART_MAX))]


def _fill_numbers(table: Table, demands: Sequence[Demand], free: int, width: int) -> list[Loose]:
    own = [(demand, demand.numbers()) for demand in demands]
    kept = _kept(number for _, numbers in own for number in numbers)
    # Place 2i+1 is the number kept[i] itself, place 2i what lies below it, the last place what lies above all.
    changes: list[list[int]] = [[] for _ in range(2 * len(kept) + 2)]
    loose: list[Loose] = []
    for demand, numbers in own:
        places, exact = _places_met(demand, numbers, kept)
        for first, last in places:
            changes[first] += demand.bits
            changes[last + 1] += demand.bits
        if not exact:
            loose += [(demand.bits, literal) for literal in demand.literals]
    possible = free
    for change in changes[:-1]:
        # A clause is in no two demands, and no stretch of a demand begins where another of its own ends.
        possible ^= mask_of(change, width)
        table.numbers.append(possible)
    # Beyond the largest float there is no number: infinities fall there, and NaN does because bisect puts it last.
    table.numbers = [table.unknown, *table.numbers, table.unknown]
    table.cuts = [cut for number in kept for cut in (number, number_above(number))]
    table.cuts = [-NUMBER_MAX, *table.cuts, number_above(NUMBER_MAX)]
    return loose


def _places_met(
    demand: Demand, operands: list[float | int], kept: list[float | int]
) -> tuple[list[tuple[int, int]], bool]:
    """Return the stretches of places (first and last) where the demand may be met, and whether it is met all over them.

    Between two of its own operands a demand is met everywhere or nowhere, so one number of each stretch tells.
    """
    stretches: list[tuple[int, int]] = []
    exact = True
    previous_last, previous_met = -1, False
    for first, last, number in _stretches(operands, kept):
        met = -NUMBER_MAX <= number <= NUMBER_MAX and demand.met_by(number)
        # Two stretches share a place when the operand between them is not among those kept apart.
        exact = exact and not (first <= previous_last and met is not previous_met)
        if met and stretches and first <= stretches[-1][1] + 1:
            stretches[-1] = (stretches[-1][0], max(stretches[-1][1], last))
        elif met:
            stretches.append((first, last))
        previous_last, previous_met = last, met
    return stretches, exact


def _stretches(operands: list[float | int], kept: list[float | int]) -> Iterable[tuple[int, int, float | int]]:
    """Yield the stretches between and at the operands: first place, last place, and a number that lies there."""
    top = 2 * len(kept)
    if not operands:
        yield 0, top, 0
        return
    start, sample = 0, -number_above(-operands[0])
    for operand in operands:
        at = bisect_left(kept, operand)
        apart = at < len(kept) and kept[at] == operand
        place = 2 * at + 1 if apart else 2 * at
        yield start, place - apart, sample
        yield place, place, operand
        start, sample = place + apart, number_above(operand)
    yield start, top, sample


def _fill_texts(table: Table, demands: Sequence[Demand], free: int, width: int) -> list[Loose]:
    own = [(demand, demand.texts("text")) for demand in demands]
    kept = frozenset(_kept(text for _, texts in own for text in texts))
    flips: dict[str, list[int]] = {}
    loose: list[Loose] = []
    others_met: list[Demand] = []
    no_rule_names_it = max((text for _, texts in own for text in texts), key=len) + "."
    for demand, texts in own:
        others = [demand.met_by(text) for text in (*(text for text in texts if text not in kept), no_rule_names_it)]
        possible = any(others)
        if possible:
            others_met.append(demand)
        if possible and not all(others):
            loose += [(demand.bits, literal) for literal in demand.literals]
        for text in kept.intersection(texts):
            if demand.met_by(text) is not possible:
                flips.setdefault(text, []).extend(demand.bits)
    table.text_other = other = free | _union(others_met, width)
    table.texts = {text: other ^ mask_of(flip, width) for text, flip in flips.items()}
    return loose


def _fill_bools(table: Table, demands: Sequence[Demand], free: int, width: int) -> list[Loose]:
    table.true = free | _union((demand for demand in demands if demand.met_by(True)), width)
    table.false = free | _union((demand for demand in demands if demand.met_by(False)), width)
    return []


def _fill_members(table: Table, demands: Sequence[Demand], free: int, width: int) -> list[Loose]:
    kept = frozenset(_kept(member for demand in demands for member in demand.texts("set")))
    loose: list[Loose] = []
    adds: dict[str, tuple[list[int], ...]] = {member: ([], [], []) for member in kept}
    not_first: list[Demand] = []
    not_second: list[Demand] = []
    for demand in demands:
        wanted, unwanted, rest = _members_asked(demand, kept)
        if not wanted:
            not_first.append(demand)
        if len(wanted) <= 1:
            not_second.append(demand)
        for place, members in enumerate((*wanted, *[frozenset[str]()] * (MEMBER_LISTS_MAX - len(wanted)), unwanted)):
            for member in members:
                adds[member][place].extend(demand.bits)
        loose += [(demand.bits, literal) for literal in rest]
    table.first, table.second = free | _union(not_first, width), free | _union(not_second, width)
    for member, (first, second, lacked) in adds.items():
        table.members[member] = mask_of(first, width), mask_of(second, width), mask_of(lacked, width)
    return loose


def _members_asked(demand: Demand, kept: frozenset[str]) -> tuple[list[frozenset[str]], list[str], list[OneOf]]:
    """Return the lists of members of each of which a set must have one, the members it must lack, and the rest.

    The rest is what the masks cannot hold: more than MEMBER_LISTS_MAX "has one of", "lacks one of", and members that
    are not kept apart.
    """
    wanted: list[frozenset[str]] = []
    unwanted: list[str] = []
    rest: list[OneOf] = []
    for literal in demand.literals:
        asked = [compare for compare in literal.compares if "set" in kinds_of(compare)]
        operators = {compare.operator for compare in asked}
        members = frozenset(str(compare.operand) for compare in asked)
        if any(compare.operator == "is known" for compare in literal.compares):
            continue
        if not asked:
            # No set meets this: one of no members is wanted.
            return [frozenset()], [], []
        if operators == {"lacks"} and len(members) == 1 and members <= kept:
            unwanted += members
        elif operators == {"has"} and len(wanted) < MEMBER_LISTS_MAX and members <= kept:
            wanted.append(members)
        else:
            rest.append(literal)
    return wanted, unwanted, rest


_FILLS: dict[Kind, Callable[[Table, Sequence[Demand], int, int], list[Loose]]] = {
    "number": _fill_numbers,
    "text": _fill_texts,
    "bool": _fill_bools,
    "set": _fill_members,
}
