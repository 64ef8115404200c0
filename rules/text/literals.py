"""Which words a pattern cannot do without, so that one search for words rules most patterns out. Pure functions.

The idea is that of FilteredRE2 in RE2, and older: R. Cox, "Regular Expression Matching with a Trigram Index" (2012).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

# How many texts are kept apart before they are taken for "one of many": alternatives of alternatives multiply.
TEXTS_MAX = 64
# A shorter word stands in nearly every message and rules nothing out.
WORD_LENGTH_MIN = 3
# Sets of words that are asked for: with two, half as many patterns again were looked at in vain; four saved nothing.
SETS_MAX = 3
# Words as long as this are rare enough alone: a second set would be looked for in every text and rule out no more.
WORD_LENGTH_TELLING = 9
_CLASS_MAX = 4

_REPEATED = re.compile(r"[*+?]|\{(\d+)(?:,\d*)?\}")
_NO_TEXT = frozenset({"\\b", "\\B", "\\A", "\\z", "^", "$"})

Texts = frozenset[str]
_EMPTY: Texts = frozenset({""})
# White space of a folded text: always one space, never two side by side.
_SPACE: Texts = frozenset({" "})


@dataclass(slots=True)
class _Needs:
    """What a part of a pattern needs. Whatever it matches ends with one of `texts`, and is one of them when `exact`.

    `sets` holds what must stand in the text besides: one word at least of each set.
    """

    texts: Texts = _EMPTY
    exact: bool = True
    sets: list[Texts] = field(default_factory=list)

    def best(self) -> Texts | None:
        """Return the one set that says most, None when nothing is needed."""
        return max(map(_shortest, filter(_is_useful, [*self.sets, self.texts])), key=_worth, default=None)


def needed_words(tokens: Sequence[str]) -> tuple[Texts, ...]:
    """Return sets of words of which a text must hold one each, the most telling first; none when nothing is needed."""
    needs = _alternatives(iter(tokens))
    useful = {_shortest(words) for words in [*needs.sets, needs.texts] if _is_useful(words)}
    ranked = sorted(useful, key=lambda words: (*_worth(words), sorted(words)), reverse=True)
    alone = ranked and min(map(len, ranked[0])) >= WORD_LENGTH_TELLING
    return tuple(ranked[: 1 if alone else SETS_MAX])


def _is_useful(words: Texts) -> bool:
    return bool(words) and all(len(word.strip()) >= WORD_LENGTH_MIN for word in words)


def _shortest(words: Texts) -> Texts:
    """Leave out every word that holds another of the set: where it stands, the other stands too."""
    kept: list[str] = []
    for word in sorted(words, key=len):
        if not any(shorter in word for shorter in kept):
            kept.append(word)
    return frozenset(kept)


def _worth(words: Texts) -> tuple[int, int]:
    """Return how much a set rules out: long words are rare, and few words are rarer than many."""
    return min(map(len, words)), -len(words)


def _alternatives(tokens: Iterator[str]) -> _Needs:
    """Read up to the closing bracket or the end."""
    parts: list[_Needs] = []
    while True:
        part, more = _sequence(tokens)
        parts.append(part)
        if not more:
            break
    if len(parts) == 1:
        return parts[0]
    together: Texts = frozenset().union(*(part.texts for part in parts))
    if all(part.exact for part in parts) and len(together) <= TEXTS_MAX:
        return _Needs(together)
    best = [part.best() for part in parts]
    if any(words is None for words in best):
        return _unknown()
    return _Needs(exact=False, sets=[frozenset().union(*(words for words in best if words is not None))])


def _sequence(tokens: Iterator[str]) -> tuple[_Needs, bool]:
    """Read one alternative; return what it needs, and whether another one follows."""
    whole = _Needs()
    last: _Needs | None = None
    for sign in tokens:
        repeated = _REPEATED.fullmatch(sign)
        if repeated:
            # A question mark after a repetition makes it lazy, which changes nothing here.
            last = None if last is None else _repeated(last, sign, repeated)
            if last is not None:
                _append(whole, last)
            last = None
            continue
        if last is not None:
            _append(whole, last)
            last = None
        if sign in (")", "|"):
            return whole, sign == "|"
        if sign.startswith("("):
            last = _alternatives(tokens)
        elif len(sign) > 1 and sign[0] not in "\\[":
            # A repetition after a word repeats its last letter alone.
            _append(whole, _Needs(frozenset({sign[:-1]})))
            last = _Needs(frozenset({sign[-1]}))
        else:
            last = _single(sign)
    if last is not None:
        _append(whole, last)
    return whole, False


def _single(sign: str) -> _Needs:
    """Return what one sign needs."""
    if sign in _NO_TEXT:
        return _Needs()
    if sign.startswith("["):
        letters = sign[1:-1]
        listed = letters and not letters.startswith("^") and not re.search(r"[-\\\[\]]", letters)
        return _Needs(frozenset(letters)) if listed and len(letters) <= _CLASS_MAX else _unknown()
    if sign == "\\s":
        return _Needs(_SPACE)
    if sign.startswith("\\"):
        return _Needs(frozenset({sign[1]})) if len(sign) == 2 and not sign[1].isalnum() else _unknown()
    return _unknown() if sign == "." else _Needs(frozenset({sign}))


def _unknown() -> _Needs:
    return _Needs(exact=False)


def _repeated(needs: _Needs, sign: str, repeated: re.Match[str]) -> _Needs:
    least = 0 if sign in ("?", "*") else int(repeated[1] or 1)
    if sign == "?" or (needs.exact and needs.texts == _SPACE):
        texts = needs.texts if least else needs.texts | _EMPTY
        return _Needs(texts) if needs.exact and not needs.sets else _unknown()
    if least == 0:
        return _unknown()
    return _Needs(needs.texts, exact=False, sets=needs.sets)


def _append(whole: _Needs, part: _Needs) -> None:
    """Join what follows: texts multiply until they are too many or something unknown comes between."""
    whole.sets += part.sets
    if part.exact and len(whole.texts) * len(part.texts) <= TEXTS_MAX:
        whole.texts = frozenset(a + b for a, b in product(whole.texts, part.texts))
        return
    if _is_useful(whole.texts):
        whole.sets.append(whole.texts)
    whole.texts = part.texts
    whole.exact = False
