"""Two engines that name the patterns that may occur in a text, all searched together in one pass.

Where a pattern stands is asked of the pattern itself afterwards, so both engines give the same hits. Every step is
linear in the text, whatever the pattern.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, TypeAlias

import re2

from rules.patterns import Pattern, re2_options

Engine: TypeAlias = Literal["hyperscan", "re2"]

# Memory of the automaton of a set of patterns, which empties its cache when it is full. 200 patterns over fresh texts:
# 26 µs a text with 4 MB, 17 with 16 MB, 13 with 64 MB.
SET_BYTES_MAX = 16 << 20


def _hyperscan_or_none() -> Any:
    """Return the module where a wheel for this machine exists; RE2 does the same without it, slower."""
    try:
        return import_module("hyperscan")
    except ImportError:
        return None


hyperscan = _hyperscan_or_none()


class HyperscanSearch:
    """All patterns in one Hyperscan database; those it refuses are left to RE2, with the same hits."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        sieves = {number: pattern.sieve for number, pattern in enumerate(patterns)}
        self._database = _hyperscan_database(sieves)
        refused: list[int] = []
        if self._database is None:
            refused = [number for number, sieve in sieves.items() if _hyperscan_database({number: sieve}) is None]
            taken = {number: sieve for number, sieve in sieves.items() if number not in refused}
            self._database = _hyperscan_database(taken) if taken else None
        self._rest = Re2Search([patterns[number] for number in refused]) if refused else None
        self._rest_numbers = refused
        self._scratch = threading.local()

    def candidates(self, data: bytes) -> list[int]:
        """Return the numbers of the patterns that may occur in folded text as UTF-8."""
        found: list[int] = []
        if self._database is not None:
            self._database.scan(data, _note, context=found, scratch=self._own_scratch())
        if self._rest is not None:
            found.extend(self._rest_numbers[number] for number in self._rest.candidates(data))
        return found

    def _own_scratch(self) -> Any:
        """Return this thread's scratch space: Hyperscan forbids sharing one."""
        scratch = getattr(self._scratch, "space", None)
        if scratch is None:
            scratch = self._scratch.space = hyperscan.Scratch(self._database)
        return scratch


def _note(number: int, _start: int, _end: int, _flags: int, found: list[int]) -> None:
    found.append(number)


def _hyperscan_database(sieves: Mapping[int, str]) -> Any:
    """Return the database of numbered patterns, or None when Hyperscan refuses one of them."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    flags = hyperscan.HS_FLAG_UTF8 | hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_DOTALL
    expressions = [sieve.encode() for sieve in sieves.values()]
    try:
        database.compile(expressions=expressions, ids=list(sieves), elements=len(expressions), flags=flags)
    except hyperscan.error:
        return None
    return database


class Re2Search:
    """All patterns in as few RE2 sets as hold them, for machines without Hyperscan."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._sets = tuple(_re2_sets([pattern.sieve for pattern in patterns], range(len(patterns))))

    def candidates(self, data: bytes) -> list[int]:
        """Return the numbers of the patterns that may occur in folded text as UTF-8."""
        found: list[int] = []
        for numbers, together in self._sets:
            hits = together.Match(data)
            if hits:
                found.extend(numbers[hit - 1] for hit in hits if hit)
            else:
                # Not even the empty pattern was found: the set ran out of memory, so each is asked by itself.
                found.extend(numbers)
        return found


def _re2_sets(sieves: Sequence[str], numbers: Sequence[int]) -> Iterator[tuple[Sequence[int], Any]]:
    """Yield sets of numbered patterns; a set that does not fit its memory is halved. One pattern alone always fits."""
    options = re2_options(SET_BYTES_MAX)
    options.never_capture = True
    together = re2.Set.SearchSet(options)
    # Found in every text: RE2 has no other word for "out of memory" than finding nothing at all.
    together.Add("")
    for number in numbers:
        together.Add(sieves[number])
    try:
        together.Compile()
    except re2.error:
        half = len(numbers) // 2
        yield from _re2_sets(sieves, numbers[:half])
        yield from _re2_sets(sieves, numbers[half:])
        return
    yield numbers, together


ENGINES: dict[Engine, Callable[[Sequence[Pattern]], HyperscanSearch | Re2Search]] = {
    "hyperscan": HyperscanSearch,
    "re2": Re2Search,
}


def best_engine() -> Engine:
    """Return the faster engine that this machine has."""
    return "hyperscan" if hyperscan is not None else "re2"
