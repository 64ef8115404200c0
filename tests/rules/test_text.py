"""The matcher finds what a slow reading in plain Python finds, whatever the text."""

from __future__ import annotations

import re
import sys
import threading
import unicodedata
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rules.model import Topic
from rules.text.literals import needed_words
from rules.text.normalise import _is_plain, _plain, _sources, is_word, normalise, original_spans
from rules.text.patterns import PATTERN_LENGTH_MAX, PLACES_MAX, alternatives
from rules.text.topics import EVIDENCE_MAX, PHRASE_LENGTH_MAX, Matcher, pattern_problem, phrase_problem


def topic(name: str = "t", /, **fields: Any) -> dict[str, Topic]:
    return {name: Topic(name=name, **fields)}


def found(matcher: Matcher, text: str, inside: Literal["message", "reply"] = "message") -> list[tuple[str, str]]:
    return [(evidence.topic, text[evidence.start : evidence.end]) for evidence in matcher.find(text, inside)]


@pytest.mark.parametrize("before", [0, 5, 17, 18, 30, 60, 300])
def test_a_pattern_at_the_start_or_after_a_stop_is_found_however_far_into_the_text(before: int) -> None:
    pattern = (
        "(?:^|[.,;!?:] )(?:please |pls )?(?:an? |your |the )?(?:real |human )?"
        "(?:supervisor|manager),? (?:please|pls|now|asap|immediately)(?:[.!,]|$)"
    )
    matcher = Matcher(topic(patterns=(pattern,)))
    assert found(matcher, f"{'x' * before}, supervisor now") == [("t", ", supervisor now")]


FOLDED = {
    "case is folded": ("Talk To A PERSON", "talk to a person"),
    "ß and its capital are ss": ("STRAẞE Straße", "strasse strasse"),
    "accents are kept": ("Sí, señor", "sí, señor"),
    "an accent typed apart is the accented letter": ("sen\u0303or", "señor"),
    "full width letters are letters": ("ＨＵＭＡＮ", "human"),
    "a ligature is its letters": ("ﬁne", "fine"),
    "zero width is dropped": ("per\u200bson\u00ad \ufeffnow\u2060", "person now"),
    "direction marks are dropped": ("\u202etalk\u202c", "talk"),
    "variation selectors are dropped": ("\u2764\ufe0f", "\u2764"),
    "tags are dropped": ("a\U000e0041b", "ab"),
    "typographic quotes are plain": ("I don’t “know”", 'i don\'t "know"'),
    "dashes are plain": ("a\u2013b\u2014c", "a-b-c"),
    "white space is folded": (" a\t\n b\u00a0\u2003c\u2028", "a b c"),
    "a lone surrogate stands as U+FFFD": ("a\ud800b", "a\ufffdb"),
    "NUL stays": ("a\x00b", "a\x00b"),
    "an empty text stays empty": ("", ""),
}


@pytest.mark.parametrize(("text", "folded"), FOLDED.values(), ids=FOLDED)
def test_normalise(text: str, folded: str) -> None:
    assert normalise(text) == folded


def is_assigned(code: int) -> bool:
    return unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")


def test_every_character_folds_to_what_folds_to_itself_and_can_be_traced_back() -> None:
    for code in filter(is_assigned, range(sys.maxunicode + 1)):
        for text in (chr(code), f"e{chr(code)}\u0301"):
            folded = normalise(text)
            assert normalise(folded) == folded, hex(code)
            assert len(_sources(text)) == len(folded), hex(code)


def test_a_plain_text_keeps_its_length() -> None:
    plain = _plain()
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if plain.fullmatch(character) and not character.isspace():
            assert _is_plain(character), hex(code)


anything = st.text(st.characters(codec=None), max_size=40)
marked = st.text(
    st.sampled_from("ae \u0301\u0323\u200b\u1100\u1161\u11a8\uff76\uff9e\u09c7\u09be¨ﬁßǰİ\ud800\U0001f600"), max_size=20
)


@given(anything | marked)
@example("\u00a8 a")
def test_every_folded_character_comes_from_where_it_is_said_to(text: str) -> None:
    folded = normalise(text)
    sources = _sources(text)
    assert len(sources) == len(folded)
    assert normalise(folded) == folded
    assert sources == sorted(sources)
    for place, (start, end) in enumerate(sources):
        if folded[place] != " ":
            assert folded[place] in normalise(text[start:end])


def test_spans_of_a_text_that_was_squeezed_are_places_in_the_original() -> None:
    text = "  Please \u200b talk   to a\u00a0HUMAN ﬁrst"
    folded = normalise(text)
    start = folded.index("talk")
    ((begin, end),) = original_spans(text, folded, [(start, start + len("talk to a human"))])
    assert text[begin:end] == "talk   to a\u00a0HUMAN"


REFUSED = {
    "look-ahead": (
        "(?=a)b",
        "look-around `(?=a` needs a search that can run away; say it with `unless:` or another phrase",
    ),
    "look-behind": (
        "(?<!a)b",
        "look-around `(?<!` needs a search that can run away; say it with `unless:` or another phrase",
    ),
    "a back-reference": (r"(a)\1", r"a back-reference `\1` needs a search that can run away; write the words out"),
    "a named back-reference": (
        "(?P<n>a)(?P=n)",
        "a back-reference `(?P=` needs a search that can run away; write the words out",
    ),
    "an atomic group": ("(?>a)", "`(?>a` is not part of the pattern language; use a plain group `(?:…)`"),
    "a flag": ("(?s)a.b", "the flag `(?s)` is not needed: case never counts, and a text is one line"),
    "quoting": (r"\Qa.b\E", r"`\Q` is not part of the pattern language; put a backslash before each sign instead"),
    "the empty text": ("a*", "matches the empty text, so it would be found everywhere; ask for at least one character"),
    "only a boundary": (
        r"\b",
        "matches the empty text, so it would be found everywhere; ask for at least one character",
    ),
    "an empty alternative": (
        "a|",
        "matches the empty text, so it would be found everywhere; ask for at least one character",
    ),
    "a long repetition": ("a{500}", "repeats `{500}`, the limit is 200; use a shorter distance"),
    "too long": ("a" * 1001, "1001 characters long, the limit is 1000; split it into several patterns"),
    "too large": (r"(?:\pL+ ?){1,100}!", "not a pattern: pattern too large - compile failed"),
    "a boundary beside an accented letter": (
        r"x \bété",
        "`\\b` inside a pattern knows ASCII letters only; beside other letters write a space, or split the pattern",
    ),
    "an open group": ("(a", "not a pattern: missing ): ((a)"),
    "a possessive repetition": ("a++", "not a pattern: bad repetition operator: ++"),
    "half of a surrogate pair": ("\ud800", "holds half of a surrogate pair, which no text can contain"),
}


@pytest.mark.parametrize(("pattern", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_pattern_is_refused_with_its_reason(pattern: str, reason: str) -> None:
    assert pattern_problem(pattern) == reason


ACCEPTED = [
    r"\bguaranteed\s+returns?\b",
    "(?i)Refund",
    r"[^\d\s]+@",
    r"\pL{2,5}\d",
    "a|b|c",
    "été",
    r"(?P<who>me|you) too",
    r"\$\d+",
]


@pytest.mark.parametrize("pattern", ACCEPTED)
def test_a_pattern_is_accepted(pattern: str) -> None:
    assert pattern_problem(pattern) is None


def test_a_phrase_without_a_word_or_without_an_end_is_refused() -> None:
    assert phrase_problem("\u200b ") == "holds nothing to look for"
    assert (
        phrase_problem("x" * (PHRASE_LENGTH_MAX + 1))
        == "201 characters long, the limit is 200; keep the words that tell"
    )
    assert phrase_problem("talk to a person") is None


# topic fields, text, what is found
FOUND: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "a phrase in any case and spacing": ({"phrases": ("talk to me",)}, "I'll TALK  to\nme.", ["TALK  to\nme"]),
    "not inside a longer word": ({"phrases": ("person",)}, "personal, superperson, person2", []),
    "not before an accented letter": ({"phrases": ("caf",)}, "café", []),
    "not before a letter with its accent apart": ({"phrases": ("x",)}, "x\u0331y", []),
    "beside punctuation": ({"phrases": ("person",)}, "(person)-person_person", ["person", "person", "person"]),
    "a phrase with signs at its end": ({"phrases": ("c++", "$5")}, "c++ code c++2 a$5", ["c++", "c++", "$5"]),
    "a phrase in a script without spaces": ({"phrases": ("转人工",)}, "请帮我转人工服务", ["转人工"]),
    "right to left": ({"phrases": ("שלום",)}, "\u200fשלום לך", ["שלום"]),
    "emoji": ({"phrases": ("😡",)}, "no😡!", ["😡"]),
    "an emoji with a skin and a joiner": ({"phrases": ("help",)}, "👩🏽\u200d💻 help", ["help"]),
    "hidden by zero width characters": ({"phrases": ("person",)}, "per\u200bs\u00adon", ["per\u200bs\u00adon"]),
    "around NUL and lone surrogates": ({"phrases": ("person",)}, "\x00person\ud83d", ["person"]),
    "a pattern at the edges of words": ({"patterns": (r"\bfees?\b",)}, "coffee fee feeling fées", ["fee"]),
    "a pattern beside accents": ({"patterns": (r"\bno\b",)}, "noé éno no", ["no"]),
    "a shorter word where the longer one goes on": ({"patterns": (r"\bfoo(?: bar)?\b",)}, "foo barista", ["foo"]),
    "the same beside an accent": ({"patterns": (r"\bfoo(?: bar)?\b",)}, "foo baré", ["foo"]),
    "boundaries of each alternative": ({"patterns": (r"\bcat|dog\b",)}, "cats, concat, hotdog, dogs", ["cat", "dog"]),
    "letters of a pattern are folded": ({"patterns": ("[A-C]X", "É\\S+", "ﬁx")}, "bx ébd fix", ["bx", "ébd", "fix"]),
    "places side by side": ({"patterns": (r"\ba\b",)}, "a a a", ["a", "a", "a"]),
    "the longest from the leftmost": ({"phrases": ("a b", "a b c", "b c d")}, "a b c d", ["a b c"]),
    "taken back by what overlaps it": ({"phrases": ("say it",), "unless": ("don't say",)}, "I don’t say it", []),
    "taken back by what surrounds it": ({"phrases": ("hr",), "unless": ("an hr clerk",)}, "an HR clerk, hr", ["hr"]),
    "a pattern taken back": ({"patterns": ("agents?",), "unless": ("travel agent",)}, "travel agent, agent", ["agent"]),
    "not taken back by its neighbour": ({"phrases": ("human",), "unless": ("not a",)}, "not a human", ["human"]),
    "not taken back by half a word": ({"phrases": ("human",), "unless": ("human be",)}, "human beings", ["human"]),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "text", "places"), FOUND.values(), ids=FOUND)
def test_find(fields: dict[str, Any], text: str, places: list[str]) -> None:
    assert [place for _, place in found(Matcher(topic(**fields)), text)] == places


def test_a_topic_is_looked_for_only_where_its_file_says() -> None:
    topics = topic("said", phrases=("refund",)) | topic("promised", phrases=("refund",), inside=frozenset({"reply"}))
    matcher = Matcher(topics)
    assert found(matcher, "a refund", "message") == [("said", "refund")]
    assert found(matcher, "a refund", "reply") == [("promised", "refund")]


def test_evidence_names_the_words_of_the_rule_file_and_not_the_customers() -> None:
    (evidence,) = Matcher(topic(phrases=("Speak to Someone",))).find("pls SPEAK TO SOMEONE", "message")
    assert evidence.matched == "Speak to Someone"


def test_one_topic_keeps_a_bounded_number_of_places_and_hides_no_other() -> None:
    matcher = Matcher(topic("often", phrases=("pay",)) | topic("once", patterns=("sue",)))
    places = found(matcher, "pay " * 1000 + "sue")
    assert places == [("often", "pay")] * EVIDENCE_MAX + [("once", "sue")]


def test_no_topics_find_nothing() -> None:
    assert Matcher({}).find("anything", "message") == ()


def test_an_anchor_stands_anywhere_in_a_pattern() -> None:
    pattern = r"(?:^|x)person"
    assert pattern_problem(pattern) is None
    matcher = Matcher(topic(patterns=(pattern, "a(?:b$|c)")))
    assert [place for _, place in found(matcher, "person ab")] == ["person", "ab"]


def test_a_pattern_of_many_words_is_found_by_each() -> None:
    long = "(?:" + "|".join(f"word{number}" for number in range(60)) + r")\s(?:please|now)"
    assert found(Matcher(topic(patterns=(long,))), "x word59 now") == [("t", "word59 now")]


# a pattern, and sets of words of which every text that it is found in must hold one each
NEEDED: dict[str, list[set[str]]] = {
    r"guaranteed\s+returns?": [{"guaranteed return"}],
    r"sue\s*you": [{"sueyou", "sue you"}],
    r"sue {1,3}you\s?": [{"sue you"}],
    r"sue\s{0,2}you": [{"sueyou", "sue you"}],
    r"sue[\s]+you": [{"you"}, {"sue"}],
    "sue.*you": [{"you"}, {"sue"}],
    "sue me.*attorneys": [{"attorneys"}],
    "foo(?:bar|bazz)+x?": [{"foo"}, {"bar", "bazz"}],
    r"(?:speak|talk) to (?:\w+ )?(?:human|person)": [{"speak to ", "talk to "}, {"human", "person"}],
    "[ab]cde": [{"acde", "bcde"}],
    "colou?r.{0,5}(?:x|yz)": [{"color", "colour"}],
    "(?:abc|c.*def)ghi": [{"ghi"}, {"abc", "def"}],
    "x(?:c.*def)ghi": [{"defghi"}],
    "x(?:c.*def)?yyy": [{"yyy"}],
    "abc{0}defg?": [{"def"}],
    "abc+?def": [{"cdef"}],
    r"1\.50": [{"1.50"}],
    "a?b": [],
    r"\d{16}": [],
}  # fmt: skip


@pytest.mark.parametrize("pattern", NEEDED)
def test_words_that_a_pattern_cannot_do_without(pattern: str) -> None:
    (alternative,) = alternatives(pattern)
    assert {frozenset(words) for words in alternative.needed_words} == set(map(frozenset, NEEDED[pattern]))


def test_a_pattern_that_is_only_an_end_needs_nothing() -> None:
    assert needed_words([]) == ()


def slow_hits(fields: dict[str, tuple[str, ...]], folded: str) -> list[tuple[int, int]]:
    """Return what a reader with all the time in the world finds, in places of the folded text."""

    def word(place: int) -> bool:
        return 0 <= place < len(folded) and (folded[place].isalnum() or unicodedata.category(folded[place])[0] == "M")

    def of_phrases(phrases: tuple[str, ...]) -> list[tuple[int, int]]:
        places = []
        for phrase in map(normalise, phrases):
            for start in range(len(folded)):
                end = start + len(phrase)
                inside = (word(start - 1) and word(start)) or (word(end - 1) and word(end))
                if phrase and folded.startswith(phrase, start) and not inside:
                    places.append((start, end))
        return places

    hits = of_phrases(fields["phrases"])
    for pattern in fields["patterns"]:
        strict = re.sub(r"^\\b", r"(?<![^\\W_])", re.sub(r"\\b$", r"(?![^\\W_])", pattern))
        hits += [found.span() for found in re.finditer(strict, folded) if found.group()]
    taken_back = of_phrases(fields["unless"])
    left = [hit for hit in hits if not any(hit[0] < end and start < hit[1] for start, end in taken_back)]
    kept: list[tuple[int, int]] = []
    for start, end in sorted(left, key=lambda hit: (hit[0], -hit[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept[:EVIDENCE_MAX]


BOUNDARY = r"\b"
LETTERS = "abé .-ñ"
atoms = st.sampled_from(["a", "b", "é", " ", r"\.", "[ab]", "[^a]", "(?:a|bé)", "(?:ab|b)", r"\pL", "ñ?"])
pieces = st.tuples(atoms, st.sampled_from(["", "", "", "+", "?", "{1,2}", "{0,6}", "*"])).map("".join)
bare_patterns = st.lists(pieces, min_size=1, max_size=4).map("".join)
# A boundary before a sign means little; where such places overlap at a text's start, only the first one is told.
lettered = st.sampled_from(["", "a", "é", "[ab]+", "(?:a|bé)", r"\pL"])
patterns = st.builds(
    lambda start, middle, end: f"{start and BOUNDARY + start}{middle}{end}",
    lettered,
    bare_patterns,
    st.sampled_from(["", BOUNDARY]),
).filter(lambda pattern: pattern_problem(pattern) is None)
phrases = st.text(LETTERS, min_size=1, max_size=4).filter(lambda phrase: phrase_problem(phrase) is None)


@example(("-",), (), ("-",), ["---"])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(
    st.lists(phrases, max_size=4).map(tuple),
    st.lists(patterns, max_size=3).map(tuple),
    st.lists(phrases, max_size=2).map(tuple),
    st.lists(st.text(LETTERS, max_size=24), min_size=1, max_size=4),
)
def test_the_matcher_finds_what_a_slow_reading_finds(
    listed: tuple[str, ...], patterned: tuple[str, ...], unless: tuple[str, ...], texts: list[str]
) -> None:
    fields: dict[str, Any] = {"phrases": listed, "patterns": patterned, "unless": unless}
    slow = {key: value for key, value in fields.items() if key != "patterns"}
    slow["patterns"] = tuple(pattern.replace(r"\pL", r"[^\W\d_]") for pattern in patterned)
    matcher = Matcher(topic(**fields))
    for text in texts:
        folded = normalise(text)
        expected = original_spans(text, folded, slow_hits(slow, folded))
        assert [(hit.start, hit.end) for hit in matcher.find(text, "message")] == expected


decorations = st.sampled_from(["\u200b", "\u00ad", "\u2060", "\ufe0f"])


@given(
    st.data(), st.text(st.characters(codec="utf-8"), max_size=12), st.text(st.characters(codec="utf-8"), max_size=12)
)
def test_a_phrase_is_found_however_it_is_dressed_up(data: st.DataObject, before: str, after: str) -> None:
    dressed = ""
    for character in "talk to señor":
        full_width = chr(ord(character) + 0xFEE0) if character.isascii() and character.isalpha() else character
        dressed += data.draw(
            st.sampled_from([character, character.upper(), full_width, unicodedata.normalize("NFD", character)])
        )
        dressed += data.draw(st.sampled_from(["", "", ""]) | decorations) if character != "ñ" else ""
    text = f"{before} . {dressed} . {after}"
    places = [place for _, place in found(Matcher(topic(phrases=("Talk to señor",))), text)]
    assert "talk to señor" in [normalise(place) for place in places]


HOSTILE = {
    "one letter over and over": "a" * 100_000,
    "almost the pattern over and over": "a b " * 25_000,
    "nothing but opening quotes": "“" * 100_000,
    "marks on one letter": "e" + "\u0301" * 100_000,
    "white space": " \t" * 50_000,
    "emoji": "👩🏽\u200d💻" * 20_000,
    "ligatures that grow": "\ufdfa" * 5_000,
    "lone surrogates": "\udc80" * 100_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_of_100_kb_is_read_in_bounded_time(text: str) -> None:
    fields: dict[str, Any] = {
        "phrases": ("a", "aa", "aaaaaaaaaaaaaaaaaaab", "a b a b a b c", "person"),
        "patterns": (r"(?:a+)+b", r"(?:a|aa)+$", r"\b(?:\w+\s?)+!", r"(?:a b )*c", r"(?:.{0,40}person){3}"),
        "unless": ("b a",),
    }
    matcher = Matcher(topic(**fields))
    # Python's own `re` needs minutes for the first of these patterns.
    places = matcher.find(text + " PERSON", "message")
    assert (text + " PERSON")[places[-1].start : places[-1].end].endswith("PERSON") or len(places) == EVIDENCE_MAX


def test_a_pattern_that_stands_everywhere_is_looked_up_a_bounded_number_of_times() -> None:
    (pattern,) = alternatives("x")
    assert len(pattern.places("x" * 1000, b"x" * 1000)) == PLACES_MAX


def test_threads_share_one_matcher() -> None:
    matcher = Matcher(topic(phrases=("person",), patterns=(r"\bfee\d+\b",)))
    wrong: list[object] = []

    def search(number: int) -> None:
        for turn in range(400):
            text = f"é person {number} fee{number}{turn} " + "x" * turn
            if [place for _, place in found(matcher, text)] != ["person", f"fee{number}{turn}"]:
                wrong.append(text)

    threads = [threading.Thread(target=search, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_pattern_has_a_length_that_a_person_can_read() -> None:
    assert pattern_problem("a" * PATTERN_LENGTH_MAX) is None


def test_a_word_goes_on_with_letters_digits_and_marks_of_scripts_with_spaces() -> None:
    assert [character for character in "a9é\u0301क_ -転😀" if is_word(character)] == ["a", "9", "é", "\u0301", "क"]
