"""A frame and the columns that are worked out beside it, in as few passes as they rest on each other.

What a column means is no matter here, nor who asks for it.
"""

from __future__ import annotations

import polars as pl


class Staged:
    """Columns are named when they are added and worked out when they are needed: all that can be, at once.

    So all cores work on each pass, and what two conditions ask for alike is worked out once.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame
        self._coming: list[dict[str, pl.Expr | pl.Series]] = []
        self._passes: dict[str, int] = {}

    def add(self, name: str, column: pl.Series | pl.Expr) -> pl.Expr:
        """Put a column beside the others, under a name that none has yet, and return what reads it."""
        rests_on = () if isinstance(column, pl.Series) else column.meta.root_names()
        after = max((self._passes.get(root, 0) for root in rests_on), default=0)
        while len(self._coming) <= after:
            self._coming.append({})
        self._coming[after][name] = column
        self._passes[name] = after + 1
        return pl.col(name)

    @property
    def frame(self) -> pl.DataFrame:
        """Return the frame with every column that was added."""
        for coming in self._coming:
            self._frame = self._frame.with_columns(**coming)
        self._coming.clear()
        self._passes.clear()
        return self._frame
