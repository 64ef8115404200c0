"""Judging turns with a version in shadow, after they were answered: what differs is counted, and nothing is acted on.

A turn waits here for a free moment of the process, so no answer waits for it. What raises is counted and told like any
other result: a version that cannot judge must be seen before it decides.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from rules.decision import Decision
from rules.evaluation.evaluate import Evaluation, Ruleset, evaluate
from rules.evaluation.sparing import only, raises
from rules.history import before
from rules.model import VERDICTS
from rules.turn import Conversation, Turn
from service.store import shadows
from service.store.shadows import Difference as Difference
from service.store.store import Store

# Turns that wait to be judged; each holds its conversation, 50 kB at most. What comes beyond is counted as skipped.
WAITING_MAX = 500
# Kept between two writes to the store; the counts go on when there are more.
DIFFERENCES_KEPT_MAX = 500
# Finding out which rule raises takes as long as compiling them all; the first few faults tell enough.
BLAMED_MAX = 5
DIFFERENCES_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """An answered turn, to be judged by a version in shadow."""

    tenant: str
    version: int
    ruleset: Ruleset
    turn: Turn
    before: Conversation
    decision: Decision


@dataclass(frozen=True, slots=True)
class Raised:
    """A version in shadow that could not judge a turn: what was raised, and by which rules where that is known."""

    seen: Seen
    error: Exception
    rule_ids: tuple[str, ...]


@dataclass(slots=True)
class _Tally:
    """What is not in the store yet, of one version of one tenant."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: deque[Difference] = field(default_factory=lambda: deque(maxlen=DIFFERENCES_KEPT_MAX))


@dataclass(frozen=True, slots=True)
class Report:
    """What a version in shadow would have decided. `agreed`, `stricter`, `looser`, `otherwise` and `errors` make up
    `judged`; `skipped` turns came faster than they could be judged. `rules` fire on that many turns more and fewer."""

    version: int
    judged: int
    agreed: int
    stricter: int
    looser: int
    otherwise: int
    errors: int
    skipped: int
    since_at_ms: int | None
    until_at_ms: int | None
    rules: tuple[tuple[str, int, int], ...]
    error_kinds: tuple[tuple[str, str | None, int], ...]
    differences: tuple[Difference, ...]


class Shadowing:
    """The turns that wait to be judged, and what came of those that were, in one process."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self._waiting: deque[Seen] = deque()
        self._tallies: dict[tuple[str, int], _Tally] = {}
        self._blamed: Counter[tuple[str, int]] = Counter()

    def take(self, seen: Seen) -> None:
        """Let a turn wait for a free moment; past the limit it is counted and forgotten."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(seen)
        else:
            self._tally(seen).counts["skipped"] += 1
        self.arrived.set()

    def judge_next(self) -> str | Raised | None:
        """Judge the turn that has waited longest: a word, or what was raised; None when none waits. Never raises."""
        if not self._waiting:
            return None
        seen = self._waiting.popleft()
        tally = self._tally(seen)
        tally.counts["judged"] += 1
        try:
            difference = compared(seen)
        except Exception as error:
            # Whatever it is, it is this version's result for this turn; every other turn must still be judged.
            tally.counts["errors"] += 1
            raised = Raised(seen, error, self._blame(seen))
            for rule_id in raised.rule_ids or ("",):
                tally.counts[f"error:{type(error).__name__}:{rule_id}"] += 1
            return raised
        tally.counts[difference.word] += 1
        if difference.word != "agreed":
            tally.differences.append(difference)
            for name, rule_ids in (("more", difference.more), ("fewer", difference.fewer)):
                for rule_id in rule_ids:
                    tally.counts[f"{name}:{rule_id}"] += 1
        return difference.word

    async def write(self, store: Store, now_ms: int) -> None:
        """Put what was counted into the store. Raises StoreAway; what was on its way then is lost, never doubled."""
        while self._tallies:
            (tenant, version), tally = self._tallies.popitem()
            place = store.places(tenant)[0]
            await shadows.record(store, place, version, tally.counts, tally.differences, now_ms)

    def _tally(self, seen: Seen) -> _Tally:
        return self._tallies.setdefault((seen.tenant, seen.version), _Tally())

    def _blame(self, seen: Seen) -> tuple[str, ...]:
        key = seen.tenant, seen.version
        self._blamed[key] += 1
        return rules_that_raise(seen) if self._blamed[key] <= BLAMED_MAX else ()


def compared(seen: Seen) -> Difference:
    """Return how a version would have decided an answered turn, held against how it was decided."""
    decision = seen.decision
    evaluation = _judged(seen.ruleset, seen)
    asked = [rule for rule in decision.rules if rule.live]
    was = max((VERDICTS.index(rule.verdict) for rule in asked), default=0)
    would = VERDICTS.index(evaluation.verdict)
    fired, then = {rule.rule_id for rule in asked}, {rule.id for rule in evaluation.rules}
    word = "stricter" if would > was else "looser" if would < was else "agreed" if fired == then else "otherwise"
    top = evaluation.top
    return Difference(
        decision_id=decision.decision_id,
        conversation_id=decision.conversation_id,
        at_ms=decision.decided_at_ms,
        word=word,
        verdict=VERDICTS[was],
        would_be=evaluation.verdict,
        queue=top.then.queue if top else None,
        more=tuple(sorted(then - fired)),
        fewer=tuple(sorted(fired - then)),
    )


def rules_that_raise(seen: Seen) -> tuple[str, ...]:
    """Return the rules that raise when they are judged alone; none when it is something that all rest on."""
    rules = seen.ruleset.files.rules
    earlier, at_ms = before(seen.before, seen.turn.turn_index), seen.decision.decided_at_ms
    found = [
        rule.id for number, rule in enumerate(rules) if raises(only(seen.ruleset, [number]), seen.turn, earlier, at_ms)
    ]
    return () if len(found) == len(rules) else tuple(found)


def _judged(ruleset: Ruleset, seen: Seen) -> Evaluation:
    earlier = before(seen.before, seen.turn.turn_index)
    return evaluate(ruleset, seen.turn, earlier, seen.decision.decided_at_ms)


async def report(store: Store, tenant: str, version: int, limit: int) -> Report:
    """Return what is known of a version in shadow."""
    counts, differences = await shadows.read(store, store.places(tenant)[0], version, min(limit, DIFFERENCES_SHOWN_MAX))
    more, fewer = _named(counts, "more:"), _named(counts, "fewer:")
    rules = sorted({*more, *fewer}, key=lambda rule_id: (-more.get(rule_id, 0) - fewer.get(rule_id, 0), rule_id))
    errors = sorted(_named(counts, "error:").items(), key=lambda each: (-each[1], each[0]))
    return Report(
        version=version,
        since_at_ms=counts.get("since_at_ms"),
        until_at_ms=counts.get("until_at_ms"),
        rules=tuple((rule_id, more.get(rule_id, 0), fewer.get(rule_id, 0)) for rule_id in rules),
        error_kinds=tuple((name.split(":")[0], name.split(":")[1] or None, number) for name, number in errors),
        differences=differences,
        **{name: counts.get(name, 0) for name in ("judged", "agreed", "stricter", "looser", "otherwise")},
        **{name: counts.get(name, 0) for name in ("errors", "skipped")},
    )


def _named(counts: Mapping[str, int], head: str) -> dict[str, int]:
    return {name.removeprefix(head): number for name, number in counts.items() if name.startswith(head)}
