from __future__ import annotations

import pytest

from rules.model import OnTimeout, Queue, Then, Verdict, Words
from rules.say import of_rule, words

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


@pytest.mark.parametrize(
    ("verdict", "own", "said"),
    [
        pytest.param("escalate", {}, "queue en", id="a queue speaks for a rule that stops the turn"),
        pytest.param("hold", {}, "queue en", id="also where only the draft waits"),
        pytest.param("hold", RULE, "rule en", id="but the rule's own words come first"),
        pytest.param("review", {}, None, id="nobody joins when the reply goes out, so nobody is promised"),
        pytest.param("review", RULE, "rule en", id="what a rule says itself is said all the same"),
        pytest.param("continue", RULE, "rule en", id="also where it lets the turn go on"),
    ],
)
def test_a_queue_promises_a_person_only_where_one_comes(verdict: Verdict, own: Words, said: str | None) -> None:
    queue = Queue("tier1", 60_000, OnTimeout("callback", {}), say=QUEUE)
    assert of_rule(Then(verdict, "tier1", say=own), queue, "en") == said
