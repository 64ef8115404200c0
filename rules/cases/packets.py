"""What a packet holds, part by part, as a test file asks for it. Texts are compared without their fences."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from rules.cases.values import PacketExpect
from rules.packet.context_packet import ContextPacket, Untrusted
from rules.packet.packet_json import to_json
from rules.text.fences import unfence

# A number with at least so many digits is looked for in whatever spacing: fewer are a date or an amount.
DIGITS_MIN = 6


def unmet_of_packet(expect: PacketExpect, packet: ContextPacket) -> list[tuple[str, str, str]]:
    """Return what of the packet is not as expected: what of, what was expected, what stands there."""
    found: list[tuple[str, str, str]] = []
    for part, wanted in expect.parts.items():
        there = PARTS[part](packet)
        if not wanted and there:
            found.append((f"packet's {part}", "nothing", _shown(there)))
        missing = [text for text in wanted if not _stands(text, there, whole=part in _WHOLE)]
        if missing:
            found.append((f"packet's {part} with", _shown(missing), _shown(there)))
    everything = json.dumps(to_json(packet), ensure_ascii=False)
    left_in = [text for text in expect.lacks if _occurs(text, everything)]
    if left_in:
        found.append(("packet", f"without {_shown(left_in)}", f"{_shown(left_in)} in {_where(packet, left_in)}"))
    return found


def _texts(*texts: Untrusted | None) -> list[str]:
    return [unfence(text.text) for text in texts if text is not None]


def _draft(packet: ContextPacket) -> list[str]:
    draft = packet.task.draft
    if draft is None:
        return []
    return [*_texts(draft.reply), *(call.name for call in draft.tool_calls)]


def _transcript(packet: ContextPacket) -> list[str]:
    return [text for turn in packet.transcript for text in _texts(turn.message, turn.reply)]


def _chain(packet: ContextPacket) -> list[str]:
    stations = () if packet.chain is None else packet.chain.stations
    return list(dict.fromkeys(station.agent for station in stations if station.agent is not None))


def _masks(packet: ContextPacket) -> list[str]:
    masks = to_json(packet)["masks"]
    kinds = [str(mask["kind"]) for mask in masks] if isinstance(masks, list) else []
    return list(dict.fromkeys(kinds))


# One row a key of PACKET_KEYS: what stands in that part.
PARTS: Mapping[str, Callable[[ContextPacket], list[str]]] = {
    "why": lambda packet: list(dict.fromkeys(rule.rule_id for why in packet.why for rule in why.rules)),
    "asked": lambda packet: _texts(packet.asked.first, packet.asked.last),
    "transcript": _transcript,
    "draft": _draft,
    "tried": lambda packet: list(dict.fromkeys(tried.name for tried in packet.tried)),
    "promises": lambda packet: [unfence(promised.sentence.text) for promised in packet.promises],
    "entities": lambda packet: [unfence(named.value.text) for named in packet.entities],
    "found": lambda packet: list(dict.fromkeys(found.topic for found in packet.found)),
    "chain": _chain,
    "masks": _masks,
}
# Names are there or not; of a text it is enough to say a part.
_WHOLE = frozenset({"why", "tried", "entities", "found", "chain", "masks"})


def _stands(text: str, there: Iterable[str], *, whole: bool) -> bool:
    return text in there if whole else any(text in one for one in there)


def _occurs(text: str, everything: str) -> bool:
    """Return whether the text occurs, a number in whatever spacing."""
    if text in everything or json.dumps(text, ensure_ascii=False)[1:-1] in everything:
        return True
    joined = _joined(text)
    return sum(map(str.isdigit, joined)) >= DIGITS_MIN and joined in _joined(everything)


def _joined(text: str) -> str:
    return "".join(letter for letter in text if letter not in " -./()")


def _where(packet: ContextPacket, texts: Iterable[str]) -> str:
    """Return the parts of a packet in which one of the texts stands."""
    document = to_json(packet)
    wanted = list(texts)
    named = [
        name
        for name, value in document.items()
        if any(_occurs(text, json.dumps(value, ensure_ascii=False)) for text in wanted)
    ]
    return ", ".join(f"`{name}`" for name in named) or "it"


def _shown(texts: Iterable[str]) -> str:
    return "; ".join(texts) or "nothing"
