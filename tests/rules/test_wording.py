from __future__ import annotations

import math

import pytest
from hypothesis import given

from rules.evaluation.signal_table import Unit
from rules.evaluation.wording import NAMED_MAX, aggregate_text, list_text, operand_text, span_text, unit_of, value_text
from rules.model import Aggregate, Window
from rules.turn import Value
from tests.rules.strategies import anything, compare


@pytest.mark.parametrize(
    ("span_ms", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (999, "999ms"),
        (90_000, "1m 30s"),
        (600_000, "10m"),
        (5_400_000, "1h 30m"),
        (86_400_000, "1d"),
        (90_061_001, "1d 1h"),
        (-5_000, "-5s"),
        (1500.4, "1s 500ms"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(span_ms: float, text: str) -> None:
    assert span_text(span_ms) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, None, "unknown"),
        (True, None, "true"),
        (False, None, "false"),
        ("chat", None, "chat"),
        (0.41, "ratio", "0.41"),
        (1.0, None, "1"),
        (-0.0, None, "0"),
        (0.1 + 0.2, None, "0.3"),
        (1e300, None, "1e+300"),
        (10**15, None, "1e+15"),
        (math.nan, None, "no number"),
        (math.inf, "ms", "no number"),
        (10**400, None, "no number"),
        (600_000, "ms", "10m"),
        (1e300, "ms", "1e+300"),
        (540, "minutes", "09:00"),
        (2_000, "minutes", "2000"),
        (1, "day", "0001-01-01"),
        (0, "day", "0"),
        (10**8, "day", "100000000"),
        (frozenset({"b", "a"}), None, "[a, b]"),
    ],
)
def test_a_value_is_told_as_a_rule_file_would_write_it(value: Value, unit: Unit | None, text: str) -> None:
    assert value_text(value, unit) == text


def test_a_long_list_is_counted() -> None:
    assert list_text(tuple(range(NAMED_MAX))) == "[0, 1, 2, 3, 4, 5]"
    assert list_text(tuple(range(NAMED_MAX + 2))) == "[0, 1, 2, 3, 4, 5, and 2 more]"
    assert operand_text(("a", "b")) == "[a, b]"
    assert operand_text(None) == ""


LOW = compare("confidence", "<", 0.5)


@pytest.mark.parametrize(
    ("aggregate", "text"),
    [
        (Aggregate("count", LOW, Window(turns=10)), "count(confidence < 0.5) over 10 turns"),
        (Aggregate("avg", "sentiment", Window(span_ms=600_000)), "avg(sentiment) over 10m"),
        (Aggregate("streak", LOW, Window()), "streak(confidence < 0.5)"),
    ],
)
def test_an_aggregate_is_told_as_a_rule_file_writes_it(aggregate: Aggregate, text: str) -> None:
    assert aggregate_text(aggregate) == text


@pytest.mark.parametrize(
    ("left", "unit"),
    [
        ("elapsed_ms", "ms"),
        ("amount_usd", "usd"),
        ("declared_by_a_file", None),
        (Aggregate("max", "elapsed_ms", Window()), "ms"),
        (Aggregate("count", compare("elapsed_ms", ">", 5), Window()), None),
    ],
)
def test_the_unit_of_a_comparisons_left_side(left: str | Aggregate, unit: Unit | None) -> None:
    assert unit_of(left) == unit


@given(anything)
def test_every_value_has_words_of_one_line(value: Value) -> None:
    assert "\n" not in value_text(value)
    assert len(value_text(value)) < 60
