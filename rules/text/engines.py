"""Two ways to name the patterns that may occur in a text, without asking them one by one.

Where a pattern stands is asked of the pattern itself afterwards, so both give the same hits. Every step is linear in
the text, whatever the pattern.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal, TypeAlias

from rules.text.patterns import Pattern

Engine: TypeAlias = Literal["hyperscan", "re2"]
ENGINES: tuple[Engine, ...] = ("hyperscan", "re2")


def _hyperscan_or_none() -> Any:
    """Return the module where a wheel for this machine exists; RE2 does the same without it, slower."""
    try:
        return import_module("hyperscan")
    except ImportError:
        return None


hyperscan = _hyperscan_or_none()

# Hyperscan takes as long for the few longest patterns as for all others: without them the shipped library takes 0.4 s
# instead of 1.2 s.
SIEVE_LENGTH_MAX = 250
# The start of the text as one of several beginnings: Hyperscan misses some such patterns 32 bytes into a text, as
# `(?:^|[.,] )(?:please )?(?:an? )?supervisor,? now(?:[.!,]|$)` with more words in it. They are left to the index.
MISSED_BY_HYPERSCAN = ("(^|", "(?:^|", "|^")
# Databases are kept for a ruleset that is loaded again with other numbers or conditions, but the same patterns.
DATABASES_KEPT = 4


class WordIndex:
    """Rules patterns out by the words that each cannot do without; the words are found together with the phrases.

    RE2's own set of patterns is no answer: its automaton has to remember which were met so far, so on texts never seen
    before it filled and emptied its memory all the time (577 µs for 430 characters with the shipped library).
    """

    def __init__(self, patterns: Mapping[int, Pattern]) -> None:
        self.uses: dict[str, list[tuple[int, int]]] = {}
        self._always: list[int] = []
        self._wanted: dict[int, int] = {}
        for number, pattern in patterns.items():
            sets = pattern.needed_words
            if not sets:
                self._always.append(number)
            self._wanted[number] = (1 << len(sets)) - 1
            for place, words in enumerate(sets):
                for word in words:
                    self.uses.setdefault(word, []).append((number, 1 << place))

    def candidates(self, found: Iterable[Sequence[tuple[int, int]]]) -> list[int]:
        """Return the numbers of the patterns that may occur in a text that holds the words of these uses."""
        met: dict[int, int] = {}
        for uses in found:
            for number, bit in uses:
                met[number] = met.get(number, 0) | bit
        wanted = self._wanted
        return [*self._always, *(number for number, bits in met.items() if bits == wanted[number])]


class PatternDatabase:
    """Patterns in one Hyperscan database. Each thread has its own scratch space, since Hyperscan forbids sharing."""

    def __init__(self, sieves: Mapping[int, str]) -> None:
        self._database = _database(tuple(sieves.items()))
        self._scratch = threading.local()

    def candidates(self, data: bytes) -> list[int]:
        """Return the numbers of the patterns that may occur in folded text as UTF-8."""
        scratch = getattr(self._scratch, "space", None)
        if scratch is None:
            scratch = self._scratch.space = hyperscan.Scratch(self._database)
        found: list[int] = []
        self._database.scan(data, _note, context=found, scratch=scratch)
        return found


def _note(number: int, _start: int, _end: int, _flags: int, found: list[int]) -> None:
    found.append(number)


def taken_by_hyperscan(patterns: Sequence[Pattern]) -> dict[int, str]:
    """Return the sieves of the patterns that Hyperscan compiles, and fast, by the patterns' numbers."""
    sieves = {number: each.sieve for number, each in enumerate(patterns)}
    short = {number: sieve for number, sieve in sieves.items() if _is_taken(sieve)}
    if _compiles(short):
        return short
    return {number: sieve for number, sieve in short.items() if _compiles({number: sieve})}


def _is_taken(sieve: str) -> bool:
    return len(sieve) <= SIEVE_LENGTH_MAX and not any(each in sieve for each in MISSED_BY_HYPERSCAN)


def _compiles(sieves: Mapping[int, str]) -> bool:
    try:
        return not sieves or _database(tuple(sieves.items())) is not None
    except hyperscan.error:
        return False


@lru_cache(maxsize=DATABASES_KEPT)
def _database(sieves: tuple[tuple[int, str], ...]) -> Any:
    """Return the database of numbered patterns. Raises hyperscan.error when Hyperscan refuses one of them."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    flags = hyperscan.HS_FLAG_UTF8 | hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_DOTALL
    expressions = [sieve.encode() for _, sieve in sieves]
    numbers = [number for number, _ in sieves]
    database.compile(expressions=expressions, ids=numbers, elements=len(numbers), flags=flags)
    return database


def best_engine() -> Engine:
    """Return the faster engine that this machine has."""
    return "hyperscan" if hyperscan is not None else "re2"
