"""What is told of topics: phrases that change nothing, patterns never found, a regulated topic that asks for nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick

from rules.compile.conditions import comparisons
from rules.compile.names import Names
from rules.evaluation.signal_table import MEANINGS, TOPIC_SETS
from rules.files.nodes import TextNode
from rules.files.source import Source
from rules.model import Rule
from rules.text.never_found import Reason
from rules.text.normalise import normalise, stands_alone
from rules.text.patterns import alternatives

# Why a pattern is never found, and what to do: a text is folded before patterns are looked for in it.
_WHY_NEVER: dict[Reason, tuple[str, str]] = {
    "capital": (
        "`{sign}` asks for capital letters, and a text is read in small letters",
        "write small letters, or `\\pL` for any letter",
    ),
    "other form": ("`{sign}` is read as `{form}` in every text", "write `{form}`"),
    "other forms": ("what `{sign}` asks for is read in a plainer form in every text", "write the plain form"),
    "white space": (
        "`{sign}` asks for white space that is no space, and a text is read with single spaces",
        "write a space or `\\s`",
    ),
    "no width": ("`{sign}` asks for a character without width, and a text is read without these", "remove it"),
    "nothing": ("`{sign}` stands for no character", "correct or remove it"),
    "two spaces": (
        "it asks for a space behind a space, and a text is read with single spaces",
        "write one space, or `\\s+`",
    ),
    "end": ("it asks for a space at an end of the text, and a text is read without these", "remove the space"),
    "place": ("`{sign}` cannot stand behind what is before it", "correct or remove one of the two"),
}
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\f": "\\f", "\v": "\\v"}


class Phrase(NamedTuple):
    """A phrase of a topic as it stands in folded texts, and where it is written."""

    folded: str
    at: TextNode


def tell_of_phrases(source: Source, phrases: Sequence[TextNode], unless: Sequence[TextNode]) -> None:
    """Note each phrase that is found nowhere else than another one, or that the topic's own `unless` takes back."""
    kept = [Phrase(normalise(node.value), node) for node in phrases]
    taking_back = [Phrase(normalise(node.value), node) for node in unless]
    inside = _inside(kept, taking_back)
    for phrase, other in inside:
        message = f"the phrase `{phrase.at.value}` holds the `unless` phrase `{other.at.value}`, so it never counts"
        source.refuse("W223", phrase.at, message)
    lost = {phrase for phrase, _ in inside}
    for phrase, other in _inside(kept, kept):
        if phrase not in lost:
            where = f" of line {other.at.line}" if other.at.line != phrase.at.line else ""
            message = f"the phrase `{phrase.at.value}` is found with `{other.at.value}`{where} already"
            source.refuse("W222", phrase.at, message)


def _inside(phrases: Sequence[Phrase], others: Sequence[Phrase]) -> list[tuple[Phrase, Phrase]]:
    """Return each phrase that holds another one as whole words, with the first that it holds."""
    if not phrases or not others:
        return []
    words = AhoCorasick([other.folded for other in others])
    found: list[tuple[Phrase, Phrase]] = []
    for phrase in phrases:
        for number, start, end in words.find_matches_as_indexes(phrase.folded, overlapping=True):
            other = others[number]
            if other is not phrase and stands_alone(phrase.folded, start, end):
                found.append((phrase, other))
                break
    return found


def tell_of_patterns(source: Source, patterns: Sequence[TextNode]) -> None:
    """Note each pattern, or alternative of one, that no text can hold as texts stand when patterns are looked for."""
    for node in patterns:
        ways = alternatives(node.value)
        lost = next(filter(None, (way.never_found for way in ways)), None)
        if lost is not None:
            fact, hint = _WHY_NEVER[lost.reason]
            which = "an alternative of this pattern" if len(ways) > 1 else "this pattern"
            message = f"{which} is never found: {fact.format(sign=_written(lost.sign), form=lost.form)}"
            if lost.sign == "\n" and node.style in ("|", ">"):
                # The break at the end of a block text is seen by nobody.
                hint = "write the pattern in one line, in single quotes"
            source.refuse("W227", node, message, hint.format(form=lost.form))


def _written(sign: str) -> str:
    """Return a sign of a pattern so that it can be seen."""
    return sign if sign.isprintable() else _ESCAPES.get(sign, "".join(f"\\x{{{ord(each):x}}}" for each in sign))


def tell_of_regulated(rules: Iterable[Rule], names: Names) -> None:
    """Note each regulated topic that no rule hands to a person.

    Rules that could not be read may well have asked for it, so a topic that such a rule names is left alone.
    """
    asked = {name for rule in rules if rule.mode.percent > 0 and rule.then.queue for name in _asked_for(rule, names)}
    for name in asked:
        # `topics not within [a]` asks for all others without naming them.
        names.use("topic", name)
    sources = {id(source): source for source, _ in names.places.values()}.values()
    sound = not any(problem.severity == "error" for source in sources for problem in source.problems)
    for name, topic in names.topics.items():
        used = ("topic", name) in names.used
        if not topic.regulated or name in asked or names.torn or (used and not sound):
            continue
        names.use("topic", name)
        source, at = names.places["topic", name]
        fact = "and no rule hands it to a person" if used else "and no rule asks for it"
        source.refuse("W225", at, f"the topic `{name}` is regulated, {fact}")


def _asked_for(rule: Rule, names: Names) -> Iterator[str]:
    """Yield the topics that make the rule fire, also through the signals that they mean."""
    for compare, negated in comparisons(rule.when):
        if compare.left in TOPIC_SETS:
            words = compare.operand if isinstance(compare.operand, tuple) else (compare.operand,)
            if compare.operator == ("lacks" if negated else "has"):
                yield from map(str, words)
            elif compare.operator == ("within" if negated else "not within"):
                yield from names.topics.keys() - set(words)
        if compare.left in MEANINGS:
            yield from (topic.name for topic in names.topics.values() if topic.means == compare.left)
