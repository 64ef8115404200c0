"""What edits of the rule files took away and nobody put back: told for a day, in the words of `handrail diff`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from rules.diff.losses import Losses, losses
from rules.model import RuleFiles
from service.last_good import Before

# Whoever comes in the morning sees what an edit of the evening took away; what was meant does not stand there for ever.
TOLD_MS = 86_400_000
# In a log line; GET /rulesets/active has them all.
LINES_LOGGED_MAX = 20
# In an answer for a page that lists them.
LINES_TOLD_MAX = 200


@dataclass(frozen=True, slots=True)
class RulesLoss:
    """What is gone since `before` decided. `since_at_ms` is when some of it went last.

    `texts` are those of `before`, for a start that is to tell of it too; empty where they are not known.
    """

    since_at_ms: int
    before: RuleFiles
    lost: Losses
    texts: Mapping[str, str] = field(default_factory=dict, compare=False)

    def told_at(self, at_ms: int) -> bool:
        """Return whether it is still news."""
        return at_ms - self.since_at_ms < TOLD_MS

    def to_keep(self, at_ms: int) -> Before | None:
        """Return what a later start needs to tell of it; None when it is no news, or the texts are not known."""
        return Before(self.texts, self.since_at_ms) if self.texts and self.told_at(at_ms) else None

    def lines(self, most: int = LINES_TOLD_MAX) -> list[str]:
        """Return what is gone, and how many more there are than `most`."""
        told = list(islice(self.lost.lines(), most))
        more = self.lost.count - len(told)
        return [*told, f"and {more} more"] if more else told


def after(
    standing: RulesLoss | None, old: RuleFiles, new: RuleFiles, at_ms: int, texts: Mapping[str, str] | None = None
) -> RulesLoss | None:
    """Return what is lost once `new` decides after `old`, whose texts these are.

    None when nothing is, or all of it is there again.
    """
    now = losses(old, new)
    if standing is None or not standing.told_at(at_ms):
        return RulesLoss(at_ms, old, now, texts or {}) if now.count else None
    # Another edit of another file does not put back what was lost before it.
    lost = losses(standing.before, new)
    since_at_ms = at_ms if now.count else standing.since_at_ms
    return RulesLoss(since_at_ms, standing.before, lost, standing.texts) if lost.count else None
