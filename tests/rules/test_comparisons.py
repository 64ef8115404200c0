from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.evaluation import comparisons
from rules.evaluation.comparisons import COMPARISONS, Kind, key_of, kind_of, kinds_of, number_above, opposite
from rules.model import Aggregate, Compare, Window
from rules.turn import Scalar, Value
from tests.rules.strategies import NUMBERS, anything, compare, numbers, signal_compares

MAX = 1.7976931348623157e308


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        pytest.param(0.5, "number", id="a float"),
        pytest.param(0, "number", id="an int"),
        pytest.param(True, "bool", id="True is no 1"),
        pytest.param("", "text", id="an empty text is known"),
        pytest.param(frozenset(), "set", id="an empty set is known"),
        pytest.param(None, None, id="None is unknown"),
        pytest.param(math.nan, None, id="NaN is no measurement"),
        pytest.param(math.inf, None, id="infinity is no measurement"),
        pytest.param(-math.inf, None, id="nor is minus infinity"),
        pytest.param(MAX, "number", id="the largest float"),
        pytest.param(int(MAX), "number", id="the largest float as an int"),
        pytest.param(int(MAX) + 1, None, id="past the largest float there is no number"),
        pytest.param(10**400, None, id="far past it neither"),
        pytest.param(["a"], None, id="a type that no signal has"),
    ],
)
def test_what_a_value_is(value: object, kind: Kind | None) -> None:
    assert kind_of(value) == kind


@pytest.mark.parametrize(
    ("value", "operator", "operand", "holds"),
    [
        (0.41, "<", 0.55, True),
        (0.55, "<", 0.55, False),
        (0.55, "<=", 0.55, True),
        (0.55, ">=", 0.55, True),
        (0.55, ">", 0.55, False),
        (math.nextafter(0.55, 1), ">", 0.55, True),
        (math.nextafter(0.55, 0), "<", 0.55, True),
        (1, "=", 1.0, True),
        (-0.0, "=", 0, True),
        (-0.0, "<", 0.0, False),
        (True, "=", 1, False),
        (1, "=", True, False),
        (1, "in", (True, 1), True),
        (True, "in", (1, 2), False),
        (0, "in", (False, 7), False),
        (2**53 + 1, "=", 2.0**53, False),
        (2**53 + 1, ">", 2.0**53, True),
        (2**53 + 1, "<", 2.0**53 + 2, True),
        (-(2**53) - 1, "<", -(2.0**53), True),
        (10**25 + 1, ">", 1e25, 10**25 + 1 > 1e25),
        ("chat", "=", "chat", True),
        ("chat", "=", "Chat", False),
        ("chat", "!=", "voice", True),
        ("mail", "in", ("chat", "mail"), True),
        ("sms", "not in", ("chat", "mail"), True),
        ("chat", "<", 5, False),
        ("chat", ">=", 5, False),
        (5, "!=", "chat", False),
        (5, "not in", ("chat", "mail"), False),
        (frozenset({"fees"}), "has", "fees", True),
        (frozenset({"fees"}), "lacks", "fees", False),
        (frozenset(), "has", "fees", False),
        (frozenset(), "lacks", "fees", True),
        ("fees", "has", "fees", False),
        ("fees", "lacks", "x", False),
        (frozenset({"fees"}), "within", ("fees", "loans"), True),
        (frozenset({"fees", "other"}), "within", ("fees", "loans"), False),
        (frozenset({"fees", "other"}), "not within", ("fees", "loans"), True),
        (frozenset({"fees"}), "not within", ("fees",), False),
        (frozenset(), "within", ("fees",), True),
        (frozenset(), "not within", ("fees",), False),
        (frozenset({"fees"}), "not within", (), True),
        ("fees", "within", ("fees",), False),
        ("fees", "not within", ("loans",), False),
        (None, "is unknown", None, True),
        (math.nan, "is unknown", None, True),
        ("", "is known", None, True),
        (False, "is known", None, True),
        (0, "is unknown", None, False),
        (0.5, "<", math.nan, False),
        (0.5, ">=", math.nan, False),
        (0.5, "<", math.inf, False),
        (0.5, "!=", math.inf, False),
        (0.5, "<", "0.6", False),
        (0.5, "<", True, False),
        ("x", "not in", (), False),
    ],
)
def test_a_comparison_holds(value: Value, operator: str, operand: Scalar | tuple[Scalar, ...], holds: bool) -> None:
    assert comparisons.tester(compare("signal", operator, operand))(value) is holds


@pytest.mark.parametrize("operator", [operator for operator in COMPARISONS if operator not in ("is unknown",)])
def test_unknown_makes_every_comparison_false(operator: str) -> None:
    operands: tuple[Scalar, ...] = (0, "a", True, math.nan)
    for operand in operands:
        assert not comparisons.tester(compare("signal", operator, operand))(None)
        assert not comparisons.tester(compare("signal", operator, (operand,)))(None)


def test_opposites_come_in_pairs() -> None:
    for operator, comparison in COMPARISONS.items():
        assert COMPARISONS[comparison.opposite].opposite == operator
        assert COMPARISONS[comparison.opposite].group == comparison.group


@given(signal_compares, anything)
def test_of_a_comparison_and_its_opposite_exactly_one_holds_where_the_value_can_be_compared(
    one: Compare, value: Value
) -> None:
    holds, opposed = comparisons.tester(one)(value), comparisons.tester(opposite(one))(value)
    comparable = COMPARISONS[one.operator].group == "presence" or kind_of(value) in kinds_of(one)
    assert (holds, opposed) in ([(True, False), (False, True)] if comparable else [(False, False)])


@given(numbers, numbers)
def test_no_number_lies_between_a_number_and_the_one_above_it(number: float, other: float) -> None:
    assert number_above(number) > number
    assert not number < other < number_above(number)


@given(st.sampled_from([number for number in NUMBERS if abs(number) < 2**60]))
def test_no_float_and_no_int_lies_between_a_number_and_the_one_above_it(number: float) -> None:
    above = number_above(number)
    assert math.nextafter(number, math.inf) >= above
    assert not any(number < near < above for near in range(int(number) - 2, int(number) + 3))


def test_comparisons_that_mean_the_same_share_a_key_and_others_do_not() -> None:
    window = Window(turns=3)
    same = [
        (compare("a", "=", 1), compare("a", "=", 1.0)),
        (compare("a", "in", ("x", "y")), compare("a", "in", ("y", "x", "y"))),
        (compare(Aggregate("max", "a", window), ">", 1), compare(Aggregate("max", "a", Window(3)), ">", 1, "limit")),
    ]
    other = [
        (compare("a", "=", 1), compare("a", "=", True)),
        (compare("a", "<", 1), compare("a", "<=", 1)),
        (compare("a", "=", "1"), compare("a", "=", 1)),
        (compare("a", "=", 1), compare("b", "=", 1)),
        (compare(Aggregate("max", "a", window), ">", 1), compare(Aggregate("min", "a", window), ">", 1)),
        (compare(Aggregate("max", "a", window), ">", 1), compare(Aggregate("max", "a", Window(span_ms=3)), ">", 1)),
    ]
    assert all(key_of(left) == key_of(right) for left, right in same)
    assert all(key_of(left) != key_of(right) for left, right in other)
