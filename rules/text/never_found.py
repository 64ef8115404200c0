"""Whether a pattern can stand in a folded text at all, and which of its signs cannot. Pure functions on its signs.

A folded text is in small letters, has no white space but single spaces between words, and nothing without width. A
pattern is walked like a machine that remembers two things of the place it has come to: what stands before it, and what
may stand behind it. Where nothing is left that may, the pattern is never found. What a sign may stand for RE2 tells.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias

import re2

from rules.text.normalise import kept, normalise

# Why a sign is never found: it asks for capitals, for a sign that stands as another, for white space that is no space,
# for what is taken out, for no character at all; for a space beside a space, or at an end; or its place is wrong.
Reason: TypeAlias = Literal[
    "capital", "other form", "other forms", "white space", "no width", "nothing", "two spaces", "end", "place"
]


@dataclass(frozen=True, slots=True)
class NeverFound:
    """The first sign of a pattern that no folded text can meet. `form` is what the one character it is stands as."""

    sign: str
    reason: Reason
    form: str = ""


# What may stand at a place, as bits: a space, a letter or digit that `\b` knows, another character, the text's end.
_SPACE, _WORD, _OTHER, _END = 1, 2, 4, 8
_ALL = _SPACE | _WORD | _OTHER
# No text ends in a space, and none stands beside another.
_BEHIND = {_SPACE: _WORD | _OTHER, _WORD: _ALL | _END, _OTHER: _ALL | _END}

_REPEATED = re.compile(r"[*+?]|\{(\d+)(,(\d*))?\}")
_ASSERTIONS = frozenset({"^", "$", "\\A", "\\z", "\\b", "\\B"})
_KINDS = {
    ".": _ALL,
    "\\w": _WORD,
    "\\d": _WORD,
    "\\s": _SPACE,
    "\\S": _WORD | _OTHER,
    "\\W": _SPACE | _OTHER,
    "\\D": _ALL,
}
_SHAPE = frozenset("()|*+?")
# Letters and signs that every text may hold.
_PLAIN = re.compile(r"[a-z0-9_',;:!/ -]+")
_WORD_SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789_"
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
# A class that names no character beyond ASCII.
_ASCII_CLASS = re.compile(r"\[(?:[^\\\[\]^]|\\[sdwtnrfv]|\\[^\w]|\[:[a-z]+:\])+\]", re.ASCII)
# Characters that are looked through at a time: what a sign may stand for is mostly among the first of them.
_BLOCK = 0x800
_PLANES_FOLDED = 0x20000  # beyond these planes few characters fold, and most are assigned to nothing
_CAPITALS = ("Lu", "Lt", "Cn")


# Groups inside of groups that are walked; nobody writes as many, and the walk goes a few calls deep for each.
_DEPTH_MAX = 40


class _Place(NamedTuple):
    """Where a walk has come to: the kind of what stands before (0 at a text's start), and the kinds that may follow."""

    before: int
    behind: int


_Places: TypeAlias = frozenset[_Place]
# A pattern is looked for everywhere, so anything may stand before it.
_ANYWHERE: _Places = frozenset({_Place(0, _WORD | _OTHER | _END), *(_Place(*each) for each in _BEHIND.items())})


@dataclass(frozen=True, slots=True, eq=False)
class _Sign:
    text: str
    kinds: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Repeated:
    part: _Part
    least: int
    most: int | None


@dataclass(frozen=True, slots=True, eq=False)
class _Sequence:
    parts: tuple[_Part, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Either:
    parts: tuple[_Sequence, ...]


_Part: TypeAlias = _Sign | _Repeated | _Sequence | _Either


def never_found(tokens: Sequence[str]) -> NeverFound | None:
    """Return the sign for which a pattern is never found, None for one that may be. The tokens are folded and valid."""
    if not _is_doubtful(tokens):
        return None
    if max(accumulate(each.startswith("(") - (each == ")") for each in tokens)) > _DEPTH_MAX:
        return None
    whole = _read(sign for token in tokens for sign in ([token] if token[0] in "\\([{" else token))
    walk = _Walk()
    return None if walk.places_after(whole, _ANYWHERE) else walk.blamed(whole, _ANYWHERE)


def _is_doubtful(tokens: Sequence[str]) -> bool:
    """Return whether a pattern must be walked, which takes ten times as long as this look at one sign after another.

    Where every sign stands for something, none asks for an edge, and no two that ask for a space stand side by side,
    there is always a way: each group once, by an alternative that goes with what is before and behind it.
    """
    spaced = False
    before = ""
    for token in tokens:
        if token in _ASSERTIONS or (spaced and token[0] == " "):
            return True
        if token[0] == "{" and len(token) > 1:
            least = int(token[1:-1].partition(",")[0])
            if token in ("{0}", "{0,0}") or (least > 1 and (spaced or before == ")")):
                return True
        elif token not in _SHAPE and not token.startswith("("):
            if token[0] in "\\[." or len(token) == 1:
                kinds = _kinds(token)
                if not kinds or (spaced and kinds == _SPACE):
                    return True
                spaced = kinds == _SPACE
            else:
                if not (_PLAIN.fullmatch(token) or set(token) <= set(kept(token))) or "  " in token:
                    return True
                spaced = token[-1] == " "
        before = token
    return False


def _read(signs: Iterator[str]) -> _Either:
    """Read up to the closing bracket or the end."""
    ways: list[list[_Part]] = [[]]
    for sign in signs:
        repeated = _REPEATED.fullmatch(sign)
        if sign == ")":
            break
        if sign == "|":
            ways.append([])
        elif sign == "(?)":
            # RE2 takes it for flags that set none.
            ways[-1].append(_Sequence(()))
        elif sign.startswith("("):
            ways[-1].append(_read(signs))
        elif repeated is None:
            ways[-1].append(_Sign(sign, 0 if sign in _ASSERTIONS else _kinds(sign)))
        elif not isinstance(ways[-1][-1], _Repeated):
            # A question mark after a repetition makes it lazy, which changes nothing here.
            ways[-1][-1] = _repeated(ways[-1][-1], sign, repeated)
    return _Either(tuple(_Sequence(tuple(parts)) for parts in ways))


def _repeated(part: _Part, sign: str, repeated: re.Match[str]) -> _Repeated:
    if sign in ("*", "+", "?"):
        return _Repeated(part, int(sign == "+"), 1 if sign == "?" else None)
    least = int(repeated[1])
    return _Repeated(part, least, least if repeated[2] is None else int(repeated[3]) if repeated[3] else None)


class _Walk:
    """A walk through one pattern. What a part makes of places is remembered: nested repetitions ask again and again."""

    def __init__(self) -> None:
        self._known: dict[tuple[_Part, _Places], _Places] = {}

    def places_after(self, part: _Part, places: _Places) -> _Places:
        """Return where texts may stand after the part, from the places before it; none when no text meets it."""
        known = self._known.get((part, places))
        if known is None:
            known = self._known[part, places] = self._after(part, places)
        return known

    def _after(self, part: _Part, places: _Places) -> _Places:
        if isinstance(part, _Sign):
            return frozenset(_step(part, places))
        if isinstance(part, _Repeated):
            return self._after_repeated(part, places)
        if isinstance(part, _Either):
            return frozenset().union(*(self.places_after(way, places) for way in part.parts))
        for each in part.parts:
            places = self.places_after(each, places)
        return places

    def _after_repeated(self, part: _Repeated, places: _Places) -> _Places:
        for _ in range(part.least):
            before, places = places, self.places_after(part.part, places)
            if places == before:
                break
        reached, more = places, part.least
        while part.most is None or more < part.most:
            places = self.places_after(part.part, places)
            if places <= reached:
                break
            reached, more = reached | places, more + 1
        return reached

    def blamed(self, part: _Part, places: _Places) -> NeverFound:
        """Return the first sign that leaves no place, of a part that leaves none."""
        while not isinstance(part, _Sign):
            if isinstance(part, _Either):
                part = part.parts[0]
                continue
            parts = part.parts if isinstance(part, _Sequence) else (part.part,) * part.least
            for each in parts:
                after = self.places_after(each, places)
                if not after:
                    part = each
                    break
                places = after
        return _reason(part, places)


def _step(sign: _Sign, places: _Places) -> Iterator[_Place]:
    """Yield the places behind a sign."""
    for place in places:
        if sign.text in _ASSERTIONS:
            behind = place.behind & _asserted(sign.text, place.before)
            if behind:
                yield _Place(place.before, behind)
            continue
        for kind in (_SPACE, _WORD, _OTHER):
            if kind & sign.kinds & place.behind:
                yield _Place(kind, _BEHIND[kind])


def _asserted(sign: str, before: int) -> int:
    """Return what may follow where an assertion holds behind what stands before it."""
    if sign in ("^", "\\A"):
        return 0 if before else _ALL | _END
    if sign in ("$", "\\z"):
        return _END
    inside = (before == _WORD) == (sign == "\\B")
    return _WORD if inside else _ALL & ~_WORD | _END


def _reason(sign: _Sign, places: _Places) -> NeverFound:
    if sign.text not in _ASSERTIONS and not sign.kinds:
        return _unknown_to_texts(sign.text)
    if sign.kinds == _SPACE:
        beside = any(place.before == _SPACE for place in places)
        at_end = any(place.behind & _END for place in places)
        return NeverFound(sign.text, "two spaces" if beside else "end" if at_end else "place")
    ending = sign.text in ("$", "\\z") and any(place.before == _SPACE for place in places)
    return NeverFound(sign.text, "end" if ending else "place")


def _unknown_to_texts(sign: str) -> NeverFound:
    """Return why a sign stands for no character of a folded text."""
    found = _literal(sign) or _first_lost(sign)
    if not found:
        return NeverFound(sign, "nothing")
    if not normalise(found):
        return NeverFound(sign, "white space" if found.isspace() else "no width")
    if _literal(sign):
        return NeverFound(sign, "other form", normalise(found))
    return NeverFound(sign, "capital" if unicodedata.category(found) in _CAPITALS else "other forms")


def _literal(sign: str) -> str | None:
    """Return the one character that a sign writes, None where RE2 must be asked."""
    if len(sign) == 1:
        return None if sign == "." else sign
    if sign.startswith("\\x"):
        code = int(sign.strip("\\x{}"), 16)
        # A half of a surrogate pair is no character, and RE2 finds none with it.
        return None if 0xD800 <= code < 0xE000 else chr(code)
    if len(sign) == 2 and sign[0] == "\\":
        return _CONTROLS.get(sign[1]) if sign[1].isalnum() else sign[1]
    return None


@lru_cache(maxsize=1_000)
def _kinds(sign: str) -> int:
    """Return the kinds of characters of folded texts that a sign stands for, rather one too many than one too few."""
    if sign in _KINDS:
        return _KINDS[sign]
    literal = _literal(sign)
    if literal is not None:
        return (_WORD if literal in _WORD_SIGNS else _SPACE if literal == " " else _OTHER) if kept(literal) else 0
    compiled = re2.compile(sign.encode())
    kinds = _SPACE * bool(compiled.search(b" ")) | _WORD * bool(compiled.search(_WORD_SIGNS.encode()))
    if _ASCII_CLASS.fullmatch(sign) and sign.isascii():
        signs = "".join(each for each in map(chr, range(128)) if each not in _WORD_SIGNS + " ")
        return kinds | _OTHER * bool(compiled.search(kept(signs).encode()))
    return kinds | _OTHER if kinds or _found_beyond(sign) else 0


def _found_beyond(sign: str) -> bool:
    """Return whether a sign that stands for no space, letter or digit of ASCII stands for anything else in a text.

    What folds to capitals, and is taken for a mistake: of all capitals that `\\p{Lu}` names Cherokee's alone are left.
    """
    compiled = re2.compile(sign.encode())
    rare = []
    for block in _blocks():
        there = kept(block)
        capitals = ""
        if ord(block[0]) < _PLANES_FOLDED:
            capitals = "".join(each for each in there if unicodedata.category(each) in _CAPITALS)
        if compiled.search(there.translate(dict.fromkeys(map(ord, capitals))).encode() if capitals else there.encode()):
            return True
        rare.append(capitals)
    if not compiled.search("".join(rare).encode()):
        return False
    # Whoever names Cherokee itself names its small letters too.
    small = re2.compile(sign.encode()).search("".join(map(chr, range(0xAB70, 0xABC0))).encode())
    return bool(small) or unicodedata.category(_first_lost(sign) or " ") not in _CAPITALS


def _first_lost(sign: str) -> str | None:
    """Return the first character that a sign stands for and no folded text holds."""
    compiled = re2.compile(sign.encode())
    for block in _blocks():
        there = kept(block)
        found = there != block and compiled.search("".join(sorted(set(block) - set(there))).encode())
        if found:
            return str(found.group().decode())
    return None


def _blocks() -> Iterator[str]:
    """Yield all characters, some at a time."""
    for first in range(0, 0x110000, _BLOCK):
        if first != 0xD800:
            yield "".join(map(chr, range(first, first + _BLOCK)))
