"""What a test file says, as frozen values: cases, their steps, and what is expected of each. Nothing is read or run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rules.model import Span
from rules.turn import Turn


@dataclass(frozen=True, slots=True)
class HandoffExpect:
    """How the handoff should stand; None is not asked for. `none` asks that none is open."""

    span: Span
    none: bool = False
    state: str | None = None
    kind: str | None = None
    queue: str | None = None
    priority: str | None = None
    reasons: frozenset[str] | None = None
    reasons_include: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PacketExpect:
    """What the packet should hold. None is not asked for; an empty tuple asks that there is nothing of the kind."""

    span: Span
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expect:
    """What a step should lead to; None is not asked for.

    Of a turn `verdict` is the turn's; of any other step it is what a missed deadline leads to, `queue` then where it
    leads on to.
    """

    span: Span
    verdict: str | None = None
    queue: str | None = None
    priority: str | None = None
    must_stop: bool | None = None
    say: str | None = None
    say_includes: tuple[str, ...] = ()
    reason_code: str | None = None
    rules: frozenset[str] | None = None
    rules_include: frozenset[str] = frozenset()
    rules_exclude: frozenset[str] = frozenset()
    shadow: frozenset[str] | None = None
    topics: frozenset[str] = frozenset()
    on_timeout: str | None = None
    deadline_ms: int | None = None
    handoff: HandoffExpect | None = None
    packet: PacketExpect | None = None


@dataclass(frozen=True, slots=True)
class TurnStep:
    """One turn; `expect` is None when nothing is asked of it."""

    span: Span
    after_ms: int
    turn: Turn
    expect: Expect | None = None
    pressures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MoveStep:
    """What happens between turns: `move` is one of MOVES, None where only the clock goes on.

    `given` is what the operator decided or gave back, under the names of rules.handoff.Resolution.
    """

    span: Span
    after_ms: int
    move: str | None
    given: Mapping[str, Any] = field(default_factory=dict)
    expect: Expect | None = None


Step: TypeAlias = TurnStep | MoveStep


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation with a clock of its own."""

    file: str
    name: str
    span: Span
    at_ms: int
    conversation_id: str
    steps: tuple[Step, ...]
