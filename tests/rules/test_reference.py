from __future__ import annotations

from itertools import product

import pytest

from rules.evaluation.reference import Moment, all_of, any_of, compared, negated
from rules.model import Aggregate, All, Any, CallMatch, Compare, Condition, Not, Window
from rules.turn import Conversation, Scalar, ToolCall, Turn, TurnRecord, Value
from tests.rules.strategies import NOW_MS, SPAN, compare

TRUTHS = (True, False, None)
LOW = compare("confidence", "<", 0.5)


@pytest.mark.parametrize(("left", "right"), list(product(TRUTHS, TRUTHS)))
def test_kleenes_three_values(left: bool | None, right: bool | None) -> None:
    order = {False: 0, None: 1, True: 2}
    assert all_of([left, right]) is min((left, right), key=lambda truth: order[truth])
    assert any_of([left, right]) is max((left, right), key=lambda truth: order[truth])
    assert negated(all_of([left, right])) is any_of([negated(left), negated(right)])


@pytest.mark.parametrize(
    ("value", "operator", "operand", "truth"),
    [
        (0.4, "<", 0.5, True),
        (0.5, "<", 0.5, False),
        (None, "<", 0.5, None),
        (float("nan"), "<", 0.5, None),
        (True, "<", 5, None),
        ("a", "!=", "b", True),
        ("a", "!=", 1, None),
        (1, "=", True, None),
        (1, "in", (1.0, 2), True),
        (frozenset(), "lacks", "a", True),
        (None, "lacks", "a", None),
        (frozenset({"a"}), "within", ("a", "b"), True),
        (frozenset({"a", "c"}), "not within", ("a", "b"), True),
        (frozenset(), "within", ("a",), True),
        (None, "not within", ("a",), None),
        ("a", "within", ("a",), None),
        (None, "is unknown", None, True),
        (None, "is known", None, False),
        (0, "is known", None, True),
    ],
)
def test_the_truth_of_one_comparison(
    value: Value, operator: str, operand: Scalar | tuple[Scalar, ...] | None, truth: bool | None
) -> None:
    assert compared(value, operator, operand) is truth


def moment(*past: float | None, now: float | None = None, calls: tuple[ToolCall, ...] = ()) -> Moment:
    """Return a moment whose earlier turns had these confidences, one a minute, the last a minute ago."""
    ages = range(len(past), 0, -1)
    records = tuple(
        TurnRecord(f"t{age}", NOW_MS - age * 60_000, {} if value is None else {"confidence": value})
        for age, value in zip(ages, past, strict=True)
    )
    turn = Turn("conv-1", "now", tool_calls=calls)
    return Moment({"confidence": now}, turn, Conversation("conv-1", past=records), NOW_MS)


@pytest.mark.parametrize(
    ("function", "of", "window", "past", "now", "number"),
    [
        ("count", LOW, Window(), (0.1, 0.9, 0.2), 0.3, 3),
        ("count", LOW, Window(turns=2), (0.1, 0.9, 0.2), 0.3, 2),
        ("count", LOW, Window(turns=1), (0.1, 0.9, 0.2), 0.3, 1),
        ("count", LOW, Window(turns=1, earlier=True), (0.1, 0.9), 0.3, 0),
        ("count", LOW, Window(turns=2, earlier=True), (0.1, 0.9), 0.3, 1),
        ("count", LOW, Window(turns=2, earlier=True), (), 0.3, 0),
        ("streak", LOW, Window(turns=9, earlier=True), (0.1, 0.2), 0.9, 2),
        ("last", "confidence", Window(turns=1, earlier=True), (0.4, 0.2), 0.7, 0.2),
        ("last", "confidence", Window(turns=1, earlier=True), (), 0.7, None),
        ("count", LOW, Window(span_ms=120_000), (0.1, 0.1, 0.2), 0.3, 3),
        ("count", LOW, Window(span_ms=119_999), (0.1, 0.1, 0.2), 0.3, 2),
        ("count", LOW, Window(), (None, 0.1), None, 1),
        ("count", LOW, Window(), (), None, 0),
        ("streak", LOW, Window(), (0.9, 0.1, 0.2), 0.3, 3),
        ("streak", LOW, Window(), (0.1, 0.1), 0.9, 0),
        ("streak", LOW, Window(), (0.1, None, 0.1), 0.1, 2),
        ("streak", LOW, Window(), (0.1, 0.1), None, 0),
        ("streak", LOW, Window(turns=2), (0.1, 0.1, 0.1), 0.1, 2),
        ("min", "confidence", Window(), (0.4, None, 0.2), 0.3, 0.2),
        ("max", "confidence", Window(turns=2), (0.9, 0.2), 0.3, 0.3),
        ("avg", "confidence", Window(), (0.25, None), 0.75, 0.5),
        ("last", "confidence", Window(), (0.4, 0.2), None, 0.2),
        ("last", "confidence", Window(), (0.4, 0.2), 0.7, 0.7),
        ("last", "confidence", Window(turns=1), (0.4, 0.2), None, None),
        ("avg", "confidence", Window(), (None,), None, None),
        ("max", "confidence", Window(span_ms=1_000), (0.9,), None, None),
    ],
)
def test_an_aggregate_comes_to(
    function: str, of: Compare | str, window: Window, past: tuple[float | None, ...], now: float | None, number: Value
) -> None:
    aggregate = Aggregate(function, of, window)  # type: ignore[arg-type]
    assert moment(*past, now=now).number(aggregate) == number


REFUND = ToolCall("refund", amount=250.0)
LOOKUP = ToolCall("lookup")
BIG_REFUND = CallMatch(All((compare("name", "=", "refund"), compare("amount_usd", ">", 200))), SPAN)


@pytest.mark.parametrize(
    ("condition", "calls", "truth"),
    [
        pytest.param(BIG_REFUND, (LOOKUP, REFUND), True, id="one call is enough"),
        pytest.param(BIG_REFUND, (LOOKUP,), False, id="another tool is known not to match"),
        pytest.param(BIG_REFUND, (ToolCall("refund"),), None, id="a refund of an unknown amount is unknown"),
        pytest.param(BIG_REFUND, (), False, id="no call, no match"),
        pytest.param(Not(BIG_REFUND), (), True, id="and its negation holds"),
        pytest.param(Not(BIG_REFUND), (ToolCall("refund"),), None, id="not over unknown is unknown"),
        pytest.param(
            CallMatch(All((compare("name", "=", "lookup"), compare("amount_usd", ">", 200))), SPAN),
            (LOOKUP, REFUND),
            None,
            id="two calls together are not one",
        ),
        pytest.param(Any((BIG_REFUND, Not(BIG_REFUND))), (ToolCall("refund"),), None, id="no excluded middle"),
    ],
)
def test_a_tool_call_matches(condition: Condition, calls: tuple[ToolCall, ...], truth: bool | None) -> None:
    assert moment(calls=calls).truth(condition) is truth
