"""In what two agents can disagree, as one table. What makes it so is found out in `rules.chains.disagreements`."""

from __future__ import annotations

from typing import Literal, TypeAlias

DisagreementKind: TypeAlias = Literal["argument", "amount", "answer"]
DISAGREEMENTS: dict[DisagreementKind, str] = {
    "argument": "an argument of one tool with two values",
    "amount": "two amounts for one thing",
    "answer": "two answers to one message, by agents that one agent asked",
}
