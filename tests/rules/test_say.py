from __future__ import annotations

import pytest

from rules.model import Words
from rules.say import words

RULE = {"en": "rule en", "es-MX": "rule es-MX"}
QUEUE = {"en": "queue en", "es": "queue es", "fr-CA": "queue fr-CA"}


@pytest.mark.parametrize(
    ("says", "locale", "said"),
    [
        pytest.param((RULE, QUEUE), "en", "rule en", id="the nearest words come first"),
        pytest.param((RULE, QUEUE), "es-MX", "rule es-MX", id="the very locale"),
        pytest.param((RULE, QUEUE), "es_mx", "rule es-MX", id="however it is written"),
        pytest.param((RULE, QUEUE), "es-AR", "queue es", id="the language weighs more than nearness"),
        pytest.param((RULE,), "es-AR", "rule es-MX", id="another country's words in the same language"),
        pytest.param((RULE, QUEUE), "fr", "queue fr-CA", id="a language that only a country's words have"),
        pytest.param((RULE, QUEUE), "de", "rule en", id="English for a language without words"),
        pytest.param((RULE, QUEUE), None, "rule en", id="English when nobody named a language"),
        pytest.param((RULE, QUEUE), "", "rule en", id="English for an empty locale"),
        pytest.param(({"en-GB": "british"},), "de", "british", id="any English"),
        pytest.param(({}, {"pt": "pt"}, {"de": "de"}), "fr", "pt", id="whatever there is, the nearest first"),
        pytest.param(({}, {}), "en", None, id="no words at all"),
        pytest.param((), "en", None, id="nobody speaks"),
        pytest.param(({"eng": "no"}, {"en": "yes"}), "en", "yes", id="a language is no prefix of another's name"),
    ],
)
def test_words_are_found_in_the_customers_language(
    says: tuple[Words, ...], locale: str | None, said: str | None
) -> None:
    assert words(*says, locale=locale) == said
