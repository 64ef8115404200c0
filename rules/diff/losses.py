"""What other rule files no longer ask for: live rules that are gone, regulated topics that are gone or found in less.

A file that was cut in half is mostly still a rule file. What it no longer has cannot be told from what somebody took
out on purpose, so it is told. Nothing is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rules.diff.declared import topic_change
from rules.diff.differences import Change
from rules.diff.rules import gone, renamed, restaged
from rules.diff.words import line as rule_line
from rules.diff.words import topic_line
from rules.model import RuleFiles


@dataclass(frozen=True, slots=True)
class Losses:
    """Rules that asked for a person and are gone, and regulated topics of which some or all is."""

    rules: tuple[Change, ...] = ()
    topics: tuple[Change, ...] = ()

    @property
    def count(self) -> int:
        """Return how many rules and topics it concerns."""
        return len(self.rules) + len(self.topics)

    @property
    def said(self) -> str:
        """Return how much it is, without a name."""
        rules, topics = len(self.rules), len(self.topics)
        told = []
        if rules:
            told.append(f"{_counted(rules, 'rule')} that asked for a person {'is' if rules == 1 else 'are'} gone")
        if topics:
            told.append(f"{_counted(topics, 'regulated topic')} {'is' if topics == 1 else 'are'} gone or lost phrases")
        return "; ".join(told)

    def lines(self) -> Iterable[str]:
        """Yield each of them in the words of `handrail diff`."""
        yield from map(rule_line, self.rules)
        yield from (f"the topic {topic_line(change)}" for change in self.topics)


def losses(old: RuleFiles, new: RuleFiles) -> Losses:
    """Return what is lost between two sets of rule files. A rule that only has another name or stage is not."""
    before, after = {rule.id: rule for rule in old.rules}, {rule.id: rule for rule in new.rules}
    elsewhere = {*renamed(before, after), *restaged(before, after)}
    rules = [gone(rule) for name, rule in before.items() if name not in after and name not in elsewhere]
    # What decided nothing leaves nothing undone.
    return Losses(tuple(change for change in rules if change.effect == "looser"), tuple(_topics(old, new)))


def names_gone(old: RuleFiles, new: RuleFiles) -> bool:
    """Return whether a name that a test may use was declared before and no longer is."""
    if {rule.id for rule in old.rules} - {rule.id for rule in new.rules}:
        return True
    return any(old_names - new_names for old_names, new_names in zip(_declared(old), _declared(new), strict=True))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _declared(files: RuleFiles) -> tuple[set[str], ...]:
    return set(files.topics), set(files.queues), set(files.signals), set(files.budgets)


def _topics(old: RuleFiles, new: RuleFiles) -> Iterable[Change]:
    for name, topic in sorted(old.topics.items()):
        now = new.topics.get(name)
        change = topic_change(name, topic, now) if topic.regulated else None
        if change is not None and (now is None or not now.regulated or change.effect == "looser"):
            yield change
