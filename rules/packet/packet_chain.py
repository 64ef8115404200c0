"""The chain of agents as an operator reads it: who had the work, and at whom it broke. Values in, values out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rules.chains.chain import ODD, Chain, Station, chain_of
from rules.chains.disagreements import Disagreement, compare_all, words
from rules.chains.told_turns import chain_turn_told
from rules.handoff import Handoff, Reason
from rules.model import VERDICTS
from rules.packet.context_packet import Broke, ChainStation, PacketChain, TranscriptTurn
from rules.text.fences import neutralise
from rules.text.mask import mask

# More agents than anybody follows; of a longer chain the first and the newest stand there.
STATIONS_MAX = 16
DISAGREEMENTS_MAX = 6
TOLD_CHARS_MAX = 240
# Names that people read to each other; a longer one is told by its beginning.
NAME_CHARS_MAX = 64
RULES_MAX = 6
RULE_CHARS_MAX = 128
FAILED_TOOLS_MAX = 3
ODD_MAX = 6


def packet_chain(handoff: Handoff, transcript: Sequence[TranscriptTurn]) -> PacketChain | None:
    """Return the chain behind a handoff; None where one agent had the work all the time."""
    turns = [chain_turn_told(kept) for kept in transcript]
    chain = chain_of(turns, handoff.conversation_id)
    if not chain.handed_over:
        return None
    broke = _broke(chain, handoff.reasons)
    kept = _kept(chain, None if broke is None else broke.station)
    return PacketChain(
        handovers=chain.handovers,
        returns=chain.returns,
        stations=tuple(_station(place, chain.stations[place]) for place in kept),
        broke=broke,
        disagreements=tuple(_told(words(each)) for each in _shown(compare_all(chain, turns).disagreements)),
        odd=tuple(_told(f"turn {each.turn_id} {ODD[each.kind]}") for each in chain.odd[:ODD_MAX]),
    )


def _kept(chain: Chain, broke_at: int | None) -> list[int]:
    """Return the places of the stations that are shown: all, or the first, the newest and the one where it broke."""
    count = len(chain.stations)
    if count <= STATIONS_MAX:
        return list(range(count))
    newest = STATIONS_MAX - 2
    return sorted({0, *range(count - newest, count), *(() if broke_at is None else (broke_at,))})


def _station(place: int, station: Station) -> ChainStation:
    verdicts = Counter(turn.verdict for turn in station.turns)
    failed = Counter(station.tool_errors)
    return ChainStation(
        place=place,
        agent=_name(station.agent),
        under=station.under,
        depth=station.depth,
        turns=len(station.turns),
        first_turn_id=station.turns[0].turn_id if station.turns else None,
        last_turn_id=station.turns[-1].turn_id if station.turns else None,
        verdicts=tuple(f"{verdict}: {verdicts[verdict]}" for verdict in VERDICTS if verdict in verdicts),
        tool_errors=tuple(f"{_name(name)}: {count}" for name, count in failed.most_common(FAILED_TOOLS_MAX)),
        returned=station.returned,
        conversation_id=station.conversation_id,
    )


def _broke(chain: Chain, reasons: Sequence[Reason]) -> Broke | None:
    """Return the station whose turn asked first for the person; None when that turn is no longer kept."""
    for reason in reasons:
        place = chain.at(reason.turn_id)
        if place is not None:
            path = tuple(_name(name) for name in chain.path(place))
            rule_ids = tuple(neutralise(rule_id[:RULE_CHARS_MAX]) for rule_id in reason.rule_ids[:RULES_MAX])
            return Broke(place, path[-1], reason.turn_id, reason.verdict, rule_ids, path[-STATIONS_MAX:])
    return None


def _shown(found: Sequence[Disagreement]) -> Sequence[Disagreement]:
    return found[-DISAGREEMENTS_MAX:]


def _name(name: str | None) -> str | None:
    # Agents' and tools' names come from outside, as the texts do.
    return None if name is None else neutralise(mask(name[:NAME_CHARS_MAX]).text)


def _told(sentence: str) -> str:
    return neutralise(mask(sentence).text[:TOLD_CHARS_MAX])
