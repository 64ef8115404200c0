from __future__ import annotations

import pytest

from rules.evaluation.clauses import (
    ANY_CALL,
    CALL_NAMES,
    CLAUSES_PER_RULE_MAX,
    Calls,
    Clause,
    Literal,
    Node,
    OneOf,
    clauses_of,
    implied,
    without_not,
)
from rules.evaluation.wording import aggregate_text, operand_text
from rules.model import Aggregate, All, Any, CallMatch, Condition, Not, Window
from tests.rules.strategies import SPAN, compare

A, B, C, D = (compare(name, "<", 1) for name in "abcd")
FEES, REFUND = compare("topics", "has", "fees"), compare("topics", "has", "refund")
NO_FEES, NO_REFUND = compare("topics", "lacks", "fees"), compare("topics", "lacks", "refund")


def shown(condition: Condition) -> tuple[list[list[str]], bool]:
    clauses, exact = clauses_of(without_not(condition))
    return [_clause(clause) for clause in clauses], exact


def _clause(clause: Clause) -> list[str]:
    return [_literal(literal) for literal in clause.values()]


def _literal(literal: Literal) -> str:
    if isinstance(literal, Calls):
        return f"{'every' if literal.every else 'some'} call: {_node(literal.condition)}"
    return " or ".join(_compare(one) for one in literal.compares)


def _compare(one: object) -> str:
    left, operator, operand = one.left, one.operator, one.operand  # type: ignore[attr-defined]
    name = aggregate_text(left) if isinstance(left, Aggregate) else left
    return f"{name} {operator} {operand_text(operand)}".strip()


def _node(node: Node) -> str:
    if isinstance(node, OneOf | Calls):
        return _literal(node)
    return f"{type(node).__name__.lower()}({', '.join(map(_node, node.parts))})"


@pytest.mark.parametrize(
    ("condition", "clauses"),
    [
        pytest.param(A, [["a < 1"]], id="a comparison is a clause"),
        pytest.param(All((A, B)), [["a < 1", "b < 1"]], id="all is one clause"),
        pytest.param(Any((A, B)), [["a < 1"], ["b < 1"]], id="any is a clause each"),
        pytest.param(All((A, Any((B, C)))), [["a < 1", "b < 1"], ["a < 1", "c < 1"]], id="all goes into any"),
        pytest.param(Not(A), [["a >= 1"]], id="not turns a comparison round"),
        pytest.param(Not(Not(A)), [["a < 1"]], id="twice not is nothing"),
        pytest.param(Not(All((A, B))), [["a >= 1"], ["b >= 1"]], id="not over all is any"),
        pytest.param(Not(Any((A, Not(B)))), [["a >= 1", "b < 1"]], id="not over any is all"),
        pytest.param(Any((A, A)), [["a < 1"]], id="said twice is said once"),
        pytest.param(All((A, A)), [["a < 1"]], id="in all too"),
        pytest.param(Any((FEES, REFUND)), [["topics has fees or topics has refund"]], id="any of a signal"),
        pytest.param(
            Any((NO_FEES, NO_REFUND)), [["topics lacks fees"], ["topics lacks refund"]], id="lacks stays in its clause"
        ),
        pytest.param(All((FEES, REFUND)), [["topics has fees", "topics has refund"]], id="all of one signal stays two"),
        pytest.param(All(()), [[]], id="all of nothing always holds"),
        pytest.param(Any(()), [], id="any of nothing never does"),
        pytest.param(
            Not(CallMatch(All((A, B)), SPAN)),
            [["every call: some(a >= 1, b >= 1)"]],
            id="not over a call asks all calls",
        ),
        pytest.param(CallMatch(Not(A), SPAN), [["some call: a >= 1"]], id="a call's own not stays within"),
    ],
)
def test_a_condition_as_clauses(condition: Condition, clauses: list[list[str]]) -> None:
    assert shown(condition) == (clauses, True)


def _wide(parts: int, width: int) -> All:
    return All(tuple(Any(tuple(compare(f"s{part}_{one}", "<", 1) for one in range(width))) for part in range(parts)))


def test_a_condition_that_would_explode_is_answered_by_weaker_clauses_and_says_so() -> None:
    clauses, exact = clauses_of(without_not(All((A, _wide(20, 3)))))
    assert not exact
    assert 1 <= len(clauses) <= CLAUSES_PER_RULE_MAX
    assert all("a < 1" in _clause(clause) for clause in clauses)


def test_an_any_of_too_many_signals_rules_nothing_out() -> None:
    assert shown(Any(tuple(compare(f"s{one}", "<", 1) for one in range(CLAUSES_PER_RULE_MAX + 1)))) == ([[]], False)


def test_the_widest_any_that_fits_is_exact() -> None:
    clauses, exact = shown(Any(tuple(compare(f"s{one}", "<", 1) for one in range(CLAUSES_PER_RULE_MAX))))
    assert exact
    assert len(clauses) == CLAUSES_PER_RULE_MAX


def _implied(condition: Condition) -> list[str]:
    (clause,) = clauses_of(without_not(condition))[0]
    (literal,) = clause.values()
    return [_literal(one) for one in implied(literal)]


STREAK = Aggregate("streak", A, Window())


@pytest.mark.parametrize(
    ("condition", "cheap"),
    [
        pytest.param(compare(STREAK, ">=", 2), ["a < 1"], id="a streak needs its comparison on this turn"),
        pytest.param(
            compare(Aggregate("streak", A, Window(1, earlier=True)), ">=", 1),
            [],
            id="a streak of earlier turns does not",
        ),
        pytest.param(compare(STREAK, "<", 2), [], id="no streak needs nothing"),
        pytest.param(compare(STREAK, "!=", 0), ["a < 1"], id="any streak but none"),
        pytest.param(compare(STREAK, "in", (0, 3)), [], id="none or three"),
        pytest.param(compare(Aggregate("count", A, Window()), ">=", 2), [], id="a count may be of the past"),
        pytest.param(
            CallMatch(All((compare("name", "=", "pay"), A)), SPAN),
            [f"{CALL_NAMES} has pay"],
            id="a call needs a name",
        ),
        pytest.param(
            CallMatch(Any((compare("name", "=", "pay"), compare("name", "in", ("buy", "sell")))), SPAN),
            [f"{CALL_NAMES} has buy or {CALL_NAMES} has pay or {CALL_NAMES} has sell"],
            id="one of its names",
        ),
        pytest.param(
            CallMatch(Any((compare("name", "=", "pay"), A)), SPAN),
            [f"{CALL_NAMES} has {ANY_CALL}"],
            id="or any call",
        ),
        pytest.param(
            CallMatch(compare("name", "!=", "pay"), SPAN), [f"{CALL_NAMES} has {ANY_CALL}"], id="another name"
        ),
        pytest.param(Not(CallMatch(A, SPAN)), [], id="every call needs none"),
    ],
)
def test_what_a_dear_literal_implies(condition: Condition, cheap: list[str]) -> None:
    assert _implied(condition) == cheap
