"""What stands in a text, told by Python's `re` one pattern at a time and phrase by phrase: a plain reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from rules.model import Topic
from rules.text.normalise import is_word, normalise
from rules.text.topics import EVIDENCE_MAX

Span = tuple[int, int]

# A letter or digit of any script with spaces between words, and the marks upon Latin letters: no others are asked for.
_LETTER, _MARK = r"(?u:[^\W_])", r"[\u0300-\u036f]"
_BEHIND, _NOT_BEHIND = f"(?:(?<={_LETTER})|(?<={_MARK}))", f"(?<!{_LETTER})(?<!{_MARK})"
_AHEAD, _NOT_AHEAD = f"(?:(?={_LETTER})|(?={_MARK}))", f"(?!{_LETTER})(?!{_MARK})"


def branches(pattern: str) -> Iterator[str]:
    """Yield the alternatives of a pattern's top level."""
    depth = start = 0
    for sign in re.finditer(r"\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]])*\]|[()|]", pattern, re.DOTALL):
        depth += (sign[0] == "(") - (sign[0] == ")")
        if sign[0] == "|" and depth == 0:
            yield pattern[start : sign.start()]
            start = sign.end()
    yield pattern[start:]


@cache
def slow_pattern(branch: str) -> re.Pattern[str]:
    """Return one alternative as Python reads it: ASCII classes as in RE2, edges of words of all scripts."""
    start, end = branch.startswith(r"\b"), branch.endswith(r"\b") and branch != r"\b"
    core = branch[2 * start : len(branch) - 2 * end]
    boundary = f"(?:{_BEHIND}{_NOT_AHEAD}|{_NOT_BEHIND}{_AHEAD})"
    spelt = {r"\b": boundary, r"\z": r"\Z", r"\pL": r"(?u:[^\W\d_])"}
    core = re.sub(r"\\(?:pL|.)|[^\\]+", lambda part: spelt.get(part[0], _folded(part[0])), core, flags=re.DOTALL)
    before, after = _NOT_BEHIND if start else "", _NOT_AHEAD if end else ""
    return re.compile(f"{before}(?:{core}){after}", re.ASCII | re.DOTALL)


def _folded(part: str) -> str:
    return (
        part if part.startswith("\\") else re.sub(r"\(\?P<.*?>|.", lambda each: _folded_one(each[0]), part, flags=re.S)
    )


def _folded_one(part: str) -> str:
    return part if len(part) > 1 else part.casefold()


def of_pattern(pattern: str, folded: str) -> list[Span]:
    """Return where a pattern stands in a folded text."""
    every = (slow_pattern(each).finditer(folded) for each in branches(pattern.removeprefix("(?i)")))
    return [found.span() for each in every for found in each if found.group()]


def of_phrase(phrase: str, folded: str) -> list[Span]:
    """Return where a phrase stands in a folded text as whole words."""

    def word(place: int) -> bool:
        return 0 <= place < len(folded) and is_word(folded[place])

    phrase, places = normalise(phrase), []
    start = folded.find(phrase)
    while start >= 0:
        end = start + len(phrase)
        if not (word(start - 1) and word(start)) and not (word(end - 1) and word(end)):
            places.append((start, end))
        start = folded.find(phrase, start + 1)
    return places


def of_topic(topic: Topic, folded: str) -> list[Span]:
    """Return the places that a topic tells: the leftmost, then the longest, without those taken back."""
    hits = [span for phrase in topic.phrases for span in of_phrase(phrase, folded)]
    hits += [span for pattern in topic.patterns for span in of_pattern(pattern, folded)]
    taken_back = [span for phrase in topic.unless for span in of_phrase(phrase, folded)]
    left = [hit for hit in hits if not any(hit[0] < end and start < hit[1] for start, end in taken_back)]
    kept: list[Span] = []
    for start, end in sorted(left, key=lambda hit: (hit[0], -hit[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept[:EVIDENCE_MAX]
