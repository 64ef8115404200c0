from __future__ import annotations

import polars as pl

from rules.replay.column_stages import Staged


def test_columns_that_rest_on_each_other_are_worked_out_whatever_was_asked_for_first() -> None:
    staged = Staged(pl.DataFrame({"x": [1, 2, 3]}))
    doubled = staged.add("doubled", pl.col("x") * 2)
    more = staged.add("more", doubled + staged.add("one", pl.Series([1, 1, 1])))
    assert staged.frame["more"].to_list() == [3, 5, 7]
    staged.add("most", more + doubled + pl.col("x"))
    assert staged.frame["most"].to_list() == [6, 11, 16]


def test_an_answer_that_is_the_same_for_all_rows_stands_on_each_of_them() -> None:
    staged = Staged(pl.DataFrame({"x": [1, 2, 3]}))
    staged.add("held", pl.lit(True))
    staged.add("kept", ~pl.col("held"))
    assert staged.frame["held"].to_list() == [True, True, True]
    assert staged.frame["kept"].to_list() == [False, False, False]


def test_a_frame_without_rows_gets_columns_without_rows() -> None:
    staged = Staged(pl.DataFrame({"x": pl.Series([], dtype=pl.Float64)}))
    staged.add("held", pl.lit(True))
    staged.add("number", pl.col("held").cast(pl.UInt8) + 1)
    assert staged.frame["number"].to_list() == []
