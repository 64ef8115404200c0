"""One pattern of a rule file: why it is refused, or where it stands in a text. Which to ask is told by word_index."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import re2

from rules.text.boundaries import is_torn
from rules.text.literals import needed_words
from rules.text.never_found import NeverFound, never_found
from rules.text.normalise import is_word, normalise

# A pattern a person can still read; the longest of the shipped library has 300 characters.
PATTERN_LENGTH_MAX = 1_000
# The longest counted repetition: it is copied out, step by step, so a longer one alone fills what a pattern may take.
REPEAT_MAX = 200
# Repetitions counted exactly already at the first look; longer ones are left to the second.
COPIES_MAX = 4
# Memory of one compiled pattern, its automaton included, which fills up as it meets new texts. Most fit the first:
# at 256 kB each, 200 patterns grew by 26 MB over 300,000 texts. A pattern that does not fit the second is refused.
PATTERN_BYTES = 1 << 15
PATTERN_BYTES_MAX = 1 << 18
# What PATTERN_BYTES_MAX holds are 10,900 steps, and the edges of words of all scripts take 2,600 of them.
STEPS_MAX = 8_000
# Patterns that are remembered as checked and read: a ruleset that is loaded again mostly has the same ones.
PATTERNS_KEPT = 10_000
# Places of one pattern that are looked at in one text; a customer who writes it more often says nothing new.
PLACES_MAX = 64

_EDGE = r"[^\pL\pN\pM]|[\p{Thai}\p{Lao}\p{Myanmar}\p{Khmer}\p{Hiragana}\p{Katakana}\p{Han}]"
_TOKEN = re.compile(
    r"""\\(?:[pP]\{[^}]*\}|x\{[^}]*\}|x[0-9a-fA-F]{2}|[pP].|.|$)  # an escape
      | \[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]?  # a class
      | \(\?P?<\w+>|\(\?[a-zA-Z^-]*[:)]|\(\?.?.?  # a group with a word to it
      | \{\d+(?:,\d*)?\}  # a repetition
      | [()|.*+?^$]
      | [^\\\[(){|.*+?^$]+|\{  # letters as they are""",
    re.VERBOSE | re.DOTALL,
)
_IN_CLASS = re.compile(r"\\(?:[pP]\{[^}]*\}|[pP].|.)|[^\\]+", re.DOTALL)
# What is no letter outside of a class, and inside.
_SIGNS, _CLASS_SIGNS = frozenset("\\()[{|.*+?^$"), frozenset("\\[]^-")
_COUNTED = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_REFUSED = (
    (
        re.compile(r"\(\?<?[=!]"),
        "look-around `{}` needs a search that can run away; say it with `unless:` or another phrase",
    ),
    (
        re.compile(r"\\[1-9]|\(\?P[=>]|\\k|\\g"),
        "a back-reference `{}` needs a search that can run away; write the words out",
    ),
    (re.compile(r"\(\?>|\(\?\(|\(\?[|#&R]"), "`{}` is not part of the pattern language; use a plain group `(?:…)`"),
    (re.compile(r"\(\?[a-zA-Z^-]+[:)]"), "the flag `{}` is not needed: case never counts, and a text is one line"),
    (re.compile(r"\\[QEC]"), "`{}` is not part of the pattern language; put a backslash before each sign instead"),
)


@dataclass(frozen=True)
class Pattern:
    """One alternative of a pattern, without the word boundaries at its ends, which are asked for apart.

    `source` is the pattern as the rule file writes it. The engines' own `\\b` knows ASCII letters only.
    """

    source: str
    core: str
    word_start: bool
    word_end: bool

    @cached_property
    def sieve(self) -> Any:
        """Return a compiled pattern that finds at least every text this one is found in, None where it spares nothing.

        A long counted repetition is copied out, step by step, and the automaton meets new states in every new text:
        `.{0,40}` becomes `.*` here, and is searched in a fifth of the time.
        """
        tokens = _tokens(self.core)
        loosened = [_loosened(token) for token in tokens]
        return None if loosened == tokens else _compiled("".join(loosened))

    @cached_property
    def needed_words(self) -> tuple[frozenset[str], ...]:
        """Return sets of words of which every text that the pattern is found in holds one each."""
        return needed_words(_tokens(self.core))

    @property
    def never_found(self) -> NeverFound | None:
        """Return the sign for which no text can hold the pattern, None where one may."""
        return never_found(_tokens(self.core))

    @cached_property
    def loose(self) -> Any:
        """Return the compiled pattern that takes all beyond ASCII for an edge of a word: small, so hundreds fit."""
        return _compiled(self._between("[^a-z0-9]"))

    @cached_property
    def exact(self) -> Any:
        """Return the compiled pattern that knows every script's words: 20 times larger, seldom needed."""
        return re2.compile(self._between(_EDGE), re2_options(PATTERN_BYTES_MAX))

    def compile(self) -> None:
        """Compile now what every search needs, not at the first hit."""
        _ = self.sieve, self.loose

    def _between(self, edge: str) -> bytes:
        start = f"(?:^|{edge})" if self.word_start else ""
        end = f"(?:$|{edge})" if self.word_end else ""
        return f"{start}({self.core}){end}".encode()

    def places(self, folded: str, data: bytes, most: int = PLACES_MAX) -> list[tuple[int, int]]:
        """Return where the pattern stands in a folded text, `data` being its UTF-8; at most so many, none empty."""
        if self.sieve is not None and not self.sieve.search(data):
            return []
        found = self._searched(self.loose, data, most)
        if len(data) == len(folded):
            return found
        places = _in_characters(found, data)
        # What both find is the same: the loose pattern takes more edges, and prefers among matches as the exact does.
        if all(self._stands(folded, start, end) for start, end in places):
            return places
        return _in_characters(self._searched(self.exact, data, most), data)

    def _searched(self, compiled: Any, data: bytes, most: int) -> list[tuple[int, int]]:
        """Return where a compiled pattern's first group stands, in bytes, in order and apart from each other."""
        places: list[tuple[int, int]] = []
        place = last_end = 0
        while len(places) < most and (found := compiled.search(data, place)):
            start, end = found.span(1)
            if start < last_end or end == start:
                place = max(last_end, place + 1)
                continue
            places.append((start, end))
            place = last_end = end
            # The last character of one place may be the edge that the next one begins after.
            while self.word_start and place > start and (place == end or data[place] & 0xC0 == 0x80):
                place -= 1
        return places

    def _stands(self, folded: str, start: int, end: int) -> bool:
        before = self.word_start and start > 0 and is_word(folded[start - 1])
        return not before and not (self.word_end and end < len(folded) and is_word(folded[end]))


def _in_characters(places: Sequence[tuple[int, int]], data: bytes) -> list[tuple[int, int]]:
    """Turn places in UTF-8 bytes into places in characters; they come in order."""
    turned: list[tuple[int, int]] = []
    byte = character = 0
    for start, end in places:
        character += len(data[byte:start].decode())
        turned.append((character, character + len(data[start:end].decode())))
        byte, character = end, turned[-1][1]
    return turned


@lru_cache(maxsize=PATTERNS_KEPT)
def pattern_problem(pattern: str) -> str | None:
    """Return why a pattern is refused, or None when it may be used."""
    if len(pattern) > PATTERN_LENGTH_MAX:
        return f"{len(pattern)} characters long, the limit is {PATTERN_LENGTH_MAX}; split it into several patterns"
    try:
        pattern.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which no text can contain"
    tokens = _tokens(_without_flag(pattern))
    for token in tokens:
        for refused, reason in _REFUSED:
            if not token.startswith("[") and refused.match(token):
                return reason.format(token)
        counts = _COUNTED.fullmatch(token)
        if counts and max(int(count or 0) for count in counts.groups()) > REPEAT_MAX:
            return f"repeats `{token}`, the limit is {REPEAT_MAX}; use a shorter distance"
    try:
        return next(filter(None, map(_alternative_problem, alternatives(pattern))), None)
    except re2.error as error:
        text = error.args[0] if error.args else ""
        return f"not a pattern: {text.decode(errors='replace') if isinstance(text, bytes) else text}"


def _alternative_problem(pattern: Pattern) -> str | None:
    pattern.compile()
    if is_torn(_tokens(pattern.core)):
        return (
            "`\\b` inside a pattern knows ASCII letters only; beside other letters write a space, or split the pattern"
        )
    steps = pattern.loose.programsize
    if steps > STEPS_MAX:
        return f"compiles to {steps} steps, the limit is {STEPS_MAX}; split it into several patterns"
    bare = re2.compile(pattern.core.encode(), re2_options(PATTERN_BYTES_MAX))
    empty = (found for text in (b"", b"a", b"a a") if (found := bare.search(text)) and not found.group())
    if next(empty, None):
        return "matches the empty text, so it would be found everywhere; ask for at least one character"
    return None


@lru_cache(maxsize=PATTERNS_KEPT)
def alternatives(pattern: str) -> tuple[Pattern, ...]:
    """Return the alternatives of a pattern's top level, folded as texts are."""
    parts: list[list[str]] = [[]]
    depth = 0
    for piece in _tokens(_without_flag(pattern)):
        depth += piece.startswith("(") - (piece == ")")
        if piece == "|" and depth == 0:
            parts.append([])
        else:
            parts[-1].append(_folded(piece))
    return tuple(_alternative(pattern, part) for part in parts)


def _alternative(source: str, tokens: list[str]) -> Pattern:
    word_start = tokens[:1] == ["\\b"]
    word_end = len(tokens) > 1 and tokens[-1] == "\\b"
    core = "".join(tokens[word_start : len(tokens) - word_end])
    return Pattern(source, core, word_start, word_end)


def _without_flag(pattern: str) -> str:
    """Drop a leading `(?i)`, the habit of many: case never counts here."""
    return pattern.removeprefix("(?i)")


def _tokens(pattern: str) -> list[str]:
    return _TOKEN.findall(pattern)


def _folded(token: str) -> str:
    """Fold letters and classes as texts are folded; escapes and signs keep their meaning."""
    if token.startswith("["):
        return _IN_CLASS.sub(lambda part: _folded_letters(part[0], _CLASS_SIGNS), token)
    return token if token[0] in "\\()|.*+?^${" else _folded_letters(token, _SIGNS)


def _folded_letters(text: str, signs: frozenset[str]) -> str:
    if text.startswith("\\"):
        return text
    if text.isascii():
        return text.lower()
    # `？` folds to a sign that means something in a pattern, and whoever wrote it meant the sign itself.
    folded = normalise("".join(each if each.isascii() else _spelt(each, signs) for each in text))
    # The fold strips the ends, but here a space is part of the pattern.
    before = " " if text[0].isspace() and folded else ""
    after = " " if text[-1].isspace() and folded else ""
    return f"{before}{folded}{after}" if folded else text


@lru_cache(maxsize=PATTERNS_KEPT)
def _spelt(character: str, signs: frozenset[str]) -> str:
    """Return what a character folds to, its signs escaped, and the character itself where there are none."""
    folded = normalise(character)
    if signs.isdisjoint(folded):
        return character
    return "".join(f"\\{each}" if each in signs else each for each in folded)


def _loosened(token: str) -> str:
    counts = _COUNTED.fullmatch(token)
    if not counts:
        return token
    least, most = int(counts[1]), counts[2]
    if most is None or (most and int(most) <= COPIES_MAX):
        return token if least <= COPIES_MAX else "+"
    return "+" if least else "*"


def _compiled(pattern: str | bytes) -> Any:
    """Return a compiled pattern in little memory where it fits there. Raises re2.error when it does not fit in more."""
    data = pattern.encode() if isinstance(pattern, str) else pattern
    try:
        return re2.compile(data, re2_options(PATTERN_BYTES))
    except re2.error:
        return re2.compile(data, re2_options(PATTERN_BYTES_MAX))


def re2_options(bytes_max: int) -> Any:
    """Return options for a compiled pattern that may take so many bytes, its automaton included."""
    options = re2.Options()
    options.max_mem = bytes_max
    options.log_errors = False
    return options
