"""Conditions as clauses: negation pushed down to the comparisons, then a bounded disjunction of conjunctions.

No value is looked at here. A condition that would explode is answered by weaker clauses and the word that they are
weaker, so the index can still rule it out fast and the condition itself has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from rules.evaluation.comparisons import Key, key_of, opposite, tester
from rules.model import Aggregate, All, CallMatch, Compare, Condition, Not, Span

# A rule with more clauses than this is checked by its own condition after a weaker test. Files that people write come
# to 1.5 clauses a rule; 32 keeps the widest `any` of a real file exact and 10,000 rules within a few hundred kB.
CLAUSES_PER_RULE_MAX = 32

# The set of the names of the turn's tool calls, under a name that no rule file can write.
CALL_NAMES = "(call names)"
# Stands in that set as soon as there is any call at all.
ANY_CALL = "(any)"


@dataclass(frozen=True, slots=True)
class OneOf:
    """At least one of these comparisons holds; all of them speak of the same signal or aggregate, `left`."""

    left: str | Aggregate
    compares: tuple[Compare, ...]
    key: Key = field(compare=False)


@dataclass(frozen=True, slots=True)
class Calls:
    """Some tool call of the turn meets `condition`, or `every` one does; with no calls only the latter holds."""

    condition: Node
    every: bool
    span: Span
    key: Key = field(compare=False)


@dataclass(frozen=True, slots=True)
class Every:
    """Every part holds."""

    parts: tuple[Node, ...]
    key: Key = field(compare=False)


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds."""

    parts: tuple[Node, ...]
    key: Key = field(compare=False)


Literal: TypeAlias = OneOf | Calls
Node: TypeAlias = OneOf | Calls | Every | Some
Clause: TypeAlias = dict[Key, Literal]


def without_not(condition: Condition, *, negated: bool = False) -> Node:
    """Return the condition, or its negation, with comparisons only: Kleene's `not`, so unknown stays unknown."""
    if isinstance(condition, Compare):
        return one_of((opposite(condition) if negated else condition,))
    if isinstance(condition, CallMatch):
        inner = without_not(condition.condition, negated=negated)
        return Calls(inner, negated, condition.span, ("calls", negated, inner.key))
    if isinstance(condition, Not):
        return without_not(condition.part, negated=not negated)
    parts = tuple(without_not(part, negated=negated) for part in condition.parts)
    if isinstance(condition, All) is negated:
        return Some(parts, ("some", *(part.key for part in parts)))
    return Every(parts, ("every", *(part.key for part in parts)))


def one_of(compares: tuple[Compare, ...]) -> OneOf:
    """Return the literal that holds when any of these comparisons of one and the same signal does."""
    return OneOf(compares[0].left, compares, ("one of", frozenset(map(key_of, compares))))


def clauses_of(node: Node) -> tuple[list[Clause], bool]:
    """Return clauses of which at least one holds whenever the node does, and whether that is true the other way too."""
    if isinstance(node, OneOf | Calls):
        return [{node.key: node}], True
    return _clauses_of_every(node) if isinstance(node, Every) else _clauses_of_some(node)


def _clauses_of_some(node: Some) -> tuple[list[Clause], bool]:
    exact = True
    clauses: list[Clause] = []
    for part in node.parts:
        part_clauses, part_exact = clauses_of(part)
        clauses += part_clauses
        exact = exact and part_exact
    clauses = _distinct(_merged(clauses))
    return (clauses, exact) if len(clauses) <= CLAUSES_PER_RULE_MAX else ([{}], False)


def _clauses_of_every(node: Every) -> tuple[list[Clause], bool]:
    exact = True
    clauses: list[Clause] = [{}]
    # The short ones first: what no longer fits is left out, and should be what says least.
    for part_clauses, part_exact in sorted(map(clauses_of, node.parts), key=lambda answer: len(answer[0])):
        exact = exact and part_exact
        if len(clauses) * len(part_clauses) > CLAUSES_PER_RULE_MAX:
            exact = False
            continue
        clauses = _distinct([{**left, **right} for left in clauses for right in part_clauses])
    return clauses, exact


def _merged(clauses: list[Clause]) -> list[Clause]:
    """Join clauses of one literal that speak of the same signal, so that `any` over one signal is one clause."""
    by_left: dict[object, list[Compare]] = {}
    others: list[Clause] = []
    for clause in clauses:
        literal = next(iter(clause.values())) if len(clause) == 1 else None
        # `lacks` stays apart: the index can hold "has one of these", but not "lacks one of these".
        if isinstance(literal, OneOf) and all(compare.operator != "lacks" for compare in literal.compares):
            left = key_of(literal.compares[0])[0]
            by_left.setdefault(left, []).extend(literal.compares)
        else:
            others.append(clause)
    joined: list[Clause] = []
    for compares in by_left.values():
        literal = one_of(tuple({key_of(compare): compare for compare in compares}.values()))
        joined.append({literal.key: literal})
    return joined + others


def _distinct(clauses: list[Clause]) -> list[Clause]:
    return list({frozenset(clause): clause for clause in clauses}.values())


def implied(literal: Literal) -> Iterable[OneOf]:
    """Return cheap literals that hold whenever this one does, so that most turns never compute the dear one.

    A streak of at least one needs its comparison to hold on this very turn, unless that one is left out; a call that
    matches needs its name.
    """
    if isinstance(literal, OneOf):
        left = literal.left
        if not isinstance(left, Aggregate) or left.function != "streak" or left.window.earlier:
            return
        if isinstance(left.of, Compare):
            holds_for_none = any(tester(compare)(0) for compare in literal.compares)
            yield from () if holds_for_none else (one_of((left.of,)),)
    elif not literal.every:
        names = _names_of(literal.condition) or frozenset({ANY_CALL})
        yield one_of(tuple(Compare(CALL_NAMES, "has", name, "", literal.span) for name in sorted(names)))


def _names_of(node: Node) -> frozenset[str] | None:
    """Return the names of which a call must have one to meet the condition, None when any name may do."""
    if isinstance(node, OneOf):
        return _names_wanted(node)
    if isinstance(node, Every):
        return next((names for part in node.parts if (names := _names_of(part)) is not None), None)
    if isinstance(node, Some):
        every = [_names_of(part) for part in node.parts]
        return None if None in every else frozenset(name for names in every if names is not None for name in names)
    return None


def _names_wanted(literal: OneOf) -> frozenset[str] | None:
    names: set[str] = set()
    for compare in literal.compares:
        if compare.left != "name" or compare.operator not in ("=", "in"):
            return None
        operands = compare.operand if isinstance(compare.operand, tuple) else (compare.operand,)
        names.update(operand for operand in operands if isinstance(operand, str))
    return frozenset(names)
