"""Which patterns may stand in a text, told by the words that each cannot do without. It says nothing of where.

One automaton (Aho-Corasick) finds the words of all patterns in one pass, and a pattern without its words is not looked
for. RE2's own set of patterns is no answer: its automaton has to remember which were met so far, so on texts never seen
before it filled and emptied its memory all the time (577 µs for 430 characters with the shipped library). Hyperscan is
none either: as it comes on PyPI (Vectorscan 5.4.12) it misses matches without a word, in patterns of every form.
"""

from __future__ import annotations

from collections.abc import Sequence

from ahocorasick_rs import AhoCorasick, MatchKind

from rules.text.literals import Texts
from rules.text.patterns import Pattern


class WordIndex:
    """Knows the words of many patterns, by their numbers. Safe to share between threads."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._always: list[int] = []
        # By a word of a pattern's most telling set: the pattern's number, and its other sets.
        self._first: dict[str, list[tuple[int, Sequence[Texts]]]] = {}
        words: set[str] = set()
        for number, pattern in enumerate(patterns):
            sets = pattern.needed_words
            if not sets:
                self._always.append(number)
                continue
            words.update(*sets)
            for word in sets[0]:
                self._first.setdefault(word, []).append((number, sets[1:]))
        self._words = AhoCorasick(sorted(words), matchkind=MatchKind.Standard) if words else None

    def candidates(self, folded: str) -> set[int]:
        """Return the numbers of the patterns that may stand in a folded text: all that do, and few others."""
        numbers = set(self._always)
        if self._words is None:
            return numbers
        found = set(self._words.find_matches_as_strings(folded, overlapping=True))
        for word in found & self._first.keys():
            for number, others in self._first[word]:
                # A loop costs half of `all` here, and this is where most of the time goes.
                for words in others:
                    if found.isdisjoint(words):
                        break
                else:
                    numbers.add(number)
        return numbers
