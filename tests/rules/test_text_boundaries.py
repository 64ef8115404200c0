r"""A `\b` that would miss an edge of words beside an accented letter is refused, and no other is."""

from __future__ import annotations

import pytest

from rules.model import Topic
from rules.text.patterns import pattern_problem
from rules.text.topics import Matcher

REASON = "`\\b` inside a pattern knows ASCII letters only; beside other letters write a space, or split the pattern"
TORN = [
    r"x \bété",
    r"iré\b a demandar",
    r"(?:va|iré)\b a",
    r"(?:iré|va)\b a",
    r"(?:iré)+\b a",
    r"ir[eé]\b a",
    r"iré?\b a",
    r"é(?:s|)\b x",
    r"(?:x|\bécole)",
    r"(?:está\b|x)",
    r"\pL+\b x",
    r"\x{e9}\b x",
    r"x.*\bétat",
    r"(?P<who>tú|me)\b a",
    r"[ñ]\b,",
]
WHOLE = [
    (r"\bqué\b", "¿qué?"),
    (r"a\b|é\b", "é"),
    (r"(?:va|voy)\b a", "él va a"),
    (r"está\bx", ""),
    (r".{0,40}\bcancel\b.{0,5}x", "é cancel é x"),
    (r"¿\bpor qué", "¿por qué"),
    (r"\S+\b x", "no x"),
    (r"ésa\b x", "ésa x"),
    (r"(?:el|la)\b (?:niño|niña)", "la niña"),
    (r"[^ñ]\b,", "o,"),
    (r"\bno\b.*\bsi é", "no, si é"),
    (r"\[é\] \\\\b x", ""),
]


@pytest.mark.parametrize("pattern", TORN)
def test_a_boundary_that_would_miss_is_refused(pattern: str) -> None:
    assert pattern_problem(pattern) == REASON


@pytest.mark.parametrize(("pattern", "text"), WHOLE)
def test_any_other_boundary_is_taken_and_found(pattern: str, text: str) -> None:
    assert pattern_problem(pattern) is None
    assert bool(Matcher({"t": Topic("t", patterns=(pattern,))}).find(text, "message")) == bool(text)


@pytest.mark.parametrize("pattern", [r"\x{110000}\b a", r"\xzz\b é", "(" * 400 + r"é\b x" + ")" * 400])
def test_what_is_no_pattern_is_told_and_not_raised(pattern: str) -> None:
    assert pattern_problem(pattern) is not None
