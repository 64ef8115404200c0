"""How what a customer is promised differs: the end when nobody comes, the skills, the words. Old and new are both told.

Whoever approves a version reads these facts and mostly nothing else, so none of them says only that something differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from rules.diff.differences import Fact, sooner
from rules.model import Need, OnTimeout, Words

# Of a text: two sentences are read whole, and of a longer one the place that differs.
TEXT_CHARS_MAX = 160
# How much of what stayed the same is shown before that place.
LEAD_CHARS = 30
# Languages whose words are told in one line; the rest are counted.
LANGUAGES_MAX = 4


def end_facts(old: OnTimeout | None, new: OnTimeout | None) -> Iterable[Fact]:
    """Yield how it differs what comes when nobody does. That the agent goes on as if nothing were is the looser end."""
    if (old and (old.verdict, old.queue)) != (new and (new.verdict, new.queue)):
        goes_on = [end is not None and end.verdict == "continue" for end in (old, new)]
        effect = "changed" if goes_on[0] is goes_on[1] else sooner(goes_on[0])
        yield Fact(f"when nobody comes: {_end_text(old)} → {_end_text(new)}", effect)
    yield from words_facts("words when nobody comes", old.say if old else {}, new.say if new else {})


def _end_text(end: OnTimeout | None) -> str:
    if end is None:
        return "nothing"
    if end.verdict == "continue":
        return "continue (the agent goes on)"
    return end.verdict if end.queue is None else f"{end.verdict} to {end.queue}"


def needs_fact(old: Sequence[Need], new: Sequence[Need]) -> Fact:
    """Return how the skills differ that an operator must have."""
    return Fact(f"needed skills: {_needs_text(old)} → {_needs_text(new)}", "changed")


def _needs_text(needs: Sequence[Need]) -> str:
    return ", ".join(need.skill + (f" {need.level}" if need.level > 1 else "") for need in needs) or "none"


def words_facts(what: str, old: Words, new: Words) -> Iterable[Fact]:
    """Yield in which languages words differ, and how."""
    moved = [tag for tag in dict.fromkeys((*old, *new)) if old.get(tag) != new.get(tag)]
    told = []
    for tag in moved[:LANGUAGES_MAX]:
        before, after = old_and_new(old.get(tag), new.get(tag))
        told.append(f"{tag} {before} → {after}")
    if moved:
        more = f" and {len(moved) - LANGUAGES_MAX} more languages" if len(moved) > LANGUAGES_MAX else ""
        yield Fact(f"{what}: {', '.join(told)}{more}", "words")


def old_and_new(old: str | None, new: str | None) -> tuple[str, str]:
    """Return two texts in quotation marks; of long ones what stands around the first place where they differ."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old or "", new or "", strict=False)))
    return _shown(old, same), _shown(new, same)


def _shown(text: str | None, same: int) -> str:
    if text is None:
        return "none"
    begin = max(0, same - LEAD_CHARS) if len(text) > TEXT_CHARS_MAX else 0
    cut = text[begin : begin + TEXT_CHARS_MAX]
    return f"“{'…' if begin else ''}{cut}{'…' if begin + TEXT_CHARS_MAX < len(text) else ''}”"
