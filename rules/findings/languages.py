"""What is told of the languages that words are written in: which texts miss one that the others have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rules.compile.values import is_empty, is_language
from rules.files.nodes import ListNode, Node, TextNode
from rules.files.source import Source
from rules.model import Words


class Said(NamedTuple):
    """Words in some languages, and where they stand."""

    source: Source
    node: Node
    words: Words


def read_languages(source: Source, node: Node) -> tuple[str, ...] | None:
    """Return the languages that customers are spoken to in, None when the list cannot be read."""
    items = node.items if isinstance(node, ListNode) else [node]
    if is_empty(node) or not items:
        source.refuse("R116", node, "`languages` is empty", "write `languages: [en, es]`, or remove the key")
        return None
    read = []
    for item in items:
        if isinstance(item, TextNode) and is_language(item.value):
            read.append(item.value)
        else:
            written = f"`{item.value}`" if isinstance(item, TextNode) else "this"
            source.refuse("R109", item, f"{written} is no language", "write a tag such as `en`, `es` or `es-MX`")
    return tuple(dict.fromkeys(read)) if len(read) == len(items) else None


def tell_of_languages(sources: Iterable[Source], declared: Sequence[str] | None) -> None:
    """Note which words miss a language: a declared one, or without a declaration one that others have.

    A language that fewer than half of the words have is told once, where it stands: it may be meant for these alone.
    """
    said = _said(sources)
    # Tags are read without regard to capitals: `EN` is `en`, and is told as it was written first.
    written = {tag.lower(): tag for each in reversed(said) for tag in each.words}
    having = Counter(written[tag.lower()] for each in said for tag in each.words)
    expected = (
        list(declared) if declared is not None else [tag for tag, count in having.items() if 2 * count >= len(said)]
    )
    for each in said:
        missing = [f"`{language}`" for language in expected if not _speaks(each.words, language)]
        if missing:
            there = ", ".join(f"`{language}`" for language in each.words)
            why = "declares" if declared is not None else "others of these files have"
            wanted = " and ".join(missing)
            fact = f"these words are in {there} and not in {wanted}, which "
            fact += "`languages` asks for" if declared is not None else why
            each.source.refuse("W224", each.node, fact)
    if declared is None:
        _tell_of_the_rare(said, {tag: count for tag, count in having.items() if tag not in expected})


def _tell_of_the_rare(said: Sequence[Said], having: Mapping[str, int]) -> None:
    for language, count in having.items():
        missing = sum(not _speaks(each.words, language) for each in said)
        first = next(each for each in said if language.lower() in map(str.lower, each.words))
        if missing:
            texts, lack = (
                "1 text" if count == 1 else f"{count} texts",
                "1 other lacks" if missing == 1 else f"{missing} others lack",
            )
            fact = f"`{language}` stands in {texts} to say, and {lack} it"
            first.source.refuse("W224", first.node, fact, "write it everywhere, or declare `languages:` without it")


def _said(sources: Iterable[Source]) -> list[Said]:
    """Return all words to say, each place once: an alias stands for words that were read before."""
    places: dict[tuple[str, int, int], Said] = {}
    for source in sources:
        for node, words in source.said:
            if words:
                places.setdefault((source.file, node.line, node.column), Said(source, node, words))
    return list(places.values())


def _speaks(words: Words, language: str) -> bool:
    """Return whether somebody with that language is spoken to in it: `es` serves `es-MX` too."""
    spoken = {tag.lower() for tag in words}
    return language.lower() in spoken or language.lower().partition("-")[0] in spoken
