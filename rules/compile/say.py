"""What customers are told, by language, from its node in a rule file; what is no words to say is a problem."""

from __future__ import annotations

from rules.compile.values import SAY_CHARACTERS_MAX, is_empty, is_language, read_text
from rules.files.meant import CURLY_CLOSING, CURLY_OPENING, quoted, uncurled
from rules.files.nodes import MapNode, Node, TextNode
from rules.files.source import Source


def read_say(source: Source, node: Node) -> dict[str, str]:
    """Return what to say by language."""
    if isinstance(node, TextNode) and not is_empty(node):
        source.refuse("R116", node, "`say` is one text without a language", "write `say: {en: …}`")
        return {}
    if not isinstance(node, MapNode) or not node.pairs:
        source.refuse("R116", node, "`say` holds no words", "write `say: {en: …}`")
        return {}
    words: dict[str, str] = {}
    pairs = iter(node.pairs)
    for key, value in pairs:
        if not is_language(key.value):
            source.refuse("R109", key, f"`{key.value}` is no language", "write a tag such as `en`, `es` or `es-MX`")
            continue
        text = read_text(source, value, f"`say` in `{key.value}`")
        if text is not None and len(text) > SAY_CHARACTERS_MAX:
            message = f"`say` has {len(text)} characters, the limit is {SAY_CHARACTERS_MAX}"
            source.refuse("R113", value, message, "say it shorter")
        elif text is not None and (whole := _cut_at_commas(node, value)) is not None:
            message = "the words end at the comma: for YAML the quotes of a word processor are letters"
            source.refuse("R116", value, message, f"put all of them into straight quotes: {quoted(whole)}")
            # What stands behind the comma are the rest of the words, and no languages.
            for _ in range(whole.count(", ")):
                next(pairs, None)
        elif text is not None:
            words[key.value] = text
            tell_of_quotes(source, value, "these words", "so the customer reads them too")
    if len(words) == len(node.pairs):
        source.said.append((node, words))
    return words


def tell_of_quotes(source: Source, node: Node, what: str, so: str) -> None:
    """Note a text that somebody put into the quotes of a word processor, which are letters of it like all others."""
    if not isinstance(node, TextNode) or node.style is not None:
        return
    meant = uncurled(node.value)
    if meant is not None:
        message = f"the quotes of a word processor belong to {what}, {so}"
        source.refuse("W228", node, message, f"write {quoted(meant)}")
    elif node.value[:1] in CURLY_OPENING and not set(node.value[1:]) & set(CURLY_CLOSING):
        message = f"{what} begins with the quote of a word processor, which ends nowhere, {so}"
        source.refuse("W228", node, message, "put the whole text into straight quotes")


def _cut_at_commas(node: MapNode, value: Node) -> str | None:
    """Return the words that YAML cut into keys, because their quotes are none for it; None where it did not."""
    if not isinstance(value, TextNode) or value.style is not None or value.value[:1] not in CURLY_OPENING:
        return None
    parts = [value.value]
    at = next(number for number, (_, each) in enumerate(node.pairs) if each is value)
    for key, rest in node.pairs[at + 1 :]:
        if not is_empty(rest):
            return None
        parts.append(key.value)
        if key.value.endswith(tuple(CURLY_CLOSING)):
            return uncurled(", ".join(parts))
    return None
