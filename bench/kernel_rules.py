"""Random rules and turns for the kernel bench: what every engine is given. No engine is known here."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rules.evaluation.comparisons import COMPARISONS
from rules.model import All, Any, Compare, Condition, Not, Span

SPAN = Span("bench.yaml", 1, 1, 2)

# signal -> how a turn's value is drawn, and the digits to which rule authors write its operands.
NUMBERS: dict[str, tuple[Callable[[random.Random], float], int]] = {
    "confidence": (lambda rng: round(rng.betavariate(5, 2), 3), 2),
    "sentiment": (lambda rng: round(rng.triangular(-1, 1, 0.2), 3), 1),
    "amount": (lambda rng: round(rng.lognormvariate(4, 1), 2), -1),
}
COUNTS: dict[str, Callable[[random.Random], int]] = {
    "message_length": lambda rng: int(rng.lognormvariate(5, 0.8)),
    "turn_count": lambda rng: min(50, 1 + int(rng.expovariate(0.2))),
    "elapsed_ms": lambda rng: 1_000 * int(rng.expovariate(1 / 240)),
    "tool_errors": lambda rng: min(5, int(rng.expovariate(1.5))),
}
TEXTS: dict[str, tuple[str, ...]] = {
    "channel": ("chat", "voice", "mail", "sms", "social"),
    "language": ("en", "es", "de", "fr", "pt", "it", "nl", "pl"),
    "tier": ("free", "basic", "silver", "gold", "platinum"),
    "agent": tuple(f"agent{number}" for number in range(20)),
}
BOOLS = ("asks_for_person", "draft_present")
TOPICS = tuple(f"topic{number}" for number in range(60))
# The second of twelve values in order: about one turn in seven lies beyond it.
BOUND_SAMPLES = 12
_N = TypeVar("_N", float, int)


@dataclass(frozen=True, slots=True)
class Workload:
    """Rules by their number, and the values of turns: sets as lists, which all engines can read."""

    rules: list[Condition]
    turns: list[dict[str, object]]


def workload(rules: int, turns: int, *, parts: int = 3, seed: int = 1) -> Workload:
    """Return that many rules and turns, always the same for the same seed; every value of a turn is known.

    A rule asks for `parts` things at once, one of three for one more: the more, the fewer rules fire. Of ten rules two
    hold an `any` and one a `not`.
    """
    rng = random.Random(seed)
    made = [_rule(rng, parts + rng.choice((0, 0, 1))) for _ in range(rules)]
    return Workload(made, [_turn(random.Random(seed + 1 + n)) for n in range(turns)])


def _rule(rng: random.Random, count: int) -> Condition:
    parts: list[Condition] = [_compare(rng) for _ in range(count)]
    shape = rng.random()
    if shape < 0.2:
        parts[-1] = Any((parts[-1], *(_compare(rng) for _ in range(rng.choice((1, 2))))))
    elif shape < 0.3:
        parts[-1] = Not(parts[-1])
    return All(tuple(parts))


def _compare(rng: random.Random) -> Compare:
    kind = rng.random()
    if kind < 0.25:
        name = rng.choice(tuple(NUMBERS))
        draw, digits = NUMBERS[name]
        operator, operand = _bound(rng, [draw(rng) for _ in range(BOUND_SAMPLES)])
        return _made(name, operator, round(operand, digits))
    if kind < 0.45:
        name = rng.choice(tuple(COUNTS))
        return _made(name, *_bound(rng, [COUNTS[name](rng) for _ in range(BOUND_SAMPLES)]))
    if kind < 0.7:
        name = rng.choice(tuple(TEXTS))
        return _made(name, rng.choice(("=", "=", "=", "=", "=", "!=")), rng.choice(TEXTS[name]))
    if kind < 0.8:
        name = rng.choice(tuple(TEXTS))
        return _made(name, "in", tuple(rng.sample(TEXTS[name], rng.choice((2, 3)))))
    if kind < 0.85:
        return _made(rng.choice(BOOLS), "=", rng.random() < 0.5)
    return _made("topics", rng.choice(("has",) * 9 + ("lacks",)), rng.choice(TOPICS))


def _bound(rng: random.Random, samples: list[_N]) -> tuple[str, _N]:
    """Return an operator and an operand that one turn in seven meets: rules ask for what is out of the ordinary."""
    operator = rng.choice(("<", "<=", ">", ">="))
    return operator, sorted(samples, reverse=operator[0] == ">")[1]


def _made(name: str, operator: str, operand: float | str | bool | tuple[str, ...]) -> Compare:
    assert operator in COMPARISONS
    return Compare(name, operator, operand, f"{name} {operator} {operand}", SPAN)


def _turn(rng: random.Random) -> dict[str, object]:
    values: dict[str, object] = {name: draw(rng) for name, (draw, _) in NUMBERS.items()}
    values |= {name: draw(rng) for name, draw in COUNTS.items()}
    values |= {name: rng.choice(texts) for name, texts in TEXTS.items()}
    values |= {name: rng.random() < 0.3 for name in BOOLS}
    values["topics"] = rng.sample(TOPICS, rng.choice((0, 0, 1, 1, 2, 3)))
    return values
