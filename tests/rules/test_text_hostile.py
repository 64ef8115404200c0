"""Texts that were written to be misread, or to keep the reader busy: nothing is hidden in them, and the places hold."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable

import pytest

from rules.model import Topic
from rules.text.normalise import MARKS_MAX, _is_mark, normalise
from rules.text.topics import Matcher

SAID = "talk to a lawyer"
TOPIC = Topic(
    "t", phrases=("talk to a lawyer",), patterns=(r"talk\s+to (?:\w+ ){0,2}lawyers?\b", r"sue.{0,40}\blawyer")
)
LENGTH = 1_000_000


def shifted(first: int) -> Callable[[str], str]:
    """Return a way of writing letters from another place of Unicode, where the alphabet begins at `first`."""
    return lambda said: "".join(chr(first + ord(letter) - ord("a")) if letter.isalpha() else letter for letter in said)


WRITTEN: dict[str, Callable[[str], str]] = {
    "zero width joiners between letters": "\u200d".join,
    "zero width spaces between letters": "\u200b".join,
    "soft hyphens between letters": "\u00ad".join,
    "variation selectors after letters": "\ufe0f".join,
    "tags after letters": "\U000e0061".join,
    "right to left marks between letters": "\u200f".join,
    "shown from right to left": lambda said: f"\u202e{said}\u202c",
    "isolates around words": lambda said: " ".join(f"\u2067{word}\u2069" for word in said.split()),
    "full width": lambda said: "".join(chr(ord(letter) + 0xFEE0) if letter != " " else "\u3000" for letter in said),
    "mathematical bold": shifted(0x1D41A),
    "mathematical sans-serif": shifted(0x1D5BA),
    "mathematical monospace": shifted(0x1D68A),
    "circled": shifted(0x24D0),
    "between NULs": lambda said: f"\x00{said}\x00",
    "between halves of surrogate pairs": lambda said: f"\ud83d{said}\udc80",
    "ideographic and other spaces": lambda said: said.replace(" ", "\u3000\u2003\u00a0\t"),
    "new lines between words": lambda said: said.replace(" ", "\r\n\u2028"),
}


@pytest.mark.parametrize("before", ["", "é", "\u202e\u200d", "İß ", "\ufdfa ", "e\u0301\u0323 ", "\U0001f600", "転"])
@pytest.mark.parametrize("way", WRITTEN.values(), ids=WRITTEN)
def test_the_words_are_found_and_shown_as_they_were_written(way: Callable[[str], str], before: str) -> None:
    text = f"{before} . {way(SAID)} . {before}"
    (place,) = Matcher({"t": TOPIC}).find(text, "message")
    shown = text[place.start : place.end]
    assert normalise(shown) == SAID
    assert shown[0] in way(SAID)
    assert shown[-1] in way(SAID)


MARKS = "".join(chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000 and _is_mark(chr(code)))
HOSTILE = {
    "marks that must be put in order": "e" + "\u0301\u0323" * (LENGTH // 2),
    "marks of two planes in turn": "e" + "\u0323\U0001d165" * (LENGTH // 2),
    "marks that become two": "\u0f73" * LENGTH,
    "half width voicing marks": "\uff76" + "\uff9e\u0323" * (LENGTH // 2),
    "every mark there is": "e" + MARKS * (LENGTH // len(MARKS)),
    "letters with three marks each": "e\u0301\u0323\u0302" * (LENGTH // 4),
    "one word of opening quotes": "“" * LENGTH,
    "syllables typed apart": "\u1100\u1161\u11a8" * (LENGTH // 3),
    "halves of surrogate pairs": "\ud83d" * LENGTH,
    "joiners": "\u200d" * LENGTH,
    "half of what is looked for": "talk to a " * (LENGTH // 10),
    "words that patterns need": "sue lawyer lawyers " * (LENGTH // 19),
    "white space": " \t\n\u3000" * (LENGTH // 4),
    "NUL": "\x00" * LENGTH,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_stands_after_a_hostile_million_characters_is_found(text: str) -> None:
    # Most of these took minutes to hours as long as some step looked at all of the text for each of its characters.
    patterns = (r"\basks? for (?:\w+ ){0,2}lawyers?\b",)
    matcher = Matcher({"t": Topic("t", phrases=("my lawyer",), patterns=patterns)})
    whole = f"{text} . She ASKS for my lawyer"
    told = matcher.find(whole, "message")
    assert [whole[each.start : each.end] for each in told] == ["ASKS for my lawyer"]


@pytest.mark.parametrize("mark", ["\u0301", "\U0001d165", "\u0f73", "\uff9e", "\u0301\u200d"])
def test_marks_beyond_those_that_count_are_left_out(mark: str) -> None:
    most, more = ("e" + mark * count for count in (MARKS_MAX, MARKS_MAX * 100))
    assert normalise(more) == normalise(most)
    text = f"{more} pay {more}"
    (place,) = Matcher({"t": Topic("t", phrases=("pay",))}).find(text, "message")
    assert text[place.start : place.end] == "pay"


def test_no_character_becomes_a_mark_in_front_that_is_not_counted() -> None:
    for code in range(sys.maxunicode + 1):
        first = unicodedata.normalize("NFKD", chr(code).casefold())[:1]
        assert not first or not unicodedata.combining(first) or 0x300 <= code < 0x20000, hex(code)
