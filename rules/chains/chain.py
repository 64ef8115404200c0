"""Which agent had the work of a conversation, and who handed it on. Turns in, one record out; nothing is refused here.

What a caller says of a parent can be wrong: it may name nobody who is known, itself, or a turn that follows from its
own. Such a turn keeps its place in the chain, and `odd` tells what was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from rules.model import Verdict
from rules.turn import Parent, ToolCall, Turn

# As many turns as are kept of a conversation; of more only the newest are looked at.
CHAIN_TURNS_MAX = 60

# What was wrong with the parent that a turn named: a turn that nobody has seen (yet), itself, or what follows from it.
OddKind: TypeAlias = Literal["unknown_turn", "self", "loop"]
ODD: dict[OddKind, str] = {
    "unknown_turn": "names a turn that is not known here",
    "self": "names itself as its parent",
    "loop": "names a turn that itself follows from this one",
}


@dataclass(frozen=True, slots=True)
class ChainTurn:
    """What of a turn its chain is made of. `verdict` and `at_ms` are None for one that is not decided yet."""

    turn_id: str
    agent: str | None = None
    parent: Parent | None = None
    message: str | None = None
    reply: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    verdict: Verdict | None = None
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Station:
    """One agent's time with the work.

    `under` is the place of the station that handed it over, None for one that nobody handed anything. Without `turns`
    it is only known because another agent named it. `returned`: the agent had the work before, and it came back.
    `conversation_id` is the other conversation in which the agent works that handed over, None for this one.
    """

    agent: str | None
    under: int | None
    depth: int
    turns: tuple[ChainTurn, ...] = ()
    returned: bool = False
    conversation_id: str | None = None

    @property
    def tool_errors(self) -> tuple[str, ...]:
        """Return the names of the calls that failed, in their order."""
        return tuple(call.name for turn in self.turns for call in turn.tool_calls if call.status == "error")


@dataclass(frozen=True, slots=True)
class Odd:
    """A parent that could not be followed, by the turn that named it."""

    turn_id: str
    kind: OddKind


@dataclass(frozen=True, slots=True)
class Chain:
    """The stations of a conversation: whoever handed work over stands before those who got it."""

    stations: tuple[Station, ...] = ()
    odd: tuple[Odd, ...] = ()

    @property
    def handed_over(self) -> bool:
        """Return whether any agent handed work to another, or more than one had it."""
        return len(self.stations) > 1

    @property
    def handovers(self) -> int:
        """Return how often work was handed from one agent to another."""
        return sum(1 for station in self.stations if station.under is not None)

    @property
    def returns(self) -> int:
        """Return how often work came back to an agent that had it before."""
        return sum(1 for station in self.stations if station.returned)

    @property
    def agents(self) -> tuple[str, ...]:
        """Return the agents that had the work, each once."""
        return tuple(dict.fromkeys(station.agent for station in self.stations if station.agent is not None))

    def at(self, turn_id: str) -> int | None:
        """Return the place of the station that a turn belongs to."""
        found = (
            place
            for place, station in enumerate(self.stations)
            if any(turn.turn_id == turn_id for turn in station.turns)
        )
        return next(found, None)

    def path(self, place: int) -> tuple[str | None, ...]:
        """Return the agents from the first one to that station, as each handed on to the next."""
        names: list[str | None] = []
        at: int | None = place
        while at is not None:
            names.append(self.stations[at].agent)
            at = self.stations[at].under
        return tuple(reversed(names))


def chain_turn(turn: Turn) -> ChainTurn:
    """Return what a chain needs of a turn that is not decided yet."""
    return ChainTurn(turn.turn_id, turn.agent.id, turn.parent, turn.message, turn.reply, turn.tool_calls)


def chain_of(turns: Sequence[ChainTurn], conversation_id: str) -> Chain:
    """Return the chain of these turns, which stand in the order of their conversation.

    A turn without a parent goes on with what its agent had; agents that name the same parent stand under it side by
    side. An agent that is named and sent no turn has a station without any. Turns that came in another order make the
    same chain once they stand in theirs, and where each names the turn it follows from, in whatever order they stand.
    """
    builder = _Builder(turns[-CHAIN_TURNS_MAX:], conversation_id)
    for place in range(len(builder.turns)):
        builder.put(place)
    return builder.chain()


class _Builder:
    """Puts one turn after the other; the turn that another names as its parent is put first."""

    def __init__(self, turns: Sequence[ChainTurn], conversation_id: str) -> None:
        self.turns = turns
        self._conversation_id = conversation_id
        self._places = {turn.turn_id: place for place, turn in enumerate(turns)}
        self._stations: list[Station] = []
        self._turns_of: list[list[int]] = []
        self._station_of: dict[int, int] = {}
        self._placing: set[int] = set()
        self._by_key: dict[tuple[str | None, int | None, str | None], int] = {}
        self._latest: dict[str | None, int] = {}
        self._odd: dict[int, Odd] = {}

    def chain(self) -> Chain:
        """Return what was built."""
        stations = tuple(
            replace(station, turns=tuple(self.turns[place] for place in sorted(places)))
            for station, places in zip(self._stations, self._turns_of, strict=True)
        )
        return Chain(stations, tuple(self._odd[place] for place in sorted(self._odd)))

    def put(self, place: int) -> int:
        """Return the station of a turn, put there now if it was not."""
        if place not in self._station_of:
            self._placing.add(place)
            agent, under = self.turns[place].agent, self._under(place)
            at = self._going_on(agent) if under is None else self._from(agent, under)
            self._placing.discard(place)
            self._station_of[place] = self._latest[agent] = at
            self._turns_of[at].append(place)
        return self._station_of[place]

    def _going_on(self, agent: str | None) -> int:
        """Return the station that an agent has, a first one where it has none."""
        return self._latest[agent] if agent in self._latest else self._station(agent, None)

    def _from(self, agent: str | None, under: int) -> int:
        """Return the station of an agent that was handed work by another station."""
        handing = self._stations[under]
        if handing.agent == agent and agent is not None and handing.conversation_id is None:
            return under
        return self._station(agent, under)

    def _under(self, place: int) -> int | None:
        """Return the station that handed over to a turn, None where none is named."""
        turn = self.turns[place]
        parent = turn.parent
        if parent is None:
            return None
        if parent.conversation_id not in (None, self._conversation_id):
            return self._station(parent.agent, None, parent.conversation_id)
        if parent.turn_id is not None:
            before = self._places.get(parent.turn_id)
            if before is not None and before not in self._placing:
                return self.put(before)
            kind: OddKind = "unknown_turn" if before is None else "self" if before == place else "loop"
            self._odd[place] = Odd(turn.turn_id, kind)
            if before is None and parent.agent is None:
                return self._station(None, None)
        if parent.agent is None:
            return None
        if parent.agent == turn.agent:
            self._odd.setdefault(place, Odd(turn.turn_id, "self"))
            return None
        if parent.agent not in self._latest:
            self._latest[parent.agent] = self._station(parent.agent, None)
        return self._latest[parent.agent]

    def _station(self, agent: str | None, under: int | None, conversation_id: str | None = None) -> int:
        key = (agent, under, conversation_id)
        if key not in self._by_key:
            depth = 0 if under is None else self._stations[under].depth + 1
            here = agent is not None and conversation_id is None
            returned = here and any(
                station.agent == agent and station.conversation_id is None for station in self._stations
            )
            self._by_key[key] = len(self._stations)
            self._stations.append(Station(agent, under, depth, (), returned, conversation_id))
            self._turns_of.append([])
        return self._by_key[key]
