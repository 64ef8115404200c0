"""All rules at once: a turn's values to the numbers of the rules that fire, by one lookup and one AND a signal.

Every rule is a few clauses, every clause one bit of an int. Each signal's table gives the clauses that its value leaves
possible; what is left after all of them is certain, or needs an aggregate or a tool call that is asked for only then.
The first rule has the highest bit, so the answer's top rule is its bit length. Measured in bench/kernel.py.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rules.evaluation.clauses import CALL_NAMES, Clause, Literal, Node, OneOf, clauses_of, implied
from rules.evaluation.comparisons import Key, kind_of
from rules.evaluation.facts import Facts, Probe, Probes
from rules.evaluation.tables import Demand, Table, mask_of, table_of

Possible: TypeAlias = Callable[[Facts], int]

# The bits of an answer are taken off pieces of at most this size, so that no step copies more than 150 bytes: 0.09 µs
# for each rule that fires, where taking them off an int of 15,000 bits costs 0.2 µs.
PIECE_BITS = 1_200


@dataclass(frozen=True, slots=True)
class Index:
    """The clauses of all rules behind one generated function.

    `possible` gives the bits of the clauses that a turn's values leave possible. `rule_at` and `rest_at` are asked by
    the length of what is left of an answer: which rule has its highest bit, and which bits of the same piece belong to
    later rules. `unsure` has the bits that need more than the values, and `needs` what: probes that must all hold.
    """

    possible: Possible
    rule_at: tuple[int, ...]
    rest_at: tuple[int, ...]
    unsure: int
    needs: Mapping[int, tuple[Probe, ...]]
    source: str

    def fired(self, facts: Facts) -> list[int]:
        """Return the numbers of the rules that fire, the first rules first."""
        bits = self.possible(facts)
        if bits & self.unsure:
            bits = self._settled(bits, facts)
        return self._rules(bits)

    def _settled(self, bits: int, facts: Facts) -> int:
        """Return the bits that hold, once what is unsure was asked for."""
        unsure, settled = bits & self.unsure, -1
        while unsure:
            length = unsure.bit_length()
            bit = 1 << (length - 1)
            unsure ^= bit
            # One clause that holds is enough for its rule, and a rule's clauses stand side by side.
            if self.rule_at[length] == settled or not all([probe(facts) for probe in self.needs[length - 1]]):
                bits ^= bit
            else:
                settled = self.rule_at[length]
        return bits

    def _rules(self, bits: int) -> list[int]:
        rule_at, rest_at = self.rule_at, self.rest_at
        found: list[int] = []
        while bits.bit_length() > PIECE_BITS:
            base = (bits.bit_length() - 1) // PIECE_BITS * PIECE_BITS
            piece = bits >> base
            bits ^= piece << base
            while piece:
                length = base + piece.bit_length()
                found.append(rule_at[length])
                piece &= rest_at[length]
            # The last rule's clauses may go on in the next piece, at its top.
            while bits and rule_at[bits.bit_length()] == found[-1]:
                bits ^= 1 << (bits.bit_length() - 1)
        while bits:
            length = bits.bit_length()
            found.append(rule_at[length])
            bits &= rest_at[length]
        return found


def index_of(conditions: Sequence[Node], probes: Probes) -> Index:
    """Return the index of these conditions; the number of a rule is its place among them."""
    numbered = [(number, clause, exact) for number, node in enumerate(conditions) for clause, exact in _clauses(node)]
    width = len(numbered)
    needs: dict[int, list[Probe]] = defaultdict(list)
    asked: dict[str, dict[frozenset[Key], tuple[list[OneOf], list[int]]]] = defaultdict(dict)
    for place, (number, clause, exact) in enumerate(numbered):
        bit = width - 1 - place
        cheap, dear = _parted(clause)
        needs[bit] += [probes.holds(literal) for literal in dear]
        if not exact:
            needs[bit].append(probes.holds(conditions[number]))
        for signal, literals in cheap.items():
            key = frozenset(literal.key for literal in literals)
            asked[signal].setdefault(key, (literals, []))[1].append(bit)
    tables: list[Table] = []
    for signal, by_key in asked.items():
        demands = [Demand(literals, bits) for literals, bits in by_key.values()]
        table, loose = table_of(signal, demands, width)
        tables.append(table)
        # What a call's names imply is never asked for: the call itself is.
        for bits, literal in loose if signal != CALL_NAMES else ():
            for bit in bits:
                needs[bit].append(probes.holds(literal))
    possible, source = _generated(tables, width)
    kept = {bit: tuple(asked_of) for bit, asked_of in needs.items() if asked_of}
    rules = [number for number, _, _ in reversed(numbered)]
    return Index(possible, (-1, *rules), (0, *_rests(rules)), mask_of(kept, width), kept, source)


def _rests(rules: Sequence[int]) -> Iterable[int]:
    """Yield for each bit, given the rule of each, the bits below those of its rule within its piece."""
    lowest = 0
    for bit, rule in enumerate(rules):
        if bit % PIECE_BITS == 0 or rule != rules[bit - 1]:
            lowest = bit % PIECE_BITS
        yield (1 << lowest) - 1


def _clauses(node: Node) -> Iterable[tuple[Clause, bool]]:
    clauses, exact = clauses_of(node)
    return ((clause, exact) for clause in clauses)


def _parted(clause: Clause) -> tuple[dict[str, list[OneOf]], list[Literal]]:
    """Return the clause's literals by signal, those implied by dear ones included, and the dear ones."""
    cheap: dict[str, dict[Key, OneOf]] = defaultdict(dict)
    dear: list[Literal] = []
    for literal in clause.values():
        if isinstance(literal, OneOf) and isinstance(literal.left, str):
            cheap[literal.left][literal.key] = literal
            continue
        dear.append(literal)
        for one in implied(literal):
            cheap[str(one.left)][one.key] = one
    return {signal: list(literals.values()) for signal, literals in cheap.items()}, dear


def _generated(tables: Sequence[Table], width: int) -> tuple[Possible, str]:
    """Return the function of Index.possible, and its text.

    The text is made of fixed pieces and numbers only; every name and operand of a rule file is a constant beside it.
    """
    names: dict[str, object] = {"bisect": bisect_right, "kind_of": kind_of, "ALL": (1 << width) - 1}
    lines = ["def possible(facts):", "    bits = ALL", "    values = facts.values"]
    # Sets take the longest: first whatever rules them out.
    for number, table in enumerate(sorted(tables, key=lambda table: "set" in table.kinds)):
        names |= {f"{name}{number}": constant for name, constant in _constants(table).items()}
        lines += [f"    {line.replace('#', str(number))}" for line in _lines(table)]
    source = "\n".join([*lines, "    return bits", ""])
    exec(compile(source, "<index>", "exec"), names)  # noqa: S102  # the text holds no word of a rule file
    # A function that its own globals hold is freed by nobody once the collector no longer looks (service/compiling.py).
    return names.pop("possible"), source  # type: ignore[return-value]  # exec gives no types


def _constants(table: Table) -> dict[str, object]:
    return {
        "NAME": table.signal,
        "UNKNOWN": table.unknown,
        "KNOWN": table.known,
        "CUTS": table.cuts,
        "NUMBERS": table.numbers,
        "TEXTS": table.texts,
        "TEXT": table.text_other,
        "TRUE": table.true,
        "FALSE": table.false,
        "EMPTY": table.first & table.second,
        "FIRST": table.first,
        "SECOND": table.second,
        "MEMBERS": table.members,
    }


def _lines(table: Table) -> list[str]:
    read = "value = facts.call_names" if table.signal == CALL_NAMES else "value = values[NAME#]"
    plain = "UNKNOWN# if value is None else "
    plain += "".join(_PIECES[kind] for kind in ("bool", "text", "number") if kind in table.kinds)
    plain += "UNKNOWN# if kind_of(value) is None else KNOWN#"
    if "set" not in table.kinds:
        return [read, f"bits &= {plain}"]
    return [read, *_MEMBER_LINES, "else:", f"    bits &= {plain}"]


# How a set finds its mask: member by member, most sets being empty.
_MEMBER_LINES = (
    "if type(value) is frozenset:",
    "    if value:",
    "        first, second, lacked = FIRST#, SECOND#, 0",
    "        for member in value:",
    "            if member in MEMBERS#:",
    "                has, also, lacks = MEMBERS#[member]",
    "                first |= has",
    "                second |= also",
    "                lacked |= lacks",
    "        bits &= first & second & ~lacked",
    "    else:",
    "        bits &= EMPTY#",
)
# How a value of each kind finds its mask, as the head of a conditional expression.
_PIECES = {
    "bool": "TRUE# if value is True else FALSE# if value is False else ",
    "text": "TEXTS#.get(value, TEXT#) if type(value) is str else ",
    "number": "NUMBERS#[bisect(CUTS#, value)] if (kind := type(value)) is float or kind is int else ",
}
