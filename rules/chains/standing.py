"""Where a turn stands in the chain of its conversation, as signals. Read only of conversations that have a chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rules.chains.chain import Chain, chain_of, chain_turn
from rules.chains.disagreements import Compared, compare_last, words
from rules.turn import Conversation, Turn, Value

# What stands in a sentence of a check beside the value of such a signal: no rule can say these names.
PATH = "_path"
DIFFERENCES = "_differences"
# A longer path is told by its ends, and more differences by their count.
PATH_NAMES_MAX = 6
DIFFERENCES_TOLD_MAX = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """A turn's chain as it is known then, its own place in it, and what its agent and others do not agree on."""

    chain: Chain
    at: int
    compared: Compared


def standing_of(turn: Turn, before: Conversation) -> Standing:
    """Return where a turn stands among those before it, as far as whoever keeps these has their texts."""
    turns = [chain_turn(record.turn) for record in before.past if record.turn is not None]
    turns.append(chain_turn(turn))
    chain = chain_of(turns, turn.conversation_id)
    at = chain.at(turn.turn_id)
    return Standing(chain, 0 if at is None else at, compare_last(chain, turns))


def values_of(turn: Turn, before: Conversation) -> dict[str, Value]:
    """Return the signals of the chain by name, and what tells of them in words."""
    standing = standing_of(turn, before)
    values: dict[str, Value] = {name: read(standing) for name, read in CHAIN_SIGNALS.items()}
    values[PATH] = path_text(standing.chain.path(standing.at))
    told = [words(each) for each in standing.compared.disagreements]
    if told:
        more = len(told) - DIFFERENCES_TOLD_MAX
        values[DIFFERENCES] = "; ".join([*told[:DIFFERENCES_TOLD_MAX], *([f"and {more} more"] if more > 0 else [])])
    return values


def path_text(path: tuple[str | None, ...]) -> str:
    """Return the agents of a path in one line, as `triage > billing > refunds`."""
    names = [name or "unknown" for name in path]
    if len(names) > PATH_NAMES_MAX:
        names = [*names[: PATH_NAMES_MAX - 2], "…", names[-1]]
    return " > ".join(names)


# signal -> how it is read. Unknown of every turn whose conversation has no chain.
CHAIN_SIGNALS: Mapping[str, Callable[[Standing], Value]] = {
    "chain_depth": lambda standing: standing.chain.stations[standing.at].depth,
    "handovers_count": lambda standing: standing.chain.handovers,
    "agent_returns_count": lambda standing: standing.chain.returns,
    "agents_count": lambda standing: len(standing.chain.agents),
    "agents_disagree": lambda standing: bool(standing.compared.disagreements),
    "disagreements": lambda standing: frozenset(each.kind for each in standing.compared.disagreements),
    "amounts_differ_usd": lambda standing: standing.compared.apart_usd,
}
# signal -> the words that a check's sentence adds to it
TOLD_WITH: Mapping[str, str] = {
    **dict.fromkeys(("chain_depth", "handovers_count", "agent_returns_count", "agents_count"), PATH),
    **dict.fromkeys(("agents_disagree", "disagreements", "amounts_differ_usd"), DIFFERENCES),
}
