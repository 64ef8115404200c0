"""How topics and queues differ between two sets of rule files. What that does to rules is told with the rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from rules.diff.busy import budget_fact
from rules.diff.conditions import topic_moved
from rules.diff.differences import EFFECT_OF, Change, Fact, Kind, effect_of, sooner
from rules.diff.promises import end_facts, needs_fact, old_and_new, words_facts
from rules.evaluation.wording import span_text
from rules.model import Calls, Queue, Topic

# Phrases named in one sentence; the rest are counted.
NAMED_MAX = 6
_QUEUE_WORDS: Mapping[str, str] = {"say": "words to the customer", "meanwhile": "words while the customer waits"}


def topic_change(name: str, old: Topic | None, new: Topic | None) -> Change | None:
    """Return how a topic differs, None when it does not."""
    if old == new:
        return None
    if old is None or new is None:
        kind: Kind = "added" if old is None else "removed"
        phrases = len((new or old or Topic("")).phrases) + len((new or old or Topic("")).patterns)
        return Change(name, kind, "words", (f"{kind}, with {phrases} phrases and patterns",))
    facts = [
        *_list_facts("phrases", old.phrases, new.phrases),
        *_list_facts("patterns", old.patterns, new.patterns),
        *_list_facts("exceptions (`unless`)", old.unless, new.unless),
    ]
    if old.inside != new.inside:
        facts.append(f"looked for in {' and '.join(sorted(new.inside))}")
    if old.regulated != new.regulated:
        facts.append("is regulated now" if new.regulated else "is regulated no longer")
    if old.means != new.means:
        facts.append(f"means {new.means or 'nothing besides itself'} now")
    if old.source != new.source:
        facts.append(f"source: {new.source or 'none'}")
    return Change(name, "changed", EFFECT_OF[topic_moved(old, new)], tuple(facts))


def _list_facts(what: str, old: Sequence[str], new: Sequence[str]) -> Iterable[str]:
    for word, texts in (("new", [t for t in new if t not in old]), ("removed", [t for t in old if t not in new])):
        if texts:
            more = f" and {len(texts) - NAMED_MAX} more" if len(texts) > NAMED_MAX else ""
            yield f"{word} {what}: " + ", ".join(f"“{text}”" for text in texts[:NAMED_MAX]) + more


def queue_change(name: str, old: Queue | None, new: Queue | None, *, sheds: bool = False) -> Change | None:
    """Return how a queue differs, None when it does not. `sheds`: rules give way to its budget, before and after."""
    if old == new:
        return None
    if old is None or new is None:
        # What goes there, and no longer, is told with the rules.
        return Change(name, "added" if old is None else "removed", "words", ("new" if old is None else "removed",))
    found: list[Fact] = []
    if old.answer_within_ms != new.answer_within_ms:
        found.append(within(old.answer_within_ms, new.answer_within_ms))
    for field in fields(Queue):
        one, other = getattr(old, field.name), getattr(new, field.name)
        if one != other and field.name not in ("name", "answer_within_ms"):
            found += _queue_facts(field.name, one, other, sheds=sheds)
    return Change(name, "changed", effect_of(found), tuple(fact.text for fact in found))


def _queue_facts(name: str, old: Any, new: Any, *, sheds: bool) -> Iterable[Fact]:
    """Yield how one field of a queue differs."""
    if name in _QUEUE_WORDS:
        yield from words_facts(_QUEUE_WORDS[name], old, new)
    elif name == "on_timeout":
        yield from end_facts(old, new)
    elif name == "needs":
        yield needs_fact(old, new)
    elif name == "title":
        before, after = old_and_new(old, new)
        yield Fact(f"title: {before} → {after}", "words")
    elif name == "budget":
        yield budget_fact(old, new, sheds=sheds)
    elif name == "calls":
        yield from calls_facts(old, new)
    else:
        yield Fact(f"another `{name.removesuffix('_ms')}`", "changed")


def within(old_ms: int | None, new_ms: int | None) -> Fact:
    """Return how a deadline differs."""
    text = f"a person within {span_text(new_ms or 0)} instead of {span_text(old_ms or 0)}"
    if old_ms is None or new_ms is None or old_ms == new_ms:
        return Fact(text if old_ms != new_ms else "its deadline is written in another place", "words")
    return Fact(text, sooner(new_ms < old_ms))


def calls_facts(old: Calls | None, new: Calls | None) -> Iterable[Fact]:
    """Yield how it differs what becomes of a promised call: a call that is due, or due sooner, is stricter."""
    old_ms, new_ms = None if old is None else old.within_ms, None if new is None else new.within_ms
    if old_ms != new_ms:
        better = new_ms is not None and (old_ms is None or new_ms < old_ms)
        yield Fact(f"promised calls are due {_due_text(new_ms)} instead of {_due_text(old_ms)}", sooner(better))
    if (old and old.queue) != (new and new.queue):
        yield Fact(f"promised calls wait {_where_text(new)} instead of {_where_text(old)}", "changed")


def _due_text(within_ms: int | None) -> str:
    return "at no time" if within_ms is None else f"within {span_text(within_ms)}"


def _where_text(calls: Calls | None) -> str:
    return "where they were promised" if calls is None or calls.queue is None else f"in {calls.queue}"
