"""A pattern that no text can hold, as texts stand when patterns are looked for, is told, and no other is."""

from __future__ import annotations

import random
import sys
import unicodedata
from functools import cache
from itertools import product

import pytest
import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import compile_files
from rules.model import Topic
from rules.text.normalise import kept, normalise
from rules.text.patterns import alternatives, pattern_problem
from rules.text.phrases import phrase_problem
from rules.text.topics import Matcher
from tests.rules import text_samples

CAPITALS = (
    "asks for capital letters, and a text is read in small letters -> write small letters, or `\\pL` for any letter"
)
WHITE = "asks for white space that is no space, and a text is read with single spaces -> write a space or `\\s`"
WIDTH = "asks for a character without width, and a text is read without these -> remove it"
PLAINER = "is read in a plainer form in every text -> write the plain form"
TWO = "it asks for a space behind a space, and a text is read with single spaces -> write one space, or `\\s+`"
END = "it asks for a space at an end of the text, and a text is read without these -> remove the space"
PLACE = "cannot stand behind what is before it -> correct or remove one of the two"
NEVER = {
    r"\p{Lu}+": rf"`\p{{Lu}}` {CAPITALS}",
    r"\pLx\p{Lt}": rf"`\p{{Lt}}` {CAPITALS}",
    r"please [[:upper:]]{3}": f"`[[:upper:]]` {CAPITALS}",
    r"[\x41-\x5a]\w+": rf"`[\x41-\x5a]` {CAPITALS}",
    r"\b\p{Lu}\pL*\b": rf"`\p{{Lu}}` {CAPITALS}",
    r"\x41bc": r"`\x41` is read as `a` in every text -> write `a`",
    r"caf\x{c9}": r"`\x{c9}` is read as `é` in every text -> write `é`",
    r"\x{ff21}": r"`\x{ff21}` is read as `a` in every text -> write `a`",
    r"\x{df}": r"`\x{df}` is read as `ss` in every text -> write `ss`",
    r"[\x{ff41}-\x{ff45}]": rf"what `[\x{{ff41}}-\x{{ff45}}]` asks for {PLAINER}",
    r"it\x{2019}s": r"`\x{2019}` is read as `'` in every text -> write `'`",
    r"refund\nnow": rf"`\n` {WHITE}",
    "refund now\n": rf"`\n` {WHITE}",
    "refund\t+now": rf"`\t` {WHITE}",
    r"[\r\n]": rf"`[\r\n]` {WHITE}",
    r"\x{a0}": rf"`\x{{a0}}` {WHITE}",
    r"\p{Zl}": rf"`\p{{Zl}}` {WHITE}",
    "a(?:\u200b)": rf"`\x{{200b}}` {WIDTH}",
    r"a\x{ad}b": rf"`\x{{ad}}` {WIDTH}",
    r"[^\s\S]": r"`[^\s\S]` stands for no character -> correct or remove it",
    r"\p{Cs}": r"`\p{Cs}` stands for no character -> correct or remove it",
    "my  money": TWO,
    r"my\s\s+money": TWO,
    r"my {2}money": TWO,
    r"(?:my )+ money": TWO,
    r"(?:\sa\s){2}": TWO,
    r"my[ ] ?\smoney": TWO,
    "^ my": END,
    r"my\s$": END,
    r"(?:^|$) my": END,
    r"my\bmoney": f"`m` {PLACE}",
    r"my\B money": f"` ` {PLACE}",
    "a^b": f"`^` {PLACE}",
    "a$b": f"`b` {PLACE}",
}


RULES = "rules:\n- {id: r, why: x, when: topics has t, then: continue}\n"


def told(pattern: str) -> list[str]:
    quoted = pattern.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\u200b", "\\u200b")
    text = f'handrail: 1\ntopics:\n  t: {{patterns: ["{quoted}"]}}\n{RULES}'
    files, problems = compile_files({"f.yaml": text})
    assert files is not None, problems
    return [f"{each.span.line}: {each.code}: {each.message} -> {each.next_step}" for each in problems]


@pytest.mark.parametrize("pattern", NEVER)
def test_a_pattern_that_is_never_found_is_told_with_what_to_write(pattern: str) -> None:
    assert told(pattern) == [f"3: W227: this pattern is never found: {NEVER[pattern]}"]


def test_a_pattern_of_which_one_alternative_is_never_found_is_told() -> None:
    facts = told(r"refund me|\p{Lu}{4,}")
    assert facts == [rf"3: W227: an alternative of this pattern is never found: `\p{{Lu}}` {CAPITALS}"]


def test_a_line_break_that_nobody_sees_is_told_as_what_the_block_text_makes_of_it() -> None:
    problems = compile_files(
        {"f.yaml": f"handrail: 1\ntopics:\n  t:\n    patterns:\n    - |\n      refund me\n{RULES}"}
    )[1]
    assert [(each.code, each.next_step) for each in problems] == [
        ("W227", "write the pattern in one line, in single quotes")
    ]


# A text that each is found in.
FOUND = {
    "REFUND [A-Z]+": "Refund NOW",
    "ＲＥＦＵＮＤ": "refund",
    r"my\s*\s+money": "my  money",
    r"(?:my | )?money": "money",
    r"(?:x|\p{Lu})y": "xy",
    r"(?:\p{Lu}\w+ )?name": "Name",
    r"^\s*no\s*$": " no ",
    r"a(?:$| b)": "a b",
    r"(?:\s|,)\s": "a, b",
    r"a (?:b |)c": "a b c",
    r"\S\b\S": "a!",
    r"\d+\b%": "5%",
    r"(?:a | a)+b": "a ab",
    r" (?:a |b| c) ": "a b c",
    r"\p{Cherokee}": "ꭰ",
    r"[\p{Lu}\p{Cherokee}]": "ꭰ",
    r"[\x{13a0}-\x{13f5}]": "Ꭰ",
    r"[\pL]+": "été",
    r"\p{Han}": "我",
    r"[а-яё]+": "ДА",
    r"\x{1F600}": "😀",
    r"\x00": "\x00",
    r"(?)x": "x",
    "{": "{",
    "ǰ": "J\u030c",
    r"(?P<who>i|we) sue": "We sue",
}


@pytest.mark.parametrize("pattern", FOUND)
def test_a_pattern_that_may_be_found_is_left_alone(pattern: str) -> None:
    assert told(pattern) == []
    assert Matcher({"t": Topic("t", patterns=(pattern,))}).find(f"so, {FOUND[pattern]}", "message") or pattern[0] == "^"


def test_groups_in_groups_in_groups_are_read() -> None:
    for depth in (10, 39, 41, 300):
        pattern = "(?:" * depth + "a  b" + ")" * depth
        if pattern_problem(pattern) is None:
            assert (alternatives(pattern)[0].never_found is None) == (depth > 39)
    starred = "(?:" * 30 + "a " + ")+" * 30 + " b"
    assert alternatives(starred)[0].never_found is not None


def test_what_folded_texts_hold_is_what_stays_of_each_character() -> None:
    # Beyond these no character folds, or joins another.
    rest = "".join(map(chr, (*range(0x30000, 0xE0000), *range(0xE1000, sys.maxunicode + 1))))
    assert kept(rest) == normalise(rest) == rest
    every = [*map(chr, (*range(0xD800), *range(0xE000, 0x30000), *range(0xE0000, 0xE1000)))]
    held = set(kept("".join(every)))
    assert held == {each for each in every if normalise(each) == each} | {" "}
    # Nothing else comes of a character, or of two that join.
    for first in range(0, len(every), 0x1000):
        assert set(normalise(" ".join(every[first : first + 0x1000]))) <= held
    joined = [unicodedata.normalize(form, each) for each in every for form in ("NFD", "NFKD")]
    assert set(normalise(" ".join(each for each in joined if len(each) > 1))) <= held
    blocks = (every[first : first + 0x800] for first in range(0, len(every), 0x800))
    assert held - {" "} == {each for block in blocks for each in kept("".join(block))} - {" "}


def test_of_all_capitals_texts_keep_cherokee_alone() -> None:
    held = kept("".join(map(chr, range(0x20000)))).encode()
    assert {chr(code) for code in (*range(0x13A0, 0x13F6),)} == {
        found.group().decode() for found in re2.finditer(rb"[\p{Lu}\p{Lt}]", held)
    }


SIGNS = [
    "a",
    ",",
    " ",
    r"\s",
    r"\w",
    r"\S",
    ".",
    r"\b",
    r"\B",
    "^",
    "$",
    "[a ]",
    "[, ]",
    "[^ ]",
    r"\p{Lu}",
    r"\n",
    "a ",
    " a",
]
COUNTED = ("", "", "", "", "?", "{2}", "{0,2}", "{0}", "??")
UNCOUNTED = (*COUNTED, "*", "+", "{2,}", "+?")
LENGTH_MAX = 5


@st.composite
def patterns(draw: st.DrawFn, often: tuple[str, ...], depth: int = 2) -> str:
    """Return a pattern of few signs, most of them white space and edges."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        if depth and draw(st.integers(0, 3)) == 0:
            ways = draw(st.lists(patterns(often, depth - 1), min_size=1, max_size=3))
            part = f"(?:{'|'.join(ways)})"
        else:
            part = draw(st.sampled_from(SIGNS))
        parts.append(part + (draw(st.sampled_from(often)) if part not in ("^", "$", r"\b", r"\B") else ""))
    return "".join(parts)


@cache
def short_texts() -> tuple[bytes, ...]:
    """Return every folded text of a letter, a comma and spaces that holds so many, and one more on each side."""
    texts = ["".join(each) for length in range(LENGTH_MAX + 3) for each in product("a, ", repeat=length)]
    return tuple(text.encode() for text in texts if normalise(text) == text)


def is_found(pattern: str) -> bool:
    """Return whether one of the short texts holds the pattern."""
    whole = re2.compile(pattern.encode())
    return any(map(whole.search, short_texts()))


@settings(max_examples=150, deadline=None)
@given(patterns(UNCOUNTED))
@example(r"(?:\sa\s|,a\s)\s")
@example(r"\s(?:a\s|\Ba)\s")
@example(r"(?:\sa )+\s")
def test_what_is_told_stands_in_no_short_text(pattern: str) -> None:
    if pattern_problem(pattern) is None:
        for way in alternatives(pattern):
            assert way.never_found is None or not is_found(way.core)


@settings(max_examples=150, deadline=None)
@given(patterns(COUNTED))
@example(r"\s(?:a\s|,|\sa)\s")
@example(r"(?: a ){2}")
@example(r"(?:\sa\s){2}")
@example(r"(?:a{0} | ){2}a")
@example(r" {0} a")
@example(r"a\ba")
def test_what_is_not_told_stands_in_a_short_text(pattern: str) -> None:
    if pattern_problem(pattern) is None:
        for way in alternatives(pattern):
            length = text_samples.length_max(way.core.replace(r"\p{Lu}", "A"))
            assert way.never_found is not None or length > LENGTH_MAX or is_found(way.core)


LETTERS = st.sampled_from([*"abcABC ", *"éÉßﬁＡǰ\u200b\n\t…？’İⅣªꭰΣ我", "\u0301", "\xa0", "\u0345"])
TEXTS = st.one_of(st.text(LETTERS, min_size=1, max_size=12), st.text(min_size=1, max_size=12))


@st.composite
def patterns_of(draw: st.DrawFn, folded: str) -> str:
    """Return a pattern that a folded text holds as a whole."""
    parts = []
    for character in folded:
        code, category = ord(character), unicodedata.category(character)
        ways = [rf"\x{{{code:x}}}", rf"[\x{{{code:x}}}]", rf"[^\x{{{code ^ 1:x}}}]", rf"\p{{{category[0]}}}", "."]
        ways = [way for way in ways if category[0] != "C" or "p{" not in way]
        ways += [r"\s", r"\s+", "(?: |x)"] if character == " " else [r"\S", rf"(?:\x{{{code:x}}}|\p{{Lu}})", r"\S+?"]
        parts.append(
            draw(st.sampled_from(ways)) + draw(st.sampled_from(["", "", "", "+", "{1,3}", r"\s*", r"(?:\n)?"]))
        )
    return "".join(parts)


@settings(max_examples=150, deadline=None)
@given(st.data(), TEXTS)
def test_a_pattern_made_of_a_folded_text_is_never_told(data: st.DataObject, text: str) -> None:
    folded = normalise(text)
    pattern = data.draw(patterns_of(folded))
    if not folded or any(0xD7FF < ord(each) < 0xE000 for each in folded) or pattern_problem(pattern) is not None:
        return
    assert all(way.places(folded, folded.encode()) for way in alternatives(pattern))
    assert [way.never_found for way in alternatives(pattern)] == [None]


DEAD = [
    r"\p{Lu}",
    r"\x41",
    r"[[:upper:]]",
    "  ",
    r"\s\s",
    r"\n",
    r"\x{200b}",
    r"\x{ff41}",
    r"\x{c9}",
    r"[\x{410}-\x{42f}]",
]


def test_a_made_up_pattern_with_a_sign_that_no_text_has_is_told_and_found_nowhere() -> None:
    rng = random.Random(11)
    sure = 0
    for _ in range(60):
        before, after = text_samples.pattern(rng), text_samples.pattern(rng)
        dead = rng.choice(DEAD)
        pattern = rf"(?:{before.removeprefix('(?i)')}){dead}(?:{after.removeprefix('(?i)')})"
        if pattern_problem(pattern) is not None:
            continue
        (way,) = alternatives(pattern)
        assert way.never_found is not None, pattern
        sure += 1
        middles = ["", "A", "a", "É", "А", "  ", "\n", "\u200b", "ａ", " "]
        for middle in middles:
            said = text_samples.sample(rng, before) + middle + text_samples.sample(rng, after)
            folded = normalise(text_samples.text_around(rng, said, 5))
            assert way.places(folded, folded.encode()) == [], (pattern, folded)
    assert sure > 40


def test_a_made_up_pattern_that_is_found_in_its_texts_is_not_told() -> None:
    rng = random.Random(12)
    for _ in range(60):
        pattern = text_samples.pattern(rng)
        lost = [way for way in alternatives(pattern) if way.never_found is not None]
        for _ in range(10):
            folded = normalise(text_samples.text_around(rng, text_samples.sample(rng, pattern), 5))
            assert not any(way.places(folded, folded.encode()) for way in lost), (pattern, folded)


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_a_phrase_that_is_taken_is_found_in_itself(phrase: str) -> None:
    if phrase_problem(phrase) is None:
        assert Matcher({"t": Topic("t", phrases=(phrase,))}).find(phrase, "message")
