"""What values each signal and aggregate can have at all: its type, its bounds, and whether it is ever unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rules.evaluation.comparisons import Key, aggregate_key
from rules.evaluation.signal_table import SignalSpec
from rules.findings.regions import (
    ALL_NUMBERS,
    ALL_SETS,
    ALL_TEXTS,
    EVERYTHING,
    Interval,
    Region,
    Words,
    whole,
)
from rules.history import TURNS_READ_MAX
from rules.model import Aggregate

# Signals that every turn has, whatever the caller leaves out; a test holds this against how they are read.
NEVER_UNKNOWN: frozenset[str] = frozenset(
    {
        *("message_present", "draft_present"),
        *("tools", "tools_proposed", "tools_failed"),
        *("tool_calls_count", "tool_errors_count", "writes_proposed_count"),
        *("turn_count", "elapsed_ms", "tool_errors_total", "handoffs_count"),
        # Of a tool call:
        *("name", "status", "has_error", "args_items_max"),
    }
)
# Counted from 1, though 0 may be written in a rule file.
_LOWEST = {"turn_count": 1}
_WHOLE_UNITS = ("count", "characters", "ms", "hour", "minutes", "day")


class Domains:
    """The regions that values can lie in, by signal name or aggregate; each is worked out once."""

    def __init__(self, specs: Mapping[str, SignalSpec], *, known_only: bool = False) -> None:
        """Take the rows of the signals; `known_only` leaves the unknown value out of every domain."""
        self._specs = specs
        self._known_only = known_only
        self._regions: dict[str | Key, Region] = {}

    def key(self, left: str | Aggregate) -> str | Key:
        """Return under what a left side meets others that mean the same."""
        return aggregate_key(left) if isinstance(left, Aggregate) else left

    def of(self, left: str | Aggregate) -> Region:
        """Return all values that a left side can have."""
        key = self.key(left)
        region = self._regions.get(key)
        if region is None:
            region = self._aggregate(left) if isinstance(left, Aggregate) else self._signal(left)
            region = replace(region, unknown=False) if self._known_only else region
            self._regions[key] = region
        return region

    def is_whole(self, left: str | Aggregate) -> bool:
        """Return whether a number there is always a whole one."""
        if isinstance(left, Aggregate):
            return left.function in ("count", "streak")
        spec = self._specs.get(left)
        # What a caller declares it also sends, and it may send half a millisecond.
        return spec is not None and spec.unit in _WHOLE_UNITS and spec.group != "declared"

    def _signal(self, name: str) -> Region:
        spec = self._specs.get(name)
        if spec is None:
            return EVERYTHING
        unknown = name not in NEVER_UNKNOWN
        if spec.type == "text":
            return Region(unknown, texts=Words(frozenset(spec.values), listed=True) if spec.values else ALL_TEXTS)
        if spec.type == "bool":
            return Region(unknown, bools=frozenset({True, False}))
        if spec.type == "set":
            return Region(unknown, sets=ALL_SETS)
        region = Region(unknown, numbers=_bounded(spec, _LOWEST.get(name, spec.low)))
        return whole(region) if self.is_whole(name) else region

    def _aggregate(self, aggregate: Aggregate) -> Region:
        if isinstance(aggregate.of, str):
            # Without bounds: what is remembered may come from a time before they were asked for.
            return Region(True, numbers=ALL_NUMBERS)
        high = min(aggregate.window.turns or TURNS_READ_MAX + 1, TURNS_READ_MAX + 1)
        return Region(numbers=(Interval(0, high),))


def _bounded(spec: SignalSpec, low: float | None) -> tuple[Interval, ...]:
    # The table says that an amount is never below zero; a caller may send a refund with a minus all the same.
    if spec.unit == "usd" or (low is None and spec.high is None):
        return ALL_NUMBERS
    if low is None or spec.high is None:
        return (Interval(low, float("inf"), False, True),) if low is not None else ALL_NUMBERS
    return (Interval(low, spec.high),)
