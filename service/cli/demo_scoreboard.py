"""What came of a demo: counted from what its people saw, as JSON and as tables."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass

from rules.replay.conversations import Scores
from rules.replay.scorecards import Rate
from service.cli.demo_people import HandoffSeen, Ledger
from service.cli.output import say, say_table

RATES = (
    ("precision", "of the stopped conversations, those that needed a person"),
    ("recall", "of those that needed a person, those that were stopped"),
    ("load", "of those that needed nobody, those that were stopped all the same"),
)


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """The figures of one demo; `open_in_the_end` are handoffs that nobody ended."""

    ledger: Ledger
    scores: Scores
    conversations: int
    open_in_the_end: tuple[str, ...]
    elapsed_ms: int
    agents: int
    operators: int

    @property
    def lost(self) -> dict[str, int]:
        """Return what must be 0, every one."""
        return {
            "turns_unanswered": self.ledger.turns_unanswered,
            "handoffs_left_open": len(self.open_in_the_end),
            "handoffs_claimed_twice": self.ledger.claimed_twice,
            "answers_changed_on_repeat": self.ledger.answers_changed,
            "packets_without_why": self.ledger.packets_without_why,
            "moves_refused": len(self.ledger.failures),
        }

    @property
    def verdicts(self) -> dict[str, int]:
        """Return how many turns were answered with each verdict."""
        return dict(Counter(decision.verdict for made in self.ledger.decisions.values() for decision in made))

    @property
    def rules(self) -> dict[str, int]:
        """Return on how many turns each rule fired, the most frequent first."""
        fired = Counter(
            rule.id for made in self.ledger.decisions.values() for decision in made for rule in decision.rules
        )
        return dict(fired.most_common())

    def as_json(self) -> dict[str, object]:
        """Return everything as one JSON object."""
        return {
            "conversations": self.conversations,
            "agents": self.agents,
            "operators": self.operators,
            "elapsed_ms": self.elapsed_ms,
            "turns": sum(self.verdicts.values()),
            "turns_repeated": self.ledger.repeated,
            "decisions": {"by_verdict": self.verdicts, "by_rule": self.rules},
            "handoffs": {
                "opened": len(self.ledger.handoffs),
                "by_queue": [self._queue(queue, each) for queue, each in self._queues()],
            },
            "outcomes": dict(self.ledger.outcomes),
            "precision": self.scores.precision.as_json(),
            "recall": self.scores.recall.as_json(),
            "load": self.scores.load.as_json(),
            "lost": self.lost,
            "failures": self.ledger.failures[:20],
        }

    def _queues(self) -> list[tuple[str, list[HandoffSeen]]]:
        by_queue: dict[str, list[HandoffSeen]] = defaultdict(list)
        for seen in self.ledger.handoffs.values():
            by_queue[seen.queue or "-"].append(seen)
        return sorted(by_queue.items())

    def _queue(self, queue: str, handoffs: list[HandoffSeen]) -> dict[str, object]:
        waits = [seen.claim_ms for seen in handoffs if seen.claim_ms is not None]
        return {
            "queue": queue,
            "opened": len(handoffs),
            "claimed": sum(seen.claims > 0 for seen in handoffs),
            "ended": dict(Counter(seen.ended or "open" for seen in handoffs)),
            # None, not 0, where nobody claimed anything: a wait that was not seen is not a short one.
            "time_to_claim_ms": {"p50": statistics.median(waits), "max": max(waits)} if waits else None,
        }

    def print(self) -> None:
        """Print the tables."""
        turns = sum(self.verdicts.values())
        say(
            f"{self.conversations} conversations, {turns} turns, {self.agents} agents, {self.operators} operators, "
            f"{self.elapsed_ms / 1000:.1f} s"
        )
        say()
        say_table("decisions", ("verdict", "turns"), self.verdicts.items(), numbers=("turns",))
        say()
        say_table("rules that fired", ("rule", "turns"), self.rules.items(), numbers=("turns",))
        say()
        say_table(
            "handoffs",
            ("queue", "opened", "claimed", "ended", "p50 to claim", "max to claim"),
            (self._queue_row(queue, each) for queue, each in self._queues()),
            numbers=("opened", "claimed", "p50 to claim", "max to claim"),
        )
        say()
        rates: dict[str, Rate] = {
            "precision": self.scores.precision,
            "recall": self.scores.recall,
            "load": self.scores.load,
        }
        say_table("against the labels", ("rate", "value", "what it is"), ((n, rates[n], about) for n, about in RATES))
        say()
        outcomes = (f"{count} {word}" for word, count in sorted(self.ledger.outcomes.items()))
        say(f"outcomes on record: {', '.join(outcomes) or 'none'}")
        say(f"answers asked for again: {self.ledger.repeated}, all the same: {self.ledger.answers_changed == 0}")
        say_table("lost (every one must be 0)", ("what", "count"), self.lost.items(), numbers=("count",))
        for failure in self.ledger.failures[:5]:
            say(f"  {failure}")

    def _queue_row(self, queue: str, handoffs: list[HandoffSeen]) -> tuple[object, ...]:
        counted = self._queue(queue, handoffs)
        waits = counted["time_to_claim_ms"]
        p50, longest = (f"{waits['p50']:.0f} ms", f"{waits['max']} ms") if isinstance(waits, dict) else ("", "")
        ended = counted["ended"]
        words = ", ".join(f"{count} {word}" for word, count in sorted(ended.items())) if isinstance(ended, dict) else ""
        return queue, counted["opened"], counted["claimed"], words, p50, longest
