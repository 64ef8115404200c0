"""A comparison over a column holds exactly where the turn-by-turn tester holds, and is never null."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.evaluation import comparisons
from rules.evaluation.comparisons import COMPARISONS
from rules.model import Compare
from rules.replay.column_leaves import Leaf, Sets, bool_leaf, coded_leaf, every, number_leaf, opposite, set_leaf, some
from rules.turn import Scalar, Value
from tests.rules.strategies import compare

# Around 2**53 an int has no float of its own, and the neighbours of such an operand are what tells a rounding apart.
EDGES = [sign * (2**53 + step) for sign in (1, -1) for step in (-2, -1, 0, 1, 2, 3, 4)]
numbers = st.one_of(
    st.sampled_from([float(edge) for edge in EDGES]), st.floats(allow_nan=False, allow_infinity=False), st.just(0.5)
)
operand_numbers = st.one_of(numbers, st.sampled_from(EDGES), st.sampled_from((10**400, 10**25, float("nan"))))
words = st.sampled_from(("a", "b", "c", ""))
scalars: st.SearchStrategy[Scalar] = st.one_of(operand_numbers, words, st.booleans())


@st.composite
def compares(draw: st.DrawFn) -> Compare:
    operator = draw(st.sampled_from(list(COMPARISONS)))
    if COMPARISONS[operator].group == "presence":
        return compare("x", operator)
    if operator in ("in", "not in", "within", "not within"):
        return compare("x", operator, draw(st.lists(scalars, min_size=1, max_size=3).map(tuple)))
    return compare("x", operator, draw(scalars))


def holds(leaf: Leaf, asked: Compare, column: pl.Series) -> list[bool | None]:
    truth = leaf(asked)
    if isinstance(truth, bool):
        return [truth] * len(column)
    return list(column.to_frame().select(truth.alias("held"))["held"])


def meant(asked: Compare, values: list[Value]) -> list[bool]:
    return [comparisons.tester(asked)(value) for value in values]


@settings(max_examples=300, deadline=None)
@given(compares(), st.lists(st.none() | numbers, min_size=1, max_size=6))
def test_numbers(asked: Compare, values: list[Value]) -> None:
    column = pl.Series("x", values, dtype=pl.Float64)
    assert holds(number_leaf(pl.col("x"), nullable=None in values), asked, column) == meant(asked, values)


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "=", "!="])
@pytest.mark.parametrize("operand", EDGES)
def test_a_whole_number_that_is_no_float_is_compared_exactly(operator: str, operand: int) -> None:
    values: list[Value] = [float(edge) for edge in EDGES]
    asked = compare("x", operator, operand)
    assert holds(number_leaf(pl.col("x")), asked, pl.Series("x", values)) == meant(asked, values)


@settings(max_examples=200, deadline=None)
@given(compares(), st.lists(st.none() | st.booleans(), min_size=1, max_size=4))
def test_bools(asked: Compare, values: list[Value]) -> None:
    column = pl.Series("x", values, dtype=pl.Boolean)
    assert holds(bool_leaf(pl.col("x"), nullable=None in values), asked, column) == meant(asked, values)


@settings(max_examples=300, deadline=None)
@given(compares(), st.lists(st.none() | words, min_size=1, max_size=6), st.booleans())
def test_texts(asked: Compare, values: list[Value], as_enum: bool) -> None:
    kinds = sorted({value for value in values if isinstance(value, str)})
    column = pl.Series("x", values, dtype=pl.Enum(kinds) if as_enum else pl.String)
    coded: list[tuple[object, Value]] = [(kind, kind) for kind in kinds]
    assert holds(coded_leaf(pl.col("x"), coded, nullable=None in values), asked, column) == meant(asked, values)


@settings(max_examples=300, deadline=None)
@given(compares(), st.lists(st.none() | st.frozensets(words, max_size=3), min_size=1, max_size=6), st.booleans())
def test_sets(asked: Compare, values: list[Value], in_words: bool) -> None:
    kinds = sorted({value for value in values if isinstance(value, frozenset)}, key=sorted)
    names = {kind: f"set {number}" for number, kind in enumerate(kinds)}
    cells = [names[value] if isinstance(value, frozenset) else None for value in values]
    column = pl.Series("x", cells, dtype=pl.Enum(list(names.values())))
    frame = {"frame": column.to_frame()}

    def add(name: str, expr: pl.Expr) -> pl.Expr:
        frame["frame"] = frame["frame"].with_columns(expr.alias(name))
        return pl.col(name)

    leaf = set_leaf(Sets(column, [(name, kind) for kind, name in names.items()], add if in_words else None))
    truth = leaf(asked)
    held = [truth] * len(column) if isinstance(truth, bool) else list(frame["frame"].select(truth.alias("h"))["h"])
    assert held == meant(asked, values)


def test_members_past_one_number_are_told_apart() -> None:
    members = [f"m{number:02d}" for number in range(70)]
    values: list[tuple[object, frozenset[str]]] = [(member, frozenset({member})) for member in members]
    column = pl.Series("x", [*members, None], dtype=pl.Enum(members))
    frame = column.to_frame()
    columns: dict[str, pl.Expr] = {}

    def add(name: str, expr: pl.Expr) -> pl.Expr:
        columns[name] = expr
        return pl.col(name)

    sets = Sets(column, values, add)
    asked = {f"{kind} {member}": getattr(sets, kind)(member) for member in members for kind in ("has", "lacks")}
    found = frame.with_columns(**columns).select(**asked)
    for number, member in enumerate(members):
        assert found[f"has {member}"].arg_true().to_list() == [number]
        assert found[f"lacks {member}"].arg_true().to_list() == [other for other in range(70) if other != number]
    assert len(columns) == 3


def test_what_is_the_same_everywhere_needs_no_column() -> None:
    x = pl.col("x")
    assert every([True, True]) is True
    assert every([x, False]) is False
    assert every([x, True]) is x
    assert some([False, False]) is False
    assert some([x, True]) is True
    assert some([x, False]) is x
    assert opposite(True) is False
