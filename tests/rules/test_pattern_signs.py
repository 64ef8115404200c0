"""A sign that folds to one with a meaning in patterns, as `？` does, stands for itself: nobody typed the meaning."""

from __future__ import annotations

import pytest

from rules.model import Topic
from rules.text.normalise import normalise
from rules.text.patterns import alternatives, pattern_problem
from rules.text.topics import Matcher

# A pattern, the texts that it is found in, and those that it is not.
CASES: dict[str, tuple[list[str], list[str]]] = {
    "really？": (["really?", "Really？！"], ["reall", "really!"]),
    "吗？": (["好吗？", "吗?"], ["吗"]),
    "foo（bar）": (["foo(bar)", "foo（bar）"], ["foobar"]),
    "foo（bar": (["foo (bar foo(bar"], ["foobar"]),
    "wait…": (["wait...", "wait…"], ["waited", "wait"]),
    "＄5": (["$5", "＄5"], ["5"]),
    "x｜y": (["x|y"], ["x", "y"]),
    "a＊b＋": (["a*b+"], ["aab", "b"]),
    "⑴": (["(1)", "⑴"], ["1"]),
    "＼d": (["＼d", "\\d"], ["5"]),
    "[？！]": (["?", "！"], ["a"]),
    "x[a－c]": (["xa", "x-", "x－"], ["xb"]),
    "x[.–:]": (["x.", "x–", "x-"], ["x7"]),
    "x[］]": (["x]", "x］"], ["x"]),
    "x[＾a]": (["x^", "xa"], ["xb"]),
    "x[＼d]": (["x\\", "xd"], ["x5"]),
    "x[^－]y": (["xay"], ["x-y"]),
    "x[é–]": (["xe\u0301", "xÉ", "x-"], ["xe"]),
    "[\\pL]+！": (["¡é!"], ["!"]),
}


@pytest.mark.parametrize("pattern", CASES)
def test_a_sign_that_is_folded_means_itself(pattern: str) -> None:
    assert pattern_problem(pattern) is None
    matcher = Matcher({"t": Topic("t", patterns=(pattern,))})
    found, not_found = CASES[pattern]
    assert [text for text in found if not matcher.find(text, "message")] == []
    assert [text for text in not_found if matcher.find(text, "message")] == []


def test_every_character_that_folds_to_a_sign_is_found_in_itself_and_as_the_sign() -> None:
    missed, asked = [], 0
    for code in range(0x80, 0x20000):
        folded = normalise(chr(code))
        if set(folded).isdisjoint("\\()[]{}|.*+?^$-"):
            continue
        asked += 1
        for pattern in (f",{chr(code)},", *([f",[{chr(code)}],"] if len(folded) == 1 else [])):
            assert pattern_problem(pattern) is None
            (way,) = alternatives(pattern)
            text = f",{folded},"
            if way.places(text, text.encode()) != [(0, len(text))]:
                missed.append((pattern, way.core))
    assert missed == []
    assert asked > 150
