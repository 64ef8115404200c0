"""That a decision asked people for less because its queue was over its budget. A value only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

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


def shed_of(told: Mapping[str, Any]) -> Shed:
    """Return what `shed_json` was given."""
    steps = (told["queue"], told["pressure_percent"], told["step_percent"])
    return Shed(told["rule"], told["from"], told["to"], *steps)


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
