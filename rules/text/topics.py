"""Finds every topic of the rule files in a text, in one pass, with the places as evidence. It decides nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick, MatchKind

from rules.decision import INSIDES, Evidence, Inside
from rules.model import Topic
from rules.text.normalise import normalise, original_spans, stands_alone
from rules.text.patterns import PLACES_MAX, Pattern, alternatives, pattern_problem
from rules.text.phrases import PHRASE_LENGTH_MAX, phrase_problem
from rules.text.word_index import WordIndex

__all__ = ["EVIDENCE_MAX", "PHRASE_LENGTH_MAX", "Inside", "Matcher", "normalise", "pattern_problem", "phrase_problem"]

# Places of one topic in one text that are kept: a person reads the first few, and a Decision stays small.
EVIDENCE_MAX = 8


class _Hit(NamedTuple):
    """A phrase or pattern of a topic in the folded text. `source` None marks an `unless` phrase."""

    topic: str
    start: int
    end: int
    source: str | None


class Matcher:
    """Knows the phrases and patterns of all topics. Safe to share between threads."""

    def __init__(self, topics: Mapping[str, Topic]) -> None:
        """Compile what is to be found, in topics free of problems."""
        self._inside = {inside: _Search(_read_in(topics, inside)) for inside in INSIDES}

    def find(self, text: str, inside: Inside, folded: str | None = None) -> tuple[Evidence, ...]:
        """Return where the topics stand in a text, first places first, at most EVIDENCE_MAX of each topic.

        Offsets count characters of the text as it came. Pass `folded` when `normalise(text)` is at hand.
        """
        search = self._inside[inside]
        if not search.anything:
            return ()
        if folded is None:
            folded = normalise(text)
        hits = search.hits(folded)
        if not hits:
            return ()
        kept = _kept(hits)
        if not kept:
            return ()
        spans = original_spans(text, folded, [(hit.start, hit.end) for hit in kept])
        return tuple(
            Evidence(hit.topic, inside, start, end, hit.source or "")
            for hit, (start, end) in zip(kept, spans, strict=True)
        )


def _read_in(topics: Mapping[str, Topic], inside: Inside) -> tuple[Topic, ...]:
    return tuple(topic for topic in topics.values() if inside in topic.inside)


class _Search:
    """Phrases in one Aho-Corasick automaton; patterns one by one, those that the words in the text leave over.

    The words that patterns need have an automaton of their own: they stand in every text, and it spares their places.
    """

    def __init__(self, topics: Sequence[Topic]) -> None:
        patterns: dict[Pattern, list[str]] = {}
        for topic in topics:
            for source in topic.patterns:
                for pattern in alternatives(source):
                    patterns.setdefault(pattern, []).append(topic.name)
        self._patterns = tuple(patterns.items())
        self._index = WordIndex(tuple(patterns))
        phrases = _phrases(topics)
        self._uses = tuple(phrases.values())
        self._phrases = AhoCorasick(list(phrases), matchkind=MatchKind.Standard) if phrases else None
        self.anything = bool(phrases or patterns)
        for pattern in patterns:
            pattern.compile()

    def hits(self, folded: str) -> list[_Hit]:
        """Return every phrase and pattern that stands in the folded text at the edges of words."""
        hits: list[_Hit] = []
        if self._phrases is not None:
            for number, start, end in self._phrases.find_matches_as_indexes(folded, overlapping=True):
                if stands_alone(folded, start, end):
                    hits.extend(_Hit(topic, start, end, source) for topic, source in self._uses[number])
        candidates = self._index.candidates(folded)
        if candidates:
            data = folded.encode()
            # The first places may all be taken back, and one behind them not: then every place is looked at.
            most = len(data) if any(hit.source is None for hit in hits) else PLACES_MAX
            for number in candidates:
                pattern, topics = self._patterns[number]
                for start, end in pattern.places(folded, data, most):
                    hits.extend(_Hit(topic, start, end, pattern.source) for topic in topics)
        return hits


def _phrases(topics: Sequence[Topic]) -> dict[str, list[tuple[str, str | None]]]:
    """Return the topics that each phrase is for, by the phrase as it stands in folded texts."""
    phrases: dict[str, list[tuple[str, str | None]]] = {}
    for topic in topics:
        for phrase in topic.phrases:
            phrases.setdefault(normalise(phrase), []).append((topic.name, phrase))
        for phrase in topic.unless:
            phrases.setdefault(normalise(phrase), []).append((topic.name, None))
    phrases.pop("", None)
    return phrases


def _kept(hits: list[_Hit]) -> list[_Hit]:
    """Take back what an `unless` overlaps, and of overlapping hits of a topic keep the leftmost, then the longest."""
    if len(hits) == 1:
        return hits if hits[0].source is not None else []
    kept: list[_Hit] = []
    by_topic = itemgetter(0)
    for _, group in groupby(sorted(hits, key=by_topic), key=by_topic):
        kept.extend(_kept_of_topic(list(group)))
    kept.sort(key=lambda hit: (hit.start, hit.end, hit.topic))
    return kept


def _kept_of_topic(hits: list[_Hit]) -> list[_Hit]:
    taken_back = _merged((hit.start, hit.end) for hit in hits if hit.source is None)
    kept: list[_Hit] = []
    end = 0
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end, hit.source or "")):
        if hit.source is None or hit.start < end or _overlaps(taken_back, hit):
            continue
        kept.append(hit)
        end = hit.end
        if len(kept) == EVIDENCE_MAX:
            break
    return kept


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans as stretches that do not overlap, in order."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _overlaps(stretches: list[tuple[int, int]], hit: _Hit) -> bool:
    """Return whether a hit shares a character with one of the stretches."""
    place = bisect_left(stretches, (hit.end, 0))
    return place > 0 and stretches[place - 1][1] > hit.start
