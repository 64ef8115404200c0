"""Where two agents do not agree on one thing: two values of an argument, two amounts, two answers. Facts are compared.

Whether it is the same thing is told by what stands in the calls, never by a model. Two calls of one tool are about one
thing when something that both name is the same, or when they name one thing only in common. What a long chain names is
compared up to a limit, and how many calls were left out is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from rules.chains.chain import Chain, ChainTurn
from rules.chains.kinds import DISAGREEMENTS as DISAGREEMENTS
from rules.chains.kinds import DisagreementKind as DisagreementKind
from rules.chains.same_matter import (
    AMOUNT,
    VALUE_CHARS_MAX,
    Budget,
    NamedBefore,
    NamedCall,
    binding_calls,
    differing,
    named,
)
from rules.evaluation.call_values import ARGS_PREFIX
from rules.text.mask import mask
from rules.text.normalise import normalise
from rules.turn import Value

# More would not be read; a chain of two agents has one or two.
DISAGREEMENTS_MAX = 20
# Values that are read of the calls of a step, and of all kept turns: the newest ones. A turn that
# proposes 64 calls with 20 arguments each names 1,300; a chain that people follow names some dozen.
STEP_VALUES_MAX = 2_000
CHAIN_VALUES_MAX = 6_000
# Comparisons for one turn, and for all kept turns together. A call whose comparing would take more is left out.
TURN_COMPARISONS_MAX = 20_000
CHAIN_COMPARISONS_MAX = 40_000


@dataclass(frozen=True, slots=True)
class Said:
    """What one agent said, and in which turn. `value` is None for an answer, which is a text of its own."""

    agent: str
    turn_id: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two agents that named one thing differently; `name` is `TOOL.ARGUMENT`, or `reply`. `later` is the newer turn."""

    kind: DisagreementKind
    name: str
    earlier: Said
    later: Said


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing turns: where they differ, and how far the amounts lie apart; None where none met.

    `calls_left_out` counts the calls that were too many to compare, `comparisons` what was compared.
    """

    disagreements: tuple[Disagreement, ...] = ()
    apart_usd: float | None = None
    calls_left_out: int = 0
    comparisons: int = 0


def compare_all(chain: Chain, turns: Sequence[ChainTurn]) -> Compared:
    """Return all disagreements of a conversation in the order of its turns, each once."""
    found: dict[tuple[object, ...], Disagreement] = {}
    calls, left_out = _named(turns, CHAIN_VALUES_MAX)
    step = _Step(_station_of(chain), chain)
    left, spent, said = CHAIN_COMPARISONS_MAX, 0, ""
    apart: list[float] = []
    for turn, turn_calls in zip(turns, calls, strict=True):
        message = normalise(turn.message) if turn.message else ""
        if message and message != said:
            said, step = message, _Step(step.station_of, chain)
        compared = step.compare(turn, turn_calls, bool(said), min(TURN_COMPARISONS_MAX, left))
        step.add(turn, turn_calls)
        left -= compared.comparisons
        spent += compared.comparisons
        left_out += compared.calls_left_out
        apart += [] if compared.apart_usd is None else [compared.apart_usd]
        for each in compared.disagreements:
            key = (each.kind, each.name, each.earlier.agent, each.earlier.value, each.later.agent, each.later.value)
            found.setdefault(key, each)
    return Compared(tuple(islice(found.values(), DISAGREEMENTS_MAX)), max(apart, default=None), left_out, spent)


def compare_last(chain: Chain, turns: Sequence[ChainTurn]) -> Compared:
    """Return where the last turn disagrees with other agents' turns of the same step."""
    last = turns[-1]
    if last.agent is None:
        return Compared()
    newest, asked = _step(turns)
    # What the agent itself called before is nothing that it can differ from.
    facing = [turn for turn in newest[:-1] if turn.agent != last.agent]
    if not binding_calls(last):
        facing = [replace(turn, tool_calls=()) for turn in facing] if last.reply else []
    (*calls, last_calls), left_out = _named([*facing, last], STEP_VALUES_MAX)
    step = _Step(_station_of(chain), chain)
    for turn, turn_calls in zip(facing, calls, strict=True):
        step.add(turn, turn_calls)
    compared = step.compare(last, last_calls, asked, TURN_COMPARISONS_MAX)
    return replace(compared, calls_left_out=compared.calls_left_out + left_out)


def words(disagreement: Disagreement) -> str:
    """Return a disagreement as a sentence, without personal data."""
    earlier, later = disagreement.earlier, disagreement.later
    if disagreement.kind == "answer":
        return f"{earlier.agent} (turn {earlier.turn_id}) and {later.agent} answer differently"
    first, second = _shown(earlier.value), _shown(later.value)
    return f"{disagreement.name} is {first} for {earlier.agent} (turn {earlier.turn_id}) and {second} for {later.agent}"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, frozenset):
        return mask(", ".join(sorted(value))).text[:VALUE_CHARS_MAX]
    return f"{value:.15g}" if isinstance(value, int | float) else mask(str(value)).text


def _step(turns: Sequence[ChainTurn]) -> tuple[Sequence[ChainTurn], bool]:
    """Return the newest turns that belong to one message of the customer, and whether there is one.

    A turn without a message belongs to the message before it, and so does one that sends the same message again.
    """
    said, start = "", 0
    for place, turn in enumerate(turns):
        message = normalise(turn.message) if turn.message else ""
        if message and message != said:
            said, start = message, place
    return turns[start:], bool(said)


def _named(turns: Sequence[ChainTurn], values_max: int) -> tuple[list[list[NamedCall]], int]:
    """Return what the calls of each turn name, the newest that many values of all, and how many calls were not read."""
    found: list[list[NamedCall]] = [[] for _ in turns]
    left, left_out = values_max, 0
    for place in range(len(turns) - 1, -1, -1):
        if turns[place].agent is None:
            continue
        calls = binding_calls(turns[place])
        for at, call in enumerate(calls):
            if left <= 0:
                left_out += len(calls) - at
                break
            found[place].append(named(turns[place], call, (place, -at)))
            left -= len(found[place][-1].facts)
    return found, left_out


def _station_of(chain: Chain) -> dict[str, int]:
    stations: dict[str, int] = {}
    for place, station in enumerate(chain.stations):
        for turn in station.turns:
            stations.setdefault(turn.turn_id, place)
    return stations


@dataclass(slots=True)
class _Before:
    """What one agent called and answered since the customer's message; its replies as they are compared."""

    calls: NamedBefore = field(default_factory=NamedBefore)
    replies: list[tuple[ChainTurn, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Step:
    """The turns that belong to one message, by agent in the order in which they came."""

    station_of: Mapping[str, int]
    chain: Chain
    agents: dict[str, _Before] = field(default_factory=dict)

    def add(self, turn: ChainTurn, calls: Sequence[NamedCall]) -> None:
        if turn.agent is None:
            return
        before = self.agents.setdefault(turn.agent, _Before())
        for call in calls:
            before.calls.add(call)
        if turn.reply and (reply := normalise(turn.reply)):
            before.replies.append((turn, reply))

    def compare(self, turn: ChainTurn, calls: Sequence[NamedCall], asked: bool, comparisons_max: int) -> Compared:
        """Return where a turn differs from what other agents called or answered before it."""
        if turn.agent is None:
            return Compared()
        found: list[Disagreement] = []
        apart: list[float] = []
        budget, left_out = Budget(comparisons_max), set[int]()
        for agent, before in self.agents.items():
            if agent == turn.agent:
                continue
            differences: dict[Disagreement, None] = {}
            for place, call in enumerate(calls):
                other, told = before.calls.about_the_same(call, budget)
                if not told:
                    left_out.add(place)
                if other is None:
                    continue
                apart += _apart_usd(other, call)
                if len(found) + len(differences) < DISAGREEMENTS_MAX:
                    differences.update(dict.fromkeys(_differences(other, call)))
            found += differences
            if asked and (answer := self._answers_compared(before, turn)):
                found.append(answer)
        shown = tuple(found[:DISAGREEMENTS_MAX])
        return Compared(shown, max(apart, default=None), len(left_out), budget.spent)

    def _answers_compared(self, earlier: _Before, last: ChainTurn) -> Disagreement | None:
        """Return how two agents answer that stand side by side under a third; one that repeats another's agrees."""
        under = self._under(last)
        reply = normalise(last.reply) if last.reply and under is not None else ""
        beside = [(turn, told) for turn, told in earlier.replies if self._under(turn) == under] if reply else []
        if not beside or any(told == reply for _, told in beside):
            return None
        turn, _ = beside[-1]
        return Disagreement(
            "answer", "reply", Said(turn.agent or "", turn.turn_id), Said(last.agent or "", last.turn_id)
        )

    def _under(self, turn: ChainTurn) -> int | None:
        at = self.station_of.get(turn.turn_id)
        return None if at is None else self.chain.stations[at].under


def _differences(other: NamedCall, call: NamedCall) -> Iterator[Disagreement]:
    for name in differing(other, call):
        kind: DisagreementKind = "amount" if name == AMOUNT else "argument"
        shown = f"{call.tool}.{name.removeprefix(ARGS_PREFIX)}" if other.tool == call.tool else name
        earlier = Said(other.said_by, other.turn_id, other.facts[name])
        yield Disagreement(kind, shown, earlier, Said(call.said_by, call.turn_id, call.facts[name]))


def _apart_usd(other: NamedCall, call: NamedCall) -> list[float]:
    first, second = other.facts.get(AMOUNT), call.facts.get(AMOUNT)
    if isinstance(first, int | float) and isinstance(second, int | float):
        return [abs(first - second)]
    return []
