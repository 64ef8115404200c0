"""Patterns made up by chance, and texts that a pattern is found in, for holding the matcher against a slow reading."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from rules.text.patterns import pattern_problem

# The reader of patterns behind `re`: it has no other name, and no types.
_READER: Any = import_module("re._parser")

_WORDS = """
account agent answer appeal bank bill block call cancel card charge claim close court damage day deny doctor fee fraud
help hurt kill lawyer letter limit lose manager money myself office order parcel pay person police price refund report
send speak stop sue supervisor talk tax today tomorrow transfer wait week work wrong abogado año café corazón daño
denuncia está mañana niño policía queja señor straße teléfono über
"""
WORDS = _WORDS.split()
_SMALL = "a an the to of in on for with and or my your i we you it is be not this that que de la el y no me"
SMALL = _SMALL.split()
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_ éñíü'-.,!?;"
_JOINS = [
    " ",
    " ",
    " ",
    r"\s+",
    " ?",
    ".{0,40}",
    ".*",
    r"\W+",
    "[^.]{0,20}",
    r" (?:\w+ ){0,2}",
    ",? ",
    r"\s*",
    r".*[,;]\s*",
]
_SIGNS = [r"\w+", r"\d{1,4}", r"\S+", "[a-f]", "[^.!?]", "[.!,] ?", "['’]", r"\pL+", ".", r"\s", "[éñ]", "[^a]{2,8}"]
_STARTS = ["", r"\b", r"\b", r"\b", "^", r"(?:^|\W)", "(?:^|[.,;!?:] )", "(?:[.!?] |^)", "(?i)"]
_ENDS = ["", r"\b", r"\b", "$", r"(?:$|\W)", "(?:[.!,]|$)"]


def pattern(rng: random.Random) -> str:
    """Return a pattern that a rule file may hold."""
    while True:
        made = "|".join(
            rng.choice(_STARTS[: len(_STARTS) - bool(part)]) + _sequence(rng, 2) + rng.choice(_ENDS)
            for part in range(rng.choice([1, 1, 1, 2]))
        )
        # A boundary before a sign means little; where such places overlap at a text's start, only one is told.
        if re.search(r"(?:^|\|)\\b(?:\.|\[\^|\\[sSW])", made):
            continue
        # Four unbounded stretches in a row take Python's `re` the fourth power of a text's length.
        if len(made) < 300 and len(re.findall(r"[*+]|,[24]0\}", made)) <= 4 and pattern_problem(made) is None:
            return made


def _sequence(rng: random.Random, depth: int) -> str:
    parts: list[str] = []
    for number in range(rng.randint(1, 3)):
        if number:
            parts.append(rng.choice(_JOINS))
        atom = _atom(rng, depth)
        # Repetitions inside repetitions take Python's `re` hours.
        often = ["?", "+", "{1,3}", "{2}"] if re.fullmatch(r"\w+|\\[wdsS]|\[[^\]]+\]|\\pL", atom) else ["?"]
        parts.append(atom + rng.choice([""] * 8 + often))
    return "".join(parts)


def _atom(rng: random.Random, depth: int) -> str:
    chance = rng.random()
    if chance < 0.15 and depth:
        return f"(?:{'|'.join(_sequence(rng, depth - 1) for _ in range(rng.randint(2, 3)))})"
    if chance < 0.3:
        return rng.choice(_SIGNS)
    if chance < 0.4:
        return rng.choice(WORDS) + rng.choice(["s?", "(?:s|ed|ing)?"])
    return rng.choice(SMALL if chance < 0.5 else WORDS)


def text_around(rng: random.Random, said: str, words_max: int) -> str:
    """Return words with something said among them, some beside a sign or a letter, some with a letter changed."""
    if said and rng.random() < 0.2:
        place = rng.randrange(len(said))
        said = said[:place] + rng.choice(["", rng.choice(_LETTERS), said[place].upper()]) + said[place + 1 :]
    before = _talk(rng, words_max) + rng.choice([" ", " ", ". ", ", ", "! ", "", "é ", "x", "(", "\u200b"])
    return before + said + rng.choice([" ", " ", ".", ", ", "", "! ", "é", "s", "\n", "\u0301"]) + _talk(rng, words_max)


def _talk(rng: random.Random, words_max: int) -> str:
    count = min(words_max, rng.choice([0, 0, 1, 2, 3, 5, 8, 20, 60, words_max]))
    return " ".join(rng.choice(SMALL if rng.random() < 0.5 else WORDS) for _ in range(count))


def sample(rng: random.Random, pattern: str) -> str:
    """Return a text that a pattern is found in, but for anchors and edges, which are left to what is around."""
    return _sampled(rng, _read(pattern))


def length_max(pattern: str) -> int:
    """Return how many characters a pattern takes at most."""
    return int(_read(pattern).getwidth()[1])


@cache
def _read(pattern: str) -> Any:
    return _READER.parse(re.sub(r"\\pL", "[a-zéñ]", pattern).replace(r"\z", r"\Z"))


def _sampled(rng: random.Random, tree: Any) -> str:
    return "".join(_MADE[str(sign)](rng, value) for sign, value in tree)


def _repeated(rng: random.Random, value: Any) -> str:
    least, most, what = value
    return "".join(_sampled(rng, what) for _ in range(rng.randint(least, min(most, least + rng.choice([0, 1, 2, 40])))))


def _one_of(rng: random.Random, listed: Sequence[Any]) -> str:
    negated = str(listed[0][0]) == "NEGATE"
    meant = [letter for letter in _LETTERS if any(_holds(each, letter) for each in listed) != negated]
    if not negated:
        meant += [chr(value) for sign, value in listed if str(sign) == "LITERAL"]
    return rng.choice(meant)


def _holds(item: Any, letter: str) -> bool:
    sign, value = str(item[0]), item[1]
    if sign == "RANGE":
        return bool(value[0] <= ord(letter) <= value[1])
    if sign == "CATEGORY":
        shape = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[str(value).rsplit("_", 1)[1]]
        return (re.match(shape, letter, re.ASCII) is not None) != ("NOT" in str(value))
    return sign == "LITERAL" and bool(value == ord(letter))


_MADE: dict[str, Callable[[random.Random, Any], str]] = {
    "LITERAL": lambda _, value: chr(value),
    "NOT_LITERAL": lambda rng, value: rng.choice([letter for letter in _LETTERS if ord(letter) != value]),
    "ANY": lambda rng, _: rng.choice(_LETTERS),
    "IN": _one_of,
    "BRANCH": lambda rng, value: _sampled(rng, rng.choice(value[1])),
    "SUBPATTERN": lambda rng, value: _sampled(rng, value[3]),
    "MAX_REPEAT": _repeated,
    "MIN_REPEAT": _repeated,
    "AT": lambda *_: "",
}
