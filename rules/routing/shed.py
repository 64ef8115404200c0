"""That a decision asked people for less because its queue was over its budget. A value only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from rules.model import Verdict

ShedTo: TypeAlias = Literal["continue", "review", "callback"]


@dataclass(frozen=True, slots=True)
class Shed:
    """What a rule asked for (`verdict`) and what it was turned `to`, under which pressure of its queue.

    `step_percent` is the `over` of the highest step that was reached.
    """

    rule_id: str
    verdict: Verdict
    to: ShedTo
    queue: str
    pressure_percent: int
    step_percent: int

    @property
    def text(self) -> str:
        """Return what was shed in one fragment."""
        return (
            f"{self.rule_id} asked for {self.verdict}, and with `{self.queue}` at {self.pressure_percent}% of its "
            f"budget that became {self.to} (step of {self.step_percent}%)"
        )


def shed_json(shed: Shed) -> dict[str, object]:
    """Return what one rule shed as a JSON object."""
    return {
        "rule": shed.rule_id,
        "from": shed.verdict,
        "to": shed.to,
        "queue": shed.queue,
        "pressure_percent": shed.pressure_percent,
        "step_percent": shed.step_percent,
    }
