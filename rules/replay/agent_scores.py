"""How often replayed conversations of each described agent were taken over, held against its target. Values only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rules.agents.descriptions import AgentDescription
from rules.model import Verdict
from rules.replay.scorecards import Rate

TargetState: TypeAlias = Literal["met", "missed", "unknown"]


@dataclass(frozen=True, slots=True)
class AgentScore:
    """One described agent over its conversations.

    `escalated`: those that a person took over. `held`: those that a hold stopped first, of which a replay does not know
    how they went on. `target` is the highest escalation rate that its description allows, None where it names none.
    """

    agent: str
    escalated: Rate
    held: int
    target: float | None

    @property
    def state(self) -> TargetState | None:
        """Return whether the target is met, unknown unless the whole 95 % interval says so; None without a target.

        Its low end takes every conversation that was held for one that went on alone, its high end for an escalation.
        """
        if self.target is None:
            return None
        low = self.escalated.interval
        high = Rate(self.escalated.n + self.held, self.escalated.of).interval
        if low is not None and low[0] > self.target:
            return "missed"
        return "met" if high is not None and high[1] <= self.target else "unknown"


@dataclass(slots=True)
class AgentCounts:
    """Counters by what agents send as `agent.id`."""

    conversations: Counter[str] = field(default_factory=Counter)
    escalated: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)

    def add(self, agent_id: str | None, last: Verdict | None) -> None:
        """Count one conversation of an agent by the verdict that it ended with."""
        if agent_id is not None:
            self.conversations[agent_id] += 1
            self.escalated[agent_id] += last == "escalate"
            self.held[agent_id] += last == "hold"

    def scores(self, agents: Mapping[str, AgentDescription]) -> tuple[AgentScore, ...]:
        """Return one score for each agent that is described, in the order of the files."""
        return tuple(
            AgentScore(
                name,
                Rate(self.escalated[each.agent_id], self.conversations[each.agent_id]),
                self.held[each.agent_id],
                each.targets.get("escalation_rate"),
            )
            for name, each in agents.items()
        )
