"""Which of a rule file's words the agent says to this customer. Words are chosen here, never written."""

from __future__ import annotations

from rules.model import STOPPING, Queue, Then, Words

FALLBACK_LANGUAGE = "en"


def words(*says: Words, locale: str | None) -> str | None:
    """Return what to say in the customer's language, None when there are no words at all.

    `says` stand nearest first (the rule's, then the queue's). The language weighs more than nearness: a customer is
    better served by the queue's general words in Spanish than by the rule's own in English. For `es-MX` the order is
    es-MX, es, any other es-…, en, any en-…, and at last whatever comes first.
    """
    if not any(says):
        return None
    by_tag = [{_tag(tag): text for tag, text in say.items()} for say in says]
    wanted = _tag(locale or "")
    for tag in (wanted, _language(wanted), FALLBACK_LANGUAGE):
        for text_by_tag in by_tag if tag else ():
            if tag in text_by_tag:
                return text_by_tag[tag]
        if tag == _language(tag) and tag:
            for text_by_tag in by_tag:
                for other, text in text_by_tag.items():
                    if _language(other) == tag:
                        return text
    return next((text for say in says for text in say.values()), None)


def of_rule(then: Then, queue: Queue | None, locale: str | None) -> str | None:
    """Return what the agent says under a rule: its own words, and its queue's where the turn is stopped.

    Where the reply goes out nobody joins, so a queue's words would promise the customer somebody who never comes.
    """
    says = (then.say, queue.say) if queue is not None and then.verdict in STOPPING else (then.say,)
    return words(*says, locale=locale)


def _tag(locale: str) -> str:
    return locale.replace("_", "-").lower()


def _language(tag: str) -> str:
    return tag.partition("-")[0]
