"""What a chain's turns disagree in, told by holding each call against each earlier one: a plain reference for tests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rules.chains.chain import Chain, ChainTurn
from rules.chains.disagreements import DISAGREEMENTS_MAX, Compared, Disagreement, DisagreementKind, Said
from rules.chains.same_matter import AMOUNT, SENTENCES, VALUE_CHARS_MAX
from rules.evaluation.call_values import ARGS_PREFIX, call_values
from rules.evaluation.comparisons import NUMBER_MAX
from rules.text.normalise import normalise
from rules.turn import ToolCall, Value

_NUMERIC = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class _Call:
    said_by: str
    turn_id: str
    tool: str
    facts: Mapping[str, Value]


def disagreements_of(chain: Chain, turns: Sequence[ChainTurn]) -> tuple[Disagreement, ...]:
    """Return all disagreements of a conversation in the order of its turns, each once."""
    found: dict[tuple[object, ...], Disagreement] = {}
    for place in range(len(turns)):
        for each in compare_last(chain, turns[: place + 1]).disagreements:
            key = (each.kind, each.name, each.earlier.agent, each.earlier.value, each.later.agent, each.later.value)
            found.setdefault(key, each)
    return tuple(found.values())[:DISAGREEMENTS_MAX]


def compare_last(chain: Chain, turns: Sequence[ChainTurn]) -> Compared:
    """Return where the last turn disagrees with other agents' turns of the same step."""
    last = turns[-1]
    if last.agent is None:
        return Compared()
    step, asked = _step(turns)
    others: dict[str, list[ChainTurn]] = {}
    for turn in step[:-1]:
        if turn.agent is not None and turn.agent != last.agent:
            others.setdefault(turn.agent, []).append(turn)
    found: list[Disagreement] = []
    apart: list[float] = []
    for earlier in others.values():
        differing, apart_usd = _calls_compared(earlier, last)
        found += differing
        apart += apart_usd
        if asked and (answer := _answers_compared(chain, earlier, last)):
            found.append(answer)
    return Compared(tuple(found[:DISAGREEMENTS_MAX]), max(apart, default=None))


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


def _answers_compared(chain: Chain, earlier: Sequence[ChainTurn], last: ChainTurn) -> Disagreement | None:
    """Return how two agents answer that stand side by side under a third; an answer that one repeats is one answer."""
    reply, at = normalise(last.reply or ""), chain.at(last.turn_id)
    if not reply or at is None or chain.stations[at].under is None:
        return None
    beside = [
        turn
        for turn in earlier
        if normalise(turn.reply or "")
        and (place := chain.at(turn.turn_id)) is not None
        and chain.stations[place].under == chain.stations[at].under
    ]
    if not beside or any(normalise(turn.reply or "") == reply for turn in beside):
        return None
    return Disagreement("answer", "reply", Said(beside[-1].agent or "", beside[-1].turn_id), _by(last))


def _by(turn: ChainTurn, value: Value = None) -> Said:
    return Said(turn.agent or "", turn.turn_id, value)


def _calls_compared(earlier: Sequence[ChainTurn], last: ChainTurn) -> tuple[list[Disagreement], list[float]]:
    """Return where the last turn's calls differ from what another agent called or proposed, and by how many dollars."""
    theirs = [call for turn in reversed(earlier) for call in _binding(turn)]
    found: dict[Disagreement, None] = {}
    apart: list[float] = []
    for call in _binding(last):
        other = _about_the_same(theirs, call)
        if other is None:
            continue
        for name in _differing(other, call):
            kind: DisagreementKind = "amount" if name == AMOUNT else "argument"
            shown = f"{call.tool}.{name.removeprefix(ARGS_PREFIX)}" if other.tool == call.tool else name
            first, second = other.facts[name], call.facts[name]
            said = Said(other.said_by, other.turn_id, first), Said(call.said_by, call.turn_id, second)
            found[Disagreement(kind, shown, *said)] = None
        first, second = other.facts.get(AMOUNT), call.facts.get(AMOUNT)
        if isinstance(first, int | float) and isinstance(second, int | float):
            apart.append(abs(first - second))
    return list(found), apart


def _about_the_same(theirs: Iterable[_Call], call: _Call) -> _Call | None:
    """Return the call of another agent that is about the same thing, the one with most in common; newest first."""
    related = [other for other in theirs if _related(other, call)]
    return max(related, key=lambda other: (other.tool == call.tool, _equal_count(other, call)), default=None)


def _related(first: _Call, second: _Call) -> bool:
    common = first.facts.keys() & second.facts.keys()
    if first.tool == second.tool:
        return bool(common) and (len(common) == 1 or _equal_count(first, second) > 0)
    # Of two tools only the amounts say the same thing: one asks what a refund would be, another makes it.
    named = common - {AMOUNT}
    return AMOUNT in common and (not named or any(_same(first.facts[name], second.facts[name]) for name in named))


def _differing(first: _Call, second: _Call) -> list[str]:
    common = first.facts.keys() & second.facts.keys() if first.tool == second.tool else {AMOUNT}
    return sorted(name for name in common if not _same(first.facts[name], second.facts[name]))


def _equal_count(first: _Call, second: _Call) -> int:
    common = first.facts.keys() & second.facts.keys()
    return sum(1 for name in common if _same(first.facts[name], second.facts[name]))


def _binding(turn: ChainTurn) -> Iterable[_Call]:
    """Yield the calls by which a turn commits itself: what only reads, or failed, says nothing about the matter."""
    for call in turn.tool_calls:
        if call.write is not False and call.status != "error":
            yield _Call(turn.agent or "", turn.turn_id, call.name, _facts(call))


def _facts(call: ToolCall) -> dict[str, Value]:
    """Return what a call names, as far as two agents can name it alike: numbers, yes and no, short texts, sets."""
    values = call_values(call)
    facts: dict[str, Value] = {}
    for name, value in values.items():
        if not name.startswith(ARGS_PREFIX) or value is None:
            continue
        sentence = name.rpartition(".")[2].lower() in SENTENCES
        if sentence or (isinstance(value, str) and not 0 < len(value.strip()) <= VALUE_CHARS_MAX):
            continue
        facts[name] = value
    amount = values[AMOUNT]
    if isinstance(amount, int | float) and abs(amount) <= NUMBER_MAX:
        facts[AMOUNT] = amount
    return facts


def _same(first: Value, second: Value) -> bool:
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, str) and isinstance(second, str):
        return normalise(first) == normalise(second)
    return _number(first) == _number(second)


def _number(value: Value) -> Value:
    """Return a number that was sent as a text as the number; one agent writes 80 and the other "80.00"."""
    return float(value) if isinstance(value, str) and _NUMERIC.fullmatch(value.strip()) else value
