"""What keeps a phrase of a topic from being looked for. Nothing is looked for here."""

from __future__ import annotations

from rules.text.normalise import normalise

# The longest phrase: a sentence. It bounds the work of one character of text.
PHRASE_LENGTH_MAX = 200


def phrase_problem(phrase: str) -> str | None:
    """Return why a phrase is refused, or None when it may be used."""
    if len(phrase) > PHRASE_LENGTH_MAX:
        return f"{len(phrase)} characters long, the limit is {PHRASE_LENGTH_MAX}; keep the words that tell"
    if not normalise(phrase):
        return "holds nothing to look for"
    return None
