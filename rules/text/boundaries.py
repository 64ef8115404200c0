"""Whether a `\\b` inside a pattern may stand beside a letter that it does not know. Pure functions on its signs.

At a pattern's ends the edges of words are asked for apart, in every script. Inside, RE2's own `\\b` knows ASCII only:
`(?:va|iré)\\b a` is found in "va a" and never in "iré a".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Literal, NamedTuple, TypeAlias

from rules.text.normalise import is_word

# What may stand at a place: a letter or digit that `\b` knows, one that it does not, or none.
Kind: TypeAlias = Literal["ascii", "wide", "other"]

_REPEATED = re.compile(r"[*+?]|\{(\d+)(?:,\d*)?\}")
_ASCII_CLASS = re.compile(r"\[(?:[a-z0-9_-]|\\[wd])+\]")
# A dot may be any letter, but whoever wrote it named none: what is found with it is taken as it is.
_ANY: frozenset[Kind] = frozenset({"ascii", "other"})
_KINDS: dict[str, frozenset[Kind]] = {
    **dict.fromkeys(("\\w", "\\d"), frozenset[Kind]({"ascii"})),
    **dict.fromkeys((".", "\\W", "\\D", "\\S"), _ANY),
}


class _Part(NamedTuple):
    """A stretch of a pattern: whether it may be empty, and the signs that it may begin and end with, by number."""

    empty: bool
    first: frozenset[int]
    last: frozenset[int]


_NOTHING = _Part(empty=True, first=frozenset(), last=frozenset())


def is_torn(tokens: Sequence[str]) -> bool:
    """Return whether some `\\b` misses an edge of words beside a letter that the pattern names."""
    if "\\b" not in tokens:
        return False
    signs = [sign for token in tokens for sign in ([token] if token[0] in "\\([{" else token)]
    pairs: set[tuple[int, int]] = set()
    whole = _alternatives(iter(enumerate(signs)), pairs)
    for number, sign in enumerate(signs):
        if sign == "\\b":
            left = _beside(signs, [a for a, b in pairs if b == number], outside=number in whole.first)
            right = _beside(signs, [b for a, b in pairs if a == number], outside=number in whole.last)
            if ("wide" in left and "other" in right) or ("other" in left and "wide" in right):
                return True
    return False


def _beside(signs: Sequence[str], numbers: Sequence[int], *, outside: bool) -> set[Kind]:
    kinds = {kind for number in numbers for kind in _kinds(signs[number])}
    return kinds | _ANY if outside else kinds


def _kinds(sign: str) -> frozenset[Kind]:
    """Return what may stand where a sign of a pattern does."""
    if sign in _KINDS:
        return _KINDS[sign]
    if sign[:2] in ("\\p", "\\P"):
        return frozenset({"ascii", "wide", "other"})
    if sign.startswith("\\x"):
        return _kinds(chr(int(sign.strip("\\x{}"), 16)))
    if sign.startswith("["):
        if _ASCII_CLASS.fullmatch(sign):
            return frozenset({"ascii"})
        named = not sign.startswith("[^") and ("\\p" in sign or any(not c.isascii() and is_word(c) for c in sign))
        return _ANY | {"wide"} if named else _ANY
    if len(sign) > 1 or not (is_word(sign) or sign == "_"):
        return frozenset({"other"})
    return frozenset({"ascii"} if sign.isascii() else {"wide"})


def _alternatives(signs: Iterator[tuple[int, str]], pairs: set[tuple[int, int]]) -> _Part:
    """Read up to the closing bracket or the end; note which signs may follow one another."""
    parts: list[_Part] = []
    whole, last = _NOTHING, None
    for number, sign in signs:
        repeated = _REPEATED.fullmatch(sign)
        if repeated:
            # A question mark after a repetition makes it lazy, which changes nothing here.
            if last is not None:
                whole = _joined(whole, _repeated(last, repeated, pairs), pairs)
            last = None
            continue
        whole, last = (whole if last is None else _joined(whole, last, pairs)), None
        if sign == ")":
            break
        if sign == "|":
            parts.append(whole)
            whole = _NOTHING
        elif sign.startswith("("):
            last = _alternatives(signs, pairs)
        else:
            last = _Part(empty=False, first=frozenset({number}), last=frozenset({number}))
    parts.append(whole if last is None else _joined(whole, last, pairs))
    return _Part(
        any(part.empty for part in parts),
        frozenset().union(*(part.first for part in parts)),
        frozenset().union(*(part.last for part in parts)),
    )


def _repeated(part: _Part, repeated: re.Match[str], pairs: set[tuple[int, int]]) -> _Part:
    if repeated[0] != "?":
        pairs.update(product(part.last, part.first))
    return part._replace(empty=part.empty or repeated[0] in ("?", "*") or repeated[1] == "0")


def _joined(left: _Part, right: _Part, pairs: set[tuple[int, int]]) -> _Part:
    pairs.update(product(left.last, right.first))
    return _Part(
        left.empty and right.empty,
        left.first | right.first if left.empty else left.first,
        right.last | left.last if right.empty else right.last,
    )
