"""Who may take a handoff, and how that widens while it waits. Values and their order; who is there is asked elsewhere.

A handoff waits in a class: the queues whose people may take it, the skills and the language they need, and for whom it
is kept. All of one class wait in one order, so the most urgent that an operator may take is the first of the classes
open to them, however many wait. A queue's ladder changes the class with time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from rules.model import Need

# What a step of a ladder tells the outbox when it has been taken.
StepEvent: TypeAlias = Literal[
    "handoff.widened", "handoff.deadline_near", "handoff.resolve_near", "handoff.resolve_missed"
]
LEVEL_MAX = 10
EVERY_LANGUAGE: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom a waiting handoff is for. `languages` empty: any language; `operator`: nobody but this one."""

    queues: tuple[str, ...]
    needs: tuple[Need, ...] = ()
    languages: tuple[str, ...] = EVERY_LANGUAGE
    operator: str | None = None

    @property
    def text(self) -> str:
        """Return the class as one text, the same for equal classes: its name in the store."""
        needs = sorted((need.skill, need.level) for need in self.needs)
        return json.dumps(
            [sorted(self.queues), needs, sorted(self.languages), self.operator],
            ensure_ascii=False,
            separators=(",", ":"),
        )


@lru_cache(maxsize=4_096)  # classes that are not empty at one time; some hundred in a large house, 300 bytes each
def wanted_in(text: str) -> Wanted:
    """Return the class that a text names; raises ValueError for a text that `Wanted.text` did not write."""
    queues, needs, languages, operator = json.loads(text)
    return Wanted(tuple(queues), tuple(Need(skill, level) for skill, level in needs), tuple(languages), operator)
