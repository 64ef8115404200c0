"""Patterns of rule files: which are refused and why, and two engines that find those that occur in a text.

Both engines only name the patterns that may occur; where they occur is asked of RE2 pattern by pattern, so both give
the same hits. Every step is linear in the text, whatever the pattern.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Literal, TypeAlias

import re2

from rules.normalise import normalise


def _hyperscan_or_none() -> Any:
    """Return the module where a wheel for this machine exists; RE2 does the same without it, slower."""
    try:
        return import_module("hyperscan")
    except ImportError:
        return None


hyperscan = _hyperscan_or_none()

Engine: TypeAlias = Literal["hyperscan", "re2"]

# A pattern a person can still read; the longest of the shipped library has 300 characters.
PATTERN_LENGTH_MAX = 1_000
# The longest counted repetition: at 1,000 a single pattern took Hyperscan 4 s to compile, at 200 a tenth of a second.
REPEAT_MAX = 200
# Repetitions counted exactly already when looking for candidates; longer ones are left to the second look.
COPIES_MAX = 4
# Memory of one compiled pattern, automaton included: enough for 20,000 steps, little enough for hundreds of patterns.
PATTERN_BYTES_MAX = 1 << 20
# Memory of the one automaton of all patterns; it empties its cache when full. 64 MB was no faster on fresh texts.
SET_BYTES_MAX = 16 << 20
# RE2 gives a set's automaton no way to say that it ran out: so it is built anew long before its memory could break up.
SET_TEXTS_MAX = 50_000
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
    def sieve(self) -> str:
        """Return a pattern that the engines compile fast and that finds at least every text this one is found in.

        A long counted repetition is copied out by the engines, step by step: `.{0,40}` becomes `.*` here.
        """
        return "".join(_loosened(token) for token in _tokens(self.core))

    @cached_property
    def ascii(self) -> Any:
        """Return the compiled pattern for texts of ASCII alone: small, so hundreds fit."""
        return self._compile("[^a-z0-9]")

    @cached_property
    def unicode(self) -> Any:
        """Return the compiled pattern for every other text."""
        return self._compile(_EDGE)

    def _compile(self, edge: str) -> Any:
        start = f"(?:^|{edge})" if self.word_start else ""
        end = f"(?:$|{edge})" if self.word_end else ""
        return re2.compile(f"{start}({self.core}){end}".encode(), _options(PATTERN_BYTES_MAX))

    def places(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield where the pattern stands in folded text as UTF-8, in bytes; at most PLACES_MAX, none empty."""
        compiled = self.ascii if data.isascii() else self.unicode
        place = 0
        for _ in range(PLACES_MAX):
            found = compiled.search(data, place)
            if found is None:
                return
            start, end = found.span(1)
            if end > start:
                yield start, end
            place = max(end, place + 1)


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
    inner = re.search(r"(?<!\\)(?:\\\\)*\\b[^\x00-\x7f]|[^\x00-\x7f]\\b", pattern.core)
    if inner:
        return (
            "`\\b` inside a pattern knows ASCII letters only; beside other letters write a space, or split the pattern"
        )
    pattern.unicode  # noqa: B018 - compiled here, so that what is too large is refused here
    bare = re2.compile(pattern.core.encode(), _options(PATTERN_BYTES_MAX))
    empty = (found for text in (b"", b"a", b"a a") if (found := bare.search(text)) and not found.group())
    if next(empty, None):
        return "matches the empty text, so it would be found everywhere; ask for at least one character"
    return None


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
        return re.sub(r"\\(?:[pP]\{[^}]*\}|.)|[^\\]+", lambda part: _folded_letters(part[0]), token, flags=re.DOTALL)
    return token if token[0] in "\\()|.*+?^${" else _folded_letters(token)


def _folded_letters(text: str) -> str:
    if text.startswith("\\"):
        return text
    if text.isascii():
        return text.lower()
    folded = normalise(text)
    # The fold strips the ends, but here a space is part of the pattern.
    before = " " if text[0].isspace() and folded else ""
    after = " " if text[-1].isspace() and folded else ""
    return f"{before}{folded}{after}" if folded else text


def _loosened(token: str) -> str:
    counts = _COUNTED.fullmatch(token)
    if not counts:
        return token
    least, most = int(counts[1]), counts[2]
    if most is None or (most and int(most) <= COPIES_MAX):
        return token if least <= COPIES_MAX else "+"
    return "+" if least else "*"


def _options(bytes_max: int) -> Any:
    options = re2.Options()
    options.max_mem = bytes_max
    options.log_errors = False
    return options


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
    """All patterns in one RE2 set, for machines without Hyperscan."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = tuple(patterns)
        self._set = self._build()
        self._texts = 0

    def _build(self) -> Any:
        options = _options(SET_BYTES_MAX)
        options.never_capture = True
        built = re2.Set.SearchSet(options)
        for pattern in self._patterns:
            built.Add(pattern.sieve)
        built.Compile()
        return built

    def candidates(self, data: bytes) -> list[int]:
        """Return the numbers of the patterns that may occur in folded text as UTF-8."""
        self._texts += 1
        if self._texts > SET_TEXTS_MAX:
            self._texts, self._set = 0, self._build()
        return list(self._set.Match(data) or ())


ENGINES: dict[Engine, Callable[[Sequence[Pattern]], HyperscanSearch | Re2Search]] = {
    "hyperscan": HyperscanSearch,
    "re2": Re2Search,
}


def best_engine() -> Engine:
    """Return the faster engine that this machine has."""
    return "hyperscan" if hyperscan is not None else "re2"
