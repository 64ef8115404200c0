"""A customer's text folded for comparing, and the way back from the folded text to the places in the original."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

# A turn's texts are asked for twice, by the topics and by what tells repeats; more turns than these are not in between.
TEXTS_REMEMBERED = 32

# Characters without width: soft hyphen, joiners, direction marks, variation selectors, tags. They hide inside words.
_DROPPED_RANGES = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x2064),
    (0x2066, 0x206F),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFB),
)
# What people type for an apostrophe, a quotation mark and a dash.
_SAME = {"'": "´‘’‛ʼ′＇", '"': "“”„‟″", "-": "‐‑‒–—―−⁻₋︱︲﹘", "'n": "ŉ", "'''": "‴", "''''": "⁗"}
_PLAIN_FORM: dict[str, str] = {chr(code): "" for first, last in _DROPPED_RANGES for code in range(first, last + 1)}
_PLAIN_FORM |= {typed: plain for plain, all_typed in _SAME.items() for typed in all_typed}
# Half of a surrogate pair says nothing alone, and no engine takes it: U+FFFD stands in, one for one.
_PLAIN_FORM |= {chr(code): "\ufffd" for code in range(0xD800, 0xE000)}


def _charset(ranges: Iterable[tuple[int, int]]) -> str:
    """Return the inside of a character class, every character spelt as a code point."""
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


# Two patterns, because one class that leaves the basic plane is searched range by range: 4 times slower.
_SINGLES = tuple((ord(typed), ord(typed)) for all_typed in _SAME.values() for typed in all_typed)
_SPECIAL = re.compile(f"[{_charset((*_DROPPED_RANGES, *_SINGLES, (0xD800, 0xDFFF)))}]")
_TAGS = re.compile("[\U000e0000-\U000e01ef]")
# Marks on one letter that count, as in the stream-safe format of Unicode's annex 15. Python puts a run of them in order
# in the square of its length: 100,000 marks took 12 s.
MARKS_MAX = 30

_CONTROLS = bytes([*range(0x20), 0x7F])

# Scripts written without spaces between words: a word may begin and end anywhere.
_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


@lru_cache(maxsize=TEXTS_REMEMBERED)
def normalise(text: str) -> str:
    """Return the text as phrases and patterns see it: NFKC, case folded, zero width dropped, white space folded.

    Accents stay, since `si` and `sí` are two words. Any text is taken, lone surrogates and NUL included.
    """
    if text.isascii():
        lower = text.lower()
        # Nothing to fold in nearly every text, and looking costs half of taking all words apart: without control
        # characters ASCII has no white space but the space, and bytes lose them at twice the speed of `isprintable`.
        plain = len(lower.encode().translate(None, _CONTROLS)) == len(lower)
        if plain and "  " not in lower and lower == lower.strip():
            return lower
        return " ".join(lower.split())
    return " ".join(_fold(text).split())


def _fold(text: str) -> str:
    """Return everything that normalise does except the white space."""
    if _SPECIAL.search(text):
        text = _SPECIAL.sub(_plain_form, text)
    if _TAGS.search(text):
        text = _TAGS.sub("", text)
    if _crowded().search(text):
        text = _crowds().sub(r"\1", text)
    return _cased(text)


def _cased(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    if not unicodedata.is_normalized("NFKC", folded):
        # Folding took some letters apart again (ǰ becomes j and a caron).
        folded = unicodedata.normalize("NFKC", folded)
    return folded


def kept(characters: str) -> str:
    """Return those of the characters that folded texts hold: all that stay what they are, and no other stands there.

    They are folded in one go, a line break between them, for whoever asks about all there are.
    """
    if _cased(characters) == characters == "".join(characters.split()) and not (
        _SPECIAL.search(characters) or _TAGS.search(characters)
    ):
        # Nothing to fold, as in most of the many that no script uses yet: what stays in a row stays alone.
        return characters
    lone = [each for each in characters if not (each.isspace() or each in _PLAIN_FORM or _TAGS.match(each))]
    lone += " " * (" " in characters)
    folded = _cased("\n".join(lone)).split("\n") if lone else []
    return "".join(each for each, form in zip(lone, folded, strict=True) if each == form)


@lru_cache(maxsize=1)
def _crowded() -> re.Pattern[str]:
    """Return a pattern that every run of too many marks holds, quick to look for: the other planes are one range."""
    marks = _charset((code, code) for code in range(0x300, 0x10000) if _is_mark(chr(code)))
    return re.compile(rf"[{marks}\U00010000-\U0010ffff]{{{MARKS_MAX + 1}}}")


@lru_cache(maxsize=1)
def _crowds() -> re.Pattern[str]:
    """Return a pattern of the runs of too many marks, those that count being its first group."""
    marks = _charset((code, code) for code in range(0x300, 0x20000) if _is_mark(chr(code)))
    return re.compile(rf"([{marks}]{{{MARKS_MAX}}})[{marks}]+")


def _is_mark(character: str) -> bool:
    """Return whether a character is put in order among those around it, or becomes one that is."""
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


def _plain_form(special: re.Match[str]) -> str:
    return _PLAIN_FORM[special[0]]


def is_word(character: str) -> bool:
    """Return whether a character carries a word on: a letter, a digit or a mark upon one, of a script with spaces."""
    if character.isascii():
        return character.isalnum()
    return (character.isalnum() or unicodedata.category(character)[0] == "M") and not _SPACELESS.match(character)


def stands_alone(text: str, start: int, end: int) -> bool:
    """Return whether text[start:end] begins and ends at the edge of a word."""
    if start > 0 and is_word(text[start]) and is_word(text[start - 1]):
        return False
    return end >= len(text) or not (is_word(text[end - 1]) and is_word(text[end]))


def original_spans(text: str, folded: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return where spans of the folded text lie in the text it came from, ends exclusive.

    Half of what one character became (the first `f` of a ligature) is that whole character.
    """
    if len(text) == len(folded) and (text.isascii() or _plain().fullmatch(text)):
        return list(spans)
    sources = _sources(text)
    return [(sources[start][0], sources[end - 1][1]) for start, end in spans]


@lru_cache(maxsize=1)
def _plain() -> re.Pattern[str]:
    """Return a pattern of texts in which every character but white space becomes exactly one."""
    codes = [code for code in range(0xA1, 0x600) if _is_plain(chr(code))]
    letters = _charset((code, code) for code in codes)
    # Han characters, symbols and emoji keep to themselves too; a test goes through every one of them.
    return re.compile(rf"[\x00-\x7f{letters}\u2600-\u27bf\u4e00-\u9fff\ud800-\udfff\U0001f300-\U0001faff]*")


def _is_plain(character: str) -> bool:
    return len(_fold(character)) == 1 and _opens(character) and not character.isspace()


def _sources(text: str) -> list[tuple[int, int]]:
    """Return, for every character of the folded text, the stretch of the text it came from."""
    sources: list[tuple[int, int]] = []
    gap: tuple[int, int] | None = None
    for character, start, end in _folded_stretches(text):
        if character.isspace():
            gap = gap or (start, end)
            continue
        if gap and sources:
            sources.append(gap)
        gap = None
        sources.append((start, end))
    return sources


def _folded_stretches(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield every character of the folded text, white space not yet folded, with the stretch it came from."""
    plain = _plain()
    for word in re.finditer(r"\S+|\s+", text):
        # Taken once: a word may be the whole of a long text, and each `word[0]` copies it.
        whole, (first, last) = word[0], word.span()
        if plain.fullmatch(whole):
            yield from zip(whole, range(first, last), range(first + 1, last + 1), strict=True)
            continue
        for start, end in _pieces(whole):
            piece = whole[start:end]
            for character in _folded_letter(piece) if len(piece) == 1 else _fold(piece):
                yield character, first + start, first + end


@lru_cache(maxsize=4096)
def _folded_letter(letter: str) -> str:
    return _fold(letter)


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Yield the smallest stretches of a text that fold on their own."""
    start = 0
    for place in range(1, len(text)):
        if _opens(text[place]):
            yield start, place
            start = place
    if text:
        yield start, len(text)


@lru_cache(maxsize=4096)
def _opens(character: str) -> bool:
    """Return whether nothing before this character can melt into it, so that a piece may begin here.

    A mark joins the letter before it, and so do the vowels and final consonants of Korean.
    """
    if character.isascii():
        return True
    if not _PLAIN_FORM.get(character, character) or _TAGS.match(character):
        return False
    first = unicodedata.normalize("NFKD", character)[0]
    return unicodedata.category(first)[0] != "M" and not "\u1160" <= first <= "\u11ff"
